//! What crosses between the engine thread and a frontend.

use crate::model::{FlowId, ProcessId, Snapshot};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// What a frontend can ask of the engine. Pausing is not among it: a paused frontend keeps its `Arc<Snapshot>` and
/// collection goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Drain once more, send a snapshot with `last` set, detach and end.
    Stop,
    /// Ask for the names of hosts, or stop asking; those that are known stay.
    NameHosts(bool),
    /// Hash the executable of this process; the sum is in a later snapshot ([`crate::model::Identity::sha256`]).
    Hash(ProcessId),
    /// Let go of what is over: closed and idle flows, processes that have ended. Their bytes stay counted.
    Clear,
    /// From now on, a snapshot this often.
    Interval(Duration),
    /// From now on every snapshot says what is known of this flow's socket, queues and connection, also while nothing moves;
    /// of none with `None`.
    Inspect(Option<FlowId>),
    /// From now on every snapshot lists the sockets that this process holds, idle and listening ones too; of none with
    /// `None`.
    ListSockets(Option<ProcessId>),
    /// Begin to count what counting itself costs, or end that: runs and time of the kernel programs, wake-ups. Off at
    /// first, because the counting costs, too.
    Measure(bool),
    /// Count on these interfaces from now on, from zero; on what is counted by itself where none is named. Where that is
    /// refused, what is counted stays, and the health of the snapshots says why.
    Watch(Vec<String>),
}

/// Snapshots, oldest first, from a channel with room for one: while a consumer has not taken the last one, it gets no new
/// one, so intervals are never lost, only longer. It ends after the snapshot with `last` set; if it ends
/// without one, the engine failed and `app` reports why.
pub(crate) type Snapshots = mpsc::Receiver<Arc<Snapshot>>;

/// Where commands go; sending fails only when the engine has ended.
pub(crate) type Control = mpsc::UnboundedSender<Command>;
