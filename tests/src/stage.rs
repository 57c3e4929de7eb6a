//! What the attribution tests begin with and end with: two actors at the ends of a pair, and the question who is said
//! to have moved the bytes of a socket.

use crate::{
    agent::{Agent, Socket},
    cgroup::Cgroup,
    counters::Counters,
    json::{Object, counters, field, number, plus, sum},
    veth::{Pair, Version},
};
use serde_json::Value;
use std::{collections::BTreeMap, net::SocketAddr};

/// AF_INET.
pub const INET: u16 = 2;
/// AF_INET6.
pub const INET6: u16 = 10;
/// IPPROTO_MPTCP.
pub const MPTCP: u16 = 262;

/// A client at end `a`, a server at end `b`, both actors, both in one cgroup of their own.
#[derive(Debug)]
pub struct Stage {
    /// The actor at end `a`.
    pub client: Agent,
    /// The actor at end `b`.
    pub server: Agent,
    /// Their cgroup.
    pub cgroup: Cgroup,
    /// Their namespaces.
    pub pair: Pair,
}

impl Stage {
    /// On a new pair.
    pub fn new() -> Self {
        Self::on(Pair::new())
    }

    /// On this pair.
    pub fn on(pair: Pair) -> Self {
        let cgroup = Cgroup::new();
        let client = Agent::actor(&cgroup, &pair.a.netns, "client");
        let server = Agent::actor(&cgroup, &pair.b.netns, "server");
        Self { client, server, cgroup, pair }
    }

    /// A listener of the server; gives it and its address.
    pub fn listener(&mut self, version: Version) -> (Socket, SocketAddr) {
        listener(&mut self.server, self.pair.b.address(version, 0), 0)
    }

    /// A bound UDP socket of the server; gives it and its address.
    pub fn sink(&mut self, version: Version) -> (Socket, SocketAddr) {
        datagrams_at(&mut self.server, self.pair.b.address(version, 0))
    }
}

impl Default for Stage {
    fn default() -> Self {
        Self::new()
    }
}

fn family(address: SocketAddr) -> u16 {
    if address.is_ipv4() { INET } else { INET6 }
}

/// A TCP socket of an actor; `protocol` is 0, or another than TCP.
pub fn stream(actor: &mut Agent, address: SocketAddr, protocol: u16) -> Socket {
    actor.socket(&format!("socket {} 1 {protocol}", family(address)))
}

/// A listener of an actor, and its address.
pub fn listener(actor: &mut Agent, address: SocketAddr, protocol: u16) -> (Socket, SocketAddr) {
    let socket = stream(actor, address, protocol);
    let socket = actor.socket(&format!("bind {} {address}", socket.id));
    actor.ask(&format!("listen {}", socket.id));
    (socket, SocketAddr::new(address.ip(), socket.port))
}

/// A new connection of an actor to a listener; nobody needs to accept it yet.
pub fn connected(actor: &mut Agent, to: SocketAddr, protocol: u16) -> Socket {
    let socket = stream(actor, to, protocol);
    actor.socket(&format!("connect {} {to}", socket.id))
}

/// A bound UDP socket of an actor, and its address.
pub fn datagrams_at(actor: &mut Agent, address: SocketAddr) -> (Socket, SocketAddr) {
    let socket = actor.socket(&format!("socket {} 2 0", family(address)));
    let socket = actor.socket(&format!("bind {} {address}", socket.id));
    (socket, SocketAddr::new(address.ip(), socket.port))
}

/// A child of an actor: how to address it in steps, and its pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child {
    /// Its number.
    pub id: u64,
    /// Its pid, as the actor sees it.
    pub pid: u32,
}

/// Forks an actor.
///
/// # Panics
/// When it has no pid.
pub fn fork(actor: &mut Agent, name: &str) -> Child {
    let answer = actor.ask(&format!("fork {name}"));
    let pid = u32::try_from(number(&answer, "pid")).expect("a pid");
    Child { id: number(&answer, "id"), pid }
}

/// What each owner is said to have moved: by pid (`None` for no process) and confidence.
pub type Owners = BTreeMap<(Option<u32>, String), Counters>;

/// The owners of some rows.
///
/// # Panics
/// When a pid is none.
pub fn owners<'v>(rows: impl IntoIterator<Item = &'v Value>) -> Owners {
    let mut owners = Owners::new();
    for row in rows {
        let pid = field(row, "pid").as_u64().map(|pid| u32::try_from(pid).expect("a pid"));
        let held = owners.entry((pid, confidence(row).to_owned())).or_default();
        *held = plus(*held, counters(row));
    }
    owners
}

/// The rows of a socket.
pub fn rows_of(object: &Object, socket: Socket) -> Vec<&Value> {
    object.flows().iter().filter(|row| field(row, "socket").as_u64() == Some(socket.cookie)).collect()
}

/// What a row's owner is worth.
///
/// # Panics
/// When it does not say.
pub fn confidence(row: &Value) -> &str {
    field(field(row, "attribution"), "confidence").as_str().expect("text")
}

/// Checks that all of a socket's bytes are this process's, for certain; gives them.
///
/// # Panics
/// When they are not.
pub fn only(object: &Object, socket: Socket, pid: u32) -> Counters {
    let rows = rows_of(object, socket);
    let all = sum(rows.iter().copied());
    let expected = Owners::from([((Some(pid), "exact".to_owned()), all)]);
    assert_eq!(owners(rows), expected, "of socket {socket:?}: {:#}", object.0);
    all
}

/// Checks that all that an interface carried is these processes', for certain.
///
/// # Panics
/// When another has a byte.
pub fn nobody_else(object: &Object, interface: &str, pids: &[u32]) {
    for row in object.flows_on(interface) {
        let pid = field(row, "pid").as_u64().and_then(|pid| u32::try_from(pid).ok());
        let expected = pid.is_some_and(|pid| pids.contains(&pid)) && confidence(row) == "exact";
        assert!(expected, "not of {pids:?}: {row}");
    }
}

/// The names under which a pid is listed.
pub fn names(object: &Object, pid: u32) -> Vec<&str> {
    let rows = object.processes().iter().filter(|row| field(row, "pid").as_u64() == Some(u64::from(pid)));
    rows.filter_map(|row| field(row, "process").as_str()).collect()
}
