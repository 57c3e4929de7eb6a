//! Sockets of a network namespace: the cookies of all, by inode, or one by its cookie, which is the one that the kernel
//! programs see.

use crate::model::{HeldSocket, Protocol, SocketId, SocketState, TcpHealth, TcpState};
use crate::procfs::in_network_namespace;
use crate::sock_diag::{Listed, cookie, dump, half, list, list_with, open, word};
use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

/// In `struct inet_diag_msg`: `idiag_state`, `idiag_rqueue` and `idiag_wqueue`; the attributes follow.
const STATE: usize = 1;
const RECEIVE_QUEUE: usize = 56;
const SEND_QUEUE: usize = 60;
const ATTRIBUTES: usize = 72;
/// INET_DIAG_INFO, and the bit that asks for it: `struct tcp_info` of linux/tcp.h.
const INFO: u16 = 2;
const WITH_INFO: u8 = 1 << (INFO - 1);
const TCP: u8 = 6;

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
    in_network_namespace(path, here)
}

impl Sockets {
    /// Whether this socket is among them.
    pub(super) fn has(&self, cookie: u64) -> bool {
        self.orphans.contains(&cookie) || self.cookies.values().any(|known| *known == cookie)
    }
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
            dump(netlink, (family, wanted.protocol), WITH_INFO, |body| {
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

/// The sockets of the calling thread's namespace with one of these inodes. `None` where the kernel lists none at all.
pub(super) fn held(inodes: &HashSet<u64>) -> Option<Vec<HeldSocket>> {
    let mut sockets = Vec::new();
    let complete = list_with(WITH_INFO, |listed, body| {
        if inodes.contains(&listed.inode) {
            sockets.extend(held_socket(&listed, body));
        }
    });
    complete.filter(|complete| complete.usual || !sockets.is_empty())?;
    Some(sockets)
}

fn held_socket(listed: &Listed, body: &[u8]) -> Option<HeldSocket> {
    let Listed { protocol, local, remote, cookie, .. } = *listed;
    let is_connected = !remote.addr.is_unspecified() || remote.port.is_some_and(|port| port != 0);
    let protocol_number = if protocol == Protocol::TCP { TCP } else { 0 };
    let state = state(body, protocol_number)?;
    Some(HeldSocket {
        socket: SocketId(cookie),
        protocol,
        local,
        remote: is_connected.then_some(remote),
        state,
    })
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
    let mut sockets = Sockets::default();
    let complete = list(|listed| {
        if listed.inode == 0 {
            sockets.orphans.insert(listed.cookie);
        } else {
            sockets.cookies.insert(listed.inode, listed.cookie);
        }
    })?;
    sockets.raw = complete.raw;
    Some(sockets)
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
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
    fn the_state_of_a_socket_is_read_and_garbage_is_not() {
        let mut body = vec![0_u8; ATTRIBUTES];
        (body[STATE], body[RECEIVE_QUEUE], body[SEND_QUEUE]) = (1, 7, 9);
        let found = state(&body, TCP).unwrap();
        assert_eq!((found.state, found.receive_queue, found.send_queue), (TcpState::from_kernel(1), 7, 9));
        assert_eq!(state(&body, 17).map(|state| state.state), Some(None), "only TCP has states");
        // An attribute that says it is longer than what is there.
        body.extend([200, 0, 2, 0, 1, 2, 3, 4]);
        assert_eq!(state(&body, TCP), Some(found));
        for cut in 0..body.len() {
            let _ = state(&body[..cut], TCP);
        }
    }
}
