//! The loop for a recording: interval after interval of its time, none left out, paced or as fast as it is read.
//!
//! A thread of its own reads: a pipe may be quiet for hours, and all the while commands and signals are obeyed. Nobody waits
//! for that thread's end.

use super::{Command, Ending, EngineOptions, Signals, clock, own};
use crate::model::{Batch, Degradation, FlowId, HeldSockets, Inspected, Mono, ProcessId, Snapshot};
use crate::resolve::{ResolveOptions, Resolver};
use crate::source::{Recording, SourceError, Step};
use crate::table::FlowTable;
use std::os::fd::OwnedFd;
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

/// Why nothing is known of a socket.
const NO_SOCKETS: &str = "a recording has packets and no sockets";

/// How a recording is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pace {
    /// So many seconds of the recording in one; `None` as fast as it can be read.
    pub speed: Option<f64>,
    /// The last picture stays until somebody has had enough of it.
    pub lingers: bool,
}

/// What happened in an interval, and whether there is more.
type Told = (Batch, Result<Step, SourceError>);

/// The thread that reads, one interval for each wish.
struct Teller {
    wishes: std_mpsc::Sender<Duration>,
    told: mpsc::Receiver<Told>,
    cancel: Option<OwnedFd>,
}

impl Teller {
    fn start(mut recording: Box<dyn Recording>) -> Result<Self, SourceError> {
        let cancel = recording.cancel();
        let (wishes, asked) = std_mpsc::channel();
        let (tell, told) = mpsc::channel(1);
        let read = move || {
            for interval in asked {
                let mut batch = Batch::default();
                let step = recording.step(interval, &mut batch);
                // Fails only when nobody wants to know any more.
                let _ = tell.blocking_send((batch, step));
            }
        };
        thread::Builder::new()
            .name("recording".to_owned())
            .spawn(read)
            .map_err(|error| SourceError::new(format!("cannot start the thread recording: {error}")))?;
        Ok(Self { wishes, told, cancel })
    }

    /// The next interval.
    async fn step(&mut self, interval: Duration) -> Told {
        // Fails only when the thread is gone; then there is no answer either.
        let _ = self.wishes.send(interval);
        let gone =
            || (Batch::default(), Err(SourceError::new("the thread recording is gone; this is a bug")));
        self.told.recv().await.unwrap_or_else(gone)
    }

    /// What was read of the interval that was wished for last; nothing where the system does not even let go of the read.
    async fn cancelled(&mut self) -> Option<Batch> {
        self.cancel = None;
        Some(timeout(super::LAST_WITHIN, self.told.recv()).await.ok()??.0)
    }
}

struct Replay {
    table: FlowTable,
    resolver: Resolver,
    snapshots: mpsc::Sender<Arc<Snapshot>>,
    commands: mpsc::UnboundedReceiver<Command>,
    signals: Signals,
    interval: Duration,
    start: Mono,
    /// Everything before is in the table.
    reached: Mono,
    /// Read where somebody looks on; otherwise a recording would not come out the same each time.
    own: Option<own::Own>,
    /// The flow that somebody looks at.
    inspect: Option<FlowId>,
    /// The process that somebody looks at.
    listed: Option<ProcessId>,
    /// Why the latest wish for other interfaces was refused.
    refused: Option<Degradation>,
    /// There is something to show that was not handed over yet.
    unseen: bool,
}

pub(super) async fn run(
    recording: Box<dyn Recording>,
    pace: Pace,
    options: EngineOptions,
    snapshots: mpsc::Sender<Arc<Snapshot>>,
    commands: mpsc::UnboundedReceiver<Command>,
) -> Result<Ending, SourceError> {
    // A recording of nothing has no time of its own.
    let start = recording.start().unwrap_or(Mono(clock::wall().unsigned_abs()));
    let mut replay = Replay::new(start, pace, &options, snapshots, commands)?;
    let mut teller = Teller::start(recording)?;
    let started = Instant::now();
    loop {
        let interval = replay.interval;
        let (batch, step) = match replay.obeying(teller.step(interval)).await {
            Ok(told) => told,
            Err(ending) => {
                if let Some(batch) = teller.cancelled().await {
                    replay.take(batch);
                }
                return replay.finish(ending).await;
            }
        };
        if let Some(speed) = pace.speed {
            let due = started + batch.to.since(start).div_f64(speed);
            if let Err(ending) = replay.obeying(sleep_until(due)).await {
                replay.take(batch);
                return replay.finish(ending).await;
            }
        }
        replay.take(batch);
        let over = options.duration.is_some_and(|duration| replay.reached.since(start) >= duration);
        match step {
            Ok(Step::More) if !over => {
                if let Err(ending) = replay.show().await {
                    return replay.finish(ending).await;
                }
            }
            Ok(_) => {
                let mut ending = Ending::Done;
                if pace.lingers && options.duration.is_none() {
                    ending = replay.linger().await;
                }
                return replay.finish(ending).await;
            }
            Err(error) => {
                replay.finish(Ending::Done).await?;
                return Err(error);
            }
        }
    }
}

impl Replay {
    fn new(
        start: Mono,
        pace: Pace,
        options: &EngineOptions,
        snapshots: mpsc::Sender<Arc<Snapshot>>,
        commands: mpsc::UnboundedReceiver<Command>,
    ) -> Result<Self, SourceError> {
        let signals = Signals::new()
            .map_err(|error| SourceError::new(format!("cannot install signal handlers: {error}")))?;
        let config = options.table();
        // A name server is asked where somebody looks on, for the same reason as `own`.
        let hosts = options.resolve.hosts && pace.lingers;
        Ok(Self {
            table: FlowTable::new(config, start),
            resolver: Resolver::new(ResolveOptions { hosts, processes: None, ..options.resolve.clone() }),
            snapshots,
            commands,
            signals,
            interval: options.interval,
            start,
            reached: start,
            own: pace.lingers.then(own::Own::default),
            inspect: None,
            listed: None,
            refused: None,
            unseen: false,
        })
    }

    fn take(&mut self, mut batch: Batch) {
        self.reached = self.reached.max(batch.to);
        (batch.from, batch.to) = (batch.from.max(self.start), self.reached);
        self.resolver.complete(&mut batch, false);
        self.table.ingest(&batch);
        self.table.advance(self.reached);
        self.unseen = true;
    }

    /// Waits for something and obeys meanwhile.
    ///
    /// # Errors
    /// Why it is to end.
    async fn obeying<T>(&mut self, what: impl Future<Output = T>) -> Result<T, Ending> {
        tokio::pin!(what);
        loop {
            tokio::select! {
                output = &mut what => return Ok(output),
                obeyed = self.obey() => obeyed?,
            }
        }
    }

    /// Hands over a picture and waits until there is room for it: a recording loses no interval.
    async fn show(&mut self) -> Result<(), Ending> {
        while self.unseen {
            self.obey().await?;
        }
        Ok(())
    }

    /// Obeys until it is to end.
    async fn linger(&mut self) -> Ending {
        loop {
            if let Err(ending) = self.obey().await {
                return ending;
            }
        }
    }

    /// Obeys one command, or hands over what was not seen yet. Whatever was not done when it is dropped is done next time.
    async fn obey(&mut self) -> Result<(), Ending> {
        let (snapshots, unseen) = (self.snapshots.clone(), self.unseen);
        tokio::select! {
            signal = self.signals.next() => Err(Ending::Signal(signal)),
            command = self.commands.recv() => match command {
                Some(Command::Stop) | None => Err(Ending::Done),
                Some(command) => {
                    self.change(command);
                    Ok(())
                }
            },
            room = snapshots.reserve(), if unseen => {
                // Fails only when the frontend is gone; then its Stop is already on its way.
                let room = room.map_err(|_| Ending::Done)?;
                room.send(Arc::new(self.snapshot(false)));
                Ok(())
            }
        }
    }

    fn change(&mut self, command: Command) {
        match command {
            Command::Clear => self.table.clear(),
            Command::Interval(interval) => self.interval = interval,
            Command::NameHosts(on) => self.resolver.name_hosts(on),
            Command::Inspect(flow) => self.inspect = flow,
            Command::ListSockets(process) => self.listed = process,
            Command::Watch(interfaces) => {
                let what = format!("nothing is counted on {}", interfaces.join(", "));
                let why = "a recording has the interfaces that it was captured on".to_owned();
                let fix = "start monitor without --read to count on interfaces of this host".to_owned();
                self.refused = Some(Degradation { what, why, fix });
            }
            // The health page says that nothing of it is counted; no process is named, so none can be hashed; `obey` stops.
            Command::Measure(_) | Command::Hash(_) | Command::Stop => return,
        }
        self.unseen = true;
    }

    fn snapshot(&mut self, last: bool) -> Snapshot {
        self.unseen = false;
        let mut snapshot = self.table.snapshot(self.reached, 0, last);
        if let Some(refused) = &self.refused {
            Arc::make_mut(&mut snapshot.health).degraded.push(refused.clone());
        }
        let inspected = self.inspect.map(|flow| Inspected { flow, socket: Err(NO_SOCKETS) });
        let held = self.listed.map(|process| HeldSockets { process, sockets: Err(NO_SOCKETS) });
        let own = self.own.as_mut().map(own::Own::read).unwrap_or_default();
        Snapshot { names: self.resolver.names(), own, inspected, held, ..snapshot }
    }

    async fn finish(mut self, ending: Ending) -> Result<Ending, SourceError> {
        let snapshot = Arc::new(self.snapshot(true));
        let _ = timeout(super::LAST_WITHIN, self.snapshots.send(snapshot)).await;
        Ok(ending)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Engine;
    use super::*;
    use crate::model::OwnCost;
    use crate::query::fixture::{endpoint, flow, process};
    use crate::source::Step;

    /// One interval at once, and then nothing until it is cancelled, or for ever.
    struct Quiet {
        steps: usize,
        cancel: Option<OwnedFd>,
        wait: Option<std::io::PipeReader>,
    }

    impl Quiet {
        fn new(can_be_cancelled: bool) -> Self {
            let (wait, cancel) = std::io::pipe().unwrap();
            let (wait, cancel) =
                if can_be_cancelled { (Some(wait), Some(cancel.into())) } else { (None, None) };
            Self { steps: 0, cancel, wait }
        }
    }

    impl Recording for Quiet {
        fn start(&self) -> Option<Mono> {
            Some(Mono(5))
        }

        fn cancel(&mut self) -> Option<OwnedFd> {
            self.cancel.take()
        }

        fn step(&mut self, interval: Duration, out: &mut Batch) -> Result<Step, SourceError> {
            self.steps += 1;
            let from = Mono(5).plus(interval.saturating_mul(u32::try_from(self.steps).unwrap() - 1));
            (out.from, out.to) = (from, from.plus(interval));
            if self.steps == 1 {
                return Ok(Step::More);
            }
            match &mut self.wait {
                Some(wait) => assert_eq!(std::io::Read::read(wait, &mut [0]).unwrap(), 0),
                None => loop {
                    thread::park();
                },
            }
            Err(SourceError::new("cancelled"))
        }
    }

    fn start(can_be_cancelled: bool, lingers: bool) -> Engine {
        let resolve = ResolveOptions { hosts: false, ..ResolveOptions::default() };
        let interval = Duration::from_secs(1);
        let options =
            EngineOptions { interval, duration: None, eager: true, keep_ended: 0, max_rows: 65_536, resolve };
        Engine::replay(Box::new(Quiet::new(can_be_cancelled)), Pace { speed: None, lingers }, options)
            .unwrap()
    }

    /// The first picture in which that holds.
    fn until(feed: &mut mpsc::Receiver<Arc<Snapshot>>, holds: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        std::iter::from_fn(|| feed.blocking_recv()).find(|snapshot| holds(snapshot)).unwrap()
    }

    #[test]
    fn what_a_recording_cannot_do_is_said_also_while_it_is_quiet() {
        let (mut feed, control, running) = start(true, true).into_parts();
        until(&mut feed, |snapshot| snapshot.sequence == 1);
        let end = endpoint("10.0.0.1", 53);
        let flow = flow(7, &process(7, "seven", 0, 0), end, end).id;
        control.send(Command::Inspect(Some(flow))).unwrap();
        let process = ProcessId { pid: 7, generation: 7 };
        control.send(Command::ListSockets(Some(process))).unwrap();
        control.send(Command::Watch(vec!["eth7".to_owned()])).unwrap();
        let said = until(&mut feed, |snapshot| !snapshot.health.degraded.is_empty());
        assert_eq!(said.inspected, Some(Inspected { flow, socket: Err(NO_SOCKETS) }));
        assert_eq!(said.held, Some(HeldSockets { process, sockets: Err(NO_SOCKETS) }));
        let what = &said.health.degraded[0].what;
        assert!(what.contains("eth7"), "{what}");
        assert!(said.own.cpu > Duration::ZERO, "what it costs is known: {:?}", said.own);
        control.send(Command::Stop).unwrap();
        let last = until(&mut feed, |snapshot| snapshot.last);
        assert_eq!(last.at, Mono(5).plus(Duration::from_secs(2)), "what the cancelled step had is in it");
        assert_eq!(running.join().unwrap(), Ending::Done);
    }

    #[test]
    fn a_read_that_nothing_ends_keeps_nothing_from_ending() {
        let (mut feed, control, running) = start(false, false).into_parts();
        until(&mut feed, |snapshot| snapshot.sequence == 1);
        control.send(Command::Stop).unwrap();
        let last = until(&mut feed, |snapshot| snapshot.last);
        assert_eq!(last.at, Mono(5).plus(Duration::from_secs(1)));
        assert_eq!(last.own, OwnCost::default(), "a recording comes out the same each time");
        assert_eq!(running.join().unwrap(), Ending::Done);
    }
}
