//! The only place where source, table and resolvers meet, and the only clock.
//!
//! One named thread with a tokio current-thread runtime: ticks, commands, signals. It knows no frontend; it hands
//! snapshots into a channel with room for one and makes no new one while the last has not been taken.

mod clock;
mod command;
mod own;
mod replay;
#[cfg(test)]
mod tests;
mod wake;

pub(crate) use command::{Command, Control, Snapshots};
pub(crate) use replay::Pace;

use crate::attribution::Attributor;
use crate::model::{Batch, Degradation, FlowId, HeldSockets, Inspected, Mono, ProcessId, Snapshot};
use crate::resolve::{self, Resolver};
pub(crate) use crate::resolve::{ProcessOptions, ResolveOptions, Zygote};
use crate::source::{Recording, Source, SourceError};
use crate::table::{FlowTable, TableConfig};
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use wake::{Look, Wakes, at};

/// How long a frontend may take to fetch the last snapshot.
const LAST_WITHIN: Duration = Duration::from_secs(2);
/// The second snapshot of an eager engine, after the first: something to look at before a whole interval is over.
const EAGER_TICK: Duration = Duration::from_millis(80);

/// What an engine is started on.
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
    /// Snapshots come out here.
    pub feed: Snapshots,
    /// Commands go in here.
    pub control: Control,
    thread: JoinHandle<Result<Ending, SourceError>>,
}

impl Engine {
    /// Starts the engine thread, which opens its source by itself: opening takes a while and the screen is already there.
    ///
    /// # Errors
    /// Where the system has no thread or no signal handler to give.
    pub(crate) fn start<F>(open: F, reopen: Reopen, options: EngineOptions) -> io::Result<Self>
    where
        F: FnOnce(Mono) -> Result<Origin, SourceError> + Send + 'static,
    {
        Self::spawn(move |snapshots, commands| run(open, reopen, options, snapshots, commands))
    }

    /// Starts the engine thread on a recording.
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub(crate) fn replay(
        recording: Box<dyn Recording>,
        pace: Pace,
        options: EngineOptions,
    ) -> io::Result<Self> {
        Self::spawn(move |snapshots, commands| replay::run(recording, pace, options, snapshots, commands))
    }

    fn spawn<F, R>(run: F) -> io::Result<Self>
    where
        F: FnOnce(mpsc::Sender<Arc<Snapshot>>, mpsc::UnboundedReceiver<Command>) -> R + Send + 'static,
        R: Future<Output = Result<Ending, SourceError>>,
    {
        let (snapshots, feed) = mpsc::channel(1);
        let (control, commands) = mpsc::unbounded_channel();
        let thread = thread::Builder::new().name("engine".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| SourceError::new(format!("cannot start the event loop: {error}")))?;
            runtime.block_on(run(snapshots, commands))
        })?;
        Ok(Self { feed, control, thread })
    }

    /// Splits off what a frontend needs.
    pub(crate) fn into_parts(self) -> (Snapshots, Control, Running) {
        (self.feed, self.control, Running { thread: self.thread })
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

/// The state of the loop.
struct Loop {
    source: Box<dyn Source>,
    wakes: Wakes,
    attribution: Option<Attributor>,
    reopen: Reopen,
    config: TableConfig,
    table: FlowTable,
    resolver: Resolver,
    snapshots: mpsc::Sender<Arc<Snapshot>>,
    boot: clock::Boot,
    own: own::Own,
    /// The flow that somebody looks at.
    inspect: Option<FlowId>,
    /// The process whose sockets somebody looks at.
    listed: Option<ProcessId>,
    /// Why the latest wish for other interfaces was refused.
    refused: Option<Degradation>,
}

impl Loop {
    /// A picture of what moved until `now`, when the source was asked: what it took to answer and to name belongs to the
    /// next interval, as its bytes do.
    fn snapshot(&mut self, now: Mono, last: bool) -> Snapshot {
        let mut snapshot = self.table.snapshot(now, self.boot.wall(), last);
        if let Some(refused) = &self.refused {
            Arc::make_mut(&mut snapshot.health).degraded.push(refused.clone());
        }
        let inspected = self.inspect.map(|flow| Inspected { flow, socket: self.source.inspect(&flow) });
        let held = self.listed.map(|process| HeldSockets { process, sockets: self.source.sockets(process) });
        let (names, own) = (self.resolver.names(), self.own.read());
        let wall = clock::wall().saturating_sub_unsigned(clock::now().0.saturating_sub(now.0));
        Snapshot { wall, names, inspected, held, own, ..snapshot }
    }

    /// Drains the source into the table.
    fn drain(&mut self, now: Mono) -> Result<(), SourceError> {
        let mut batch = Batch::default();
        let result = self.source.poll(now, &mut batch);
        self.take(batch, false);
        result
    }

    fn take(&mut self, mut batch: Batch, last: bool) {
        if let Some(attribution) = &mut self.attribution {
            attribution.complete(&mut batch);
        }
        batch.gone = resolve::gone(self.table.sharers());
        self.attend();
        self.resolver.complete(&mut batch, last);
        self.table.ingest(&batch);
        self.table.advance(batch.to);
    }

    /// Hands over what happened to processes: between two ticks more can happen than the kernel keeps.
    fn attend(&mut self) {
        let mut lives = Vec::new();
        self.source.lives(&mut lives);
        self.resolver.note(lives);
    }

    /// Drains and shows, unless the last snapshot still waits: then the next one covers this interval, too.
    fn tick(&mut self) -> Result<(), SourceError> {
        let now = clock::now();
        self.drain(now)?;
        if self.snapshots.capacity() > 0 {
            let snapshot = self.snapshot(now, false);
            // Fails only when the frontend is gone; its Stop is already on its way.
            let _ = self.snapshots.try_send(Arc::new(snapshot));
        } else {
            self.own.merge();
        }
        Ok(())
    }

    /// Counts on other interfaces, from zero. What counts now goes on where that cannot be.
    fn watch(&mut self, interfaces: &[String]) -> Result<(), SourceError> {
        let origin = match (self.reopen)(interfaces, clock::now()) {
            Ok(origin) => origin,
            Err(error) => {
                let what = format!("nothing is counted on {}", interfaces.join(", "));
                let fix = "choose another interface with i".to_owned();
                self.refused = Some(Degradation { what, why: error.message, fix });
                return self.tick();
            }
        };
        // What it counted since the latest tick is of before.
        if let Err(error) = self.source.close(clock::now(), &mut Batch::default()) {
            log::warn!("the interfaces of before: {error}");
        }
        (self.source, self.attribution) = (origin.source, origin.attribution);
        self.wakes = Wakes::of(&*self.source);
        self.table = FlowTable::new(self.config, self.source.since());
        self.refused = None;
        self.tick()
    }

    /// Detaches, drains to the last byte and shows it.
    async fn finish(mut self) -> Result<(), SourceError> {
        let mut batch = Batch::default();
        let result = self.source.close(clock::now(), &mut batch);
        self.take(batch, true);
        // It counted while it was detached.
        let snapshot = Arc::new(self.snapshot(clock::now(), true));
        let _ = timeout(LAST_WITHIN, self.snapshots.send(snapshot)).await;
        result
    }
}

/// Opens the source, runs to the end, and shows what is left, whatever the end was.
async fn run<F>(
    open: F,
    reopen: Reopen,
    options: EngineOptions,
    snapshots: mpsc::Sender<Arc<Snapshot>>,
    mut commands: mpsc::UnboundedReceiver<Command>,
) -> Result<Ending, SourceError>
where
    F: FnOnce(Mono) -> Result<Origin, SourceError>,
{
    let mut signals = Signals::new()
        .map_err(|error| SourceError::new(format!("cannot install signal handlers: {error}")))?;
    let Origin { source, attribution } = open(clock::now())?;
    let config = options.table();
    let table = FlowTable::new(config, source.since());
    let mut engine = Loop {
        wakes: Wakes::of(&*source),
        source,
        attribution,
        reopen,
        config,
        table,
        resolver: Resolver::new(options.resolve.clone()),
        snapshots,
        boot: clock::Boot::default(),
        own: own::Own::default(),
        inspect: None,
        listed: None,
        refused: None,
    };
    #[cfg(debug_assertions)]
    test_panic();
    let ending = engine.go_on(&options, &mut signals, &mut commands).await;
    let finished = engine.finish().await;
    let ending = ending?;
    finished.map(|()| ending)
}

impl Loop {
    /// Ticks, and obeys, until the end.
    async fn go_on(
        &mut self,
        options: &EngineOptions,
        signals: &mut Signals,
        commands: &mut mpsc::UnboundedReceiver<Command>,
    ) -> Result<Ending, SourceError> {
        let opened = Instant::now();
        let mut first = opened + options.interval;
        if options.eager {
            self.tick()?;
            first = opened + EAGER_TICK.min(options.interval);
        }
        let mut eager = options.eager;
        let mut tick = interval_at(first, options.interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let deadline = options.duration.map(|duration| opened + duration);

        loop {
            tokio::select! {
                // In this order, so that the tick at the deadline is the last object and not one more before it.
                biased;
                signal = signals.next() => return Ok(Ending::Signal(signal)),
                () = at(deadline) => return Ok(Ending::Done),
                command = commands.recv() => match command {
                    Some(Command::Hash(process)) => self.resolver.hash(process),
                    Some(Command::NameHosts(on)) => self.resolver.name_hosts(on),
                    Some(Command::Stop) | None => return Ok(Ending::Done),
                    Some(Command::Clear) => {
                        self.table.clear();
                        self.tick()?;
                    }
                    Some(Command::Interval(interval)) => {
                        tick = interval_at(Instant::now() + interval, interval);
                        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
                        eager = false;
                    }
                    Some(Command::Watch(interfaces)) => self.watch(&interfaces)?,
                    Some(Command::Inspect(flow)) => self.inspect = flow,
                    Some(Command::ListSockets(process)) => self.listed = process,
                    Some(Command::Measure(on)) => {
                        self.source.measure(on);
                        self.own.look_closer(on);
                    }
                },
                due = tick.tick() => {
                    self.own.tick(due.elapsed(), tick.period());
                    self.tick()?;
                    if std::mem::take(&mut eager) {
                        tick.reset_at(opened + options.interval);
                    }
                }
                look = self.wakes.next() => {
                    if look == Look::Lives {
                        self.attend();
                    }
                    if self.source.urgent() {
                        self.drain(clock::now())?;
                    }
                },
            }
        }
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

/// Panics where a test asks for it, to see what becomes of the terminal. Compiled into debug builds only.
#[cfg(debug_assertions)]
fn test_panic() {
    assert!(
        std::env::var_os("MONITOR_TEST_PANIC").is_none_or(|place| place != "engine"),
        "panic in the engine, as MONITOR_TEST_PANIC asks"
    );
}
