//! Local and remote side: which end of a conversation is this host, and so which way its bytes went.
//!
//! Pure. Live, it goes by the addresses of the interfaces; with `-F` or `-G` by the network; in a file, which does not
//! say whose host it was captured on, by rules of thumb, and the source says so.

use super::dissect::Passage;
use super::tally::{Conversation, Sum};
use crate::model::{Counters, Delta, Endpoint, FlowId, Method, Protocol, SocketId, Standing, Unseen};
use ipnet::IpNet;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

/// How the local end is told.
#[derive(Clone, Debug, Default)]
pub(super) struct Sides {
    /// `-F` and `-G`: what crosses the border of the network counts, and nothing else of that version of IP.
    pub(super) nets: Vec<IpNet>,
    /// This host's addresses; `None` in a file.
    pub(super) own: Option<HashSet<IpAddr>>,
}

/// Where the ends of a conversation are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The source is here.
    Sent,
    /// The destination is here.
    Received,
    /// Both are: it is reported from both sides.
    Both,
    /// Neither is.
    Neither,
    /// `-F` or `-G` leaves it out.
    Excluded,
}

impl Sides {
    /// The bytes of a conversation, from the side or the sides that are here. Empty where `-F` or `-G` leaves them out.
    pub(super) fn deltas(&self, conversation: &Conversation, sum: Sum) -> Vec<Delta> {
        let Conversation { source, destination, .. } = *conversation;
        let here = |local, remote, sent| self.delta(conversation, sum, (local, remote), sent);
        match self.place(conversation) {
            Place::Sent => vec![here(source, destination, true)],
            Place::Received => vec![here(destination, source, false)],
            Place::Both => vec![here(source, destination, true), here(destination, source, false)],
            Place::Neither => {
                let sent = conversation.passage == Passage::Sent;
                let (local, remote) = if sent { (source, destination) } else { (destination, source) };
                let mut delta = here(local, remote, sent);
                delta.flow.socket = SocketId::default();
                delta.standing = Standing::Unseen(unseen(conversation));
                vec![delta]
            }
            Place::Excluded => Vec::new(),
        }
    }

    /// Whether which end is here is a guess: in a file, where no network says it.
    pub(super) fn guesses(&self, conversation: &Conversation) -> bool {
        let is_v4 = conversation.source.addr.is_ipv4();
        let is_told = match conversation.protocol {
            Protocol::Ip(_) => self.nets.iter().any(|net| net.addr().is_ipv4() == is_v4),
            Protocol::Link(_) => !self.nets.is_empty(),
        };
        self.own.is_none() && !is_told
    }

    fn delta(
        &self,
        conversation: &Conversation,
        sum: Sum,
        (local, remote): (Endpoint, Endpoint),
        sent: bool,
    ) -> Delta {
        let Conversation { protocol, ifindex, malformed, .. } = *conversation;
        let (socket, standing) = if self.own.is_none() {
            (SocketId::default(), Standing::Recorded)
        } else if malformed {
            (SocketId::default(), Standing::Unseen(Unseen::Malformed))
        } else {
            (SocketId::of_ends(protocol, local, remote), Standing::Unclaimed)
        };
        Delta {
            flow: FlowId { socket, protocol, local, remote, netns: 0, ifindex },
            owner: None,
            standing,
            method: Method::None,
            counters: counters(sum, sent),
            uid: None,
            cgroup: 0,
            tcp: None,
        }
    }

    fn place(&self, conversation: &Conversation) -> Place {
        let Conversation { protocol, source, destination, passage, .. } = *conversation;
        if !matches!(protocol, Protocol::Ip(_)) {
            return if self.nets.is_empty() { Place::Neither } else { Place::Excluded };
        }
        let nets = self.nets.iter().filter(|net| net.addr().is_ipv4() == source.addr.is_ipv4());
        let nets: Vec<&IpNet> = nets.collect();
        if !nets.is_empty() {
            let inside = |end: Endpoint| nets.iter().any(|net| net.contains(&end.addr));
            return match (inside(source), inside(destination)) {
                (true, false) => Place::Sent,
                (false, true) => Place::Received,
                _ => Place::Excluded,
            };
        }
        let Some(own) = &self.own else { return guess(protocol, source, destination) };
        let here = |addr: IpAddr| own.contains(&addr) || addr.is_loopback();
        let unnumbered = source.addr.is_unspecified() && passage != Passage::Received;
        match (here(source.addr) || unnumbered, here(destination.addr)) {
            (true, true) => Place::Both,
            (true, false) => Place::Sent,
            (false, true) => Place::Received,
            // This host may be one of several that are meant.
            (false, false) if is_group(destination.addr) && passage != Passage::OtherHost => Place::Received,
            (false, false) => Place::Neither,
        }
    }
}

fn counters(Sum { bytes, packets }: Sum, sent: bool) -> Counters {
    if sent {
        Counters {
            tx_bytes: bytes,
            tx_packets: packets,
            tx_skb_bytes: bytes,
            tx_skbs: packets,
            ..Counters::default()
        }
    } else {
        Counters {
            rx_bytes: bytes,
            rx_packets: packets,
            rx_skb_bytes: bytes,
            rx_skbs: packets,
            ..Counters::default()
        }
    }
}

/// Bytes without a conversation.
pub(super) fn overflow(sums: [Sum; 2]) -> Counters {
    counters(sums[0], false) + counters(sums[1], true)
}

fn unseen(conversation: &Conversation) -> Unseen {
    match (conversation.protocol, conversation.passage) {
        _ if conversation.malformed => Unseen::Malformed,
        (Protocol::Link(_), _) => Unseen::Link,
        (_, Passage::OtherHost) => Unseen::OtherHost,
        _ => Unseen::Forwarded,
    }
}

fn is_group(addr: IpAddr) -> bool {
    // The broadcast address of a network is not told from a host's here: see `is_private`.
    addr.is_multicast() || addr == IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// Addresses that are not routed in the Internet: where they are, a user is.
fn is_private(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            v4.is_private() || v4.is_link_local() || v4.is_loopback() || v4.is_unspecified() || shared
        }
        IpAddr::V6(v6) => {
            v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_loopback() || v6.is_unspecified()
        }
    }
}

/// In a file: the private end is local, else the one with the higher port (a client's), else the smaller address. Both
/// directions of a conversation give the same.
fn guess(protocol: Protocol, source: Endpoint, destination: Endpoint) -> Place {
    let (from, to) = (source.addr, destination.addr);
    if from.is_loopback() && to.is_loopback() {
        return Place::Both;
    }
    if is_group(to) {
        return Place::Sent;
    }
    if is_group(from) {
        return Place::Received;
    }
    let ports = match (source.port, destination.port) {
        (Some(from), Some(to)) if protocol.has_ports() => (from, to),
        _ => (0, 0),
    };
    match (is_private(from), is_private(to)) {
        (true, false) => Place::Sent,
        (false, true) => Place::Received,
        _ if ports.0 != ports.1 => {
            if ports.0 > ports.1 {
                Place::Sent
            } else {
                Place::Received
            }
        }
        _ if from <= to => Place::Sent,
        _ => Place::Received,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUM: Sum = Sum { bytes: 100, packets: 2 };

    fn end(text: &str) -> Endpoint {
        let addr: std::net::SocketAddr = text.parse().unwrap();
        Endpoint { addr: addr.ip(), port: Some(addr.port()) }
    }

    fn conversation(source: &str, destination: &str) -> Conversation {
        Conversation {
            protocol: Protocol::TCP,
            source: end(source),
            destination: end(destination),
            ifindex: 2,
            passage: Passage::Unknown,
            malformed: false,
        }
    }

    fn live() -> Sides {
        let own = ["10.0.0.5", "fd00::5"].map(|addr| addr.parse().unwrap());
        Sides { nets: Vec::new(), own: Some(HashSet::from(own)) }
    }

    fn told(sides: &Sides, conversation: &Conversation) -> Vec<(String, String, u64, u64)> {
        let deltas = sides.deltas(conversation, SUM);
        let told = deltas.iter().map(|delta| {
            let Counters { rx_bytes, tx_bytes, .. } = delta.counters;
            (delta.flow.local.to_string(), delta.flow.remote.to_string(), rx_bytes, tx_bytes)
        });
        told.collect()
    }

    fn one(local: &str, remote: &str, rx: u64, tx: u64) -> Vec<(String, String, u64, u64)> {
        vec![(local.to_owned(), remote.to_owned(), rx, tx)]
    }

    #[test]
    fn both_directions_make_one_flow() {
        let sides = live();
        let out = conversation("10.0.0.5:5000", "192.0.2.1:443");
        let back = conversation("192.0.2.1:443", "10.0.0.5:5000");
        assert_eq!(told(&sides, &out), one("10.0.0.5:5000", "192.0.2.1:443", 0, 100));
        assert_eq!(told(&sides, &back), one("10.0.0.5:5000", "192.0.2.1:443", 100, 0));
        assert_eq!(sides.deltas(&out, SUM)[0].flow, sides.deltas(&back, SUM)[0].flow);
    }

    #[test]
    fn both_ends_here_are_told_from_both_sides() {
        let told = told(&live(), &conversation("127.0.0.1:5000", "10.0.0.5:80"));
        let expected =
            [one("127.0.0.1:5000", "10.0.0.5:80", 0, 100), one("10.0.0.5:80", "127.0.0.1:5000", 100, 0)];
        assert_eq!(told, expected.concat());
    }

    #[test]
    fn neither_end_here_is_forwarded_and_has_no_socket() {
        let deltas = live().deltas(&conversation("192.0.2.1:1", "192.0.2.2:2"), SUM);
        assert_eq!(deltas[0].standing, Standing::Unseen(Unseen::Forwarded));
        assert_eq!(deltas[0].flow.socket, SocketId(0));
        let other =
            Conversation { passage: Passage::OtherHost, ..conversation("192.0.2.1:1", "192.0.2.2:2") };
        assert_eq!(live().deltas(&other, SUM)[0].standing, Standing::Unseen(Unseen::OtherHost));
    }

    #[test]
    fn groups_are_received() {
        let told = told(&live(), &conversation("10.0.0.9:5353", "224.0.0.251:5353"));
        assert_eq!(told, one("224.0.0.251:5353", "10.0.0.9:5353", 100, 0));
    }

    #[test]
    fn a_net_counts_what_crosses_its_border() {
        let net = "192.0.2.0/24".parse().unwrap();
        let sides = Sides { nets: vec![net], ..live() };
        let out = told(&sides, &conversation("192.0.2.7:1", "10.0.0.5:2"));
        assert_eq!(out, one("192.0.2.7:1", "10.0.0.5:2", 0, 100));
        assert!(told(&sides, &conversation("192.0.2.7:1", "192.0.2.8:2")).is_empty());
        assert!(told(&sides, &conversation("10.0.0.5:1", "198.51.100.1:2")).is_empty());
        let other = told(&sides, &conversation("[fd00::5]:1", "[2001:db8::1]:2"));
        assert_eq!(other.len(), 1, "-F says nothing of IPv6");
    }

    #[test]
    fn in_a_file_the_private_end_is_local_then_the_higher_port() {
        let sides = Sides::default();
        let told = |source, destination| told(&sides, &conversation(source, destination));
        assert_eq!(told("192.0.2.1:9999", "10.0.0.1:80"), one("10.0.0.1:80", "192.0.2.1:9999", 100, 0));
        assert_eq!(told("10.0.0.1:80", "10.0.0.2:5000"), one("10.0.0.2:5000", "10.0.0.1:80", 100, 0));
        assert_eq!(told("10.0.0.2:5000", "10.0.0.1:80"), one("10.0.0.2:5000", "10.0.0.1:80", 0, 100));
        assert_eq!(told("10.0.0.2:7", "10.0.0.1:7"), one("10.0.0.1:7", "10.0.0.2:7", 100, 0));
        assert_eq!(told("127.0.0.1:7", "127.0.0.1:8").len(), 2);
        let delta = &sides.deltas(&conversation("10.0.0.2:7", "10.0.0.1:7"), SUM)[0];
        assert_eq!((delta.standing, delta.flow.socket), (Standing::Recorded, SocketId(0)));
    }
}
