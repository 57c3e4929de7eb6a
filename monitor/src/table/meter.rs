//! Meters, what one row has moved: since start, in the current interval, and per tick.
//!
//! Every row of the table owns one meter, and bytes wait in one while they are parked, so that settling moves a meter
//! from row to row instead of guessing what was added when.

use crate::model::{Counters, Mono, Peak, Windows};

use super::window::{Series, View};

/// Where the table stands while it takes in a batch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    /// Number of the running interval: a meter stamped with another one has an interval of zero.
    pub(super) cut: u64,
    /// Number of the running tick.
    pub(super) tick: u32,
    /// Number of the oldest tick that still counts.
    pub(super) oldest: u32,
    /// End of the latest batch.
    pub(super) at: Mono,
}

/// Bytes on their way into a row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Amount<'a> {
    /// They moved in the running tick.
    Fresh(&'a Counters),
    /// They moved earlier, and settle now: they count in this interval, and in the windows where they belong.
    Settled(&'a Meter),
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    pub(super) total: Counters,
    interval: Counters,
    cut: u64,
    series: Series,
    /// Of whole windows.
    peak: Peak,
    pub(super) first: Mono,
    pub(super) last: Mono,
}

impl Meter {
    /// Adds.
    pub(super) fn add(&mut self, amount: Amount<'_>, clock: &Clock) {
        let new = self.total.is_zero();
        let (counters, first, last) = match amount {
            Amount::Fresh(counters) => {
                self.series.add(clock.tick, counters.rx_bytes, counters.tx_bytes, clock.oldest);
                (counters, clock.at, clock.at)
            }
            Amount::Settled(meter) => {
                self.series.merge(&meter.series, clock.oldest);
                (&meter.total, meter.first, meter.last)
            }
        };
        self.first = if new { first } else { self.first.min(first) };
        self.last = self.last.max(last);
        self.total += *counters;
        self.interval = self.interval(clock.cut) + *counters;
        self.cut = clock.cut;
    }

    /// Takes away what `parked` put here. The interval loses only what it had gained from it.
    pub(super) fn release(&mut self, parked: &Self, cut: u64) {
        self.total -= parked.total;
        self.interval = self.interval(cut) - parked.interval(cut);
        self.cut = cut;
        self.series.remove(&parked.series);
    }

    /// Takes over another row as it stands: nothing moves in time.
    pub(super) fn absorb(&mut self, other: &Self, clock: &Clock) {
        let interval = self.interval(clock.cut) + other.interval(clock.cut);
        self.add(Amount::Settled(other), clock);
        self.interval = interval;
    }

    /// What was added in interval `cut`.
    pub(super) fn interval(&self, cut: u64) -> Counters {
        if self.cut == cut { self.interval } else { Counters::default() }
    }

    /// Rates at the instant of `view` and the highest so far, which no rate beside it exceeds: while counting is younger
    /// than the window, the rate of that time is the highest, and is not remembered as such.
    pub(super) fn rates(&mut self, view: &View) -> (Windows, Peak) {
        let windows = view.rates(&mut self.series);
        let (rx, tx) = (windows.rx[0], windows.tx[0]);
        raise(&mut self.peak, view.over_whole_window(rx), view.over_whole_window(tx));
        let mut peak = self.peak;
        raise(&mut peak, rx, tx);
        (windows, peak)
    }

    /// Whether windows will change without traffic, because they have not decayed to zero.
    pub(super) fn decays(&self) -> bool {
        !self.series.is_empty()
    }
}

fn raise(peak: &mut Peak, rx: u64, tx: u64) {
    peak.rx = peak.rx.max(rx);
    peak.tx = peak.tx.max(tx);
    peak.total = peak.total.max(rx.saturating_add(tx));
}
