//! A model of rows that are found from the socket's own storage: allocate, publish, add, flip, drain, in every order that
//! the memory model allows and the bound on preemptions reaches (loom).
//!
//! The kernel half is what a packet hook would do, the other half what userspace does once a tick. What the model shows
//! is the ordering: that no packet is lost or counted twice or given to another owner with the orderings of [`DESIGN`],
//! and that one is when any of them is made weaker. It is no model of the kernel's maps, nor of how a packet is parsed.
//!
//! Two things stand for others. Loads of a reference and of the epoch are acquiring here; in the kernel they are plain, and
//! what follows them depends on them by address, which orders it on every CPU that Linux runs on. A run of a program holds
//! a lock of its CPU, and the wait for RCU takes each of them once: everything that began before the wait has ended after
//! it, and what begins later sees what was written before.

#![expect(unsafe_code, reason = "loom's cell is not Sync, and a type that is shared has to be")]

use loom::{
    cell::UnsafeCell,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, Ordering::Relaxed},
    },
    thread,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

const CPUS: usize = 2;
const OWNERS: usize = 2;
const SLOTS: usize = 2;
/// Near the end of its numbers, so that every run sees the epoch wrap.
const FIRST_EPOCH: u32 = u32::MAX;

/// What a run that fails says.
const WRONG_SUM: &str = "what was drained is not what was sent";
const STALE: &str = "a row of another epoch is drained";

/// What is varied.
#[derive(Clone, Copy, Debug)]
struct Design {
    /// Of the exchange that makes a new row known by its socket.
    publish: Ordering,
    /// Of the store that makes the other half the active one.
    flip: Ordering,
    /// Userspace waits for RCU between the flip and the drain.
    waits: bool,
    /// A reference is followed only in the epoch that it was made in.
    compares_epoch: bool,
    /// A row is added to only where it is of the packet's owner.
    compares_owner: bool,
}

/// As it is to be built. BPF's exchange is fully ordered, which is more.
const DESIGN: Design = Design {
    publish: Ordering::AcqRel,
    flip: Ordering::Release,
    waits: true,
    compares_epoch: true,
    compares_owner: true,
};

/// Memory that is written by one and then used by many: loom fails a run in which the two are not ordered.
#[derive(Default)]
struct Memory(UnsafeCell<()>);

// SAFETY: there is nothing in it; loom only notes who was there and when.
unsafe impl Sync for Memory {}

impl Memory {
    /// Alone: to make a row, or to take all of it.
    fn alone<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.with_mut(|_| work())
    }

    /// Beside others, by atomic operations.
    fn beside<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.with(|_| work())
    }
}

#[derive(Default)]
struct Row {
    memory: Memory,
    owner: AtomicUsize,
    epoch: AtomicU32,
    bytes: AtomicU64,
}

#[derive(Default)]
struct Half {
    memory: Memory,
    /// The slot that is given next.
    next: AtomicUsize,
    rows: [Row; SLOTS],
    /// What found no slot, by owner: the table with keys.
    hashed: [AtomicU64; OWNERS],
}

struct Kernel {
    design: Design,
    epoch: AtomicU32,
    halves: [Half; 2],
    /// In the socket's storage: epoch and slot of its row, the slot counted from one; 0 where it had none yet.
    reference: AtomicU64,
    /// Held by the program that runs on each CPU.
    running: [Mutex<()>; CPUS],
}

impl Kernel {
    fn new(design: Design) -> Self {
        Self {
            design,
            epoch: AtomicU32::new(FIRST_EPOCH),
            halves: Default::default(),
            reference: AtomicU64::new(0),
            running: Default::default(),
        }
    }

    fn half(&self, epoch: u32) -> &Half {
        &self.halves[usize::from(epoch % 2 == 1)]
    }

    /// One packet of the socket, on a CPU.
    fn count(&self, cpu: usize, owner: usize, bytes: u64) {
        let _running = self.running[cpu].lock().expect("no run panics");
        let epoch = self.epoch.load(Ordering::Acquire);
        let half = self.half(epoch);
        let reference = self.reference.load(Ordering::Acquire);
        if let Some(row) = self.follow(half, epoch, reference)
            && (!self.design.compares_owner || row.memory.beside(|| row.owner.load(Relaxed)) == owner)
        {
            row.memory.beside(|| row.bytes.fetch_add(bytes, Relaxed));
            return;
        }
        let slot = half.memory.beside(|| half.next.fetch_add(1, Relaxed));
        let Some(row) = half.rows.get(slot) else {
            half.hashed[owner].fetch_add(bytes, Relaxed);
            return;
        };
        row.memory.alone(|| {
            row.owner.store(owner, Relaxed);
            row.bytes.store(0, Relaxed);
            row.epoch.store(epoch, Relaxed);
        });
        self.reference.swap(u64::from(epoch) << 32 | (slot as u64 + 1), self.design.publish);
        row.memory.beside(|| row.bytes.fetch_add(bytes, Relaxed));
    }

    fn follow<'h>(&self, half: &'h Half, epoch: u32, reference: u64) -> Option<&'h Row> {
        let (of, slot) = (reference >> 32, reference & 0xffff_ffff);
        let slot = usize::try_from(slot).ok()?.checked_sub(1)?;
        if self.design.compares_epoch && of != u64::from(epoch) {
            return None;
        }
        half.rows.get(slot)
    }

    /// One tick of userspace: the bytes of the half that was active, by owner.
    fn drain(&self) -> [u64; OWNERS] {
        let old = self.epoch.load(Relaxed);
        self.epoch.store(old.wrapping_add(1), self.design.flip);
        if self.design.waits {
            for cpu in &self.running {
                drop(cpu.lock().expect("no run panics"));
            }
        }
        let half = self.half(old);
        let mut sums = [0; OWNERS];
        let made = half.memory.alone(|| half.next.load(Relaxed));
        for row in half.rows.iter().take(made) {
            row.memory.alone(|| {
                assert_eq!(row.epoch.load(Relaxed), old, "{STALE}");
                sums[row.owner.load(Relaxed)] += row.bytes.load(Relaxed);
            });
        }
        for (sum, hashed) in sums.iter_mut().zip(&half.hashed) {
            *sum += hashed.swap(0, Relaxed);
        }
        half.memory.alone(|| half.next.store(0, Relaxed));
        sums
    }
}

/// Packets of each CPU, by owner, each of its own number of bytes.
type Packets = [&'static [(usize, u64)]; CPUS];

/// Runs the packets of both CPUs beside so many ticks, and compares what was drained with what was sent.
fn check(design: Design, packets: Packets, ticks: usize) {
    let mut model = loom::model::Builder::new();
    // Every bug below needs two; without a bound a run takes hours.
    model.preemption_bound = Some(3);
    model.check(move || {
        let kernel = Arc::new(Kernel::new(design));
        let cpus: Vec<_> = (0..CPUS)
            .map(|cpu| {
                let kernel = Arc::clone(&kernel);
                thread::spawn(move || {
                    for &(owner, bytes) in packets[cpu] {
                        kernel.count(cpu, owner, bytes);
                    }
                })
            })
            .collect();
        let mut drained = [0; OWNERS];
        let mut add = |sums: [u64; OWNERS]| (0..OWNERS).for_each(|owner| drained[owner] += sums[owner]);
        for _ in 0..ticks {
            add(kernel.drain());
        }
        for cpu in cpus {
            cpu.join().expect("no packet panics");
        }
        for _half in 0..2 {
            add(kernel.drain());
        }
        let mut sent = [0; OWNERS];
        for (owner, bytes) in packets.iter().copied().flatten() {
            sent[*owner] += bytes;
        }
        assert_eq!(drained, sent, "{WRONG_SUM}");
    });
}

/// Whether some order of events breaks the design: a wrong sum, a row of another epoch, or memory that two use at once.
fn fails(design: Design, packets: Packets, ticks: usize) -> bool {
    const UNORDERED: &str = "Causality violation";
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(design, packets, ticks))) else { return false };
    let why = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    let why = why.expect("a panic has words");
    // Loom has other reasons to give up, and they show nothing.
    assert!([UNORDERED, STALE, WRONG_SUM].iter().any(|known| why.contains(known)), "{why}");
    true
}

/// Two CPUs, one owner.
const SHARED: Packets = [&[(0, 1), (0, 10)], &[(0, 100)]];
/// Two CPUs, an owner each.
const PASSED: Packets = [&[(0, 1), (0, 10)], &[(1, 100)]];
/// More rows than there are slots: the owner changes with every packet.
const THRASHED: Packets = [&[(0, 1), (1, 10)], &[(0, 100), (1, 1000)]];

#[test]
fn no_packet_is_lost_or_counted_twice() {
    check(DESIGN, SHARED, 0);
    check(DESIGN, SHARED, 1);
    check(DESIGN, SHARED, 2);
}

#[test]
fn a_socket_that_is_passed_on_keeps_each_owner_its_bytes() {
    check(DESIGN, PASSED, 1);
}

#[test]
fn what_finds_no_slot_is_counted_all_the_same() {
    check(DESIGN, THRASHED, 1);
}

#[test]
fn a_relaxed_publication_is_not_enough() {
    assert!(fails(Design { publish: Relaxed, ..DESIGN }, SHARED, 0));
}

#[test]
fn a_relaxed_flip_is_not_enough() {
    assert!(fails(Design { flip: Relaxed, ..DESIGN }, SHARED, 2));
}

#[test]
fn draining_without_the_wait_for_rcu_is_found() {
    assert!(fails(Design { waits: false, ..DESIGN }, SHARED, 1));
}

#[test]
fn following_a_reference_of_another_epoch_is_found() {
    assert!(fails(Design { compares_epoch: false, ..DESIGN }, SHARED, 1));
}

#[test]
fn adding_to_the_row_of_another_owner_is_found() {
    assert!(fails(Design { compares_owner: false, ..DESIGN }, PASSED, 0));
}
