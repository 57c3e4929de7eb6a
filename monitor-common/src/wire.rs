//! What one socket buffer looks like on the wire: the GSO/GRO correction.
//!
//! Pure arithmetic, shared by the kernel programs and the tests that check it against TC's `wire_len`. It knows nothing
//! of packets; the caller reads the header lengths.

/// Segments of one socket buffer and their bytes at L3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// Number of packets on the wire, at least 1.
    pub packets: u64,
    /// L3 bytes on the wire, the headers of every segment included.
    pub bytes: u64,
}

/// `gso_size` of a packet whose segments have sizes of their own (`GSO_BY_FRAGS` in include/linux/skbuff.h).
const GSO_BY_FRAGS: u32 = 0xffff;

/// The segments that a socket buffer of `len` L3 bytes becomes on the wire (or was merged from).
///
/// `headers` is the length of the L3 and L4 headers, which every segment repeats; `jumbo` the length of a jumbogram
/// hop-by-hop header of BIG TCP (RFC 2675), which no segment carries. virtio-net, tun and tap leave `gso_segs` at 0 on
/// receive while `gso_size` is set (drivers/net/tun.c, `virtio_net_hdr_to_skb`); the count then follows from the size.
#[inline(always)]
pub const fn wire_segments(len: u32, headers: u32, jumbo: u32, gso_segs: u32, gso_size: u32) -> Segments {
    let len = len.saturating_sub(jumbo);
    let payload = len.saturating_sub(headers);
    let packets = if gso_segs != 0 {
        gso_segs
    } else if gso_size != GSO_BY_FRAGS && payload != 0 {
        // Rounds up. `checked_div` and not `div_ceil`: the kernel programs must have no path that panics.
        match payload.saturating_add(gso_size.saturating_sub(1)).checked_div(gso_size) {
            Some(segments) => segments,
            None => 1,
        }
    } else {
        1
    };
    Segments { packets: packets as u64, bytes: len as u64 + (packets as u64 - 1) * headers as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn segments(packets: u64, bytes: u64) -> Segments {
        Segments { packets, bytes }
    }

    #[test]
    fn plain_packet_is_itself() {
        assert_eq!(wire_segments(78, 28, 0, 0, 0), segments(1, 78));
        assert_eq!(wire_segments(78, 28, 0, 1, 0), segments(1, 78));
    }

    #[test]
    fn gso_repeats_the_headers() {
        // 5 segments of 1,448 B behind 52 B of headers: seen on 6.18.
        assert_eq!(wire_segments(7292, 52, 0, 5, 1448), segments(5, 7292 + 4 * 52));
    }

    #[test]
    fn missing_gso_segs_follow_from_the_size() {
        assert_eq!(wire_segments(52 + 3 * 1448, 52, 0, 0, 1448), segments(3, 3 * 1500));
        assert_eq!(wire_segments(52 + 3 * 1448 + 1, 52, 0, 0, 1448), segments(4, 4 * 52 + 3 * 1448 + 1));
        assert_eq!(wire_segments(4000, 52, 0, 0, GSO_BY_FRAGS), segments(1, 4000));
        assert_eq!(wire_segments(52, 52, 0, 0, 1448), segments(1, 52));
    }

    #[test]
    fn jumbo_header_is_not_on_the_wire() {
        assert_eq!(wire_segments(72 + 8 + 2 * 1428, 72, 8, 2, 1428), segments(2, 2 * 1500));
    }

    #[test]
    fn lying_lengths_do_not_wrap() {
        assert_eq!(wire_segments(10, 60, 8, 0, 1), segments(1, 2));
    }
}
