//! The seed where the kernel has no iterator over descriptors (below Linux 5.12): who holds which inode from /proc, which
//! cookie an inode has from sock_diag.
//!
//! Only for kernels whose hooks cannot tell a process's start either: /proc has it in hundredths of a second only, which
//! would make another process of the same one.

use super::sock_diag;
use crate::procfs;
use monitor_common::{ProcessKey, SeedRecord};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::PathBuf;

/// What one pass found.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// One record per socket and holder.
    pub records: Vec<SeedRecord>,
    /// Every kind of socket was listed in every namespace.
    pub complete: bool,
}

/// Reads /proc once.
pub(super) fn pass() -> Pass {
    let mut holders: Vec<(u32, HashSet<u64>)> = Vec::new();
    for pid in procfs::pids() {
        let inodes =
            procfs::socket_inodes(&procfs::directory(pid)).into_iter().flatten().collect::<HashSet<_>>();
        if !inodes.is_empty() {
            holders.push((pid, inodes));
        }
    }
    let mut cookies = HashMap::new();
    let mut complete = true;
    for link in namespaces() {
        let sockets = sock_diag::of_namespace(&link).unwrap_or_default();
        complete &= sockets.raw;
        cookies.extend(sockets.cookies);
    }
    let records = holders.iter().flat_map(|(pid, inodes)| records(*pid, inodes, &cookies)).collect();
    Pass { records, complete }
}

/// A path to every network namespace that some process lives in.
pub(super) fn namespaces() -> Vec<PathBuf> {
    let pids = procfs::one_per_network_namespace(usize::MAX);
    pids.into_iter().map(procfs::network_namespace).collect()
}

fn records(pid: u32, inodes: &HashSet<u64>, cookies: &HashMap<u64, u64>) -> Vec<SeedRecord> {
    let known: Vec<u64> = inodes.iter().filter_map(|inode| cookies.get(inode).copied()).collect();
    if known.is_empty() {
        return Vec::new();
    }
    let comm = comm(pid);
    let process = ProcessKey { tgid: pid, generation: 0 };
    known.into_iter().map(|cookie| SeedRecord { cookie, process, start: 0, comm, netns: 0 }).collect()
}

fn comm(pid: u32) -> [u8; 16] {
    let mut comm = [0; 16];
    let text = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    let name = text.strip_suffix(b"\n").unwrap_or(&text);
    let length = name.len().min(15);
    comm[..length].copy_from_slice(&name[..length]);
    comm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_gets_a_record_for_each_socket_that_has_a_cookie() {
        let inodes = HashSet::from([1, 2]);
        let found = records(std::process::id(), &inodes, &HashMap::from([(2, 9), (3, 8)]));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].cookie, found[0].process.tgid), (9, std::process::id()));
        assert_ne!(found[0].comm[0], 0, "the name of this very process");
    }
}
