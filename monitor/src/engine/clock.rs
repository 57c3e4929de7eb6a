//! The only clock that data is stamped with. (What waits or measures itself, such as a drain, uses its own stopwatch.)

use crate::model::Mono;
use rustix::time::{ClockId, clock_gettime};
use std::time::{SystemTime, UNIX_EPOCH};

#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// Now, in nanoseconds since boot: the clock of `bpf_ktime_get_boot_ns`.
pub fn now() -> Mono {
    let time = clock_gettime(CLOCK);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    Mono(seconds * 1_000_000_000 + nanos)
}

/// Wall-clock time of boot, ns since the Unix epoch. Asked anew for every snapshot, because the wall clock is set now
/// and then.
pub fn boot_wall() -> i64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let wall = i64::try_from(wall.as_nanos()).unwrap_or(i64::MAX);
    wall - i64::try_from(now().0).unwrap_or(0)
}
