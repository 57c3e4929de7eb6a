//! What happens to processes, told through a ring buffer in the order in which it happens.

use crate::ProcessKey;

/// Bytes of the ring buffer, a power of two: about 4,600 program starts between two looks at it. Userspace makes it
/// smaller where there are few CPUs to start programs.
pub const LIVES_BYTES: u32 = 4 << 20;

/// [`Life::kind`]: a process was made; `parent` is who it belongs to then.
pub const LIFE_BORN: u32 = 1;
/// [`Life::kind`]: it executed a program. The record is an [`Executed`].
pub const LIFE_EXECUTED: u32 = 2;
/// [`Life::kind`]: its last thread ended. Of the rest of the record, only the process and the time are set.
pub const LIFE_ENDED: u32 = 3;
/// [`Life::kind`]: it lived when the monitor started. Only in the stream of iter/task.
pub const LIFE_FOUND: u32 = 4;

/// One event of a process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// `LIFE_*`.
    pub kind: u32,
    /// Inode of its network namespace, 0 where unknown.
    pub netns: u32,
    /// The process.
    pub process: ProcessKey,
    /// Its real parent at that moment; tgid 0 = the kernel.
    pub parent: ProcessKey,
    /// `start_boottime` of the process, ns since boot, 0 where unknown.
    pub start: u64,
    /// When it happened, ns since boot.
    pub at: u64,
    /// cgroup2 id; 0 in all but [`LIFE_EXECUTED`].
    pub cgroup: u64,
    /// comm of the thread-group leader, zero-terminated.
    pub comm: [u8; 16],
    /// Real uid in the initial user namespace; only in [`LIFE_EXECUTED`].
    pub uid: u32,
    /// Zero.
    pub pad: u32,
}

/// Bytes of [`Executed::path`].
pub const PATH_BYTES: usize = 256;
/// Bytes of [`Executed::args`], a power of two.
pub const ARGS_BYTES: usize = 512;

/// A program start.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Executed {
    /// Who and when.
    pub life: Life,
    /// Inode number of the executable (of the interpreter, for a script), 0 where unknown.
    pub inode: u64,
    /// Device of its file system, as the kernel numbers it (`MKDEV`: 12 bits major, 20 bits minor).
    pub device: u32,
    /// Bytes of `path` in use, without its zero; 0 where it could not be read. `PATH_BYTES - 1` = cut.
    pub path_len: u32,
    /// Bytes of `args` in use.
    pub args_len: u32,
    /// Bytes that the arguments have.
    pub args_total: u32,
    /// The path that was given to execve(2), as it stands on the stack of the new program.
    pub path: [u8; PATH_BYTES],
    /// The arguments, each ended by a zero; cut at `args_len`.
    pub args: [u8; ARGS_BYTES],
}

const _: () = {
    assert!(core::mem::offset_of!(Executed, path) == 96);
};
