//! What a tick costs in the engine: a batch in which every flow moved is folded, and its consumers get a snapshot.
//! `cargo bench -p monitor --bench tick`

use divan::Bencher;
use monitor::bench::Ticks;

fn main() {
    divan::main();
}

/// Flows, consumers that take every snapshot, and slots that nobody looks at.
const CASES: [(usize, usize, usize); 8] = [
    (10_000, 1, 0),
    (10_000, 1, 1),
    (10_000, 2, 0),
    (10_000, 4, 0),
    (100_000, 1, 0),
    (100_000, 1, 1),
    (100_000, 2, 0),
    (100_000, 4, 0),
];

#[divan::bench(args = CASES, sample_count = 20, sample_size = 1)]
fn tick(bencher: Bencher<'_, '_>, (flows, every, latest): (usize, usize, usize)) {
    let mut ticks = Ticks::new(flows, every, latest);
    ticks.tick();
    bencher.bench_local(|| ticks.tick());
    assert_eq!(ticks.waiting(), latest);
}
