//! What was shown lately: the rates of everything, and of the rows that were on the screen, for graphs.
//!
//! Bounded: only rows that are looked at are followed, and those that are not any more are dropped.

use crate::model::Snapshot;
use crate::query::{Row, RowId};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// An interval shorter than this says nothing of a rate: the first is a few milliseconds long and holds all that moved
/// while the kernel programs were being attached.
pub(super) const SHORTEST: Duration = Duration::from_millis(50);
/// Snapshots that are kept: four minutes at one a second.
const KEPT: usize = 240;
/// Snapshots that are kept of a row.
const KEPT_OF_A_ROW: usize = 60;
/// Rows that are followed.
const ROWS: usize = 400;

/// Rates of the latest snapshots, bits/s, the oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    sequence: u64,
    totals: VecDeque<(u64, u64)>,
    rows: HashMap<RowId, Followed>,
}

#[derive(Clone, Debug)]
struct Followed {
    seen: u64,
    rates: VecDeque<u64>,
}

impl History {
    /// Takes a snapshot, once.
    pub(super) fn take<'s>(&mut self, snapshot: &'s Snapshot, looked_at: impl Iterator<Item = Row<'s>>) {
        if snapshot.sequence <= self.sequence {
            return;
        }
        self.sequence = snapshot.sequence;
        if snapshot.interval < SHORTEST {
            return;
        }
        let interval = &snapshot.totals.interval;
        push(
            &mut self.totals,
            (per_second(interval.rx_bytes, snapshot), per_second(interval.tx_bytes, snapshot)),
            KEPT,
        );
        for row in looked_at.take(ROWS) {
            let moved = row.interval();
            let rate = per_second(moved.rx_bytes + moved.tx_bytes, snapshot);
            let followed =
                self.rows.entry(row.id()).or_insert_with(|| Followed { seen: 0, rates: VecDeque::new() });
            followed.seen = self.sequence;
            push(&mut followed.rates, rate, KEPT_OF_A_ROW);
        }
        let latest = self.sequence;
        self.rows.retain(|_, followed| latest - followed.seen < KEPT_OF_A_ROW as u64);
    }

    /// Received and sent, the oldest first.
    pub(super) fn totals(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> + ExactSizeIterator {
        self.totals.iter().copied()
    }

    /// Both directions of a row, the oldest first; nothing where it was not on the screen.
    pub(super) fn row(&self, id: &RowId) -> Vec<u64> {
        self.rows.get(id).map(|followed| followed.rates.iter().copied().collect()).unwrap_or_default()
    }
}

/// Bits/s of what moved in the snapshot's interval.
fn per_second(bytes: u64, snapshot: &Snapshot) -> u64 {
    let nanoseconds = snapshot.interval.as_nanos().max(1);
    u64::try_from(u128::from(bytes) * 8 * 1_000_000_000 / nanoseconds).unwrap_or(u64::MAX)
}

fn push<T>(ring: &mut VecDeque<T>, value: T, kept: usize) {
    if ring.len() == kept {
        ring.pop_front();
    }
    ring.push_back(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::fixture::busy;

    #[test]
    fn each_snapshot_counts_once_and_little_is_kept() {
        let mut history = History::default();
        let mut first = None;
        for sequence in 1..=500 {
            let snapshot = Snapshot { sequence, ..busy() };
            let rows = || snapshot.processes.iter().take(3).map(|row| Row::Process(row));
            first = rows().next().map(Row::id);
            history.take(&snapshot, rows());
            history.take(&snapshot, rows());
        }
        assert_eq!(history.totals().len(), KEPT);
        let busy = busy();
        let expected = busy.totals.interval.rx_bytes * 8;
        assert_eq!(history.totals().next_back().map(|(rx, _)| rx), Some(expected));
        assert_eq!(history.row(&first.unwrap()).len(), KEPT_OF_A_ROW);
        for sequence in 501..=600 {
            history.take(&Snapshot { sequence, ..busy.clone() }, std::iter::empty());
        }
        assert!(history.rows.is_empty(), "rows that are not looked at are dropped");
        let before: Vec<_> = history.totals().collect();
        let interval = Duration::from_millis(3);
        history.take(&Snapshot { sequence: 601, interval, ..busy }, std::iter::empty());
        assert_eq!(history.totals().collect::<Vec<_>>(), before, "no rate comes of so short a time");
    }
}
