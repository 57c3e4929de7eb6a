//! What happens to processes: made, executed a program, ended. One record each, in the order of the events.
//!
//! The record of a program start has what /proc would tell of the process while it lives, so that a process which is
//! gone when userspace looks still has its name. How records come to userspace is `proc_events`' business.

use crate::btf::{Binprm, Task};
use crate::helper;
use crate::maps::{OFFSETS, global};
use crate::mem::{Live, field};
use crate::owner::Claimant;
use crate::proc_events::{submit, submit_executed};
use monitor_common::{
    ARGS_BYTES, Executed, LIFE_BORN, LIFE_ENDED, LIFE_EXECUTED, LIFE_FOUND, Life, ProcessKey,
};

/// Whether the kernel's structures are known as far as this needs them.
#[inline(always)]
fn readable() -> bool {
    global(&OFFSETS.task_group_leader) != 0
        && global(&OFFSETS.task_real_parent) != 0
        && global(&OFFSETS.task_pid) != 0
}

/// The beginning of a task's process or program, without what only a program start tells.
#[inline(always)]
fn life(kind: u32, task: Task, who: &Claimant) -> Life {
    Life {
        kind,
        netns: task.netns(),
        process: who.key(),
        parent: Claimant::of(task.parent()).key(),
        start: who.start(),
        at: helper::now(),
        cgroup: 0,
        comm: who.comm(),
        uid: 0,
        pad: 0,
    }
}

/// A process by its first thread; `None` for other threads and for the kernel's own.
#[inline(always)]
fn process(kind: u32, task: Task) -> Option<Life> {
    if !readable() || !task.leads() {
        return None;
    }
    let who = Claimant::of_leader(task);
    if who.is_kernel() { None } else { Some(life(kind, task, &who)) }
}

/// A process that lives already, for the iterator; `None` for threads and for the kernel's own.
#[inline(always)]
pub(crate) fn found(task: Task) -> Option<Life> {
    process(LIFE_FOUND, task)
}

/// A process was made. Threads and the kernel's own are not told.
#[inline(always)]
pub(crate) fn born(task: Task) {
    if let Some(event) = process(LIFE_BORN, task) {
        submit(event);
    }
}

/// A thread ends. Told where it is the last one of its process.
#[inline(always)]
pub(crate) fn ended(task: Task) {
    if !readable() || global(&OFFSETS.task_signal) == 0 || global(&OFFSETS.signal_live) == 0 {
        return;
    }
    if task.threads_left() != Some(0) {
        return;
    }
    let who = Claimant::of(task);
    if !who.is_kernel() {
        submit(Life {
            kind: LIFE_ENDED,
            netns: 0,
            process: who.key(),
            parent: ProcessKey { tgid: 0, generation: 0 },
            start: 0,
            at: helper::now(),
            cgroup: 0,
            comm: [0; 16],
            uid: 0,
            pad: 0,
        });
    }
}

/// The current process, whose task this is, executes a program: `binprm` says which.
#[inline(always)]
pub(crate) fn executed(task: Task, binprm: Binprm) {
    if !readable() {
        return;
    }
    submit_executed(|record| {
        // Whoever executes a program is its process's first thread by then (fs/exec.c, `de_thread`).
        let who = Claimant::of_leader(task);
        let mut event = life(LIFE_EXECUTED, task, &who);
        event.cgroup = helper::cgroup();
        event.uid = helper::uid_gid() as u32;
        record.part(field!(Executed, life)).fill(event);
        let (inode, device) = binprm.file();
        record.part(field!(Executed, inode)).fill(inode);
        record.part(field!(Executed, device)).fill(device);
        path(record, binprm);
        arguments(record, task);
    });
}

/// The path as execve(2) got it.
#[inline(always)]
fn path(record: Live<'_, Executed>, binprm: Binprm) {
    let mut len = 0;
    if let Some(path) = binprm.path() {
        let read = path.copy_string(record.part(field!(Executed, path)));
        // With its zero.
        if read > 0 {
            len = (read - 1).cast_unsigned() as u32;
        }
    }
    record.part(field!(Executed, path_len)).fill(len);
}

/// The arguments, from the stack of the new program.
#[inline(always)]
fn arguments(record: Live<'_, Executed>, task: Task) {
    let (mut len, mut total) = (0_u32, 0_u64);
    if let Some((start, length)) = task.arguments() {
        total = length;
        let most = ARGS_BYTES as u64 - 1;
        let wanted = if total > most { most } else { total };
        // The compiler would drop the mask, which is what the verifier goes by.
        let wanted = (core::hint::black_box(wanted) & most) as u32;
        if start.copy(record.part(field!(Executed, args)), wanted) {
            len = wanted;
        }
    }
    record.part(field!(Executed, args_len)).fill(len);
    record.part(field!(Executed, args_total)).fill(total as u32);
}
