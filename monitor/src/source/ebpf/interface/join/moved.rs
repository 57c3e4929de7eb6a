//! Signed amounts of one direction.

use crate::model::Counters;
use std::ops::{Add, AddAssign, Sub};

/// Bytes and packets, signed: of a tap, of sockets, or the difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Moved {
    pub(in super::super) bytes: i64,
    pub(in super::super) packets: i64,
    pub(in super::super) skb_bytes: i64,
    pub(in super::super) skbs: i64,
}

impl Moved {
    fn zip(self, other: Self, op: impl Fn(i64, i64) -> i64) -> Self {
        Self {
            bytes: op(self.bytes, other.bytes),
            packets: op(self.packets, other.packets),
            skb_bytes: op(self.skb_bytes, other.skb_bytes),
            skbs: op(self.skbs, other.skbs),
        }
    }

    /// One direction of counters.
    pub(super) fn of(counters: &Counters, sent: bool) -> Self {
        let Counters {
            rx_bytes,
            tx_bytes,
            rx_packets,
            tx_packets,
            rx_skb_bytes,
            tx_skb_bytes,
            rx_skbs,
            tx_skbs,
        } = *counters;
        let pick = |rx: u64, tx: u64| i64::try_from(if sent { tx } else { rx }).unwrap_or(i64::MAX);
        Self {
            bytes: pick(rx_bytes, tx_bytes),
            packets: pick(rx_packets, tx_packets),
            skb_bytes: pick(rx_skb_bytes, tx_skb_bytes),
            skbs: pick(rx_skbs, tx_skbs),
        }
    }

    /// As counters of one direction; what is negative is nothing.
    pub(super) fn counters(self, sent: bool) -> Counters {
        let [bytes, packets, skb_bytes, skbs] = [self.bytes, self.packets, self.skb_bytes, self.skbs]
            .map(|value| u64::try_from(value).unwrap_or(0));
        if sent {
            let (tx_bytes, tx_packets, tx_skb_bytes, tx_skbs) = (bytes, packets, skb_bytes, skbs);
            Counters { tx_bytes, tx_packets, tx_skb_bytes, tx_skbs, ..Counters::default() }
        } else {
            let (rx_bytes, rx_packets, rx_skb_bytes, rx_skbs) = (bytes, packets, skb_bytes, skbs);
            Counters { rx_bytes, rx_packets, rx_skb_bytes, rx_skbs, ..Counters::default() }
        }
    }
}

impl Add for Moved {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.zip(other, i64::wrapping_add)
    }
}

impl AddAssign for Moved {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Moved {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.zip(other, i64::wrapping_sub)
    }
}
