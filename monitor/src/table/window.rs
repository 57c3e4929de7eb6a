//! Averages over the last 2, 10 and 40 s, from bytes per tick.
//!
//! A tick is the interval of one batch, or of several short ones; the table keeps one ring of them. A series holds the
//! bytes of one row for the ticks in which it had any. Bytes are taken as spread evenly over their tick, so a late, an
//! early or a missed poll changes the resolution of a rate and never its sum. Nothing here remembers more than 40 s,
//! and nothing here is a total.

use std::collections::VecDeque;

use crate::model::{Mono, WINDOW_SECONDS, WINDOWS, Windows};

const SECOND: u64 = 1_000_000_000;
/// Nothing older than this is asked for, ns.
const LONGEST: u64 = WINDOW_SECONDS[WINDOWS - 1] * SECOND;
/// A batch shorter than this joins the tick before it, ns: early drains must not make the ring long.
const SHORT: u64 = SECOND / 4;
/// A tick of this length takes no more batches, ns.
const FULL: u64 = SECOND / 2;

/// The intervals of the last 40 s, oldest first, each with a number that is never used again.
#[derive(Debug, Default)]
pub(super) struct Ticks {
    first: u32,
    ring: VecDeque<(u64, u64)>,
}

impl Ticks {
    /// The tick of what moved in `from..to`: a new one, or the latest where both are short and adjoin.
    pub(super) fn note(&mut self, from: Mono, to: Mono) -> u32 {
        let (from, to) = (from.0, to.0.max(from.0));
        match self.ring.back_mut() {
            Some(latest) if latest.1 == from && to - from < SHORT && latest.1 - latest.0 < FULL => {
                latest.1 = to;
            }
            _ => self.ring.push_back((from, to)),
        }
        self.forget(to);
        self.end().wrapping_sub(1)
    }

    /// Number of the oldest tick that still counts.
    pub(super) fn oldest(&self) -> u32 {
        self.first
    }

    /// How much of each tick lies in the windows that end at `now`.
    pub(super) fn view(&mut self, now: Mono, start: Mono) -> View {
        self.forget(now.0);
        let elapsed = now.0.saturating_sub(start.0);
        View {
            first: self.first,
            shares: self.ring.iter().map(|tick| shares(*tick, now.0)).collect(),
            spans: WINDOW_SECONDS.map(|seconds| elapsed.min(seconds * SECOND)),
        }
    }

    fn end(&self) -> u32 {
        self.first.wrapping_add(u32::try_from(self.ring.len()).unwrap_or(u32::MAX))
    }

    fn forget(&mut self, now: u64) {
        while self.ring.front().is_some_and(|tick| tick.1.saturating_add(LONGEST) <= now) {
            self.ring.pop_front();
            self.first = self.first.wrapping_add(1);
        }
    }
}

/// The part of a tick that lies in a window: `part / whole`.
#[derive(Clone, Copy, Debug)]
struct Share {
    part: u64,
    whole: u64,
}

impl Share {
    fn of(self, bytes: u64) -> u64 {
        if self.part == self.whole {
            return bytes;
        }
        scale(bytes, self.part, self.whole)
    }
}

fn shares((from, to): (u64, u64), now: u64) -> [Share; WINDOWS] {
    WINDOW_SECONDS.map(|seconds| {
        let since = now.saturating_sub(seconds * SECOND);
        if from == to {
            return Share { part: u64::from(from >= since && from <= now), whole: 1 };
        }
        Share { part: to.min(now).saturating_sub(from.max(since)), whole: to - from }
    })
}

/// `amount * by / over`, rounded down, without overflow on the way; 0 where `over` is.
fn scale(amount: u64, by: u64, over: u64) -> u64 {
    match (amount.checked_mul(by), over) {
        (_, 0) => 0,
        (Some(product), _) => product / over,
        (None, _) => {
            u64::try_from(u128::from(amount) * u128::from(by) / u128::from(over)).unwrap_or(u64::MAX)
        }
    }
}

/// What a rate needs to know of the ticks at one instant; made once for all rows of a snapshot.
#[derive(Debug)]
pub(super) struct View {
    first: u32,
    shares: Vec<[Share; WINDOWS]>,
    spans: [u64; WINDOWS],
}

impl View {
    /// Average rates of `series`, bits/s. Forgets what is too old.
    pub(super) fn rates(&self, series: &mut Series) -> Windows {
        series.forget(self.first);
        let (mut rx, mut tx) = ([0_u64; WINDOWS], [0_u64; WINDOWS]);
        for bin in &series.bins {
            let Some(shares) = self.shares.get(bin.tick.wrapping_sub(self.first) as usize) else { continue };
            for (window, share) in shares.iter().enumerate().filter(|(_, share)| share.part != 0) {
                rx[window] += share.of(bin.rx);
                tx[window] += share.of(bin.tx);
            }
        }
        let rate = |sums: [u64; WINDOWS]| {
            std::array::from_fn(|window| scale(sums[window], 8 * SECOND, self.spans[window]))
        };
        Windows { rx: rate(rx), tx: rate(tx) }
    }

    /// A 2 s rate as what it adds to a whole window: until one has passed since start, a short burst must not count as
    /// a high rate for ever.
    pub(super) fn over_whole_window(&self, rate: u64) -> u64 {
        scale(rate, self.spans[0], WINDOW_SECONDS[0] * SECOND)
    }
}

/// Bytes of one tick.
#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    tick: u32,
    rx: u64,
    tx: u64,
}

/// Bytes of one row by tick, oldest first; only ticks with traffic.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    bins: VecDeque<Bin>,
}

impl Series {
    /// Whether all windows are zero.
    pub(super) fn is_empty(&self) -> bool {
        self.bins.is_empty()
    }

    /// Adds bytes to `tick`, and forgets what lies before `oldest`.
    pub(super) fn add(&mut self, tick: u32, rx: u64, tx: u64, oldest: u32) {
        while self.bins.front().is_some_and(|bin| bin.tick < oldest) {
            self.bins.pop_front();
        }
        let at = self.bins.partition_point(|bin| bin.tick < tick);
        match self.bins.get_mut(at) {
            Some(bin) if bin.tick == tick => {
                bin.rx += rx;
                bin.tx += tx;
            }
            _ => self.bins.insert(at, Bin { tick, rx, tx }),
        }
    }

    /// Adds what `other` holds from `oldest` on.
    pub(super) fn merge(&mut self, other: &Self, oldest: u32) {
        for bin in other.bins.iter().filter(|bin| bin.tick >= oldest) {
            self.add(bin.tick, bin.rx, bin.tx, oldest);
        }
    }

    /// Takes away what was once added as `other`.
    pub(super) fn remove(&mut self, other: &Self) {
        for gone in &other.bins {
            let at = self.bins.partition_point(|bin| bin.tick < gone.tick);
            if let Some(bin) = self.bins.get_mut(at).filter(|bin| bin.tick == gone.tick) {
                bin.rx = bin.rx.saturating_sub(gone.rx);
                bin.tx = bin.tx.saturating_sub(gone.tx);
            }
        }
        self.bins.retain(|bin| bin.rx != 0 || bin.tx != 0);
    }

    fn forget(&mut self, oldest: u32) {
        while self.bins.front().is_some_and(|bin| bin.tick < oldest) {
            self.bins.pop_front();
        }
        if self.bins.is_empty() {
            self.bins = VecDeque::new();
        }
    }
}
