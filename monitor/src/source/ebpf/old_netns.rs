//! Names of interfaces below Linux 5.14, where a namespace does not tell its own cookie (SO_NETNS_COOKIE).
//!
//! The owner of a flow usually lives in the namespace of its socket, but need not: the namespace is taken for the right
//! one only if its own list of sockets has the flow's socket.

use super::{seed_procfs, sock_diag};
use crate::model::{Batch, Delta, InterfaceSeen};
use aya::util::KernelVersion;
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// The loopback interface has this index everywhere, and everybody knows its name.
const LOOPBACK: u32 = 1;
/// Flows looked for in one batch.
const VISITS: usize = 16;
/// Interfaces remembered; beyond it all are asked for anew.
const MAX_KNOWN: usize = 65_536;
/// Batches in which a name is asked for before it is given up.
const ATTEMPTS: u32 = 20;

type Key = (u64, u32);

/// The names known so far.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    /// Named or given up.
    done: HashSet<Key>,
    attempts: HashMap<Key, u32>,
}

impl Interfaces {
    /// `None` where the kernel is new enough for the resolver to ask it.
    pub(super) fn if_needed() -> Option<Self> {
        let old = KernelVersion::current().is_ok_and(|version| version < KernelVersion::new(5, 14, 0));
        old.then(Self::default)
    }

    /// Names the interfaces that the batch mentions for the first time.
    pub(super) fn complete(&mut self, batch: &mut Batch) {
        if self.done.len() + self.attempts.len() > MAX_KNOWN {
            (self.done, self.attempts) = (HashSet::new(), HashMap::new());
        }
        let mut visits = 0;
        let mut elsewhere = None;
        for delta in &batch.deltas {
            let key = (delta.flow.netns, delta.flow.ifindex);
            if key.0 == 0 || key.1 <= LOOPBACK || visits == VISITS || self.done.contains(&key) {
                continue;
            }
            visits += 1;
            if let Some(name) = name(delta, &mut elsewhere) {
                batch.interfaces.push(InterfaceSeen { netns: key.0, ifindex: key.1, name: name.into() });
                self.done.insert(key);
                continue;
            }
            let attempts = self.attempts.entry(key).or_default();
            *attempts += 1;
            if *attempts == ATTEMPTS {
                self.attempts.remove(&key);
                self.done.insert(key);
            }
        }
    }
}

/// By the owner's namespace, or any other: the owner may be gone.
fn name(delta: &Delta, elsewhere: &mut Option<Vec<PathBuf>>) -> Option<String> {
    let owner = delta.owner.filter(|owner| owner.pid != 0);
    let own = owner.map(|owner| crate::procfs::network_namespace(owner.pid));
    own.and_then(|path| name_in(&path, delta)).or_else(|| {
        let paths = elsewhere.get_or_insert_with(seed_procfs::namespaces);
        paths.iter().find_map(|path| name_in(path, delta))
    })
}

fn name_in(path: &Path, delta: &Delta) -> Option<String> {
    let (socket, index) = (delta.flow.socket.0, delta.flow.ifindex);
    crate::procfs::in_network_namespace(path, || {
        let listed = sock_diag::here()?.has(socket);
        let any = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None).ok()?;
        if listed { netdevice::index_to_name(&any, index).ok() } else { None }
    })
}
