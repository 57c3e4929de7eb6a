//! What is there when the monitor starts (kernel/bpf/task_iter.c): every descriptor of every process, which is the seed of
//! the owners, and every process.
//!
//! Writes one `SeedRecord` per inet socket and holder, and one `Life` per process, to the iterators' streams.

use crate::btf::Task;
use crate::life;
use crate::owner::{Claimant, seed};
use crate::sk::TracedSock;
use aya_ebpf::bindings::{file, seq_file};
use aya_ebpf::helpers::generated::bpf_seq_write;
use monitor_common::{Plain, SeedRecord};

/// `struct bpf_iter__task_file` (include/linux/bpf.h): a stable ABI. Task and file are null in the last call.
#[repr(C)]
pub(crate) struct TaskFileContext {
    meta: &'static Meta,
    task: *const u8,
    fd: u32,
    file: *mut file,
}

/// `struct bpf_iter__task`. The task is null in the last call.
#[repr(C)]
pub(crate) struct TaskContext {
    meta: &'static Meta,
    task: *const u8,
}

/// `struct bpf_iter_meta`, as far as it is needed.
#[repr(C)]
struct Meta {
    seq: *mut seq_file,
}

impl Meta {
    /// Appends a record to what the reader of the iterator gets.
    #[inline(always)]
    fn write<T: Plain>(&self, record: &T) {
        let (record, size) = (core::ptr::from_ref(record).cast(), size_of::<T>() as u32);
        // SAFETY: the stream of the iterator that runs, and a record of the size that is passed.
        unsafe { bpf_seq_write(self.seq, record, size) };
    }
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
pub(crate) extern "C" fn task_file(ctx: &TaskFileContext) -> i32 {
    if ctx.task.is_null() || ctx.file.is_null() {
        return 0;
    }
    // SAFETY: of the context, and not null.
    let (task, sk) = unsafe { (Task::assume(ctx.task), TracedSock::of_file(ctx.file)) };
    let Some(sk) = sk else { return 0 };
    if !sk.is_inet() {
        return 0;
    }
    let cookie = sk.sock().cookie();
    let holder = Claimant::of(task);
    let netns = sk.netns_cookie();
    seed(sk.sock(), cookie, netns, &holder);
    let (process, start, comm) = (holder.key(), holder.start(), holder.comm());
    ctx.meta.write(&SeedRecord { cookie, process, start, comm, netns });
    0
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub(crate) extern "C" fn task(ctx: &TaskContext) -> i32 {
    if ctx.task.is_null() {
        return 0;
    }
    // SAFETY: of the context, and not null.
    if let Some(record) = life::found(unsafe { Task::assume(ctx.task) }) {
        ctx.meta.write(&record);
    }
    0
}
