//! Feed: snapshots from the engine to those that consume them. None of them holds up another, or the engine.
//!
//! [`Feed::every`] loses no interval: while a consumer has not taken its last snapshot it gets none, and the next one covers
//! what it missed. The first of these is the foreground, which has the terminal or standard output; a recording waits for it.
//! [`Feed::latest`] is a slot that is overwritten. [`Feed::tap`] sees every batch before it is folded.

use super::command::Snapshots;
use super::missed::Missed;
use crate::model::{Batch, Snapshot};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// What is called with every batch, on the engine's thread.
pub(crate) type Tap = Box<dyn FnMut(&Batch) + Send>;

/// Everybody who gets something.
#[derive(Default)]
pub(crate) struct Feed {
    /// The foreground first.
    every: Vec<Every>,
    latest: Vec<Slot>,
    taps: Vec<Tap>,
}

/// One that gets every interval.
struct Every {
    sender: mpsc::Sender<Arc<Snapshot>>,
    missed: Missed,
}

/// One that gets the latest snapshot.
struct Slot {
    sender: watch::Sender<Option<Arc<Snapshot>>>,
    read: Arc<AtomicBool>,
}

/// The latest snapshot there is.
pub(crate) struct Latest {
    receiver: watch::Receiver<Option<Arc<Snapshot>>>,
    read: Arc<AtomicBool>,
}

impl Latest {
    /// The latest snapshot; `None` before the first. From the first call on there is a new one each tick, also while no other
    /// consumer takes any.
    pub(crate) fn read(&mut self) -> Option<Arc<Snapshot>> {
        self.read.store(true, Ordering::Relaxed);
        self.receiver.borrow_and_update().clone()
    }
}

impl Feed {
    /// A consumer that gets every interval. The first one is the foreground.
    pub(crate) fn every(&mut self) -> Snapshots {
        let (sender, snapshots) = mpsc::channel(1);
        self.every.push(Every { sender, missed: Missed::default() });
        snapshots
    }

    /// A consumer that gets the latest snapshot whenever it looks. One that never looks costs nothing.
    pub(crate) fn latest(&mut self) -> Latest {
        let (sender, receiver) = watch::channel(None);
        let read = Arc::new(AtomicBool::new(false));
        self.latest.push(Slot { sender, read: Arc::clone(&read) });
        Latest { receiver, read }
    }

    /// Has every batch shown to `tap`, as it is folded. It must not wait: the engine does meanwhile.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the recorder, which is to come"))]
    pub(crate) fn tap(&mut self, tap: Tap) {
        self.taps.push(tap);
    }

    /// Shows a batch to the taps.
    pub(super) fn show(&mut self, batch: &Batch) {
        for tap in &mut self.taps {
            tap(batch);
        }
    }

    /// Whether anybody would take a snapshot now.
    pub(super) fn wants(&self) -> bool {
        let reads = |slot: &Slot| slot.read.load(Ordering::Relaxed) && !slot.sender.is_closed();
        self.every.iter().any(Every::has_room) || self.latest.iter().any(reads)
    }

    /// Whether the foreground has taken its last snapshot.
    pub(super) fn foreground_has_room(&self) -> bool {
        self.every.first().is_none_or(Every::has_room)
    }

    /// Waits until it has; for ever where it is gone, for then its Stop is already on its way.
    pub(super) async fn foreground_room(&self) {
        if let Some(foreground) = self.every.first()
            && foreground.sender.reserve().await.is_err()
        {
            pending::<()>().await;
        }
    }

    /// Gives a snapshot to all who have room. True where its interval is over by that: somebody who gets every interval has
    /// it, or nobody does. Else the next snapshot is of this interval, too, and longer.
    pub(super) fn publish(&mut self, snapshot: Snapshot) -> bool {
        let snapshot = Arc::new(snapshot);
        self.latest.retain(|slot| !slot.sender.is_closed());
        for slot in &self.latest {
            slot.sender.send_replace(Some(Arc::clone(&snapshot)));
        }
        let is_over =
            self.every.iter().all(|every| every.sender.is_closed()) || self.every.iter().any(Every::has_room);
        if is_over {
            for every in &mut self.every {
                every.publish(&snapshot);
            }
        }
        is_over
    }

    /// Gives everybody the last snapshot; one that does not take it is not waited for longer than that.
    pub(super) async fn finish(self, snapshot: Snapshot, within: Duration) {
        let snapshot = Arc::new(snapshot);
        for slot in &self.latest {
            slot.sender.send_replace(Some(Arc::clone(&snapshot)));
        }
        let mut sends = JoinSet::new();
        for Every { sender, mut missed } in self.every {
            let snapshot = missed.give(&snapshot);
            sends.spawn(async move { timeout(within, sender.send(snapshot)).await.is_ok() });
        }
        sends.join_all().await;
    }
}

impl Every {
    /// Whether it has taken its last snapshot, and is there to take another.
    fn has_room(&self) -> bool {
        self.sender.capacity() > 0 && !self.sender.is_closed()
    }

    fn publish(&mut self, snapshot: &Arc<Snapshot>) {
        if self.has_room() {
            // Fails only when it is gone meanwhile.
            let _ = self.sender.try_send(self.missed.give(snapshot));
        } else if !self.sender.is_closed() {
            self.missed.note(snapshot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::fixture::busy;
    use std::sync::mpsc as std_mpsc;
    use std::thread;

    const SECOND: Duration = Duration::from_secs(1);

    fn numbered(sequence: u64) -> Snapshot {
        Snapshot { sequence, interval: SECOND, ..busy() }
    }

    #[test]
    fn a_slow_consumer_gets_longer_intervals_and_no_other_does() {
        let mut feed = Feed::default();
        let (mut front, mut slow, mut latest) = (feed.every(), feed.every(), feed.latest());
        let moved = busy().totals.interval;
        for sequence in 1..=4 {
            assert!(feed.wants());
            assert!(feed.publish(numbered(sequence)), "the foreground took it, so its interval is over");
            let shown = front.try_recv().unwrap();
            assert_eq!((shown.sequence, shown.interval, shown.totals.interval), (sequence, SECOND, moved));
            assert_eq!(latest.read().unwrap().sequence, sequence);
        }
        assert_eq!(slow.try_recv().unwrap().sequence, 1);
        assert!(slow.try_recv().is_err());
        feed.publish(numbered(5));
        let late = slow.try_recv().unwrap();
        assert_eq!((late.sequence, late.interval), (5, 4 * SECOND));
        assert_eq!(late.totals.interval, [moved; 4].into_iter().sum());
        let (row, once) = (&late.processes[0], &busy().processes[0]);
        assert_eq!(row.interval, [once.interval; 4].into_iter().sum());
        assert_eq!(row.total, once.total);
        front.try_recv().unwrap();
        feed.publish(numbered(6));
        assert_eq!(slow.try_recv().unwrap().interval, SECOND, "nothing is told twice");
    }

    #[test]
    fn a_stuck_consumer_holds_nobody_up() {
        let mut feed = Feed::default();
        let (_stuck, mut other, mut latest) = (feed.every(), feed.every(), feed.latest());
        assert!(feed.publish(numbered(1)));
        for sequence in 2..=100 {
            other.try_recv().unwrap();
            assert!(!feed.foreground_has_room() && feed.wants());
            assert!(feed.publish(numbered(sequence)));
        }
        assert!(!feed.wants(), "both wait now, and the slot was never read");
        latest.read();
        assert!(feed.wants());
        assert!(!feed.publish(numbered(101)), "the interval goes on for those who get every one");
        assert_eq!(latest.read().unwrap().sequence, 101);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let taker = thread::spawn(move || {
            let shown: Vec<_> = std::iter::from_fn(|| other.blocking_recv()).collect();
            shown.last().unwrap().last
        });
        let last = Snapshot { last: true, ..numbered(102) };
        runtime.block_on(feed.finish(last, Duration::from_millis(200)));
        assert!(taker.join().unwrap(), "who does take it has the last one");
    }

    #[test]
    fn a_consumer_that_dies_leaves_the_others_as_they_are() {
        let mut feed = Feed::default();
        let (mut front, dying, slot) = (feed.every(), feed.every(), feed.latest());
        let (tell, told) = std_mpsc::channel();
        let beside = thread::spawn(move || {
            let mut dying = dying;
            tell.send(dying.blocking_recv().unwrap().sequence).unwrap();
            drop(slot);
        });
        feed.publish(numbered(1));
        assert_eq!(told.recv().unwrap(), 1);
        beside.join().unwrap();
        for sequence in 2..=3 {
            assert_eq!(front.try_recv().unwrap().sequence, sequence - 1);
            assert!(feed.publish(numbered(sequence)));
        }
        assert_eq!(front.try_recv().unwrap().interval, SECOND);
        drop(front);
        assert!(!feed.wants(), "nobody is there");
        assert!(feed.publish(numbered(4)), "no interval grows for nobody");
    }

    #[test]
    fn a_tap_sees_every_batch() {
        let mut feed = Feed::default();
        let (tell, told) = std_mpsc::channel();
        feed.tap(Box::new(move |batch| tell.send(batch.to).unwrap()));
        let batch = Batch { to: crate::model::Mono(7), ..Batch::default() };
        feed.show(&batch);
        assert_eq!(told.recv().unwrap(), batch.to);
    }
}
