//! What sockets moved on each interface, by what it is worth, beside what the interfaces themselves report.
//!
//! Sums only: it follows every byte that goes into a flow row, and out of a pending one. What no socket saw is not in
//! the sums; the reports have it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::{
    Batch, CaptureReport, Counters, DeviceRule, FlowId, InterfaceLedger, InterfaceReport, InterfaceSide,
    ProcessId, socket_parts,
};

use super::processes::Slot;

/// Interfaces whose sums are kept; beyond it they are added up under no netns and index 0.
const MOST: usize = 4_096;

/// Netns cookie and index.
type Key = (u64, u32);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    sums: HashMap<Key, [Counters; 5]>,
    reports: BTreeMap<Key, InterfaceReport>,
    captures: BTreeMap<Key, CaptureReport>,
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
            self.reports.insert((report.netns, report.ifindex), report.clone());
        }
        for report in &batch.captures {
            self.tapped = true;
            self.captures.insert((report.netns, report.ifindex), report.clone());
        }
    }

    /// Bytes of a flow were put where they belong.
    pub(super) fn add(&mut self, flow: &FlowId, slot: Slot, moved: &Counters) {
        let mut key = (flow.netns, flow.ifindex);
        if self.sums.len() >= MOST && !self.sums.contains_key(&key) {
            key = (0, 0);
        }
        self.sums.entry(key).or_default()[part(slot)] += *moved;
    }

    /// Pending bytes of a flow are on their way to another.
    pub(super) fn unpark(&mut self, flow: &FlowId, moved: &Counters) {
        let key = (flow.netns, flow.ifindex);
        let key = if self.sums.contains_key(&key) { key } else { (0, 0) };
        self.sums.entry(key).or_default()[part(Slot::Pending)] -= *moved;
    }

    /// The ledger of every interface that reported or moved something.
    pub(super) fn ledger(&self, names: &HashMap<Key, Arc<str>>) -> Vec<InterfaceLedger> {
        let mut ledger: Vec<_> = self.reports.values().map(|report| self.reported(report)).collect();
        // What an interface of this netns moved stands in its report; those of others have none.
        let others: BTreeSet<Key> = self.sums.keys().chain(self.captures.keys()).copied().collect();
        for key in others.iter().filter(|key| !self.reports.contains_key(key)) {
            let rule = DeviceRule::default();
            let sum = [(self.sums.get(key).copied().unwrap_or_default(), 0)];
            let capture = self.captures.get(key);
            let name = names.get(key).or(capture.map(|report| &report.name));
            ledger.push(InterfaceLedger {
                netns: key.0,
                ifindex: key.1,
                name: name.map(Arc::clone).unwrap_or_default(),
                capture: capture.map(|report| report.capture),
                rx: side(&sum, |counters, tag| rule.rx(counters, tag)),
                tx: side(&sum, |counters, tag| rule.tx(counters, tag)),
            });
        }
        ledger.retain(|interface| {
            interface.capture.is_some() || [interface.rx, interface.tx].iter().any(InterfaceSide::moved)
        });
        ledger.sort_by_key(|interface| (interface.netns, interface.ifindex));
        ledger
    }

    fn reported(&self, report: &InterfaceReport) -> InterfaceLedger {
        let InterfaceReport { netns, ifindex, name, rule, rx_device, tx_device, carries, tap } = report;
        let sums: Vec<_> = carries
            .iter()
            .filter_map(|(upper, tag)| Some((*self.sums.get(&(*netns, *upper))?, *tag)))
            .collect();
        let mut rx = side(&sums, |counters, tag| rule.rx(counters, tag));
        let mut tx = side(&sums, |counters, tag| rule.tx(counters, tag));
        (rx.device, tx.device) = (Some(*rx_device), Some(*tx_device));
        (rx.tap, tx.tap) = (tap.map(|tap| tap.0), tap.map(|tap| tap.1));
        InterfaceLedger {
            netns: *netns,
            ifindex: *ifindex,
            name: Arc::clone(name),
            rx: rx.closed(),
            tx: tx.closed(),
            capture: None,
        }
    }
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
