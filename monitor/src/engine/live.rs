//! Live: the driver of a host that is observed while it runs. Ticks, looks between them, and a duration that ends it.

use super::clock;
use super::driver::{Beat, Dates, Driver, Said};
use super::wake::{Look, Wakes, at};
use crate::attribution::Attributor;
use crate::model::{Batch, Degradation, Life, Mono, ProcessId};
use crate::resolve;
use crate::source::{Probe, Source, SourceError, Step};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// The second snapshot of an eager driver, after the first: something to look at before a whole interval is over.
const EAGER_TICK: Duration = Duration::from_millis(80);

/// What a live driver is started on.
pub(crate) struct Origin {
    /// Where traffic is observed.
    pub source: Box<dyn Source>,
    /// Who says whose it is, where the source does not.
    pub attribution: Option<Attributor>,
}

/// Opens what counts on other interfaces.
pub(crate) type Reopen = Box<dyn FnMut(&[String], Mono) -> Result<Origin, SourceError> + Send>;

impl From<Box<dyn Source>> for Origin {
    fn from(source: Box<dyn Source>) -> Self {
        Self { source, attribution: None }
    }
}

/// When a live driver beats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beats {
    /// Between two.
    pub interval: Duration,
    /// It ends by itself after this long.
    pub duration: Option<Duration>,
    /// One as soon as the source is open, and one soon after.
    pub eager: bool,
}

/// See the module.
pub(super) struct Live {
    source: Box<dyn Source>,
    attribution: Option<Attributor>,
    reopen: Reopen,
    wakes: Wakes,
    tick: Interval,
    /// Beats that come before the interval's own, the last one first.
    early: Vec<Instant>,
    deadline: Option<Instant>,
    boot: clock::Boot,
}

impl Live {
    /// Begins to beat. Only in a runtime.
    pub(super) fn new(origin: Origin, reopen: Reopen, beats: Beats) -> Self {
        let Beats { interval, duration, eager } = beats;
        let opened = Instant::now();
        let early =
            if eager { vec![opened + interval, opened + EAGER_TICK.min(interval)] } else { Vec::new() };
        let first = if eager { opened } else { opened + interval };
        Self {
            wakes: Wakes::of(&*origin.source),
            source: origin.source,
            attribution: origin.attribution,
            reopen,
            tick: every(interval, first),
            early,
            deadline: duration.map(|duration| opened + duration),
            boot: clock::Boot::default(),
        }
    }

    /// Asks the source for what it saw until now.
    fn poll(&mut self) -> Beat {
        let now = clock::now();
        let mut batch = Batch::default();
        let polled = self.source.poll(now, &mut batch);
        self.beat(now, batch, polled)
    }

    fn beat(&mut self, at: Mono, mut batch: Batch, result: Result<(), SourceError>) -> Beat {
        if let Some(attribution) = &mut self.attribution {
            attribution.complete(&mut batch);
        }
        Beat { batch: Some(batch), then: result.map(|()| Step::More), lives: self.lives(), ..Beat::of(at) }
    }

    /// What happened to processes: between two ticks more can happen than the kernel keeps.
    fn lives(&mut self) -> Vec<Life> {
        let mut lives = Vec::new();
        self.source.lives(&mut lives);
        lives
    }

    /// Looks at what asked for it between two ticks.
    fn look(&mut self, look: Look) -> Beat {
        let lives = if look == Look::Lives { self.lives() } else { Vec::new() };
        let mut beat = if self.source.urgent() { self.poll() } else { Beat::of(clock::now()) };
        beat.lives.splice(0..0, lives);
        beat
    }
}

fn every(interval: Duration, first: Instant) -> Interval {
    let mut tick = interval_at(first, interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

impl Driver for Live {
    fn since(&self) -> Mono {
        self.source.since()
    }

    fn dates(&mut self, at: Mono) -> Dates {
        Dates { wall: clock::wall().minus(clock::now().since(at)), boot: self.boot.wall() }
    }

    async fn next(&mut self) -> Beat {
        tokio::select! {
            // In this order, so that the tick at the deadline is the last object and not one more before it.
            biased;
            () = at(self.deadline) => Beat { then: Ok(Step::Ended), ..Beat::of(clock::now()) },
            due = self.tick.tick() => {
                let late = Some((due.elapsed(), self.tick.period()));
                if let Some(early) = self.early.pop() {
                    self.tick.reset_at(early);
                }
                Beat { due: true, late, ..self.poll() }
            }
            look = self.wakes.next() => self.look(look),
        }
    }

    fn at_once(&mut self) -> Option<Beat> {
        Some(Beat { due: true, ..self.poll() })
    }

    fn set_interval(&mut self, interval: Duration) {
        self.early.clear();
        self.tick = every(interval, Instant::now() + interval);
    }

    fn waits(&self) -> bool {
        false
    }

    fn watch(&mut self, interfaces: &[String]) -> Result<(), Degradation> {
        let origin = (self.reopen)(interfaces, clock::now()).map_err(|error| Degradation {
            what: format!("nothing is counted on {}", interfaces.join(", ")),
            why: error.message,
            fix: "choose another interface with i".to_owned(),
        })?;
        // What it counted since the latest tick is of before.
        if let Err(error) = self.source.close(clock::now(), &mut Batch::default()) {
            log::warn!("the interfaces of before: {error}");
        }
        (self.source, self.attribution) = (origin.source, origin.attribution);
        self.wakes = Wakes::of(&*self.source);
        Ok(())
    }

    fn probe(&mut self) -> Result<&mut dyn Probe, &'static str> {
        self.source.probe()
    }

    fn ended(&self, processes: &BTreeSet<ProcessId>) -> Vec<ProcessId> {
        resolve::gone(processes)
    }

    fn said(&self) -> Said<'_> {
        self.attribution.as_ref().map_or_else(Said::default, |attribution| Said {
            tier: Some(attribution.tier()),
            degraded: attribution.degradations(),
        })
    }

    /// Detaches, and drains to the last byte.
    async fn close(&mut self) -> Beat {
        let mut batch = Batch::default();
        let closed = self.source.close(clock::now(), &mut batch);
        let mut beat = self.beat(clock::now(), batch, closed);
        // It counted while it was detached.
        beat.at = clock::now();
        beat
    }
}
