//! As many pairs of sockets as are asked for, and what a message over them costs.
//!
//! One thread works at a time, on one CPU, and both sends and receives. So all that a message costs, with both hooks and
//! the softirq between them, is that thread's CPU time: nothing waits, nothing is dropped, and no other thread's luck is in
//! it. There are several threads only because a descriptor table has a bound, which not even root may always raise.

#![expect(unsafe_code, reason = "unshare can break what other code believes of its thread")]

use crate::{
    counters::Counters,
    pairs::{Kind, Pairs},
};
use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CpuSet, UnshareFlags, sched_setaffinity, unshare_unsafe},
    time::{ClockId, clock_gettime},
};
use serde_json::{Value, json};
use std::{
    io,
    path::PathBuf,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

/// Descriptors that are no sockets of pairs.
const OTHERS: u64 = 64;
/// Pairs of one table, where the bound is higher than that.
const MOST: u64 = 10_000;
/// How long one cost is taken over, and after how many turns the clock is looked at.
const SLICE: Duration = Duration::from_millis(2);
const BETWEEN_LOOKS: usize = 64;
/// How long a busy machine may take for it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two bursts of a paced load.
const BEAT: Duration = Duration::from_millis(5);

/// The pairs, and whose turn it is.
pub(crate) struct Crew {
    kind: Kind,
    count: usize,
    workers: Vec<Worker>,
    /// Pairs of each worker but the last.
    each: usize,
    next: usize,
}

/// What some turns took.
#[derive(Clone, Copy)]
struct Cost {
    cpu: Duration,
    /// Instructions and cache misses, where the processor tells.
    counted: [Option<u64>; 2],
}

impl Cost {
    const NONE: Self = Self { cpu: Duration::ZERO, counted: [Some(0); 2] };

    fn add(&mut self, more: Self) {
        self.cpu += more.cpu;
        for (sum, more) in self.counted.iter_mut().zip(more.counted) {
            *sum = sum.zip(more).map(|(sum, more)| sum + more);
        }
    }
}

/// A thread with a descriptor table of its own.
struct Worker {
    /// From which of its pairs on, and how many turns.
    orders: Sender<(usize, usize)>,
    done: Receiver<io::Result<Cost>>,
}

impl Worker {
    fn start(kind: Kind, count: usize, cgroups: Option<[PathBuf; 2]>) -> io::Result<Self> {
        let ((orders, taken), (answers, done)) = (channel(), channel());
        thread::spawn(move || {
            let mut pairs = match own_table().and_then(|()| Pairs::make(kind, count, cgroups.as_ref())) {
                Ok(pairs) => pairs,
                // Nobody waits for an answer when this fails.
                Err(error) => return answers.send(Err(error)).unwrap_or_default(),
            };
            let mut counters = Counters::new();
            let mut answer = Ok(Cost::NONE);
            while answers.send(answer).is_ok() {
                let Ok((from, turns)) = taken.recv() else { return };
                answer = work(&mut pairs, count, from, turns, &mut counters);
            }
        });
        let worker = Self { orders, done };
        worker.wait()?;
        Ok(worker)
    }

    fn work(&self, from: usize, turns: usize) -> io::Result<Cost> {
        self.orders.send((from, turns)).map_err(io::Error::other)?;
        self.wait()
    }

    fn wait(&self) -> io::Result<Cost> {
        self.done.recv().map_err(io::Error::other)?
    }
}

fn own_table() -> io::Result<()> {
    // SAFETY: this thread has opened nothing yet that another knows of, and nothing that it opens leaves it.
    unsafe { unshare_unsafe(UnshareFlags::FILES) }?;
    // The first CPU is where interrupts tend to be.
    let last = thread::available_parallelism()?.get() - 1;
    let mut cpus = CpuSet::new();
    cpus.set(last);
    Ok(sched_setaffinity(None, &cpus)?)
}

fn work(
    pairs: &mut Pairs,
    count: usize,
    from: usize,
    turns: usize,
    counters: &mut Counters,
) -> io::Result<Cost> {
    counters.start();
    let before = cpu_time();
    for turn in 0..turns {
        pairs.turn((from + turn) % count)?;
    }
    let cpu = cpu_time().saturating_sub(before);
    Ok(Cost { cpu, counted: counters.stop() })
}

/// Of this thread, on the scheduler's clock: what /proc/PID/task/TID/schedstat has.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Pairs that a descriptor table can hold.
fn capacity() -> io::Result<usize> {
    let limit = getrlimit(Resource::Nofile);
    // Without its bound lifted to what is allowed, most systems give 1,024.
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    let pairs = limit.maximum.map_or(MOST, |most| (most.saturating_sub(OTHERS) / 2).min(MOST));
    usize::try_from(pairs.max(1)).map_err(io::Error::other)
}

impl Crew {
    /// Makes the pairs, each end in a cgroup of its own where two are named.
    pub(crate) fn make(kind: Kind, count: usize, cgroups: Option<&[PathBuf; 2]>) -> io::Result<Self> {
        Self::of_tables(capacity()?, kind, count, cgroups)
    }

    fn of_tables(each: usize, kind: Kind, count: usize, cgroups: Option<&[PathBuf; 2]>) -> io::Result<Self> {
        let shares = (0..count).step_by(each).map(|from| each.min(count - from));
        let start = |share| Worker::start(kind, share, cgroups.cloned());
        Ok(Self { kind, count, workers: shares.map(start).collect::<io::Result<_>>()?, each, next: 0 })
    }

    /// Turns of the pairs whose turn it is.
    fn turns(&mut self, turns: usize) -> io::Result<Cost> {
        let mut cost = Cost::NONE;
        let mut left = turns;
        while left > 0 {
            let (at, from) = (self.next / self.each, self.next % self.each);
            let here = if self.workers.len() == 1 {
                // Round and round without a word to the worker.
                left
            } else {
                left.min(self.each.min(self.count - at * self.each) - from)
            };
            cost.add(self.workers[at].work(from, here)?);
            left -= here;
            self.next = (self.next + here) % self.count;
        }
        Ok(cost)
    }

    /// Sends as fast as it can: after one turn of each pair, which makes rows, for the given CPU time and one more
    /// turn of each at least. What one message cost is that of the fastest tenth of the slices of that time, which other work on
    /// the machine changes least; `first` is what it cost in the turns before, `mean` in all slices.
    pub(crate) fn run(&mut self, time: Duration) -> io::Result<Value> {
        let messages = self.kind.messages();
        let first = self.turns(self.count)?;
        let first = first.cpu.as_nanos() as f64 / (self.count as u64 * messages) as f64;
        let (begun, mut sent) = (Instant::now(), 0_u64);
        let least = self.count as u64 * messages;
        let (mut costs, mut all) = (Vec::new(), Cost::NONE);
        while (all.cpu < time || sent < least) && begun.elapsed() < PATIENCE {
            let slice = Instant::now();
            let (mut part, mut moved) = (Cost::NONE, 0);
            while slice.elapsed() < SLICE {
                part.add(self.turns(BETWEEN_LOOKS)?);
                moved += BETWEEN_LOOKS as u64 * messages;
            }
            costs.push(part.cpu.as_nanos() as f64 / moved as f64);
            all.add(part);
            sent += moved;
        }
        costs.sort_by(f64::total_cmp);
        let [instructions, misses] =
            all.counted.map(|counted| counted.map(|counted| counted as f64 / sent as f64));
        Ok(json!({
            "messages": sent + self.count as u64 * messages,
            "nanoseconds": costs[costs.len() / 10],
            "mean": all.cpu.as_nanos() as f64 / sent as f64,
            "first": first,
            "instructions": instructions,
            "misses": misses,
        }))
    }

    /// Sends so many messages a second, over all pairs.
    pub(crate) fn pace(&mut self, time: Duration, rate: u32) -> io::Result<Value> {
        let start = Instant::now();
        let (mut turns, mut due) = (0_usize, start);
        while start.elapsed() < time {
            let messages = start.elapsed().as_micros() * u128::from(rate) / 1_000_000;
            let wanted =
                usize::try_from(messages / u128::from(self.kind.messages())).map_err(io::Error::other)?;
            self.turns(wanted - turns)?;
            turns = wanted;
            due += BEAT;
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let seconds = start.elapsed().as_secs_f64();
        Ok(json!({ "messages": turns as u64 * self.kind.messages(), "seconds": seconds }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever sleeps longer has lost a message.
    const SHORT: Duration = Duration::from_millis(5);

    #[test]
    fn every_kind_of_pair_sends_and_receives() {
        for kind in [Kind::Connected, Kind::Unconnected, Kind::Peers, Kind::Stream] {
            let mut crew = Crew::of_tables(10, kind, 3, None).expect("three pairs");
            let answer = crew.run(SHORT).expect("messages");
            let messages = answer["messages"].as_u64().expect("a number");
            assert!(messages >= 6 * kind.messages() && messages.is_multiple_of(kind.messages()), "{answer}");
            assert!(answer["nanoseconds"].as_f64().is_some_and(|cost| cost > 100.0), "{answer}");
        }
    }

    #[test]
    fn more_pairs_than_a_table_holds_take_turns_all_the_same() {
        let mut crew = Crew::of_tables(2, Kind::Connected, 5, None).expect("five pairs");
        assert_eq!(crew.workers.len(), 3);
        crew.turns(7).expect("messages");
        assert_eq!(crew.next, 2);
        crew.turns(3).expect("messages");
        assert_eq!(crew.next, 0);
    }

    #[test]
    fn a_pace_is_kept() {
        let mut crew = Crew::of_tables(10, Kind::Stream, 2, None).expect("two pairs");
        let answer = crew.pace(Duration::from_millis(40), 1_000).expect("messages");
        let [messages, seconds] =
            ["messages", "seconds"].map(|name| answer[name].as_f64().expect("a number"));
        assert!(messages >= 20.0 && messages <= seconds * 1_000.0, "{answer}");
    }
}
