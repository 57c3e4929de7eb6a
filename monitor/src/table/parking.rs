//! Bytes that wait for their owner.
//!
//! Each parked entry keeps its own meter, which the pending rows contain as well; settling takes it out of them and
//! puts it where it belongs, once. Entries of one socket settle together; handshakes wait by tuple for the connection
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

/// What a handshake has in common with the connection that it becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tuple {
    netns: u64,
    protocol: Protocol,
    local: Endpoint,
    remote: Endpoint,
}

impl Tuple {
    /// `None` where the netns is unknown: the same addresses can exist in another one.
    pub(super) fn of(flow: &FlowId) -> Option<Self> {
        let FlowId { protocol, local, remote, netns, .. } = *flow;
        (netns != 0).then_some(Self { netns, protocol, local, remote })
    }
}

/// The packets of one handshake; several parts where they came in on several interfaces or listeners.
#[derive(Debug, Default)]
pub(super) struct Handshake {
    pub(super) parts: Vec<(ParkKey, Parked)>,
    /// A socket with this tuple whose own bytes are parked.
    pub(super) child: Option<SocketId>,
    deadline: Mono,
}

/// Everything that waits.
#[derive(Debug, Default)]
pub(super) struct Parking {
    entries: HashMap<ParkKey, Parked>,
    handshakes: HashMap<Tuple, Handshake>,
    parts: usize,
    /// Deadlines in order. What settled earlier leaves its deadline behind; it is recognised by not being the current.
    sockets_due: VecDeque<(Mono, SocketId)>,
    handshakes_due: VecDeque<(Mono, Tuple)>,
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

    /// The part of a handshake with this tuple and key, made if it is new.
    pub(super) fn handshake(&mut self, tuple: Tuple, key: ParkKey, deadline: Mono) -> &mut Parked {
        let due = &mut self.handshakes_due;
        let handshake = self.handshakes.entry(tuple).or_insert_with(|| {
            due.push_back((deadline, tuple));
            Handshake { deadline, ..Handshake::default() }
        });
        let at = handshake.parts.iter().position(|part| part.0 == key).unwrap_or(handshake.parts.len());
        if at == handshake.parts.len() {
            handshake.parts.push((key, Parked::default()));
            self.parts += 1;
        }
        &mut handshake.parts[at].1
    }

    /// Takes the handshake of the connection `flow` out, if one waits.
    pub(super) fn take_handshake(&mut self, flow: &FlowId) -> Option<Handshake> {
        if self.handshakes.is_empty() {
            return None;
        }
        self.take_tuple(&Tuple::of(flow)?)
    }

    /// Bytes of the connection `flow` are parked: its handshake waits with them.
    pub(super) fn expect_child(&mut self, flow: &FlowId) {
        if self.handshakes.is_empty() {
            return;
        }
        if let Some(handshake) = Tuple::of(flow).and_then(|tuple| self.handshakes.get_mut(&tuple)) {
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
        while let Some((deadline, tuple)) = self.handshakes_due.front().copied() {
            if now.is_some_and(|now| deadline > now) {
                return None;
            }
            self.handshakes_due.pop_front();
            let Some(handshake) = self.handshakes.get_mut(&tuple).filter(|h| h.deadline == deadline) else {
                continue;
            };
            let longer =
                handshake.child.and_then(&waiting).filter(|until| *until > deadline && now.is_some());
            let Some(until) = longer else { return self.take_tuple(&tuple) };
            handshake.deadline = until;
            let at = self.handshakes_due.partition_point(|(other, _)| *other <= until);
            self.handshakes_due.insert(at, (until, tuple));
        }
        None
    }

    fn take_tuple(&mut self, tuple: &Tuple) -> Option<Handshake> {
        let handshake = self.handshakes.remove(tuple)?;
        self.parts -= handshake.parts.len();
        Some(handshake)
    }
}
