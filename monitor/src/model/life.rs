//! Process events: what happens to processes, as far as naming them needs it.

use super::{Mono, ProcessId};
use std::collections::HashSet;
use std::sync::Arc;

/// One event, as the kernel told it. Events come in the order in which they happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// A process was made, or was there when the monitor started.
    Born(Born),
    /// It executed a program.
    Executed(Box<Executed>),
    /// Its last thread ended.
    Ended {
        /// The process.
        id: ProcessId,
        /// When.
        at: Mono,
    },
    /// Some events were lost: these are all that live at this time, and whoever was told of before and is not among them
    /// has ended.
    Census {
        /// They.
        living: HashSet<ProcessId>,
        /// When they were counted.
        at: Mono,
    },
}

/// A process as it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Born {
    /// The process.
    pub id: ProcessId,
    /// Its real parent at that moment; the kernel where it has none.
    pub parent: ProcessId,
    /// Start, where known.
    pub start: Option<Mono>,
    /// comm of the thread-group leader, lossy UTF-8.
    pub comm: Arc<str>,
    /// Inode of its network namespace, 0 where unknown.
    pub netns_inode: u64,
    /// It was there when the monitor started, so what it runs was not told.
    pub found: bool,
}

/// A program start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Executed {
    /// The process as it is from now on.
    pub process: Born,
    /// When.
    pub at: Mono,
    /// Real uid in the initial user namespace.
    pub uid: u32,
    /// cgroup2 id, 0 where unknown.
    pub cgroup: u64,
    /// The executable: device, as `stat` has it (major, minor), and inode. `None` where unknown.
    pub file: Option<(u32, u32, u64)>,
    /// The path as execve(2) got it; `None` where it was not read in whole.
    pub path: Option<Box<[u8]>>,
    /// The arguments, each ended by a zero byte.
    pub args: Box<[u8]>,
    /// There are more than `args` has.
    pub cut: bool,
}
