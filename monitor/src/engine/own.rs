//! What this program costs, as the system accounts for it. Cheap enough for every tick; wake-ups, which take a file a
//! thread, only while somebody asks.

use crate::model::OwnCost;
use rustix::time::{ClockId, clock_gettime};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The stretch that the recent processor time is of: long enough that one tick does not make it jump.
const RECENT: Duration = Duration::from_secs(10);
/// A tick that is late by more than this part of the interval counts as late.
const LATE: u32 = 10;
/// How often, at most, free memory is given back.
const TRIM_EVERY: Duration = Duration::from_secs(10);
/// So much above the least that was ever held is worth it, bytes.
const TRIM_BEYOND: u64 = 16 << 20;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Own {
    cost: OwnCost,
    /// Processor time at earlier readings, oldest first; the oldest may be older than [`RECENT`].
    readings: VecDeque<(Instant, Duration)>,
    /// Where somebody asks: when wake-ups were read last, and how many there had been.
    waking: Option<(Instant, u64)>,
    /// The least memory that was held.
    least: Option<u64>,
    /// When free memory was given back last.
    trimmed: Option<Instant>,
}

impl Own {
    /// A tick begins, this long after its time.
    pub(super) fn tick(&mut self, late: Duration, interval: Duration) {
        self.cost.ticks += 1;
        self.cost.late += u64::from(late > interval / LATE);
        self.cost.latest = self.cost.latest.max(late);
    }

    /// A snapshot was left out.
    pub(super) fn merge(&mut self) {
        self.cost.merged += 1;
    }

    /// Whether to count wake-ups.
    pub(super) fn look_closer(&mut self, on: bool) {
        self.cost.wakeups = None;
        self.waking = if on { wakeups().map(|woken| (Instant::now(), woken)) } else { None };
    }

    /// Everything as of now.
    pub(super) fn read(&mut self) -> OwnCost {
        let now = Instant::now();
        self.cost.cpu = cpu();
        self.cost.memory = memory();
        self.note(now, self.cost.cpu);
        self.trim(now);
        if let Some((since, before)) = self.waking
            && let Some(woken) = wakeups()
        {
            self.waking = Some((now, woken));
            // A thread that has ended takes its wake-ups with it.
            let millis = now.duration_since(since).as_millis().max(1);
            self.cost.wakeups = u64::try_from(u128::from(woken.saturating_sub(before)) * 1000 / millis).ok();
        }
        self.cost
    }

    /// Gives back what a flood has left in the heap: the C library keeps it otherwise. And once, at the second reading, what
    /// the start has: where that happened to be in use when loading was over, no later reading would be above the least.
    fn trim(&mut self, now: Instant) {
        let Some(held) = self.cost.memory else { return };
        let least = *self.least.insert(self.least.map_or(held, |least| least.min(held)));
        let is_due = match self.trimmed {
            None => self.readings.len() > 1,
            Some(at) => now.duration_since(at) >= TRIM_EVERY && held > least + TRIM_BEYOND,
        };
        if is_due {
            #[cfg(target_os = "linux")]
            crate::source::ebpf::trim_heap();
            self.trimmed = Some(now);
        }
    }

    fn note(&mut self, now: Instant, cpu: Duration) {
        self.readings.push_back((now, cpu));
        // The first that is kept is the last before the stretch, so that the stretch is whole.
        while self.readings.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= RECENT) {
            self.readings.pop_front();
        }
        if let Some((at, before)) = self.readings.front() {
            self.cost.recent = now.duration_since(*at);
            self.cost.recent_cpu = cpu.saturating_sub(*before);
        }
    }
}

/// Of all threads, user and system.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Resident, bytes: the second field of statm (proc_pid_statm(5)), in pages.
fn memory() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
}

/// How often the threads that live gave up the processor by themselves, which is to wait for something.
fn wakeups() -> Option<u64> {
    let count = |task: std::fs::DirEntry| -> Option<u64> {
        let status = std::fs::read_to_string(task.path().join("status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")?.trim().parse().ok())
    };
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    Some(tasks.filter_map(|task| count(task.ok()?)).sum::<u64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_and_memory_are_this_process() {
        let mut own = Own::default();
        let first = own.read();
        assert!(own.trimmed.is_none());
        let begun = cpu();
        while cpu() < begun + Duration::from_millis(30) {}
        let second = own.read();
        assert_eq!(own.trimmed.is_some(), second.memory.is_some(), "what the start left in the heap");
        assert!(second.cpu >= first.cpu + Duration::from_millis(30), "{first:?} {second:?}");
        assert!(second.recent_cpu >= Duration::from_millis(30) && second.recent > Duration::ZERO);
        #[cfg(target_os = "linux")]
        assert!(second.memory.unwrap() > 100_000, "{second:?}");
    }

    #[test]
    fn the_recent_stretch_is_ten_seconds_and_forgets_what_was_before() {
        let mut own = Own::default();
        let start = Instant::now();
        for second in 0..=30 {
            own.note(start + Duration::from_secs(second), Duration::from_millis(second.min(20) * 100));
        }
        assert_eq!(own.cost.recent, RECENT);
        assert_eq!(own.cost.recent_cpu, Duration::ZERO, "busy until 20 s, idle since");
        own.note(start + Duration::from_secs(31), Duration::from_millis(2050));
        assert_eq!((own.cost.recent, own.cost.recent_cpu), (RECENT, Duration::from_millis(50)));
        assert!(own.readings.len() <= 12);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn wakeups_are_counted_only_while_asked_for() {
        let mut own = Own::default();
        assert_eq!(own.read().wakeups, None);
        own.look_closer(true);
        // Every sleep is one; threads of other tests that end in between may take more with them, so more than once.
        let is_counted = |_| {
            std::thread::sleep(Duration::from_millis(2));
            own.read().wakeups.is_some_and(|woken| woken > 0)
        };
        assert!((0..5000).any(is_counted), "the sleeps were some");
        own.look_closer(false);
        assert_eq!(own.read().wakeups, None);
    }

    #[test]
    fn late_ticks_are_counted_and_the_worst_is_kept() {
        let mut own = Own::default();
        let interval = Duration::from_secs(1);
        for late in [1, 100, 101, 300, 5] {
            own.tick(Duration::from_millis(late), interval);
        }
        let cost = own.read();
        assert_eq!((cost.ticks, cost.late, cost.latest), (5, 2, Duration::from_millis(300)));
    }
}
