//! Names of interfaces. An index means something only within its network namespace, so the name is asked for there: by
//! a short-lived thread that enters the namespace of a process that has a socket in it (setns(2), netdevice(7)).
//!
//! Keeps no descriptor of a namespace: that would keep a dead container's namespace alive.

use crate::model::{Batch, InterfaceSeen};
use std::collections::{HashMap, HashSet};

/// The loopback interface has this index in every namespace (net/core/dev.c, `LOOPBACK_IFINDEX`).
const LOOPBACK: u32 = 1;
/// Batches in which a name is asked for before it is given up.
const ATTEMPTS: u32 = 5;
/// Entries of the cache; beyond it, it starts anew.
const MAX_KNOWN: usize = 65_536;

type Key = (u64, u32);

/// The names known so far.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    known: HashSet<Key>,
    failed: HashMap<Key, u32>,
    /// Every namespace was searched for in this batch.
    searched: bool,
}

impl Interfaces {
    /// Names the interfaces that the batch mentions for the first time.
    pub(super) fn complete(&mut self, batch: &mut Batch) {
        self.searched = false;
        // What a source names itself needs no looking up.
        self.known.extend(batch.interfaces.iter().map(|seen| (seen.netns, seen.ifindex)));
        let mut wanted: HashMap<Key, Option<u32>> = HashMap::new();
        for delta in &batch.deltas {
            let key = (delta.flow.netns, delta.flow.ifindex);
            if key.1 == 0 || self.known.contains(&key) {
                continue;
            }
            let pid = delta.owner.map(|owner| owner.pid).filter(|pid| *pid != 0);
            let entry = wanted.entry(key).or_insert(pid);
            *entry = entry.or(pid);
        }
        for (key, pid) in wanted {
            self.name(key, pid, batch);
        }
    }

    fn name(&mut self, key: Key, pid: Option<u32>, batch: &mut Batch) {
        let (netns, ifindex) = key;
        let mut name = if ifindex == LOOPBACK { Some("lo".to_owned()) } else { lookup(netns, ifindex, pid) };
        if name.is_none() && netns != 0 && !std::mem::replace(&mut self.searched, true) {
            name = search(netns, ifindex);
        }
        let Some(name) = name else {
            if self.failed.len() >= MAX_KNOWN {
                self.failed.clear();
            }
            let attempts = self.failed.entry(key).or_default();
            *attempts += 1;
            if *attempts < ATTEMPTS {
                return;
            }
            self.remember(key);
            return;
        };
        self.remember(key);
        batch.interfaces.push(InterfaceSeen { netns, ifindex, name: name.into() });
    }

    fn remember(&mut self, key: Key) {
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        self.known.insert(key);
        self.failed.remove(&key);
    }
}

#[cfg(not(target_os = "linux"))]
fn search(_netns: u64, _ifindex: u32) -> Option<String> {
    None
}

/// The owner is gone, but some other process may live in its namespace.
#[cfg(target_os = "linux")]
fn search(netns: u64, ifindex: u32) -> Option<String> {
    linux::one_process_per_namespace().into_iter().find_map(|pid| linux::of_process(netns, ifindex, pid))
}

#[cfg(not(target_os = "linux"))]
fn lookup(_netns: u64, _ifindex: u32, _pid: Option<u32>) -> Option<String> {
    None
}

#[cfg(target_os = "linux")]
fn lookup(netns: u64, ifindex: u32, pid: Option<u32>) -> Option<String> {
    linux::own(netns, ifindex).or_else(|| linux::of_process(netns, ifindex, pid?))
}

#[cfg(target_os = "linux")]
mod linux {
    use crate::procfs::{in_network_namespace, netns_cookie, network_namespace, one_per_network_namespace};
    use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};

    /// Namespaces visited in one search; a visit takes some 100 us.
    const MAX_NAMESPACES: usize = 256;

    /// In the namespace that this program runs in.
    pub(super) fn own(netns: u64, ifindex: u32) -> Option<String> {
        here(netns, ifindex)
    }

    /// In the namespace of a process.
    pub(super) fn of_process(netns: u64, ifindex: u32, pid: u32) -> Option<String> {
        in_network_namespace(&network_namespace(pid), || here(netns, ifindex))
    }

    /// A process for every network namespace that some process lives in.
    pub(super) fn one_process_per_namespace() -> Vec<u32> {
        one_per_network_namespace(MAX_NAMESPACES)
    }

    /// In the calling thread's namespace, if that is the one that is meant. 0 = not known which: then no name.
    fn here(netns: u64, ifindex: u32) -> Option<String> {
        if netns == 0 || netns_cookie() != netns {
            return None;
        }
        let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None).ok()?;
        netdevice::index_to_name(&socket, ifindex).ok()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn our_own_loopback_is_found_by_the_cookie() {
            let netns = netns_cookie();
            assert_ne!(netns, 0);
            assert_eq!(own(netns, 1).as_deref(), Some("lo"));
            assert_eq!(own(netns + 1, 1), None, "another namespace's index says nothing here");
        }
    }
}
