//! Recorded: the driver of a recording. Interval after interval of its time, none left out, paced or as fast as it is read.
//!
//! A thread of its own reads: a pipe may be quiet for hours, and all the while commands and signals are obeyed. Nobody waits
//! for that thread's end.

use super::clock;
use super::driver::{Beat, Dates, Driver, Said};
use crate::model::{Batch, Degradation, Mono, ProcessId, Wall};
use crate::source::{Probe, Recording, SourceError, Step};
use crate::threads::{self, Role};
use std::collections::BTreeSet;
use std::future::pending;
use std::os::fd::OwnedFd;
use std::sync::mpsc as std_mpsc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

/// Why nothing can be asked.
pub(super) const NO_HOST: &str = "a recording has packets and no sockets";
/// How long a read that was cancelled may take to end.
const CANCELLED_WITHIN: Duration = Duration::from_secs(2);

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
    /// An interval was wished for and not told yet.
    asked: bool,
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
        threads::spawn(Role::Recording, read)
            .map_err(|error| SourceError::new(format!("cannot start the thread recording: {error}")))?;
        Ok(Self { wishes, told, cancel, asked: false })
    }

    /// The next interval. One that was wished for and not waited for is the next.
    async fn step(&mut self, interval: Duration) -> Told {
        if !std::mem::replace(&mut self.asked, true) {
            // Fails only when the thread is gone; then there is no answer either.
            let _ = self.wishes.send(interval);
        }
        let gone =
            || (Batch::default(), Err(SourceError::new("the thread recording is gone; this is a bug")));
        let told = self.told.recv().await.unwrap_or_else(gone);
        self.asked = false;
        told
    }

    /// What was read of the interval that was wished for last; nothing where the system does not even let go of the read.
    async fn cancelled(&mut self) -> Option<Batch> {
        self.cancel = None;
        if !self.asked {
            return None;
        }
        Some(timeout(CANCELLED_WITHIN, self.told.recv()).await.ok()??.0)
    }
}

/// See the module.
pub(super) struct Recorded {
    teller: Teller,
    pace: Pace,
    interval: Duration,
    /// It ends after this long of its own time.
    duration: Option<Duration>,
    boot: Wall,
    start: Mono,
    started: Instant,
    /// Everything before was told.
    reached: Mono,
    /// Read, and not due yet.
    ahead: Option<Told>,
    /// All was told, and stays.
    over: bool,
}

impl Recorded {
    /// Starts the thread that reads.
    ///
    /// # Errors
    /// Where the system has none to give.
    pub(super) fn new(
        recording: Box<dyn Recording>,
        pace: Pace,
        interval: Duration,
        duration: Option<Duration>,
    ) -> Result<Self, SourceError> {
        let boot = recording.boot();
        // A recording of nothing has no time of its own.
        let start = recording.start().unwrap_or_else(|| boot.until(clock::wall()));
        Ok(Self {
            teller: Teller::start(recording)?,
            pace,
            interval,
            duration,
            boot,
            start,
            started: Instant::now(),
            reached: start,
            ahead: None,
            over: false,
        })
    }

    fn beat(&mut self, (mut batch, step): Told) -> Beat {
        self.reached = self.reached.max(batch.to);
        (batch.from, batch.to) = (batch.from.max(self.start), self.reached);
        let enough = self.duration.is_some_and(|duration| self.reached.since(self.start) >= duration);
        let then = step.map(|step| match step {
            Step::More if !enough => Step::More,
            Step::More | Step::Ended => {
                self.over = self.pace.lingers && self.duration.is_none();
                if self.over { Step::More } else { Step::Ended }
            }
        });
        Beat { batch: Some(batch), due: true, then, ..Beat::of(self.reached) }
    }
}

impl Driver for Recorded {
    fn since(&self) -> Mono {
        self.start
    }

    fn dates(&mut self, at: Mono) -> Dates {
        Dates { wall: self.boot.plus(at), boot: self.boot }
    }

    async fn next(&mut self) -> Beat {
        if self.over {
            return pending().await;
        }
        if self.ahead.is_none() {
            self.ahead = Some(self.teller.step(self.interval).await);
        }
        if let (Some(speed), Some((batch, _))) = (self.pace.speed, &self.ahead) {
            sleep_until(self.started + batch.to.since(self.start).div_f64(speed)).await;
        }
        match self.ahead.take() {
            Some(told) => self.beat(told),
            None => Beat::of(self.reached),
        }
    }

    fn at_once(&mut self) -> Option<Beat> {
        None
    }

    fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }

    fn waits(&self) -> bool {
        true
    }

    fn watch(&mut self, interfaces: &[String]) -> Result<(), Degradation> {
        Err(Degradation {
            what: format!("nothing is counted on {}", interfaces.join(", ")),
            why: "a recording has the interfaces that it was captured on".to_owned(),
            fix: "start monitor without --read to count on interfaces of this host".to_owned(),
        })
    }

    fn probe(&mut self) -> Result<&mut dyn Probe, &'static str> {
        Err(NO_HOST)
    }

    fn ended(&self, _processes: &BTreeSet<ProcessId>) -> Vec<ProcessId> {
        Vec::new()
    }

    fn said(&self) -> Said<'_> {
        Said::default()
    }

    async fn close(&mut self) -> Beat {
        let left = match self.ahead.take() {
            Some((batch, _)) => Some(batch),
            None => self.teller.cancelled().await,
        };
        // Why a read ended is that it was told to.
        match left {
            Some(batch) => self.beat((batch, Ok(Step::Ended))),
            None => Beat::of(self.reached),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Engine;
    use super::*;
    use crate::engine::{Command, Control, Ending, EngineOptions, Feed, ResolveOptions, Running, Snapshots};
    use crate::model::{HeldSockets, Inspected, OwnCost, Snapshot};
    use crate::query::fixture::{endpoint, flow, process};
    use std::sync::Arc;

    /// One interval at once, and then nothing until it is cancelled, or for ever.
    struct Quiet {
        steps: usize,
        /// Told of each step as it begins.
        begun: std_mpsc::Sender<usize>,
        cancel: Option<OwnedFd>,
        wait: Option<std::io::PipeReader>,
    }

    impl Quiet {
        fn new(can_be_cancelled: bool, begun: std_mpsc::Sender<usize>) -> Self {
            let (wait, cancel) = std::io::pipe().unwrap();
            let (wait, cancel) =
                if can_be_cancelled { (Some(wait), Some(cancel.into())) } else { (None, None) };
            Self { steps: 0, begun, cancel, wait }
        }
    }

    impl Recording for Quiet {
        fn boot(&self) -> Wall {
            Wall::EPOCH
        }

        fn start(&self) -> Option<Mono> {
            Some(Mono(5))
        }

        fn cancel(&mut self) -> Option<OwnedFd> {
            self.cancel.take()
        }

        fn step(&mut self, interval: Duration, out: &mut Batch) -> Result<Step, SourceError> {
            self.steps += 1;
            self.begun.send(self.steps).unwrap();
            let from = Mono(5).plus(interval.saturating_mul(u32::try_from(self.steps).unwrap() - 1));
            (out.from, out.to) = (from, from.plus(interval));
            if self.steps == 1 {
                return Ok(Step::More);
            }
            match &mut self.wait {
                Some(wait) => assert_eq!(std::io::Read::read(wait, &mut [0]).unwrap(), 0),
                None => loop {
                    std::thread::park();
                },
            }
            Err(SourceError::new("cancelled"))
        }
    }

    fn start(
        can_be_cancelled: bool,
        lingers: bool,
    ) -> (Snapshots, std_mpsc::Receiver<usize>, Control, Running) {
        let resolve = ResolveOptions { hosts: false, ..ResolveOptions::default() };
        let interval = Duration::from_secs(1);
        let options =
            EngineOptions { interval, duration: None, eager: true, keep_ended: 0, max_rows: 65_536, resolve };
        let (begun, steps) = std_mpsc::channel();
        let quiet = Box::new(Quiet::new(can_be_cancelled, begun));
        let mut feed = Feed::default();
        let snapshots = feed.every();
        let engine = Engine::replay(quiet, Pace { speed: None, lingers }, options, feed).unwrap();
        let (control, running) = engine.into_parts();
        (snapshots, steps, control, running)
    }

    /// The first picture in which that holds.
    fn until(feed: &mut mpsc::Receiver<Arc<Snapshot>>, holds: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        std::iter::from_fn(|| feed.blocking_recv()).find(|snapshot| holds(snapshot)).unwrap()
    }

    #[test]
    fn what_a_recording_cannot_do_is_said_also_while_it_is_quiet() {
        let (mut feed, steps, control, running) = start(true, true);
        until(&mut feed, |snapshot| snapshot.sequence == 1);
        let end = endpoint("10.0.0.1", 53);
        let flow = flow(7, &process(7, "seven", 0, 0), end, end).id;
        control.send(Command::Inspect(Some(flow))).unwrap();
        let process = ProcessId { pid: 7, generation: 7 };
        control.send(Command::ListSockets(Some(process))).unwrap();
        control.send(Command::Measure(true)).unwrap();
        control.send(Command::Hash(process)).unwrap();
        control.send(Command::Watch(vec!["eth7".to_owned()])).unwrap();
        let said = until(&mut feed, |snapshot| snapshot.health.degraded.len() > 1);
        assert_eq!(said.inspected, Some(Inspected { flow, socket: Err(NO_HOST) }));
        assert_eq!(said.held, Some(HeldSockets { process, sockets: Err(NO_HOST) }));
        let what = &said.health.degraded[0].what;
        assert!(what.contains("eth7"), "{what}");
        let what = &said.health.degraded[1].what;
        assert!(what.contains("process 7 is not hashed"), "{what}");
        assert_eq!(said.health.uncounted_runs.as_deref(), Some(NO_HOST));
        assert!(said.own.cpu > Duration::ZERO, "what it costs is known: {:?}", said.own);
        assert!(steps.iter().any(|step| step == 2), "it waits in the second");
        control.send(Command::Stop).unwrap();
        let last = until(&mut feed, |snapshot| snapshot.last);
        assert_eq!(last.at, Mono(5).plus(Duration::from_secs(2)), "what the cancelled step had is in it");
        assert_eq!(running.join().unwrap(), Ending::Done);
    }

    #[test]
    fn a_read_that_nothing_ends_keeps_nothing_from_ending() {
        let (mut feed, _steps, control, running) = start(false, false);
        until(&mut feed, |snapshot| snapshot.sequence == 1);
        control.send(Command::Stop).unwrap();
        let last = until(&mut feed, |snapshot| snapshot.last);
        assert_eq!(last.at, Mono(5).plus(Duration::from_secs(1)));
        assert_eq!(last.own, OwnCost::default(), "a recording comes out the same each time");
        assert_eq!(running.join().unwrap(), Ending::Done);
    }
}
