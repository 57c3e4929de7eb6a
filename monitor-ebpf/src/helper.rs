//! Helpers of the kernel that ask nothing of whoever calls them (include/uapi/linux/bpf.h): the time, and who runs.

use aya_ebpf::helpers::generated as helpers;

macro_rules! helpers {
    ($($(#[$doc:meta])* $name:ident = $helper:ident;)*) => {$(
        $(#[$doc])*
        #[inline(always)]
        pub(crate) fn $name() -> u64 {
            // SAFETY: takes no argument.
            unsafe { helpers::$helper() }
        }
    )*};
}
helpers! {
    /// Nanoseconds since boot.
    now = bpf_ktime_get_boot_ns;
    /// Ticks of the coarse clock. The kernel inlines this one: a load.
    jiffies = bpf_jiffies64;
    /// Thread-group id of the current task in the upper half, its own id in the lower.
    pid_tgid = bpf_get_current_pid_tgid;
    /// Real group id of the current task in the upper half, its real uid in the lower.
    uid_gid = bpf_get_current_uid_gid;
    /// cgroup2 id of the current task.
    cgroup = bpf_get_current_cgroup_id;
}

/// Name of the current task, as two words.
#[inline(always)]
pub(crate) fn comm() -> [u64; 2] {
    let mut name = [0_u64; 2];
    // SAFETY: a buffer of the size that is passed.
    unsafe { helpers::bpf_get_current_comm(name.as_mut_ptr().cast(), 16) };
    name
}
