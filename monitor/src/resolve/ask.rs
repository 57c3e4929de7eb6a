//! What the thread that names processes is asked: by the engine, and by slow helpers that come back with an answer.

use super::digest::Hashed;
use crate::model::{Life, Mono, ProcessId, ProcessSeen};

/// What the thread is asked.
#[derive(Debug)]
pub(super) enum Ask {
    /// This happened.
    Lives(Vec<Life>),
    /// These claimed sockets; the number comes back when they are named. `all` = with their packages, now.
    Seen { number: u64, now: Mono, seen: Vec<ProcessSeen>, all: bool },
    /// Hash the executable of this one.
    Hash(ProcessId),
    /// A hash that was asked for.
    Hashed(ProcessId, Hashed),
    /// The name of a uid that was asked for.
    User(u32, Option<String>),
}
