//! What happens to processes: made, executed a program, ended. One record each, in the order of the events.
//!
//! The record of a program start has what /proc would tell of the process while it lives, so that a process which is
//! gone when userspace looks still has its name. Userspace is woken for the first record since it last looked, and once
//! half of the buffer waits.

use crate::account::add;
use crate::maps::{CLAIM_STATS, LIVES, OFFSETS, global};
use crate::owner::{Claimant, claimant, comm, field, is_kernel, key_of, led_by, start_of};
use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_RING_SIZE};
use aya_ebpf::helpers::generated::{
    bpf_get_current_cgroup_id, bpf_get_current_uid_gid, bpf_ktime_get_boot_ns, bpf_probe_read_user,
    bpf_probe_read_user_str,
};
use core::ptr::addr_of_mut;
use monitor_common::{ARGS_BYTES, Executed, Life, PATH_BYTES, ProcessKey};

/// Whether the kernel's structures are known as far as this needs them.
#[inline(always)]
fn readable() -> bool {
    global(&OFFSETS.task_group_leader) != 0
        && global(&OFFSETS.task_real_parent) != 0
        && global(&OFFSETS.task_pid) != 0
}

/// Whether a task is the first thread of its process.
///
/// # Safety
/// `task` must be a task that the verifier knows.
#[inline(always)]
unsafe fn leads(task: *const u8) -> bool {
    // SAFETY: the caller's.
    unsafe { field::<u32>(task, global(&OFFSETS.task_pid)) == field::<u32>(task, global(&OFFSETS.task_tgid)) }
}

#[inline(always)]
unsafe fn process(task: *const u8) -> Claimant {
    // SAFETY: the caller's: a task that the verifier knows.
    unsafe { claimant(field(task, global(&OFFSETS.task_tgid)), task) }
}

/// The process of its first thread.
#[inline(always)]
unsafe fn process_of_leader(leader: *const u8) -> Claimant {
    // SAFETY: the caller's: a task that the verifier knows.
    unsafe { led_by(field(leader, global(&OFFSETS.task_tgid)), leader) }
}

#[inline(always)]
unsafe fn parent(task: *const u8) -> ProcessKey {
    // SAFETY: the caller's: a task that the verifier knows; a task always has a parent.
    unsafe { key_of(&process(field(task, global(&OFFSETS.task_real_parent)))) }
}

/// Inode of a task's network namespace.
#[inline(always)]
unsafe fn netns(task: *const u8) -> u32 {
    if global(&OFFSETS.task_nsproxy) == 0
        || global(&OFFSETS.nsproxy_net) == 0
        || global(&OFFSETS.net_ns) == 0
        || global(&OFFSETS.ns_inum) == 0
    {
        return 0;
    }
    // SAFETY: the caller's: a task that the verifier knows. A null on the way reads as zero.
    unsafe {
        let nsproxy = field::<*const u8>(task, global(&OFFSETS.task_nsproxy));
        if nsproxy.is_null() {
            return 0;
        }
        let net = field::<*const u8>(nsproxy, global(&OFFSETS.nsproxy_net));
        if net.is_null() {
            return 0;
        }
        field(net, global(&OFFSETS.net_ns) + global(&OFFSETS.ns_inum))
    }
}

/// The beginning of a task's process or program, without what only a program start tells.
#[inline(always)]
unsafe fn life(kind: u32, task: *const u8, who: &Claimant) -> Life {
    // SAFETY: the caller's: a task that the verifier knows.
    unsafe {
        Life {
            kind,
            netns: netns(task),
            process: key_of(who),
            parent: parent(task),
            start: start_of(who),
            at: bpf_ktime_get_boot_ns(),
            cgroup: 0,
            comm: comm(who),
            uid: 0,
            pad: 0,
        }
    }
}

/// A process that lives already, for the iterator; `None` for threads and for the kernel's own.
///
/// # Safety
/// `task` must be a task that the verifier knows.
#[inline(always)]
pub unsafe fn found(task: *const u8) -> Option<Life> {
    // SAFETY: the caller's.
    unsafe {
        if !readable() || !leads(task) {
            return None;
        }
        let who = process_of_leader(task);
        (!is_kernel(&who)).then(|| life(monitor_common::LIFE_FOUND, task, &who))
    }
}

/// A process was made. Threads and the kernel's own are not told.
///
/// # Safety
/// As [`found`].
#[inline(always)]
pub unsafe fn born(task: *const u8) {
    // SAFETY: the caller's.
    unsafe {
        if !readable() || !leads(task) {
            return;
        }
        let who = process_of_leader(task);
        if !is_kernel(&who) {
            tell(life(monitor_common::LIFE_BORN, task, &who));
        }
    }
}

/// A thread ends. Told where it is the last one of its process.
///
/// # Safety
/// As [`found`].
#[inline(always)]
pub unsafe fn ended(task: *const u8) {
    if !readable() || global(&OFFSETS.task_signal) == 0 || global(&OFFSETS.signal_live) == 0 {
        return;
    }
    // SAFETY: the caller's.
    unsafe {
        let signal = field::<*const u8>(task, global(&OFFSETS.task_signal));
        // do_exit() takes the thread off this count before it fires the tracepoint.
        if signal.is_null() || field::<i32>(signal, global(&OFFSETS.signal_live)) != 0 {
            return;
        }
        let who = process(task);
        if !is_kernel(&who) {
            tell(Life {
                kind: monitor_common::LIFE_ENDED,
                netns: 0,
                process: key_of(&who),
                parent: ProcessKey { tgid: 0, generation: 0 },
                start: 0,
                at: bpf_ktime_get_boot_ns(),
                cgroup: 0,
                comm: [0; 16],
                uid: 0,
                pad: 0,
            });
        }
    }
}

/// Whether handing over a record wakes userspace: the kernel does by itself where all before it was read.
#[inline(always)]
fn wake() -> u64 {
    let half = LIVES.query(u64::from(BPF_RB_RING_SIZE)) / 2;
    if LIVES.query(u64::from(BPF_RB_AVAIL_DATA)) > half { u64::from(BPF_RB_FORCE_WAKEUP) } else { 0 }
}

/// Wakes userspace, by a record that is none.
#[inline(always)]
pub fn rouse() {
    if let Some(room) = LIVES.reserve::<u64>(0) {
        room.discard(u64::from(BPF_RB_FORCE_WAKEUP));
    }
}

#[inline(always)]
fn tell(event: Life) {
    if let Some(mut room) = LIVES.reserve::<Life>(0) {
        room.write(event);
        room.submit(wake());
    } else {
        lost();
    }
}

/// The current process executes a program: `binprm` says which.
///
/// # Safety
/// `task` must be the current task and `binprm` its `struct linux_binprm`, both known to the verifier.
#[inline(always)]
pub unsafe fn executed(task: *const u8, binprm: *const u8) {
    if !readable() {
        return;
    }
    let Some(mut room) = LIVES.reserve::<Executed>(0) else { return lost() };
    let record = room.as_mut_ptr();
    // SAFETY: the caller's; the record is of this program until it is submitted, and every byte that its lengths
    // declare is written.
    unsafe {
        // Whoever executes a program is its process's first thread by then (fs/exec.c, `de_thread`).
        let who = process_of_leader(task);
        let mut event = life(monitor_common::LIFE_EXECUTED, task, &who);
        event.cgroup = bpf_get_current_cgroup_id();
        event.uid = bpf_get_current_uid_gid() as u32;
        addr_of_mut!((*record).life).write(event);
        file(record, binprm);
        path(record, binprm);
        arguments(record, task);
    }
    room.submit(wake());
}

/// Which file it is.
#[inline(always)]
unsafe fn file(record: *mut Executed, binprm: *const u8) {
    let (mut ino, mut dev) = (0, 0);
    if global(&OFFSETS.binprm_file) != 0
        && global(&OFFSETS.file_inode) != 0
        && global(&OFFSETS.inode_sb) != 0
        && global(&OFFSETS.sb_dev) != 0
    {
        // SAFETY: the caller's; the file is open until the tracepoint is over.
        unsafe {
            let inode = field::<*const u8>(
                field::<*const u8>(binprm, global(&OFFSETS.binprm_file)),
                global(&OFFSETS.file_inode),
            );
            ino = field::<u64>(inode, global(&OFFSETS.inode_ino));
            dev = field::<u32>(field::<*const u8>(inode, global(&OFFSETS.inode_sb)), global(&OFFSETS.sb_dev));
        }
    }
    // SAFETY: the caller's record.
    unsafe {
        addr_of_mut!((*record).inode).write(ino);
        addr_of_mut!((*record).device).write(dev);
    }
}

/// The path as execve(2) got it: the kernel put it on the new stack (fs/exec.c, `bprm->exec`).
#[inline(always)]
unsafe fn path(record: *mut Executed, binprm: *const u8) {
    let offset = global(&OFFSETS.binprm_exec);
    let mut len = 0;
    if offset != 0 {
        // SAFETY: the caller's; the helper writes at most the length that it is given.
        let read = unsafe {
            let from = field::<u64>(binprm, offset);
            bpf_probe_read_user_str(
                addr_of_mut!((*record).path).cast(),
                PATH_BYTES as u32,
                from as *const core::ffi::c_void,
            )
        };
        // With its zero.
        if read > 0 {
            len = (read - 1).cast_unsigned() as u32;
        }
    }
    // SAFETY: the caller's record.
    unsafe { addr_of_mut!((*record).path_len).write(len) };
}

/// The arguments, from the stack of the new program.
#[inline(always)]
unsafe fn arguments(record: *mut Executed, task: *const u8) {
    let (mut len, mut total) = (0_u32, 0_u64);
    if global(&OFFSETS.task_mm) != 0 && global(&OFFSETS.mm_arg_start) != 0 && global(&OFFSETS.mm_arg_end) != 0
    {
        // SAFETY: the caller's; the length is masked below the size of the field.
        unsafe {
            let mm = field::<*const u8>(task, global(&OFFSETS.task_mm));
            if !mm.is_null() {
                let start = field::<u64>(mm, global(&OFFSETS.mm_arg_start));
                total = field::<u64>(mm, global(&OFFSETS.mm_arg_end)).wrapping_sub(start);
                let most = ARGS_BYTES as u64 - 1;
                let wanted = if total > most { most } else { total };
                // The compiler would drop the mask, which is what the verifier goes by.
                let wanted = (core::hint::black_box(wanted) & most) as u32;
                let into = addr_of_mut!((*record).args).cast();
                if bpf_probe_read_user(into, wanted, start as *const core::ffi::c_void) == 0 {
                    len = wanted;
                }
            }
        }
    }
    // SAFETY: the caller's record.
    unsafe {
        addr_of_mut!((*record).args_len).write(len);
        addr_of_mut!((*record).args_total).write(total as u32);
    }
}

#[inline(always)]
fn lost() {
    if let Some(stats) = CLAIM_STATS.get_ptr_mut(0) {
        // SAFETY: a live map value.
        add(unsafe { addr_of_mut!((*stats).lives_full) }, 1);
    }
}
