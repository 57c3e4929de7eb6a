//! Link layers: how far it is to IP, and what the header says about the packet's way. The formats are those of
//! <https://www.tcpdump.org/linktypes.html>.

use super::{NOWHERE, Packet, Passage, be16, be32, ip};
use std::fmt;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// Tags that carry another type behind them: 802.1Q, 802.1ad and its forerunners.
const TAGS: [u16; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];
/// What stands for a frame whose third field is a length (IEEE 802.3): `ETH_P_802_2`.
const LLC: u16 = 0x0004;
/// Types below are lengths.
const FIRST_TYPE: u16 = 0x0600;
/// What stands for a protocol of PPP that is not IP: `ETH_P_PPP_MP` is 8, this is its EtherType (RFC 7042).
const PPP: u16 = 0x880b;
/// Stands for a packet without a header that tells.
const NOTHING: u16 = 0;

/// How a capture frames its packets: the numbers of libpcap (`DLT_*`) and of files (`LINKTYPE_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// BSD loopback; the address family in the byte order of the capturing host.
    Null,
    /// Ethernet.
    Ethernet,
    /// Point-to-point protocol, with or without HDLC framing.
    Ppp,
    /// PPP with a byte that tells the direction.
    PppDirection,
    /// IP, and nothing before it.
    Raw,
    /// Linux cooked capture.
    Sll,
    /// Linux cooked capture, version 2.
    Sll2,
    /// None of these; tried as [`LinkType::Raw`].
    Unknown(u32),
}

impl LinkType {
    /// From the number.
    pub fn from_number(number: u32) -> Self {
        match number {
            0 | 108 => Self::Null,
            1 => Self::Ethernet,
            9 | 50 => Self::Ppp,
            // DLT_RAW is 12, and 14 on OpenBSD; LINKTYPE_RAW is 101, and 228 and 229 are for one version of IP.
            12 | 14 | 101 | 228 | 229 => Self::Raw,
            113 => Self::Sll,
            204 => Self::PppDirection,
            276 => Self::Sll2,
            other => Self::Unknown(other),
        }
    }
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.pad("null"),
            Self::Ethernet => f.pad("ethernet"),
            Self::Ppp | Self::PppDirection => f.pad("ppp"),
            Self::Raw => f.pad("raw"),
            Self::Sll => f.pad("sll"),
            Self::Sll2 => f.pad("sll2"),
            Self::Unknown(number) => write!(f, "{number}"),
        }
    }
}

/// As [`super::dissect`]; `length` is at least what is captured.
pub(super) fn dissect(link: LinkType, captured: &[u8], length: usize, own: Option<[u8; 6]>) -> Packet {
    let packet = match link {
        LinkType::Ethernet => ethernet(captured, length, own),
        LinkType::Null => null(captured, length),
        LinkType::Ppp => ppp(captured, length, 0),
        LinkType::PppDirection => ppp_direction(captured, length),
        LinkType::Sll => sll(captured, length),
        LinkType::Sll2 => sll2(captured, length),
        LinkType::Raw | LinkType::Unknown(_) => Some(raw(captured, length, 0)),
    };
    packet.unwrap_or(Packet { source: NOWHERE, ..Packet::broken(NOTHING, 0) })
}

fn ethernet(captured: &[u8], length: usize, own: Option<[u8; 6]>) -> Option<Packet> {
    let destination: [u8; 6] = captured.get(..6)?.try_into().ok()?;
    let source: [u8; 6] = captured.get(6..12)?.try_into().ok()?;
    let packet = typed(be16(captured, 12)?, captured, length, 14);
    let passage = match own {
        // On loopback every address is zero.
        None | Some([0, 0, 0, 0, 0, 0]) => Passage::Unknown,
        Some(own) if source == own => Passage::Sent,
        // The lowest bit of the first byte says that several are meant.
        Some(own) if destination == own || destination[0] & 1 == 1 => Passage::Received,
        Some(_) => Passage::OtherHost,
    };
    Some(Packet { passage, ..packet })
}

/// What follows a type at `at`, tags and all.
fn typed(mut kind: u16, captured: &[u8], length: usize, mut at: usize) -> Packet {
    while TAGS.contains(&kind) {
        let Some(next) = be16(captured, at + 2) else {
            return Packet { malformed: length < at + 4, ..Packet::of_link(kind, length.saturating_sub(at)) };
        };
        (kind, at) = (next, at + 4);
    }
    match kind {
        IPV4 | IPV6 => raw(captured, length, at),
        _ if kind < FIRST_TYPE => Packet::of_link(LLC, length.saturating_sub(at)),
        _ => Packet::of_link(kind, length.saturating_sub(at)),
    }
}

/// IP from `at` on, told by its version.
fn raw(captured: &[u8], length: usize, at: usize) -> Packet {
    let bytes = captured.get(at..).unwrap_or_default();
    let length = length.saturating_sub(at);
    match bytes.first().map(|first| first >> 4) {
        Some(4) => ip::v4(bytes, length).unwrap_or(Packet::broken(IPV4, length)),
        Some(6) => ip::v6(bytes, length).unwrap_or(Packet::broken(IPV6, length)),
        _ => Packet::broken(NOTHING, length),
    }
}

/// The address families of BSD and Linux that stand for IP; others are another protocol of the link.
fn null(captured: &[u8], length: usize) -> Option<Packet> {
    let family = be32(captured, 0)?;
    // It is in the byte order of whoever captured, and small.
    let family = if family > 0xffff { family.swap_bytes() } else { family };
    Some(match family {
        2 | 10 | 24 | 28 | 30 => raw(captured, length, 4),
        other => Packet::of_link(u16::try_from(other).unwrap_or(NOTHING), length.saturating_sub(4)),
    })
}

fn ppp(captured: &[u8], length: usize, start: usize) -> Option<Packet> {
    // The address and control of HDLC, which both ends may have agreed to leave out (RFC 1661, 1662).
    let at = if captured.get(start..start + 2)? == [0xff, 0x03] { start + 2 } else { start };
    let first = *captured.get(at)?;
    let (protocol, at) =
        if first & 1 == 1 { (u16::from(first), at + 1) } else { (be16(captured, at)?, at + 2) };
    Some(match protocol {
        0x0021 | 0x0057 => raw(captured, length, at),
        _ => Packet::of_link(PPP, length.saturating_sub(at)),
    })
}

fn ppp_direction(captured: &[u8], length: usize) -> Option<Packet> {
    let passage = if *captured.first()? == 0 { Passage::Received } else { Passage::Sent };
    Some(Packet { passage, ..ppp(captured, length, 1)? })
}

/// `sll_pkttype` of packet(7).
fn passage(kind: u16) -> Passage {
    match kind {
        0..=2 => Passage::Received,
        3 => Passage::OtherHost,
        4 => Passage::Sent,
        _ => Passage::Unknown,
    }
}

fn sll(captured: &[u8], length: usize) -> Option<Packet> {
    let packet = typed(be16(captured, 14)?, captured, length, 16);
    Some(Packet { passage: passage(be16(captured, 0)?), ..packet })
}

fn sll2(captured: &[u8], length: usize) -> Option<Packet> {
    let kind = *captured.get(10)?;
    captured.get(..20)?;
    let packet = typed(be16(captured, 0)?, captured, length, 20);
    let ifindex = be32(captured, 4).filter(|index| *index != 0);
    Some(Packet { passage: passage(kind.into()), ifindex, ..packet })
}
