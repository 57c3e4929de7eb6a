//! The tally of a capture, what one device carried since it was last asked: sums by conversation, bounded.
//!
//! Conversations are directed, from source to destination; which end is this host is decided when the sums are taken
//! (`sides`), so that the thread that captures does as little as possible.

use super::dissect::{Packet, Passage};
use crate::model::{Endpoint, Protocol};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

/// Datagrams in pieces that are remembered: twice as many, for as long as it takes that many others to come.
const DATAGRAMS: usize = 2_048;

/// Who sent to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Conversation {
    pub(super) protocol: Protocol,
    pub(super) source: Endpoint,
    pub(super) destination: Endpoint,
    /// Index of the interface; in a file, its number there.
    pub(super) ifindex: u32,
    pub(super) passage: Passage,
    pub(super) malformed: bool,
}

impl Hash for Conversation {
    /// In three writes what tells nearly all conversations apart; derived it would be fifteen, for every packet.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { protocol, source, destination, ifindex, .. } = self;
        let kind = match protocol {
            Protocol::Ip(number) => u32::from(*number),
            Protocol::Link(kind) => 1 << 16 | u32::from(*kind),
        };
        let port = |end: &Endpoint| u128::from(end.port.unwrap_or(0));
        let ports = port(source) << 16 | port(destination);
        state.write_u128(number(source.addr));
        state.write_u128(number(destination.addr));
        state.write_u128(ports << 64 | u128::from(kind) << 32 | u128::from(*ifindex));
    }
}

fn number(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => v6.into(),
    }
}

/// What moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) bytes: u64,
    pub(super) packets: u64,
}

impl Sum {
    fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.packets += 1;
    }
}

/// By conversation. Hashing is most of what a packet costs here; this is fast and has a seed, so that a sender cannot
/// choose what collides.
pub(super) type Sums = HashMap<Conversation, Sum, RandomState>;

/// Sums by conversation, at most so many.
#[derive(Debug)]
pub(super) struct Tally {
    capacity: usize,
    sums: Sums,
    /// What found no room, by whether the link layer said that it was sent.
    overflow: [Sum; 2],
    pieces: Pieces,
}

/// What a tally held.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) sums: Sums,
    /// What found no room: received (or not known) and sent.
    pub(super) overflow: [Sum; 2],
}

impl Tally {
    /// With room for so many conversations between two takes.
    pub(super) fn new(capacity: usize) -> Self {
        let pieces = Pieces::default();
        Self { capacity, sums: Sums::default(), overflow: [Sum::default(); 2], pieces }
    }

    /// Counts a packet of an interface.
    pub(super) fn add(&mut self, packet: &Packet, ifindex: u32) {
        let (source, destination) = self.pieces.ends(packet);
        let conversation = Conversation {
            protocol: packet.protocol,
            source,
            destination,
            ifindex: packet.ifindex.unwrap_or(ifindex),
            passage: packet.passage,
            malformed: packet.malformed,
        };
        let full = self.sums.len() >= self.capacity;
        match self.sums.get_mut(&conversation) {
            Some(sum) => sum.add(packet.bytes),
            None if full => self.overflow[usize::from(packet.passage == Passage::Sent)].add(packet.bytes),
            None => self.sums.entry(conversation).or_default().add(packet.bytes),
        }
    }

    /// Whether it is half full.
    #[cfg(any(feature = "pcap", not(target_os = "linux")))]
    pub(super) fn is_filling(&self) -> bool {
        self.sums.len() >= self.capacity / 2
    }

    /// Takes everything out.
    pub(super) fn take(&mut self) -> Taken {
        // As much room as was needed, so that it does not grow anew each time.
        let room = Sums::with_capacity_and_hasher(self.sums.len(), RandomState::default());
        Taken { sums: std::mem::replace(&mut self.sums, room), overflow: std::mem::take(&mut self.overflow) }
    }
}

type Datagram = (IpAddr, IpAddr, Protocol, u32);

/// The ports of datagrams that come in pieces: only the first one has them.
#[derive(Debug, Default)]
struct Pieces {
    young: HashMap<Datagram, (Option<u16>, Option<u16>)>,
    old: HashMap<Datagram, (Option<u16>, Option<u16>)>,
}

impl Pieces {
    /// The ends of a packet, with the ports of its datagram where those are known.
    fn ends(&mut self, packet: &Packet) -> (Endpoint, Endpoint) {
        let Packet { source, destination, protocol, .. } = *packet;
        let Some(fragment) = packet.fragment.filter(|_| protocol.has_ports()) else {
            return (source, destination);
        };
        let datagram = (source.addr, destination.addr, protocol, fragment.identification);
        if fragment.first {
            if self.young.len() >= DATAGRAMS {
                self.old = std::mem::take(&mut self.young);
            }
            self.young.insert(datagram, (source.port, destination.port));
            return (source, destination);
        }
        let ports = self.young.get(&datagram).or_else(|| self.old.get(&datagram)).copied();
        let (from, to) = ports.unwrap_or_default();
        (Endpoint { port: from, ..source }, Endpoint { port: to, ..destination })
    }
}

#[cfg(test)]
mod tests {
    use super::super::dissect::Fragment;
    use super::*;

    fn packet(from: &str, port: Option<u16>, bytes: u64) -> Packet {
        Packet {
            protocol: Protocol::UDP,
            source: Endpoint { addr: from.parse().unwrap(), port },
            destination: Endpoint { addr: "192.0.2.1".parse().unwrap(), port: port.map(|_| 53) },
            bytes,
            passage: Passage::Unknown,
            ifindex: None,
            fragment: None,
            malformed: false,
        }
    }

    #[test]
    fn a_full_tally_loses_detail_and_no_byte() {
        let mut tally = Tally::new(2);
        for port in 0..10 {
            tally.add(&packet("10.0.0.1", Some(port), 100), 1);
        }
        tally.add(&packet("10.0.0.1", Some(0), 50), 1);
        let taken = tally.take();
        let placed: u64 = taken.sums.values().map(|sum| sum.bytes).sum();
        assert_eq!((taken.sums.len(), placed), (2, 250));
        assert_eq!(taken.overflow[0], Sum { bytes: 800, packets: 8 });
        assert!(tally.take().sums.is_empty());
    }

    #[test]
    fn pieces_go_with_the_first_of_them() {
        let mut tally = Tally::new(100);
        let first = Fragment { identification: 7, first: true };
        let later = Fragment { identification: 7, first: false };
        tally.add(&Packet { fragment: Some(first), ..packet("10.0.0.1", Some(5000), 1500) }, 1);
        tally.add(&Packet { fragment: Some(later), ..packet("10.0.0.1", None, 520) }, 1);
        let stray = Fragment { identification: 8, first: false };
        tally.add(&Packet { fragment: Some(stray), ..packet("10.0.0.1", None, 40) }, 1);
        let taken = tally.take();
        let of = |port: Option<u16>| {
            taken.sums.iter().find(|(c, _)| c.source.port == port).map(|(_, sum)| sum.bytes)
        };
        assert_eq!((of(Some(5000)), of(None)), (Some(2020), Some(40)));
    }

    #[test]
    fn pieces_are_remembered_within_bounds() {
        let mut pieces = Pieces::default();
        for identification in 0..10 * u32::try_from(DATAGRAMS).unwrap() {
            let fragment = Some(Fragment { identification, first: true });
            pieces.ends(&Packet { fragment, ..packet("10.0.0.1", Some(1), 1) });
        }
        assert!(pieces.young.len() + pieces.old.len() <= 2 * DATAGRAMS);
    }
}
