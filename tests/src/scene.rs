//! What nearly every test begins with: a veth pair, a cgroup, and a helper at each end.

use crate::{
    agent::{Agent, Connection, Socket, connect, transfer},
    cgroup::Cgroup,
    netns::Netns,
    veth::{Pair, Version},
};
use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
};

/// A client at end `a`, a server at end `b`, both in one cgroup of their own. Fields drop in this order: the helpers
/// first, then what they live in.
#[derive(Debug)]
pub struct Scene {
    /// The helper at end `a`.
    pub client: Agent,
    /// The helper at end `b`.
    pub server: Agent,
    /// Their cgroup.
    pub cgroup: Cgroup,
    /// Their namespaces.
    pub pair: Pair,
}

impl Scene {
    /// On a new pair.
    pub fn new() -> Self {
        Self::on(Pair::new())
    }

    /// On this pair.
    pub fn on(pair: Pair) -> Self {
        let cgroup = Cgroup::new();
        let client = Agent::spawn(&cgroup, &pair.a.netns, "client");
        let server = Agent::spawn(&cgroup, &pair.b.netns, "server");
        Self { client, server, cgroup, pair }
    }

    /// Connects the client to a new listener of the server.
    pub fn connect(&mut self, version: Version) -> Connection {
        connect(&mut self.client, &mut self.server, self.pair.b.address(version, 0))
    }

    /// Sends from the client, until all is acknowledged.
    pub fn upload(&mut self, connection: Connection, bytes: u64) {
        let (client, server) = (&mut self.client, &mut self.server);
        transfer((client, connection.client), (server, connection.server), bytes);
    }

    /// Sends from the server, until all is acknowledged.
    pub fn download(&mut self, connection: Connection, bytes: u64) {
        let (client, server) = (&mut self.client, &mut self.server);
        transfer((server, connection.server), (client, connection.client), bytes);
    }

    /// Makes a UDP socket of the server; gives it and its address.
    pub fn datagram_server(&mut self, version: Version) -> (Socket, SocketAddr) {
        let socket = self.server.socket(&format!("datagram {}", self.pair.b.address(version, 0)));
        (socket, self.pair.b.address(version, socket.port))
    }
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}

/// Ends what another thread does, even when the test panics: a scope waits for it.
#[derive(Debug)]
pub struct StopOnDrop<'s>(pub &'s AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Two helpers on the loopback device of one namespace; fields drop in this order.
#[derive(Debug)]
pub struct Loopback {
    /// One helper.
    pub client: Agent,
    /// The other.
    pub server: Agent,
    /// Their cgroup.
    pub cgroup: Cgroup,
    /// Their namespace.
    pub netns: Netns,
}

impl Loopback {
    /// In a new namespace.
    pub fn new() -> Self {
        let (cgroup, netns) = (Cgroup::new(), Netns::new());
        let client = Agent::spawn(&cgroup, &netns, "client");
        let server = Agent::spawn(&cgroup, &netns, "server");
        Self { client, server, cgroup, netns }
    }
}

impl Default for Loopback {
    fn default() -> Self {
        Self::new()
    }
}
