//! Every link layer and header that is understood, and every lie that must not be believed.

use super::*;
use proptest::prelude::*;

const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];
const PEER: [u8; 6] = [2, 0, 0, 0, 0, 2];
const GROUP: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];

/// An IPv4 packet of 10.0.0.1 to 10.0.0.2 with `options` bytes of options.
fn v4(protocol: u8, options: usize, payload: &[u8]) -> Vec<u8> {
    let header = 20 + options;
    let total = u16::try_from(header + payload.len()).unwrap().to_be_bytes();
    let mut packet = vec![0x40 | u8::try_from(header / 4).unwrap(), 0, total[0], total[1], 0, 7, 0, 0];
    packet.extend([64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.resize(header, 1);
    packet.extend(payload);
    packet
}

fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, length[0], length[1], next, 64];
    for last in [1, 2] {
        packet.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    packet.extend(payload);
    packet
}

/// Ports 5000 and 53 and `body` bytes.
fn udp(body: usize) -> Vec<u8> {
    let length = u16::try_from(8 + body).unwrap().to_be_bytes();
    let mut datagram = vec![0x13, 0x88, 0, 53, length[0], length[1], 0, 0];
    datagram.resize(8 + body, 0);
    datagram
}

fn tcp(offset: u8) -> Vec<u8> {
    let mut segment = vec![0; 20];
    (segment[0], segment[1], segment[3], segment[12]) = (0x13, 0x88, 80, offset << 4);
    segment
}

fn ethernet(to: [u8; 6], from: [u8; 6], rest: &[u8]) -> Vec<u8> {
    [&to[..], &from[..], rest].concat()
}

fn framed(kind: u16, rest: &[u8]) -> Vec<u8> {
    ethernet(OWN, PEER, &[&kind.to_be_bytes(), rest].concat())
}

fn of(link: LinkType, bytes: &[u8]) -> Packet {
    dissect(link, bytes, bytes.len(), Some(OWN))
}

fn told(packet: &Packet) -> String {
    let Packet { protocol, source, destination, bytes, malformed, .. } = packet;
    let broken = if *malformed { " malformed" } else { "" };
    format!("{protocol} {source} {destination} {bytes}{broken}")
}

const UDP: &str = "udp 10.0.0.1:5000 10.0.0.2:53 60";

#[test]
fn every_link_layer_leads_to_ip() {
    let ip = v4(17, 0, &udp(32));
    let with = |header: &[u8]| [header, &ip].concat();
    let sll = [&[0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0][..], &ip].concat();
    let sll2 = [&[8, 0, 0, 0, 0, 0, 0, 7, 0, 1, 3, 6, 2, 0, 0, 0, 0, 1, 0, 0][..], &ip].concat();
    for (link, bytes) in [
        (LinkType::Ethernet, framed(0x0800, &ip)),
        (LinkType::Null, with(&[2, 0, 0, 0])),
        (LinkType::Null, with(&[0, 0, 0, 2])),
        (LinkType::Raw, ip.clone()),
        (LinkType::Unknown(147), ip.clone()),
        (LinkType::Ppp, with(&[0xff, 3, 0, 0x21])),
        (LinkType::Ppp, with(&[0, 0x21])),
        (LinkType::Ppp, with(&[0x21])),
        (LinkType::PppDirection, with(&[1, 0xff, 3, 0, 0x21])),
        (LinkType::Sll, sll.clone()),
        (LinkType::Sll2, sll2.clone()),
    ] {
        assert_eq!(told(&of(link, &bytes)), UDP, "{link}: {bytes:?}");
    }
    assert_eq!(of(LinkType::Sll, &sll).passage, Passage::Sent);
    let cooked = of(LinkType::Sll2, &sll2);
    assert_eq!((cooked.passage, cooked.ifindex), (Passage::OtherHost, Some(7)));
    assert_eq!(of(LinkType::PppDirection, &with(&[1, 0, 0x21])).passage, Passage::Sent);
}

#[test]
fn numbers_of_link_types() {
    for (number, link) in [(1, LinkType::Ethernet), (0, LinkType::Null), (108, LinkType::Null)] {
        assert_eq!(LinkType::from_number(number), link);
    }
    for number in [12, 14, 101, 228, 229] {
        assert_eq!(LinkType::from_number(number), LinkType::Raw);
    }
    assert_eq!(LinkType::from_number(276), LinkType::Sll2);
    assert_eq!(LinkType::from_number(147), LinkType::Unknown(147));
}

#[test]
fn tags_are_taken_off_one_by_one() {
    let ip = v4(17, 0, &udp(32));
    let mut tagged = vec![0x08, 0x00];
    tagged.extend(&ip);
    for tag in [0x8100_u16, 0x88a8, 0x9100, 0x8100] {
        tagged = [&tag.to_be_bytes()[..], &[0, 7], &tagged].concat();
        assert_eq!(told(&of(LinkType::Ethernet, &ethernet(OWN, PEER, &tagged))), UDP);
    }
    let arp = of(LinkType::Ethernet, &framed(0x8100, &[&[0, 7, 8, 6][..], &[0; 28]].concat()));
    assert_eq!(told(&arp), "arp 0.0.0.0 0.0.0.0 28");
}

#[test]
fn what_is_not_ip_goes_by_its_type() {
    assert_eq!(told(&of(LinkType::Ethernet, &framed(0x0806, &[0; 46]))), "arp 0.0.0.0 0.0.0.0 46");
    assert_eq!(told(&of(LinkType::Ethernet, &framed(38, &[0x42; 38]))), "llc 0.0.0.0 0.0.0.0 38");
    assert_eq!(told(&of(LinkType::Ethernet, &framed(0x88b5, &[0; 50]))), "eth-88b5 0.0.0.0 0.0.0.0 50");
    assert_eq!(told(&of(LinkType::Ppp, &[0xff, 3, 0xc0, 0x21, 1, 1])), "eth-880b 0.0.0.0 0.0.0.0 2");
}

#[test]
fn the_way_of_a_frame() {
    let ip = [&[8, 0][..], &v4(17, 0, &udp(0))].concat();
    for (to, from, passage) in [
        (OWN, PEER, Passage::Received),
        (GROUP, PEER, Passage::Received),
        (PEER, OWN, Passage::Sent),
        (PEER, [2, 0, 0, 0, 0, 3], Passage::OtherHost),
    ] {
        let frame = ethernet(to, from, &ip);
        assert_eq!(of(LinkType::Ethernet, &frame).passage, passage);
        assert_eq!(dissect(LinkType::Ethernet, &frame, frame.len(), None).passage, Passage::Unknown);
    }
}

#[test]
fn transports_and_others_by_number() {
    let raw = |bytes: &[u8]| told(&of(LinkType::Raw, bytes));
    assert_eq!(raw(&v4(6, 0, &tcp(5))), "tcp 10.0.0.1:5000 10.0.0.2:80 40");
    assert_eq!(raw(&v4(6, 40, &tcp(5))), "tcp 10.0.0.1:5000 10.0.0.2:80 80");
    assert_eq!(raw(&v4(132, 0, &udp(4))), "sctp 10.0.0.1:5000 10.0.0.2:53 32");
    assert_eq!(raw(&v4(1, 0, &[8, 0, 0, 0, 0, 0, 0, 0])), "icmp 10.0.0.1 10.0.0.2 28");
    assert_eq!(raw(&v6(58, &[128, 0, 0, 0])), "icmpv6 fd00::1 fd00::2 44");
    assert_eq!(raw(&v4(89, 0, &[0; 24])), "ip-89 10.0.0.1 10.0.0.2 44");
    assert_eq!(raw(&v4(4, 0, &v4(17, 0, &udp(32)))), "ipip 10.0.0.1 10.0.0.2 80", "by the outer header");
    assert_eq!(raw(&v4(47, 0, &[0; 30])), "gre 10.0.0.1 10.0.0.2 50");
}

#[test]
fn padding_is_no_traffic() {
    let mut frame = framed(0x0800, &v4(17, 0, &udp(0)));
    frame.resize(60, 0);
    assert_eq!(told(&of(LinkType::Ethernet, &frame)), "udp 10.0.0.1:5000 10.0.0.2:53 28");
    let mut frame = framed(0x86dd, &v6(59, &[]));
    frame.resize(60, 0);
    assert_eq!(of(LinkType::Ethernet, &frame).bytes, 40);
}

#[test]
fn super_packets_without_a_length_are_taken_by_the_wire() {
    let mut v4 = v4(6, 0, &tcp(5));
    (v4[2], v4[3]) = (0, 0);
    assert_eq!(dissect(LinkType::Raw, &v4, 100_000, None).bytes, 100_000);
    let mut v6 = v6(6, &tcp(5));
    (v6[4], v6[5]) = (0, 0);
    let packet = dissect(LinkType::Raw, &v6, 100_000, None);
    assert_eq!(told(&packet), "tcp [fd00::1]:5000 [fd00::2]:80 100000");
}

#[test]
fn pieces_of_ipv4() {
    let mut first = v4(17, 0, &udp(32));
    (first[6], first[4], first[5]) = (0x20, 0xab, 0xcd);
    // The datagram is longer than its first piece.
    first[24] = 8;
    let packet = of(LinkType::Raw, &first);
    assert_eq!((told(&packet).as_str(), packet.fragment.unwrap().first), (UDP, true));
    let mut later = v4(17, 0, &[0xff; 40]);
    later[7] = 5;
    let packet = of(LinkType::Raw, &later);
    assert_eq!(told(&packet), "udp 10.0.0.1 10.0.0.2 60");
    assert_eq!(packet.fragment, Some(Fragment { identification: 7, first: false }));
}

#[test]
fn extension_headers_and_pieces_of_ipv6() {
    let options = |next: u8, rest: &[u8]| [&[next, 0, 1, 4, 0, 0, 0, 0], rest].concat();
    let chain = options(43, &options(60, &options(17, &udp(4))));
    assert_eq!(told(&of(LinkType::Raw, &v6(0, &chain))), "udp [fd00::1]:5000 [fd00::2]:53 76");
    let piece = |offset: u16, rest: &[u8]| {
        let field = (offset << 3 | 1).to_be_bytes();
        v6(44, &[&[17, 0, field[0], field[1], 0, 0, 0, 9], rest].concat())
    };
    let first = of(LinkType::Raw, &piece(0, &udp(8)));
    assert_eq!(told(&first), "udp [fd00::1]:5000 [fd00::2]:53 64");
    assert_eq!(first.fragment, Some(Fragment { identification: 9, first: true }));
    let later = of(LinkType::Raw, &piece(100, &[0xff; 8]));
    assert_eq!(told(&later), "udp fd00::1 fd00::2 56");
    let endless = (0..40).fold(Vec::new(), |rest, _| options(60, &rest));
    assert!(of(LinkType::Raw, &v6(60, &endless)).malformed);
    assert!(of(LinkType::Raw, &v6(60, &[17, 9, 0, 0])).malformed, "an extension beyond the packet");
}

#[test]
fn lies_are_counted_and_believed_in_nothing() {
    let ip = v4(17, 0, &udp(32));
    let edited = |at: usize, value: u8| {
        let mut bytes = ip.clone();
        bytes[at] = value;
        told(&of(LinkType::Raw, &bytes))
    };
    assert_eq!(edited(3, 200), "eth-0800 0.0.0.0 0.0.0.0 60 malformed", "longer than the wire");
    assert_eq!(edited(3, 10), "eth-0800 0.0.0.0 0.0.0.0 60 malformed", "shorter than its header");
    assert_eq!(edited(0, 0x43), "eth-0800 0.0.0.0 0.0.0.0 60 malformed", "a header of 12 bytes");
    assert_eq!(edited(0, 0x90), "eth-0000 0.0.0.0 0.0.0.0 60 malformed", "version 9");
    assert_eq!(edited(25, 200), format!("{UDP} malformed"), "a datagram longer than its packet");
    assert_eq!(edited(25, 7), format!("{UDP} malformed"), "a datagram shorter than its header");
    let mut short = v6(17, &udp(4));
    short[5] = 200;
    assert_eq!(told(&of(LinkType::Raw, &short)), "eth-86dd 0.0.0.0 0.0.0.0 52 malformed");
    for offset in [0, 4, 15] {
        let said = told(&of(LinkType::Raw, &v4(6, 0, &tcp(offset))));
        assert_eq!(said, "tcp 10.0.0.1:5000 10.0.0.2:80 40 malformed");
    }
    assert_eq!(told(&of(LinkType::Raw, &v4(17, 0, &[1, 2]))), "udp 10.0.0.1 10.0.0.2 22 malformed");
    for link in
        [LinkType::Ethernet, LinkType::Null, LinkType::Ppp, LinkType::Sll, LinkType::Sll2, LinkType::Raw]
    {
        assert!(of(link, &[]).malformed && of(link, &[0x45]).malformed, "{link}");
    }
    assert!(dissect(LinkType::Raw, &ip, 5, None).malformed, "a length below what was captured");
}

#[test]
fn what_was_not_captured_is_not_malformed() {
    let frame = framed(0x0800, &v4(17, 0, &udp(1000)));
    let packet = dissect(LinkType::Ethernet, &frame[..42], frame.len(), None);
    assert_eq!(told(&packet), "udp 10.0.0.1:5000 10.0.0.2:53 1028");
    let packet = dissect(LinkType::Ethernet, &frame[..34], frame.len(), None);
    assert_eq!(told(&packet), "udp 10.0.0.1 10.0.0.2 1028");
}

fn links() -> impl Strategy<Value = LinkType> {
    prop::sample::select(vec![
        LinkType::Ethernet,
        LinkType::Null,
        LinkType::Ppp,
        LinkType::PppDirection,
        LinkType::Raw,
        LinkType::Sll,
        LinkType::Sll2,
    ])
}

proptest! {
    /// No bytes make it fail, and none make more traffic than the wire carried.
    #[test]
    fn any_bytes(link in links(), bytes in prop::collection::vec(any::<u8>(), 0..200), more in 0_usize..2000) {
        let length = bytes.len() + more;
        let packet = dissect(link, &bytes, length, Some(OWN));
        prop_assert!(packet.bytes <= length as u64);
    }

    /// The same for packets that were whole before somebody changed a few bytes and cut them.
    #[test]
    fn edited_packets(
        which in 0_usize..5,
        edits in prop::collection::vec((0_usize..120, any::<u8>()), 0..4),
        cut in 0_usize..120,
    ) {
        let ip = [
            v4(17, 0, &udp(32)),
            v4(6, 8, &tcp(5)),
            v6(17, &udp(9)),
            v6(0, &[&[44, 0, 1, 4, 0, 0, 0, 0, 6, 0, 0, 1, 0, 0, 0, 9][..], &tcp(5)].concat()),
            v4(4, 0, &v4(1, 0, &[8; 8])),
        ];
        let kind = if which == 2 || which == 3 { 0x86dd } else { 0x0800 };
        let mut frame = framed(kind, &ip[which]);
        for (at, value) in edits {
            if let Some(byte) = frame.get_mut(at) {
                *byte = value;
            }
        }
        let length = frame.len();
        frame.truncate(cut);
        let packet = dissect(LinkType::Ethernet, &frame, length, Some(OWN));
        prop_assert!(packet.bytes <= length as u64);
    }
}
