//! Counting: one packet into one row, whoever's it is.
//!
//! Every packet adds to exactly one of: a flow row, an overflow row, the totals. Nothing here can fail a packet.

use crate::ends::{connected_tuple, encapsulates, tapped_tuple};
use crate::key::{self, Direction};
use crate::life;
use crate::maps::{
    ACTIVE, FLOWS_A, FLOWS_B, OVERFLOW_A, OVERFLOW_B, SCOPED, SKB_NETNS, STATS, TAP_STATS, TAPPED, TOTALS,
    UNSEEN, global,
};
use crate::owner;
use crate::slot::{Slot, zero};
use crate::tcp::{self, Segment};
use aya_ebpf::bindings::{__sk_buff, BPF_NOEXIST, bpf_sock};
use aya_ebpf::helpers::generated::{
    bpf_get_netns_cookie, bpf_get_socket_cookie, bpf_get_socket_uid, bpf_sk_cgroup_id, bpf_sk_fullsock,
};
use aya_ebpf::maps::PerCpuArray;
use core::intrinsics::{AtomicOrdering, atomic_xadd};
use core::mem::offset_of;
use core::ptr::addr_of_mut;
use monitor_common::{
    Counters, FlowKey, FlowValue, HalfStats, OWNER_AMBIGUOUS, OWNER_KERNEL, OverflowKey, OwnerWord,
    STANDING_AMBIGUOUS, STANDING_FIRM, STANDING_INHERITED, STANDING_KERNEL, STANDING_LISTENER, STANDING_RAW,
    STANDING_UNCLAIMED, wire_segments,
};

/// No room in a map.
pub const E2BIG: i32 = -7;
/// Another CPU made the row.
pub const EEXIST: i32 = -17;
const TCP_LISTEN: u32 = 10;
const SOCK_RAW: u32 = 3;
const TCP: u8 = 6;

/// Adds to a u64 of a map value; other CPUs may do so at the same time. The old value is never used: that would need
/// BPF_FETCH (5.12).
#[inline(always)]
pub fn add(counter: *mut u64, value: u64) {
    // SAFETY: the pointer is to an aligned u64 of a live map value (a row found or made in this program run).
    unsafe {
        atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(counter, value);
    }
}

/// What one packet adds.
pub struct Amount {
    len: u64,
    /// Beyond `len` and one packet; zero for all but super-packets.
    gso_bytes: u64,
    gso_packets: u64,
}

impl Amount {
    /// One buffer that goes over the wire as it is.
    #[inline(always)]
    pub const fn plain(len: u64) -> Self {
        Self { len, gso_bytes: 0, gso_packets: 0 }
    }
}

/// Counts one packet of the hook's socket. Bytes are L3, at the cgroup hook.
#[inline(always)]
pub fn count<const EGRESS: bool>(skb: *mut __sk_buff) {
    let direction = if EGRESS { Direction::Egress } else { Direction::Ingress };
    let half = active();
    let mut key = Slot::new();
    let key = zero::<FlowKey>(&mut key);
    // SAFETY: context fields of a live `__sk_buff`.
    let (len, gso_segs, gso_size, ifindex) =
        unsafe { ((*skb).len, (*skb).gso_segs, (*skb).gso_size, (*skb).ifindex) };
    key.ifindex = ifindex;
    // SAFETY: `skb` is the program's context.
    key.cookie = unsafe { bpf_get_socket_cookie(skb.cast()) };
    let socket = full_socket(skb);
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
                Err(_) => stat(&TAP_STATS, half, offset_of!(HalfStats, wires_lost)),
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
        stat(&STATS, half, offset_of!(HalfStats, unparsed));
        false
    };
    if !placed {
        overflow(half, key, seen.value(&mut value), direction, &packet.amount);
    }
}

/// The packet that is counted.
struct Packet {
    skb: *mut __sk_buff,
    /// Null or a full socket.
    socket: *mut bpf_sock,
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

/// Which half is written now.
#[inline(always)]
pub fn active() -> u32 {
    match ACTIVE.get_ptr(0) {
        // SAFETY: a live array element; volatile, because userspace flips it while programs run.
        Some(active) => unsafe { active.read_volatile() & 1 },
        None => 0,
    }
}

#[inline(always)]
fn full_socket(skb: *mut __sk_buff) -> *mut bpf_sock {
    // SAFETY: context field; the helper takes only a non-null socket.
    unsafe {
        let socket = (*skb).__bindgen_anon_2.sk;
        if socket.is_null() { core::ptr::null_mut() } else { bpf_sk_fullsock(socket) }
    }
}

/// Owner and standing.
#[inline(always)]
fn own(skb: *mut __sk_buff, socket: *mut bpf_sock, key: &mut FlowKey) -> Seen {
    let mut seen = Seen { netns: 0, socket_type: 0, method: 0, state: 0 };
    key.standing = STANDING_UNCLAIMED;
    if socket.is_null() {
        return seen;
    }
    // SAFETY: a full socket.
    let (state, kind) = unsafe { ((*socket).state, (*socket).type_) };
    seen.state = state as u8;
    seen.socket_type = kind as u8;
    // SAFETY: as above.
    let owner = unsafe { owner::storage(socket.cast(), global(&SCOPED) == 1) };
    if owner.is_null() {
        if kind == SOCK_RAW {
            key.standing = STANDING_RAW;
            if global(&SKB_NETNS) == 1 {
                // SAFETY: the context.
                seen.netns = unsafe { bpf_get_netns_cookie(skb.cast()) };
                key.tgid = seen.netns as u32;
                key.generation = (seen.netns >> 32) as u32;
            }
            return seen;
        }
    } else {
        // SAFETY: the storage of a live socket, checked for null. The cookie is read first and `owner::set` writes it
        // last; the word is one load, so it is one claim's.
        let (cookie, word) = unsafe {
            let cookie = (&raw const (*owner).cookie).read_volatile();
            seen.netns = (*owner).netns;
            (cookie, OwnerWord((&raw const (*owner).word).read_volatile()))
        };
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
        // Last write wins: the latest state and method are what a reader wants.
        // SAFETY: a live row.
        unsafe {
            if key.protocol == TCP {
                tcp::sample(addr_of_mut!((*row).tcp), (*row).state != seen.state, &segment);
            }
            (*row).state = seen.state;
            (*row).method = seen.method;
        }
        bump(row, direction, amount);
        return true;
    }
    let value = seen.value(slot);
    describe(skb, socket, value);
    if key.protocol == TCP {
        // SAFETY: the value on the stack.
        unsafe { tcp::sample(addr_of_mut!(value.tcp), true, &segment) };
    }
    new_row(half, key, value, direction, amount)
}

/// The row of a key in this half.
#[inline(always)]
pub fn row(half: u32, key: &FlowKey) -> Option<*mut FlowValue> {
    // Two lookups in the code, one at run time: with the map known at each, the kernel inlines it.
    if half == 0 { FLOWS_A.get_ptr_mut(key) } else { FLOWS_B.get_ptr_mut(key) }
}

/// Makes the row of a key that had none, with this amount. False where there is no room for it.
#[inline(always)]
pub fn new_row(
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
        Err(EEXIST) => match flows.get_ptr_mut(key) {
            Some(row) => {
                bump(row, direction, amount);
                true
            }
            None => false,
        },
        Err(E2BIG) => {
            stat(&STATS, half, offset_of!(HalfStats, full));
            false
        }
        Err(_) => {
            stat(&STATS, half, offset_of!(HalfStats, busy));
            false
        }
    }
}

/// Counts a new row, and wakes userspace whenever this CPU has made as many as it may make unseen.
#[inline(always)]
fn inserted(half: u32) {
    let Some(stats) = STATS.get_ptr_mut(half) else { return };
    // SAFETY: a live map value. Read again, because the old value of an addition is never used: where a packet between
    // the two makes a row, too, a wake-up is left out or one too many, and the next is not far.
    let inserts = unsafe {
        let inserts = addr_of_mut!((*stats).inserts);
        add(inserts, 1);
        inserts.read_volatile()
    };
    let unseen = global(&UNSEEN);
    if unseen != 0 && inserts % unseen == 0 {
        life::rouse();
    }
}

/// Adds one to the statistic of a half at this offset in `HalfStats`.
#[inline(always)]
pub fn stat(map: &PerCpuArray<HalfStats>, half: u32, offset: usize) {
    if let Some(stats) = map.get_ptr_mut(half) {
        // SAFETY: a live map value; the offset is that of one of its fields, all of which are u64.
        add(unsafe { stats.byte_add(offset).cast() }, 1);
    }
}

/// What a new row says of its socket; only once a row, because the helpers cost.
#[inline(always)]
fn describe(skb: *mut __sk_buff, socket: *mut bpf_sock, value: &mut FlowValue) {
    // SAFETY: context and a socket that is checked for null.
    unsafe {
        value.uid = bpf_get_socket_uid(skb);
        if !socket.is_null() {
            value.cgroup = bpf_sk_cgroup_id(socket.cast());
        }
        if value.netns == 0 && global(&SKB_NETNS) == 1 {
            value.netns = bpf_get_netns_cookie(skb.cast());
        }
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
pub fn bump(row: *mut FlowValue, direction: Direction, amount: &Amount) {
    // SAFETY: a row that the caller found.
    bump_counters(unsafe { addr_of_mut!((*row).counters) }, direction, amount);
}

#[inline(always)]
fn bump_counters(counters: *mut Counters, direction: Direction, amount: &Amount) {
    // SAFETY: a live map value.
    unsafe {
        if direction == Direction::Egress {
            add(addr_of_mut!((*counters).tx_skb_bytes), amount.len);
            add(addr_of_mut!((*counters).tx_skbs), 1);
            if amount.gso_packets != 0 || amount.gso_bytes != 0 {
                add(addr_of_mut!((*counters).tx_gso_bytes), amount.gso_bytes);
                add(addr_of_mut!((*counters).tx_gso_packets), amount.gso_packets);
            }
        } else {
            add(addr_of_mut!((*counters).rx_skb_bytes), amount.len);
            add(addr_of_mut!((*counters).rx_skbs), 1);
            if amount.gso_packets != 0 || amount.gso_bytes != 0 {
                add(addr_of_mut!((*counters).rx_gso_bytes), amount.gso_bytes);
                add(addr_of_mut!((*counters).rx_gso_packets), amount.gso_packets);
            }
        }
    }
}

/// The flow half is full: the owner still gets the bytes, and if that table is full, too, the totals do.
#[inline(always)]
pub fn overflow(half: u32, flow: &FlowKey, value: &mut FlowValue, direction: Direction, amount: &Amount) {
    let mut key = Slot::new();
    let key = zero::<OverflowKey>(&mut key);
    key.tgid = flow.tgid;
    key.generation = flow.generation;
    key.standing = flow.standing;
    key.outer = flow.outer;
    let table = if half == 0 { &OVERFLOW_A } else { &OVERFLOW_B };
    if let Some(row) = table.get_ptr_mut(&*key) {
        bump(row, direction, amount);
        return;
    }
    start(&mut value.counters, direction, amount);
    match table.insert(&*key, &*value, u64::from(BPF_NOEXIST)) {
        Ok(()) => return,
        Err(EEXIST) => {
            if let Some(row) = table.get_ptr_mut(&*key) {
                bump(row, direction, amount);
                return;
            }
        }
        Err(_) => {}
    }
    stat(&STATS, half, offset_of!(HalfStats, overflow_full));
    if let Some(totals) = TOTALS.get_ptr_mut(half) {
        bump_counters(totals, direction, amount);
    }
}
