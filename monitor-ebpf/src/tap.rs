//! Counting what a device carries: one packet of one tapped interface into one row, whether a socket sees it or not.
//!
//! Nothing is claimed here and no owner is known. Every packet adds to exactly one of: a row, an overflow row.

use crate::account::{active, stat};
use crate::key::{self, Direction};
use crate::maps::{TAP_OVERFLOW_A, TAP_OVERFLOW_B, TAP_STATS, TAPS_A, TAPS_B};
use crate::mem::{self, E2BIG, EEXIST, Live, Slot, field, zero};
use crate::skb::Skb;
use aya_ebpf::bindings::BPF_NOEXIST;
use monitor_common::{
    ETHERTYPE_LLC, HalfStats, Segments, TAP_OTHER_HOST, TAP_RECEIVED, TAP_SENT, TapKey, TapOverflowKey,
    TapValue, wire_segments,
};

/// `lo` has this index in every namespace (net/core/dev.c, `LOOPBACK_IFINDEX`).
const LOOPBACK: u32 = 1;
/// `skb->pkt_type` (linux/if_packet.h).
const PACKET_OTHERHOST: u32 = 3;
const PACKET_OUTGOING: u32 = 4;

const ETHERNET: u32 = 14;
const ETHERTYPE_AT: u32 = 12;
const TAG: u32 = 4;
const ETH_P_8021Q: u16 = 0x8100;
const ETH_P_8021AD: u16 = 0x88a8;
const ETH_P_QINQ1: u16 = 0x9100;
const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
/// Below this an Ethernet type is a length (IEEE 802.3).
const FIRST_TYPE: u16 = 0x0600;
const VLAN_ID: u16 = 0x0fff;
/// Tags in the data that are walked; the kernel has already taken the outermost out where it could.
const MAX_TAGS: u32 = 3;

/// Counts one packet. `frames`: the device has Ethernet headers, and the packet begins with its own.
#[inline(always)]
pub(crate) fn count(skb: Skb, frames: bool) {
    let (len, pkt_type, ifindex) = (skb.len(), skb.pkt_type(), skb.ifindex());
    if ifindex == LOOPBACK && pkt_type == PACKET_OUTGOING {
        // It comes again as received.
        return;
    }
    let (mut key, mut value) = (Slot::new(), Slot::new());
    let (key, value) = (zero::<TapKey>(&mut key), zero::<TapValue>(&mut value));
    key.ifindex = ifindex;
    key.direction = match pkt_type {
        PACKET_OUTGOING => TAP_SENT,
        PACKET_OTHERHOST => TAP_OTHER_HOST,
        _ => TAP_RECEIVED,
    };
    let (link, beside) = if frames { frame(skb, key) } else { packet(skb, key) };
    measure(skb, len, link, beside, key, value);
    place(key, value);
}

/// Reads the link-layer header: its length, and that of a tag which the kernel keeps beside the data.
#[inline(always)]
fn frame(skb: Skb, key: &mut TapKey) -> (u32, u32) {
    let mut beside = 0;
    if skb.vlan_present() != 0 {
        key.vlan = skb.vlan_tci() as u16 & VLAN_ID;
        beside = TAG;
    }
    let mut end = ETHERNET;
    let mut ethertype = u16::from_be(skb.load::<u16>(ETHERTYPE_AT).unwrap_or(0));
    for _ in 0..MAX_TAGS {
        if !matches!(ethertype, ETH_P_8021Q | ETH_P_8021AD | ETH_P_QINQ1) {
            break;
        }
        let Some([tci, following]) = skb.load::<[u16; 2]>(end) else { break };
        if key.vlan == 0 {
            key.vlan = u16::from_be(tci) & VLAN_ID;
        }
        ethertype = u16::from_be(following);
        end += TAG;
    }
    key.ethertype = if ethertype < FIRST_TYPE { ETHERTYPE_LLC } else { ethertype };
    (end, beside)
}

/// A device without link-layer headers: the packet begins with IP's.
#[inline(always)]
fn packet(skb: Skb, key: &mut TapKey) -> (u32, u32) {
    key.ethertype = u16::from_be(skb.protocol() as u16);
    (0, 0)
}

#[inline(always)]
fn measure(skb: Skb, len: u32, link: u32, beside: u32, key: &mut TapKey, value: &mut TapValue) {
    let (gso_segs, gso_size) = (skb.gso_segs(), skb.gso_size());
    let mut inner = len.saturating_sub(link);
    let mut wire = Segments { packets: 1, bytes: u64::from(inner) };
    if key.ethertype == ETH_P_IP || key.ethertype == ETH_P_IPV6 {
        // Source and destination as they stand there: what an outgoing packet calls local and remote.
        if let Some(headers) = key::parse(skb, link, Direction::Egress, key) {
            if headers.fragment {
                key.fragment = 1;
                key.src_port = 0;
                key.dst_port = 0;
            }
            // What is beyond the packet's own length pads a short frame.
            if gso_size == 0 && headers.total != 0 && headers.total < inner {
                inner = headers.total;
            }
            wire = wire_segments(inner, headers.len, headers.jumbo, gso_segs, gso_size);
        }
    }
    let padding = len.saturating_sub(link).saturating_sub(inner);
    value.bytes = wire.bytes;
    value.packets = wire.packets;
    value.skb_bytes = u64::from(inner);
    value.skbs = 1;
    value.link_bytes = wire.bytes + wire.packets * u64::from(link + beside) + u64::from(padding);
    value.device_bytes = u64::from(len);
}

#[inline(always)]
fn place(key: &TapKey, value: &TapValue) {
    let half = active();
    // Two lookups in the code, one at run time: with the map known at each, the kernel inlines it.
    let row = if half == 0 { mem::row(&TAPS_A, key) } else { mem::row(&TAPS_B, key) };
    if let Some(row) = row {
        return bump(row, value);
    }
    let table = if half == 0 { &TAPS_A } else { &TAPS_B };
    let result = table.insert(key, value, u64::from(BPF_NOEXIST));
    match result {
        Ok(()) => {
            stat(&TAP_STATS, half, field!(HalfStats, inserts));
            return;
        }
        Err(EEXIST) => {
            if let Some(row) = mem::row(table, key) {
                return bump(row, value);
            }
        }
        Err(E2BIG) => {
            stat(&TAP_STATS, half, field!(HalfStats, full));
        }
        Err(_) => {
            stat(&TAP_STATS, half, field!(HalfStats, busy));
        }
    }
    overflow(half, key, value);
}

/// The table is full: the device still gets the bytes.
#[inline(always)]
fn overflow(half: u32, key: &TapKey, value: &TapValue) {
    let key = TapOverflowKey { ifindex: key.ifindex, direction: u32::from(key.direction) };
    let table = if half == 0 { &TAP_OVERFLOW_A } else { &TAP_OVERFLOW_B };
    if let Some(row) = mem::row(table, &key) {
        return bump(row, value);
    }
    if table.insert(&key, value, u64::from(BPF_NOEXIST)).is_err() {
        match mem::row(table, &key) {
            Some(row) => bump(row, value),
            None => {
                stat(&TAP_STATS, half, field!(HalfStats, overflow_full));
            }
        }
    }
}

#[inline(always)]
fn bump(row: Live<'_, TapValue>, value: &TapValue) {
    row.part(field!(TapValue, bytes)).add(value.bytes);
    row.part(field!(TapValue, packets)).add(value.packets);
    row.part(field!(TapValue, skb_bytes)).add(value.skb_bytes);
    row.part(field!(TapValue, skbs)).add(1);
    row.part(field!(TapValue, link_bytes)).add(value.link_bytes);
    row.part(field!(TapValue, device_bytes)).add(value.device_bytes);
}
