//! Matching flows to processes, by a sample of sockets: pure.
//!
//! By all of protocol, both addresses and both ports; else, where a socket takes from anybody, by its own address and
//! port; else by its port with any address. A port alone is never enough where the address does not fit. Sockets of other
//! network namespaces are found by all of it only: their addresses can be anybody's.

use crate::model::{Endpoint, FlowId, Method, ProcessId, ProcessSeen, Protocol};
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};

/// What a socket does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It talks to one other end.
    Connected(Endpoint),
    /// It takes from anybody.
    Open,
    /// It accepts connections.
    Listening,
}

/// A socket and one process that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) protocol: Protocol,
    pub(super) local: Endpoint,
    pub(super) role: Role,
    pub(super) holder: ProcessId,
    /// It is in the network namespace of the packets.
    pub(super) here: bool,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// One process holds the socket.
    One(ProcessId, Method),
    /// Several hold it, or it can be one of several.
    Several(Vec<(ProcessId, Method)>),
    /// One process holds the listener that it can have come from.
    Listener(ProcessId),
    /// Several do.
    Listeners(Vec<ProcessId>),
    /// No socket fits.
    Nobody,
}

/// The holders of sockets that are the same to the outside.
#[derive(Clone, Debug, Default)]
struct Holders {
    /// Once each.
    processes: Vec<ProcessId>,
    listening: bool,
}

/// A sample of all sockets, by what a packet can say of them.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    method: Option<Method>,
    connected: HashMap<(Protocol, Endpoint, Endpoint), Holders>,
    /// The same in other namespaces.
    elsewhere: HashMap<(Protocol, Endpoint, Endpoint), Holders>,
    bound: HashMap<(Protocol, Endpoint), Holders>,
    processes: BTreeMap<ProcessId, ProcessSeen>,
}

impl Sockets {
    /// Sockets that were found in this way.
    pub(super) fn of(method: Method) -> Self {
        Self { method: Some(method), ..Self::default() }
    }

    /// How they were found; `None` before the first sample.
    pub(super) fn method(&self) -> Option<Method> {
        self.method
    }

    /// What is known of a holder.
    pub(super) fn process(&self, process: ProcessId) -> Option<&ProcessSeen> {
        self.processes.get(&process)
    }

    /// Adds a holder.
    pub(super) fn add_process(&mut self, seen: ProcessSeen) {
        self.processes.insert(seen.id, seen);
    }

    /// How many processes hold something.
    #[cfg(test)]
    pub(super) fn processes(&self) -> impl Iterator<Item = &ProcessSeen> {
        self.processes.values()
    }

    /// Adds a socket.
    pub(super) fn add(&mut self, held: &Held) {
        let Held { protocol, local, role, holder, here } = *held;
        let local = plain(local);
        let holders = match (role, here) {
            (Role::Connected(remote), true) => {
                self.connected.entry((protocol, local, plain(remote))).or_default()
            }
            (Role::Connected(remote), false) => {
                self.elsewhere.entry((protocol, local, plain(remote))).or_default()
            }
            (Role::Open | Role::Listening, true) => self.bound.entry((protocol, local)).or_default(),
            (Role::Open | Role::Listening, false) => return,
        };
        holders.listening |= role == Role::Listening;
        if !holders.processes.contains(&holder) {
            holders.processes.push(holder);
        }
    }

    /// Whose a flow is.
    pub(super) fn owner(&self, flow: &FlowId) -> Match {
        let (protocol, local, remote) = (flow.protocol, plain(flow.local), plain(flow.remote));
        let exact = (protocol, local, remote);
        if let Some(holders) = self.connected.get(&exact).or_else(|| self.elsewhere.get(&exact)) {
            return self.answer(holders, protocol);
        }
        // IPv6 sockets take IPv4, too.
        let any = [IpAddr::from([0, 0, 0, 0]), IpAddr::from(Ipv6Addr::UNSPECIFIED)];
        let wildcards = if local.addr.is_ipv4() { &any[..] } else { &any[1..] };
        if let Some(holders) = self.bound.get(&(protocol, local)) {
            return self.answer(holders, protocol);
        }
        let mut all = Holders::default();
        for addr in wildcards {
            if let Some(holders) = self.bound.get(&(protocol, Endpoint { addr: *addr, ..local })) {
                all.listening |= holders.listening;
                for process in &holders.processes {
                    if !all.processes.contains(process) {
                        all.processes.push(*process);
                    }
                }
            }
        }
        self.answer(&all, protocol)
    }

    fn answer(&self, holders: &Holders, protocol: Protocol) -> Match {
        let method = self.method.unwrap_or_default();
        let with = |processes: &[ProcessId]| processes.iter().map(|process| (*process, method)).collect();
        match (&holders.processes[..], holders.listening) {
            ([], _) => Match::Nobody,
            ([process], true) => Match::Listener(*process),
            (several, true) => Match::Listeners(several.to_vec()),
            // Of a protocol without ports the kernel takes part, too: it answers pings.
            (several, false) if !protocol.has_ports() => Match::Several(with(several)),
            ([process], false) => Match::One(*process, method),
            (several, false) => Match::Several(with(several)),
        }
    }
}

/// An end as packets have it: IPv4 in its own form, and no scope in a link-local address, where BSD keeps the number of
/// the interface in the second group.
fn plain(end: Endpoint) -> Endpoint {
    let addr = match end.addr.to_canonical() {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            let mut groups = v6.segments();
            groups[1] = 0;
            IpAddr::V6(groups.into())
        }
        other => other,
    };
    Endpoint { addr, ..end }
}
