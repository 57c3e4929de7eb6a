//! The kernel's own list of the sockets of a network namespace (sock_diag(7)), with owners, ends and cookies.
//!
//! A leaf: it knows nothing of the crate but the words for ends. The sources that count in the kernel and the
//! attribution of captured packets both read it.

use crate::model::{Endpoint, Protocol};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, OwnedFd};

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
/// In `struct inet_diag_msg`: `idiag_state`, and what is in `id`: ports, addresses and cookie; uid and inode.
const STATE: usize = 1;
const SOURCE_PORT: usize = 4;
const DESTINATION_PORT: usize = 6;
const SOURCE: usize = 8;
const DESTINATION: usize = 24;
const COOKIE: usize = 44;
const UID: usize = 64;
const INODE: usize = 68;

const INET6: u8 = 10;
const RAW: u8 = 255;
/// TCP, UDP, UDP-Lite and raw sockets, of both families; raw last.
const WHAT: [(u8, u8); 8] =
    [(2, 6), (INET6, 6), (2, 17), (INET6, 17), (2, 136), (INET6, 136), (2, RAW), (INET6, RAW)];

/// One socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// What it speaks; of a raw socket the protocol that it is for.
    pub protocol: Protocol,
    /// State, as include/net/tcp_states.h numbers them.
    pub state: u8,
    /// Its own end; unspecified where it takes any.
    pub local: Endpoint,
    /// The other end; unspecified and port 0 where it has none.
    pub remote: Endpoint,
    /// Its cookie.
    pub cookie: u64,
    /// Who made it.
    pub uid: u32,
    /// Its inode; 0 where no process holds it any more.
    pub inode: u64,
}

/// What was listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Complete {
    /// TCP and UDP sockets.
    pub usual: bool,
    /// Raw sockets; a kernel without raw_diag does not list those.
    pub raw: bool,
}

/// Hands over every socket of the calling thread's namespace. `None` where the kernel does not list any.
pub(crate) fn list(mut each: impl FnMut(Listed)) -> Option<Complete> {
    list_with(0, |listed, _| each(listed))
}

/// The same, each with the message that it was read from: `extensions` are the attributes that are asked for, a bit each.
pub(crate) fn list_with(extensions: u8, mut each: impl FnMut(Listed, &[u8])) -> Option<Complete> {
    let netlink = open().ok()?;
    let mut complete = Complete { usual: true, raw: true };
    for (family, protocol) in WHAT {
        let listed = dump(&netlink, (family, protocol), extensions, |body| {
            if let Some(listed) = listed(body, protocol) {
                each(listed, body);
            }
        });
        match (listed, protocol) {
            (Ok(()), _) => {}
            (Err(_), RAW) => complete.raw = false,
            // Each protocol is a kernel module of its own and may be missing.
            (Err(error), _) => {
                log::info!("sock_diag: family {family}, protocol {protocol}: {error}");
                complete.usual &= !matches!(protocol, 6 | 17);
            }
        }
    }
    Some(complete)
}

/// A socket to ask with.
///
/// # Errors
/// Where the kernel has none to give.
pub(crate) fn open() -> rustix::io::Result<OwnedFd> {
    let (flags, protocol) = (SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG));
    socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, protocol)
}

/// Hands over a `struct inet_diag_msg` and its attributes for every socket of an address family and protocol (255 is raw
/// sockets) in the calling thread's namespace. `extensions` are the attributes that are asked for, a bit each.
///
/// # Errors
/// Where the kernel lists no such sockets.
pub(crate) fn dump(
    netlink: impl AsFd,
    (family, protocol): (u8, u8),
    extensions: u8,
    mut each: impl FnMut(&[u8]),
) -> rustix::io::Result<()> {
    send(&netlink, &request(family, protocol, extensions), SendFlags::empty())?;
    let mut buffer = vec![0_u8; 65_536];
    loop {
        let (length, _) = recv(&netlink, &mut buffer[..], RecvFlags::empty())?;
        if length == 0 || read(&buffer[..length], &mut each)? {
            return Ok(());
        }
    }
}

fn request(family: u8, protocol: u8, extensions: u8) -> [u8; HEADER + REQUEST] {
    let mut message = [0_u8; HEADER + REQUEST];
    message[..4].copy_from_slice(&LENGTH.to_ne_bytes());
    message[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message[6..8].copy_from_slice(&DUMP.to_ne_bytes());
    message[HEADER] = family;
    message[HEADER + 1] = protocol;
    message[HEADER + 2] = extensions;
    // Every state.
    message[HEADER + 4..HEADER + 8].copy_from_slice(&u32::MAX.to_ne_bytes());
    message
}

/// Reads one datagram of answers. True after the last.
fn read(mut bytes: &[u8], each: &mut impl FnMut(&[u8])) -> rustix::io::Result<bool> {
    while let (Some(length), Some(kind)) = (word(bytes, 0), half(bytes, 4)) {
        let length = length as usize;
        let Some(body) = bytes.get(HEADER..length) else { break };
        match kind {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => {
                let code = word(body, 0).map_or(0, u32::cast_signed);
                return if code == 0 { Ok(true) } else { Err(Errno::from_raw_os_error(-code)) };
            }
            _ => each(body),
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// `struct inet_diag_msg`.
fn listed(body: &[u8], protocol: u8) -> Option<Listed> {
    let family = *body.first()?;
    let port = |at: usize| Some(u16::from_be_bytes(body.get(at..at + 2)?.try_into().ok()?));
    let addr = |at: usize| {
        let bytes: [u8; 16] = body.get(at..at + 16)?.try_into().ok()?;
        let [a, b, c, d, ..] = bytes;
        Some(if family == INET6 {
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        } else {
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        })
    };
    let number = port(SOURCE_PORT)?;
    // The port of a raw socket is the protocol that it is for.
    let raw = protocol == RAW;
    let protocol = if raw { Protocol::Ip(number.to_be_bytes()[1]) } else { Protocol::Ip(protocol) };
    let end = |addr: IpAddr, port: u16| Endpoint { addr, port: (!raw).then_some(port) };
    Some(Listed {
        protocol,
        state: *body.get(STATE)?,
        local: end(addr(SOURCE)?, number),
        remote: end(addr(DESTINATION)?, port(DESTINATION_PORT)?),
        cookie: cookie(body)?,
        uid: word(body, UID)?,
        inode: word(body, INODE)?.into(),
    })
}

/// The cookie in a `struct inet_diag_msg`.
pub(crate) fn cookie(body: &[u8]) -> Option<u64> {
    Some(u64::from(word(body, COOKIE)?) | u64::from(word(body, COOKIE + 4)?) << 32)
}

/// Four bytes at an offset, in the kernel's order.
pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Two bytes at an offset, in the kernel's order.
pub(crate) fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_garbage_ends_the_reading() {
        let mut message = vec![0_u8; HEADER + 72];
        let length = u32::try_from(message.len()).unwrap();
        message[..4].copy_from_slice(&length.to_ne_bytes());
        message[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        (message[HEADER], message[HEADER + STATE]) = (2, 1);
        message[HEADER + SOURCE_PORT..][..4].copy_from_slice(&[0x13, 0x88, 0, 53]);
        message[HEADER + SOURCE..][..4].copy_from_slice(&[10, 0, 0, 1]);
        message[HEADER + DESTINATION..][..4].copy_from_slice(&[10, 0, 0, 2]);
        message[HEADER + COOKIE] = 7;
        message[HEADER + COOKIE + 4] = 1;
        message[HEADER + INODE] = 42;
        let mut found = Vec::new();
        assert_eq!(read(&message, &mut |body: &[u8]| found.extend(listed(body, 17))), Ok(false));
        let [one] = found[..] else { panic!("{found:?}") };
        assert_eq!(
            (one.local.to_string(), one.remote.to_string()),
            ("10.0.0.1:5000".into(), "10.0.0.2:53".into())
        );
        assert_eq!((one.cookie, one.inode, one.state), (7 | 1 << 32, 42, 1));
        for cut in 0..message.len() {
            let _ = read(&message[..cut], &mut |body: &[u8]| {
                let _ = listed(body, 17);
            });
        }
        message[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
        message[HEADER..HEADER + 4].copy_from_slice(&(-2_i32).to_ne_bytes());
        assert_eq!(read(&message, &mut |_: &[u8]| {}), Err(Errno::NOENT));
    }

    #[test]
    fn ends_of_our_own_sockets() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (local, remote) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
        let end = |addr: std::net::SocketAddr| Endpoint { addr: addr.ip(), port: Some(addr.port()) };
        let mut found = Vec::new();
        let complete = list(|listed| found.push(listed)).unwrap();
        let there = found.iter().any(|listed| listed.local == end(local) && listed.remote == end(remote));
        // Not every kernel has the module; then nothing is listed at all.
        assert!(there || !complete.usual, "{found:?}");
    }
}
