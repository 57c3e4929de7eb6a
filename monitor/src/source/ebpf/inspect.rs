//! What the kernel says of one socket when asked (sock_diag(7)): its queues and, of TCP, how it fares, also while no
//! packet moves.
//!
//! For one selected flow, a few times a second at most: it enters the flow's network namespace on a thread of its own.

use super::seed_procfs;
use super::sock_diag::{self, Answer, Wanted};
use crate::model::{FlowId, Protocol, SocketState};
use crate::procfs::netns_cookie;
use std::collections::HashMap;
use std::path::PathBuf;

/// The kernel's lists are per protocol.
const NO_LIST: &str = "the kernel lists no sockets of this kind (its module for sock_diag is missing)";
const NO_NAMESPACE: &str = "no process lives in its network namespace any more";
const GONE: &str = "the socket is closed";
const NO_SOCKET: &str = "the flow has no socket";

/// Finds sockets. Remembers where their namespaces are.
#[derive(Debug, Default)]
pub(super) struct Inspector {
    /// By netns cookie: a path to it that was right once.
    namespaces: HashMap<u64, PathBuf>,
}

impl Inspector {
    /// What the kernel says of the flow's socket, or why nothing.
    pub(super) fn ask(&mut self, flow: &FlowId) -> Result<SocketState, &'static str> {
        let wanted = wanted(flow).ok_or(NO_SOCKET)?;
        let answer = match flow.netns {
            // Kernels that do not tell are asked about the own one.
            0 => Some(sock_diag::find(&wanted)),
            netns if netns == netns_cookie() => Some(sock_diag::find(&wanted)),
            netns => self.elsewhere(netns, &wanted),
        };
        match answer.ok_or(NO_NAMESPACE)? {
            Answer::Found(state) => Ok(state),
            Answer::Gone => Err(GONE),
            Answer::NoList => Err(NO_LIST),
        }
    }

    fn elsewhere(&mut self, netns: u64, wanted: &Wanted) -> Option<Answer> {
        let visit = |path: &PathBuf| {
            crate::procfs::in_network_namespace(path, || {
                (netns_cookie() == netns).then(|| sock_diag::find(wanted))
            })
        };
        if let Some(answer) = self.namespaces.get(&netns).and_then(visit) {
            return Some(answer);
        }
        let (path, answer) = seed_procfs::namespaces()
            .into_iter()
            .find_map(|path| visit(&path).map(|answer| (path, answer)))?;
        self.namespaces.insert(netns, path);
        Some(answer)
    }
}

fn wanted(flow: &FlowId) -> Option<Wanted> {
    let Protocol::Ip(protocol) = flow.protocol else { return None };
    (flow.socket.0 != 0).then_some(Wanted { protocol, cookie: flow.socket.0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Endpoint, SocketId, TcpState};
    use std::io::{Read, Write};
    use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsFd;

    fn flow(protocol: Protocol, socket: impl AsFd) -> FlowId {
        let end = Endpoint { addr: IpAddr::V4(Ipv4Addr::LOCALHOST), port: None };
        FlowId {
            socket: SocketId(rustix::net::sockopt::socket_cookie(socket).unwrap()),
            protocol,
            local: end,
            remote: end,
            netns: netns_cookie(),
            ifindex: 1,
        }
    }

    /// `None` where this kernel has no such list, which it then has to say.
    fn ask(flow: &FlowId) -> Option<SocketState> {
        match Inspector::default().ask(flow) {
            Ok(state) => Some(state),
            Err(why) => {
                assert_eq!(why, NO_LIST);
                None
            }
        }
    }

    #[test]
    fn a_listener_tells_who_waits() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _waiting = [(); 3].map(|()| TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let Some(state) = ask(&flow(Protocol::TCP, &listener)) else { return };
        assert_eq!((state.state, state.receive_queue), (Some(TcpState::Listen), 3));
        assert!(state.send_queue >= 3, "room for that many: {}", state.send_queue);
    }

    #[test]
    fn an_idle_connection_tells_what_waits_in_it_and_how_it_fares() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(&[1; 1000]).unwrap();
        server.read_exact(&mut [0; 400]).unwrap();
        let Some(state) = ask(&flow(Protocol::TCP, &server)) else { return };
        assert_eq!((state.state, state.receive_queue), (Some(TcpState::Established), 600));
        let health = ask(&flow(Protocol::TCP, &client)).unwrap().tcp.unwrap();
        assert!(!health.srtt.is_zero() && health.cwnd > 0, "{health:?}");
        assert_eq!((health.retransmits, health.received_bytes), (0, 0));
        assert_eq!(state.tcp.unwrap().received_bytes, 1000);
    }

    #[test]
    fn a_datagram_socket_has_queues_and_no_connection() {
        let (from, to) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        from.send_to(&[0; 100], to.local_addr().unwrap()).unwrap();
        let Some(state) = ask(&flow(Protocol::UDP, &to)) else { return };
        assert!(state.receive_queue >= 100, "{state:?}");
        assert_eq!((state.state, state.tcp), (None, None));
    }

    #[test]
    fn a_socket_that_is_gone_says_so() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let flow = flow(Protocol::TCP, &listener);
        drop(listener);
        let why = Inspector::default().ask(&flow).unwrap_err();
        assert!([GONE, NO_LIST].contains(&why), "{why}");
        assert_eq!(Inspector::default().ask(&FlowId { socket: SocketId(0), ..flow }), Err(NO_SOCKET));
        let nowhere = FlowId { netns: u64::MAX, ..flow };
        assert_eq!(Inspector::default().ask(&nowhere), Err(NO_NAMESPACE));
    }
}
