//! The sockets of one selected process, idle and listening ones too: which it holds from /proc, what they are from
//! sock_diag(7).
//!
//! Asked for while somebody looks at the process, once a snapshot: it costs a pass over its descriptors and over the sockets
//! of its network namespace. What it holds of other namespaces is not listed.

use super::sock_diag;
use crate::model::{HeldSocket, ProcessId, TcpState};
use crate::procfs;

const KERNEL: &str = "the kernel's own sockets are no process's";
const GONE: &str = "the process has ended";
const NOT_READABLE: &str = "its descriptors may not be read";
const NO_LIST: &str = "the kernel lists no sockets (its module for sock_diag is missing)";

/// The sockets that the process holds in its own network namespace, listening ones first; or why they are not known.
pub(super) fn ask(process: ProcessId) -> Result<Vec<HeldSocket>, &'static str> {
    if process == ProcessId::KERNEL {
        return Err(KERNEL);
    }
    if !procfs::lives(process) {
        return Err(GONE);
    }
    let inodes = procfs::socket_inodes(&procfs::directory(process.pid)).map_err(|_| NOT_READABLE)?.collect();
    let namespace = procfs::network_namespace(process.pid);
    let sockets = procfs::in_network_namespace(&namespace, || sock_diag::held(&inodes));
    // The pid may be another's by now, and so may what was read.
    if !procfs::lives(process) {
        return Err(GONE);
    }
    let mut sockets = sockets.ok_or(NO_LIST)?;
    let listens = |socket: &HeldSocket| socket.state.state == Some(TcpState::Listen);
    sockets.sort_by_key(|socket| {
        (!listens(socket), socket.protocol, socket.local, socket.remote, socket.socket)
    });
    Ok(sockets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Protocol, SocketId};
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsFd;

    const OWN: fn() -> ProcessId = || ProcessId { pid: std::process::id(), generation: 0 };

    fn cookie(socket: impl AsFd) -> SocketId {
        SocketId(rustix::net::sockopt::socket_cookie(socket).unwrap())
    }

    #[test]
    fn listening_idle_and_unconnected_sockets_are_listed_with_their_queues() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let idle = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let datagrams = UdpSocket::bind("[::1]:0").unwrap();
        let sockets = match ask(OWN()) {
            Ok(sockets) => sockets,
            // Not every kernel has the module; then it has to say so.
            Err(why) => return assert_eq!(why, NO_LIST),
        };
        let find = |cookie| sockets.iter().find(|socket| socket.socket == cookie);
        let found = find(cookie(&listener)).unwrap();
        assert_eq!((found.protocol, found.remote), (Protocol::TCP, None));
        assert_eq!((found.local.addr, found.local.port), {
            let local = listener.local_addr().unwrap();
            (local.ip(), Some(local.port()))
        });
        assert_eq!((found.state.state, found.state.receive_queue), (Some(TcpState::Listen), 1));
        let found = find(cookie(&idle)).unwrap();
        let remote = found.remote.unwrap();
        assert_eq!((remote.addr, remote.port), {
            let peer = idle.peer_addr().unwrap();
            (peer.ip(), Some(peer.port()))
        });
        assert_eq!(found.state.state, Some(TcpState::Established));
        assert!(found.state.tcp.is_some_and(|tcp| tcp.cwnd > 0));
        // UDP has a list of its own, which a kernel may lack.
        if let Some(found) = find(cookie(&datagrams)) {
            assert_eq!((found.protocol, found.remote, found.state.state), (Protocol::UDP, None, None));
            assert_eq!(found.local.port, Some(datagrams.local_addr().unwrap().port()));
        }
        let listening =
            sockets.iter().take_while(|socket| socket.state.state == Some(TcpState::Listen)).count();
        let all = sockets.iter().filter(|socket| socket.state.state == Some(TcpState::Listen)).count();
        assert_eq!(listening, all, "listening ones first");
    }

    #[test]
    fn another_process_of_the_same_pid_and_the_kernel_have_none() {
        assert_eq!(ask(ProcessId { generation: 1, ..OWN() }), Err(GONE));
        assert_eq!(ask(ProcessId { pid: u32::MAX, generation: 0 }), Err(GONE));
        assert_eq!(ask(ProcessId::KERNEL), Err(KERNEL));
    }
}
