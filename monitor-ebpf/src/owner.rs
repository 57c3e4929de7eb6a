//! Who owns a socket: one claim rule for every hook.
//!
//! The owner lives in the socket's own storage. A claim replaces an owner of the same or a lower priority
//! (`monitor_common::claim_priority`), so the last user wins among equals; an owner that came with the kernel's clone
//! of a listener's storage is provisional and yields to any claim. A change of owner is also written to CLAIMS and
//! PROCS, which userspace drains every tick.

use crate::account::{E2BIG, add};
use crate::maps::{
    CGROUP_TASK, CLAIM_STATS, CLAIMS, CLONE, OFFSETS, OWNERS, OWNERS_NO_CLONE, PROCS, SCOPED, TRACING, global,
};
use crate::slot::{Slot, zero};
use aya_ebpf::bindings::BPF_SK_STORAGE_GET_F_CREATE;
use aya_ebpf::helpers::generated::{
    bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_current_task_btf,
    bpf_get_current_uid_gid, bpf_ktime_get_boot_ns, bpf_sk_storage_get,
};
use aya_log_ebpf::debug;
use core::ffi::c_void;
use core::mem::offset_of;
use core::ptr::{self, addr_of_mut};
use monitor_common::{
    CLAIM_CLOSED, CLAIM_READ, CLAIM_RELEASE, CLAIM_SEED, Claim, ClaimKey, ClaimStats, OWNER_AMBIGUOUS,
    OWNER_KERNEL, Owner, OwnerWord, Process, ProcessKey, claim_priority, generation,
};

/// `PF_KTHREAD` of include/linux/sched.h.
const PF_KTHREAD: u32 = 0x0020_0000;

/// The owner storage of a socket, null where there is none and `create` is false (or memory is short).
///
/// # Safety
/// `sk` must be a pointer that the verifier knows as a socket.
#[inline(always)]
pub unsafe fn storage(sk: *mut c_void, create: bool) -> *mut Owner {
    let flags = if create { u64::from(BPF_SK_STORAGE_GET_F_CREATE) } else { 0 };
    // SAFETY: the caller's; the map pointers are relocated by the loader.
    unsafe {
        if global(&CLONE) == 1 {
            bpf_sk_storage_get(ptr::from_ref(&OWNERS).cast_mut().cast(), sk, ptr::null_mut(), flags).cast()
        } else {
            bpf_sk_storage_get(ptr::from_ref(&OWNERS_NO_CLONE).cast_mut().cast(), sk, ptr::null_mut(), flags)
                .cast()
        }
    }
}

/// The process that runs a claim hook.
#[derive(Clone, Copy)]
pub struct Claimant {
    tgid: u32,
    generation: u32,
    start: u64,
    flags: u8,
    /// The task of its first thread, null where it cannot be read.
    leader: *const u8,
}

/// Whether the hook's program type can read the current task.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// A cgroup program: only where the kernel offers the helper to it.
    Cgroup,
    /// A tracing program: always, but below Linux 5.11.
    Tracing,
}

/// The current process. Only for hooks that run in process context.
#[inline(always)]
pub fn current(reader: Reader) -> Claimant {
    // SAFETY: takes no argument.
    let tgid = (unsafe { bpf_get_current_pid_tgid() } >> 32) as u32;
    let readable = global(&OFFSETS.task_group_leader) != 0
        && global(if reader == Reader::Tracing { &TRACING } else { &CGROUP_TASK }) == 1;
    if !readable {
        return Claimant { tgid, generation: 0, start: 0, flags: 0, leader: ptr::null() };
    }
    // SAFETY: takes no argument; the result is a task that the verifier knows.
    let task = unsafe { bpf_get_current_task_btf() };
    claimant(tgid, task.cast())
}

/// A given task as claimant.
#[inline(always)]
pub fn claimant(tgid: u32, task: *const u8) -> Claimant {
    // SAFETY: `task` is a task the verifier knows, the offsets come from the kernel's own BTF and the verifier checks
    // them against it at load.
    led_by(tgid, unsafe { field(task, global(&OFFSETS.task_group_leader)) })
}

/// A process by its first thread. Whoever has that saves the step from another one, for which the verifier searches the
/// kernel's types three times from the first to the last.
#[inline(always)]
pub fn led_by(tgid: u32, leader: *const u8) -> Claimant {
    // SAFETY: as above.
    unsafe {
        let start = field::<u64>(leader, global(&OFFSETS.task_start_boottime));
        if field::<u32>(leader, global(&OFFSETS.task_flags)) & PF_KTHREAD != 0 {
            return Claimant { tgid: 0, generation: 0, start: 0, flags: OWNER_KERNEL, leader: ptr::null() };
        }
        if global(&CGROUP_TASK) == 0 {
            // The cgroup hooks cannot tell a process's start, and a process must have one name in all hooks.
            return Claimant { tgid, generation: 0, start: 0, flags: 0, leader };
        }
        Claimant { tgid, generation: generation(start), start, flags: 0, leader }
    }
}

/// A field of a kernel structure, by its offset.
///
/// # Safety
/// `base` must be a pointer to that structure and the offset must be the field's.
#[inline(always)]
pub unsafe fn field<T: Copy>(base: *const u8, offset: u32) -> T {
    // SAFETY: the caller's. Volatile keeps the access a single load of exactly this size, which the verifier wants.
    unsafe { base.add(offset as usize).cast::<T>().read_volatile() }
}

/// Claims a socket for a process. `netns` is its netns cookie, 0 where the hook cannot tell.
///
/// # Safety
/// `sk` must be a pointer that the verifier knows as a socket.
#[inline(always)]
pub unsafe fn claim(sk: *mut c_void, cookie: u64, netns: u64, method: u8, reader: Reader, create: bool) {
    // SAFETY: the caller's.
    let owner = unsafe { storage(sk, create) };
    let claimant = current(reader);
    let mut netns = netns;
    if owner.is_null() {
        if !create {
            return;
        }
        // No room in `optmem_max`: the packets stay unclaimed here, and userspace joins them with the claim.
        count_no_storage();
    } else {
        // SAFETY: live storage of the socket.
        unsafe {
            if netns != 0 && (*owner).netns == 0 {
                (*owner).netns = netns;
            }
            netns = (*owner).netns;
            let word = read(owner);
            let process = word.process();
            if process == 0 || (*owner).cookie != cookie {
                set(owner, cookie, method, &claimant);
            } else if process == process_of(&claimant) {
                let (before, now) = (claim_priority(word.method()), claim_priority(method));
                if now > before {
                    set(owner, cookie, method, &claimant);
                }
                // The first use by the one who made the socket is told, too: a datagram that came in before may wait for
                // it, and what others do with the socket is then known to be in turn. Once a socket.
                if before >= USE || now < USE {
                    return;
                }
            } else if yields(word, method) {
                set(owner, cookie, method, &claimant);
            } else {
                return;
            }
        }
    }
    changed(cookie, netns, method, 0, &claimant);
}

/// Claims a socket where its storage is out of reach: userspace settles its rows by the claim. Cheap when repeated: a
/// claim that was not drained yet only gets its latest time.
#[inline(always)]
pub fn claim_without_storage(cookie: u64, method: u8) {
    let claimant = current(Reader::Tracing);
    let key = ClaimKey { cookie, tgid: claimant.tgid, generation: claimant.generation };
    if let Some(before) = CLAIMS.get_ptr_mut(&key) {
        // SAFETY: a live row; at worst it was drained meanwhile and its memory belongs to another claim, whose latest
        // time then is a little later than it was.
        unsafe {
            if claim_priority((*before).method) >= claim_priority(method) {
                addr_of_mut!((*before).last).write_volatile(bpf_ktime_get_boot_ns());
                return;
            }
        }
    }
    changed(cookie, 0, method, 0, &claimant);
}

/// The owner of the moment.
///
/// # Safety
/// `owner` must be live storage.
#[inline(always)]
unsafe fn read(owner: *const Owner) -> OwnerWord {
    // SAFETY: the caller's. Volatile keeps it one load.
    OwnerWord(unsafe { (&raw const (*owner).word).read_volatile() })
}

#[inline(always)]
fn process_of(claimant: &Claimant) -> u64 {
    OwnerWord::process_of(claimant.tgid, claimant.generation, claimant.flags)
}

/// [`claim_priority`] from which on a claim shows that the process moved bytes, or took a connection on itself.
const USE: u8 = 3;

/// Whether a firm owner gives way to a claim by somebody else.
#[inline(always)]
fn yields(owner: OwnerWord, method: u8) -> bool {
    if owner.flags() & OWNER_AMBIGUOUS != 0 {
        return method != CLAIM_SEED;
    }
    match method {
        // A seed never overwrites a hook's claim, and the last closer is no better than who made or used the socket.
        CLAIM_SEED | CLAIM_RELEASE => false,
        // A read may be a look (MSG_PEEK), which cannot be told here: it replaces only what is weaker than any use or
        // connect.
        CLAIM_READ => claim_priority(owner.method()) < 2,
        _ => claim_priority(method) >= claim_priority(owner.method()),
    }
}

/// Writes the owner: all of it in one store, the cookie last, so that a packet that passes meanwhile sees the old owner,
/// or a provisional one, and never a mixture.
///
/// # Safety
/// `owner` must be live storage.
#[inline(always)]
unsafe fn set(owner: *mut Owner, cookie: u64, method: u8, claimant: &Claimant) {
    let word = OwnerWord::new(cookie, claimant.tgid, claimant.generation, method, claimant.flags);
    // SAFETY: the caller's.
    unsafe {
        addr_of_mut!((*owner).word).write_volatile(word.0);
        addr_of_mut!((*owner).cookie).write_volatile(cookie);
    }
}

/// Tells userspace that a socket changed hands, and who the new owner is.
#[inline(always)]
fn changed(cookie: u64, netns: u64, method: u8, flags: u8, claimant: &Claimant) {
    // SAFETY: takes no argument.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    let key = ClaimKey { cookie, tgid: claimant.tgid, generation: claimant.generation };
    let mut value = Slot::new();
    let value = zero::<Claim>(&mut value);
    value.first = now;
    value.last = now;
    value.netns = netns;
    value.method = method;
    value.flags = flags | claimant.flags;
    if let Some(before) = CLAIMS.get_ptr(&key) {
        // An earlier claim of the same tick: the first time counts, and the strongest method. Closing a socket must not
        // hide that it was used.
        // SAFETY: a live row. At worst it was drained meanwhile and its memory belongs to another claim of this very
        // moment: then the method is a little off.
        unsafe {
            value.first = (*before).first;
            value.flags |= (*before).flags & CLAIM_CLOSED;
            if claim_priority((*before).method) > claim_priority(method) {
                value.method = (*before).method;
            }
        }
    }
    let claims = CLAIMS.insert(&key, &*value, 0);
    let process = describe(claimant, now);
    // Off unless userspace sets AYA_LOG_LEVEL before load: the verifier then removes it. Nothing in `account` logs.
    debug!((), "socket {} is pid {}'s, claim method {}", cookie, claimant.tgid, method);
    if let Some(stats) = CLAIM_STATS.get_ptr_mut(0) {
        // SAFETY: a live map value.
        unsafe {
            add(addr_of_mut!((*stats).changed), 1);
            refused(claims, stats, offset_of!(ClaimStats, claims_full));
            refused(process, stats, offset_of!(ClaimStats, procs_full));
        }
    }
}

/// Counts an entry that was not added: at this offset where there was no room, as busy otherwise.
///
/// # Safety
/// `stats` must be a live map value and the offset one of its fields'.
#[inline(always)]
unsafe fn refused(result: Result<(), i32>, stats: *mut ClaimStats, full: usize) {
    if let Err(error) = result {
        let at = if error == E2BIG { full } else { offset_of!(ClaimStats, busy) };
        // SAFETY: the caller's; every field is a u64.
        add(unsafe { stats.byte_add(at).cast() }, 1);
    }
}

/// Writes the process table.
#[inline(always)]
fn describe(claimant: &Claimant, now: u64) -> Result<(), i32> {
    if claimant.flags & OWNER_KERNEL != 0 {
        return Ok(());
    }
    let key = ProcessKey { tgid: claimant.tgid, generation: claimant.generation };
    // SAFETY: helpers without arguments, and a task as in `claimant`.
    let value = unsafe {
        Process {
            comm: comm(claimant),
            start: claimant.start,
            at: now,
            cgroup: bpf_get_current_cgroup_id(),
            uid: bpf_get_current_uid_gid() as u32,
            pad: 0,
        }
    };
    PROCS.insert(&key, &value, 0)
}

/// Tells userspace of a process that owns something without a claim.
#[inline(always)]
pub fn introduce(claimant: &Claimant) {
    // SAFETY: takes no argument.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    let process = describe(claimant, now);
    if let Some(stats) = CLAIM_STATS.get_ptr_mut(0) {
        // SAFETY: a live map value.
        unsafe { refused(process, stats, offset_of!(ClaimStats, procs_full)) };
    }
}

/// comm of the thread-group leader: a thread's own name is not a process's. Where the task cannot be read it is known
/// only if the leader itself runs the hook.
///
/// # Safety
/// As [`claimant`].
#[inline(always)]
pub unsafe fn comm(claimant: &Claimant) -> [u8; 16] {
    let mut name = [0_u64; 2];
    // SAFETY: the caller's; the buffer has the size that is passed.
    unsafe {
        if claimant.leader.is_null() {
            let pid_tgid = bpf_get_current_pid_tgid();
            if pid_tgid as u32 == (pid_tgid >> 32) as u32 {
                bpf_get_current_comm(name.as_mut_ptr().cast(), 16);
            }
        } else {
            name = [
                field(claimant.leader, global(&OFFSETS.task_comm)),
                field(claimant.leader, global(&OFFSETS.task_comm) + 8),
            ];
        }
        core::mem::transmute::<[u64; 2], [u8; 16]>(name)
    }
}

#[inline(always)]
fn count_no_storage() {
    if let Some(stats) = CLAIM_STATS.get_ptr_mut(0) {
        // SAFETY: a live map value.
        add(unsafe { addr_of_mut!((*stats).no_storage) }, 1);
    }
}

/// The last descriptor of a socket was closed: the weakest claim, and the end of the socket for userspace.
///
/// # Safety
/// As [`claim`].
#[inline(always)]
pub unsafe fn release(sk: *mut c_void, cookie: u64) {
    // SAFETY: the caller's.
    let owner = unsafe { storage(sk, false) };
    if owner.is_null() {
        return;
    }
    let claimant = current(Reader::Cgroup);
    // SAFETY: live storage.
    unsafe {
        let firm = (*owner).cookie == cookie && read(owner).tgid() != 0;
        // The kernel closes for others: what io_uring held at its end, what was in flight in SCM_RIGHTS.
        if !firm && !is_kernel(&claimant) {
            set(owner, cookie, CLAIM_RELEASE, &claimant);
        }
        changed(cookie, (*owner).netns, CLAIM_RELEASE, CLAIM_CLOSED, &claimant);
    }
}

/// Seeds a socket that is older than the monitor: its one holder owns it, several make it ambiguous until it is used.
///
/// # Safety
/// As [`claim`].
#[inline(always)]
pub unsafe fn seed(sk: *mut c_void, cookie: u64, netns: u64, claimant: &Claimant) {
    // SAFETY: the caller's.
    let owner = unsafe { storage(sk, global(&SCOPED) == 0) };
    if owner.is_null() {
        return;
    }
    // SAFETY: live storage.
    unsafe {
        if (*owner).netns == 0 {
            (*owner).netns = netns;
        }
        let word = read(owner);
        if (*owner).cookie != cookie || word.process() == 0 {
            set(owner, cookie, CLAIM_SEED, claimant);
        } else if word.method() == CLAIM_SEED && word.process() != process_of(claimant) {
            let nobody =
                Claimant { tgid: 0, generation: 0, start: 0, flags: OWNER_AMBIGUOUS, leader: ptr::null() };
            set(owner, cookie, CLAIM_SEED, &nobody);
        }
    }
}

/// Whether it is a kernel thread.
#[inline(always)]
pub fn is_kernel(claimant: &Claimant) -> bool {
    claimant.flags & OWNER_KERNEL != 0
}

/// The start time of a claimant, ns since boot; 0 where unknown.
#[inline(always)]
pub fn start_of(claimant: &Claimant) -> u64 {
    claimant.start
}

/// The key of a claimant.
#[inline(always)]
pub fn key_of(claimant: &Claimant) -> ProcessKey {
    ProcessKey { tgid: claimant.tgid, generation: claimant.generation }
}
