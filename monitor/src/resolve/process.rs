//! Executables, uids and missing names of processes, from /proc (proc(5)).
//!
//! A pid in /proc may by now be another process: nothing is taken from it unless its start time is the one that the
//! kernel programs saw.

use crate::model::{Mono, ProcessId, ProcessSeen};
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::sync::Arc;

/// Processes looked up in one batch; at about 15 us each this bounds a tick to some 60 ms.
const PER_BATCH: usize = 4096;
/// Clock ticks a second in /proc/PID/stat; the same on every Linux since 2.6 (USER_HZ).
const USER_HZ: u64 = 100;

/// Fills in what the kernel did not tell.
pub(super) fn complete(processes: &mut [ProcessSeen]) {
    for process in processes.iter_mut().take(PER_BATCH) {
        lookup(process);
    }
}

/// Those that have ended: their pid is nobody's, or another process's by now.
pub(super) fn gone(processes: &BTreeSet<ProcessId>) -> Vec<ProcessId> {
    processes.iter().take(PER_BATCH).copied().filter(|process| !lives(*process)).collect()
}

/// Whether a process lives. The kernel itself does, and so does what cannot be looked at.
fn lives(process: ProcessId) -> bool {
    if process == ProcessId::KERNEL {
        return true;
    }
    match fs::read_to_string(format!("/proc/{}/stat", process.pid)) {
        Ok(stat) => state(&stat) != Some('Z') && start_ticks(&stat).is_none_or(|ticks| is_of(process, ticks)),
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}

/// Whether a process of this generation can have started in that clock tick: both are roundings of one time.
fn is_of(process: ProcessId, start_ticks: u64) -> bool {
    let tick = 1_000_000_000 / USER_HZ;
    process.can_have_started(Mono(start_ticks * tick), Mono((start_ticks + 1) * tick - 1))
}

fn lookup(process: &mut ProcessSeen) {
    let dir = format!("/proc/{}", process.id.pid);
    let Ok(stat) = fs::read_to_string(format!("{dir}/stat")) else { return };
    let Some(start_ticks) = start_ticks(&stat) else { return };
    if let Some(start) = process.start {
        // start_boottime in clock ticks, as fs/proc/array.c prints it.
        if start.0 / (1_000_000_000 / USER_HZ) != start_ticks {
            return;
        }
    } else if let Some(alive) = process.alive
        && alive.0 / (1_000_000_000 / USER_HZ) < start_ticks
    {
        // It began after the one that is meant was seen.
        return;
    }
    if process.comm.is_empty()
        && let Ok(comm) = fs::read(format!("{dir}/comm"))
    {
        process.comm = String::from_utf8_lossy(comm.strip_suffix(b"\n").unwrap_or(&comm)).into();
    }
    if process.uid.is_none() {
        process.uid = fs::read_to_string(format!("{dir}/status")).ok().and_then(|status| real_uid(&status));
    }
    if let Ok(exe) = fs::read_link(format!("{dir}/exe")) {
        process.exe = Some(Arc::from(exe.to_string_lossy()));
    }
}

/// Field 22 of /proc/PID/stat. The name in field 2 may hold spaces and parentheses.
fn start_ticks(stat: &str) -> Option<u64> {
    stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

/// Field 3: one letter.
fn state(stat: &str) -> Option<char> {
    stat.rsplit_once(") ")?.1.chars().next()
}

fn real_uid(status: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    fn seen(pid: u32, start: Option<Mono>) -> ProcessSeen {
        ProcessSeen { id: ProcessId { pid, generation: 0 }, start, ..ProcessSeen::default() }
    }

    #[test]
    fn stat_with_a_hostile_name() {
        let stat = "42 (a) b) (c) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 100 200";
        assert_eq!(start_ticks(stat), Some(12345));
        assert_eq!(start_ticks("42 (x"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn our_own_process_is_found() {
        let mut process = seen(std::process::id(), None);
        lookup(&mut process);
        assert!(!process.comm.is_empty());
        assert_eq!(process.exe.as_deref(), std::env::current_exe().unwrap().to_str());
        assert!(process.uid.is_some());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn who_is_gone() {
        let text = fs::read_to_string("/proc/self/stat").unwrap();
        let start = start_ticks(&text).unwrap() * 10_000_000 + 5_000_000;
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
        let unknown = |alive| ProcessSeen { alive, ..seen(std::process::id(), None) };
        let (mut before, mut after) = (unknown(Some(Mono(1))), unknown(Some(Mono(u64::MAX))));
        lookup(&mut before);
        assert_eq!(before, unknown(Some(Mono(1))));
        lookup(&mut after);
        assert!(!after.comm.is_empty() && after.exe.is_some());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_recycled_pid_is_left_alone() {
        let mut process = seen(std::process::id(), Some(Mono(1)));
        lookup(&mut process);
        assert_eq!(process, seen(std::process::id(), Some(Mono(1))));
    }
}
