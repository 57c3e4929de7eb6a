//! The flow table: batches in, snapshots out.
//!
//! It decides whose every byte is, keeps it in one flow row and one process row, moves what had to wait to its owner
//! once, and averages over 2, 10 and 40 s. It does no I/O, reads no clock, takes no lock and cannot fail. It does not
//! look at ports, names or parents to find an owner, it resolves nothing, and it sorts, filters and groups nothing.
//!
//! What holds at any time:
//! 1. the process rows, with those of no process, add up to the totals, which are the sum of all that came in;
//! 2. so do the parts of the ledger;
//! 3. no process row but the pending one ever falls;
//! 4. memory is bounded by [`TableConfig`], and a row that is let go leaves its bytes where they were counted.

mod claims;
mod flows;
mod interfaces;
mod meter;
mod ordered;
mod parking;
mod processes;
mod sockets;
#[cfg(test)]
mod tests;
mod window;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::model::{
    Attribution, Batch, Claim, Counters, Delta, FlowId, Health, Identity, Ledger, Method, Mono, OwnCost,
    ProcessId, Protocol, SETTLE_AFTER, Snapshot, SocketId, Standing, TotalsRow, Unplaced, Wall,
};

use claims::{Claims, Verdict, judge};
use flows::{FlowKey, Flows, Labels};
use interfaces::Interfaces;
use meter::{Amount, Clock, Meter};
use parking::{Handshake, ParkKey, Parked, Parking, Peer};
use processes::{Processes, Slot};
use sockets::Sockets;
use window::Ticks;

/// How long the table waits and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TableConfig {
    /// How long bytes wait for their owner, at most.
    pub settle_after: Duration,
    /// How long a flow without traffic is held.
    pub retire_after: Duration,
    /// Flows beyond that which are held all the same, those with the latest traffic, at most.
    pub keep_ended: usize,
    /// Flow rows held, at most. At most half as many entries wait for their owner; beyond that the oldest settle early.
    pub max_flows: usize,
    /// Process rows kept, at most, as long as so many hold no flow.
    pub max_processes: usize,
    /// Of them such that have ended and hold no flow, at most.
    pub max_exited: usize,
    /// Names kept of processes that have moved no byte, at most.
    pub max_names: usize,
    /// Sockets remembered, at most, beyond those with flows.
    pub max_sockets: usize,
}

impl Default for TableConfig {
    fn default() -> Self {
        Self::bounded(65_536)
    }
}

impl TableConfig {
    /// Of so many flows and so many processes, a 32nd of these such that have ended and hold no flow.
    pub(crate) fn bounded(rows: usize) -> Self {
        Self {
            settle_after: SETTLE_AFTER,
            // What has ended is to be found for a minute, with its process.
            retire_after: Duration::from_mins(1),
            keep_ended: 0,
            max_flows: rows,
            max_processes: rows,
            max_exited: rows / 32,
            max_names: rows / 4,
            max_sockets: rows.saturating_mul(4),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct FlowTable {
    config: TableConfig,
    start: Mono,
    /// When the running interval began.
    cut_at: Mono,
    clock: Clock,
    ticks: Ticks,
    totals: Meter,
    overflow: Counters,
    /// What packet sockets sent.
    injected: Counters,
    flows: Flows,
    processes: Processes,
    sockets: Sockets,
    parking: Parking,
    carried: Interfaces,
    /// An interface was named or renamed since the last snapshot.
    relabel: bool,
    /// Sockets that were closed since the last snapshot.
    closing: HashSet<SocketId>,
    health: Arc<Health>,
    no_claims: Claims,
    no_name: Arc<str>,
    no_identity: Arc<Identity>,
}

impl FlowTable {
    /// An empty table; counting begins at `start`.
    pub(crate) fn new(config: TableConfig, start: Mono) -> Self {
        Self {
            config,
            start,
            cut_at: start,
            clock: Clock { at: start, ..Clock::default() },
            ticks: Ticks::default(),
            totals: Meter::default(),
            overflow: Counters::default(),
            flows: Flows::new(config.retire_after, config.keep_ended),
            injected: Counters::default(),
            processes: Processes::default(),
            sockets: Sockets::default(),
            parking: Parking::default(),
            carried: Interfaces::default(),
            relabel: false,
            closing: HashSet::new(),
            health: Arc::default(),
            no_claims: Claims::default(),
            no_name: Arc::default(),
            no_identity: Arc::default(),
        }
    }

    /// Takes in what a source saw. The order matters:
    /// 1. names and claims, which are complete for the bytes of the same batch;
    /// 2. handshakes before the bytes of the connections that they became;
    /// 3. parked bytes for which this batch brought a claim, then those of closed sockets;
    /// 4. the bounds.
    pub(crate) fn ingest(&mut self, batch: &Batch) {
        self.begin(batch);
        for seen in &batch.processes {
            self.processes.note(seen, self.config.max_names);
        }
        for seen in &batch.interfaces {
            self.relabel |= self.carried.name_one(seen, || self.flows.interfaces());
        }
        self.carried.note(batch);
        for claim in &batch.claims {
            self.sockets.note(claim, batch.to);
        }
        for process in &batch.gone {
            self.sockets.bury(*process);
        }
        let (handshakes, others): (Vec<_>, Vec<_>) =
            batch.deltas.iter().partition(|delta| delta.standing == Standing::Listener);
        for delta in handshakes.into_iter().chain(others) {
            self.count(delta);
            if let Some(tcp) = delta.tcp {
                self.sockets.sample(delta.flow.socket, tcp);
            }
        }
        for unplaced in &batch.unplaced {
            self.count_unplaced(unplaced);
        }
        for claim in &batch.claims {
            self.settle_socket(claim.socket, false);
        }
        for claim in batch.claims.iter().filter(|claim| claim.closed) {
            self.close(claim);
        }
        self.bound();
    }

    /// The processes that use a socket in turn with another: whether they still live decides what is shared. The next
    /// batch should say which of them are gone.
    pub(crate) fn sharers(&self) -> &BTreeSet<ProcessId> {
        self.sockets.sharers()
    }

    /// Lets time pass: settles what has waited long enough, and lets idle flows and forgotten sockets go.
    pub(crate) fn advance(&mut self, now: Mono) {
        while let Some((deadline, socket)) = self.parking.next_socket(Some(now)) {
            let due = self.sockets.get_mut(socket).filter(|s| s.deadline == deadline && !s.parked.is_empty());
            if let Some(due) = due {
                due.expired = true;
                self.settle_socket(socket, true);
            }
        }
        while let Some(handshake) = self.next_handshake(Some(now)) {
            self.give_up(handshake);
        }
        for key in self.flows.idle(now, self.clock.cut) {
            self.drop_flow(&key);
        }
        self.sockets.sweep(now, self.config.settle_after);
        self.bound();
    }

    /// Lets go of what is over: flows that are closed or no longer move anything, and processes that have ended, whose
    /// bytes fold into "(retired)".
    pub(crate) fn clear(&mut self) {
        let closed = |id| self.sockets.get(id).is_some_and(|socket| socket.closed);
        for key in self.flows.over(self.clock.cut, closed) {
            self.drop_flow(&key);
        }
        self.processes.retire_exited(&self.clock);
    }

    /// One consistent picture of the running interval, which goes on until [`Self::begin_interval`]. `boot` is the date of boot. What waits for its owner stays pending in the last one, too.
    pub(crate) fn snapshot(&mut self, now: Mono, boot: Wall, last: bool) -> Snapshot {
        let view = self.ticks.view(now, self.start);
        let cut = self.clock.cut;
        let (no_name, no_identity, sockets) = (&self.no_name, &self.no_identity, &self.sockets);
        let stale = |key: &FlowKey| {
            self.relabel
                || key.owner.is_some_and(|id| self.processes.renamed.contains(&id))
                || self.closing.contains(&key.id.socket)
        };
        let labels = |key: &FlowKey| {
            let facts = key.owner.and_then(|id| self.processes.facts(Slot::Process(id)));
            let interface = self.carried.name(&(key.id.netns, key.id.ifindex)).unwrap_or(no_name);
            let socket = sockets.get(key.id.socket);
            Labels {
                process: Arc::clone(facts.map_or(no_name, |facts| &facts.comm)),
                uid: facts.and_then(|facts| facts.uid),
                identity: Arc::clone(facts.map_or(no_identity, |facts| &facts.identity)),
                interface: Arc::clone(interface),
                closed: socket.and_then(|socket| socket.closed_at),
                predates: socket.is_some_and(|socket| socket.claims.seeded()),
                tcp: socket.and_then(|socket| socket.tcp),
            }
        };
        let (flows, over) = self.flows.rows(cut, &view, stale, labels);
        self.processes.close_flows(over.iter().map(|key| Slot::of(key.owner, key.confidence)));
        let rows = self.processes.rows(cut, &view);
        self.processes.renamed.clear();
        self.relabel = false;
        self.closing.clear();
        let (windows, peak) = self.totals.rates(&view);
        Snapshot {
            sequence: cut + 1,
            at: now,
            wall: boot.plus(now),
            boot_wall: boot,
            interval: now.since(self.cut_at),
            elapsed: now.since(self.start),
            totals: TotalsRow {
                total: self.totals.total,
                interval: self.totals.interval(cut),
                windows,
                peak,
            },
            ledger: self.ledger(),
            processes: rows,
            flows,
            names: Arc::default(),
            inspected: None,
            held: None,
            health: Arc::clone(&self.health),
            own: OwnCost::default(),
            last,
        }
    }

    /// Ends the running interval and begins the next one: somebody has taken a snapshot of it.
    pub(crate) fn begin_interval(&mut self, now: Mono) {
        self.clock.cut += 1;
        self.cut_at = now;
    }

    /// Where every byte went. What no socket saw is in the row of the unknown, and a line of its own here.
    fn ledger(&mut self) -> Ledger {
        let mut ledger = self.processes.ledger(&self.totals.total, &self.overflow);
        (ledger.rx.injected, ledger.tx.injected) = (self.injected.rx_bytes, self.injected.tx_bytes);
        let unseen = &self.carried.unseen;
        for (side, bytes) in [(&mut ledger.rx, unseen.rx_bytes), (&mut ledger.tx, unseen.tx_bytes)] {
            side.unknown -= bytes;
            side.forwarded = (self.carried.tapped || bytes != 0).then_some(bytes);
        }
        ledger.interfaces = self.carried.ledger(self.clock.cut + 1);
        ledger
    }

    fn begin(&mut self, batch: &Batch) {
        if let Some(health) = &batch.health {
            self.health = Arc::clone(health);
        }
        self.clock.at = batch.to;
        if !(batch.deltas.is_empty() && batch.unplaced.is_empty()) {
            self.clock.tick = self.ticks.note(batch.from, batch.to);
            self.clock.oldest = self.ticks.oldest();
        }
    }

    fn count(&mut self, delta: &Delta) {
        if delta.counters.is_zero() {
            return;
        }
        self.totals.add(Amount::Fresh(&delta.counters), &self.clock);
        let flow = delta.flow;
        if let Standing::Unseen(why) = delta.standing {
            self.carried.unseen += delta.counters;
            return self.place(flow, claims::unseen(why), None, Amount::Fresh(&delta.counters));
        }
        if delta.standing == Standing::Listener
            && let Some(peer) = Peer::of(&flow)
        {
            return self.park_handshake(delta, peer);
        }
        let socket = self.sockets.get(flow.socket);
        let claims = socket.map_or(&self.no_claims, |socket| &socket.claims);
        // Of a socket that is known by its ends only, a sample of all processes says all that will be known.
        let sampled = flow.socket.is_of_ends() && delta.standing != Standing::Unclaimed;
        let closed = socket.is_some_and(|socket| socket.closed || socket.expired);
        let over = flow.socket == SocketId(0) || sampled || closed;
        match judge(delta.standing, delta.owner, delta.method, claims, over) {
            Verdict::Settled(attribution) => {
                self.charge(flow, attribution, delta.uid, Amount::Fresh(&delta.counters));
            }
            Verdict::Wait(reason) => self.park(delta, reason),
        }
    }

    /// Bytes without a flow cannot wait: they settle as they are.
    fn count_unplaced(&mut self, unplaced: &Unplaced) {
        let Unplaced { owner, standing, counters } = unplaced;
        if counters.is_zero() {
            return;
        }
        let slot = match (standing, owner) {
            (Standing::Kernel, _) => Slot::Process(ProcessId::KERNEL),
            (Standing::Ambiguous, _) => Slot::Ambiguous,
            // A worker may yet use what the listener's process has accepted, and nobody could tell these bytes then.
            (Standing::Unclaimed | Standing::Inherited | Standing::Unseen(_) | Standing::Recorded, _)
            | (_, None) => Slot::Unknown,
            (Standing::Firm | Standing::Made | Standing::Listener, Some(owner)) => Slot::Process(*owner),
        };
        self.totals.add(Amount::Fresh(counters), &self.clock);
        self.overflow += *counters;
        self.processes.add(slot, Amount::Fresh(counters), false, &self.clock);
    }

    /// Puts bytes where they belong, and with them the handshake of their connection.
    fn charge(&mut self, flow: FlowId, attribution: Attribution, uid: Option<u32>, amount: Amount<'_>) {
        if attribution.owner.is_some() {
            for (key, parked) in self.parking.take_handshake(&flow) {
                self.unpark(&key, &parked);
                self.add(flow, attribution.clone(), uid, Amount::Settled(&parked.meter));
            }
        }
        self.add(flow, attribution, uid, amount);
    }

    fn add(&mut self, flow: FlowId, attribution: Attribution, uid: Option<u32>, amount: Amount<'_>) {
        let moved = match amount {
            Amount::Fresh(counters) => counters,
            Amount::Settled(meter) => &meter.total,
        };
        if flow.protocol == Protocol::PACKET {
            // It passed no socket hook, and no device is known: it stays in what devices carried beside the sockets.
            self.injected += *moved;
        } else {
            self.carried.add(&flow, Slot::of_attribution(&attribution), moved);
        }
        self.place(flow, attribution, uid, amount);
    }

    fn place(&mut self, flow: FlowId, attribution: Attribution, uid: Option<u32>, amount: Amount<'_>) {
        let slot = Slot::of_attribution(&attribution);
        let new = self.flows.add(flow, attribution, uid, amount, &self.clock);
        if new {
            self.sockets.hold(flow.socket, self.clock.at);
        }
        self.processes.add(slot, amount, new, &self.clock);
    }

    fn park(&mut self, delta: &Delta, reason: &'static str) {
        let key = ParkKey { flow: delta.flow, standing: delta.standing, owner: delta.owner };
        let (parked, new) = self.parking.entry(key);
        parked.meter.add(Amount::Fresh(&delta.counters), &self.clock);
        parked.uid = delta.uid.or(parked.uid);
        if new {
            let deadline = self.clock.at.plus(self.config.settle_after);
            let socket = self.sockets.touch(delta.flow.socket, self.clock.at);
            if socket.parked.is_empty() {
                socket.deadline = deadline;
                self.parking.schedule(deadline, delta.flow.socket);
            }
            socket.parked.push(key);
            self.parking.expect_child(&delta.flow);
        }
        self.add(delta.flow, claims::pending(reason), delta.uid, Amount::Fresh(&delta.counters));
    }

    fn park_handshake(&mut self, delta: &Delta, peer: Peer) {
        let key = ParkKey { flow: delta.flow, standing: delta.standing, owner: delta.owner };
        let parked = self.parking.handshake(peer, key, self.clock.at.plus(self.config.settle_after));
        parked.meter.add(Amount::Fresh(&delta.counters), &self.clock);
        parked.uid = delta.uid.or(parked.uid);
        let attribution = claims::pending("handshake, waiting for its connection");
        self.add(delta.flow, attribution, delta.uid, Amount::Fresh(&delta.counters));
    }

    /// Settles what is parked of a socket and decided, or all of it where nothing more will be learned.
    fn settle_socket(&mut self, id: SocketId, over: bool) {
        let Some(socket) = self.sockets.get_mut(id).filter(|socket| !socket.parked.is_empty()) else {
            return;
        };
        let keys = std::mem::take(&mut socket.parked);
        let mut waiting = Vec::new();
        for key in keys {
            let claims = self.sockets.get(id).map_or(&self.no_claims, |socket| &socket.claims);
            match judge(key.standing, key.owner, Method::None, claims, over) {
                Verdict::Settled(attribution) => self.settle(&key, attribution),
                Verdict::Wait(_) => waiting.push(key),
            }
        }
        if let Some(socket) = self.sockets.get_mut(id) {
            socket.parked = waiting;
        }
    }

    fn settle(&mut self, key: &ParkKey, attribution: Attribution) {
        let Some(parked) = self.parking.take(key) else { return };
        self.unpark(key, &parked);
        self.charge(key.flow, attribution, parked.uid, Amount::Settled(&parked.meter));
    }

    /// Takes parked bytes out of the pending rows, on their way to another.
    fn unpark(&mut self, key: &ParkKey, parked: &Parked) {
        self.processes.unpark(&parked.meter, self.clock.cut);
        self.carried.unpark(&key.flow, &parked.meter.total);
        if self.flows.unpark(key.flow, &parked.meter, self.clock.cut) {
            self.drop_flow(&FlowKey::pending(key.flow));
        }
    }

    fn close(&mut self, claim: &Claim) {
        if let Some(socket) = self.sockets.get_mut(claim.socket) {
            socket.closed = true;
            socket.closed_at.get_or_insert(self.clock.at);
            self.closing.insert(claim.socket);
            self.settle_socket(claim.socket, true);
        }
    }

    fn next_handshake(&mut self, now: Option<Mono>) -> Option<Handshake> {
        let sockets = &self.sockets;
        let waiting = |id| sockets.get(id).filter(|socket| !socket.parked.is_empty()).map(|s| s.deadline);
        self.parking.next_handshake(now, waiting)
    }

    /// No connection came of a handshake: it stays with its listener.
    fn give_up(&mut self, handshake: Handshake) {
        for (key, parked) in handshake.parts {
            let socket = self.sockets.get(key.flow.socket);
            let claims = socket.map_or(&self.no_claims, |socket| &socket.claims);
            let attribution = claims::handshake(key.owner, claims);
            self.unpark(&key, &parked);
            self.add(key.flow, attribution, parked.uid, Amount::Settled(&parked.meter));
        }
    }

    /// Keeps every list within its bound. Handshakes settle early before anything else does: a flood of them must not
    /// cost a connection its owner.
    fn bound(&mut self) {
        let room = (self.config.max_flows / 2).max(1);
        while self.parking.len() > room {
            if let Some(handshake) = self.next_handshake(None) {
                self.give_up(handshake);
            } else if let Some((deadline, socket)) = self.parking.next_socket(None) {
                if self.sockets.get(socket).is_some_and(|socket| socket.deadline == deadline) {
                    self.settle_socket(socket, true);
                }
            } else {
                break;
            }
        }
        for key in self.flows.excess(self.config.max_flows) {
            self.drop_flow(&key);
        }
        self.processes.bound(self.config.max_processes, &self.clock);
        self.processes.bound_exited(self.config.max_exited, &self.clock);
        self.sockets.bound(self.config.max_sockets);
    }

    fn drop_flow(&mut self, key: &FlowKey) {
        if let Some(open) = self.flows.remove(key) {
            self.processes.release_flow(Slot::of(key.owner, key.confidence), open);
            self.sockets.release(key.id.socket, self.clock.at);
        }
    }
}
