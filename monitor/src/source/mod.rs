//! Where traffic is observed. A source knows the model and nothing else: not the table, not the screen.

#[cfg(target_os = "linux")]
pub(crate) mod ebpf;
pub(crate) mod interfaces;
pub(crate) mod pcap;

use crate::model::{Batch, FlowId, HeldSocket, Life, Mono, ProcessId, SocketState, Wall};
use std::fmt;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Something that observes traffic.
pub(crate) trait Source: Send {
    /// From when on it counts. Asked before the first poll.
    fn since(&self) -> Mono;

    /// Appends what happened since the last poll and sets `out.from` and `out.to`. Never blocks for long; may be
    /// called late.
    ///
    /// # Errors
    /// Where nothing more can be observed; what was appended before is valid.
    fn poll(&mut self, now: Mono, out: &mut Batch) -> Result<(), SourceError>;

    /// A descriptor that becomes readable when there is something to look at before the next poll: `urgent` or `lives`.
    /// Without one, a source is looked at by the clock.
    fn asks(&self) -> Option<OwnedFd> {
        None
    }

    /// Whether a poll right now would save flow detail that a later one would find lost. Cheap.
    fn urgent(&self) -> bool;

    /// Appends what happened to processes since it was last asked, in order. Cheap: it is asked up to ten times a second,
    /// and after every poll. A source that does not see it appends nothing.
    fn lives(&mut self, out: &mut Vec<Life>) {
        let _ = out;
    }

    /// What can be asked of the host beside its traffic.
    ///
    /// # Errors
    /// In a few words, why nothing can.
    fn probe(&mut self) -> Result<&mut dyn Probe, &'static str> {
        Err("this source sees packets only")
    }

    /// Stops observing and appends all that is left, so that nothing counted is lost.
    ///
    /// # Errors
    /// As [`Source::poll`].
    fn close(&mut self, now: Mono, out: &mut Batch) -> Result<(), SourceError>;
}

/// A probe: what only a host that is observed while it runs can be asked.
pub(crate) trait Probe {
    /// Whether to count what observing itself costs in the kernel, which may make it cost a little more. Says it in the
    /// health of the batches that follow.
    fn measure(&mut self, on: bool);

    /// What is known of one flow's socket right now, packets or not; or in a few words why nothing is.
    ///
    /// # Errors
    /// The words.
    fn inspect(&mut self, flow: &FlowId) -> Result<SocketState, &'static str>;

    /// The sockets that a process holds right now; or in a few words why they are not known.
    ///
    /// # Errors
    /// The words.
    fn sockets(&mut self, process: ProcessId) -> Result<Vec<HeldSocket>, &'static str>;
}

/// Traffic that was observed before and is told again, in its own time.
pub trait Recording: Send {
    /// The date at which its clock stood at zero: when the host that was observed booted; the Unix epoch where it has dates
    /// only.
    fn boot(&self) -> Wall;

    /// When it begins, by its clock; `None` where there is nothing in it.
    fn start(&self) -> Option<Mono>;

    /// A descriptor that ends a `step` which waits for more, from another thread, once it is closed: the step fails then,
    /// with what it has appended. `None` where no step waits for long, and once it was given.
    fn cancel(&mut self) -> Option<OwnedFd>;

    /// Appends what happened in the next interval of its own time, and sets `out.from` and `out.to`. An interval in which
    /// nothing happened may be longer. May wait for what is not there yet.
    ///
    /// # Errors
    /// Where nothing more can be read; what was appended before is valid.
    fn step(&mut self, interval: Duration, out: &mut Batch) -> Result<Step, SourceError>;
}

/// What comes after an interval of a recording, or a beat of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more.
    More,
    /// That was all.
    Ended,
}

/// Why a source cannot start or go on: one sentence, with the fix.
#[derive(Debug)]
pub struct SourceError {
    /// What failed and what to do about it.
    pub message: String,
}

impl SourceError {
    /// From a sentence.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SourceError {}
