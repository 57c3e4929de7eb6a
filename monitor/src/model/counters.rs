//! Byte and packet counts in both directions.

use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

/// What moved, in both directions.
///
/// `bytes` and `packets` are what the wire carries at L3 (GSO/GRO corrected, no link-layer header); `skb_bytes` and
/// `skbs` what the stack carried, which is what veth, lo and tun devices count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Wire bytes received.
    pub rx_bytes: u64,
    /// Wire bytes sent.
    pub tx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Sum of `skb->len` received.
    pub rx_skb_bytes: u64,
    /// Sum of `skb->len` sent.
    pub tx_skb_bytes: u64,
    /// Socket buffers received.
    pub rx_skbs: u64,
    /// Socket buffers sent.
    pub tx_skbs: u64,
}

impl Counters {
    /// Nothing moved.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// Wire bytes of both directions.
    pub fn bytes(&self) -> u64 {
        self.rx_bytes + self.tx_bytes
    }

    fn zip(self, other: Self, op: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            rx_bytes: op(self.rx_bytes, other.rx_bytes),
            tx_bytes: op(self.tx_bytes, other.tx_bytes),
            rx_packets: op(self.rx_packets, other.rx_packets),
            tx_packets: op(self.tx_packets, other.tx_packets),
            rx_skb_bytes: op(self.rx_skb_bytes, other.rx_skb_bytes),
            tx_skb_bytes: op(self.tx_skb_bytes, other.tx_skb_bytes),
            rx_skbs: op(self.rx_skbs, other.rx_skbs),
            tx_skbs: op(self.tx_skbs, other.tx_skbs),
        }
    }
}

impl Add for Counters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.zip(other, u64::wrapping_add)
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Counters {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.zip(other, u64::wrapping_sub)
    }
}

impl SubAssign for Counters {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl std::iter::Sum for Counters {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::default(), Add::add)
    }
}

/// Bits/s of bytes that moved in an interval, rounded to the nearest; 0 where no time has passed.
pub(crate) fn bits_per_second(bytes: u64, interval: Duration) -> u64 {
    let interval = interval.as_nanos();
    let bits = u128::from(bytes) * 8 * 1_000_000_000;
    (bits + interval / 2).checked_div(interval).map_or(0, |rate| u64::try_from(rate).unwrap_or(u64::MAX))
}
