//! Process identification: what the kernel told of processes, /proc, cgroups, users and packages, put together into
//! identities.
//!
//! Runs on a thread of its own (`worker`), so it may read files. It never waits for anything else.

use super::ProcessOptions;
use super::apart::{Apart, Unanswered};
use super::ask::Ask;
use super::cgroup::{Cgroups, Located};
use super::digest::{Digests, Hashed};
use super::lineage::{Lineage, Node};
use super::package::Packages;
use super::process::{self, Look};
use super::program::{Executables, Program, whole_name};
use super::runtime::State;
use super::user::Users;
use crate::model::{Ancestor, Identity, Life, Mono, ProcessId, ProcessSeen};
use crate::procfs;
use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

/// Processes remembered, at most; beyond it, those that ended are forgotten first.
const MAX_KNOWN: usize = 131_072;
/// How long who has ended is remembered for its name and its descendants. Whatever it claimed was told by then.
const REMEMBERED: Duration = Duration::from_secs(30);
/// How often that is looked at.
const FORGET_EVERY: Duration = Duration::from_secs(5);
/// So many that have ended are remembered for longer: who comes and goes in small numbers costs no pass.
const FEW: usize = 1_024;
/// Ancestors that are looked up in /proc.
const MAX_CHAIN: usize = 64;
/// Processes that are looked at in one batch for whether they live, where the kernel does not tell.
const LOOKED_AT: usize = 256;

/// A process that claimed a socket.
#[derive(Debug, Default)]
struct Known {
    /// What the kernel told, and what was found. `alive` = as of when its name holds.
    seen: ProcessSeen,
    /// When it claimed something for the first time: what has its pid and began later is another one.
    claimed: Option<Mono>,
    /// Its package is being looked for.
    packaging: bool,
}

/// The identities of processes, and what they are put together from.
#[derive(Debug)]
pub(super) struct Registry {
    lineage: Lineage,
    executables: Executables,
    cgroups: Cgroups,
    users: Users,
    packages: Packages,
    digests: Digests,
    apart: Apart,
    /// Who is not whole because something does not answer: once more when it does.
    waiting: HashSet<ProcessId>,
    known: HashMap<ProcessId, Known>,
    todo: VecDeque<ProcessId>,
    queued: HashSet<ProcessId>,
    /// Whose cgroup was not found: once more with the next batch.
    later: Vec<ProcessId>,
    /// The kernel tells when processes end.
    told: bool,
    /// Who lived when it was counted last, for what was claimed before that.
    census: Option<(HashSet<ProcessId>, Mono)>,
    /// Known ones that have ended.
    ended: usize,
    /// When to look next for whom to forget.
    next_forget: Mono,
    /// Where to go on looking who lives.
    looked: Option<ProcessId>,
    /// Hash every executable.
    hash: bool,
    /// Answers of slow helpers come back this way.
    asks: SyncSender<Ask>,
    /// Something was looked up and kept from this program.
    pub(super) denied: bool,
    /// What is to be told.
    pub(super) out: Vec<ProcessSeen>,
}

impl Registry {
    /// With the state of runtimes, packages and users below `root`.
    pub(super) fn new(root: &Path, options: ProcessOptions, asks: SyncSender<Ask>) -> Self {
        let ProcessOptions { hash, zygote } = options;
        Self {
            lineage: Lineage::default(),
            executables: Executables::default(),
            cgroups: Cgroups::new(State::new(root)),
            users: Users::new(root),
            packages: Packages::new(root),
            digests: Digests::new(zygote.clone()),
            apart: Apart::new(zygote),
            waiting: HashSet::new(),
            known: HashMap::new(),
            todo: VecDeque::new(),
            queued: HashSet::new(),
            later: Vec::new(),
            told: false,
            census: None,
            ended: 0,
            next_forget: Mono(0),
            looked: None,
            hash,
            asks,
            denied: false,
            out: Vec::new(),
        }
    }

    /// Takes in what happened.
    pub(super) fn note(&mut self, life: Life) {
        if let Life::Executed(executed) = &life {
            // While it is there.
            self.cgroups.learn(executed.cgroup);
        }
        if let Life::Census { living, at } = life {
            return self.count(living, at);
        }
        let ended = if let Life::Ended { at, .. } = &life { Some(*at) } else { None };
        self.told |= ended.is_some();
        let Some(id) = self.lineage.note(life) else { return };
        let Some(known) = self.known.get_mut(&id) else { return };
        if let Some(at) = ended {
            self.ended += usize::from(known.seen.exited.is_none());
            self.out.extend(end(known, at));
            return;
        }
        if let Some(node) = self.lineage.get(id) {
            rename(&mut known.seen, node);
        }
        self.enqueue(id);
    }

    /// Ends whoever is not among the living.
    fn count(&mut self, living: HashSet<ProcessId>, at: Mono) {
        let missing = |id: &ProcessId| *id != ProcessId::KERNEL && !living.contains(id);
        let known = self.known.iter().filter(|(_, known)| known.seen.exited.is_none()).map(|(id, _)| *id);
        let over: HashSet<ProcessId> = self.lineage.living().chain(known).filter(missing).collect();
        for id in over {
            self.note(Life::Ended { id, at });
            if let Some(known) = self.known.get_mut(&id).filter(|known| known.seen.exited.is_none()) {
                self.ended += 1;
                self.out.extend(end(known, at));
            }
        }
        self.census = Some((living, at));
    }

    /// Takes in processes that claimed sockets.
    pub(super) fn see(&mut self, seen: Vec<ProcessSeen>) {
        self.users.refresh();
        for id in std::mem::take(&mut self.later) {
            self.enqueue(id);
        }
        if self.apart.hung().is_empty() {
            for id in std::mem::take(&mut self.waiting) {
                self.enqueue(id);
            }
        }
        let census = self.census.take();
        for seen in seen.into_iter().filter(|seen| seen.id != ProcessId::KERNEL) {
            let id = seen.id;
            let is_new = !self.known.contains_key(&id);
            let known = self.known.entry(id).or_default();
            let moved = seen.cgroup != 0 && seen.cgroup != known.seen.cgroup;
            known.claimed = known.claimed.or(seen.alive);
            merge(&mut known.seen, seen);
            if let Some((_, at)) = census.as_ref().filter(|(living, _)| is_new && !living.contains(&id)) {
                known.seen.exited = Some(*at);
                self.ended += 1;
            }
            if is_new || moved {
                self.enqueue(id);
            }
        }
        if self.known.len() > MAX_KNOWN {
            let queued = &self.queued;
            self.known.retain(|id, known| known.seen.exited.is_none() || queued.contains(id));
        }
        if self.known.len() > MAX_KNOWN {
            let mut by_age: Vec<_> = self.known.iter().map(|(id, known)| (known.claimed, *id)).collect();
            by_age.sort_unstable();
            for (_, id) in by_age.iter().take(self.known.len() - MAX_KNOWN / 16 * 15) {
                self.known.remove(id);
            }
        }
    }

    /// Forgets who ended a while ago, where they are many. After a batch was named: whatever they claimed is told.
    pub(super) fn forget(&mut self, now: Mono) {
        if now < self.next_forget {
            return;
        }
        self.next_forget = now.plus(FORGET_EVERY);
        let before = now.minus(REMEMBERED);
        if self.lineage.ended() > FEW {
            self.lineage.forget(before);
        }
        if self.ended > FEW {
            let waits = |id: &ProcessId| self.queued.contains(id) || self.waiting.contains(id);
            self.known.retain(|id, known| known.seen.exited.is_none_or(|at| at >= before) || waits(id));
            self.ended = self.known.values().filter(|known| known.seen.exited.is_some()).count();
            if self.known.capacity() > 4 * self.known.len() + FEW {
                self.known.shrink_to(2 * self.known.len());
                self.queued.shrink_to(2 * self.queued.len());
                self.todo.shrink_to(2 * self.todo.len());
            }
        }
    }

    /// Finds out who ended, a few at a time, where the kernel does not tell.
    pub(super) fn look_who_lives(&mut self, now: Mono) {
        if self.told || self.known.is_empty() {
            return;
        }
        let mut living: Vec<_> =
            self.known.iter().filter(|(_, known)| known.seen.exited.is_none()).map(|(id, _)| *id).collect();
        living.sort_unstable();
        let from = self.looked.map_or(0, |last| living.partition_point(|id| *id <= last));
        let some = &living[from..living.len().min(from + LOOKED_AT)];
        self.looked = some.last().copied().filter(|_| some.len() == LOOKED_AT);
        for id in some.iter().filter(|id| !procfs::lives(**id)) {
            if let Some(known) = self.known.get_mut(id) {
                self.ended += 1;
                self.out.extend(end(known, now));
            }
        }
    }

    /// Names at most so many of those that wait. True where there are more.
    pub(super) fn work(&mut self, most: usize) -> bool {
        for _ in 0..most {
            let Some(id) = self.todo.pop_front() else { return false };
            self.queued.remove(&id);
            self.name(id);
        }
        !self.todo.is_empty()
    }

    /// Whether there is something to do with the next batch even where that brings no process: a cgroup to look for once
    /// more, or processes to be looked at for whether they live.
    pub(super) fn wants_batches(&self) -> bool {
        !self.later.is_empty()
            || !self.waiting.is_empty()
            || !(self.told || self.known.is_empty())
            || self.lineage.ended().max(self.ended) > FEW
    }

    /// Paths, or whole file systems, that do not answer.
    pub(super) fn hung(&mut self) -> Vec<PathBuf> {
        self.apart.hung()
    }

    /// Whether packages are still to be looked for.
    pub(super) fn wants_packages(&self) -> bool {
        self.packages.waits()
    }

    /// Looks for packages, where there is something to look for and it is time, or `now` in any case.
    pub(super) fn package(&mut self, now: bool) {
        if !self.packages.pass(now) {
            return;
        }
        for known in self.known.values_mut().filter(|known| known.packaging) {
            let Some(exe) = &known.seen.exe else { continue };
            let Ok(package) = self.packages.of(exe) else { continue };
            known.packaging = false;
            if package.is_some() {
                self.out.extend(change(known, |identity| identity.package = package));
            }
        }
    }

    /// Takes in the name of a uid.
    pub(super) fn learn_user(&mut self, uid: u32, name: Option<String>) {
        self.users.learn(uid, name.clone());
        let Some(name) = name.map(Arc::<str>::from) else { return };
        for known in self.known.values_mut().filter(|known| known.seen.uid == Some(uid)) {
            self.out.extend(change(known, |identity| identity.user = Some(Arc::clone(&name))));
        }
    }

    /// Hashes the executable of a process; the answer comes later.
    pub(super) fn hash(&mut self, id: ProcessId) {
        let Some(known) = self.known.get(&id) else { return };
        let program = self.lineage.get(id).and_then(|node| node.program.as_ref());
        let opened = program
            .and_then(|program| Some((Arc::clone(known.seen.exe.as_ref()?), program.file?, program.at)));
        let asks = self.asks.clone();
        // Fails only at the end of the program.
        let tell = move |hashed| drop(asks.send(Ask::Hashed(id, hashed)));
        if let Err(busy) = self.digests.ask(&known.seen, known.claimed, opened, tell) {
            self.learn_hash(id, Err(busy));
        }
    }

    /// Takes in a hash.
    pub(super) fn learn_hash(&mut self, id: ProcessId, hashed: Hashed) {
        let Some(known) = self.known.get_mut(&id) else { return };
        let (sum, unhashed) = match hashed {
            Ok(sum) => (Some(sum), None),
            Err(why) => (None, Some(why)),
        };
        self.out.extend(change(known, |identity| (identity.sha256, identity.unhashed) = (sum, unhashed)));
    }

    fn enqueue(&mut self, id: ProcessId) {
        if self.queued.insert(id) {
            self.todo.push_back(id);
        }
    }

    /// Puts together what is known of a process, and looks at /proc for the rest only.
    fn name(&mut self, id: ProcessId) {
        let Some(known) = self.known.get(&id) else { return };
        let mut seen = known.seen.clone();
        let before = seen.identity.take();
        let (claimed, node) = (known.claimed, self.lineage.get(id));
        if let Some(node) = node {
            rename(&mut seen, node);
        }
        let program = node.and_then(|node| node.program.clone());
        let mut identity = Identity {
            cmdline: program.as_ref().and_then(|program| program.cmdline.clone()),
            netns_inode: node.map_or(0, |node| node.netns_inode),
            parents: before.as_ref().map(|before| Arc::clone(&before.parents)).unwrap_or_default(),
            sha256: None,
            ..Identity::default()
        };
        if let Some(ended) = node.and_then(|node| node.ended) {
            self.ended += usize::from(seen.exited.is_none());
            seen.exited = Some(ended);
        }
        let path = program.as_deref().map(|program| self.executables.path(program, &mut self.apart));
        let mut exe = path.transpose().unwrap_or_else(|Unanswered| self.wait(id)).flatten();
        let mut on_host = exe.is_some();
        seen.uid = seen.uid.or(program.as_ref().map(|program| program.uid));
        if seen.cgroup == 0 {
            seen.cgroup = program.as_ref().map_or(0, |program| program.cgroup);
        }
        let mut located = self.cgroups.by_id(seen.cgroup);
        let complete = exe.is_some()
            && identity.cmdline.is_some()
            && identity.netns_inode != 0
            && seen.uid.is_some()
            && located.is_some();
        let look = if complete || seen.exited.is_some() { None } else { process::look(&seen, claimed) };
        if let Some(look) = &look {
            self.denied |= look.denied && exe.is_none();
            let near = self.apart.process(id, look.ticks, look.exe.as_deref(), seen.uid.or(look.uid));
            let (cmdline, is_ours) = near.unwrap_or_else(|Unanswered| self.wait(id));
            if exe.is_none() {
                (exe, on_host) = (look.exe.clone(), is_ours);
            }
            // A process can overwrite what is in its memory.
            identity.cmdline = identity.cmdline.or(cmdline);
            if identity.netns_inode == 0 {
                identity.netns_inode = look.netns_inode;
            }
            seen.uid = seen.uid.or(look.uid);
            if seen.comm.is_empty() {
                seen.comm = Arc::clone(&look.comm);
            }
            located = located.or_else(|| look.cgroup.as_deref().map(|path| self.cgroups.by_path(path)));
        }
        if identity.parents.is_empty() {
            identity.parents = self.parents(id, look.as_ref());
        }
        match located {
            Some(located) => place(&mut identity, &located),
            None if before.is_none() && seen.cgroup != 0 => self.later.push(id),
            None => {}
        }
        identity.user = seen.uid.and_then(|uid| self.user(uid));
        let mut packaging = false;
        if let Some(exe) = exe.as_ref().filter(|_| on_host) {
            match self.packages.of(exe) {
                Ok(package) => identity.package = package,
                Err(()) => packaging = true,
            }
        }
        let started = program.as_deref().and_then(Program::file_name);
        identity.name = whole_name(&seen.comm, started, exe.as_deref().or(seen.exe.as_deref()));
        // A process that ended before its second look keeps what the first one found.
        seen.exe = exe.or(seen.exe);
        seen.identity = Some(Arc::new(identity));
        self.out.push(seen.clone());
        self.known.insert(id, Known { seen, claimed, packaging });
        if self.hash {
            self.hash(id);
        }
    }

    /// Once more when what hangs answers. Gives nothing in place of the answer.
    fn wait<T: Default>(&mut self, id: ProcessId) -> T {
        if self.waiting.len() < MAX_KNOWN {
            self.waiting.insert(id);
        }
        T::default()
    }

    fn parents(&self, id: ProcessId, look: Option<&Look>) -> Arc<[Ancestor]> {
        if self.lineage.get(id).is_some() {
            return self.lineage.ancestors(id).into();
        }
        look.map(|look| from_proc(look.parent)).unwrap_or_default().into()
    }

    fn user(&mut self, uid: u32) -> Option<Arc<str>> {
        let asks = self.asks.clone();
        // Fails only at the end of the program.
        self.users.name(uid, move |name| drop(asks.send(Ask::User(uid, name))))
    }
}

/// A process ended.
fn end(known: &mut Known, at: Mono) -> Option<ProcessSeen> {
    known.seen.exited = Some(at);
    known.seen.identity.as_ref()?;
    Some(known.seen.clone())
}

/// Changes an identity that was told already.
fn change(known: &mut Known, change: impl FnOnce(&mut Identity)) -> Option<ProcessSeen> {
    let mut identity = (**known.seen.identity.as_ref()?).clone();
    change(&mut identity);
    known.seen.identity = Some(Arc::new(identity));
    Some(known.seen.clone())
}

/// The name that a program start gave, unless a later one is known.
fn rename(seen: &mut ProcessSeen, node: &Node) {
    if node.named > seen.alive {
        seen.comm = Arc::clone(&node.comm);
        seen.alive = node.named;
    }
}

/// A later value wins, whichever came first; an empty one erases nothing.
fn merge(known: &mut ProcessSeen, seen: ProcessSeen) {
    known.id = seen.id;
    if !seen.comm.is_empty() && (seen.alive.is_none() || seen.alive >= known.alive) {
        known.comm = seen.comm;
    }
    known.start = seen.start.or(known.start);
    known.alive = known.alive.max(seen.alive);
    known.uid = seen.uid.or(known.uid);
    if seen.cgroup != 0 {
        known.cgroup = seen.cgroup;
    }
}

fn place(identity: &mut Identity, located: &Located) {
    identity.cgroup = Some(Arc::clone(&located.path));
    identity.unit.clone_from(&located.unit);
    identity.slice.clone_from(&located.slice);
    identity.container.clone_from(&located.container);
    identity.pod.clone_from(&located.pod);
}

/// The chain as /proc has it now, for kernels that do not tell. Nothing says since when a pid is its process's, so the
/// generation is 0.
fn from_proc(mut pid: u32) -> Vec<Ancestor> {
    let mut chain: Vec<Ancestor> = Vec::new();
    while pid != 0 && chain.len() < MAX_CHAIN {
        let id = ProcessId { pid, generation: 0 };
        let Some(look) = process::look(&ProcessSeen { id, uid: Some(0), ..ProcessSeen::default() }, None)
        else {
            break;
        };
        chain.push(Ancestor { id, comm: look.comm });
        pid = look.parent;
    }
    chain
}
