//! Name resolution: what numbers are called. Processes with all that names them, interfaces, hosts, services.
//!
//! Fills in a batch before the table sees it. Bounded in time: what takes longer is done by threads of its own and
//! comes with a later batch. What cannot be read stays unknown and is never guessed.

mod apart;
mod ask;
mod cgroup;
mod digest;
mod file_id;
mod hosts;
mod interface;
mod lineage;
mod package;
mod pool;
mod process;
mod program;
mod registry;
mod runtime;
mod services;
mod user;
mod worker;
mod workload;

pub(crate) use apart::Zygote;
pub(crate) use process::gone;

use crate::model::{Batch, Degradation, Life, Names, ProcessId};
use ask::Ask;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::TrySendError;
use std::time::{Duration, Instant};
use worker::Worker;

/// How long a batch waits for the names of its processes. Some hundred are named in that time.
const PATIENCE: Duration = Duration::from_millis(25);
/// How long the last one does.
const LAST_PATIENCE: Duration = Duration::from_secs(1);
/// Batches that are not named yet, from which on it is said that names come late.
const BEHIND: u64 = 2;

/// What is to be named, and where the system keeps what names it.
#[derive(Clone, Debug)]
pub(crate) struct ResolveOptions {
    /// Ask for the names of hosts.
    pub hosts: bool,
    /// Those of private addresses, too.
    pub private_hosts: bool,
    /// Name ports.
    pub services: bool,
    /// How processes are named; in a recording there are none.
    pub processes: Option<ProcessOptions>,
    /// Where files of the system are looked for: `/`, but in tests.
    pub root: PathBuf,
}

/// How processes are named.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessOptions {
    /// Hash every executable.
    pub hash: bool,
    /// Who makes the processes that look at what may hang; without one, the program itself looks.
    pub zygote: Option<Arc<Zygote>>,
}

impl Default for ResolveOptions {
    fn default() -> Self {
        Self {
            hosts: true,
            private_hosts: false,
            services: true,
            processes: Some(ProcessOptions::default()),
            root: PathBuf::from("/"),
        }
    }
}

/// Every resolver, with its cache.
#[derive(Debug)]
pub(crate) struct Resolver {
    interfaces: interface::Interfaces,
    hosts: hosts::Hosts,
    names: Arc<Names>,
    /// Who names processes; nobody where there are none.
    worker: Option<Worker>,
    /// Batches that were handed to the worker, and those of them that are named.
    asked: u64,
    done: u64,
    /// The worker has something to do with a batch that brings no process, or has not said yet.
    again: bool,
    /// Something was not handed over: the worker is far behind.
    dropped: bool,
    /// /proc keeps something from this program that was looked for.
    hidden: bool,
    /// Paths that do not answer.
    hung: Vec<PathBuf>,
}

impl Resolver {
    /// With empty caches.
    pub(crate) fn new(options: ResolveOptions) -> Self {
        let hosts = hosts::Hosts::new(&options.root, options.hosts, options.private_hosts);
        let services = if options.services { services::load(&options.root) } else { HashMap::new() };
        let names = Names { hosts: hosts.all(), services: Arc::new(services) };
        let hidden = options.processes.is_some() && is_hidden();
        let worker = options.processes.map(|of| Worker::start(options.root, of));
        Self {
            interfaces: interface::Interfaces::default(),
            hosts,
            names: Arc::new(names),
            worker,
            asked: 0,
            done: 0,
            again: false,
            dropped: false,
            hidden,
            hung: Vec::new(),
        }
    }

    /// Takes in what happened to processes.
    pub(crate) fn note(&mut self, lives: Vec<Life>) {
        // What comes with the next batch was claimed before they were counted.
        self.again |= lives.iter().any(|life| matches!(life, Life::Census { .. }));
        if !lives.is_empty() {
            self.ask(Ask::Lives(lives));
        }
    }

    /// Asks for the SHA-256 of a process's executable; it comes with a later batch. False where there is nobody to ask.
    pub(crate) fn hash(&mut self, process: ProcessId) -> bool {
        self.ask(Ask::Hash(process));
        self.worker.is_some()
    }

    /// Asks for the names of hosts from now on, or does not; those that are known stay.
    pub(crate) fn name_hosts(&mut self, on: bool) {
        self.hosts.ask(on);
    }

    /// Adds what can be found out now, and what was found out since the last batch. The `last` one waits longer.
    pub(crate) fn complete(&mut self, batch: &mut Batch, last: bool) {
        self.interfaces.complete(batch);
        for delta in &batch.deltas {
            if let Some(remote) = delta.flow.remote_end() {
                self.hosts.want(remote.addr);
            }
        }
        if self.worker.is_none() {
            return;
        }
        let waits = last || !batch.processes.is_empty();
        if waits || self.again {
            self.asked += 1;
            self.again = true;
            let seen = batch.processes.clone();
            self.ask(Ask::Seen { number: self.asked, now: batch.to, seen, all: last });
        }
        let patience = match (last, waits) {
            (true, _) => LAST_PATIENCE,
            (false, true) => PATIENCE,
            (false, false) => Duration::ZERO,
        };
        self.collect(batch, patience);
    }

    /// The names of hosts and services as far as they are known by now.
    pub(crate) fn names(&mut self) -> Arc<Names> {
        if self.hosts.learn() {
            let services = Arc::clone(&self.names.services);
            self.names = Arc::new(Names { hosts: self.hosts.all(), services });
        }
        Arc::clone(&self.names)
    }

    fn ask(&mut self, ask: Ask) {
        let asked = self.worker.as_ref().map(|worker| worker.asks.try_send(ask));
        if let Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) = asked {
            self.dropped = true;
        }
    }

    /// Appends the answers, and waits for those of this batch, but not for long.
    fn collect(&mut self, batch: &mut Batch, patience: Duration) {
        let Some(worker) = &self.worker else { return };
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let wait = if self.done >= self.asked { Duration::ZERO } else { left };
            let Ok(answer) = worker.answers.recv_timeout(wait) else { return };
            self.done = self.done.max(answer.done);
            self.hidden |= answer.denied;
            self.hung = answer.hung;
            self.again = answer.again || self.done < self.asked;
            batch.processes.extend(answer.seen);
        }
    }

    /// What is missing of names.
    pub(crate) fn degradations(&self) -> Vec<Degradation> {
        let sentence = |what: &str, why: &str, fix: &str| {
            let [what, why, fix] = [what, why, fix].map(str::to_owned);
            Degradation { what, why, fix }
        };
        let mut missing = Vec::new();
        if self.asked - self.done > BEHIND {
            missing.push(sentence(
                "names of new processes come late",
                "more processes appear than can be looked up",
                "none; they are named as soon as there is time",
            ));
        }
        if self.dropped {
            missing.push(sentence(
                "some processes have no name",
                "looking up processes took too long, so some were passed over",
                "restart monitor when the system is less busy",
            ));
        }
        if self.hidden {
            missing.push(sentence(
                "executables and command lines of some processes older than monitor are not known",
                "/proc does not show other users' processes (hidepid, or no cap_sys_ptrace)",
                "run it as root, or add cap_sys_ptrace with setcap",
            ));
        }
        if !self.hung.is_empty() {
            let paths: Vec<_> =
                self.hung.iter().map(|path| path.to_string_lossy().escape_debug().to_string()).collect();
            missing.push(sentence(
                "executables, packages or hashes of some processes are not known",
                &format!("it does not answer: {}", paths.join(", ")),
                "see to its server, or unmount it (umount -l); they are named as soon as it answers",
            ));
        }
        missing
    }
}

/// hidepid=2: process 1 is there, and is not shown. Where a single process is kept from this program, that is said when
/// it is looked for. A system without /proc has none to hide.
fn is_hidden() -> bool {
    Path::new("/proc/self").exists() && !Path::new("/proc/1").exists()
}
