//! Self-monitoring, what `monitor` costs by its own measure: processor time, memory, wake-ups, ticks that came late.

use std::time::Duration;

/// What the program's own threads have used. What its programs in the kernel use is counted beside each of them
/// ([`super::ProgramRuns`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnCost {
    /// Processor time of all threads since the program started, user and system.
    pub cpu: Duration,
    /// Processor time within `recent`.
    pub recent_cpu: Duration,
    /// The latest stretch of time that `recent_cpu` is of: up to ten seconds.
    pub recent: Duration,
    /// Resident memory, bytes; `None` where the system does not say.
    pub memory: Option<u64>,
    /// How often a thread woke up from a wait, each second, in the latest interval; `None` while nobody asked.
    pub wakeups: Option<u64>,
    /// Ticks since start.
    pub ticks: u64,
    /// Ticks that began later than a tenth of the interval after their time.
    pub late: u64,
    /// The most that a tick was late.
    pub latest: Duration,
    /// Ticks whose snapshot was left out, because the frontend had not taken the one before.
    pub merged: u64,
}

impl OwnCost {
    /// Processor time as a share of one processor over `recent`, in hundredths of a percent; `None` before there is one.
    pub(crate) fn cpu_share(&self) -> Option<u64> {
        let share = (self.recent_cpu.as_nanos() * 10_000).checked_div(self.recent.as_nanos())?;
        u64::try_from(share).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_one_processor() {
        let cost = OwnCost {
            recent_cpu: Duration::from_millis(30),
            recent: Duration::from_secs(10),
            ..OwnCost::default()
        };
        assert_eq!(cost.cpu_share(), Some(30), "0.30 %");
        assert_eq!(OwnCost::default().cpu_share(), None);
    }
}
