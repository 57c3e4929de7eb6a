//! Row history, what every row moved in the last two minutes, for the graph of whatever is opened: which rows that will be
//! is not known before.
//!
//! Bounded: of each snapshot the rows that moved the most are kept, as a hash of what they are and two rates.

use crate::model::{Counters, Mono, Snapshot, bits_per_second};
use crate::query::{Row, RowId};
use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// How far back it goes.
pub(super) const SPAN: Duration = Duration::from_mins(2);
/// Rows that are kept of a snapshot, of processes and of flows each.
const ROWS: usize = 1024;

/// What a row is, in short. Two rows that share one would share a graph; nothing else hangs on it.
pub(super) type Mark = u64;

/// The mark of a row.
pub(super) fn mark(id: &RowId) -> Mark {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// Rates, bits/s, over an interval and the time that it ends at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) at: Mono,
    pub(super) interval: Duration,
    pub(super) rx: u64,
    pub(super) tx: u64,
}

impl Point {
    /// Of bytes that moved in a snapshot's interval.
    pub(super) fn new(rx_bytes: u64, tx_bytes: u64, at: Mono, interval: Duration) -> Self {
        let rate = |bytes| bits_per_second(bytes, interval);
        Self { at, interval, rx: rate(rx_bytes), tx: rate(tx_bytes) }
    }
}

/// Bytes of one row in one interval.
#[derive(Clone, Copy, Debug)]
struct Moved {
    mark: Mark,
    rx: f32,
    tx: f32,
}

#[derive(Clone, Debug)]
struct Tick {
    at: Mono,
    interval: Duration,
    rows: Box<[Moved]>,
}

/// What the busiest rows moved, tick by tick.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    ticks: VecDeque<Tick>,
}

impl Trace {
    /// Takes a snapshot.
    pub(super) fn take(&mut self, snapshot: &Snapshot) {
        let mut rows = most(snapshot.processes.iter().map(|row| Row::Process(row)));
        rows.append(&mut most(snapshot.flows.iter().map(|row| Row::Flow(row))));
        let interval = snapshot.interval;
        self.ticks.push_back(Tick { at: snapshot.at, interval, rows: rows.into() });
        while self.ticks.front().is_some_and(|oldest| oldest.at.plus(SPAN) < snapshot.at) {
            self.ticks.pop_front();
        }
    }

    /// The rates of these rows together up to an instant, the oldest first.
    pub(super) fn of(&self, marks: &HashSet<Mark>, until: Mono) -> Vec<Point> {
        let point = |tick: &Tick| {
            let (mut rx, mut tx) = (0.0, 0.0);
            for row in tick.rows.iter().filter(|row| marks.contains(&row.mark)) {
                rx += f64::from(row.rx);
                tx += f64::from(row.tx);
            }
            let seconds = tick.interval.as_secs_f64().max(0.001);
            // Rates are positive and far below 2^53.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and small")]
            let rate = |bytes: f64| (bytes * 8.0 / seconds).round() as u64;
            Point { at: tick.at, interval: tick.interval, rx: rate(rx), tx: rate(tx) }
        };
        self.ticks.iter().filter(|tick| tick.at <= until).map(point).collect()
    }
}

/// Those that moved something; of too many those that moved the most.
fn most<'s>(rows: impl Iterator<Item = Row<'s>>) -> Vec<Moved> {
    let mut moved: Vec<(u64, Row<'s>)> =
        rows.map(|row| (bytes(row).bytes(), row)).filter(|(bytes, _)| *bytes > 0).collect();
    if moved.len() > ROWS {
        moved.select_nth_unstable_by_key(ROWS, |(bytes, _)| std::cmp::Reverse(*bytes));
        moved.truncate(ROWS);
    }
    let short = |row: Row<'_>| {
        let bytes = bytes(row);
        Moved { mark: mark(&row.id()), rx: bytes.rx_bytes as f32, tx: bytes.tx_bytes as f32 }
    };
    moved.into_iter().map(|(_, row)| short(row)).collect()
}

fn bytes(row: Row<'_>) -> &Counters {
    row.interval()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::fixture::{busy, process, snapshot};

    fn at(seconds: u64, snapshot: Snapshot) -> Snapshot {
        Snapshot { at: Mono(seconds * 1_000_000_000), ..snapshot }
    }

    #[test]
    fn rates_are_those_of_the_rows_asked_for() {
        let mut trace = Trace::default();
        let busy = busy();
        trace.take(&at(1, busy.clone()));
        let marks = |names: &[&str]| {
            let rows = busy.processes.iter().filter(|row| names.contains(&&*row.process));
            rows.map(|row| mark(&Row::Process(row).id())).collect::<HashSet<_>>()
        };
        let rates = |names: &[&str]| {
            let points = trace.of(&marks(names), Mono(u64::MAX));
            points.iter().map(|point| (point.rx, point.tx)).collect::<Vec<_>>()
        };
        assert_eq!(rates(&["nginx"]), [(212_000_000, 8_100_000)]);
        assert_eq!(rates(&["nginx", "curl"]), [(224_000_000, 8_300_000)]);
        assert_eq!(rates(&[]), [(0, 0)]);
        assert!(trace.of(&marks(&["nginx"]), Mono(0)).is_empty(), "what is shown may be older");
    }

    #[test]
    fn two_minutes_and_the_busiest_rows_are_kept() {
        let mut trace = Trace::default();
        for second in 0..300 {
            let rows = (1..=1500).map(|pid| process(pid, "p", u64::from(pid) * 80, 0)).collect();
            trace.take(&at(second, snapshot(rows, vec![])));
        }
        assert_eq!(trace.ticks.len(), 121);
        let latest = trace.ticks.back().unwrap();
        assert_eq!(latest.rows.len(), ROWS);
        assert!(latest.rows.iter().all(|row| row.rx >= 4760.0), "the greatest are kept");
    }
}
