//! Sockets of a network namespace, from the kernel's own list (sock_diag(7)): all by inode, or one by its cookie, which is
//! the one that the kernel programs see.

use crate::model::{SocketState, TcpHealth, TcpState};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::thread;
use std::time::Duration;

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
/// In `struct inet_diag_msg`: `idiag_state`, `id.idiag_cookie`, `idiag_rqueue`, `idiag_wqueue` and `idiag_inode`; the
/// attributes follow.
const STATE: usize = 1;
const COOKIE: usize = 44;
const RECEIVE_QUEUE: usize = 56;
const SEND_QUEUE: usize = 60;
const INODE: usize = 68;
const ATTRIBUTES: usize = 72;
/// INET_DIAG_INFO, and the bit that asks for it: `struct tcp_info` of linux/tcp.h.
const INFO: u16 = 2;
const WITH_INFO: u8 = 1 << (INFO - 1);
const TCP: u8 = 6;

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
    fn note(&mut self, body: &[u8]) {
        let (Some(cookie), Some(inode)) = (cookie(body), word(body, INODE)) else { return };
        if inode == 0 {
            self.orphans.insert(cookie);
        } else {
            self.cookies.insert(u64::from(inode), cookie);
        }
    }

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

/// A socket that is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// IP protocol number.
    pub protocol: u8,
    /// Its cookie.
    pub cookie: u64,
}

/// What became of looking for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is there.
    Found(SocketState),
    /// It is not.
    Gone,
    /// The kernel has no list of such sockets.
    NoList,
}

/// One socket of the calling thread's namespace. Goes through the whole list of its protocol: the ends of a row are not
/// always the socket's, which a look-up would need.
pub(super) fn find(wanted: &Wanted) -> Answer {
    let mut listed = false;
    for family in [2, 10] {
        let look = |netlink: OwnedFd| {
            let mut found = None;
            dump(netlink, &request(family, wanted.protocol, WITH_INFO), |body| {
                if cookie(body) == Some(wanted.cookie) {
                    found = state(body, wanted.protocol);
                }
            })
            .map(|()| found)
        };
        match open().and_then(look) {
            Ok(Some(state)) => return Answer::Found(state),
            Ok(None) => listed = true,
            Err(error) => log::debug!("sock_diag: family {family}, protocol {}: {error}", wanted.protocol),
        }
    }
    if listed { Answer::Gone } else { Answer::NoList }
}

/// The queues, and how a TCP connection fares.
fn state(body: &[u8], protocol: u8) -> Option<SocketState> {
    let kind = body.get(STATE).filter(|_| protocol == TCP);
    let state = kind.and_then(|number| TcpState::from_kernel(*number));
    let mut attributes = body.get(ATTRIBUTES..).unwrap_or_default();
    let mut tcp = None;
    while let (Some(length), Some(kind)) = (half(attributes, 0), half(attributes, 2)) {
        let length = usize::from(length);
        let Some(value) = attributes.get(4..length) else { break };
        if let (INFO, Some(state)) = (kind, state) {
            tcp = health(value, state);
        }
        attributes = attributes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(SocketState {
        state,
        receive_queue: word(body, RECEIVE_QUEUE)?,
        send_queue: word(body, SEND_QUEUE)?,
        tcp,
    })
}

/// From `struct tcp_info`. A listening socket has none of it.
fn health(info: &[u8], state: TcpState) -> Option<TcpHealth> {
    const RTT: usize = 68;
    const CWND: usize = 80;
    const RETRANSMITS: usize = 100;
    const ACKED: usize = 120;
    const RECEIVED: usize = 128;
    if state == TcpState::Listen {
        return None;
    }
    Some(TcpHealth {
        state,
        srtt: Duration::from_micros(word(info, RTT)?.into()),
        cwnd: word(info, CWND)?,
        retransmits: word(info, RETRANSMITS)?,
        acked_bytes: long(info, ACKED)?,
        received_bytes: long(info, RECEIVED)?,
    })
}

/// The sockets of the calling thread's namespace.
pub(super) fn here() -> Option<Sockets> {
    let netlink = open().ok()?;
    let mut sockets = Sockets { raw: true, ..Sockets::default() };
    for (family, protocol) in WHAT {
        let listed = dump(&netlink, &request(family, protocol, 0), |body| sockets.note(body));
        match (listed, protocol) {
            (Ok(()), _) => {}
            (Err(_), RAW) => sockets.raw = false,
            // Each protocol is a kernel module of its own and may be missing.
            (Err(error), _) => log::info!("sock_diag: family {family}, protocol {protocol}: {error}"),
        }
    }
    Some(sockets)
}

fn open() -> rustix::io::Result<OwnedFd> {
    let (flags, protocol) = (SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG));
    socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, protocol)
}

/// Hands every answer to a request to `take`.
fn dump(netlink: impl AsFd, request: &[u8], mut take: impl FnMut(&[u8])) -> rustix::io::Result<()> {
    send(&netlink, request, SendFlags::empty())?;
    let mut buffer = vec![0_u8; 65_536];
    loop {
        let (length, _) = recv(&netlink, &mut buffer[..], RecvFlags::empty())?;
        if length == 0 || read(&buffer[..length], &mut take)? {
            return Ok(());
        }
    }
}

/// Sockets of a family and protocol in every state; `extensions` are attributes beyond the message.
fn request(family: u8, protocol: u8, extensions: u8) -> [u8; HEADER + REQUEST] {
    let mut message = [0_u8; HEADER + REQUEST];
    message[..4].copy_from_slice(&LENGTH.to_ne_bytes());
    message[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message[6..8].copy_from_slice(&DUMP.to_ne_bytes());
    message[HEADER] = family;
    message[HEADER + 1] = protocol;
    message[HEADER + 2] = extensions;
    message[HEADER + 4..HEADER + 8].copy_from_slice(&u32::MAX.to_ne_bytes());
    message
}

/// Reads one datagram of answers. True after the last.
fn read(mut bytes: &[u8], take: &mut impl FnMut(&[u8])) -> rustix::io::Result<bool> {
    while let (Some(length), Some(kind)) = (word(bytes, 0), half(bytes, 4)) {
        let length = length as usize;
        let Some(body) = bytes.get(HEADER..length) else { break };
        match kind {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => {
                let code = word(body, 0).map_or(0, u32::cast_signed);
                return if code == 0 { Ok(true) } else { Err(Errno::from_raw_os_error(-code)) };
            }
            _ => take(body),
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

fn cookie(body: &[u8]) -> Option<u64> {
    Some(u64::from(word(body, COOKIE)?) | u64::from(word(body, COOKIE + 4)?) << 32)
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
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
        assert_eq!(read(&message, &mut |body: &[u8]| sockets.note(body)), Ok(false));
        assert_eq!(sockets.cookies, HashMap::from([(42, 7 | 1 << 32)]));
        let body = &message[HEADER..];
        assert_eq!(state(body, 17).map(|state| state.state), Some(None), "only TCP has states");
        for cut in 0..message.len() {
            let _ = state(&message[..cut], TCP);
            let _ = read(&message[..cut], &mut |body: &[u8]| sockets.note(body));
        }
        message[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
        message[HEADER..HEADER + 4].copy_from_slice(&(-2_i32).to_ne_bytes());
        assert_eq!(read(&message, &mut |body: &[u8]| sockets.note(body)), Err(Errno::NOENT));
    }
}
