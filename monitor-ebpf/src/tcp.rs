//! How a TCP connection fares, as its socket knows it (net/core/filter.c, `bpf_tcp_sock`).
//!
//! Sampled by the packet hooks, seldom: most packets pay for one look at the clock's tick. A connection that ends is
//! sampled with every packet that comes in, for any may be its last.

use crate::helper::jiffies;
use crate::key::Direction;
use crate::maps::{SAMPLE_EVERY, global};
use crate::mem::{Live, field};
use crate::sk::{FullSock, TcpSock};
use crate::skb::Skb;
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
pub(crate) struct Segment {
    /// The packet.
    pub skb: Skb,
    /// Its socket.
    pub socket: Option<FullSock>,
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
#[inline(always)]
pub(crate) fn sample(sample: Live<'_, TcpSample>, changed: bool, segment: &Segment) {
    let &Segment { skb, socket, direction, ip_version, state } = segment;
    let Some(socket) = socket else { return };
    let now = jiffies();
    let sampled = sample.part(field!(TcpSample, sampled));
    let before = sampled.read();
    let young = before != 0 && !changed && now.wrapping_sub(before) < global(&SAMPLE_EVERY);
    // Most packets are of connections that do not end: one comparison.
    if young && (direction == Direction::Egress || state == ESTABLISHED) {
        return;
    }
    let ending = direction == Direction::Ingress && 1 << (state & 31) & ENDING != 0;
    if young && !ending {
        return;
    }
    let Some(tcp) = socket.tcp() else { return };
    let srtt = tcp.srtt();
    if srtt == 0 {
        // Before the first round trip there is nothing to tell.
        return;
    }
    let mut acked = tcp.acked();
    if ending {
        acked += acknowledged(skb, ip_version, tcp);
    }
    sample.part(field!(TcpSample, srtt)).write(srtt);
    sample.part(field!(TcpSample, cwnd)).write(tcp.cwnd());
    sample.part(field!(TcpSample, retransmits)).write(tcp.retransmits());
    sample.part(field!(TcpSample, acked)).write(acked);
    sample.part(field!(TcpSample, received)).write(tcp.received());
    sampled.write(now);
}

/// What a packet acknowledges and its socket does not know yet: the hook sees it before the socket does, and after the last
/// one there is none to see it by. 0 where it is not what the socket waits for (net/ipv4/tcp_input.c, `tcp_ack`), or behind
/// extension headers.
#[inline(always)]
fn acknowledged(skb: Skb, ip_version: u8, tcp: TcpSock) -> u64 {
    let header = if ip_version == 4 {
        skb.load::<u8>(0).map(|first| u32::from(first & 15) * 4)
    } else {
        skb.load::<u8>(6).and_then(|next| (next == TCP).then_some(40))
    };
    let Some(number) = header.and_then(|header| skb.load::<u32>(header + ACKNOWLEDGED_AT)) else { return 0 };
    let (oldest, next) = (tcp.oldest(), tcp.next());
    let new = u32::from_be(number).wrapping_sub(oldest);
    if new <= next.wrapping_sub(oldest) { u64::from(new) } else { 0 }
}
