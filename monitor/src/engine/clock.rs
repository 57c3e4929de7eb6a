//! The only clock that data is stamped with. (What waits or measures itself, such as a drain, uses its own stopwatch.)

use crate::model::{Mono, Wall};
use crate::procfs;
use rustix::time::{ClockId, clock_gettime};
use std::time::{SystemTime, UNIX_EPOCH};

#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// Now, in nanoseconds since boot: the clock of `bpf_ktime_get_boot_ns`, also in
/// a time namespace of its own.
pub(crate) fn now() -> Mono {
    let time = clock_gettime(CLOCK);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    procfs::of_the_kernel(Mono(seconds * 1_000_000_000 + nanos))
}

/// The date.
pub(super) fn wall() -> Wall {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall(i64::try_from(wall.as_nanos()).unwrap_or(i64::MAX))
}

/// A difference between wall clock and time since boot that is larger than this comes from the clock being set, ns.
const SET: u64 = 1_000_000_000;

/// The date of boot: the same for every snapshot until the wall clock is set. A process is
/// told by its pid and its start, so its start must not tremble with how long two clocks take to read.
#[derive(Debug, Default)]
pub(super) struct Boot {
    held: Option<Wall>,
}

impl Boot {
    /// The date of boot by the wall clock of now.
    pub(super) fn wall(&mut self) -> Wall {
        self.hold(wall().minus(now().since(Mono(0))))
    }

    fn hold(&mut self, fresh: Wall) -> Wall {
        let held = self.held.filter(|held| held.0.abs_diff(fresh.0) <= SET).unwrap_or(fresh);
        *self.held.insert(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_moves_only_when_the_clock_is_set() {
        let mut boot = Boot::default();
        assert_eq!(boot.hold(Wall(5_000_000_000)), Wall(5_000_000_000));
        assert_eq!(
            boot.hold(Wall(5_000_900_000)),
            Wall(5_000_000_000),
            "the start of a process trembled by a millisecond"
        );
        assert_eq!(boot.hold(Wall(7_000_000_000)), Wall(7_000_000_000));
        assert_eq!(boot.hold(Wall(6_999_999_000)), Wall(7_000_000_000));
    }
}
