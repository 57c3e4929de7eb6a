//! Counting: one packet into one row, whoever's it is.
//!
//! Every packet adds to exactly one of: a flow row, an overflow row, the totals. Nothing here can fail a packet.

use crate::key::{self, Direction};
use crate::maps::{
    ACTIVE, FLOWS_A, FLOWS_B, OVERFLOW_A, OVERFLOW_B, SCOPED, SKB_NETNS, STATS, TOTALS, global,
};
use crate::owner;
use aya_ebpf::bindings::{__sk_buff, BPF_NOEXIST, bpf_sock};
use aya_ebpf::helpers::generated::{
    bpf_get_netns_cookie, bpf_get_socket_cookie, bpf_get_socket_uid, bpf_sk_cgroup_id, bpf_sk_fullsock,
};
use aya_ebpf::maps::HashMap;
use core::intrinsics::{AtomicOrdering, atomic_xadd};
use core::ptr::addr_of_mut;
use monitor_common::{
    Counters, FlowKey, FlowValue, HalfStats, OWNER_AMBIGUOUS, OWNER_KERNEL, OverflowKey, STANDING_AMBIGUOUS,
    STANDING_FIRM, STANDING_INHERITED, STANDING_KERNEL, STANDING_LISTENER, STANDING_UNCLAIMED, Segments,
    wire_segments,
};

const E2BIG: i32 = -7;
const EEXIST: i32 = -17;
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

/// Counts one packet of the hook's socket. Bytes are L3, at the cgroup hook.
#[inline(always)]
pub fn count(skb: *mut __sk_buff, direction: Direction) {
    let half = active();
    let mut key = FlowKey::default();
    let mut value = FlowValue::default();
    // SAFETY: context fields of a live `__sk_buff`.
    let (len, gso_segs, gso_size, ifindex) =
        unsafe { ((*skb).len, (*skb).gso_segs, (*skb).gso_size, (*skb).ifindex) };
    key.ifindex = ifindex;
    let parsed = key::parse(skb, direction, &mut key);
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
        own(socket, &mut key, &mut value);
    }
    if parsed.is_none() {
        if let Some(stats) = STATS.get_ptr_mut(half) {
            // SAFETY: a live map value.
            add(unsafe { addr_of_mut!((*stats).unparsed) }, 1);
        }
        overflow(half, &key, direction, &amount);
    } else if half == 0 {
        into(&FLOWS_A, half, skb, socket, &mut key, &mut value, direction, &amount);
    } else {
        into(&FLOWS_B, half, skb, socket, &mut key, &mut value, direction, &amount);
    }
}

#[inline(always)]
fn active() -> u32 {
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
fn own(socket: *mut bpf_sock, key: &mut FlowKey, value: &mut FlowValue) {
    // SAFETY: a full socket, checked for null by the caller.
    let (state, kind) = unsafe { ((*socket).state, (*socket).type_) };
    value.state = state as u8;
    value.socket_type = kind as u8;
    if kind == SOCK_STREAM || kind == SOCK_DGRAM {
        connected_tuple(socket, key);
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
fn connected_tuple(socket: *mut bpf_sock, key: &mut FlowKey) {
    // SAFETY: a full socket.
    let (protocol, remote_port) = unsafe { ((*socket).protocol, (*socket).dst_port) };
    if remote_port == 0
        || u32::from(key.protocol) != protocol
        || !matches!(key.protocol, TCP | UDP | UDP_LITE)
    {
        return;
    }
    key.remote_port = u16::from_be(remote_port);
    // SAFETY: as above. The family is the packet's: an AF_INET6 socket with a mapped peer has its IPv4 ends here.
    unsafe {
        key.local_port = (*socket).src_port as u16;
        if key.ip_version == 4 {
            address(&mut key.local_addr, [(*socket).src_ip4, 0, 0, 0]);
            address(&mut key.remote_addr, [(*socket).dst_ip4, 0, 0, 0]);
        } else {
            address(
                &mut key.local_addr,
                [
                    (*socket).src_ip6[0],
                    (*socket).src_ip6[1],
                    (*socket).src_ip6[2],
                    (*socket).src_ip6[3],
                ],
            );
            address(
                &mut key.remote_addr,
                [
                    (*socket).dst_ip6[0],
                    (*socket).dst_ip6[1],
                    (*socket).dst_ip6[2],
                    (*socket).dst_ip6[3],
                ],
            );
        }
    }
}

/// Four words in network order into the sixteen bytes of a key.
#[inline(always)]
fn address(field: &mut [u8; 16], words: [u32; 4]) {
    // SAFETY: same size; the words are already in network order, so their bytes are copied as they lie.
    unsafe {
        let at = field.as_mut_ptr().cast::<u32>();
        at.write_unaligned(words[0]);
        at.add(1).write_unaligned(words[1]);
        at.add(2).write_unaligned(words[2]);
        at.add(3).write_unaligned(words[3]);
    }
}

/// Adds to the row of `key`, making it if need be.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "inlined; a struct of references would cost stack")]
fn into(
    flows: &HashMap<FlowKey, FlowValue>,
    half: u32,
    skb: *mut __sk_buff,
    socket: *mut bpf_sock,
    key: &mut FlowKey,
    value: &mut FlowValue,
    direction: Direction,
    amount: &Amount,
) {
    if let Some(row) = flows.get_ptr_mut(&*key) {
        bump(row, direction, amount);
        // Last write wins: the latest state and method are what a reader wants.
        // SAFETY: a live row.
        unsafe {
            (*row).state = value.state;
            (*row).method = value.method;
        }
        return;
    }
    describe(skb, socket, value);
    start(value, direction, amount);
    let Some(stats) = STATS.get_ptr_mut(half) else { return };
    match flows.insert(&*key, &*value, u64::from(BPF_NOEXIST)) {
        // SAFETY: a live map value, here and below.
        Ok(()) => add(unsafe { addr_of_mut!((*stats).inserts) }, 1),
        Err(EEXIST) => match flows.get_ptr_mut(&*key) {
            Some(row) => bump(row, direction, amount),
            None => overflow(half, key, direction, amount),
        },
        Err(error) => {
            full(stats, error);
            overflow(half, key, direction, amount);
        }
    }
}

#[inline(always)]
fn full(stats: *mut HalfStats, error: i32) {
    // SAFETY: a live map value.
    unsafe {
        if error == E2BIG {
            add(addr_of_mut!((*stats).full), 1);
        } else {
            add(addr_of_mut!((*stats).busy), 1);
        }
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
fn start(value: &mut FlowValue, direction: Direction, amount: &Amount) {
    let counters = &mut value.counters;
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
fn overflow(half: u32, flow: &FlowKey, direction: Direction, amount: &Amount) {
    let key = OverflowKey {
        tgid: flow.tgid,
        generation: flow.generation,
        standing: flow.standing,
        pad: [0; 7],
    };
    let table = if half == 0 { &OVERFLOW_A } else { &OVERFLOW_B };
    if let Some(row) = table.get_ptr_mut(&key) {
        bump(row, direction, amount);
        return;
    }
    let mut value = FlowValue::default();
    start(&mut value, direction, amount);
    match table.insert(&key, &value, u64::from(BPF_NOEXIST)) {
        Ok(()) => return,
        Err(EEXIST) => {
            if let Some(row) = table.get_ptr_mut(&key) {
                bump(row, direction, amount);
                return;
            }
        }
        Err(_) => {}
    }
    if let Some(stats) = STATS.get_ptr_mut(half) {
        // SAFETY: a live map value.
        add(unsafe { addr_of_mut!((*stats).overflow_full) }, 1);
    }
    if let Some(totals) = TOTALS.get_ptr_mut(half) {
        bump_counters(totals, direction, amount);
    }
}
