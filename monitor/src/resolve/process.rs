//! Process details, what /proc says of a process (proc(5)): for those that the kernel programs did not see start.
//!
//! A pid in /proc may by now be another process: nothing is taken from it unless its start time is the one that the
//! kernel programs saw. Everything is read through one descriptor of its directory, which a later process with the same
//! pid does not answer to.

use crate::model::{Mono, ProcessId, ProcessSeen};
use crate::procfs::{Stat, TICK, as_shown, lives};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, readlinkat, statat};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::sync::Arc;

/// Processes looked at in one batch for whether they live; at about 10 us each this bounds a tick to some 40 ms.
const PER_BATCH: usize = 4096;
/// The longest small file of /proc that is read, bytes.
const MAX_FILE: u64 = 65_536;

/// Bytes of a command line that are kept.
pub(super) const MAX_CMDLINE: usize = 4_096;

/// What was read, of what cannot hang. A field is `None` where /proc does not give it: hidepid, a kernel thread, another user's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) comm: Arc<str>,
    pub(super) parent: u32,
    /// When it started, clock ticks: what tells it from another one with its pid.
    pub(super) ticks: u64,
    pub(super) exe: Option<Arc<str>>,
    pub(super) cgroup: Option<String>,
    pub(super) netns_inode: u64,
    pub(super) uid: Option<u32>,
    /// The kernel keeps its executable from this program: it is another user's, and `cap_sys_ptrace` is missing.
    pub(super) denied: bool,
}

/// Those that have ended: their pid is nobody's, or another process's by now.
pub(crate) fn gone(processes: &BTreeSet<ProcessId>) -> Vec<ProcessId> {
    processes.iter().take(PER_BATCH).copied().filter(|process| !lives(*process)).collect()
}

/// Looks a process up that `claimed` something then; `None` where it is gone, hidden, or another one has its pid.
pub(super) fn look(seen: &ProcessSeen, claimed: Option<Mono>) -> Option<Look> {
    let dir = directory(seen.id.pid)?;
    let stat = String::from_utf8_lossy(&file(&dir, "stat", MAX_FILE)?).into_owned();
    let stat = Stat::parse(&stat)?;
    let start_ticks = stat.ticks()?;
    // start_boottime in clock ticks, as fs/proc/array.c prints it.
    let ticks = |at: Mono| as_shown(at).0 / TICK;
    let fits = if let Some(began) = seen.start {
        ticks(began) == start_ticks
    } else {
        // It must not have begun after the one that is meant was seen.
        stat.can_be(seen.id) && claimed.is_none_or(|claimed| ticks(claimed) >= start_ticks)
    };
    if !fits {
        return None;
    }
    let exe = link(&dir, "exe");
    let denied = matches!(exe, Err(Errno::ACCESS | Errno::PERM));
    Some(Look {
        comm: stat.comm.into(),
        parent: stat.parent().unwrap_or(0),
        ticks: start_ticks,
        exe: exe.ok().map(Into::into),
        cgroup: file(&dir, "cgroup", MAX_FILE).and_then(|text| cgroup(&String::from_utf8_lossy(&text))),
        netns_inode: link(&dir, "ns/net").ok().and_then(|link| inode(&link)).unwrap_or(0),
        uid: if seen.uid.is_some() { None } else { uid(&dir) },
        denied,
    })
}

fn directory(pid: u32) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, format!("/proc/{pid}"), flags, Mode::empty()).ok()
}

/// The directory of the process that started then.
pub(super) fn open(pid: u32, ticks: u64) -> Option<OwnedFd> {
    let dir = directory(pid)?;
    let stat = file(&dir, "stat", MAX_FILE)?;
    let is_it = Stat::parse(&String::from_utf8_lossy(&stat))?.ticks() == Some(ticks);
    is_it.then_some(dir)
}

/// The command line. It is in the memory of the process, which may be a file of a file system that hangs.
pub(super) fn command_line(dir: &OwnedFd) -> Option<String> {
    file(dir, "cmdline", MAX_CMDLINE as u64).and_then(|bytes| cmdline(&bytes))
}

/// Whether the path of the executable leads to that very file in the monitor's own mount namespace. It may hang.
pub(super) fn is_on_host(dir: &OwnedFd) -> bool {
    link(dir, "exe").is_ok_and(|exe| same_file(dir, &exe))
}

/// The start of a file, at most so many bytes.
fn file(dir: &OwnedFd, name: &str, most: u64) -> Option<Vec<u8>> {
    let file = openat(dir, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut bytes = Vec::new();
    fs::File::from(file).take(most).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn link(dir: &OwnedFd, name: &str) -> Result<String, Errno> {
    Ok(readlinkat(dir, name, Vec::new())?.to_string_lossy().into_owned())
}

fn same_file(dir: &OwnedFd, path: &str) -> bool {
    let (Ok(theirs), Ok(ours)) = (statat(dir, "exe", AtFlags::empty()), rustix::fs::stat(path)) else {
        return false;
    };
    (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino)
}

fn uid(dir: &OwnedFd) -> Option<u32> {
    real_uid(&String::from_utf8_lossy(&file(dir, "status", MAX_FILE)?))
}

/// The cgroup2 path, or on a hybrid machine, where that is the root, the path that systemd or a runtime gave elsewhere.
fn cgroup(text: &str) -> Option<String> {
    let of = |controller: &str| {
        let lines = text.lines().filter_map(|line| line.split_once(':').map(|(_, rest)| rest));
        lines
            .filter_map(|rest| rest.split_once(':'))
            .find(|(name, _)| *name == controller)
            .map(|(_, path)| path)
    };
    let unified = of("");
    let others = ["name=systemd", "pids", "memory", "cpu,cpuacct", "devices"].into_iter().filter_map(of);
    unified.into_iter().chain(others).find(|path| *path != "/").or(unified).map(str::to_owned)
}

/// `net:[4026531840]`.
fn inode(link: &str) -> Option<u64> {
    link.split_once('[')?.1.strip_suffix(']')?.parse().ok()
}

fn real_uid(status: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().next()?.parse().ok()
}

/// Arguments that end in zero bytes, joined by spaces and cut; `None` where there are none.
pub(super) fn cmdline(args: &[u8]) -> Option<String> {
    let args = &args[..args.len().min(MAX_CMDLINE)];
    let end = args.iter().rposition(|byte| *byte != 0)? + 1;
    let mut text = String::from_utf8_lossy(&args[..end]).replace('\0', " ");
    // Each byte that is no text takes three here.
    while text.len() > MAX_CMDLINE {
        text.pop();
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(pid: u32, start: Option<Mono>) -> ProcessSeen {
        ProcessSeen { id: ProcessId { pid, generation: 0 }, start, ..ProcessSeen::default() }
    }

    #[test]
    fn cgroups_of_every_layout() {
        assert_eq!(cgroup("0::/system.slice/a.service\n").as_deref(), Some("/system.slice/a.service"));
        let hybrid = "12:pids:/docker/x\n1:name=systemd:/docker/y\n0::/\n";
        assert_eq!(cgroup(hybrid).as_deref(), Some("/docker/y"));
        assert_eq!(cgroup("2:cpu,cpuacct:/a\n0::/b:c\n").as_deref(), Some("/b:c"));
        assert_eq!(cgroup("0::/\n").as_deref(), Some("/"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn our_own_process_is_found() {
        let own = look(&seen(std::process::id(), None), None).unwrap();
        assert!(!own.comm.is_empty());
        assert_eq!(own.exe.as_deref(), std::env::current_exe().unwrap().to_str());
        assert!(own.uid.is_some() && own.netns_inode != 0 && own.parent != 0);
        let line = std::env::args().collect::<Vec<_>>().join(" ");
        let dir = open(std::process::id(), own.ticks).unwrap();
        assert_eq!((command_line(&dir).as_deref(), is_on_host(&dir)), (Some(&*line), true));
        assert!(open(std::process::id(), own.ticks + 1).is_none(), "another process");
        assert!(own.cgroup.is_some_and(|path| path.starts_with('/')));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn who_is_gone() {
        let text = fs::read_to_string("/proc/self/stat").unwrap();
        let start = Stat::parse(&text).unwrap().ticks().unwrap() * 10_000_000 + 5_000_000;
        let generation = u32::try_from((start >> 20) & 0xffff_ffff).unwrap();
        let own = ProcessId { pid: std::process::id(), generation };
        let recycled = ProcessId { generation: generation.wrapping_sub(1_000), ..own };
        let nobody = ProcessId { pid: u32::MAX, generation: 1 };
        let all = BTreeSet::from([ProcessId::KERNEL, own, recycled, nobody]);
        assert_eq!(BTreeSet::from_iter(gone(&all)), BTreeSet::from([recycled, nobody]));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_younger_than_the_claim_is_left_alone() {
        let own = |claimed| look(&seen(std::process::id(), None), Some(Mono(claimed)));
        assert_eq!(own(1), None);
        assert!(own(u64::MAX).is_some_and(|look| look.exe.is_some()));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_recycled_pid_is_left_alone() {
        assert_eq!(look(&seen(std::process::id(), Some(Mono(1))), None), None);
        let other = ProcessId { pid: std::process::id(), generation: 1 };
        assert_eq!(look(&ProcessSeen { id: other, ..ProcessSeen::default() }, None), None);
    }
}
