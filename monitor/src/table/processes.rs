//! Process rows, and the names of processes that have not moved a byte yet.
//!
//! A row stands for a process, or for the bytes of none: pending, ambiguous, unknown, and "(retired)". The last is where
//! the rows go that were idle longest when there are too many: its bytes had an exact owner, whose name is no longer
//! kept, so it has no id and confidence `Exact`. It is the only way in which a process row ever disappears. If such a
//! process comes back, it starts a new row at zero.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::model::{
    Attribution, Confidence, Counters, Identity, Ledger, LedgerSide, Mono, ProcessId, ProcessRow, ProcessSeen,
};

use super::meter::{Amount, Clock, Meter};
use super::ordered::Ordered;
use super::window::View;

/// What a row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Slot {
    Process(ProcessId),
    Pending,
    Ambiguous,
    Unknown,
    Retired,
}

impl Slot {
    /// Where bytes with this attribution go.
    pub(super) fn of(owner: Option<ProcessId>, confidence: Confidence) -> Self {
        match (owner, confidence) {
            (Some(process), _) => Self::Process(process),
            (None, Confidence::Pending) => Self::Pending,
            (None, Confidence::Ambiguous) => Self::Ambiguous,
            (None, _) => Self::Unknown,
        }
    }

    /// See [`Slot::of`].
    pub(super) fn of_attribution(attribution: &Attribution) -> Self {
        Self::of(attribution.owner, attribution.confidence)
    }

    fn confidence(self) -> Confidence {
        match self {
            Self::Process(_) | Self::Retired => Confidence::Exact,
            Self::Pending => Confidence::Pending,
            Self::Ambiguous => Confidence::Ambiguous,
            Self::Unknown => Confidence::Unknown,
        }
    }
}

/// What is known of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) comm: Arc<str>,
    /// As of when it has that name; what was seen before that does not change it.
    named: Option<Mono>,
    pub(super) exe: Option<Arc<str>>,
    pub(super) start: Option<Mono>,
    pub(super) uid: Option<u32>,
    pub(super) cgroup: u64,
    pub(super) identity: Arc<Identity>,
    pub(super) exited: Option<Mono>,
}

impl Facts {
    /// A later non-empty value wins; an empty one erases nothing.
    fn merge(&mut self, seen: &ProcessSeen) {
        if !seen.comm.is_empty() && (seen.alive.is_none() || seen.alive >= self.named) {
            self.comm = Arc::clone(&seen.comm);
            self.named = seen.alive.or(self.named);
        }
        if let Some(exe) = seen.exe.as_ref().filter(|exe| !exe.is_empty()) {
            self.exe = Some(Arc::clone(exe));
        }
        self.start = seen.start.or(self.start);
        self.uid = seen.uid.or(self.uid);
        if seen.cgroup != 0 {
            self.cgroup = seen.cgroup;
        }
        if let Some(identity) = &seen.identity {
            self.identity = Arc::clone(identity);
        }
        self.exited = self.exited.or(seen.exited);
    }

    fn named(comm: &str) -> Self {
        Self { comm: comm.into(), ..Self::default() }
    }
}

#[derive(Debug, Default)]
struct Process {
    facts: Facts,
    /// Flow rows held.
    flows: usize,
    /// Those of them whose socket is open.
    open: usize,
    meter: Meter,
    /// As of the last snapshot; `None` where that is out of date.
    row: Option<Arc<ProcessRow>>,
}

/// Names of processes without a row, at most so many; the oldest is forgotten first.
#[derive(Debug, Default)]
struct Names {
    facts: HashMap<ProcessId, (u64, Facts)>,
    order: BTreeMap<u64, ProcessId>,
    next: u64,
}

impl Names {
    fn note(&mut self, seen: &ProcessSeen, max: usize) {
        let mut facts = self.take(seen.id);
        facts.merge(seen);
        self.facts.insert(seen.id, (self.next, facts));
        self.order.insert(self.next, seen.id);
        self.next += 1;
        while self.facts.len() > max {
            let Some((_, oldest)) = self.order.pop_first() else { return };
            self.facts.remove(&oldest);
        }
    }

    fn take(&mut self, id: ProcessId) -> Facts {
        let Some((at, facts)) = self.facts.remove(&id) else { return Facts::default() };
        self.order.remove(&at);
        facts
    }
}

/// All process rows.
#[derive(Debug, Default)]
pub(super) struct Processes {
    map: Ordered<Slot, Process>,
    names: Names,
    /// Rows of processes that had ended as of the last snapshot.
    exited: usize,
    /// Processes whose facts changed since the last snapshot.
    pub(super) renamed: HashSet<ProcessId>,
}

impl Processes {
    /// Learns about a process.
    pub(super) fn note(&mut self, seen: &ProcessSeen, max_names: usize) {
        if seen.id == ProcessId::KERNEL {
            return;
        }
        let Some(process) = self.map.get_mut(&Slot::Process(seen.id)) else {
            return self.names.note(seen, max_names);
        };
        let mut before = process.facts.clone();
        process.facts.merge(seen);
        // That the name still holds is no news.
        before.named = process.facts.named;
        if process.facts != before {
            process.row = None;
            self.renamed.insert(seen.id);
        }
    }

    /// Adds to a row. `flow` says that a flow row was made with it.
    pub(super) fn add(&mut self, slot: Slot, amount: Amount<'_>, flow: bool, clock: &Clock) {
        let names = &mut self.names;
        let (process, _) =
            self.map.entry(slot, || Process { facts: first_facts(slot, names), ..Process::default() });
        process.meter.add(amount, clock);
        process.flows += usize::from(flow);
        process.open += usize::from(flow);
        process.row = None;
    }

    /// Takes parked bytes out of the pending row.
    pub(super) fn unpark(&mut self, parked: &Meter, cut: u64) {
        if let Some(process) = self.map.get_mut(&Slot::Pending) {
            process.meter.release(parked, cut);
            process.row = None;
        }
    }

    /// The sockets of flow rows were closed.
    pub(super) fn close_flows(&mut self, slots: impl Iterator<Item = Slot>) {
        for slot in slots {
            if let Some(process) = self.map.get_mut(&slot) {
                process.open = process.open.saturating_sub(1);
                process.row = None;
            }
        }
    }

    /// A flow row is gone, of a socket that was open or not.
    pub(super) fn release_flow(&mut self, slot: Slot, open: bool) {
        if let Some(process) = self.map.get_mut(&slot) {
            process.flows = process.flows.saturating_sub(1);
            process.open = process.open.saturating_sub(usize::from(open));
            process.row = None;
        }
    }

    /// What is known of the process behind a row.
    pub(super) fn facts(&self, slot: Slot) -> Option<&Facts> {
        self.map.get(&slot).map(|process| &process.facts)
    }

    /// Folds the processes over `max` that hold no flow into "(retired)", those longest without traffic first. Goes a
    /// little below, so that the next processes do not each pay for a pass.
    pub(super) fn bound(&mut self, max: usize, clock: &Clock) {
        let excess = self.map.len().saturating_sub(max);
        if excess == 0 {
            return;
        }
        let mut idle: Vec<_> = self
            .map
            .iter()
            .filter(|(slot, process)| {
                matches!(slot, Slot::Process(id) if *id != ProcessId::KERNEL) && process.flows == 0
            })
            .enumerate()
            .map(|(place, (slot, process))| (process.meter.last, place, *slot))
            .collect();
        idle.sort_unstable_by_key(|(last, place, _)| (*last, *place));
        for (_, _, slot) in idle.iter().take(excess + max / 16) {
            if let Some(gone) = self.map.remove(slot) {
                self.retire(&gone.meter, clock);
            }
        }
    }

    /// Folds the processes that have ended and hold no flow into "(retired)", once a snapshot has shown their last bytes.
    pub(super) fn retire_exited(&mut self, clock: &Clock) {
        let over = self.over(clock);
        self.retire_these(over.into_iter().map(|(_, slot)| slot), clock);
    }

    /// The same for those over `max`, who ended first going first. Goes a little below.
    pub(super) fn bound_exited(&mut self, max: usize, clock: &Clock) {
        if self.exited <= max {
            return;
        }
        let mut over = self.over(clock);
        over.sort_by_key(|(ended, _)| *ended);
        over.truncate(self.exited - max + max / 16);
        self.exited = self.exited.saturating_sub(over.len());
        self.retire_these(over.into_iter().map(|(_, slot)| slot), clock);
    }

    /// Processes that have ended and hold no flow, and whose last bytes a snapshot has shown; when they ended.
    fn over(&self, clock: &Clock) -> Vec<(Option<Mono>, Slot)> {
        let is_over = |process: &Process| {
            process.facts.exited.is_some()
                && process.flows == 0
                && process.meter.interval(clock.cut).is_zero()
                && !process.meter.total.is_zero()
        };
        let over = self.map.iter().filter(|(_, process)| is_over(process));
        over.map(|(slot, process)| (process.facts.exited, *slot)).collect()
    }

    fn retire_these(&mut self, slots: impl Iterator<Item = Slot>, clock: &Clock) {
        for slot in slots {
            if let Some(gone) = self.map.remove(&slot) {
                self.retire(&gone.meter, clock);
            }
        }
    }

    /// The interval of "(retired)" gains only what its rows gained in it.
    fn retire(&mut self, gone: &Meter, clock: &Clock) {
        let facts = || Process { facts: Facts::named("(retired)"), ..Process::default() };
        let (retired, _) = self.map.entry(Slot::Retired, facts);
        retired.meter.absorb(gone, clock);
        retired.row = None;
    }

    /// All rows that ever moved a byte, in order of first appearance; the pending one only while something is. Only
    /// those are rebuilt that changed or whose windows are decaying.
    pub(super) fn rows(&mut self, cut: u64, view: &View) -> Vec<Arc<ProcessRow>> {
        let mut rows = Vec::with_capacity(self.map.len());
        self.exited = 0;
        for (slot, process) in self.map.iter_mut() {
            self.exited += usize::from(process.facts.exited.is_some() && process.flows == 0);
            if process.meter.total.is_zero() {
                continue;
            }
            let settled = |row: &&Arc<ProcessRow>| row.interval.is_zero() && !process.meter.decays();
            if let Some(row) = process.row.as_ref().filter(settled) {
                rows.push(Arc::clone(row));
                continue;
            }
            let row = Arc::new(process.row(*slot, cut, view));
            process.row = Some(Arc::clone(&row));
            rows.push(row);
        }
        rows
    }

    /// Where every byte went. Each part is summed from the rows, none is what the others leave.
    pub(super) fn ledger(&self, counted: &Counters, overflow: &Counters) -> Ledger {
        let side = |bytes: fn(&Counters) -> u64| {
            let mut side =
                LedgerSide { counted: bytes(counted), overflow: bytes(overflow), ..LedgerSide::default() };
            for (slot, process) in self.map.iter() {
                *match slot {
                    Slot::Process(ProcessId::KERNEL) => &mut side.kernel,
                    Slot::Process(_) | Slot::Retired => &mut side.attributed,
                    Slot::Pending => &mut side.pending,
                    Slot::Ambiguous => &mut side.ambiguous,
                    Slot::Unknown => &mut side.unknown,
                } += bytes(&process.meter.total);
            }
            side
        };
        let (rx, tx) = (side(|counters| counters.rx_bytes), side(|counters| counters.tx_bytes));
        Ledger { rx, tx, interfaces: Vec::new() }
    }
}

fn first_facts(slot: Slot, names: &mut Names) -> Facts {
    match slot {
        Slot::Process(ProcessId::KERNEL) => Facts::named("kernel"),
        Slot::Process(id) => names.take(id),
        Slot::Retired => Facts::named("(retired)"),
        Slot::Pending | Slot::Ambiguous | Slot::Unknown => Facts::named(slot.confidence().name()),
    }
}

impl Process {
    fn row(&mut self, slot: Slot, cut: u64, view: &View) -> ProcessRow {
        let (windows, peak) = self.meter.rates(view);
        ProcessRow {
            id: if let Slot::Process(id) = slot { Some(id) } else { None },
            confidence: slot.confidence(),
            process: Arc::clone(&self.facts.comm),
            exe: self.facts.exe.clone(),
            start: self.facts.start,
            uid: self.facts.uid,
            cgroup: self.facts.cgroup,
            identity: Arc::clone(&self.facts.identity),
            exited: self.facts.exited,
            flows: self.open,
            total: self.meter.total,
            interval: self.meter.interval(cut),
            windows,
            peak: Some(peak),
            last: self.meter.last,
        }
    }
}
