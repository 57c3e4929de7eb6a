//! The thread that names processes: it takes what the engine saw, a little at a time, and hands back what it found.

use super::ProcessOptions;
use super::ask::Ask;
use super::registry::Registry;
use crate::model::{Mono, ProcessSeen};
use crate::threads::{self, Role};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::time::Duration;

/// What may wait for the thread: batches, not processes.
const WAITING: usize = 1_024;
/// Processes named between two looks at what else is there.
const AT_ONCE: usize = 256;
/// How often packages are looked for while some are missing.
const PACKAGES_EVERY: Duration = Duration::from_millis(250);

/// What the thread found.
#[derive(Debug)]
pub(super) struct Answer {
    /// Everything up to this batch is named.
    pub(super) done: u64,
    /// Processes, with all that is known of them.
    pub(super) seen: Vec<ProcessSeen>,
    /// Something was looked up and kept from this program.
    pub(super) denied: bool,
    /// Paths, or whole file systems, that do not answer.
    pub(super) hung: Vec<PathBuf>,
    /// There is something to do with the next batch even where that brings no process.
    pub(super) again: bool,
}

/// The two ends that the engine holds.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) asks: SyncSender<Ask>,
    pub(super) answers: Receiver<Answer>,
}

impl Worker {
    /// Starts the thread, with the state of runtimes, packages and users below `root`, and who looks at what may hang. Without a thread to be had,
    /// nothing is ever answered.
    pub(super) fn start(root: PathBuf, options: ProcessOptions) -> Self {
        let (asks, asked) = sync_channel(WAITING);
        let (sender, answers) = channel();
        let back = asks.clone();
        let run = move || {
            let registry = Registry::new(&root, options, back);
            let at = Mono::default();
            Loop { registry, hung: Vec::new(), done: 0, number: 0, at, told: false, all: false }
                .run(&asked, &sender);
        };
        if let Err(error) = threads::spawn(Role::Identity, run) {
            log::warn!("there is no thread to name processes: {error}");
        }
        Self { asks, answers }
    }
}

struct Loop {
    registry: Registry,
    /// What was said not to answer.
    hung: Vec<PathBuf>,
    /// The last batch that was answered.
    done: u64,
    /// The last batch that was taken.
    number: u64,
    /// When that was.
    at: Mono,
    /// What was said of whether there is more to do with the next batch.
    told: bool,
    all: bool,
}

impl Loop {
    /// Until the engine is gone.
    fn run(mut self, asked: &Receiver<Ask>, answers: &Sender<Answer>) {
        let mut busy = false;
        loop {
            // What comes first: a batch that is asked for must not wait for one that is being worked on.
            let next = if busy {
                match asked.try_recv() {
                    Ok(ask) => Some(ask),
                    Err(TryRecvError::Empty) => None,
                    Err(TryRecvError::Disconnected) => return,
                }
            } else if self.registry.wants_packages() {
                match asked.recv_timeout(PACKAGES_EVERY) {
                    Ok(ask) => Some(ask),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            } else {
                let Ok(ask) = asked.recv() else { return };
                Some(ask)
            };
            if let Some(ask) = next {
                self.take(ask);
            }
            busy = self.registry.work(AT_ONCE);
            if !busy {
                self.registry.package(std::mem::take(&mut self.all));
                self.registry.forget(self.at);
            }
            if !self.answer(busy, answers) {
                return;
            }
        }
    }

    fn take(&mut self, ask: Ask) {
        match ask {
            Ask::Lives(lives) => lives.into_iter().for_each(|life| self.registry.note(life)),
            Ask::Seen { number, now, seen, all } => {
                self.registry.see(seen);
                self.registry.look_who_lives(now);
                (self.number, self.at, self.all) = (number, now, self.all || all);
            }
            Ask::Hash(id) => self.registry.hash(id),
            Ask::Hashed(id, sum) => self.registry.learn_hash(id, sum),
            Ask::User(uid, name) => self.registry.learn_user(uid, name),
        }
    }

    /// Hands over what there is; false where nobody takes it.
    fn answer(&mut self, busy: bool, answers: &Sender<Answer>) -> bool {
        let done = if busy { self.done } else { self.number };
        let hung = self.registry.hung();
        let again = self.registry.wants_batches();
        let is_old = done == self.done && again == self.told && hung == self.hung;
        if is_old && self.registry.out.is_empty() {
            return true;
        }
        self.hung.clone_from(&hung);
        (self.done, self.told) = (done, again);
        let registry = &mut self.registry;
        let denied = registry.denied;
        answers.send(Answer { done, seen: std::mem::take(&mut registry.out), denied, hung, again }).is_ok()
    }
}
