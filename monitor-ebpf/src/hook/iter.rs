//! What is there when the monitor starts (kernel/bpf/task_iter.c): every descriptor of every process, which is the seed of
//! the owners, and every process.
//!
//! Writes one `SeedRecord` per inet socket and holder, and one `Life` per process, to the iterators' streams.

use crate::hook::tracing::is_inet;
use crate::life;
use crate::maps::{OFFSETS, global};
use crate::owner::{claimant, comm, field, key_of, seed, start_of};
use aya_ebpf::bindings::seq_file;
use aya_ebpf::helpers::generated::{bpf_get_socket_cookie, bpf_seq_write, bpf_sock_from_file};
use monitor_common::{Life, SeedRecord};

/// `struct bpf_iter__task_file` and, in it, `struct bpf_iter_meta` (include/linux/bpf.h): a stable ABI.
#[repr(C)]
pub struct TaskFile {
    meta: *const Meta,
    task: *const u8,
    fd: u32,
    file: *mut aya_ebpf::bindings::file,
}

#[repr(C)]
struct Meta {
    seq: *mut seq_file,
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
pub extern "C" fn task_file(ctx: *const TaskFile) -> i32 {
    // SAFETY: the iterator's context; task and file are null in the last call.
    unsafe {
        let (task, file) = ((*ctx).task, (*ctx).file);
        if task.is_null() || file.is_null() {
            return 0;
        }
        let socket = bpf_sock_from_file(file);
        if socket.is_null() {
            return 0;
        }
        let sk = field::<*const u8>(socket.cast(), global(&OFFSETS.socket_sk));
        if sk.is_null() || !is_inet(sk) {
            return 0;
        }
        let cookie = bpf_get_socket_cookie(sk.cast_mut().cast());
        let holder = claimant(field(task, global(&OFFSETS.task_tgid)), task);
        let netns = netns(sk);
        seed(sk.cast_mut().cast(), cookie, netns, &holder);
        let record = SeedRecord {
            cookie,
            process: key_of(&holder),
            start: start_of(&holder),
            comm: comm(&holder),
            netns,
        };
        bpf_seq_write((*(*ctx).meta).seq, (&raw const record).cast(), size_of::<SeedRecord>() as u32);
    }
    0
}

/// `struct bpf_iter__task` (include/linux/bpf.h).
#[repr(C)]
pub struct Task {
    meta: *const Meta,
    task: *const u8,
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub extern "C" fn task(ctx: *const Task) -> i32 {
    // SAFETY: the iterator's context; the task is null in the last call.
    unsafe {
        let task = (*ctx).task;
        if task.is_null() {
            return 0;
        }
        if let Some(record) = life::found(task) {
            bpf_seq_write((*(*ctx).meta).seq, (&raw const record).cast(), size_of::<Life>() as u32);
        }
    }
    0
}

/// The netns cookie of a socket, where it lies: tracing programs have no helper for it (Linux 5.12 made it a number that
/// is there from the start).
///
/// # Safety
/// `sk` must be a socket that the verifier knows.
#[inline(always)]
pub unsafe fn netns(sk: *const u8) -> u64 {
    if global(&OFFSETS.skc_net) == 0 || global(&OFFSETS.net_cookie) == 0 {
        return 0;
    }
    // SAFETY: `sk` is a socket that the verifier knows, and so is the namespace it points to.
    unsafe { field(field::<*const u8>(sk, global(&OFFSETS.skc_net)), global(&OFFSETS.net_cookie)) }
}
