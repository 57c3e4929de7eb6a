//! Interface totals: what sockets moved on each interface, by what it is worth, beside what the interfaces themselves
//! report.
//!
//! Sums only: it follows every byte that goes into a flow row, and out of a pending one. What no socket saw is not in
//! the sums; the reports have it. An interface that is gone, and the one longest without traffic of too many that nobody
//! reports, fold into "(gone)" once a snapshot has shown the last of them: sums are kept, entries are not.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::model::{
    Batch, Capture, CaptureReport, Counters, DeviceRule, FlowId, InterfaceLedger, InterfaceReport,
    InterfaceSeen, InterfaceSide, ProcessId, TapSide, socket_parts,
};

use super::processes::Slot;

/// Interfaces that no source reports (of other network namespaces, of captures) with an entry of their own.
pub(super) const MOST: usize = 4_096;
/// Names kept before those without flows are forgotten.
const NAMES: usize = 4_096;

/// Netns cookie and index.
pub(super) type Key = (u64, u32);

/// One interface.
#[derive(Debug, Default)]
struct Entry {
    sums: [Counters; 5],
    report: Option<InterfaceReport>,
    capture: Option<(Arc<str>, Capture)>,
    /// What an interface with the same index had come to that went before this one came.
    before: Before,
    /// What sockets saw on interfaces that stood on this one and are gone, received and sent.
    past: [InterfaceSide; 2],
    /// As of the last snapshot, where it had moved something by then.
    row: Option<Arc<InterfaceLedger>>,
    changed: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Before {
    device: (u64, u64),
    tap: (TapSide, TapSide),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    entries: BTreeMap<Key, Entry>,
    /// Those of which something changed since the last snapshot.
    stale: BTreeSet<Key>,
    /// Interfaces that others stand on (VLANs), by those.
    below: HashMap<Key, BTreeSet<Key>>,
    /// Those that are reported as gone, until they fold.
    going: BTreeSet<Key>,
    /// Entries with a report.
    reported: usize,
    /// What folded: of reported interfaces, and of others.
    gone: [Option<Arc<InterfaceLedger>>; 2],
    names: HashMap<Key, Arc<str>>,
    /// So many names before the next look at which are used.
    names_most: usize,
    /// What interfaces carried and no socket saw.
    pub(super) unseen: Counters,
    /// Some interface is tapped, so that `unseen` means something.
    pub(super) tapped: bool,
}

impl Interfaces {
    /// Takes in what the interfaces report; the latest of each counts.
    pub(super) fn note(&mut self, batch: &Batch) {
        for report in &batch.reports {
            self.tapped |= report.tap.is_some();
            self.report(report);
        }
        for report in &batch.captures {
            self.tapped = true;
            let CaptureReport { netns, ifindex, name, capture } = report;
            let entry = self.entries.entry((*netns, *ifindex)).or_default();
            let capture = Some((Arc::clone(name), *capture));
            if entry.capture != capture {
                entry.capture = capture;
                self.stale.insert((*netns, *ifindex));
            }
        }
    }

    fn report(&mut self, report: &InterfaceReport) {
        let key = (report.netns, report.ifindex);
        let entry = self.entries.entry(key).or_default();
        if entry.report.as_ref() == Some(report) {
            return;
        }
        self.stale.insert(key);
        let mut report = report.clone();
        match &entry.report {
            None => self.reported += 1,
            Some(old) => {
                if self.going.remove(&key) && !report.gone {
                    entry.before.add(old);
                }
                // What stood on it, and went, is in what it counted.
                let left = old.carries.iter().filter(|old| !report.carries.iter().any(|new| new.0 == old.0));
                let left: Vec<_> = left.copied().collect();
                report.carries.extend(left);
            }
        }
        for (upper, _) in report.carries.iter().filter(|(upper, _)| *upper != key.1) {
            self.below.entry((key.0, *upper)).or_default().insert(key);
        }
        if report.gone {
            self.going.insert(key);
        }
        entry.report = Some(report);
    }

    /// Bytes of a flow were put where they belong.
    pub(super) fn add(&mut self, flow: &FlowId, slot: Slot, moved: &Counters) {
        let sums = self.sums((flow.netns, flow.ifindex));
        sums[part(slot)] += *moved;
    }

    /// Pending bytes of a flow are on their way to another.
    pub(super) fn unpark(&mut self, flow: &FlowId, moved: &Counters) {
        let sums = self.sums((flow.netns, flow.ifindex));
        sums[part(Slot::Pending)] -= *moved;
    }

    fn sums(&mut self, key: Key) -> &mut [Counters; 5] {
        if self.stale.insert(key)
            && let Some(below) = self.below.get(&key)
        {
            self.stale.extend(below);
        }
        &mut self.entries.entry(key).or_default().sums
    }

    /// Takes in a name. True where that is news. `used` gives the interfaces of flows, whose names are kept.
    pub(super) fn name_one(&mut self, seen: &InterfaceSeen, used: impl FnOnce() -> HashSet<Key>) -> bool {
        let key = (seen.netns, seen.ifindex);
        let old = self.names.insert(key, Arc::clone(&seen.name));
        let is_news = old.is_none_or(|old| old != seen.name);
        if is_news && self.entries.contains_key(&key) {
            self.stale.insert(key);
        }
        if self.names.len() > self.names_most.max(NAMES) {
            let used = used();
            self.names.retain(|id, _| used.contains(id) || *id == key);
            self.names_most = 2 * self.names.len();
        }
        is_news
    }

    /// The name of an interface.
    pub(super) fn name(&self, key: &Key) -> Option<&Arc<str>> {
        self.names.get(key).or_else(|| self.entries.get(key)?.report.as_ref().map(|report| &report.name))
    }

    /// The ledger of every interface that reported or moved something, for the snapshot of that number. What is gone
    /// folds then.
    pub(super) fn ledger(&mut self, sequence: u64) -> Vec<Arc<InterfaceLedger>> {
        for key in std::mem::take(&mut self.stale) {
            let Some(entry) = self.entries.get(&key) else { continue };
            let row = Some(self.row(key, entry)).filter(has_moved);
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            let is_same = match (&entry.row, &row) {
                (Some(old), Some(new)) => InterfaceLedger { changed: old.changed, ..new.clone() } == **old,
                (None, None) => true,
                _ => false,
            };
            if !is_same {
                entry.changed = sequence;
                entry.row = row.map(|row| Arc::new(InterfaceLedger { changed: sequence, ..row }));
            }
        }
        let rows =
            self.entries.values().filter_map(|entry| entry.row.as_ref()).chain(self.gone.iter().flatten());
        let rows = rows.map(Arc::clone).collect();
        self.fold(sequence + 1);
        rows
    }

    /// Folds what is gone, and the longest without a change of too many others. What waits for its owner keeps its
    /// place until it has one.
    fn fold(&mut self, sequence: u64) {
        let waits = |entry: &Entry| !entry.sums[part(Slot::Pending)].is_zero();
        let mut over: Vec<Key> = self.going.iter().copied().collect();
        let excess = (self.entries.len() - self.reported).saturating_sub(MOST);
        if excess > 0 {
            let others = self.entries.iter().filter(|(_, entry)| entry.report.is_none());
            let mut by_age: Vec<_> = others.map(|(key, entry)| (entry.changed, *key)).collect();
            by_age.sort_unstable();
            over.extend(by_age.iter().take(excess + MOST / 16).map(|(_, key)| *key));
        }
        for key in over {
            if let Some(entry) = self.entries.get(&key).filter(|entry| !waits(entry)) {
                let row = Some(self.row(key, entry)).filter(has_moved);
                self.take_out(key, row, sequence);
            }
        }
    }

    fn take_out(&mut self, key: Key, row: Option<InterfaceLedger>, sequence: u64) {
        let Some(entry) = self.entries.remove(&key) else { return };
        self.going.remove(&key);
        self.reported -= usize::from(entry.report.is_some());
        for lower in self.below.remove(&key).unwrap_or_default() {
            let Some(lower) = self.entries.get_mut(&lower) else { continue };
            let Some(report) = &mut lower.report else { continue };
            let Some(at) = report.carries.iter().position(|(upper, _)| *upper == key.1) else { continue };
            let sums = [(entry.sums, report.carries.swap_remove(at).1)];
            lower.past[0] += side(&sums, |counters, tag| report.rule.rx(counters, tag));
            lower.past[1] += side(&sums, |counters, tag| report.rule.tx(counters, tag));
        }
        for (upper, _) in entry.report.iter().flat_map(|report| &report.carries) {
            if let Some(below) = self.below.get_mut(&(key.0, *upper)) {
                below.remove(&key);
            }
        }
        let Some(row) = row else { return };
        let gone = &mut self.gone[usize::from(entry.report.is_none())];
        let mut sum = gone.as_deref().cloned().unwrap_or_else(|| InterfaceLedger {
            netns: entry.report.map_or(0, |report| report.netns),
            name: "(gone)".into(),
            ..InterfaceLedger::default()
        });
        sum.rx += row.rx;
        sum.tx += row.tx;
        sum.changed = sequence;
        *gone = Some(Arc::new(sum));
    }

    fn row(&self, (netns, ifindex): Key, entry: &Entry) -> InterfaceLedger {
        let Entry { sums, report, capture, before, past, .. } = entry;
        let row = InterfaceLedger { netns, ifindex, ..InterfaceLedger::default() };
        let Some(report) = report else {
            // What an interface of this netns moved stands in its report; those of others have none.
            let (rule, sums) = (DeviceRule::default(), [(*sums, 0)]);
            let name = self.names.get(&(netns, ifindex)).or(capture.as_ref().map(|(name, _)| name));
            return InterfaceLedger {
                name: name.map(Arc::clone).unwrap_or_default(),
                capture: capture.as_ref().map(|(_, capture)| *capture),
                rx: side(&sums, |counters, tag| rule.rx(counters, tag)),
                tx: side(&sums, |counters, tag| rule.tx(counters, tag)),
                ..row
            };
        };
        let InterfaceReport { name, rule, rx_device, tx_device, carries, tap, .. } = report;
        let carried = carries.iter().filter_map(|(upper, tag)| {
            let sums = if *upper == ifindex { sums } else { &self.entries.get(&(netns, *upper))?.sums };
            Some((*sums, *tag))
        });
        let sums: Vec<_> = carried.collect();
        let [mut rx, mut tx] = *past;
        rx += side(&sums, |counters, tag| rule.rx(counters, tag));
        tx += side(&sums, |counters, tag| rule.tx(counters, tag));
        rx.device = Some(before.device.0 + *rx_device);
        tx.device = Some(before.device.1 + *tx_device);
        rx.tap = tap.map(|tap| tap.0 + before.tap.0);
        tx.tap = tap.map(|tap| tap.1 + before.tap.1);
        InterfaceLedger { name: Arc::clone(name), rx: rx.closed(), tx: tx.closed(), ..row }
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> [usize; 4] {
        [self.entries.len(), self.below.len(), self.going.len(), self.names.len()]
    }
}

impl Before {
    fn add(&mut self, report: &InterfaceReport) {
        let (rx, tx) = report.tap.unwrap_or_default();
        self.tap = (self.tap.0 + rx, self.tap.1 + tx);
        self.device = (self.device.0 + report.rx_device, self.device.1 + report.tx_device);
    }
}

fn has_moved(row: &InterfaceLedger) -> bool {
    row.capture.is_some() || [row.rx, row.tx].iter().any(InterfaceSide::moved)
}

/// The place of a slot in the sums: that of its part in [`socket_parts`].
fn part(slot: Slot) -> usize {
    match slot {
        Slot::Process(ProcessId::KERNEL) => 1,
        Slot::Process(_) | Slot::Retired => 0,
        Slot::Pending => 2,
        Slot::Ambiguous => 3,
        Slot::Unknown => 4,
    }
}

fn side(sums: &[([Counters; 5], u32)], bytes: impl Fn(&Counters, u32) -> u64) -> InterfaceSide {
    let mut side = InterfaceSide::default();
    for (sums, tag) in sums {
        for (part, counters) in socket_parts(&mut side).into_iter().zip(sums) {
            *part += bytes(counters, *tag);
        }
    }
    side
}
