//! Processes, their sockets and their network namespaces as /proc has them (proc(5)), for every part that looks there.
//!
//! A leaf: it knows nothing of the crate but the words. What a process is called and where it belongs is `resolve`'s
//! business. Where there is no /proc, nothing is found.

#[cfg(target_os = "linux")]
mod netns;

#[cfg(target_os = "linux")]
pub(crate) use netns::netns_cookie;

use crate::model::{Mono, ProcessId};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{fs, io};

/// Length of a clock tick in /proc/PID/stat, ns: USER_HZ is 100 on every Linux since 2.6.
pub(crate) const TICK: u64 = 10_000_000;

/// How far the clock since boot is ahead of the kernel's own, ns, as this process reads it and as /proc shows it: another time
/// namespace (time_namespaces(7)) shifts both. 0 where that is not told.
pub(crate) fn ahead() -> i64 {
    static AHEAD: OnceLock<i64> = OnceLock::new();
    *AHEAD.get_or_init(|| {
        let own = |name: &str| fs::read_link(format!("/proc/self/ns/{name}")).ok();
        // The file is about the children; they are elsewhere where this process asked for that and did not go there.
        if own("time") != own("time_for_children") {
            return 0;
        }
        fs::read_to_string("/proc/self/timens_offsets").map_or(0, |text| offset(&text))
    })
}

/// `boottime SECONDS NANOSECONDS`.
fn offset(text: &str) -> i64 {
    let line = text.lines().find_map(|line| line.strip_prefix("boottime"));
    let mut numbers = line.unwrap_or_default().split_whitespace().filter_map(|word| word.parse::<i64>().ok());
    let (seconds, nanos) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// A moment that this process's clock since boot showed, as the kernel counts.
pub(crate) fn of_the_kernel(shown: Mono) -> Mono {
    Mono(shown.0.saturating_add_signed(ahead().saturating_neg()))
}

/// The reverse of [`of_the_kernel`].
pub(crate) fn as_shown(at: Mono) -> Mono {
    Mono(at.0.saturating_add_signed(ahead()))
}

/// Every process that /proc shows now.
pub(crate) fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// /proc/PID.
pub(crate) fn directory(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}"))
}

/// Inodes of the sockets that the process of that directory of /proc holds, once for each descriptor.
///
/// # Errors
/// The system's: it has ended, or its descriptors may not be read.
pub(crate) fn socket_inodes(process: &Path) -> io::Result<impl Iterator<Item = u64> + use<>> {
    let entries = fs::read_dir(process.join("fd"))?.flatten();
    Ok(entries.filter_map(|entry| socket_inode(fs::read_link(entry.path()).ok()?.to_str()?)))
}

/// `socket:[INODE]`.
fn socket_inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// A process for each network namespace that some process lives in, for at most so many.
pub(crate) fn one_per_network_namespace(most: usize) -> Vec<u32> {
    let mut found = HashMap::new();
    for pid in pids() {
        if found.len() >= most {
            break;
        }
        // It fails where the process has just ended.
        if let Ok(namespace) = fs::read_link(network_namespace(pid)) {
            found.entry(namespace).or_insert(pid);
        }
    }
    found.into_values().collect()
}

/// The network namespace of a process, to be entered.
pub(crate) fn network_namespace(pid: u32) -> PathBuf {
    directory(pid).join("ns/net")
}

/// What `look` finds in the network namespace at `path`, on a thread of its own that enters it, because entering cannot be
/// undone safely. `None` where it cannot.
#[cfg(target_os = "linux")]
pub(crate) fn in_network_namespace<T: Send>(
    path: &Path,
    look: impl FnOnce() -> Option<T> + Send,
) -> Option<T> {
    use crate::threads::{Role, spawn_scoped};
    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
    use std::os::fd::AsFd;

    let namespace = fs::File::open(path).ok()?;
    std::thread::scope(|scope| {
        let visit = spawn_scoped(Role::Namespace, scope, || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).ok()?;
            look()
        });
        visit.ok()?.join().ok()?
    })
}

/// Whether a process lives. The kernel itself does, and so does what cannot be looked at.
pub(crate) fn lives(process: ProcessId) -> bool {
    if process == ProcessId::KERNEL {
        return true;
    }
    match fs::read(directory(process.pid).join("stat")) {
        Ok(text) => Stat::parse(&String::from_utf8_lossy(&text))
            .is_none_or(|stat| stat.state() != Some('Z') && (stat.ticks().is_none() || stat.can_be(process))),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// A text of /proc/PID/stat.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stat<'a> {
    /// Its name; it may hold spaces and parentheses.
    pub comm: &'a str,
    /// From field 3 on.
    fields: &'a str,
}

impl<'a> Stat<'a> {
    /// `None` where it is no such text.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (head, fields) = text.rsplit_once(") ")?;
        Some(Self { comm: head.split_once('(')?.1, fields })
    }

    /// One letter.
    pub(crate) fn state(&self) -> Option<char> {
        self.fields.chars().next()
    }

    /// The pid of its parent.
    pub(crate) fn parent(&self) -> Option<u32> {
        self.fields.split(' ').nth(1)?.parse().ok()
    }

    /// When it started, as /proc shows it: clock ticks since the system did.
    pub(crate) fn ticks(&self) -> Option<u64> {
        self.fields.split(' ').nth(19)?.parse().ok()
    }

    /// The same as a time, of the tick's beginning.
    pub(crate) fn started(&self) -> Option<Mono> {
        Some(of_the_kernel(Mono(self.ticks()?.checked_mul(TICK)?)))
    }

    /// Whether it can be of this process: its start and the process's generation are roundings of one time.
    pub(crate) fn can_be(&self, process: ProcessId) -> bool {
        self.started()
            .is_some_and(|from| process.can_have_started(from, Mono(from.0.saturating_add(TICK - 1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_count() {
        assert_eq!(socket_inode("socket:[42]"), Some(42));
        assert_eq!(socket_inode("pipe:[42]"), None);
        assert_eq!(socket_inode("socket:[x]"), None);
    }

    #[test]
    fn offsets_of_a_time_namespace() {
        assert_eq!(
            offset("monotonic           0         0\nboottime      864000         5\n"),
            864_000_000_000_005
        );
        assert_eq!(offset("boottime -3 0\n"), -3_000_000_000);
        assert_eq!(offset(""), 0);
        assert_eq!(as_shown(of_the_kernel(Mono(7 << 40))), Mono(7 << 40));
    }

    #[test]
    fn stat_with_a_hostile_name() {
        let stat = "42 (a) b) (c) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 100 200";
        let stat = Stat::parse(stat).unwrap();
        assert_eq!(stat.ticks(), Some(12345));
        assert_eq!(stat.started(), Some(Mono(123_450_000_000)));
        assert_eq!((stat.comm, stat.parent(), stat.state()), ("a) b) (c", Some(1), Some('S')));
        assert!(Stat::parse("42 (x").is_none());
    }
}
