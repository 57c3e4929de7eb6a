//! Missed: the intervals that a slow consumer has not taken, added up, so that its next snapshot covers them.
//!
//! It grows with the rows that moved something meanwhile. Bytes that wait for their owner are not kept here: they count in
//! the interval in which they settle. A flow that was let go meanwhile is in the row of its process only.

use crate::model::{Confidence, Counters, FlowId, FlowRow, ProcessId, ProcessRow, Snapshot};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

type ProcessKey = (Option<ProcessId>, Confidence);
type FlowKey = (FlowId, Option<ProcessId>, Confidence);

/// The row of processes that have ended.
const RETIRED: ProcessKey = (None, Confidence::Exact);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Missed {
    /// The first snapshot that was missed.
    since: Option<u64>,
    interval: Duration,
    totals: Counters,
    processes: HashMap<ProcessKey, Counters>,
    flows: HashMap<FlowKey, Counters>,
}

impl Missed {
    /// This one is missed.
    pub(super) fn note(&mut self, snapshot: &Snapshot) {
        self.since.get_or_insert(snapshot.sequence);
        self.interval += snapshot.interval;
        self.totals += snapshot.totals.interval;
        let moved =
            |confidence, interval: &Counters| confidence != Confidence::Pending && !interval.is_zero();
        for row in snapshot.processes.iter().filter(|row| moved(row.confidence, &row.interval)) {
            *self.processes.entry((row.id, row.confidence)).or_default() += row.interval;
        }
        for row in snapshot.flows.iter().filter(|row| moved(row.attribution.confidence, &row.interval)) {
            *self.flows.entry(key(row)).or_default() += row.interval;
        }
    }

    /// A snapshot that covers what was missed, too; the same where nothing was.
    pub(super) fn give(&mut self, snapshot: &Arc<Snapshot>) -> Arc<Snapshot> {
        let Some(since) = self.since else { return Arc::clone(snapshot) };
        let Self { interval, totals, mut processes, mut flows, .. } = std::mem::take(self);
        let mut all = Snapshot::clone(snapshot);
        all.interval += interval;
        all.totals.interval += totals;
        for row in &mut all.flows {
            if let Some(missed) = flows.remove(&key(row)) {
                *row = Arc::new(FlowRow { interval: row.interval + missed, ..FlowRow::clone(row) });
            }
        }
        let here: Vec<_> =
            all.processes.iter().map(|row| processes.remove(&(row.id, row.confidence))).collect();
        // Whoever has no row any more has ended.
        let ended: Counters = processes.into_values().sum();
        for (row, missed) in all.processes.iter_mut().zip(here) {
            let folded = ((row.id, row.confidence) == RETIRED && !ended.is_zero()).then_some(ended);
            if missed.is_some() || folded.is_some() {
                let interval = row.interval + missed.unwrap_or_default() + folded.unwrap_or_default();
                *row = Arc::new(ProcessRow { interval, ..ProcessRow::clone(row) });
            }
        }
        for interface in &mut all.ledger.interfaces {
            if interface.changed >= since && interface.changed < all.sequence {
                Arc::make_mut(interface).changed = all.sequence;
            }
        }
        Arc::new(all)
    }
}

fn key(row: &FlowRow) -> FlowKey {
    (row.id, row.attribution.owner, row.attribution.confidence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::fixture::busy;

    #[test]
    fn what_a_process_moved_that_ended_meanwhile_is_in_the_row_of_those_that_have() {
        let first = busy();
        let gone = Arc::clone(&first.processes[0]);
        let mut retired = ProcessRow::clone(&gone);
        (retired.id, retired.confidence, retired.interval) = (RETIRED.0, RETIRED.1, Counters::default());
        let mut second = Snapshot { sequence: first.sequence + 1, ..busy() };
        second.processes[0] = Arc::new(retired);
        second.flows.clear();
        let mut missed = Missed::default();
        missed.note(&first);
        let given = missed.give(&Arc::new(second));
        assert_eq!(given.processes[0].interval, gone.interval);
        assert_eq!(given.totals.interval, first.totals.interval + first.totals.interval);
    }
}
