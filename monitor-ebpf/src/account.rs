//! Counting: one packet into one row, whoever's it is.
//!
//! Every packet adds to exactly one of: a flow row, an overflow row, the totals. Nothing here can fail a packet.

use crate::ends::{connected_tuple, encapsulates, tapped_tuple};
use crate::key::{self, Direction};
use crate::maps::{
    ACTIVE, FLOWS_A, FLOWS_B, OVERFLOW_A, OVERFLOW_B, SCOPED, SKB_NETNS, STATS, TAP_STATS, TAPPED, TOTALS,
    UNSEEN, global,
};
use crate::mem::{self, E2BIG, EEXIST, Field, Live, Slot, element, field, zero};
use crate::proc_events;
use crate::sk::{FullSock, SOCK_RAW};
use crate::skb::Skb;
use crate::tcp::{self, Segment};
use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::maps::PerCpuArray;
use monitor_common::{
    Counters, FlowKey, FlowValue, HalfStats, OWNER_AMBIGUOUS, OWNER_KERNEL, OverflowKey, Owner, OwnerWord,
    STANDING_AMBIGUOUS, STANDING_FIRM, STANDING_INHERITED, STANDING_KERNEL, STANDING_LISTENER, STANDING_RAW,
    STANDING_UNCLAIMED, wire_segments,
};

const TCP_LISTEN: u32 = 10;
const TCP: u8 = 6;

/// What one packet adds.
pub(crate) struct Amount {
    len: u64,
    /// Beyond `len` and one packet; zero for all but super-packets.
    gso_bytes: u64,
    gso_packets: u64,
}

impl Amount {
    /// One buffer that goes over the wire as it is.
    #[inline(always)]
    pub(crate) const fn plain(len: u64) -> Self {
        Self { len, gso_bytes: 0, gso_packets: 0 }
    }
}

/// Counts one packet of the hook's socket. Bytes are L3, at the cgroup hook.
#[inline(always)]
pub(crate) fn count<const EGRESS: bool>(skb: Skb) {
    let direction = if EGRESS { Direction::Egress } else { Direction::Ingress };
    let half = active();
    let mut key = Slot::new();
    let key = zero::<FlowKey>(&mut key);
    let (len, gso_segs, gso_size) = (skb.len(), skb.gso_segs(), skb.gso_size());
    key.ifindex = skb.ifindex();
    key.cookie = skb.cookie();
    let socket = skb.socket();
    let mut amount = Amount::plain(u64::from(len));
    // A connected socket knows its ends, and one plain packet needs no header lengths: nothing of it is read.
    // While interfaces are tapped a sent one is read all the same: what is on the wire can be another tuple.
    let tapped = EGRESS && global(&TAPPED) == 1;
    let plain = gso_segs <= 1 && gso_size == 0 && !tapped;
    let parsed = if plain && connected_tuple::<EGRESS>(skb, socket, key) {
        true
    } else if let Some(headers) = key::parse(skb, 0, direction, key) {
        let wire = wire_segments(len, headers.len, headers.jumbo, gso_segs, gso_size);
        amount.gso_bytes = wire.bytes.wrapping_sub(amount.len);
        amount.gso_packets = wire.packets - 1;
        if EGRESS && encapsulates(socket, key) {
            key.outer = 1;
        }
        if tapped {
            match tapped_tuple(skb, socket, key) {
                Ok(()) | Err(EEXIST) => {}
                // Full or busy: the flow is then not joined, and userspace says so.
                Err(_) => stat(&TAP_STATS, half, field!(HalfStats, wires_lost)),
            }
        } else {
            connected_tuple::<false>(skb, socket, key);
        }
        true
    } else {
        false
    };
    let seen = own(skb, socket, key);
    let packet = Packet { skb, socket, direction, amount };
    let mut value = Slot::new();
    let placed = if parsed {
        into_row(half, &packet, key, &seen, &mut value)
    } else {
        stat(&STATS, half, field!(HalfStats, unparsed));
        false
    };
    if !placed {
        overflow(half, key, seen.value(&mut value), direction, &packet.amount);
    }
}

/// The packet that is counted.
struct Packet {
    skb: Skb,
    socket: Option<FullSock>,
    direction: Direction,
    amount: Amount,
}

/// What every packet says of its socket; a row's value is made of it only where there is no row yet.
struct Seen {
    netns: u64,
    socket_type: u8,
    method: u8,
    state: u8,
}

impl Seen {
    #[inline(always)]
    fn value<'v>(&self, slot: &'v mut Slot<FlowValue>) -> &'v mut FlowValue {
        let value = zero::<FlowValue>(slot);
        value.netns = self.netns;
        value.socket_type = self.socket_type;
        value.method = self.method;
        value.state = self.state;
        value
    }
}

/// Which half is written now. Read at every packet, because userspace flips it while programs run.
#[inline(always)]
pub(crate) fn active() -> u32 {
    match mem::shared(&ACTIVE, 0) {
        Some(active) => active.read() & 1,
        None => 0,
    }
}

/// Owner and standing.
#[inline(always)]
fn own(skb: Skb, socket: Option<FullSock>, key: &mut FlowKey) -> Seen {
    let mut seen = Seen { netns: 0, socket_type: 0, method: 0, state: 0 };
    key.standing = STANDING_UNCLAIMED;
    let Some(socket) = socket else { return seen };
    let (state, kind) = (socket.state(), socket.kind());
    seen.state = state as u8;
    seen.socket_type = kind as u8;
    if let Some(owner) = socket.sock().owner(global(&SCOPED) == 1) {
        // The cookie is read first and `owner::set` writes it last; the word is one load, so it is one claim's.
        let cookie = owner.part(field!(Owner, cookie)).read();
        seen.netns = owner.part(field!(Owner, netns)).read();
        let word = OwnerWord(owner.part(field!(Owner, word)).read());
        seen.method = word.method();
        key.tgid = word.tgid();
        if key.tgid != 0 {
            key.generation = word.generation();
            let own = cookie == key.cookie && word.may_be_of(cookie);
            key.standing = if own { STANDING_FIRM } else { STANDING_INHERITED };
        } else if word.flags() & OWNER_AMBIGUOUS != 0 {
            key.standing = STANDING_AMBIGUOUS;
        } else if word.flags() & OWNER_KERNEL != 0 {
            key.standing = STANDING_KERNEL;
        }
    } else if kind == SOCK_RAW {
        key.standing = STANDING_RAW;
        if global(&SKB_NETNS) == 1 {
            seen.netns = skb.netns_cookie();
            key.tgid = seen.netns as u32;
            key.generation = (seen.netns >> 32) as u32;
        }
        return seen;
    }
    let settled = key.standing == STANDING_FIRM || key.standing == STANDING_UNCLAIMED;
    if settled && state == TCP_LISTEN && key.protocol == TCP {
        key.standing = STANDING_LISTENER;
    }
    seen
}

/// Adds to the row of `key`, making it if need be. False where there is no room for it.
#[inline(always)]
fn into_row(half: u32, packet: &Packet, key: &FlowKey, seen: &Seen, slot: &mut Slot<FlowValue>) -> bool {
    let &Packet { skb, socket, direction, ref amount } = packet;
    let segment = Segment { skb, socket, direction, ip_version: key.ip_version, state: seen.state };
    if let Some(row) = row(half, key) {
        let state = row.part(field!(FlowValue, state));
        if key.protocol == TCP {
            tcp::sample(row.part(field!(FlowValue, tcp)), state.read() != seen.state, &segment);
        }
        // Last write wins: the latest state and method are what a reader wants.
        state.write(seen.state);
        row.part(field!(FlowValue, method)).write(seen.method);
        bump(row, direction, amount);
        return true;
    }
    let value = seen.value(slot);
    describe(skb, socket, value);
    if key.protocol == TCP {
        tcp::sample(Live::of(&mut value.tcp), true, &segment);
    }
    new_row(half, key, value, direction, amount)
}

/// The row of a key in this half.
#[inline(always)]
pub(crate) fn row(half: u32, key: &FlowKey) -> Option<Live<'static, FlowValue>> {
    // Two lookups in the code, one at run time: with the map known at each, the kernel inlines it.
    if half == 0 { mem::row(&FLOWS_A, key) } else { mem::row(&FLOWS_B, key) }
}

/// Makes the row of a key that had none, with this amount. False where there is no room for it.
#[inline(always)]
pub(crate) fn new_row(
    half: u32,
    key: &FlowKey,
    value: &mut FlowValue,
    direction: Direction,
    amount: &Amount,
) -> bool {
    start(&mut value.counters, direction, amount);
    let flows = if half == 0 { &FLOWS_A } else { &FLOWS_B };
    match flows.insert(key, &*value, u64::from(BPF_NOEXIST)) {
        Ok(()) => {
            inserted(half);
            true
        }
        // Another CPU was faster.
        Err(EEXIST) => match mem::row(flows, key) {
            Some(row) => {
                bump(row, direction, amount);
                true
            }
            None => false,
        },
        Err(E2BIG) => {
            stat(&STATS, half, field!(HalfStats, full));
            false
        }
        Err(_) => {
            stat(&STATS, half, field!(HalfStats, busy));
            false
        }
    }
}

/// Counts a new row, and wakes userspace whenever this CPU has made as many as it may make unseen.
#[inline(always)]
fn inserted(half: u32) {
    let Some(stats) = element(&STATS, half) else { return };
    // Read again, because the old value of an addition is never used: where a packet between the two makes a row, too, a
    // wake-up is left out or one too many, and the next is not far.
    let inserts = stats.part(field!(HalfStats, inserts));
    inserts.add(1);
    let inserts = inserts.read();
    let unseen = global(&UNSEEN);
    if unseen != 0 && inserts % unseen == 0 {
        proc_events::notify();
    }
}

/// Adds one to a statistic of a half.
#[inline(always)]
pub(crate) fn stat(map: &PerCpuArray<HalfStats>, half: u32, which: Field<HalfStats, u64>) {
    if let Some(stats) = element(map, half) {
        stats.part(which).add(1);
    }
}

/// What a new row says of its socket; only once a row, because the helpers cost.
#[inline(always)]
fn describe(skb: Skb, socket: Option<FullSock>, value: &mut FlowValue) {
    value.uid = skb.uid();
    if let Some(socket) = socket {
        value.cgroup = socket.cgroup();
    }
    if value.netns == 0 && global(&SKB_NETNS) == 1 {
        value.netns = skb.netns_cookie();
    }
}

#[inline(always)]
fn start(counters: &mut Counters, direction: Direction, amount: &Amount) {
    if direction == Direction::Egress {
        counters.tx_skb_bytes = amount.len;
        counters.tx_skbs = 1;
        counters.tx_gso_bytes = amount.gso_bytes;
        counters.tx_gso_packets = amount.gso_packets;
    } else {
        counters.rx_skb_bytes = amount.len;
        counters.rx_skbs = 1;
        counters.rx_gso_bytes = amount.gso_bytes;
        counters.rx_gso_packets = amount.gso_packets;
    }
}

/// Adds to a row.
#[inline(always)]
pub(crate) fn bump(row: Live<'_, FlowValue>, direction: Direction, amount: &Amount) {
    bump_counters(row.part(field!(FlowValue, counters)), direction, amount);
}

#[inline(always)]
fn bump_counters(counters: Live<'_, Counters>, direction: Direction, amount: &Amount) {
    let is_super = amount.gso_packets != 0 || amount.gso_bytes != 0;
    if direction == Direction::Egress {
        counters.part(field!(Counters, tx_skb_bytes)).add(amount.len);
        counters.part(field!(Counters, tx_skbs)).add(1);
        if is_super {
            counters.part(field!(Counters, tx_gso_bytes)).add(amount.gso_bytes);
            counters.part(field!(Counters, tx_gso_packets)).add(amount.gso_packets);
        }
    } else {
        counters.part(field!(Counters, rx_skb_bytes)).add(amount.len);
        counters.part(field!(Counters, rx_skbs)).add(1);
        if is_super {
            counters.part(field!(Counters, rx_gso_bytes)).add(amount.gso_bytes);
            counters.part(field!(Counters, rx_gso_packets)).add(amount.gso_packets);
        }
    }
}

/// The flow half is full: the owner still gets the bytes, and if that table is full, too, the totals do.
#[inline(always)]
pub(crate) fn overflow(
    half: u32,
    flow: &FlowKey,
    value: &mut FlowValue,
    direction: Direction,
    amount: &Amount,
) {
    let mut key = Slot::new();
    let key = zero::<OverflowKey>(&mut key);
    key.tgid = flow.tgid;
    key.generation = flow.generation;
    key.standing = flow.standing;
    key.outer = flow.outer;
    let table = if half == 0 { &OVERFLOW_A } else { &OVERFLOW_B };
    if let Some(row) = mem::row(table, key) {
        bump(row, direction, amount);
        return;
    }
    start(&mut value.counters, direction, amount);
    match table.insert(&*key, &*value, u64::from(BPF_NOEXIST)) {
        Ok(()) => return,
        Err(EEXIST) => {
            if let Some(row) = mem::row(table, key) {
                bump(row, direction, amount);
                return;
            }
        }
        Err(_) => {}
    }
    stat(&STATS, half, field!(HalfStats, overflow_full));
    if let Some(totals) = element(&TOTALS, half) {
        bump_counters(totals, direction, amount);
    }
}
