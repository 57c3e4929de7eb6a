//! Whether the integration tests can run here: may this process load kernel programs and make network namespaces?

use anyhow::{Result, bail};

/// CAP_NET_ADMIN and CAP_SYS_ADMIN, which also implies CAP_BPF and CAP_PERFMON.
const CAPABILITIES: [(u32, &str); 2] = [(12, "CAP_NET_ADMIN"), (21, "CAP_SYS_ADMIN")];

/// Fails with the first reason why the integration tests cannot run.
pub(crate) fn probe() -> Result<()> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(name) = missing_capability(&status) {
        bail!("this needs root ({name} is missing)");
    }
    if !std::path::Path::new("/sys/kernel/btf/vmlinux").exists() {
        bail!("this kernel has no BTF (/sys/kernel/btf/vmlinux)");
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    if !has_cgroup2(&mounts) {
        bail!("no cgroup2 is mounted");
    }
    if let Err(error) = create_map() {
        bail!("the kernel refuses bpf(2): {error}");
    }
    Ok(())
}

fn missing_capability(status: &str) -> Option<&'static str> {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or_default();
    let effective = u64::from_str_radix(effective.trim(), 16).unwrap_or(0);
    CAPABILITIES.iter().find(|(bit, _)| effective & (1 << bit) == 0).map(|&(_, name)| name)
}

fn has_cgroup2(mountinfo: &str) -> bool {
    mountinfo
        .lines()
        .any(|line| line.split_once(" - ").is_some_and(|(_, after)| after.starts_with("cgroup2 ")))
}

/// Makes an array map of one element and closes it: the smallest thing that is refused wherever BPF is.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "std has no bpf(2)")]
fn create_map() -> std::io::Result<()> {
    use std::os::fd::{FromRawFd, OwnedFd};

    const BPF_MAP_CREATE: libc::c_long = 0;
    const BPF_MAP_TYPE_ARRAY: u32 = 2;
    // The first members of `union bpf_attr` for this command: type, key size, value size, entries, flags.
    let attributes = [BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0];
    // SAFETY: the kernel reads `size_of_val(&attributes)` bytes from a live array and keeps no pointer to it.
    let fd = unsafe {
        libc::syscall(libc::SYS_bpf, BPF_MAP_CREATE, attributes.as_ptr(), size_of_val(&attributes))
    };
    let fd = i32::try_from(fd).map_err(std::io::Error::other)?;
    if fd < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the call above made this descriptor and nothing else knows of it.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn create_map() -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_the_effective_set() {
        assert_eq!(
            missing_capability("CapPrm:\t000001ffffffffff\nCapEff:\t0000000000000000\n"),
            Some("CAP_NET_ADMIN")
        );
        assert_eq!(missing_capability("CapEff:\t0000000000001000\n"), Some("CAP_SYS_ADMIN"));
        assert_eq!(missing_capability("CapEff:\t000001ffffffffff\n"), None);
    }

    #[test]
    fn cgroup2_is_told_from_cgroup() {
        assert!(has_cgroup2("30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw"));
        assert!(!has_cgroup2("30 23 0:26 / /sys/fs/cgroup/cpu rw shared:4 - cgroup cgroup rw,cpu"));
    }
}
