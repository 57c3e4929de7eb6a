//! What a frontend gets: one consistent picture, never changed after it is made.

use super::{
    Attribution, Confidence, Counters, FlowId, Health, HeldSockets, Identity, Inspected, InterfaceLedger,
    Mono, Names, OwnCost, ProcessId, TcpHealth, TcpState, Wall,
};
use std::sync::Arc;
use std::time::Duration;

/// Number of averaging windows.
pub(crate) const WINDOWS: usize = 3;
/// The averaging windows of iftop, in seconds.
pub(crate) const WINDOW_SECONDS: [u64; WINDOWS] = [2, 10, 40];

/// Average rates over the last 2, 10 and 40 s (or since start, where that is shorter), bits/s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Windows {
    /// Received.
    pub rx: [u64; WINDOWS],
    /// Sent.
    pub tx: [u64; WINDOWS],
}

/// Highest 2 s rates since start, bits/s; in the first two seconds, the rate since start where that is higher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peak {
    /// Received.
    pub rx: u64,
    /// Sent.
    pub tx: u64,
    /// Both.
    pub total: u64,
}

/// One flow under one owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FlowRow {
    /// The flow.
    pub id: FlowId,
    /// Whose it is.
    pub attribution: Attribution,
    /// comm of the owner, lossy UTF-8 and not escaped; empty where unknown.
    pub process: Arc<str>,
    /// Uid of the owner, else of the socket.
    pub uid: Option<u32>,
    /// What else names the owner; empty where unknown.
    pub identity: Arc<Identity>,
    /// Name of the interface; empty where unknown.
    pub interface: Arc<str>,
    /// Since the flow was first seen.
    pub total: Counters,
    /// In the snapshot's interval.
    pub interval: Counters,
    /// Average rates.
    pub windows: Windows,
    /// Highest rates.
    pub peak: Peak,
    /// How its TCP connection fares, where it is one and was sampled. Its state is that of the latest sample: see
    /// [`FlowRow::state`].
    pub tcp: Option<TcpHealth>,
    /// When the last descriptor of its socket was seen to be closed.
    pub closed: Option<Mono>,
    /// Its socket was open before counting began, and may have moved more than was counted.
    pub predates: bool,
    /// First traffic.
    pub first: Mono,
    /// Latest traffic.
    pub last: Mono,
}

impl FlowRow {
    /// Closed once its socket is, whatever it speaks; else the state of its TCP connection, where one was sampled.
    pub(crate) fn state(&self) -> Option<TcpState> {
        match self.closed {
            Some(_) => Some(TcpState::Closed),
            None => self.tcp.map(|tcp| tcp.state),
        }
    }
}

/// One process, or the bytes of no process: then `id` is `None` and `confidence` says why (pending, ambiguous, unknown).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProcessRow {
    /// The process.
    pub id: Option<ProcessId>,
    /// `Exact` for a process; `Pending`, `Ambiguous` or `Unknown` for the bytes of none.
    pub confidence: Confidence,
    /// comm of the thread-group leader, lossy UTF-8 and not escaped; "kernel", or the confidence's name for no process.
    pub process: Arc<str>,
    /// Full path of the executable.
    pub exe: Option<Arc<str>>,
    /// Start.
    pub start: Option<Mono>,
    /// Real uid.
    pub uid: Option<u32>,
    /// cgroup2 id, 0 where unknown.
    pub cgroup: u64,
    /// What else names it.
    pub identity: Arc<Identity>,
    /// When it was found to have ended.
    pub exited: Option<Mono>,
    /// Flows held now whose socket was not seen to be closed.
    pub flows: usize,
    /// Since the monitor started; never falls, but for `Pending`.
    pub total: Counters,
    /// In the snapshot's interval. What settling moved here counts as of this interval.
    pub interval: Counters,
    /// Average rates.
    pub windows: Windows,
    /// Highest rates; `None` of a part of a process, which nobody has measured.
    pub peak: Option<Peak>,
    /// Latest traffic.
    pub last: Mono,
}

/// Everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TotalsRow {
    /// Since the monitor started.
    pub total: Counters,
    /// In the snapshot's interval.
    pub interval: Counters,
    /// Average rates.
    pub windows: Windows,
    /// Highest rates.
    pub peak: Peak,
}

/// One direction of the ledger: where every counted byte went, wire bytes since start. `None` = not measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LedgerSide {
    /// Everything counted: the sum of the parts that follow, `forwarded` included where it is measured.
    pub counted: u64,
    /// On a process, exact, shared or inherited.
    pub attributed: u64,
    /// On the kernel.
    pub kernel: u64,
    /// Waiting for its owner.
    pub pending: u64,
    /// Several candidates.
    pub ambiguous: u64,
    /// No candidate.
    pub unknown: u64,
    /// Of all the above, what has no flow detail because the flow table was full.
    pub overflow: u64,
    /// Of all the above, what packet sockets sent: it passes no socket hook, so devices count it beside what they saw.
    pub injected: u64,
    /// What tapped interfaces carried and no socket saw, whatever the reason.
    pub forwarded: Option<u64>,
}

/// The ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// Received.
    pub rx: LedgerSide,
    /// Sent.
    pub tx: LedgerSide,
    /// One per interface that moved something, ordered by netns and index.
    pub interfaces: Vec<Arc<InterfaceLedger>>,
}

/// One consistent picture.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    /// Number of this snapshot, from 1.
    pub sequence: u64,
    /// When it was taken.
    pub at: Mono,
    /// The same as a date.
    pub wall: Wall,
    /// The date of boot: turns a `Mono` into a date.
    pub boot_wall: Wall,
    /// Since the previous snapshot.
    pub interval: Duration,
    /// Since counting began.
    pub elapsed: Duration,
    /// Everything.
    pub totals: TotalsRow,
    /// Where it went.
    pub ledger: Ledger,
    /// Processes, and the bytes of no process; in order of first appearance.
    pub processes: Vec<Arc<ProcessRow>>,
    /// Flows held now; in order of first appearance.
    pub flows: Vec<Arc<FlowRow>>,
    /// What addresses and ports are called.
    pub names: Arc<Names>,
    /// What was asked for by `Command::Inspect`.
    pub inspected: Option<Inspected>,
    /// What was asked for by `Command::ListSockets`.
    pub held: Option<HeldSockets>,
    /// State of the source.
    pub health: Arc<Health>,
    /// What `monitor` itself costs.
    pub own: OwnCost,
    /// The last one before exit.
    pub last: bool,
}
