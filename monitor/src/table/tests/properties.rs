//! What holds for any input, and the windows against a brute force.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// One batch in small numbers; the strategies turn it into a real one.
#[derive(Clone, Debug)]
struct Step {
    millis: u64,
    gap: u64,
    deltas: Vec<(u64, u16, Standing, Option<u32>, u64, u64)>,
    unplaced: Vec<(Option<u32>, Standing, u64)>,
    claims: Vec<(u64, u32, Method, u64, u64, bool)>,
    gone: Option<u32>,
    snapshot: bool,
}

fn standing() -> impl Strategy<Value = Standing> {
    prop_oneof![
        Just(Standing::Firm),
        Just(Standing::Made),
        Just(Standing::Unclaimed),
        Just(Standing::Inherited),
        Just(Standing::Listener),
        Just(Standing::Ambiguous),
        Just(Standing::Kernel),
    ]
}

fn method() -> impl Strategy<Value = Method> {
    prop_oneof![
        Just(Method::Seed),
        Just(Method::Create),
        Just(Method::Release),
        Just(Method::Bind),
        Just(Method::Read),
        Just(Method::Transfer),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let pid = || proptest::option::of(0..4_u32);
    let deltas = (0..5_u64, 0..3_u16, standing(), pid(), 0..1_000_u64, 0..1_000_u64);
    let claims = (0..5_u64, 0..4_u32, method(), 0..4_000_u64, 0..4_000_u64, proptest::bool::weighted(0.1));
    let gap = prop_oneof![4 => Just(0_u64), 1 => 0..8_000_u64, 1 => 50_000..80_000_u64];
    (
        prop_oneof![1..300_u64, 500..3_000_u64],
        gap,
        proptest::collection::vec(deltas, 0..6),
        proptest::collection::vec((pid(), standing(), 0..1_000_u64), 0..2),
        proptest::collection::vec(claims, 0..4),
        proptest::option::weighted(0.2, 0..4_u32),
        any::<bool>(),
    )
        .prop_map(|(millis, gap, deltas, unplaced, claims, gone, snapshot)| Step {
            millis,
            gap,
            deltas,
            unplaced,
            claims,
            gone,
            snapshot,
        })
}

fn process(pid: u32) -> ProcessId {
    ProcessId { pid, generation: pid }
}

fn millis(millis: u64) -> Mono {
    at(0.0).plus(Duration::from_millis(millis))
}

impl Step {
    /// The batch that begins at `now`, ms.
    fn batch(&self, now: u64) -> Batch {
        let deltas = self.deltas.iter().map(|&(socket, peer, standing, owner, rx, tx)| Delta {
            counters: Counters { tx_bytes: tx, tx_packets: tx / 100, ..self::rx(rx) },
            ..delta(flow(socket, peer), standing, owner.map(process), 0)
        });
        let unplaced = self.unplaced.iter().map(|&(owner, standing, bytes)| Unplaced {
            owner: owner.map(process),
            standing,
            counters: rx(bytes),
        });
        let claims = self.claims.iter().map(|&(socket, pid, method, first, length, closed)| Claim {
            socket: SocketId(socket),
            process: process(pid),
            method,
            first: millis(now + first),
            last: millis(now + first + length),
            closed,
        });
        Batch {
            from: millis(now),
            to: millis(now + self.millis),
            deltas: deltas.collect(),
            unplaced: unplaced.collect(),
            claims: claims.collect(),
            gone: self.gone.map(process).into_iter().collect(),
            ..Batch::default()
        }
    }
}

/// Everything that a row may not do from one snapshot to the next.
#[derive(Default)]
struct History {
    rows: BTreeMap<(Option<ProcessId>, Confidence, String), Counters>,
}

impl History {
    fn check(&mut self, snapshot: &Snapshot, input: Counters, whole: bool) {
        check_sums(snapshot);
        assert_eq!(snapshot.totals.total, input);
        let held: Counters = snapshot.flows.iter().map(|row| row.total).sum();
        assert!(held.rx_bytes <= input.rx_bytes && held.tx_bytes <= input.tx_bytes);
        if whole {
            assert_eq!(held, input);
        }
        for row in &snapshot.processes {
            let flows = snapshot.flows.iter().filter(|flow| {
                let attribution = &flow.attribution;
                let is_its = row.id.is_some() || attribution.confidence == row.confidence;
                attribution.owner == row.id && is_its && flow.closed.is_none()
            });
            let of_retired = row.id.is_none() && row.confidence == Confidence::Exact;
            assert!(of_retired || flows.count() == row.flows, "{row:?}");
            let old = self.rows.insert((row.id, row.confidence, row.process.to_string()), row.total);
            if let Some(old) = old.filter(|_| row.confidence != Confidence::Pending) {
                assert!(old.rx_bytes <= row.total.rx_bytes && old.tx_bytes <= row.total.tx_bytes);
                assert!(old.rx_packets <= row.total.rx_packets && old.tx_packets <= row.total.tx_packets);
            }
        }
        for flow in &snapshot.flows {
            assert!(!flow.total.is_zero());
            assert_eq!(flow.attribution.reason.is_none(), flow.attribution.confidence == Confidence::Exact);
        }
    }
}

fn run(steps: &[Step], config: TableConfig) {
    let mut table = FlowTable::new(config, at(0.0));
    let mut history = History::default();
    let (mut now, mut input, mut placed) = (0, Counters::default(), true);
    let mut sum_of_intervals = Counters::default();
    for step in steps {
        now += step.gap;
        let batch = step.batch(now);
        now += step.millis;
        input += batch.deltas.iter().map(|delta| delta.counters).sum();
        input += batch.unplaced.iter().map(|unplaced| unplaced.counters).sum();
        placed &= batch.unplaced.iter().all(|unplaced| unplaced.counters.is_zero());
        table.ingest(&batch);
        assert!(table.flows.len() <= config.max_flows);
        table.advance(millis(now));
        if step.snapshot {
            let snapshot = cut(&mut table, millis(now), Wall(0), false);
            sum_of_intervals += snapshot.totals.interval;
            history.check(&snapshot, input, placed && config.retire_after > Duration::from_hours(1));
        }
    }
    now += 10_000;
    table.advance(millis(now));
    let snapshot = cut(&mut table, millis(now), Wall(0), true);
    history.check(&snapshot, input, placed && config.retire_after > Duration::from_hours(1));
    assert_eq!((snapshot.ledger.rx.pending, snapshot.ledger.tx.pending), (0, 0), "nothing waits for ever");
    assert_eq!(sum_of_intervals + snapshot.totals.interval, input);
}

/// What moved by the other end's port: owners and sockets may change while bytes settle, the other end does not.
type Ends = BTreeMap<u16, Counters>;

fn ends<'c>(moved: impl Iterator<Item = (&'c FlowId, &'c Counters)>) -> Ends {
    let mut ends = Ends::new();
    for (flow, counters) in moved.filter(|(_, counters)| !counters.is_zero()) {
        *ends.entry(flow.remote.port.unwrap_or_default()).or_default() += *counters;
    }
    ends
}

/// Who can own the bytes of a socket: who was named with it, or with a listener, whose bytes may turn out to be of any.
#[derive(Default)]
struct Candidates {
    of_socket: BTreeSet<(SocketId, ProcessId)>,
    listeners: BTreeSet<SocketId>,
}

impl Candidates {
    fn note(&mut self, batch: &Batch) {
        for delta in &batch.deltas {
            self.of_socket.extend(delta.owner.map(|owner| (delta.flow.socket, owner)));
            if delta.standing == Standing::Listener {
                self.listeners.insert(delta.flow.socket);
            }
        }
        self.of_socket.extend(batch.claims.iter().map(|claim| (claim.socket, claim.process)));
    }

    fn check(&self, row: &FlowRow) {
        let Some(owner) = row.attribution.owner.filter(|owner| *owner != ProcessId::KERNEL) else { return };
        let named = |socket| self.of_socket.contains(&(socket, owner));
        let is_named = named(row.id.socket) || self.listeners.iter().any(|listener| named(*listener));
        assert!(is_named, "nobody named {owner:?} with the socket of {row:?}");
    }
}

/// Ingests everything, then lets time pass without input: whatever settles goes from `pending` to its owner once, flow by
/// flow, and nothing else changes.
fn settle(steps: &[Step]) {
    let config = TableConfig { retire_after: Duration::from_hours(1_000), ..TableConfig::default() };
    let mut table = FlowTable::new(config, at(0.0));
    let (mut now, mut input, mut candidates) = (0, Ends::new(), Candidates::default());
    for step in steps {
        now += step.gap;
        let batch = Batch { unplaced: Vec::new(), ..step.batch(now) };
        now += step.millis;
        for (end, moved) in ends(batch.deltas.iter().map(|delta| (&delta.flow, &delta.counters))) {
            *input.entry(end).or_default() += moved;
        }
        candidates.note(&batch);
        table.ingest(&batch);
        table.advance(millis(now));
    }
    let mut before = cut(&mut table, millis(now), Wall(0), false);
    for quarter in 1..=40 {
        let later = millis(now + quarter * 250);
        table.advance(later);
        let after = cut(&mut table, later, Wall(0), false);
        let held = ends(after.flows.iter().map(|row| (&row.id, &row.total)));
        assert_eq!(held, input, "each end's bytes are there once, whoever has them");
        after.flows.iter().for_each(|row| candidates.check(row));
        let [then, now] = [&before, &after].map(|snapshot| {
            let totals = snapshot.processes.iter().map(|row| ((row.id, row.confidence), row.total));
            totals.collect::<BTreeMap<_, _>>()
        });
        let pending = (None, Confidence::Pending);
        let of = |totals: &BTreeMap<_, Counters>, row| totals.get(row).copied().unwrap_or_default();
        assert!(then.keys().all(|row| *row == pending || now.contains_key(row)));
        for (row, now) in now.iter().filter(|(row, _)| **row != pending) {
            let then = of(&then, row);
            assert!(then.rx_bytes <= now.rx_bytes && then.tx_bytes <= now.tx_bytes, "{row:?} fell");
        }
        let arrived: Counters =
            now.keys().filter(|row| **row != pending).map(|row| of(&now, row) - of(&then, row)).sum();
        let left = of(&then, &pending) - of(&now, &pending);
        assert_eq!(arrived, left, "what arrives is what left");
        before = after;
    }
    assert!(before.processes.iter().all(|row| row.confidence != Confidence::Pending || row.total.is_zero()));
}

/// Bytes of every batch, each spread over its tick ms by ms, summed over a window.
fn brute_force(batches: &[(u64, u64, u64)], now: u64, window: u64) -> f64 {
    let mut ticks: Vec<(u64, u64, u64)> = Vec::new();
    for &(from, to, bytes) in batches {
        match ticks.last_mut() {
            Some(last) if last.1 == from && to - from < 250 && last.1 - last.0 < 500 => {
                last.1 = to;
                last.2 += bytes;
            }
            _ => ticks.push((from, to, bytes)),
        }
    }
    let since = now.saturating_sub(window);
    let in_window = |&(from, to, bytes): &(u64, u64, u64)| {
        let inside = (from..to).filter(|ms| (since..now).contains(ms)).count();
        bytes as f64 * inside as f64 / (to - from) as f64
    };
    ticks.iter().map(in_window).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_byte_is_lost_or_counted_twice(steps in proptest::collection::vec(step(), 1..40)) {
        run(&steps, TableConfig::default());
    }

    #[test]
    fn no_byte_is_lost_when_nothing_is_retired(steps in proptest::collection::vec(step(), 1..40)) {
        run(&steps, TableConfig { retire_after: Duration::from_hours(1_000), ..TableConfig::default() });
    }

    #[test]
    fn no_byte_is_lost_in_a_tiny_table(steps in proptest::collection::vec(step(), 1..40), max in 1..6_usize) {
        run(&steps, TableConfig { max_flows: max, max_sockets: max, max_names: 1, ..TableConfig::default() });
    }

    #[test]
    fn settling_moves_each_byte_once_and_to_one_of_its_candidates(
        steps in proptest::collection::vec(step(), 1..30),
    ) {
        settle(&steps);
    }

    #[test]
    fn windows_equal_the_brute_force_with_late_early_and_missed_polls(
        polls in proptest::collection::vec((1..4_000_u64, 0..3_u64, 0..5_000_u64, 0..300_u64), 1..60),
    ) {
        let mut table = FlowTable::new(TableConfig::default(), at(0.0));
        let (mut now, mut late, mut batches) = (0_u64, 0, Vec::new());
        for (length, gap, bytes, lag) in polls {
            // A gap is a poll whose batch was lost; lengths below 250 ms are early drains.
            let length = if length % 3 == 0 { 1 + length % 249 } else { length };
            let from = if gap == 2 { now + 700 } else { now };
            now = from + length;
            if bytes > 0 {
                batches.push((from, now, bytes));
            }
            let deltas = vec![delta(flow(1, 1), Standing::Firm, Some(WORKER), bytes)];
            let batch = Batch { from: millis(from), to: millis(now), deltas, ..Batch::default() };
            if bytes > 0 {
                table.ingest(&batch);
            }
            late = late.max(now + lag);
            let snapshot = cut(&mut table, millis(late), Wall(0), false);
            for (index, seconds) in WINDOW_SECONDS.iter().enumerate() {
                let span = late.min(seconds * 1_000);
                let expected = brute_force(&batches, late, seconds * 1_000) * 8_000.0 / span as f64;
                let got = snapshot.totals.windows.rx[index] as f64;
                // Rounded down once per partial tick and once at the end.
                let slack = 2.0 * 8_000.0 / span as f64 + 1.0;
                prop_assert!(got <= expected + 1e-6 && got >= expected - slack, "{got} {expected} {span}");
                let rows = snapshot.processes.iter().map(|row| row.windows.rx[index]).sum::<u64>();
                prop_assert_eq!(rows, snapshot.totals.windows.rx[index]);
            }
        }
    }

    #[test]
    fn rates_of_rows_add_up_to_the_rate_of_the_total(steps in proptest::collection::vec(step(), 1..40)) {
        let mut table = FlowTable::new(TableConfig::default(), at(0.0));
        let mut now = 0;
        for step in &steps {
            now += step.gap;
            let batch = step.batch(now);
            now += step.millis;
            table.ingest(&batch);
            table.advance(millis(now));
            let snapshot = cut(&mut table, millis(now), Wall(0), false);
            for (window, seconds) in WINDOW_SECONDS.iter().enumerate() {
                let rows: u64 = snapshot.processes.iter().map(|row| row.windows.tx[window]).sum();
                let total = snapshot.totals.windows.tx[window];
                let per_byte = 8_000 / now.min(seconds * 1_000) + 1;
                let slack = (snapshot.processes.len() as u64 + 1) * 3 * per_byte;
                prop_assert!(rows.abs_diff(total) <= slack, "{rows} {total}");
            }
        }
    }
}
