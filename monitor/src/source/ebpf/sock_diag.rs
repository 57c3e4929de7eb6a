//! Sockets of a network namespace by inode, from the kernel's own list (sock_diag(7)). The cookie in it is the one that
//! the kernel programs see.

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;

/// SOCK_DIAG_BY_FAMILY of linux/sock_diag.h.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// NLM_F_REQUEST | NLM_F_DUMP.
const DUMP: u16 = 0x301;
/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// `struct inet_diag_req_v2` of linux/inet_diag.h.
const REQUEST: usize = 56;
/// Both, as the header says it.
const LENGTH: u32 = 72;
/// In `struct inet_diag_msg`: `id.idiag_cookie` and `idiag_inode`.
const COOKIE: usize = 44;
const INODE: usize = 68;

/// TCP, UDP, UDP-Lite and raw sockets, of both families; raw last.
const WHAT: [(u8, u8); 8] = [(2, 6), (10, 6), (2, 17), (10, 17), (2, 136), (10, 136), (2, 255), (10, 255)];
const RAW: u8 = 255;

/// What a namespace holds.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    /// Inode -> cookie, of those that a process can hold.
    pub cookies: HashMap<u64, u64>,
    /// Cookies of those that no process holds any more.
    pub orphans: HashSet<u64>,
    /// Raw sockets are among them; a kernel without raw_diag does not list those.
    pub raw: bool,
}

/// The sockets of the namespace at `path`. `None` where it cannot.
pub(super) fn of_namespace(path: &Path) -> Option<Sockets> {
    in_namespace(path, here)
}

impl Sockets {
    /// Whether this socket is among them.
    pub(super) fn has(&self, cookie: u64) -> bool {
        self.orphans.contains(&cookie) || self.cookies.values().any(|known| *known == cookie)
    }
}

/// What `look` finds in the namespace at `path`, on a thread of its own that enters it. `None` where it cannot.
pub(super) fn in_namespace<T: Send>(path: &Path, look: impl FnOnce() -> Option<T> + Send) -> Option<T> {
    let namespace = File::open(path).ok()?;
    thread::scope(|scope| {
        let visit = thread::Builder::new().name("sock_diag".to_owned()).spawn_scoped(scope, || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).ok()?;
            look()
        });
        visit.ok()?.join().ok()?
    })
}

/// The sockets of the calling thread's namespace.
pub(super) fn here() -> Option<Sockets> {
    let netlink = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )
    .ok()?;
    let mut sockets = Sockets { raw: true, ..Sockets::default() };
    for (family, protocol) in WHAT {
        let listed = dump(&netlink, family, protocol, &mut sockets);
        match (listed, protocol) {
            (Ok(()), _) => {}
            (Err(_), RAW) => sockets.raw = false,
            // Each protocol is a kernel module of its own and may be missing.
            (Err(error), _) => log::info!("sock_diag: family {family}, protocol {protocol}: {error}"),
        }
    }
    Some(sockets)
}

fn dump(netlink: impl AsFd, family: u8, protocol: u8, sockets: &mut Sockets) -> rustix::io::Result<()> {
    send(&netlink, &request(family, protocol), SendFlags::empty())?;
    let mut buffer = vec![0_u8; 65_536];
    loop {
        let (length, _) = recv(&netlink, &mut buffer[..], RecvFlags::empty())?;
        if length == 0 || read(&buffer[..length], sockets)? {
            return Ok(());
        }
    }
}

fn request(family: u8, protocol: u8) -> [u8; HEADER + REQUEST] {
    let mut message = [0_u8; HEADER + REQUEST];
    message[..4].copy_from_slice(&LENGTH.to_ne_bytes());
    message[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message[6..8].copy_from_slice(&DUMP.to_ne_bytes());
    message[HEADER] = family;
    message[HEADER + 1] = protocol;
    // Every state.
    message[HEADER + 4..HEADER + 8].copy_from_slice(&u32::MAX.to_ne_bytes());
    message
}

/// Reads one datagram of answers. True after the last.
fn read(mut bytes: &[u8], sockets: &mut Sockets) -> rustix::io::Result<bool> {
    while let (Some(length), Some(kind)) = (word(bytes, 0), half(bytes, 4)) {
        let length = length as usize;
        let Some(body) = bytes.get(HEADER..length) else { break };
        match kind {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => {
                let code = word(body, 0).map_or(0, u32::cast_signed);
                return if code == 0 { Ok(true) } else { Err(Errno::from_raw_os_error(-code)) };
            }
            _ => {
                if let (Some(low), Some(high), Some(inode)) =
                    (word(body, COOKIE), word(body, COOKIE + 4), word(body, INODE))
                {
                    let cookie = u64::from(low) | u64::from(high) << 32;
                    if inode == 0 {
                        sockets.orphans.insert(cookie);
                    } else {
                        sockets.cookies.insert(u64::from(inode), cookie);
                    }
                }
            }
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_socket_of_this_process_is_listed_with_its_cookie() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let link = std::fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
        let inode: u64 =
            link.to_str().unwrap().trim_start_matches("socket:[").trim_end_matches(']').parse().unwrap();
        let cookie = rustix::net::sockopt::socket_cookie(&listener).unwrap();
        // Not every kernel has the module; then nothing is listed at all.
        let sockets = here().unwrap();
        assert!(sockets.cookies.is_empty() || sockets.cookies[&inode] == cookie);
    }

    #[test]
    fn answers_are_read_and_garbage_ends_the_reading() {
        let mut message = vec![0_u8; HEADER + 72];
        let length = u32::try_from(message.len()).unwrap();
        message[..4].copy_from_slice(&length.to_ne_bytes());
        message[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        message[HEADER + COOKIE] = 7;
        message[HEADER + COOKIE + 4] = 1;
        message[HEADER + INODE] = 42;
        let mut sockets = Sockets::default();
        assert_eq!(read(&message, &mut sockets), Ok(false));
        assert_eq!(sockets.cookies, HashMap::from([(42, 7 | 1 << 32)]));
        for cut in 0..message.len() {
            let _ = read(&message[..cut], &mut sockets);
        }
        message[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
        message[HEADER..HEADER + 4].copy_from_slice(&(-2_i32).to_ne_bytes());
        assert_eq!(read(&message, &mut sockets), Err(Errno::NOENT));
    }
}
