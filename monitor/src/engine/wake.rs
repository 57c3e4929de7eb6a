//! When to look at a source between two ticks: when it asks for that, or ten times a second where it cannot.

use crate::source::Source;
use std::future::pending;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

/// How often a source that cannot ask is looked at, and how long what one that can asked for may wait to be taken with
/// what follows. A half of 65,536 rows that is looked at this often takes 330,000 new flows a second before any of them
/// loses its detail.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// How full the source is.
    Fill,
    /// That, and what happened to processes.
    Lives,
}

/// See the module.
#[derive(Debug)]
pub(super) enum Wakes {
    /// By a descriptor. The first time that it becomes readable something happened, and more will: that is taken together,
    /// a little later. Once more before that: something is half full.
    Asked {
        /// Readable when the source asks.
        descriptor: AsyncFd<OwnedFd>,
        /// When what happened is to be taken.
        due: Option<Instant>,
    },
    /// By the clock.
    Polled(Interval),
}

impl Wakes {
    /// As this source has it. Only in a runtime.
    pub(super) fn of(source: &dyn Source) -> Self {
        #[expect(
            deprecated,
            reason = "what replaces it is unsafe, for descriptors that somebody may close; this one is owned"
        )]
        let watch = |descriptor| AsyncFd::with_interest(descriptor, Interest::READABLE).ok();
        if let Some(descriptor) = source.asks().and_then(watch) {
            return Self::Asked { descriptor, due: None };
        }
        let mut clock = interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self::Polled(clock)
    }

    /// Waits until it is time to look.
    pub(super) async fn next(&mut self) -> Look {
        match self {
            Self::Polled(clock) => {
                clock.tick().await;
                Look::Lives
            }
            Self::Asked { descriptor, due } => tokio::select! {
                biased;
                () = asked(descriptor) => {
                    if due.take().is_some() {
                        return Look::Lives;
                    }
                    *due = Some(Instant::now() + LOOK_EVERY);
                    Look::Fill
                }
                () = at(*due) => {
                    *due = None;
                    Look::Lives
                }
            },
        }
    }
}

async fn asked(descriptor: &AsyncFd<OwnedFd>) {
    match descriptor.readable().await {
        Ok(mut ready) => ready.clear_ready(),
        // Only where the runtime is about to end.
        Err(_) => pending().await,
    }
}

/// Waits until then; for ever where there is no such time.
pub(super) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::event::{EventfdFlags, eventfd};
    use rustix::io::write;

    #[tokio::test]
    async fn what_happens_is_taken_together_and_at_once_where_it_is_much() {
        let events = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).unwrap();
        #[expect(deprecated, reason = "as above")]
        let descriptor = AsyncFd::with_interest(events.try_clone().unwrap(), Interest::READABLE).unwrap();
        let happen = || write(&events, &1_u64.to_ne_bytes()).unwrap();
        let mut wakes = Wakes::Asked { descriptor, due: None };
        happen();
        assert_eq!(wakes.next().await, Look::Fill);
        assert_eq!(wakes.next().await, Look::Lives, "by the clock");
        happen();
        assert_eq!(wakes.next().await, Look::Fill);
        let Wakes::Asked { due, .. } = &mut wakes else { unreachable!() };
        *due = Some(Instant::now() + Duration::from_hours(1));
        happen();
        assert_eq!(wakes.next().await, Look::Lives, "by the second time");
        let Wakes::Asked { due, .. } = &wakes else { unreachable!() };
        assert_eq!(*due, None);
    }
}
