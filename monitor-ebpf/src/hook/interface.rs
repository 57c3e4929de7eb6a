//! Taps: socket filters on AF_PACKET sockets (net/packet/af_packet.c, `packet_rcv`), one socket an interface.
//!
//! They return 0: nothing is ever queued, and no packet comes to userspace.

use crate::tap::count;
use aya_ebpf::macros::socket_filter;
use aya_ebpf::programs::SkBuffContext;

/// For Ethernet and `lo`: a packet begins with its link-layer header.
#[socket_filter]
pub(crate) fn frames(ctx: SkBuffContext) -> i64 {
    count(ctx.into(), true);
    0
}

/// For tun, WireGuard, PPP and other devices without link-layer headers.
#[socket_filter]
pub(crate) fn packets(ctx: SkBuffContext) -> i64 {
    count(ctx.into(), false);
    0
}
