//! Driver: where beats come from, a live host or a recording, each in a time of its own. The loop knows no other difference.

use crate::model::{Batch, Degradation, Life, Mono, ProcessId, Wall};
use crate::source::{Probe, SourceError, Step};
use std::collections::BTreeSet;
use std::time::Duration;

/// What drives the loop.
pub(super) trait Driver {
    /// From when on it counts, by its own clock.
    fn since(&self) -> Mono;

    /// The dates of its clock at this instant of it.
    fn dates(&mut self, at: Mono) -> Dates;

    /// Waits for the next beat. Loses nothing where it is dropped while it waits.
    async fn next(&mut self) -> Beat;

    /// A beat at once, because somebody waits for what it shows; `None` where nothing new can be had before the next.
    fn at_once(&mut self) -> Option<Beat>;

    /// From now on, a beat this often.
    fn set_interval(&mut self, interval: Duration);

    /// Whether the next beat waits until the last one was taken: each interval of a recording is seen.
    fn waits(&self) -> bool;

    /// Counts on other interfaces, from zero. What counts now goes on where that cannot be.
    ///
    /// # Errors
    /// What the user is told.
    fn watch(&mut self, interfaces: &[String]) -> Result<(), Degradation>;

    /// What can be asked of the host while it is observed.
    ///
    /// # Errors
    /// In a few words, why nothing can.
    fn probe(&mut self) -> Result<&mut dyn Probe, &'static str>;

    /// Which of these processes have ended, as far as that can be looked up; a recording says it in its batches.
    fn ended(&self, processes: &BTreeSet<ProcessId>) -> Vec<ProcessId>;

    /// How owners are found, where its stages do that, and what they lack; what the source lacks is in its own health.
    fn said(&self) -> Said<'_>;

    /// Ends it, with all that is left.
    async fn close(&mut self) -> Beat;
}

/// The dates of an instant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dates {
    /// Of the instant.
    pub wall: Wall,
    /// Of when the clock stood at zero.
    pub boot: Wall,
}

/// What stages after a source say of themselves.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said<'s> {
    /// How owners are found; `None` where the source says that.
    pub tier: Option<&'s str>,
    /// What is missing.
    pub degraded: &'s [Degradation],
}

/// What is folded into the table in one go.
#[derive(Debug)]
pub(super) struct Beat {
    /// Until when this is: what the snapshot is stamped with.
    pub at: Mono,
    /// What happened to processes, in order.
    pub lives: Vec<Life>,
    /// What was observed; `None` where nobody looked.
    pub batch: Option<Batch>,
    /// An interval is over, so a snapshot is due.
    pub due: bool,
    /// How long after its time it came, where it has one and somebody waits.
    pub late: Option<(Duration, Duration)>,
    /// What comes after it, or why nothing can.
    pub then: Result<Step, SourceError>,
}

impl Beat {
    /// One in which nothing happened.
    pub(super) fn of(at: Mono) -> Self {
        Self { at, lives: Vec::new(), batch: None, due: false, late: None, then: Ok(Step::More) }
    }
}
