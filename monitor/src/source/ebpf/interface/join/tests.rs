//! The join: nothing is published twice, nothing that a socket saw is published, and the lines always add up.

use super::*;
use crate::model::Counters;
use proptest::prelude::*;

const TAP: u32 = 7;
const NETNS: u64 = 9;

fn end(last: u8, port: u16) -> Endpoint {
    Endpoint { addr: [10, 0, 0, last].into(), port: Some(port) }
}

fn at(port: u16, sent: bool) -> Conversation {
    Conversation {
        tap: TAP,
        vlan: 0,
        sent,
        other_host: false,
        fragment: false,
        protocol: Protocol::UDP,
        local: end(1, port),
        remote: end(2, 9),
    }
}

fn packets(count: i64) -> Moved {
    Moved { bytes: 100 * count, packets: count, skb_bytes: 100 * count, skbs: count }
}

fn row(at: Conversation, count: i64) -> TapRow {
    TapRow { conversation: at, moved: packets(count), device: 114 * count }
}

fn socket(port: u16, sent: bool, count: i64) -> Delta {
    let flow = FlowId {
        socket: SocketId(1),
        protocol: Protocol::UDP,
        local: end(1, port),
        remote: end(2, 9),
        netns: NETNS,
        ifindex: TAP,
    };
    let counters = packets(count).counters(sent);
    Delta {
        flow,
        owner: None,
        standing: Standing::Firm,
        method: Method::Send,
        counters,
        uid: None,
        cgroup: 0,
        tcp: None,
    }
}

struct Bench {
    join: Join,
    addresses: Addresses,
    carriers: HashMap<u32, Vec<Carrier>>,
    rules: HashMap<u32, DeviceRule>,
    now: Mono,
    published: Counters,
    reasons: Vec<Unseen>,
}

impl Bench {
    fn new() -> Self {
        let carrier = Carrier { tap: TAP, vlan: 0, tag: 0, whole: true };
        let rule = DeviceRule { unit: Unit::Stack, rx_link: 14, tx_link: 14 };
        Self {
            join: Join::default(),
            addresses: Addresses::of(&[[10, 0, 0, 1].into()]),
            carriers: HashMap::from([(TAP, vec![carrier])]),
            rules: HashMap::from([(TAP, rule)]),
            now: Mono(0),
            published: Counters::default(),
            reasons: Vec::new(),
        }
    }

    /// What the interfaces of a network namespace are at this moment.
    fn scene(&self, netns: u64, closing: bool) -> Scene<'_> {
        Scene {
            now: self.now,
            netns,
            addresses: &self.addresses,
            carriers: &self.carriers,
            rules: &self.rules,
            scoped: false,
            full: false,
            closing,
        }
    }

    /// Learns that a socket's tuple is that one on the wire.
    fn learn(&mut self, own: Ends, wire: Ends) {
        let mut join = std::mem::take(&mut self.join);
        join.learn(own, wire, &self.scene(NETNS, false));
        self.join = join;
    }

    /// One drain, a second after the last.
    fn drain(&mut self, taps: &[TapRow], sockets: &[Delta], closing: bool) {
        self.now = self.now.plus(Duration::from_secs(1));
        let mut join = std::mem::take(&mut self.join);
        let scene = self.scene(NETNS, closing);
        for row in taps {
            join.carried(row, &scene);
        }
        for delta in sockets {
            assert!(join.seen(delta, &scene));
        }
        let mut out = Vec::new();
        join.settle(&scene, &mut out);
        self.join = join;
        for delta in out {
            self.published += delta.counters;
            let Standing::Unseen(why) = delta.standing else { panic!("{delta:?}") };
            self.reasons.push(why);
        }
    }

    fn side(&self, sent: bool) -> TapSide {
        let sides = self.join.lines(self.now, true).remove(&TAP).unwrap_or_default();
        if sent { sides.1 } else { sides.0 }
    }
}

#[test]
fn what_a_socket_saw_is_not_published() {
    let mut bench = Bench::new();
    bench.drain(
        &[row(at(5, false), 3), row(at(5, true), 4)],
        &[socket(5, false, 3), socket(5, true, 4)],
        false,
    );
    bench.drain(&[], &[], true);
    assert_eq!(bench.published, Counters::default());
    assert_eq!((bench.side(false), bench.side(true)), (TapSide::default(), TapSide::default()));
}

#[test]
fn a_packet_between_the_hooks_at_the_flip_is_not_published() {
    let mut bench = Bench::new();
    bench.drain(&[row(at(5, false), 3)], &[socket(5, false, 2), socket(6, true, 1)], false);
    bench.drain(&[row(at(6, true), 1)], &[socket(5, false, 1)], false);
    bench.drain(&[], &[], true);
    assert_eq!(bench.published, Counters::default());
}

#[test]
fn what_stands_over_is_published_once_with_its_reason() {
    let mut bench = Bench::new();
    let forwarded = Conversation { local: end(3, 1), ..at(0, false) };
    bench.drain(&[row(at(5, false), 2), row(forwarded, 1)], &[], false);
    assert_eq!(bench.reasons, [Unseen::Forwarded], "no socket can turn up for it");
    bench.drain(&[], &[], false);
    bench.drain(&[], &[], true);
    assert_eq!(bench.reasons, [Unseen::Forwarded, Unseen::Socketless]);
    assert_eq!((bench.published.rx_bytes, bench.published.rx_packets), (300, 3));
    let side = bench.side(false);
    assert_eq!((side.forwarded, side.socketless, side.sum()), (114, 228, 342));
}

#[test]
fn segments_made_on_the_way_are_framing_and_not_nobodys() {
    let mut bench = Bench::new();
    // Ten segments of one super-packet, and one packet that no socket saw.
    let segments = Moved { bytes: 1000, packets: 10, skb_bytes: 1000, skbs: 10 };
    let whole = Moved { skb_bytes: 640, skbs: 1, ..segments };
    let sent = Delta { counters: whole.counters(true), ..socket(5, true, 0) };
    let taps = TapRow { conversation: at(5, true), moved: segments, device: 1140 };
    bench.drain(&[taps, row(at(5, true), 1)], &[sent], false);
    bench.drain(&[], &[], false);
    let side = bench.side(true);
    assert_eq!((side.socketless, side.framing, side.in_flight), (114, 1140 - 654, 0));
    assert_eq!((bench.published.tx_bytes, bench.published.tx_skb_bytes), (100, 100));
}

#[test]
fn several_receivers_and_drops_are_lines() {
    let mut bench = Bench::new();
    let sockets = [socket(5, false, 2), socket(5, true, 3)];
    bench.drain(&[row(at(5, false), 1), row(at(5, true), 1)], &sockets, false);
    assert_eq!((bench.side(false).extra_copies, bench.side(true).dropped), (114, 228));
    assert_eq!(bench.published, Counters::default());
}

#[test]
fn a_wire_tuple_that_is_learned_late_takes_over() {
    let mut bench = Bench::new();
    let own = (Protocol::UDP, end(1, 5), end(2, 9));
    let wire = Conversation { local: end(1, 77), ..at(5, false) };
    bench.drain(&[row(wire, 3)], &[socket(5, false, 3)], false);
    bench.learn(own, (Protocol::UDP, end(1, 77), end(2, 9)));
    bench.drain(&[row(wire, 1)], &[socket(5, false, 1)], true);
    assert_eq!(bench.published, Counters::default());
    assert_eq!(bench.side(false), TapSide::default());
}

#[test]
fn esp_is_its_sockets_where_it_is_all_that_was_sent_and_else_the_outside_of_a_tunnel() {
    let mut bench = Bench::new();
    let bare = |last| Endpoint { port: None, ..end(last, 0) };
    let esp =
        |sent| Conversation { protocol: Protocol::Ip(50), local: bare(1), remote: bare(2), ..at(0, sent) };
    let own = (Protocol::UDP, end(1, 5), end(2, 9));
    bench.learn(own, (Protocol::Ip(50), bare(1), bare(2)));
    // Three by policy, and two of a tunnel, whose socket's row on this interface is not told. What comes back is ESP to
    // the device and a datagram to the socket.
    let taps = [row(esp(true), 5), row(esp(false), 1), row(at(5, false), 1)];
    bench.drain(&taps, &[socket(5, true, 3), socket(5, false, 1)], false);
    bench.drain(&[], &[], true);
    assert_eq!(bench.reasons, [Unseen::Encapsulation; 2]);
    assert_eq!((bench.published.tx_packets, bench.published.rx_packets), (2, 1));
    assert_eq!((bench.side(true).encapsulation, bench.side(true).sum()), (2 * 114, 2 * 114));
    assert_eq!((bench.side(false).encapsulation, bench.side(false).sum()), (114, 114));
}

#[test]
fn another_namespace_is_not_joined() {
    let bench = Bench::new();
    let mut join = Join::default();
    assert!(!join.seen(&socket(5, false, 1), &bench.scene(NETNS + 1, false)));
}

proptest! {
    /// Whatever comes in whatever order: sockets and published bytes are never more than the taps carried where
    /// sockets saw a part of it, and the lines and the sockets always add up to what the taps counted.
    #[test]
    fn the_books_balance(
        steps in prop::collection::vec((0_u16..3, any::<bool>(), 0_i64..4, 0_i64..4, any::<bool>()), 1..40)
    ) {
        let mut bench = Bench::new();
        let (mut tapped, mut seen) = ([0_i64; 2], [0_i64; 2]);
        let mut before = Counters::default();
        let count = steps.len();
        for (number, (port, sent, taps, sockets, quiet)) in steps.into_iter().enumerate() {
            let rows = if taps == 0 { vec![] } else { vec![row(at(port, sent), taps)] };
            let deltas = if sockets == 0 || quiet { vec![] } else { vec![socket(port, sent, sockets)] };
            tapped[usize::from(sent)] += 114 * taps;
            if !deltas.is_empty() {
                seen[usize::from(sent)] += 114 * sockets;
            }
            bench.drain(&rows, &deltas, number + 1 == count);
            for sent in [false, true] {
                prop_assert_eq!(
                    bench.side(sent).sum() + seen[usize::from(sent)],
                    tapped[usize::from(sent)]
                );
            }
            prop_assert!(bench.published.rx_bytes >= before.rx_bytes);
            before = bench.published;
            let most = u64::try_from((tapped[0] + tapped[1]) / 114 * 100).unwrap_or(0);
            prop_assert!(bench.published.bytes() <= most);
        }
    }
}
