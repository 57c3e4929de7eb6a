//! Pipeline: the one loop. Beats of a driver are resolved, folded into the table and shown; commands are obeyed; signals end
//! it. Whatever the end was, what is left is shown.

use super::driver::{Beat, Driver};
use super::feed::Feed;
use super::health::Joined;
use super::own::Own;
use super::{Command, Ending, Signals};
use crate::model::{Batch, Degradation, FlowId, HeldSockets, Inspected, Life, Mono, ProcessId, Snapshot};
use crate::resolve::Resolver;
use crate::source::{SourceError, Step};
use crate::table::{FlowTable, TableConfig};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long a consumer may take to fetch the last snapshot.
const LAST_WITHIN: Duration = Duration::from_secs(2);

/// What somebody looks at, and what could not be done about it.
#[derive(Debug, Default)]
struct Asked {
    /// The flow whose socket is wanted.
    inspect: Option<FlowId>,
    /// The process whose sockets are wanted.
    listed: Option<ProcessId>,
    /// Why the latest wish for other interfaces was refused.
    unwatched: Option<Degradation>,
    /// Why the latest wish for a hash was.
    unhashed: Option<Degradation>,
    /// Why what counting costs is not counted.
    unmeasured: Option<&'static str>,
}

/// The state of the loop.
pub(super) struct Pipeline<D> {
    pub(super) driver: D,
    config: TableConfig,
    table: FlowTable,
    resolver: Resolver,
    feed: Feed,
    health: Joined,
    own: Option<Own>,
    asked: Asked,
    /// Everything before is in the table.
    reached: Mono,
    /// There is something to show that was not handed over yet.
    unseen: bool,
}

impl<D: Driver> Pipeline<D> {
    /// With an empty table.
    pub(super) fn new(
        driver: D,
        config: TableConfig,
        resolver: Resolver,
        feed: Feed,
        own: Option<Own>,
    ) -> Self {
        let reached = driver.since();
        Self {
            table: FlowTable::new(config, reached),
            driver,
            config,
            resolver,
            feed,
            health: Joined::default(),
            own,
            asked: Asked::default(),
            reached,
            unseen: false,
        }
    }

    /// Runs to the end, and shows what is left, whatever the end was.
    ///
    /// # Errors
    /// Why the driver cannot go on.
    pub(super) async fn run(
        mut self,
        mut signals: Signals,
        mut commands: mpsc::UnboundedReceiver<Command>,
    ) -> Result<Ending, SourceError> {
        #[cfg(debug_assertions)]
        test_panic();
        let ending = self.go_on(&mut signals, &mut commands).await;
        let finished = self.finish().await;
        let ending = ending?;
        finished.map(|()| ending)
    }

    /// Beats, and obeys, until the end.
    async fn go_on(
        &mut self,
        signals: &mut Signals,
        commands: &mut mpsc::UnboundedReceiver<Command>,
    ) -> Result<Ending, SourceError> {
        loop {
            // What waits for its reader goes on when that has taken the last picture.
            let held = self.unseen && self.driver.waits();
            tokio::select! {
                biased;
                signal = signals.next() => return Ok(Ending::Signal(signal)),
                command = commands.recv() => match command {
                    Some(Command::Stop) | None => return Ok(Ending::Done),
                    Some(command) => self.obey(command)?,
                },
                () = self.feed.foreground_room(), if held => self.show(),
                beat = self.driver.next(), if !held => {
                    if self.take(beat)? == Step::Ended {
                        return Ok(Ending::Done);
                    }
                }
            }
        }
    }

    /// Folds a beat, and shows what it makes due.
    pub(super) fn take(&mut self, beat: Beat) -> Result<Step, SourceError> {
        if let (Some(own), Some((late, interval))) = (&mut self.own, beat.late) {
            own.tick(late, interval);
        }
        self.fold(beat.at, beat.lives, beat.batch, false);
        let then = beat.then?;
        if beat.due && then == Step::More {
            self.unseen = true;
            if !self.driver.waits() {
                self.show();
            }
        }
        Ok(then)
    }

    fn fold(&mut self, at: Mono, lives: Vec<Life>, batch: Option<Batch>, last: bool) {
        self.resolver.note(lives);
        let Some(mut batch) = batch else { return };
        batch.gone.extend(self.driver.ended(self.table.sharers()));
        self.resolver.complete(&mut batch, last);
        self.feed.show(&batch);
        self.table.ingest(&batch);
        self.table.advance(batch.to);
        self.reached = at;
    }

    /// Shows to whoever has taken his last snapshot; where nobody has, the next one covers this interval, too.
    fn show(&mut self) {
        self.unseen = !self.feed.foreground_has_room();
        if let Some(own) = self.own.as_mut().filter(|_| self.unseen) {
            own.merge();
        }
        if self.feed.wants() {
            let snapshot = self.snapshot(false);
            if self.feed.publish(snapshot) {
                self.table.begin_interval(self.reached);
            }
        }
    }

    /// A picture of what moved until the driver looked: what it took to answer and to name belongs to the next interval, as
    /// its bytes do.
    fn snapshot(&mut self, last: bool) -> Snapshot {
        let dates = self.driver.dates(self.reached);
        let snapshot = self.table.snapshot(self.reached, dates.boot, last);
        let names = self.resolver.degradations();
        let refused = self.asked.unwatched.iter().chain(&self.asked.unhashed);
        let said = self.driver.said();
        let degraded = said.degraded.iter().chain(&names).chain(refused);
        let health = self.health.join(&snapshot.health, said.tier, degraded, self.asked.unmeasured);
        let (flow, process) = (self.asked.inspect, self.asked.listed);
        let probe = self.driver.probe().map(|probe| {
            (flow.map(|flow| probe.inspect(&flow)), process.map(|process| probe.sockets(process)))
        });
        let (socket, sockets) = match probe {
            Ok(answers) => answers,
            Err(why) => (Some(Err(why)), Some(Err(why))),
        };
        Snapshot {
            wall: dates.wall,
            names: self.resolver.names(),
            inspected: flow.zip(socket).map(|(flow, socket)| Inspected { flow, socket }),
            held: process.zip(sockets).map(|(process, sockets)| HeldSockets { process, sockets }),
            own: self.own.as_mut().map(Own::read).unwrap_or_default(),
            health,
            ..snapshot
        }
    }

    /// Does what a frontend asks. What cannot be done is said where its answer would stand.
    fn obey(&mut self, command: Command) -> Result<(), SourceError> {
        let mut at_once = false;
        match command {
            Command::Hash(process) => self.hash(process),
            Command::NameHosts(on) => self.resolver.name_hosts(on),
            Command::Clear => {
                self.table.clear();
                at_once = true;
            }
            Command::Interval(interval) => self.driver.set_interval(interval),
            Command::Watch(interfaces) => {
                self.watch(&interfaces);
                at_once = true;
            }
            Command::Inspect(flow) => self.asked.inspect = flow,
            Command::ListSockets(process) => self.asked.listed = process,
            Command::Measure(on) => self.measure(on),
            // The loop ends before it comes here.
            Command::Stop => {}
        }
        // The next beat of what waits may never come.
        self.unseen |= self.driver.waits();
        if at_once && let Some(beat) = self.driver.at_once() {
            self.take(beat)?;
        }
        Ok(())
    }

    fn hash(&mut self, process: ProcessId) {
        let asked = self.resolver.hash(process);
        self.asked.unhashed = (!asked).then(|| Degradation {
            what: format!("the executable of process {} is not hashed", process.pid),
            why: "it is of a recording, and not on this host".to_owned(),
            fix: "start monitor with --sha256 on the host that is recorded".to_owned(),
        });
    }

    fn watch(&mut self, interfaces: &[String]) {
        self.asked.unwatched = self.driver.watch(interfaces).err();
        if self.asked.unwatched.is_none() {
            self.table = FlowTable::new(self.config, self.driver.since());
        }
    }

    fn measure(&mut self, on: bool) {
        self.asked.unmeasured = match self.driver.probe() {
            Ok(probe) => {
                probe.measure(on);
                None
            }
            Err(why) => Some(why).filter(|_| on),
        };
        if let Some(own) = &mut self.own {
            own.look_closer(on);
        }
    }

    /// Ends the driver, takes what it has left and shows it.
    async fn finish(mut self) -> Result<(), SourceError> {
        let beat = self.driver.close().await;
        self.fold(beat.at, beat.lives, beat.batch, true);
        let snapshot = self.snapshot(true);
        self.feed.finish(snapshot, LAST_WITHIN).await;
        beat.then.map(|_| ())
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
