//! The loop for a recording: interval after interval of its time, none left out, paced or as fast as it is read.

use super::{Command, Ending, EngineOptions, Signals, clock};
use crate::model::{Batch, Mono, Snapshot};
use crate::resolve::{ResolveOptions, Resolver};
use crate::source::{Recording, SourceError, Step};
use crate::table::{FlowTable, TableConfig};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// How a recording is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// So many seconds of the recording in one; `None` as fast as it can be read.
    pub speed: Option<f64>,
    /// The last picture stays until somebody has had enough of it.
    pub lingers: bool,
}

struct Replay {
    recording: Box<dyn Recording>,
    table: FlowTable,
    resolver: Resolver,
    snapshots: mpsc::Sender<Arc<Snapshot>>,
    commands: mpsc::UnboundedReceiver<Command>,
    signals: Signals,
    interval: Duration,
}

pub(super) async fn run(
    recording: Box<dyn Recording>,
    pace: Pace,
    options: EngineOptions,
    snapshots: mpsc::Sender<Arc<Snapshot>>,
    commands: mpsc::UnboundedReceiver<Command>,
) -> Result<Ending, SourceError> {
    let signals = Signals::new()
        .map_err(|error| SourceError::new(format!("cannot install signal handlers: {error}")))?;
    // A recording of nothing has no time of its own.
    let start = recording.start().unwrap_or(Mono(clock::wall().unsigned_abs()));
    let config = TableConfig { keep_ended: options.keep_ended, ..TableConfig::default() };
    let table = FlowTable::new(config, start);
    // A name server is asked where somebody looks on; otherwise a recording would not come out the same each time.
    let resolve = ResolveOptions { hosts: options.resolve.hosts && pace.lingers, ..options.resolve };
    let mut replay = Replay {
        recording,
        table,
        resolver: Resolver::new(resolve),
        snapshots,
        commands,
        signals,
        interval: options.interval,
    };
    let (mut reached, started) = (start, Instant::now());
    loop {
        let mut batch = Batch::default();
        let step = replay.recording.step(replay.interval, &mut batch);
        reached = reached.max(batch.to);
        (batch.from, batch.to) = (batch.from.max(start), reached);
        replay.resolver.complete(&mut batch, false);
        replay.table.ingest(&batch);
        replay.table.advance(reached);
        let due = pace.speed.map(|speed| started + reached.since(start).div_f64(speed));
        if let Some(ending) = replay.wait(due).await {
            return replay.finish(reached, ending).await;
        }
        let over = options.duration.is_some_and(|duration| reached.since(start) >= duration);
        match step {
            Ok(Step::More) if !over => {
                if let Some(ending) = replay.show(reached, false).await {
                    return replay.finish(reached, ending).await;
                }
            }
            Ok(_) => {
                let mut ending = Ending::Done;
                if pace.lingers && options.duration.is_none() {
                    replay.show(reached, false).await;
                    ending = replay.stopped().await;
                }
                return replay.finish(reached, ending).await;
            }
            Err(error) => {
                replay.finish(reached, Ending::Done).await?;
                return Err(error);
            }
        }
    }
}

impl Replay {
    /// Until then, or until it is to stop.
    async fn wait(&mut self, until: Option<Instant>) -> Option<Ending> {
        let until = until?;
        tokio::select! {
            ending = self.stopped() => Some(ending),
            () = sleep_until(until) => None,
        }
    }

    /// Obeys until it is to stop.
    async fn stopped(&mut self) -> Ending {
        loop {
            tokio::select! {
                signal = self.signals.next() => return Ending::Signal(signal),
                command = self.commands.recv() => match command {
                    Some(Command::Stop) | None => return Ending::Done,
                    Some(Command::Clear) => self.table.clear(),
                    Some(Command::Interval(interval)) => self.interval = interval,
                    Some(Command::NameHosts(on)) => self.resolver.name_hosts(on),
                    // There are no sockets, no processes and no interfaces, and no kernel program runs.
                    Some(
                        Command::Inspect(_)
                        | Command::ListSockets(_)
                        | Command::Measure(_)
                        | Command::Watch(_)
                        | Command::Hash(_),
                    ) => {}
                },
            }
        }
    }

    fn snapshot(&mut self, at: Mono, last: bool) -> Snapshot {
        Snapshot { names: self.resolver.names(), ..self.table.snapshot(at, 0, last) }
    }

    /// Hands over a picture and waits until there is room for it: a recording loses no interval.
    async fn show(&mut self, at: Mono, last: bool) -> Option<Ending> {
        let snapshot = Arc::new(self.snapshot(at, last));
        let sender = self.snapshots.clone();
        tokio::select! {
            // Fails only when the frontend is gone; then its Stop is already on its way.
            sent = sender.send(snapshot) => if sent.is_err() { Some(Ending::Done) } else { None },
            ending = self.stopped() => Some(ending),
        }
    }

    async fn finish(mut self, at: Mono, ending: Ending) -> Result<Ending, SourceError> {
        let snapshot = Arc::new(self.snapshot(at, true));
        let _ = tokio::time::timeout(super::LAST_WITHIN, self.snapshots.send(snapshot)).await;
        Ok(ending)
    }
}
