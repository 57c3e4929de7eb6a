//! What `monitor` says moved, as the tests read it: the eight counters of every row of its JSON.

/// One row's or one sum's counters; the names are those of the JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Wire bytes received, L3.
    pub rx_bytes: u64,
    /// Wire bytes sent, L3.
    pub tx_bytes: u64,
    /// Packets received, as on the wire.
    pub rx_packets: u64,
    /// Packets sent, as on the wire.
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
