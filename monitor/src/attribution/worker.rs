//! The thread that takes samples: one at a time, every two seconds, sooner when somebody asks, never in a hurry for long.

use super::{Sample, Sampler};
use crate::threads::{self, Role};
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Between samples.
const EVERY: Duration = Duration::from_secs(2);
/// Between samples where somebody asks for one.
const AT_LEAST: Duration = Duration::from_millis(250);
/// A sample that takes long is taken less often: so many times as long lies between two.
const SHARE: u32 = 4;

/// A handle to the thread, which ends when this is dropped, after the sample that it is taking.
pub(super) struct Worker {
    hurry: SyncSender<()>,
    samples: Receiver<(Sample, Instant)>,
}

impl Worker {
    /// Starts it; it begins at once.
    ///
    /// # Errors
    /// Where the system has no thread to give.
    pub(super) fn start(mut taker: Box<dyn Sampler>) -> io::Result<Self> {
        let (hurry, asked) = sync_channel(1);
        let (results, samples) = sync_channel(1);
        threads::spawn(Role::Sockets, move || {
            loop {
                let begun = Instant::now();
                let sample = taker.sample();
                let took = begun.elapsed();
                if results.send((sample, begun)).is_err() {
                    return;
                }
                let pause = AT_LEAST.max(took * SHARE);
                thread::sleep(pause);
                match asked.recv_timeout(EVERY.saturating_sub(pause)) {
                    Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })?;
        Ok(Self { hurry, samples })
    }

    /// Asks for a sample soon.
    pub(super) fn hurry(&self) {
        match self.hurry.try_send(()) {
            // Somebody has asked already; or the thread is gone, and then nothing comes.
            Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
        }
    }

    /// The youngest sample that was not handed over before, and how long ago it was begun.
    pub(super) fn latest(&self) -> Option<(Sample, Duration)> {
        self.samples.try_iter().last().map(|(sample, begun)| (sample, begun.elapsed()))
    }
}
