//! Socket state, what is remembered per socket: its claimants, whether it was closed, and what of it the table still holds.
//!
//! A socket with flows or parked bytes is kept; any other is forgotten a while after its latest claim. A seeded one is
//! kept until it is closed, because it can be idle for hours and no second seed will come. The sum is bounded.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::model::{Claim, Mono, ProcessId, SocketId, TcpHealth};

use super::claims::Claims;
use super::parking::ParkKey;

/// One socket.
#[derive(Debug, Default)]
pub(super) struct Socket {
    pub(super) claims: Claims,
    /// The last descriptor was closed: no claim will come.
    pub(super) closed: bool,
    /// When that was heard of.
    pub(super) closed_at: Option<Mono>,
    /// Parked bytes ran into their deadline once: nobody claims this socket, so later bytes need not wait.
    pub(super) expired: bool,
    /// Keys of parked bytes, and when they must settle.
    pub(super) parked: Vec<ParkKey>,
    pub(super) deadline: Mono,
    /// The latest sample of its connection.
    pub(super) tcp: Option<TcpHealth>,
    /// Flow rows held.
    flows: usize,
    touched: Mono,
}

impl Socket {
    fn in_use(&self) -> bool {
        self.flows != 0 || !self.parked.is_empty()
    }
}

/// All sockets remembered.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    map: HashMap<SocketId, Socket>,
    next_sweep: Mono,
    /// Processes that use some socket in turn with another. May hold some that no longer do, until the next sweep.
    sharers: BTreeSet<ProcessId>,
}

impl Sockets {
    /// Remembers a claim. A packet without a socket cannot be claimed.
    pub(super) fn note(&mut self, claim: &Claim, at: Mono) {
        if claim.socket == SocketId(0) {
            return;
        }
        let socket = self.map.entry(claim.socket).or_default();
        socket.claims.note(claim);
        socket.touched = at;
        self.sharers.extend(socket.claims.in_turn());
    }

    /// See [`super::FlowTable::sharers`].
    pub(super) fn sharers(&self) -> &BTreeSet<ProcessId> {
        &self.sharers
    }

    /// A process has ended. Only those that share a socket are looked for.
    pub(super) fn bury(&mut self, process: ProcessId) {
        if self.sharers.remove(&process) {
            for socket in self.map.values_mut() {
                socket.claims.bury(process);
            }
        }
    }

    pub(super) fn get(&self, id: SocketId) -> Option<&Socket> {
        self.map.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: SocketId) -> Option<&mut Socket> {
        self.map.get_mut(&id)
    }

    /// The socket, made if it is new.
    pub(super) fn touch(&mut self, id: SocketId, at: Mono) -> &mut Socket {
        let socket = self.map.entry(id).or_default();
        socket.touched = at;
        socket
    }

    /// Remembers a sample of a socket's connection. Of two in one batch the one that has moved on further is the later.
    pub(super) fn sample(&mut self, id: SocketId, tcp: TcpHealth) {
        let moved = |tcp: &TcpHealth| tcp.acked_bytes.saturating_add(tcp.received_bytes);
        if let Some(socket) = self.map.get_mut(&id)
            && socket.tcp.is_none_or(|before| moved(&before) <= moved(&tcp))
        {
            socket.tcp = Some(tcp);
        }
    }

    /// A flow row of the socket was made.
    pub(super) fn hold(&mut self, id: SocketId, at: Mono) {
        self.touch(id, at).flows += 1;
    }

    /// A flow row of the socket is gone.
    pub(super) fn release(&mut self, id: SocketId, at: Mono) {
        let socket = self.touch(id, at);
        socket.flows = socket.flows.saturating_sub(1);
    }

    /// Forgets what is neither held nor seeded nor fresh. Does something once per `after` only.
    pub(super) fn sweep(&mut self, now: Mono, after: Duration) {
        if now < self.next_sweep {
            return;
        }
        self.next_sweep = now.plus(after);
        self.map.retain(|_, socket| {
            socket.in_use()
                || now.since(socket.touched) < after * 2
                || (socket.claims.seeded() && !socket.closed)
        });
        if !self.sharers.is_empty() {
            self.sharers = self.map.values().flat_map(|socket| socket.claims.in_turn()).collect();
        }
        if self.map.capacity() > 4 * self.map.len() + 1024 {
            self.map.shrink_to(2 * self.map.len());
        }
    }

    /// Forgets those over `max` that hold nothing: seeded ones last, then the oldest first. Goes a little below, so that
    /// the next claims do not each pay for a pass.
    pub(super) fn bound(&mut self, max: usize) {
        if self.map.len() <= max {
            return;
        }
        let mut idle: Vec<_> = self
            .map
            .iter()
            .filter(|(_, socket)| !socket.in_use())
            .map(|(id, socket)| (socket.claims.seeded(), socket.touched, *id))
            .collect();
        idle.sort_unstable();
        for (_, _, id) in idle.iter().take(self.map.len() - max + max / 16) {
            self.map.remove(id);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }
}
