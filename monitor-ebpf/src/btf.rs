//! Structures of the running kernel, by pointers whose type the verifier knows (`PTR_TO_BTF_ID`): tasks, and what execve(2)
//! hands over. Sockets are `sk`'s business.
//!
//! Which members there are is a question of offsets, which userspace takes from the kernel's BTF; 0 = not known.

use crate::maps::{OFFSETS, global};
use aya_ebpf::helpers::generated::{bpf_get_current_task_btf, bpf_probe_read_user, bpf_probe_read_user_str};
use core::ffi::c_void;
use core::ptr;
use monitor_common::Plain;

/// `PF_KTHREAD` of include/linux/sched.h.
const PF_KTHREAD: u32 = 0x0020_0000;

/// A pointer to a structure of the kernel, or null. Every read is safe: the verifier refuses, at load, an offset that is
/// not a member's and a size that is not its own, and one that faults gives zero.
#[derive(Clone, Copy)]
pub(crate) struct BtfPtr(*const u8);

impl BtfPtr {
    /// Nothing.
    pub(crate) const NULL: Self = Self(ptr::null());

    /// A program's argument.
    ///
    /// # Safety
    /// The verifier must know its type: an argument of a tracing program or a field of its context.
    #[inline(always)]
    pub(crate) const unsafe fn assume(pointer: *const u8) -> Self {
        Self(pointer)
    }

    /// Whether it is null.
    #[inline(always)]
    pub(crate) const fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// For a helper.
    #[inline(always)]
    pub(crate) const fn as_ptr(self) -> *const u8 {
        self.0
    }

    /// The number at an offset.
    #[inline(always)]
    pub(crate) fn read<T: Plain>(self, offset: u32) -> T {
        // SAFETY: see the type. Volatile keeps the access a single load of exactly this size, which the verifier wants.
        unsafe { self.0.add(offset as usize).cast::<T>().read_volatile() }
    }

    /// The structure that the pointer at an offset leads to.
    #[inline(always)]
    pub(crate) fn follow(self, offset: u32) -> Self {
        // SAFETY: as above. What is loaded is a pointer whose type the verifier knows, too.
        Self(unsafe { self.0.add(offset as usize).cast::<*const u8>().read_volatile() })
    }
}

/// `struct task_struct`: a thread.
#[derive(Clone, Copy)]
pub(crate) struct Task(BtfPtr);

impl Task {
    /// None, where the kernel does not give it.
    pub(crate) const UNKNOWN: Self = Self(BtfPtr::NULL);

    /// A program's argument.
    ///
    /// # Safety
    /// The verifier must know it as a task.
    #[inline(always)]
    pub(crate) const unsafe fn assume(task: *const u8) -> Self {
        Self(BtfPtr(task))
    }

    /// The one that runs. Not every program type is offered it.
    #[inline(always)]
    pub(crate) fn current() -> Self {
        // SAFETY: takes no argument; the result is a task that the verifier knows.
        Self(BtfPtr(unsafe { bpf_get_current_task_btf() }.cast_const().cast()))
    }

    /// Whether it is not known, or there is none.
    #[inline(always)]
    pub(crate) const fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// Thread-group id in the initial pid namespace.
    #[inline(always)]
    pub(crate) fn tgid(self) -> u32 {
        self.0.read(global(&OFFSETS.task_tgid))
    }

    /// Whether it is the first thread of its process.
    #[inline(always)]
    pub(crate) fn leads(self) -> bool {
        self.0.read::<u32>(global(&OFFSETS.task_pid)) == self.tgid()
    }

    /// The first thread of its process.
    #[inline(always)]
    pub(crate) fn leader(self) -> Self {
        Self(self.0.follow(global(&OFFSETS.task_group_leader)))
    }

    /// The process that it is a child of; there always is one.
    #[inline(always)]
    pub(crate) fn parent(self) -> Self {
        Self(self.0.follow(global(&OFFSETS.task_real_parent)))
    }

    /// When it began, ns since boot.
    #[inline(always)]
    pub(crate) fn start(self) -> u64 {
        self.0.read(global(&OFFSETS.task_start_boottime))
    }

    /// Whether it is a kernel thread.
    #[inline(always)]
    pub(crate) fn is_kernel(self) -> bool {
        self.0.read::<u32>(global(&OFFSETS.task_flags)) & PF_KTHREAD != 0
    }

    /// Its name, as two words.
    #[inline(always)]
    pub(crate) fn comm(self) -> [u64; 2] {
        [self.0.read(global(&OFFSETS.task_comm)), self.0.read(global(&OFFSETS.task_comm) + 8)]
    }

    /// Threads of its process that have not ended, where it still counts them. do_exit() takes a thread off before it fires
    /// the tracepoint.
    #[inline(always)]
    pub(crate) fn threads_left(self) -> Option<i32> {
        let signal = self.0.follow(global(&OFFSETS.task_signal));
        if signal.is_null() { None } else { Some(signal.read(global(&OFFSETS.signal_live))) }
    }

    /// Inode of its network namespace; 0 where that cannot be read.
    #[inline(always)]
    pub(crate) fn netns(self) -> u32 {
        if global(&OFFSETS.task_nsproxy) == 0
            || global(&OFFSETS.nsproxy_net) == 0
            || global(&OFFSETS.net_ns) == 0
            || global(&OFFSETS.ns_inum) == 0
        {
            return 0;
        }
        let nsproxy = self.0.follow(global(&OFFSETS.task_nsproxy));
        if nsproxy.is_null() {
            return 0;
        }
        let net = nsproxy.follow(global(&OFFSETS.nsproxy_net));
        if net.is_null() {
            return 0;
        }
        net.read(global(&OFFSETS.net_ns) + global(&OFFSETS.ns_inum))
    }

    /// Where its arguments lie in its memory, and how long they are; `None` where it has none or that cannot be read.
    #[inline(always)]
    pub(crate) fn arguments(self) -> Option<(UserPtr, u64)> {
        if global(&OFFSETS.task_mm) == 0
            || global(&OFFSETS.mm_arg_start) == 0
            || global(&OFFSETS.mm_arg_end) == 0
        {
            return None;
        }
        let mm = self.0.follow(global(&OFFSETS.task_mm));
        if mm.is_null() {
            return None;
        }
        let start = mm.read::<u64>(global(&OFFSETS.mm_arg_start));
        Some((UserPtr(start), mm.read::<u64>(global(&OFFSETS.mm_arg_end)).wrapping_sub(start)))
    }
}

/// `struct linux_binprm`: a program that is being executed.
#[derive(Clone, Copy)]
pub(crate) struct Binprm(BtfPtr);

impl Binprm {
    /// A program's argument.
    ///
    /// # Safety
    /// The verifier must know it as one.
    #[inline(always)]
    pub(crate) const unsafe fn assume(binprm: *const u8) -> Self {
        Self(BtfPtr(binprm))
    }

    /// Inode number and device of the file; zeros where they cannot be read.
    #[inline(always)]
    pub(crate) fn file(self) -> (u64, u32) {
        if global(&OFFSETS.binprm_file) == 0
            || global(&OFFSETS.file_inode) == 0
            || global(&OFFSETS.inode_sb) == 0
            || global(&OFFSETS.sb_dev) == 0
        {
            return (0, 0);
        }
        // The file is open until the tracepoint is over.
        let inode = self.0.follow(global(&OFFSETS.binprm_file)).follow(global(&OFFSETS.file_inode));
        let ino = inode.read(global(&OFFSETS.inode_ino));
        (ino, inode.follow(global(&OFFSETS.inode_sb)).read(global(&OFFSETS.sb_dev)))
    }

    /// Where the path that execve(2) got lies on the new stack (fs/exec.c, `bprm->exec`).
    #[inline(always)]
    pub(crate) fn path(self) -> Option<UserPtr> {
        let offset = global(&OFFSETS.binprm_exec);
        if offset == 0 { None } else { Some(UserPtr(self.0.read(offset))) }
    }
}

/// An address in the memory of the current process; what is there is its own.
#[derive(Clone, Copy)]
pub(crate) struct UserPtr(u64);

impl UserPtr {
    /// Copies so many bytes, at most `N`. False where they cannot be read.
    #[inline(always)]
    pub(crate) fn copy<const N: usize>(self, into: crate::mem::Live<'_, [u8; N]>, length: u32) -> bool {
        // SAFETY: the helper checks the address; the verifier refuses a length that may be beyond the field.
        unsafe { bpf_probe_read_user(into.as_mut_ptr().cast(), length, self.0 as *const c_void) == 0 }
    }

    /// Copies a string and its zero, cut at `N` bytes. How many bytes it wrote, the zero included; negative where it
    /// cannot be read.
    #[inline(always)]
    pub(crate) fn copy_string<const N: usize>(self, into: crate::mem::Live<'_, [u8; N]>) -> i64 {
        // SAFETY: the helper checks the address and writes at most the length that it is given.
        unsafe { bpf_probe_read_user_str(into.as_mut_ptr().cast(), N as u32, self.0 as *const c_void) }
    }
}
