//! Bounded waiting for a condition: the only place where the lab lets time pass.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long a step of a test may take.
pub const STEP: Duration = Duration::from_secs(10);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Waits until `look` gives something, for at most [`STEP`].
///
/// # Panics
/// When the time is over; `what` tells what was waited for.
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(STEP, what, look)
}

/// Waits until `look` gives something, for at most `limit`.
///
/// # Panics
/// When the time is over; `what` tells what was waited for.
pub fn within<T>(limit: Duration, what: &str, look: impl FnMut() -> Option<T>) -> T {
    or_tell(limit, look, || what.to_owned())
}

/// Waits until `look` gives something, for at most `limit`.
///
/// # Panics
/// When the time is over, with what `tell` then tells.
pub fn or_tell<T>(limit: Duration, mut look: impl FnMut() -> Option<T>, tell: impl FnOnce() -> String) -> T {
    let limit = limit * patience();
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {}", tell());
        thread::sleep(LOOK);
    }
}

/// How much slower than a real machine this one is: `MONITOR_TEST_PATIENCE`, which `cargo xtask vm` sets in its emulated
/// ones. It moves deadlines only; no test waits longer for what happens.
fn patience() -> u32 {
    std::env::var("MONITOR_TEST_PATIENCE").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}
