//! What the processor counts of this thread, where it counts at all: most virtual machines do not show it.

use perf_event::{Builder, Counter, events::Hardware};

/// Instructions and cache misses, user and kernel.
pub(crate) struct Counters([Option<Counter>; 2]);

impl Counters {
    pub(crate) fn new() -> Self {
        let events = [Hardware::INSTRUCTIONS, Hardware::CACHE_MISSES];
        Self(events.map(|event| Builder::new(event).include_kernel().build().ok()))
    }

    /// From zero.
    pub(crate) fn start(&mut self) {
        for counter in &mut self.0 {
            let started = counter.as_mut().is_some_and(|one| one.reset().and_then(|()| one.enable()).is_ok());
            if !started {
                *counter = None;
            }
        }
    }

    /// Both, since the start.
    pub(crate) fn stop(&mut self) -> [Option<u64>; 2] {
        self.0.each_mut().map(|counter| {
            let counter = counter.as_mut()?;
            counter.disable().ok()?;
            counter.read().ok()
        })
    }
}
