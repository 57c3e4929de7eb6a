//! Process identity: everything that names a process beside its pid and comm.
//!
//! Filled in by `resolve`, off the hot path; kept by the table after the process has ended. Names are raw: whoever shows
//! them escapes them.

use super::ProcessId;
use std::sync::Arc;

/// What a process was before this one: its parent, or that one's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ancestor {
    /// The process.
    pub id: ProcessId,
    /// Its comm, lossy UTF-8.
    pub comm: Arc<str>,
}

/// A container, told from the cgroup path of its processes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Container {
    /// Who runs it: "docker", "podman", "containerd", "crio", "lxc".
    pub runtime: &'static str,
    /// Its full id (64 hexadecimal digits), or its name where the runtime has no other (LXC).
    /// One of a directory that was handed over to a user has that uid before it, `UID:ID`: any id can be claimed there.
    pub id: Arc<str>,
    /// The user who can have made up that it is one; `None` where only root can.
    pub claimed_by: Option<u32>,
    /// Its name, where the runtime's own state could be read.
    pub name: Option<Arc<str>>,
}

/// A Kubernetes pod, told from the cgroup path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pod {
    /// Its UID, with dashes.
    pub uid: Arc<str>,
    /// Its name, where /var/log/pods could be read.
    pub name: Option<Arc<str>>,
    /// Its namespace, likewise.
    pub namespace: Option<Arc<str>>,
}

/// What a process is, beside its pid. Everything is optional: what could not be read is not guessed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The whole name, where the kernel cut it and what it was cut from is known.
    pub name: Option<Arc<str>>,
    /// The command line, arguments joined by one space, lossy UTF-8, cut to 4 KiB.
    pub cmdline: Option<Arc<str>>,
    /// Its parent first, then that one's, up to pid 1; as they were when the process was first seen.
    pub parents: Arc<[Ancestor]>,
    /// Login name of the real uid.
    pub user: Option<Arc<str>>,
    /// Path of its cgroup below the cgroup2 root, with a leading slash.
    pub cgroup: Option<Arc<str>>,
    /// systemd unit: the outermost `*.service` or `*.scope` of the cgroup path, unescaped as systemd shows it; of what a
    /// user's manager runs, that one's name before it: `user@UID.service/UNIT`.
    pub unit: Option<Arc<str>>,
    /// systemd slice: the innermost `*.slice` of the cgroup path outside of that unit.
    pub slice: Option<Arc<str>>,
    /// Container.
    pub container: Option<Arc<Container>>,
    /// Pod.
    pub pod: Option<Arc<Pod>>,
    /// Inode of its network namespace, as `readlink /proc/PID/ns/net` has it; 0 where unknown.
    pub netns_inode: u64,
    /// The package that owns the executable.
    pub package: Option<Arc<str>>,
    /// SHA-256 of the executable, lower-case hexadecimal digits, where it was asked for.
    pub sha256: Option<Arc<str>>,
    /// Why there is none, where it was asked for.
    pub unhashed: Option<&'static str>,
}
