//! Rate history, what moved lately, for graphs: the rates of everything, here, and of each row, in `trace`; and from such
//! rates, each over a time of its own, to columns that are all as wide as each other.
//!
//! Bounded: so many snapshots are kept.

use super::trace::{Mark, Point, Trace};
use crate::model::{Mono, Snapshot};
use std::collections::{HashSet, VecDeque};
use std::time::Duration;

/// Snapshots that are kept of the totals: as many as the widest graph has columns, where a column is a snapshot.
const KEPT: usize = 240;

/// The rates of all traffic, tick by tick, with those of rows.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// The number of the latest snapshot, and its time.
    latest: Option<(u64, Mono)>,
    totals: VecDeque<Point>,
    rows: Trace,
}

impl History {
    /// Takes a snapshot, once. Where the engine began to count anew, what was before is of something else.
    pub(super) fn take(&mut self, snapshot: &Snapshot) {
        if let Some((sequence, at)) = self.latest {
            if snapshot.at <= at {
                return;
            }
            if snapshot.sequence <= sequence {
                *self = Self::default();
            }
        }
        self.latest = Some((snapshot.sequence, snapshot.at));
        let moved = &snapshot.totals.interval;
        if self.totals.len() == KEPT {
            self.totals.pop_front();
        }
        self.totals.push_back(Point::new(moved.rx_bytes, moved.tx_bytes, snapshot.at, snapshot.interval));
        self.rows.take(snapshot);
    }

    /// The rates of everything, the oldest first.
    pub(super) fn totals(&self) -> impl Iterator<Item = &Point> {
        self.totals.iter()
    }

    /// The rates of these rows together up to an instant, the oldest first.
    pub(super) fn of(&self, marks: &HashSet<Mark>, until: Mono) -> Vec<Point> {
        self.rows.of(marks, until)
    }
}

/// Received and sent, the oldest first: as many columns as are asked for, each `step` long, the last of which ends at `until`.
/// A column is the average of what lies in it, and nothing where most of its time was not watched. An interval of several
/// steps fills several columns; one that is a little longer or shorter than a step fills one.
pub(super) fn columns<'p>(
    points: impl IntoIterator<Item = &'p Point>,
    until: Mono,
    step: Duration,
    count: usize,
) -> (Vec<u64>, Vec<u64>) {
    let step = step.as_nanos().max(1);
    let mut sums = vec![[0_u128; 3]; count];
    for point in points.into_iter().filter(|point| point.at <= until) {
        let (end, length) = (until.since(point.at).as_nanos(), point.interval.as_nanos().max(1));
        let nearest = |age: u128| (age + step / 2) / step;
        let (first, last) = match (nearest(end), nearest(end + length)) {
            (first, past) if first < past => (first, past - 1),
            _ => ((end + length / 2) / step, (end + length / 2) / step),
        };
        let each = length / (last - first + 1);
        for place in (first..=last).map_while(|place| usize::try_from(place).ok()).take_while(|p| *p < count)
        {
            let sum = &mut sums[count - 1 - place];
            sum[0] += u128::from(point.rx) * each;
            sum[1] += u128::from(point.tx) * each;
            sum[2] += each;
        }
    }
    let rate = |bits: u128, watched: u128| {
        if watched * 2 < step { 0 } else { bits.checked_div(watched).map_or(0, saturated) }
    };
    sums.into_iter().map(|[rx, tx, watched]| (rate(rx, watched), rate(tx, watched))).unzip()
}

fn saturated(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::fixture::busy;

    fn seconds(seconds: f64) -> Mono {
        Mono(100_000_000_000).plus(Duration::from_secs_f64(seconds))
    }

    /// Points after each other from the first time on, each of so many seconds and with that rate.
    fn points(intervals: &[(f64, u64)]) -> (Vec<Point>, Mono) {
        let mut at = 0.0;
        let point = |&(length, rx): &(f64, u64)| {
            at += length;
            Point { at: seconds(at), interval: Duration::from_secs_f64(length), rx, tx: 2 * rx }
        };
        let points: Vec<_> = intervals.iter().map(point).collect();
        let until = points.last().unwrap().at;
        (points, until)
    }

    fn drawn(intervals: &[(f64, u64)], step: u64, count: usize) -> Vec<u64> {
        let (points, until) = points(intervals);
        let (rx, tx) = columns(&points, until, Duration::from_secs(step), count);
        assert!(rx.iter().zip(&tx).all(|(rx, tx)| rx * 2 == *tx));
        rx
    }

    #[test]
    fn every_column_is_as_long_as_the_others() {
        // D7: an interval of ten seconds was one column beside those of one.
        assert_eq!(drawn(&[(1.0, 7), (3.0, 5), (1.0, 9)], 1, 6), [0, 7, 5, 5, 5, 9]);
        assert_eq!(drawn(&[(1.0, 10), (1.0, 20), (2.0, 30), (2.0, 60)], 2, 3), [15, 30, 60]);
        // Ticks are not exact, and one that came late is one with the next.
        let late = [(1.02, 1), (0.97, 2), (1.01, 3), (2.0, 4), (0.99, 5), (1.04, 6)];
        assert_eq!(drawn(&late, 1, 8), [0, 1, 2, 3, 4, 4, 5, 6]);
        // D6: the newest are the ones that stay where there is little room.
        assert_eq!(drawn(&late, 1, 2), [5, 6]);
        assert_eq!(drawn(&late, 1, 0), Vec::<u64>::new());
    }

    #[test]
    fn a_glimpse_is_no_column() {
        // D4: the first looks after the start are a few milliseconds apart.
        assert_eq!(drawn(&[(0.03, 900), (0.08, 8), (0.92, 8), (1.0, 8)], 1, 3), [0, 8, 8]);
        assert_eq!(drawn(&[(0.03, 900)], 1, 2), [0, 0]);
        assert_eq!(drawn(&[(0.6, 9)], 1, 2), [0, 9], "most of a second is one");
    }

    #[test]
    fn a_paused_graph_is_of_what_was_until_then() {
        let (points, _) = points(&[(1.0, 1), (1.0, 2), (1.0, 3)]);
        let (rx, _) = columns(&points, points[1].at, Duration::from_secs(1), 3);
        assert_eq!(rx, [0, 1, 2]);
    }

    #[test]
    fn a_snapshot_counts_once_and_little_is_kept() {
        let mut history = History::default();
        for sequence in 1..=500 {
            let snapshot = Snapshot { sequence, at: Mono(sequence), ..busy() };
            history.take(&snapshot);
            history.take(&snapshot);
        }
        assert_eq!(history.totals.len(), KEPT);
        let busy = busy();
        let expected = busy.totals.interval.rx_bytes * 8;
        assert_eq!(history.totals().last().map(|point| point.rx), Some(expected));
        // Counting began anew, on another interface.
        history.take(&Snapshot { sequence: 1, at: Mono(501), ..busy.clone() });
        assert_eq!(history.totals.len(), 1, "what was before is of something else");
        history.take(&Snapshot { sequence: 2, at: Mono(502), ..busy });
        assert_eq!(history.totals.len(), 2);
    }
}
