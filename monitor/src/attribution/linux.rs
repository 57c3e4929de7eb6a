//! Sockets from the kernel's list, or from /proc/net where that is refused, and their holders from /proc, in every
//! network namespace that can be looked into.

use super::matching::{Held, Role, Sockets};
use super::procfs::{self, Holders, Line, PING, RAW, Table, USUAL};
use super::{Sample, Sampler};
use crate::model::{Degradation, Endpoint, Method, ProcessId, Protocol};
use crate::procfs::{in_network_namespace, network_namespace};
use crate::sock_diag::{self, Complete};
use std::collections::HashMap;
use std::fs;

/// `TCP_LISTEN` of include/net/tcp_states.h.
const LISTEN: u8 = 10;
/// Namespaces visited in one sample.
const MOST_NAMESPACES: usize = 256;

/// Sockets and their holders, sampled by sock_diag(7) and /proc.
#[derive(Debug)]
pub(super) struct Procfs;

impl Sampler for Procfs {
    fn sample(&mut self) -> Sample {
        let found = procfs::holders();
        let mut by_inode: HashMap<u64, Vec<ProcessId>> = HashMap::new();
        for holder in &found.processes {
            for inode in &holder.inodes {
                by_inode.entry(*inode).or_default().push(holder.seen.id);
            }
        }
        let mut lines = Vec::new();
        let complete = sock_diag::list(|listed| lines.push((line(listed), true))).unwrap_or_default();
        let method = if complete.usual { Method::SockDiag } else { Method::Procfs };
        lines.extend(files("thread-self", complete).map(|line| (line, true)));
        elsewhere(&found, &mut lines);
        let mut sockets = Sockets::of(method);
        for (line, here) in &lines {
            for holder in by_inode.get(&line.inode).map(Vec::as_slice).unwrap_or_default() {
                sockets.add(&held(line, *holder, *here));
            }
        }
        let refused = found.refused;
        for holder in found.processes {
            sockets.add_process(holder.seen);
        }
        let degraded = if refused == 0 { Vec::new() } else { vec![not_allowed(refused)] };
        Sample { sockets, degraded }
    }
}

fn not_allowed(refused: usize) -> Degradation {
    Degradation {
        what: format!("the sockets of {refused} processes are nobody's"),
        why: "this process may not see what they hold".to_owned(),
        fix: "run it as root, or give it cap_sys_ptrace and cap_dac_read_search".to_owned(),
    }
}

fn line(listed: sock_diag::Listed) -> Line {
    let sock_diag::Listed { protocol, local, remote, state, inode, .. } = listed;
    Line { protocol, local, remote, state, inode }
}

/// What the kernel's list does not have, from the files.
fn files(pid: &str, complete: Complete) -> impl Iterator<Item = Line> + use<> {
    let usual: &[Table] = if complete.usual { &[] } else { &USUAL };
    let raw: &[Table] = if complete.raw { &[] } else { &RAW };
    let tables = usual.iter().chain(raw).chain(&PING);
    let texts: Vec<_> = tables.map(|table| (procfs::net(pid, *table), table.protocol)).collect();
    texts.into_iter().flat_map(|(text, protocol)| procfs::lines(&text, protocol).collect::<Vec<_>>())
}

/// The sockets of other namespaces.
fn elsewhere(found: &Holders, lines: &mut Vec<(Line, bool)>) {
    let own = fs::read_link("/proc/thread-self/ns/net").ok();
    let others = found.namespaces.iter().filter(|(namespace, _)| Some(*namespace) != own.as_ref());
    for pid in others.map(|(_, pid)| *pid).take(MOST_NAMESPACES) {
        let listed = in_network_namespace(&network_namespace(pid), || {
            let mut listed = Vec::new();
            let complete = sock_diag::list(|socket| listed.push(line(socket)))?;
            Some((listed, complete))
        });
        let (listed, complete) = listed.unwrap_or_default();
        lines.extend(listed.into_iter().map(|line| (line, false)));
        lines.extend(files(&pid.to_string(), complete).map(|line| (line, false)));
    }
}

fn held(line: &Line, holder: ProcessId, here: bool) -> Held {
    let Line { protocol, local, remote, state, .. } = *line;
    let nobody = remote.addr.is_unspecified() && remote.port.unwrap_or(0) == 0;
    let role = match (protocol, nobody) {
        (Protocol::TCP, _) if state == LISTEN => Role::Listening,
        (_, false) => Role::Connected(remote),
        (_, true) => Role::Open,
    };
    let local = Endpoint { port: local.port.filter(|_| protocol.has_ports()), ..local };
    Held { protocol, local, role, holder, here }
}

#[cfg(test)]
mod tests {
    use super::super::matching::Match;
    use super::*;
    use crate::model::{FlowId, SocketId};
    use std::net::SocketAddr;

    fn flow(protocol: Protocol, local: SocketAddr, remote: SocketAddr) -> FlowId {
        let end = |addr: SocketAddr| Endpoint { addr: addr.ip(), port: Some(addr.port()) };
        let (local, remote) = (end(local), end(remote));
        FlowId { socket: SocketId(0), protocol, local, remote, netns: 0, ifindex: 1 }
    }

    #[test]
    fn our_own_sockets_are_ours() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let open = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        let sample = Procfs.sample();
        let ends = (client.local_addr().unwrap(), client.peer_addr().unwrap());
        let Match::One(process, method) = sample.sockets.owner(&flow(Protocol::TCP, ends.0, ends.1)) else {
            panic!("our connection has no owner")
        };
        assert_eq!(process.pid, std::process::id());
        assert!(matches!(method, Method::SockDiag | Method::Procfs));
        let seen = sample.sockets.process(process).unwrap();
        assert!(!seen.comm.is_empty() && seen.start.is_some(), "{seen:?}");
        let stranger: SocketAddr = "192.0.2.9:1".parse().unwrap();
        let at = SocketAddr::new("127.0.0.1".parse().unwrap(), open.local_addr().unwrap().port());
        let found = sample.sockets.owner(&flow(Protocol::UDP, at, stranger));
        assert_eq!(found, Match::One(process, method));
        let found = sample.sockets.owner(&flow(Protocol::TCP, listener.local_addr().unwrap(), stranger));
        assert_eq!(found, Match::Listener(process));
        assert_eq!(sample.sockets.owner(&flow(Protocol::TCP, at, stranger)), Match::Nobody, "UDP is not TCP");
    }

    #[test]
    fn the_files_say_the_same_as_the_list() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let found = files("thread-self", Complete::default()).find(|line| {
            line.protocol == Protocol::TCP && line.local.port == Some(port) && line.state == LISTEN
        });
        assert!(found.is_some_and(|line| line.inode != 0), "{found:?}");
    }
}
