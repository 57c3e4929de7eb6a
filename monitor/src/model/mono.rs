//! The two clocks: [`Mono`], time since the observed host booted, and [`Wall`], dates. They are turned into each other by the
//! date of that boot, and by nothing else.

use std::time::Duration;

/// An instant of the observed host, in nanoseconds since it booted (CLOCK_BOOTTIME on Linux, so that it compares with what the
/// kernel programs stamp). Only the engine makes one from a clock; everything else is handed it. A capture file has dates
/// instead of a clock: for it, the Unix epoch is the boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

impl Mono {
    /// Time since `earlier`, zero if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The instant `by` after this one.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(nanoseconds(by)))
    }

    /// The instant `by` before this one, or boot.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(nanoseconds(by)))
    }
}

/// A date, in nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub i64);

impl Wall {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);

    /// The date of an instant, where this is that of the boot.
    #[must_use]
    pub(crate) fn plus(self, at: Mono) -> Self {
        Self(self.0.saturating_add_unsigned(at.0))
    }

    /// The instant of a date, where this is that of the boot; the boot where it is earlier.
    pub(crate) fn until(self, date: Self) -> Mono {
        Mono(u64::try_from(date.0.saturating_sub(self.0)).unwrap_or(0))
    }

    /// The date `by` before this one.
    #[must_use]
    pub(crate) fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub_unsigned(nanoseconds(by)))
    }
}

/// A length of time, nanoseconds; the most that 64 bits hold where it is longer.
pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
