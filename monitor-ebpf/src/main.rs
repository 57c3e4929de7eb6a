//! The kernel programs of `monitor`: they count bytes per flow and keep who owns each socket.
//!
//! They never drop, delay or change traffic: every program returns its hook's "allow" from every path. They never copy
//! a packet: userspace sees sums only. `hook/` holds the programs, thin; `account` counts, `packet` counts what packet
//! sockets send, `tap` counts what a device carries, `tcp` samples connections, `owner` claims, `life` tells what becomes
//! of processes, `key` reads headers. Below them `skb`, `sk` and `btf` are what the kernel hands to programs (packets,
//! sockets, tasks), `mem` is what programs write, `proc_events` the ring buffer, and `maps` lists every map; what is
//! `unsafe` about these is in them. Nothing here sleeps, loops without a bound or reads kernel memory by
//! `bpf_probe_read_kernel` (refused under lockdown).

#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![expect(
    internal_features,
    reason = "atomic_xadd is the only 64-bit atomic add that every kernel's verifier takes"
)]
#![expect(unsafe_code, reason = "kernel helpers, map values and context fields are raw pointers")]
#![expect(clippy::cast_possible_truncation, reason = "kernel fields are wider than what they hold")]
#![expect(clippy::cast_ptr_alignment, reason = "keys and values are aligned for words: `mem::Slot`")]
#![expect(
    clippy::needless_borrows_for_generic_args,
    reason = "by value, aya's maps would copy keys on a 512-byte stack"
)]
#![expect(clippy::needless_pass_by_value, reason = "the program macros hand contexts over by value")]

mod account;
mod btf;
mod ends;
mod helper;
mod hook;
mod key;
mod life;
mod maps;
mod mem;
mod owner;
mod packet;
mod proc_events;
mod sk;
mod skb;
mod tap;
mod tcp;

/// Kernel helpers for tracing and for `bpf_sk_storage_get` are offered to GPL-compatible programs only.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // No program can get here: nothing in this crate indexes, unwraps or divides by a variable.
    loop {}
}
