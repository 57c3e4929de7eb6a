//! The engine: the only place where source, table and resolvers meet, and the only clock.
//!
//! One named thread with a tokio current-thread runtime: one loop (`pipeline`) over beats, commands and signals, whatever
//! makes the beats (`driver`). It knows no consumer of its snapshots; those have subscribed to a `feed`.

pub(crate) mod bench;
mod clock;
mod command;
mod driver;
mod feed;
mod health;
mod live;
mod missed;
mod own;
mod pipeline;
mod recorded;
#[cfg(test)]
mod tests;
mod wake;

pub(crate) use command::{Command, Control, Snapshots};
pub(crate) use feed::Feed;
pub(crate) use live::{Origin, Reopen};
pub(crate) use recorded::Pace;

use crate::model::Mono;
use crate::resolve::Resolver;
pub(crate) use crate::resolve::{ProcessOptions, ResolveOptions, Zygote};
use crate::source::{Recording, SourceError};
use crate::table::TableConfig;
use crate::threads::{self, Role};
use driver::Driver;
use live::{Beats, Live};
use pipeline::Pipeline;
use recorded::Recorded;
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;

/// How the engine runs.
#[derive(Clone, Debug)]
pub(crate) struct EngineOptions {
    /// Between snapshots.
    pub interval: Duration,
    /// Stop by itself after this long.
    pub duration: Option<Duration>,
    /// A snapshot as soon as the source is open, and one soon after, for a person who waits.
    pub eager: bool,
    /// What is to be named.
    pub resolve: ResolveOptions,
    /// Flows that are held after their time, at most, for a person who wants to see what was.
    pub keep_ended: usize,
    /// Flows and processes that are held, at most so many of each.
    pub max_rows: usize,
}

impl EngineOptions {
    fn table(&self) -> TableConfig {
        TableConfig { keep_ended: self.keep_ended, ..TableConfig::bounded(self.max_rows) }
    }
}

/// Why the engine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// A frontend asked for it, or the duration was over.
    Done,
    /// This signal.
    Signal(i32),
}

/// A running engine.
pub(crate) struct Engine {
    /// Commands go in here.
    pub control: Control,
    thread: JoinHandle<Result<Ending, SourceError>>,
}

impl Engine {
    /// Starts the engine thread, which opens its source by itself: opening takes a while and the screen is already there.
    ///
    /// # Errors
    /// Where the system has no thread or no signal handler to give.
    pub(crate) fn start<F>(open: F, reopen: Reopen, options: EngineOptions, feed: Feed) -> io::Result<Self>
    where
        F: FnOnce(Mono) -> Result<Origin, SourceError> + Send + 'static,
    {
        let beats = Beats { interval: options.interval, duration: options.duration, eager: options.eager };
        let open = move || Ok(Live::new(open(clock::now())?, reopen, beats));
        Self::spawn(open, options, feed, true)
    }

    /// Starts the engine thread on a recording.
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub(crate) fn replay(
        recording: Box<dyn Recording>,
        pace: Pace,
        options: EngineOptions,
        feed: Feed,
    ) -> io::Result<Self> {
        let EngineOptions { interval, duration, .. } = options;
        let open = move || Recorded::new(recording, pace, interval, duration);
        // A recording comes out the same each time: where nobody looks on, no name server is asked.
        let hosts = options.resolve.hosts && pace.lingers;
        let resolve = ResolveOptions { hosts, processes: None, ..options.resolve };
        Self::spawn(open, EngineOptions { resolve, ..options }, feed, pace.lingers)
    }

    /// What the program itself costs is told where it is `watched`; elsewhere it would come out different each time.
    fn spawn<D, F>(open: F, options: EngineOptions, feed: Feed, watched: bool) -> io::Result<Self>
    where
        D: Driver,
        F: FnOnce() -> Result<D, SourceError> + Send + 'static,
    {
        let (control, commands) = mpsc::unbounded_channel();
        let thread = threads::spawn(Role::Engine, move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| SourceError::new(format!("cannot start the event loop: {error}")))?;
            runtime.block_on(async {
                let signals = Signals::new()
                    .map_err(|error| SourceError::new(format!("cannot install signal handlers: {error}")))?;
                let own = watched.then(own::Own::default);
                let resolver = Resolver::new(options.resolve.clone());
                let pipeline = Pipeline::new(open()?, options.table(), resolver, feed, own);
                pipeline.run(signals, commands).await
            })
        })?;
        Ok(Self { control, thread })
    }

    /// Splits off what a frontend needs.
    pub(crate) fn into_parts(self) -> (Control, Running) {
        (self.control, Running { thread: self.thread })
    }
}

/// An engine whose channels are elsewhere.
pub(crate) struct Running {
    thread: JoinHandle<Result<Ending, SourceError>>,
}

impl Running {
    /// Waits for the end.
    ///
    /// # Errors
    /// What made the engine fail.
    pub(crate) fn join(self) -> Result<Ending, SourceError> {
        self.thread
            .join()
            .unwrap_or_else(|_| Err(SourceError::new("the engine thread panicked; this is a bug")))
    }
}

/// The signals that end the program in good order.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The number of the next one (signal(7)).
    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
            _ = self.hangup.recv() => 1,
        }
    }
}
