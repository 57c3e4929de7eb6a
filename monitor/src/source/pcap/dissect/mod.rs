//! From the bytes of one captured packet to who sent how much to whom.
//!
//! Pure: bytes in, a [`Packet`] out, whatever the bytes are. What does not hold together is `malformed` and still counted,
//! as far as it could be understood. It knows no direction: which end is this host is decided elsewhere. The headers
//! of IP are read by etherparse; those of the link layer are a few fields each and are read here.

#![forbid(unsafe_code)]

mod ip;
mod link;
#[cfg(test)]
mod tests;

pub use link::LinkType;

use crate::model::{Endpoint, Protocol};
use std::net::{IpAddr, Ipv4Addr};

/// What the link layer says about the way of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Passage {
    /// It does not say.
    #[default]
    Unknown,
    /// To this host, or to several that it may be one of.
    Received,
    /// From this host.
    Sent,
    /// To another host on the link.
    OtherHost,
}

/// One packet, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// What it speaks.
    pub protocol: Protocol,
    /// Who sent it; unspecified where the protocol is not IP.
    pub source: Endpoint,
    /// To whom; unspecified where the protocol is not IP.
    pub destination: Endpoint,
    /// Bytes above the link layer, as the wire carried them: of IP, header and payload, without padding.
    pub bytes: u64,
    /// What the link layer says about its way.
    pub passage: Passage,
    /// Index of the interface, where the link layer tells (Linux cooked capture v2).
    pub ifindex: Option<u32>,
    /// It is a piece of a datagram.
    pub fragment: Option<Fragment>,
    /// Headers are cut short on the wire, or contradict each other.
    pub malformed: bool,
}

/// Which datagram a fragment is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fragment {
    /// The identification of the sender.
    pub identification: u32,
    /// The first piece, which has the ports.
    pub first: bool,
}

/// No end.
pub(super) const NOWHERE: Endpoint = Endpoint { addr: IpAddr::V4(Ipv4Addr::UNSPECIFIED), port: None };

impl Packet {
    /// A packet of which no more is known than its link-layer type.
    fn of_link(kind: u16, bytes: usize) -> Self {
        Self {
            protocol: Protocol::Link(kind),
            source: NOWHERE,
            destination: NOWHERE,
            bytes: bytes as u64,
            passage: Passage::Unknown,
            ifindex: None,
            fragment: None,
            malformed: false,
        }
    }

    /// The same where the headers do not hold together.
    fn broken(kind: u16, bytes: usize) -> Self {
        Self { malformed: true, ..Self::of_link(kind, bytes) }
    }
}

/// Understands a packet. `captured` are its first bytes, `length` is how many it had on the wire. `own` is the link-layer
/// address of the capturing device, where it has one.
pub fn dissect(link: LinkType, captured: &[u8], length: usize, own: Option<[u8; 6]>) -> Packet {
    // A length below what is there is a lie of the file.
    let lied = length < captured.len();
    let length = length.max(captured.len());
    let mut packet = link::dissect(link, captured, length, own);
    packet.malformed |= lied;
    packet
}

/// Big-endian, as networks have it.
fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
