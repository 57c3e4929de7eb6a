//! The ring buffer of what happens to processes: handing over a record, and waking userspace.
//!
//! Userspace is woken for the first record since it last looked, and once half of the buffer waits. What is in a record is
//! `life`'s business.

use crate::maps::{CLAIM_STATS, LIVES};
use crate::mem::{Live, element, field};
use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_RING_SIZE};
use monitor_common::{ClaimStats, Executed, Life};

/// Whether handing over a record wakes userspace: the kernel does by itself where all before it was read.
#[inline(always)]
fn wakeup() -> u64 {
    let half = LIVES.query(u64::from(BPF_RB_RING_SIZE)) / 2;
    if LIVES.query(u64::from(BPF_RB_AVAIL_DATA)) > half { u64::from(BPF_RB_FORCE_WAKEUP) } else { 0 }
}

/// Wakes userspace, by a record that is none.
#[inline(always)]
pub(crate) fn notify() {
    if let Some(room) = LIVES.reserve::<u64>(0) {
        room.discard(u64::from(BPF_RB_FORCE_WAKEUP));
    }
}

/// Hands over an event.
#[inline(always)]
pub(crate) fn submit(event: Life) {
    if let Some(mut room) = LIVES.reserve::<Life>(0) {
        room.write(event);
        room.submit(wakeup());
    } else {
        count_dropped();
    }
}

/// Hands over a program start, which `fill` writes where it will be read: every field, and of path and arguments the bytes
/// that their lengths declare.
#[inline(always)]
pub(crate) fn submit_executed(fill: impl FnOnce(Live<'_, Executed>)) {
    let Some(mut room) = LIVES.reserve::<Executed>(0) else { return count_dropped() };
    // SAFETY: the record is this program's until it is submitted.
    fill(unsafe { Live::assume(room.as_mut_ptr()) });
    room.submit(wakeup());
}

#[inline(always)]
fn count_dropped() {
    if let Some(stats) = element(&CLAIM_STATS, 0) {
        stats.part(field!(ClaimStats, lives_full)).add(1);
    }
}
