//! The ledger of one interface: what it carried, beside what sockets saw of it.
//!
//! A device counts by a rule of its own, so everything here is in the device's unit. Pure arithmetic; who measured what
//! is the source's business.

use super::Counters;
use std::ops::{Add, AddAssign};
use std::sync::Arc;

/// Why an interface carried bytes that no socket saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unseen {
    /// Neither end is this host.
    Forwarded,
    /// One end is this host, and no socket took or sent it.
    Socketless,
    /// The same while only a part of the sockets is looked at.
    OutOfScope,
    /// A connection that a socket had before.
    Leftover,
    /// The outside of a tunnel.
    Encapsulation,
    /// Fragments that never became a whole datagram.
    Fragments,
    /// Not IP.
    Link,
    /// Addressed to another host on the link.
    OtherHost,
    /// A socket may have seen it, but the flow table was full.
    TableFull,
    /// Its headers do not hold together.
    Malformed,
}

impl Unseen {
    /// For people and machines.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded: neither end is this host",
            Self::Socketless => "no socket: answered, refused or dropped by the kernel itself",
            Self::OutOfScope => "no socket of this cgroup",
            Self::Leftover => "no socket: the connection was closed before",
            Self::Encapsulation => "no socket: the outside of a tunnel",
            Self::Fragments => "no socket: fragments that never became whole",
            Self::Link => "no socket: link layer, not IP",
            Self::OtherHost => "no socket: addressed to another host",
            Self::TableFull => "unknown: the flow table was full",
            Self::Malformed => "unknown: its headers are cut short or contradict each other",
        }
    }
}

/// What a device adds up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Buffers of the stack: a super-packet counts once (veth, lo, tun, bridges, VLANs).
    #[default]
    Stack,
    /// Packets on the wire (physical devices).
    Wire,
}

/// How a device counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceRule {
    /// What it adds up.
    pub unit: Unit,
    /// Link-layer bytes that it adds to each received one.
    pub rx_link: u32,
    /// Link-layer bytes that it adds to each sent one.
    pub tx_link: u32,
}

impl DeviceRule {
    /// What the device would have counted as received for these; `tag` bytes of VLAN tags beside each.
    pub fn rx(&self, counters: &Counters, tag: u32) -> u64 {
        let link = u64::from(self.rx_link + tag);
        match self.unit {
            Unit::Stack => counters.rx_skb_bytes + link * counters.rx_skbs,
            Unit::Wire => counters.rx_bytes + link * counters.rx_packets,
        }
    }

    /// What the device would have counted as sent.
    pub fn tx(&self, counters: &Counters, tag: u32) -> u64 {
        let link = u64::from(self.tx_link + tag);
        match self.unit {
            Unit::Stack => counters.tx_skb_bytes + link * counters.tx_skbs,
            Unit::Wire => counters.tx_bytes + link * counters.tx_packets,
        }
    }
}

/// What a tap on an interface adds to its ledger in one direction, in the device's unit, since the tap was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TapSide {
    /// Neither end is this host.
    pub forwarded: i64,
    /// No socket took or sent it, closed connections and pieces of datagrams included.
    pub socketless: i64,
    /// Outsides of tunnels.
    pub encapsulation: i64,
    /// ARP and whatever else is not IP.
    pub link: i64,
    /// Addressed to another host on the link.
    pub other_hosts: i64,
    /// Without flow detail, because a table was full.
    pub overflow: i64,
    /// What fragments carried beyond the datagrams that they are.
    pub fragment_headers: i64,
    /// What sockets saw more often than the device carried it: several receivers, loops.
    pub extra_copies: i64,
    /// Sent by a socket and dropped before the device.
    pub dropped: i64,
    /// Seen at sockets of a bridge or bond that this interface is a port of.
    pub stacked: i64,
    /// On its way between socket and device when it was looked at; signed.
    pub in_flight: i64,
    /// What the device counted in other units than the socket: padding, segments made on the way; signed.
    pub framing: i64,
}

impl TapSide {
    /// All of it, with its sign.
    pub fn sum(&self) -> i64 {
        self.forwarded
            + self.socketless
            + self.encapsulation
            + self.link
            + self.other_hosts
            + self.overflow
            + self.stacked
            + self.fragment_headers
            - self.extra_copies
            - self.dropped
            + self.in_flight
            + self.framing
    }
}

/// What a source knows of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceReport {
    /// Netns cookie.
    pub netns: u64,
    /// Index in that netns.
    pub ifindex: u32,
    /// Its name.
    pub name: Arc<str>,
    /// How it counts.
    pub rule: DeviceRule,
    /// What it counted since start, received.
    pub rx_device: u64,
    /// What it counted since start, sent.
    pub tx_device: u64,
    /// Interfaces that are nothing but a part of this one (VLANs), and the bytes of their tags that it counts.
    pub carries: Vec<(u32, u32)>,
    /// What a tap adds, received and sent; `None` where there is none.
    pub tap: Option<(TapSide, TapSide)>,
    /// It is not there any more, and this is the last of it.
    pub gone: bool,
}

/// Packets, as a capture counted them since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capture {
    /// Passed the filter, as libpcap counts them.
    pub received: u64,
    /// Lost because the buffer was full (`ps_drop`).
    pub dropped: u64,
    /// Lost by the interface or its driver (`ps_ifdrop`).
    pub if_dropped: u64,
    /// Headers that do not hold together.
    pub malformed: u64,
    /// Left out by `-F` or `-G`.
    pub excluded: u64,
}

/// The capture of one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureReport {
    /// Netns cookie, 0 where unknown.
    pub netns: u64,
    /// Index in that netns; in a file, the number of the interface there, from 1.
    pub ifindex: u32,
    /// Its name.
    pub name: Arc<str>,
    /// What was counted.
    pub capture: Capture,
}

/// One direction of an interface's ledger, in the device's unit. `None` = not measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InterfaceSide {
    /// What the device counted since start.
    pub device: Option<u64>,
    /// Seen at sockets, on a process.
    pub attributed: u64,
    /// Seen at sockets, on the kernel.
    pub kernel: u64,
    /// Seen at sockets, waiting for its owner.
    pub pending: u64,
    /// Seen at sockets, several candidates.
    pub ambiguous: u64,
    /// Seen at sockets, no candidate.
    pub unknown: u64,
    /// Without a tap: the device less what sockets saw. Signed.
    pub not_at_sockets: Option<i64>,
    /// With a tap: its lines.
    pub tap: Option<TapSide>,
    /// With a tap: what is left of the device, never folded into anything. Signed.
    pub remainder: Option<i64>,
}

/// The ledger of one interface, or of all that are gone ("(gone)", index 0).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InterfaceLedger {
    /// Netns cookie, 0 where unknown.
    pub netns: u64,
    /// Index in that netns.
    pub ifindex: u32,
    /// Its name; empty where unknown.
    pub name: Arc<str>,
    /// Received.
    pub rx: InterfaceSide,
    /// Sent.
    pub tx: InterfaceSide,
    /// Where it was captured: what the capture counted.
    pub capture: Option<Capture>,
    /// The number of the snapshot in which something of it changed last.
    pub changed: u64,
}

impl InterfaceSide {
    /// Whether there is anything to tell: something moved, or a tap looked and nothing did.
    pub(crate) fn moved(&self) -> bool {
        let seen = self.attributed | self.kernel | self.pending | self.ambiguous | self.unknown;
        self.tap.is_some() || self.device.unwrap_or(0) | seen != 0
    }

    /// Closes the side: what the parts leave of the device.
    #[must_use]
    pub(crate) fn closed(mut self) -> Self {
        let seen = self.attributed + self.kernel + self.pending + self.ambiguous + self.unknown;
        let left = self.device.map(|device| signed(device) - signed(seen));
        match self.tap {
            Some(tap) => self.remainder = left.map(|left| left - tap.sum()),
            None => self.not_at_sockets = left,
        }
        self
    }
}

impl Add for TapSide {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            forwarded: self.forwarded + other.forwarded,
            socketless: self.socketless + other.socketless,
            encapsulation: self.encapsulation + other.encapsulation,
            link: self.link + other.link,
            other_hosts: self.other_hosts + other.other_hosts,
            overflow: self.overflow + other.overflow,
            fragment_headers: self.fragment_headers + other.fragment_headers,
            extra_copies: self.extra_copies + other.extra_copies,
            dropped: self.dropped + other.dropped,
            stacked: self.stacked + other.stacked,
            in_flight: self.in_flight + other.in_flight,
            framing: self.framing + other.framing,
        }
    }
}

/// Line by line; what neither side has measured stays so.
impl AddAssign for InterfaceSide {
    fn add_assign(&mut self, mut other: Self) {
        for (part, more) in socket_parts(self).into_iter().zip(socket_parts(&mut other)) {
            *part += *more;
        }
        self.device = sum(self.device, other.device);
        self.not_at_sockets = sum(self.not_at_sockets, other.not_at_sockets);
        self.tap = sum(self.tap, other.tap);
        self.remainder = sum(self.remainder, other.remainder);
    }
}

fn sum<T: Add<Output = T>>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one + other),
        (one, other) => one.or(other),
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The parts of a side that sockets saw, in the order attributed, kernel, pending, ambiguous, unknown.
pub(crate) fn socket_parts(side: &mut InterfaceSide) -> [&mut u64; 5] {
    [&mut side.attributed, &mut side.kernel, &mut side.pending, &mut side.ambiguous, &mut side.unknown]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_counts_by_its_rule() {
        let counters =
            Counters { rx_bytes: 3000, rx_packets: 2, rx_skb_bytes: 2948, rx_skbs: 1, ..Counters::default() };
        let stack = DeviceRule { unit: Unit::Stack, rx_link: 14, tx_link: 14 };
        assert_eq!(stack.rx(&counters, 0), 2948 + 14);
        assert_eq!(DeviceRule { unit: Unit::Wire, ..stack }.rx(&counters, 4), 3000 + 2 * 18);
        assert_eq!(stack.tx(&counters, 0), 0);
    }

    #[test]
    fn a_side_closes_with_its_sign() {
        let side =
            InterfaceSide { device: Some(100), attributed: 70, kernel: 40, ..InterfaceSide::default() };
        assert_eq!(side.closed().not_at_sockets, Some(-10));
        assert_eq!(side.closed().remainder, None);
        let tap = TapSide { extra_copies: 30, forwarded: 20, ..TapSide::default() };
        let side = InterfaceSide { tap: Some(tap), ..side }.closed();
        assert_eq!((side.not_at_sockets, side.remainder), (None, Some(0)));
    }
}
