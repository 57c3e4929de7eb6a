//! Parking: bytes that wait for their owner.
//!
//! Each parked entry keeps its own meter, which the pending rows contain as well; settling takes it out of them and
//! puts it where it belongs, once. Entries of one socket settle together; handshakes wait by peer for the connection
//! that they became. Nothing here decides anything.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use crate::model::{Endpoint, FlowId, Mono, ProcessId, Protocol, SocketId, Standing};

use super::meter::Meter;

/// What is judged as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ParkKey {
    pub(super) flow: FlowId,
    pub(super) standing: Standing,
    pub(super) owner: Option<ProcessId>,
}

/// Bytes that wait.
#[derive(Debug, Default)]
pub(super) struct Parked {
    pub(super) meter: Meter,
    pub(super) uid: Option<u32>,
}

/// What a handshake always has in common with the connection that it becomes. The local end is compared, too, but can
/// differ: behind NAT the answer to a SYN leaves with the address that the SYN was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Peer {
    netns: u64,
    protocol: Protocol,
    remote: Endpoint,
}

impl Peer {
    /// `None` where the netns is unknown: the same addresses can exist in another one.
    pub(super) fn of(flow: &FlowId) -> Option<Self> {
        let FlowId { protocol, remote, netns, .. } = *flow;
        (netns != 0).then_some(Self { netns, protocol, remote })
    }
}

/// The handshake packets of one peer; several parts where they came in on several interfaces or listeners, or left with
/// another local end than they came in for.
#[derive(Debug, Default)]
pub(super) struct Handshake {
    pub(super) parts: Vec<(ParkKey, Parked)>,
    /// A socket with this peer whose own bytes are parked.
    pub(super) child: Option<SocketId>,
    deadline: Mono,
}

impl Handshake {
    /// The listeners that took packets with the ends of `flow`.
    fn listeners(&self, flow: &FlowId) -> Vec<SocketId> {
        let own = self.parts.iter().filter(|(key, _)| key.flow.local == flow.local);
        own.map(|(key, _)| key.flow.socket).collect()
    }
}

/// Everything that waits.
#[derive(Debug, Default)]
pub(super) struct Parking {
    entries: HashMap<ParkKey, Parked>,
    handshakes: HashMap<Peer, Handshake>,
    parts: usize,
    /// Deadlines in order. What settled earlier leaves its deadline behind; it is recognised by not being the current.
    sockets_due: VecDeque<(Mono, SocketId)>,
    handshakes_due: VecDeque<(Mono, Peer)>,
}

impl Parking {
    /// Entries that wait.
    pub(super) fn len(&self) -> usize {
        self.entries.len() + self.parts
    }

    /// The entry of `key`, made if it is new; and whether it was.
    pub(super) fn entry(&mut self, key: ParkKey) -> (&mut Parked, bool) {
        match self.entries.entry(key) {
            Entry::Occupied(held) => (held.into_mut(), false),
            Entry::Vacant(room) => (room.insert(Parked::default()), true),
        }
    }

    /// Takes an entry out.
    pub(super) fn take(&mut self, key: &ParkKey) -> Option<Parked> {
        self.entries.remove(key)
    }

    /// The part of a handshake with this peer and key, made if it is new.
    pub(super) fn handshake(&mut self, peer: Peer, key: ParkKey, deadline: Mono) -> &mut Parked {
        let due = &mut self.handshakes_due;
        let handshake = self.handshakes.entry(peer).or_insert_with(|| {
            due.push_back((deadline, peer));
            Handshake { deadline, ..Handshake::default() }
        });
        let at = handshake.parts.iter().position(|part| part.0 == key).unwrap_or(handshake.parts.len());
        if at == handshake.parts.len() {
            handshake.parts.push((key, Parked::default()));
            self.parts += 1;
        }
        &mut handshake.parts[at].1
    }

    /// Takes the parts of the handshake of the connection `flow` out: those with its local end, and what the same
    /// listeners sent to the same peer from another, if no SYN ever came in for that one (NAT; else it would be another
    /// connection's).
    pub(super) fn take_handshake(&mut self, flow: &FlowId) -> Vec<(ParkKey, Parked)> {
        if self.handshakes.is_empty() {
            return Vec::new();
        }
        let Some(peer) = Peer::of(flow) else { return Vec::new() };
        let Some(handshake) = self.handshakes.get_mut(&peer) else { return Vec::new() };
        let listeners = handshake.listeners(flow);
        if listeners.is_empty() {
            return Vec::new();
        }
        let (taken, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut handshake.parts).into_iter().partition(|(key, parked)| {
                let answer = parked.meter.total.rx_skbs == 0 && listeners.contains(&key.flow.socket);
                key.flow.local == flow.local || answer
            });
        self.parts -= taken.len();
        if left.is_empty() {
            self.handshakes.remove(&peer);
        } else {
            handshake.parts = left;
            handshake.child = None;
        }
        taken
    }

    /// Bytes of the connection `flow` are parked: its handshake waits with them.
    pub(super) fn expect_child(&mut self, flow: &FlowId) {
        if self.handshakes.is_empty() {
            return;
        }
        let handshake = Peer::of(flow).and_then(|peer| self.handshakes.get_mut(&peer));
        if let Some(handshake) = handshake.filter(|handshake| !handshake.listeners(flow).is_empty()) {
            handshake.child = Some(flow.socket);
        }
    }

    /// Bytes of `socket` must settle at `deadline`.
    pub(super) fn schedule(&mut self, deadline: Mono, socket: SocketId) {
        self.sockets_due.push_back((deadline, socket));
    }

    /// The next socket whose deadline has come, or the next at all where `now` is `None`; with that deadline.
    pub(super) fn next_socket(&mut self, now: Option<Mono>) -> Option<(Mono, SocketId)> {
        let due =
            self.sockets_due.front().is_some_and(|(deadline, _)| now.is_none_or(|now| *deadline <= now));
        if due { self.sockets_due.pop_front() } else { None }
    }

    /// The next handshake whose deadline has come, or the next at all where `now` is `None`. One whose connection still
    /// waits is not due yet: `waiting` tells, by socket, until when.
    pub(super) fn next_handshake(
        &mut self,
        now: Option<Mono>,
        waiting: impl Fn(SocketId) -> Option<Mono>,
    ) -> Option<Handshake> {
        while let Some((deadline, peer)) = self.handshakes_due.front().copied() {
            if now.is_some_and(|now| deadline > now) {
                return None;
            }
            self.handshakes_due.pop_front();
            let Some(handshake) = self.handshakes.get_mut(&peer).filter(|h| h.deadline == deadline) else {
                continue;
            };
            let longer =
                handshake.child.and_then(&waiting).filter(|until| *until > deadline && now.is_some());
            let Some(until) = longer else { return self.take_all(&peer) };
            handshake.deadline = until;
            let at = self.handshakes_due.partition_point(|(other, _)| *other <= until);
            self.handshakes_due.insert(at, (until, peer));
        }
        None
    }

    fn take_all(&mut self, peer: &Peer) -> Option<Handshake> {
        let handshake = self.handshakes.remove(peer)?;
        self.parts -= handshake.parts.len();
        Some(handshake)
    }
}
