//! Counting: one packet into one row, whoever's it is.
//!
//! Every packet adds to exactly one of: a flow row, an overflow row, the totals. Nothing here can fail a packet.

use crate::key::{self, Direction};
use crate::maps::{
    ACTIVE, FLOWS_A, FLOWS_B, OVERFLOW_A, OVERFLOW_B, SCOPED, SKB_NETNS, STATS, TAPPED, TOTALS, WIRE, global,
};
use crate::owner;
use aya_ebpf::bindings::{__sk_buff, BPF_NOEXIST, bpf_sock};
use aya_ebpf::helpers::generated::{
    bpf_get_netns_cookie, bpf_get_socket_cookie, bpf_get_socket_uid, bpf_sk_cgroup_id, bpf_sk_fullsock,
};
use core::intrinsics::{AtomicOrdering, atomic_xadd};
use core::mem::MaybeUninit;
use core::ptr::{self, addr_of_mut};
use monitor_common::{
    Counters, FlowKey, FlowValue, HalfStats, OWNER_AMBIGUOUS, OWNER_KERNEL, OverflowKey, STANDING_AMBIGUOUS,
    STANDING_FIRM, STANDING_INHERITED, STANDING_KERNEL, STANDING_LISTENER, STANDING_UNCLAIMED, Segments, Tuple,
    WireKey, wire_segments,
};

/// No room in a map.
pub const E2BIG: i32 = -7;
/// Another CPU made the row.
pub const EEXIST: i32 = -17;
const TCP_LISTEN: u32 = 10;
const SOCK_STREAM: u32 = 1;
const SOCK_DGRAM: u32 = 2;
const TCP: u8 = 6;
const UDP: u8 = 17;
const UDP_LITE: u8 = 136;

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
struct Amount {
    wire: Segments,
    skb_len: u64,
}

/// Room for a key or a value, aligned for whole words: the verifier refuses a misaligned store to the stack.
#[repr(align(8))]
pub struct Slot<T>(pub MaybeUninit<T>);

impl<T> Slot<T> {
    /// Not yet written.
    #[inline(always)]
    pub const fn new() -> Self {
        Self(MaybeUninit::uninit())
    }
}

/// Zeroes a key or a value word by word. `T::default()` would become a call of memset, a loop over bytes on this
/// target.
#[inline(always)]
pub fn zero<T>(slot: &mut Slot<T>) -> &mut T {
    const { assert!(size_of::<T>() % 8 == 0) };
    let Slot(value) = slot;
    // SAFETY: all of it is written, and every `T` used here is made of integers, for which zero is a value.
    unsafe {
        let words = value.as_mut_ptr().cast::<u64>();
        let mut index = 0;
        while index < size_of::<T>() / 8 {
            words.add(index).write_volatile(0);
            index += 1;
        }
        value.assume_init_mut()
    }
}

/// Counts one packet of the hook's socket. Bytes are L3, at the cgroup hook.
#[inline(always)]
pub fn count(skb: *mut __sk_buff, direction: Direction) {
    let half = active();
    let (mut key, mut value) = (Slot::new(), Slot::new());
    let (key, value) = (zero::<FlowKey>(&mut key), zero::<FlowValue>(&mut value));
    // SAFETY: context fields of a live `__sk_buff`.
    let (len, gso_segs, gso_size, ifindex) =
        unsafe { ((*skb).len, (*skb).gso_segs, (*skb).gso_size, (*skb).ifindex) };
    key.ifindex = ifindex;
    let parsed = key::parse(skb, 0, direction, key);
    let wire = match &parsed {
        Some(headers) => wire_segments(len, headers.len, headers.jumbo, gso_segs, gso_size),
        None => Segments { packets: 1, bytes: u64::from(len) },
    };
    let amount = Amount { wire, skb_len: u64::from(len) };
    // SAFETY: `skb` is the program's context.
    key.cookie = unsafe { bpf_get_socket_cookie(skb.cast()) };
    let socket = full_socket(skb);
    if socket.is_null() {
        key.standing = STANDING_UNCLAIMED;
    } else {
        own(socket, direction, key, value);
    }
    let placed = match parsed {
        Some(_) => into_row(half, skb, socket, key, value, direction, &amount),
        None => {
            stat(half, |stats| /* SAFETY: a live map value. */ unsafe { addr_of_mut!((*stats).unparsed) });
            false
        }
    };
    if !placed {
        overflow(half, key, value, direction, &amount);
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

/// Owner, standing and, for a connected TCP or UDP socket, the socket's own tuple (under NAT the packet's differs).
#[inline(always)]
fn own(socket: *mut bpf_sock, direction: Direction, key: &mut FlowKey, value: &mut FlowValue) {
    // SAFETY: a full socket, checked for null by the caller.
    let (state, kind) = unsafe { ((*socket).state, (*socket).type_) };
    value.state = state as u8;
    value.socket_type = kind as u8;
    if kind == SOCK_STREAM || kind == SOCK_DGRAM {
        connected_tuple(socket, direction, key);
    }
    // SAFETY: as above.
    let owner = unsafe { owner::storage(socket.cast(), global(&SCOPED) == 1) };
    key.standing = STANDING_UNCLAIMED;
    if !owner.is_null() {
        // SAFETY: the storage of a live socket, checked for null. Read in the order in which `owner::set` does not
        // write: whoever sees the new cookie sees the new process.
        let (cookie, flags) = unsafe {
            let cookie = (&raw const (*owner).cookie).read_volatile();
            value.netns = (*owner).netns;
            value.method = (*owner).method;
            key.tgid = (*owner).tgid;
            key.generation = (*owner).generation;
            (cookie, (*owner).flags)
        };
        if flags & OWNER_AMBIGUOUS != 0 {
            key.standing = STANDING_AMBIGUOUS;
        } else if flags & OWNER_KERNEL != 0 {
            key.standing = STANDING_KERNEL;
        } else if key.tgid != 0 {
            key.standing = if cookie == key.cookie { STANDING_FIRM } else { STANDING_INHERITED };
        }
    }
    let settled = key.standing == STANDING_FIRM || key.standing == STANDING_UNCLAIMED;
    if settled && state == TCP_LISTEN && key.protocol == TCP {
        key.standing = STANDING_LISTENER;
    }
}

#[inline(always)]
fn connected_tuple(socket: *mut bpf_sock, direction: Direction, key: &mut FlowKey) {
    // SAFETY: a full socket.
    let (protocol, remote_port) = unsafe { ((*socket).protocol, (*socket).dst_port) };
    if remote_port == 0
        || u32::from(key.protocol) != protocol
        || !matches!(key.protocol, TCP | UDP | UDP_LITE)
    {
        return;
    }
    // Only while interfaces are tapped is it worth a copy; the verifier removes this branch otherwise.
    if global(&TAPPED) == 1 && direction == Direction::Egress {
        let mut wire = Slot::new();
        let wire = zero::<Tuple>(&mut wire);
        tuple_of(key, wire);
        socket_tuple(socket, remote_port, key);
        keep_wire(key, wire);
        return;
    }
    socket_tuple(socket, remote_port, key);
}

#[inline(always)]
fn tuple_of(key: &FlowKey, tuple: &mut Tuple) {
    tuple.local_addr = key.local_addr;
    tuple.remote_addr = key.remote_addr;
    tuple.local_port = key.local_port;
    tuple.remote_port = key.remote_port;
    tuple.protocol = key.protocol;
    tuple.ip_version = key.ip_version;
}

/// Notes the tuple of a packet that differs from its socket's: what is on the wire. Once a tick and socket.
#[inline(always)]
fn keep_wire(key: &FlowKey, wire: &Tuple) {
    let mut own = Slot::new();
    let own = zero::<WireKey>(&mut own);
    own.cookie = key.cookie;
    tuple_of(key, &mut own.socket);
    let (left, right) = (ptr::from_ref(&own.socket).cast::<u64>(), ptr::from_ref(wire).cast::<u64>());
    let mut differs = 0;
    let mut index = 0;
    while index < size_of::<Tuple>() / 8 {
        // SAFETY: both are 40 initialised bytes, and aligned because they stand in a `Slot`, at a multiple of 8.
        differs |= unsafe { left.add(index).read_volatile() ^ right.add(index).read_volatile() };
        index += 1;
    }
    if differs != 0 {
        // Full or busy: the flow is then not joined, which userspace shows.
        let _ = WIRE.insert(&*own, wire, u64::from(BPF_NOEXIST));
    }
}

/// The socket's own tuple instead of the packet's.
#[inline(always)]
fn socket_tuple(socket: *mut bpf_sock, remote_port: u16, key: &mut FlowKey) {
    key.remote_port = u16::from_be(remote_port);
    // SAFETY: a full socket. Every load is volatile: the compiler must not turn two of them into one load from a chosen
    // address, which the verifier refuses. The family is the packet's: an AF_INET6 socket with a mapped peer has its
    // IPv4 ends in the IPv4 fields. The addresses are already in network order, so their bytes are copied as they lie.
    unsafe {
        key.local_port = (&raw const (*socket).src_port).read_volatile() as u16;
        let local = key.local_addr.as_mut_ptr().cast::<u32>();
        let remote = key.remote_addr.as_mut_ptr().cast::<u32>();
        if key.ip_version == 4 {
            local.write_volatile((&raw const (*socket).src_ip4).read_volatile());
            remote.write_volatile((&raw const (*socket).dst_ip4).read_volatile());
        } else {
            let from = (&raw const (*socket).src_ip6).cast::<u32>();
            let to = (&raw const (*socket).dst_ip6).cast::<u32>();
            local.write_volatile(from.read_volatile());
            local.add(1).write_volatile(from.add(1).read_volatile());
            local.add(2).write_volatile(from.add(2).read_volatile());
            local.add(3).write_volatile(from.add(3).read_volatile());
            remote.write_volatile(to.read_volatile());
            remote.add(1).write_volatile(to.add(1).read_volatile());
            remote.add(2).write_volatile(to.add(2).read_volatile());
            remote.add(3).write_volatile(to.add(3).read_volatile());
        }
    }
}

/// Adds to the row of `key`, making it if need be. False where there is no room for it.
#[inline(always)]
fn into_row(
    half: u32,
    skb: *mut __sk_buff,
    socket: *mut bpf_sock,
    key: &FlowKey,
    value: &mut FlowValue,
    direction: Direction,
    amount: &Amount,
) -> bool {
    // Two lookups in the code, one at run time: with the map known at each, the kernel inlines it.
    let row = if half == 0 { FLOWS_A.get_ptr_mut(key) } else { FLOWS_B.get_ptr_mut(key) };
    if let Some(row) = row {
        // Last write wins: the latest state and method are what a reader wants.
        // SAFETY: a live row.
        unsafe {
            (*row).state = value.state;
            (*row).method = value.method;
        }
        bump(row, direction, amount);
        return true;
    }
    describe(skb, socket, value);
    start(&mut value.counters, direction, amount);
    let flows = if half == 0 { &FLOWS_A } else { &FLOWS_B };
    match flows.insert(key, &*value, u64::from(BPF_NOEXIST)) {
        Ok(()) => {
            stat(half, |stats| /* SAFETY: a live map value. */ unsafe { addr_of_mut!((*stats).inserts) });
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
            stat(half, |stats| /* SAFETY: a live map value. */ unsafe { addr_of_mut!((*stats).full) });
            false
        }
        Err(_) => {
            stat(half, |stats| /* SAFETY: a live map value. */ unsafe { addr_of_mut!((*stats).busy) });
            false
        }
    }
}

/// Adds one to a statistic of a half.
#[inline(always)]
fn stat(half: u32, field: impl FnOnce(*mut HalfStats) -> *mut u64) {
    if let Some(stats) = STATS.get_ptr_mut(half) {
        add(field(stats), 1);
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
        counters.tx_bytes = amount.wire.bytes;
        counters.tx_packets = amount.wire.packets;
        counters.tx_skb_bytes = amount.skb_len;
        counters.tx_skbs = 1;
    } else {
        counters.rx_bytes = amount.wire.bytes;
        counters.rx_packets = amount.wire.packets;
        counters.rx_skb_bytes = amount.skb_len;
        counters.rx_skbs = 1;
    }
}

#[inline(always)]
fn bump(row: *mut FlowValue, direction: Direction, amount: &Amount) {
    // SAFETY: a row that the caller found.
    bump_counters(unsafe { addr_of_mut!((*row).counters) }, direction, amount);
}

#[inline(always)]
fn bump_counters(counters: *mut Counters, direction: Direction, amount: &Amount) {
    // SAFETY: a live map value.
    unsafe {
        if direction == Direction::Egress {
            add(addr_of_mut!((*counters).tx_bytes), amount.wire.bytes);
            add(addr_of_mut!((*counters).tx_packets), amount.wire.packets);
            add(addr_of_mut!((*counters).tx_skb_bytes), amount.skb_len);
            add(addr_of_mut!((*counters).tx_skbs), 1);
        } else {
            add(addr_of_mut!((*counters).rx_bytes), amount.wire.bytes);
            add(addr_of_mut!((*counters).rx_packets), amount.wire.packets);
            add(addr_of_mut!((*counters).rx_skb_bytes), amount.skb_len);
            add(addr_of_mut!((*counters).rx_skbs), 1);
        }
    }
}

/// The flow half is full: the owner still gets the bytes, and if that table is full, too, the totals do.
#[inline(always)]
fn overflow(half: u32, flow: &FlowKey, value: &mut FlowValue, direction: Direction, amount: &Amount) {
    let mut key = Slot::new();
    let key = zero::<OverflowKey>(&mut key);
    key.tgid = flow.tgid;
    key.generation = flow.generation;
    key.standing = flow.standing;
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
    stat(half, |stats| /* SAFETY: a live map value. */ unsafe { addr_of_mut!((*stats).overflow_full) });
    if let Some(totals) = TOTALS.get_ptr_mut(half) {
        bump_counters(totals, direction, amount);
    }
}
