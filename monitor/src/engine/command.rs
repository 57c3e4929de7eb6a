//! What crosses between the engine thread and a frontend.

use crate::model::{ProcessId, Snapshot};
use std::sync::Arc;
use tokio::sync::mpsc;

/// What a frontend can ask of the engine. Pausing is not among it: a paused frontend keeps its `Arc<Snapshot>` and
/// collection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Drain once more, send a snapshot with `last` set, detach and end.
    Stop,
    /// Hash the executable of this process; the sum is in a later snapshot ([`crate::model::Identity::sha256`]).
    Hash(ProcessId),
}

/// Snapshots, oldest first, from a channel with room for one: while a frontend has not taken the last one, the engine
/// makes no new one, so intervals are never lost, only longer. It ends after the snapshot with `last` set; if it ends
/// without one, the engine failed and `app` reports why.
pub type Snapshots = mpsc::Receiver<Arc<Snapshot>>;

/// Where commands go; sending fails only when the engine has ended.
pub type Control = mpsc::UnboundedSender<Command>;
