//! How a TCP connection fares, as its socket knows it (net/core/filter.c, `bpf_tcp_sock`).
//!
//! Sampled by the packet hooks, seldom: most packets pay for one look at the clock's tick. A connection that ends is
//! sampled with every packet that comes in, for any may be its last.

use crate::key::{Direction, load};
use crate::maps::{SAMPLE_EVERY, global};
use aya_ebpf::bindings::{__sk_buff, bpf_sock, bpf_tcp_sock as TcpSock};
use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_tcp_sock};
use monitor_common::TcpSample;

/// `IPPROTO_TCP`.
const TCP: u8 = 6;
/// `TCP_ESTABLISHED`.
const ESTABLISHED: u8 = 1;
/// States in which this end waits for its own end to be acknowledged, or has it (net/tcp_states.h): FIN_WAIT1, FIN_WAIT2,
/// LAST_ACK, CLOSING.
const ENDING: u32 = 1 << 4 | 1 << 5 | 1 << 9 | 1 << 11;
/// Of the acknowledged number, in a TCP header.
const ACKNOWLEDGED_AT: u32 = 8;

/// A segment at a packet hook.
pub struct Segment {
    /// The program's context.
    pub skb: *mut __sk_buff,
    /// Null or a full socket.
    pub socket: *mut bpf_sock,
    /// Which way it goes.
    pub direction: Direction,
    /// 4 or 6.
    pub ip_version: u8,
    /// The connection's state before it.
    pub state: u8,
}

/// Takes a sample where there is none, where the last one is old enough, where the connection's state has `changed`,
/// which happens a few times in its life, and of what comes in once it ends: else one that ends within the time would
/// leave only its beginning.
///
/// # Safety
/// `sample` must point into a live map value or to the stack; the segment's socket must be null or a full one.
#[inline(always)]
pub unsafe fn sample(sample: *mut TcpSample, changed: bool, segment: &Segment) {
    let &Segment { skb, socket, direction, ip_version, state } = segment;
    if socket.is_null() {
        return;
    }
    // SAFETY: the caller's. The helper's result is checked for null; loads are volatile, because the verifier rewrites
    // each field's and two must not become one.
    unsafe {
        // The kernel inlines this one: a load.
        let now = bpf_jiffies64();
        let before = (&raw const (*sample).sampled).read_volatile();
        let young = before != 0 && !changed && now.wrapping_sub(before) < global(&SAMPLE_EVERY);
        // Most packets are of connections that do not end: one comparison.
        if young && (direction == Direction::Egress || state == ESTABLISHED) {
            return;
        }
        let ending = direction == Direction::Ingress && 1 << (state & 31) & ENDING != 0;
        if young && !ending {
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
        let mut acked = (&raw const (*tcp).bytes_acked).read_volatile();
        if ending {
            acked += acknowledged(skb, ip_version, tcp);
        }
        (&raw mut (*sample).srtt).write_volatile(srtt);
        (&raw mut (*sample).cwnd).write_volatile((&raw const (*tcp).snd_cwnd).read_volatile());
        (&raw mut (*sample).retransmits).write_volatile((&raw const (*tcp).total_retrans).read_volatile());
        (&raw mut (*sample).acked).write_volatile(acked);
        (&raw mut (*sample).received).write_volatile((&raw const (*tcp).bytes_received).read_volatile());
        (&raw mut (*sample).sampled).write_volatile(now);
    }
}

/// What a packet acknowledges and its socket does not know yet: the hook sees it before the socket does, and after the last
/// one there is none to see it by. 0 where it is not what the socket waits for (net/ipv4/tcp_input.c, `tcp_ack`), or behind
/// extension headers.
///
/// # Safety
/// `tcp` must be what the helper gave.
#[inline(always)]
unsafe fn acknowledged(skb: *mut __sk_buff, ip_version: u8, tcp: *mut TcpSock) -> u64 {
    let header = if ip_version == 4 {
        load::<u8>(skb, 0).map(|first| u32::from(first & 15) * 4)
    } else {
        load::<u8>(skb, 6).and_then(|next| (next == TCP).then_some(40))
    };
    let Some(number) = header.and_then(|header| load::<u32>(skb, header + ACKNOWLEDGED_AT)) else { return 0 };
    // SAFETY: the caller's.
    let (oldest, next) =
        unsafe { ((&raw const (*tcp).snd_una).read_volatile(), (&raw const (*tcp).snd_nxt).read_volatile()) };
    let new = u32::from_be(number).wrapping_sub(oldest);
    if new <= next.wrapping_sub(oldest) { u64::from(new) } else { 0 }
}
