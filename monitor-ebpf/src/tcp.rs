//! How a TCP connection fares, as its socket knows it (net/core/filter.c, `bpf_tcp_sock`).
//!
//! Sampled by the packet hooks, seldom: most packets pay for one look at the clock's tick.

use crate::maps::{SAMPLE_EVERY, global};
use aya_ebpf::bindings::bpf_sock;
use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_tcp_sock};
use monitor_common::TcpSample;

/// Takes a sample where there is none, where the last one is old enough, and where the connection's state has `changed`,
/// which happens a few times in its life: else one that ends within the time would leave only its beginning.
///
/// # Safety
/// `sample` must point into a live map value or to the stack; `socket` must be null or a full socket.
#[inline(always)]
pub unsafe fn sample(sample: *mut TcpSample, changed: bool, socket: *mut bpf_sock) {
    if socket.is_null() {
        return;
    }
    // SAFETY: the caller's. The helper's result is checked for null; loads are volatile, because the verifier rewrites
    // each field's and two must not become one.
    unsafe {
        // The kernel inlines this one: a load.
        let now = bpf_jiffies64();
        let before = (&raw const (*sample).sampled).read_volatile();
        if before != 0 && !changed && now.wrapping_sub(before) < global(&SAMPLE_EVERY) {
            return;
        }
        let tcp = bpf_tcp_sock(socket);
        if tcp.is_null() {
            return;
        }
        let srtt = (&raw const (*tcp).srtt_us).read_volatile();
        if srtt == 0 {
            // Before the first round trip there is nothing to tell.
            return;
        }
        (&raw mut (*sample).srtt).write_volatile(srtt);
        (&raw mut (*sample).cwnd).write_volatile((&raw const (*tcp).snd_cwnd).read_volatile());
        (&raw mut (*sample).retransmits).write_volatile((&raw const (*tcp).total_retrans).read_volatile());
        (&raw mut (*sample).acked).write_volatile((&raw const (*tcp).bytes_acked).read_volatile());
        (&raw mut (*sample).received).write_volatile((&raw const (*tcp).bytes_received).read_volatile());
        (&raw mut (*sample).sampled).write_volatile(now);
    }
}
