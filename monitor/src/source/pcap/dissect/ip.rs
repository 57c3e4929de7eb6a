//! IP and the ports above it.
//!
//! The bytes of a packet are what its IP header says, so the padding of short frames does not count. A header that says
//! nothing (segmentation offload leaves zero there, as BIG TCP does) is taken by the length on the wire.

use super::{Fragment, Packet, Passage, be16};
use crate::model::{Endpoint, Protocol};
use etherparse::{IpNumber, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice};
use std::net::IpAddr;

/// Bytes of the fixed header of IPv6.
const V6_HEADER: usize = 40;
/// Extension headers that are followed; a packet with more is a hostile one.
const MOST_EXTENSIONS: usize = 16;

/// IPv4. `None` where there is no whole header on which anything could be said.
pub(super) fn v4(bytes: &[u8], length: usize) -> Option<Packet> {
    let header = Ipv4HeaderSlice::from_slice(bytes).ok()?;
    let start = header.slice().len();
    let total = match usize::from(header.total_len()) {
        0 => length,
        total if (start..=length).contains(&total) => total,
        _ => return None,
    };
    let offset = header.fragments_offset().value();
    let fragment = header
        .is_fragmenting_payload()
        .then(|| Fragment { identification: header.identification().into(), first: offset == 0 });
    let upper = Upper { protocol: header.protocol(), start, total, fragment };
    Some(upper.packet(bytes, header.source_addr().into(), header.destination_addr().into()))
}

/// IPv6.
pub(super) fn v6(bytes: &[u8], length: usize) -> Option<Packet> {
    let header = Ipv6HeaderSlice::from_slice(bytes).ok()?;
    let next = header.next_header();
    let total = match usize::from(header.payload_length()) {
        // A jumbogram says its length in a hop-by-hop option; a super-packet of TCP may say nothing.
        0 if matches!(next, IpNumber::IPV6_HEADER_HOP_BY_HOP | IpNumber::TCP) => length,
        payload => Some(payload + V6_HEADER).filter(|total| *total <= length)?,
    };
    let (source, destination) = (header.source_addr().into(), header.destination_addr().into());
    let mut upper = Upper { protocol: next, start: V6_HEADER, total, fragment: None };
    let whole = upper.skip_extensions(bytes);
    let mut packet = upper.packet(bytes, source, destination);
    packet.malformed |= !whole;
    Some(packet)
}

/// What follows the IP header: where it starts, and where the packet ends on the wire.
struct Upper {
    protocol: IpNumber,
    start: usize,
    total: usize,
    fragment: Option<Fragment>,
}

impl Upper {
    /// Goes on to the first header that is no extension. False where the packet ends before it.
    fn skip_extensions(&mut self, bytes: &[u8]) -> bool {
        for _ in 0..MOST_EXTENSIONS {
            // A later fragment starts in the middle of something.
            if self.fragment.is_some_and(|fragment| !fragment.first) {
                return true;
            }
            let rest = bytes.get(self.start..).unwrap_or_default();
            let length = match self.protocol {
                IpNumber::IPV6_HEADER_HOP_BY_HOP
                | IpNumber::IPV6_ROUTE_HEADER
                | IpNumber::IPV6_DESTINATION_OPTIONS
                | IpNumber::MOBILITY_HEADER
                | IpNumber::HIP
                | IpNumber::SHIM6 => rest.get(1).map(|length| (usize::from(*length) + 1) * 8),
                IpNumber::IPV6_FRAGMENTATION_HEADER => {
                    Ipv6FragmentHeaderSlice::from_slice(rest).ok().map(|header| {
                        // One that is whole all by itself (RFC 6946) is no piece of anything.
                        self.fragment = header.is_fragmenting_payload().then(|| Fragment {
                            identification: header.identification(),
                            first: header.fragment_offset().value() == 0,
                        });
                        header.slice().len()
                    })
                }
                _ => return true,
            };
            let Some(length) = length.filter(|length| self.start + length <= self.total) else {
                // Not captured is not malformed.
                return bytes.len() < self.total;
            };
            self.protocol = IpNumber(rest.first().copied().unwrap_or_default());
            self.start += length;
        }
        false
    }

    fn packet(&self, bytes: &[u8], source: IpAddr, destination: IpAddr) -> Packet {
        let protocol = Protocol::Ip(self.protocol.0);
        let later = self.fragment.is_some_and(|fragment| !fragment.first);
        let has_ports = protocol.has_ports() && !later;
        let ports = if has_ports { self.ports(bytes) } else { None };
        Packet {
            protocol,
            source: Endpoint { addr: source, port: ports.map(|ports| ports.0) },
            destination: Endpoint { addr: destination, port: ports.map(|ports| ports.1) },
            bytes: self.total as u64,
            passage: Passage::Unknown,
            ifindex: None,
            fragment: self.fragment,
            malformed: !later && self.is_broken(bytes),
        }
    }

    fn ports(&self, bytes: &[u8]) -> Option<(u16, u16)> {
        (self.start + 4 <= self.total).then_some(())?;
        Some((be16(bytes, self.start)?, be16(bytes, self.start + 2)?))
    }

    /// Whether the header above IP contradicts the one of IP. What was not captured is given the benefit of the doubt.
    fn is_broken(&self, bytes: &[u8]) -> bool {
        let room = self.total.saturating_sub(self.start);
        let rest = bytes.get(self.start..).unwrap_or_default();
        match Protocol::Ip(self.protocol.0) {
            Protocol::TCP => {
                let header = rest.get(12).map_or(20, |offset| usize::from(offset >> 4) * 4);
                header < 20 || header > room
            }
            Protocol::UDP => {
                // Zero is a jumbogram's or a super-packet's.
                let length = be16(rest, 4).map_or(8, usize::from);
                room < 8 || (length != 0 && length < 8) || (length > room && self.fragment.is_none())
            }
            Protocol::SCTP | Protocol::DCCP => room < 12,
            Protocol::UDPLITE | Protocol::ICMP => room < 8,
            Protocol::ICMPV6 => room < 4,
            _ => false,
        }
    }
}
