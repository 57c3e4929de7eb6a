//! Flow rows: one flow under one owner with one confidence.
//!
//! A row knows nothing of how its owner was found; it holds what the rules decided. A row that did not change since the
//! last snapshot is the same `Arc` in the next one.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{
    Attribution, Confidence, FlowId, FlowRow, Identity, Method, Mono, ProcessId, SocketId, TcpHealth,
};

use super::meter::{Amount, Clock, Meter};
use super::ordered::Ordered;
use super::window::View;

/// What makes a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct FlowKey {
    pub(super) id: FlowId,
    pub(super) owner: Option<ProcessId>,
    pub(super) confidence: Confidence,
}

impl FlowKey {
    /// The row of a flow while its bytes wait.
    pub(super) fn pending(id: FlowId) -> Self {
        Self { id, owner: None, confidence: Confidence::Pending }
    }
}

#[derive(Debug, Default)]
struct Flow {
    meter: Meter,
    method: Method,
    reason: Option<Cow<'static, str>>,
    uid: Option<u32>,
    /// As of the last snapshot; `None` where that is out of date.
    row: Option<Arc<FlowRow>>,
}

/// What a flow row shows that is not the flow's own.
pub(super) struct Labels {
    pub(super) process: Arc<str>,
    /// Uid of the process.
    pub(super) uid: Option<u32>,
    pub(super) identity: Arc<Identity>,
    pub(super) interface: Arc<str>,
    /// When its socket was closed.
    pub(super) closed: Option<Mono>,
    pub(super) tcp: Option<TcpHealth>,
}

/// All flow rows held.
#[derive(Debug)]
pub(super) struct Flows {
    map: Ordered<FlowKey, Flow>,
    retire_after: Duration,
    /// Idle rows that are held all the same, those with the latest traffic.
    keep: usize,
    /// No row falls idle before this.
    next_idle: Mono,
}

impl Flows {
    /// None yet; a row is idle after `retire_after` without traffic, and `keep` of these are held.
    pub(super) fn new(retire_after: Duration, keep: usize) -> Self {
        Self { map: Ordered::default(), retire_after, keep, next_idle: Mono(0) }
    }

    /// Adds to a row. True where it is new.
    pub(super) fn add(
        &mut self,
        id: FlowId,
        attribution: Attribution,
        uid: Option<u32>,
        amount: Amount<'_>,
        clock: &Clock,
    ) -> bool {
        let key = FlowKey { id, owner: attribution.owner, confidence: attribution.confidence };
        let (flow, new) = self.map.entry(key, Flow::default);
        flow.meter.add(amount, clock);
        flow.method = attribution.method;
        flow.reason = attribution.reason;
        flow.uid = uid.or(flow.uid);
        flow.row = None;
        self.next_idle = self.next_idle.min(flow.meter.last.plus(self.retire_after));
        new
    }

    /// Takes parked bytes out of the pending row of `id`. True where that leaves it empty.
    pub(super) fn unpark(&mut self, id: FlowId, parked: &Meter, cut: u64) -> bool {
        let Some(flow) = self.map.get_mut(&FlowKey::pending(id)) else { return false };
        flow.meter.release(parked, cut);
        flow.row = None;
        flow.meter.total.is_zero()
    }

    /// Lets a row go. False where there was none.
    pub(super) fn remove(&mut self, key: &FlowKey) -> bool {
        self.map.remove(key).is_some()
    }

    /// Rows to let go: those that are idle, but for the latest of them. One that no snapshot has shown since its latest traffic stays, and so does
    /// a pending one: it goes when its bytes settle.
    pub(super) fn idle(&mut self, now: Mono, cut: u64) -> Vec<FlowKey> {
        if now < self.next_idle {
            return Vec::new();
        }
        let mut next = now.plus(self.retire_after);
        let mut idle = Vec::new();
        for (key, flow) in self.map.iter().filter(|(key, _)| key.confidence != Confidence::Pending) {
            let until = flow.meter.last.plus(self.retire_after);
            if until <= now && flow.meter.interval(cut).is_zero() {
                idle.push((flow.meter.last, *key));
            } else {
                next = next.min(until);
            }
        }
        self.next_idle = next;
        let excess = idle.len().saturating_sub(self.keep);
        if 0 < excess && excess < idle.len() {
            idle.select_nth_unstable(excess);
        }
        idle.truncate(excess);
        idle.into_iter().map(|(_, key)| key).collect()
    }

    /// Rows of what is over: whose socket `is_closed`, or whose rates have fallen to nothing. Those that no snapshot has
    /// shown since their latest traffic stay, and so do pending ones.
    pub(super) fn over(&self, cut: u64, is_closed: impl Fn(SocketId) -> bool) -> Vec<FlowKey> {
        let over = self.map.iter().filter(|(key, flow)| {
            key.confidence != Confidence::Pending
                && flow.meter.interval(cut).is_zero()
                && (is_closed(key.id.socket) || !flow.meter.decays())
        });
        over.map(|(key, _)| *key).collect()
    }

    /// The rows over `max`, those longest without traffic first. Pending ones are bounded where they are parked.
    pub(super) fn excess(&self, max: usize) -> Vec<FlowKey> {
        let excess = self.map.len().saturating_sub(max);
        if excess == 0 {
            return Vec::new();
        }
        let mut by_age: Vec<_> = self
            .map
            .iter()
            .enumerate()
            .filter(|(_, (key, _))| key.confidence != Confidence::Pending)
            .map(|(place, (key, flow))| (flow.meter.last, place, *key))
            .collect();
        if excess < by_age.len() {
            by_age.select_nth_unstable_by_key(excess, |(last, place, _)| (*last, *place));
            by_age.truncate(excess);
        }
        by_age.into_iter().map(|(_, _, key)| key).collect()
    }

    /// All rows, in order of first appearance. Only those are rebuilt that changed, whose windows are decaying, or whose
    /// labels are `stale`.
    pub(super) fn rows(
        &mut self,
        cut: u64,
        view: &View,
        stale: impl Fn(&FlowKey) -> bool,
        labels: impl Fn(&FlowKey) -> Labels,
    ) -> Vec<Arc<FlowRow>> {
        let mut rows = Vec::with_capacity(self.map.len());
        for (key, flow) in self.map.iter_mut() {
            let settled = |row: &&Arc<FlowRow>| row.interval.is_zero() && !flow.meter.decays() && !stale(key);
            if let Some(row) = flow.row.as_ref().filter(settled) {
                rows.push(Arc::clone(row));
                continue;
            }
            let row = Arc::new(flow.row(key, cut, view, labels(key)));
            flow.row = Some(Arc::clone(&row));
            rows.push(row);
        }
        rows
    }

    /// Netns and index of every interface that a row names.
    pub(super) fn interfaces(&self) -> HashSet<(u64, u32)> {
        self.map.iter().map(|(key, _)| (key.id.netns, key.id.ifindex)).collect()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }
}

impl Flow {
    fn row(&mut self, key: &FlowKey, cut: u64, view: &View, labels: Labels) -> FlowRow {
        let (windows, peak) = self.meter.rates(view);
        FlowRow {
            id: key.id,
            attribution: Attribution {
                owner: key.owner,
                method: self.method,
                confidence: key.confidence,
                reason: self.reason.clone(),
            },
            process: labels.process,
            uid: labels.uid.or(self.uid),
            identity: labels.identity,
            interface: labels.interface,
            total: self.meter.total,
            interval: self.meter.interval(cut),
            windows,
            peak,
            closed: labels.closed,
            tcp: labels.tcp,
            first: self.meter.first,
            last: self.meter.last,
        }
    }
}
