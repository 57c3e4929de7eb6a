//! What interfaces carried less what sockets saw, conversation by conversation.
//!
//! Both are drained in the same flip, but a packet passes the two hooks at two moments, so each conversation keeps a
//! running balance. What a device carried beyond the sockets is published once it has stood over for a while, and
//! never taken back; everything that does not balance stands in the ledger, so that its lines always add up to what
//! the taps counted. Pure: time is an argument.

mod moved;

pub(super) use moved::Moved;

use super::links::Carrier;
use super::netlink::Addresses;
use crate::model::{
    Delta, DeviceRule, Endpoint, FlowId, Method, Mono, Protocol, SocketId, Standing, TapSide, Unit, Unseen,
};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// How long a packet may take from one hook to the other. On receive that is microseconds.
const SETTLE: Duration = Duration::from_millis(80);
/// How long a packet that a socket sent may wait in a queue before it is called dropped.
const QUEUED: Duration = Duration::from_secs(2);
/// How long a balance without traffic is kept.
const IDLE: Duration = Duration::from_mins(1);
/// Balances kept; beyond it the oldest are closed as they stand.
const MAX_BALANCES: usize = 262_144;
/// Wire tuples kept.
const MAX_WIRES: usize = 65_536;

/// One direction of a conversation on one tapped interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Conversation {
    pub(super) tap: u32,
    pub(super) vlan: u16,
    pub(super) sent: bool,
    /// Addressed to another host on the link.
    pub(super) other_host: bool,
    pub(super) fragment: bool,
    pub(super) protocol: Protocol,
    /// The destination of what is received, the source of what is sent.
    pub(super) local: Endpoint,
    pub(super) remote: Endpoint,
}

/// A row of the interface table; `device` in the device's unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TapRow {
    pub(super) conversation: Conversation,
    pub(super) moved: Moved,
    pub(super) device: i64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Balance {
    tap: Moved,
    tap_device: i64,
    socket: Moved,
    socket_device: i64,
    out: Moved,
    out_device: i64,
    /// Link-layer bytes that the device adds to each packet.
    link: i64,
    /// What stood over at that moment.
    waiting: Option<(Mono, Moved, i64)>,
    last: Mono,
}

impl Balance {
    fn left(&self) -> (Moved, i64) {
        (self.tap - self.socket - self.out, self.tap_device - self.socket_device - self.out_device)
    }

    /// What is left of the wire, and what the device counts for that. Where a part was seen at sockets, the buffers of
    /// the one are not those of the other (segments are made in between), so only the wire can be compared.
    fn over(&self) -> (Moved, i64) {
        let (left, device) = self.left();
        if self.socket == Moved::default() || self.tap == Moved::default() {
            return (left, device);
        }
        let Moved { bytes, packets, .. } = left;
        (Moved { bytes, packets, skb_bytes: bytes, skbs: packets }, bytes + self.link * packets)
    }
}

/// Where the join stands while it takes in one drain.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub(super) now: Mono,
    pub(super) netns: u64,
    pub(super) addresses: &'a Addresses,
    /// Ways to taps, by the interface that a socket sees.
    pub(super) carriers: &'a HashMap<u32, Vec<Carrier>>,
    /// How each tapped interface counts.
    pub(super) rules: &'a HashMap<u32, DeviceRule>,
    /// Only a part of the sockets is looked at.
    pub(super) scoped: bool,
    /// Socket rows were lost because the flow table was full.
    pub(super) full: bool,
    /// Nothing more will come: what stands over is published.
    pub(super) closing: bool,
}

/// The socket's own ends, and those on the wire.
type Ends = (Protocol, Endpoint, Endpoint);

/// The running balances of all conversations on tapped interfaces.
#[derive(Debug, Default)]
pub(super) struct Join {
    balances: HashMap<Conversation, Balance>,
    /// Ends on the wire by the socket's own, and the latest use.
    wires: HashMap<Ends, (Ends, Mono)>,
    /// Lines of what was published, and of balances that were closed, by tap and direction (true: sent).
    lines: BTreeMap<(u32, bool), TapSide>,
    fragments: bool,
    next_sweep: Mono,
    /// Rows are attributed to a full table until then: they are published later than they were lost.
    full_until: Mono,
}

impl Join {
    /// Learns that packets of a connected socket have other ends on the wire; what was counted under its own moves. Ends of
    /// another protocol (IPsec) are those of what it sends, and not of what comes back.
    pub(super) fn learn(&mut self, socket: Ends, wire: Ends, scene: &Scene<'_>) {
        if self.wires.len() >= MAX_WIRES {
            self.wires.clear();
        }
        if self.wires.insert(socket, (wire, scene.now)).is_some_and(|old| old.0 == wire) {
            return;
        }
        let (protocol, local, remote) = wire;
        for carrier in scene.carriers.values().flatten() {
            for sent in [false, true].into_iter().filter(|sent| *sent || protocol == socket.0) {
                let own = conversation(carrier, sent, socket);
                let Some(balance) = self.balances.get_mut(&own) else { continue };
                let moved = std::mem::take(&mut balance.socket);
                let device = std::mem::take(&mut balance.socket_device);
                let target = Conversation { protocol, local, remote, ..own };
                let target = self.balances.entry(target).or_default();
                target.socket += moved;
                target.socket_device += device;
                target.last = scene.now;
            }
        }
    }

    /// What the taps counted.
    pub(super) fn carried(&mut self, row: &TapRow, scene: &Scene<'_>) {
        let mut at = row.conversation;
        // A macvlan has a link-layer address of its own, and its sockets are here.
        at.other_host &= !scene.addresses.mine(at.local.addr);
        self.fragments |= at.fragment;
        let balance = self.balances.entry(at).or_default();
        balance.tap += row.moved;
        balance.tap_device += row.device;
        balance.link = link(scene, &at);
        balance.last = scene.now;
    }

    /// What the taps counted without a row, because their table was full.
    pub(super) fn overflowed(&mut self, tap: u32, sent: bool, device: i64) {
        self.lines.entry((tap, sent)).or_default().overflow += device;
    }

    /// What sockets saw. True where the row belongs to a tapped interface.
    pub(super) fn seen(&mut self, delta: &Delta, scene: &Scene<'_>) -> bool {
        let FlowId { protocol, local, remote, netns, ifindex, .. } = delta.flow;
        // A row whose namespace is not known may be of this one: then its bytes are not called unseen.
        if netns != scene.netns && netns != 0 && scene.netns != 0 {
            return false;
        }
        let Some(carriers) = scene.carriers.get(&ifindex) else { return false };
        let own = (protocol, local, remote);
        let mut wire = own;
        if let Some((ends, used)) = self.wires.get_mut(&own) {
            *used = scene.now;
            wire = *ends;
        }
        for carrier in carriers {
            for sent in [false, true] {
                let moved = Moved::of(&delta.counters, sent);
                if moved != Moved::default() {
                    let ends = if sent || wire.0 == protocol { wire } else { own };
                    self.add(carrier, conversation(carrier, sent, ends), moved, scene);
                }
            }
        }
        true
    }

    fn add(&mut self, carrier: &Carrier, at: Conversation, moved: Moved, scene: &Scene<'_>) {
        let device =
            scene.rules.get(&carrier.tap).map_or(0, |rule| device_bytes(rule, moved, at.sent, carrier.tag));
        let balance = if carrier.whole {
            self.balances.entry(at).or_default()
        } else {
            // Another port of the bridge may have carried it.
            let Some(balance) = self.balances.get_mut(&at).filter(|balance| balance.tap.packets > 0) else {
                return;
            };
            self.lines.entry((carrier.tap, at.sent)).or_default().stacked += device;
            balance
        };
        balance.socket += moved;
        balance.socket_device += device;
        balance.last = scene.now;
    }

    /// Publishes what has stood over long enough.
    pub(super) fn settle(&mut self, scene: &Scene<'_>, out: &mut Vec<Delta>) {
        if scene.full {
            self.full_until = scene.now.plus(QUEUED);
        }
        if self.fragments {
            self.reassemble();
        }
        let full = scene.now < self.full_until;
        for (at, balance) in &mut self.balances {
            let (left, left_device) = balance.over();
            if left.bytes <= 0 && left.packets <= 0 {
                balance.waiting = None;
                continue;
            }
            if at.fragment && balance.socket.packets > 0 && left.bytes <= header_room(at, balance, left) {
                continue;
            }
            let why = reason(at, balance, scene, full);
            let (publish, device) = if scene.closing || (balance.socket.packets == 0 && at_once(why)) {
                (left, left_device)
            } else {
                match balance.waiting {
                    Some((since, moved, device)) if scene.now.since(since) >= SETTLE => {
                        let less = left.bytes < moved.bytes;
                        if less { (left, left_device) } else { (moved, device) }
                    }
                    Some(_) => continue,
                    None => {
                        balance.waiting = Some((scene.now, left, left_device));
                        continue;
                    }
                }
            };
            balance.out += publish;
            balance.out_device += device;
            let (rest, rest_device) = balance.over();
            balance.waiting = (rest.bytes > 0).then_some((scene.now, rest, rest_device));
            *line(self.lines.entry((at.tap, at.sent)).or_default(), why) += device;
            if !shown_elsewhere(at, scene) {
                out.push(delta(at, why, publish, scene.netns));
            }
        }
        self.sweep(scene.now);
    }

    /// Fragments add up to datagrams that sockets saw under their ports: what those lack moves over.
    fn reassemble(&mut self) {
        let whole = |at: &Conversation| {
            let bare = |end: Endpoint| Endpoint { port: None, ..end };
            Conversation { fragment: true, local: bare(at.local), remote: bare(at.remote), ..*at }
        };
        let mut missing: Vec<(Conversation, Moved, i64)> = Vec::new();
        for (at, balance) in self.balances.iter().filter(|(at, _)| !at.fragment) {
            let (left, device) = balance.over();
            if left.bytes < 0 && self.balances.contains_key(&whole(at)) {
                missing.push((*at, left, device));
            }
        }
        missing.sort_by_key(|(at, ..)| *at);
        for (at, left, device) in missing {
            let Some(pieces) = self.balances.get_mut(&whole(&at)) else { continue };
            if pieces.left().0.bytes + left.bytes < 0 {
                continue;
            }
            pieces.socket = pieces.socket - left;
            pieces.socket_device -= device;
            if let Some(balance) = self.balances.get_mut(&at) {
                balance.socket += left;
                balance.socket_device += device;
            }
        }
    }

    /// Closes balances that are idle, and the oldest where there are too many.
    fn sweep(&mut self, now: Mono) {
        let crowded = self.balances.len() > MAX_BALANCES;
        if now < self.next_sweep && !crowded {
            return;
        }
        self.next_sweep = now.plus(IDLE / 4);
        let idle = if crowded { SETTLE * 2 } else { IDLE };
        let lines = &mut self.lines;
        self.balances.retain(|at, balance| {
            let keep = now.since(balance.last) < idle || balance.waiting.is_some();
            if !keep {
                gauge(lines.entry((at.tap, at.sent)).or_default(), at, balance, now, true);
            }
            keep
        });
        self.wires.retain(|_, (.., used)| now.since(*used) < IDLE * 10);
    }

    /// Whether a tap has balances that are not closed.
    pub(super) fn has(&self, tap: u32) -> bool {
        self.balances.keys().any(|at| at.tap == tap)
    }

    /// Forgets the lines of a tap.
    pub(super) fn forget(&mut self, tap: u32) {
        self.lines.retain(|(of, _), _| *of != tap);
    }

    /// The lines of every tap as of now: (received, sent) by interface.
    pub(super) fn lines(&self, now: Mono, closing: bool) -> HashMap<u32, (TapSide, TapSide)> {
        let mut all = self.lines.clone();
        for (at, balance) in &self.balances {
            gauge(all.entry((at.tap, at.sent)).or_default(), at, balance, now, closing);
        }
        let mut sides: HashMap<u32, (TapSide, TapSide)> = HashMap::new();
        for ((tap, sent), side) in all {
            let entry = sides.entry(tap).or_default();
            *(if sent { &mut entry.1 } else { &mut entry.0 }) = side;
        }
        sides
    }
}

fn conversation(carrier: &Carrier, sent: bool, (protocol, local, remote): Ends) -> Conversation {
    let Carrier { tap, vlan, .. } = *carrier;
    Conversation { tap, vlan, sent, other_host: false, fragment: false, protocol, local, remote }
}

/// What the tapped device adds to a packet of a conversation on the wire.
fn link(scene: &Scene<'_>, at: &Conversation) -> i64 {
    let Some(rule) = scene.rules.get(&at.tap) else { return 0 };
    let tag = if at.vlan != 0 && rule.unit == Unit::Wire { 4 } else { 0 };
    i64::from(if at.sent { rule.tx_link } else { rule.rx_link } + tag)
}

/// What the device counts for these, by its rule.
fn device_bytes(rule: &DeviceRule, moved: Moved, sent: bool, tag: u32) -> i64 {
    let link = i64::from(if sent { rule.tx_link } else { rule.rx_link } + tag);
    match rule.unit {
        Unit::Stack => moved.skb_bytes + link * moved.skbs,
        Unit::Wire => moved.bytes + link * moved.packets,
    }
}

/// What the headers of fragments come to, beyond the datagrams that they are (RFC 791, RFC 8200 4.5).
fn header_room(at: &Conversation, balance: &Balance, left: Moved) -> i64 {
    if at.local.addr.is_ipv4() { 20 * left.packets } else { 48 * left.packets + 8 * balance.socket.packets }
}

/// Whether no socket can turn up for it.
fn at_once(why: Unseen) -> bool {
    matches!(why, Unseen::Forwarded | Unseen::Link | Unseen::OtherHost)
}

fn reason(at: &Conversation, balance: &Balance, scene: &Scene<'_>, full: bool) -> Unseen {
    if matches!(at.protocol, Protocol::Link(_)) {
        return Unseen::Link;
    }
    if at.other_host {
        return Unseen::OtherHost;
    }
    let (here, there) = (at.local.addr, at.remote.addr);
    let addresses = scene.addresses;
    let to_many = !at.sent && addresses.group(here);
    if !addresses.mine(here) && !addresses.mine(there) && !to_many {
        Unseen::Forwarded
    } else if at.protocol.is_tunnel() {
        Unseen::Encapsulation
    } else if at.fragment {
        Unseen::Fragments
    } else if full {
        Unseen::TableFull
    } else if at.protocol == Protocol::TCP && balance.socket.packets > 0 {
        Unseen::Leftover
    } else if scene.scoped {
        Unseen::OutOfScope
    } else {
        Unseen::Socketless
    }
}

fn line(side: &mut TapSide, why: Unseen) -> &mut i64 {
    match why {
        Unseen::Forwarded => &mut side.forwarded,
        Unseen::Socketless | Unseen::OutOfScope | Unseen::Leftover | Unseen::Fragments => {
            &mut side.socketless
        }
        Unseen::Encapsulation => &mut side.encapsulation,
        Unseen::Link | Unseen::Malformed => &mut side.link,
        Unseen::OtherHost => &mut side.other_hosts,
        Unseen::TableFull => &mut side.overflow,
    }
}

/// Adds what a balance leaves to the line that it belongs to now.
fn gauge(side: &mut TapSide, at: &Conversation, balance: &Balance, now: Mono, closing: bool) {
    let (left, device) = balance.over();
    let fresh = !closing && now.since(balance.last) < QUEUED;
    let all = balance.left().1;
    if left.bytes == 0 {
        side.framing += all;
        return;
    }
    side.framing += all - device;
    if left.bytes > 0 {
        let headers = at.fragment && balance.socket.packets > 0;
        *(if headers { &mut side.fragment_headers } else { &mut side.in_flight }) += device;
    } else if fresh {
        side.in_flight += device;
    } else if at.sent && !at.remote.addr.is_multicast() {
        side.dropped -= device;
    } else {
        side.extra_copies -= device;
    }
}

/// A tagged packet whose VLAN has an interface that is tapped, too, is shown there.
fn shown_elsewhere(at: &Conversation, scene: &Scene<'_>) -> bool {
    at.vlan != 0
        && scene.carriers.iter().any(|(upper, ways)| {
            *upper != at.tap
                && scene.rules.contains_key(upper)
                && ways.iter().any(|way| way.tap == at.tap && way.vlan == at.vlan)
        })
}

fn delta(at: &Conversation, why: Unseen, moved: Moved, netns: u64) -> Delta {
    Delta {
        flow: FlowId {
            socket: SocketId(0),
            protocol: at.protocol,
            local: at.local,
            remote: at.remote,
            netns,
            ifindex: at.tap,
        },
        owner: None,
        standing: Standing::Unseen(why),
        method: Method::None,
        counters: moved.counters(at.sent),
        uid: None,
        cgroup: 0,
        tcp: None,
    }
}

#[cfg(test)]
mod tests;
