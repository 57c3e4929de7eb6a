//! Numbers and dates: the counters of everything, and how an instant is written.

use crate::model::{Counters, Mono, Wall, bits_per_second};
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use std::time::Duration;

/// Since start, and the rates of the interval.
#[derive(Serialize)]
pub(super) struct Counted {
    rx_bytes: u64,
    tx_bytes: u64,
    rx_packets: u64,
    tx_packets: u64,
    rx_bps: u64,
    tx_bps: u64,
    rx_skb_bytes: u64,
    tx_skb_bytes: u64,
    rx_skbs: u64,
    tx_skbs: u64,
}

impl Counted {
    pub(super) fn new(total: &Counters, moved: &Counters, interval: Duration) -> Self {
        Self {
            rx_bytes: total.rx_bytes,
            tx_bytes: total.tx_bytes,
            rx_packets: total.rx_packets,
            tx_packets: total.tx_packets,
            rx_bps: bits_per_second(moved.rx_bytes, interval),
            tx_bps: bits_per_second(moved.tx_bytes, interval),
            rx_skb_bytes: total.rx_skb_bytes,
            tx_skb_bytes: total.tx_skb_bytes,
            rx_skbs: total.rx_skbs,
            tx_skbs: total.tx_skbs,
        }
    }
}

/// An instant as nanoseconds since the Unix epoch.
pub(super) fn date_of(at: Mono, boot: Wall) -> i64 {
    boot.plus(at).0
}

// serde hands fields over by reference.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
pub(super) fn date<S: Serializer>(wall: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    // An i64 of nanoseconds ends in 2262, long before what a Timestamp can hold.
    let time = Timestamp::from_nanosecond(i128::from(*wall)).map_err(serde::ser::Error::custom)?;
    serializer.collect_str(&format_args!("{time:.3}"))
}
