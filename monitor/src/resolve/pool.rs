//! A thread pool for what may take long: asking a name server, a directory of users, hashing a file.
//!
//! Threads start with the first job, never wait for the caller, and are left alone at the end of the program: a name
//! server that does not answer must not keep it from ending.

use crate::threads::{self, Role};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

type Job = Box<dyn FnOnce() + Send>;

/// A pool of threads, started with the first job.
#[derive(Debug)]
pub(super) struct Pool {
    role: Role,
    threads: usize,
    started: usize,
    jobs: SyncSender<Job>,
    queue: Arc<Mutex<Receiver<Job>>>,
}

impl Pool {
    /// With at most so many threads of a role, and so many jobs waiting.
    pub(super) fn new(role: Role, threads: usize, waiting: usize) -> Self {
        let (jobs, queue) = sync_channel(waiting);
        Self { role, threads, started: 0, jobs, queue: Arc::new(Mutex::new(queue)) }
    }

    /// Hands a job over. False where too many wait, or no thread can be had: then it is not done.
    pub(super) fn run(&mut self, job: impl FnOnce() + Send + 'static) -> bool {
        if self.started < self.threads && !self.start() && self.started == 0 {
            return false;
        }
        match self.jobs.try_send(Box::new(job)) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }

    fn start(&mut self) -> bool {
        let queue = Arc::clone(&self.queue);
        let worker = move || {
            loop {
                let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok(job) = job else { return };
                job();
            }
        };
        let started = threads::spawn(self.role, worker).is_ok();
        self.started += usize::from(started);
        started
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_full_pool_refuses_and_never_waits() {
        let mut pool = Pool::new(Role::Hosts, 1, 1);
        let (release, held) = channel::<()>();
        let (running, runs) = channel();
        assert!(pool.run(move || {
            running.send(()).unwrap();
            held.recv().ok();
        }));
        runs.recv().unwrap();
        assert!(pool.run(|| ()), "one waits");
        assert!(!pool.run(|| ()), "and no more");
        release.send(()).unwrap();
    }
}
