//! Every map and every global on one screen: who writes, who reads, what happens when it is full.

use aya_ebpf::bindings::bpf_map_type::BPF_MAP_TYPE_SK_STORAGE;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, CgroupArray, HashMap, PerCpuArray, RingBuf};
use core::ptr;
use monitor_common::{
    CLAIM_CAPACITY, Claim, ClaimKey, ClaimStats, Counters, DEFAULT_CAPACITY, FlowKey, FlowValue, HalfStats,
    LIVES_BYTES, OVERFLOW_CAPACITY, Offsets, OverflowKey, Owner, Process, ProcessKey, TapKey, TapOverflowKey,
    TapValue, Tuple, WireKey,
};

/// Half A of the flow table. Written by `account` while active, drained by userspace while retired.
/// Preallocated, so that nothing is allocated in softirq. Full: the bytes go to OVERFLOW_A.
#[map]
pub(crate) static FLOWS_A: HashMap<FlowKey, FlowValue> = HashMap::with_max_entries(DEFAULT_CAPACITY, 0);
/// Half B.
#[map]
pub(crate) static FLOWS_B: HashMap<FlowKey, FlowValue> = HashMap::with_max_entries(DEFAULT_CAPACITY, 0);

/// What found half A full, per owner. Full: the bytes go to TOTALS.
#[map]
pub(crate) static OVERFLOW_A: HashMap<OverflowKey, FlowValue> =
    HashMap::with_max_entries(OVERFLOW_CAPACITY, 0);
/// What found half B full.
#[map]
pub(crate) static OVERFLOW_B: HashMap<OverflowKey, FlowValue> =
    HashMap::with_max_entries(OVERFLOW_CAPACITY, 0);

/// What found no room anywhere, index = half. Cannot be full.
#[map]
pub(crate) static TOTALS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(2, 0);

/// What happened to each half, index = half. Written by `account`; read and zeroed by userspace while retired.
#[map]
pub(crate) static STATS: PerCpuArray<HalfStats> = PerCpuArray::with_max_entries(2, 0);

/// Which half is active: 0 or 1. Written by userspace only.
#[map]
pub(crate) static ACTIVE: Array<u32> = Array::with_max_entries(1, 0);

/// The sub-tree that is looked at; empty where that is the root. Written by userspace only.
#[map]
pub(crate) static SCOPE: CgroupArray = CgroupArray::with_max_entries(1, 0);

/// Half A of the interface table, one row until userspace asks for more at load. Written by `tap` while active, drained
/// while retired. Full: the bytes go to TAP_OVERFLOW_A.
#[map]
pub(crate) static TAPS_A: HashMap<TapKey, TapValue> = HashMap::with_max_entries(1, 0);
/// Half B.
#[map]
pub(crate) static TAPS_B: HashMap<TapKey, TapValue> = HashMap::with_max_entries(1, 0);

/// What found half A of the interface table full, per device and direction. Cannot be full: two rows a device.
#[map]
pub(crate) static TAP_OVERFLOW_A: HashMap<TapOverflowKey, TapValue> = HashMap::with_max_entries(1, 0);
/// What found half B full.
#[map]
pub(crate) static TAP_OVERFLOW_B: HashMap<TapOverflowKey, TapValue> = HashMap::with_max_entries(1, 0);

/// What happened to each half of the interface table, index = half. Written by `tap`.
#[map]
pub(crate) static TAP_STATS: PerCpuArray<HalfStats> = PerCpuArray::with_max_entries(2, 0);

/// Connected sockets that sent a packet with another tuple than their own (NAT) since the last drain. Written by
/// `account` only while interfaces are tapped. Full: the flow is not told from one that no socket saw, and `wires_lost`
/// counts it.
#[map]
pub(crate) static WIRE: HashMap<WireKey, Tuple> = HashMap::with_max_entries(1, 0);

/// Processes that claimed a socket or executed a program since the last drain. Full: the name is lost here, userspace
/// falls back to /proc, and `procs_full` counts it.
#[map]
pub(crate) static PROCS: HashMap<ProcessKey, Process> = HashMap::with_max_entries(CLAIM_CAPACITY, 0);

/// Sockets that changed hands since the last drain. Full: `claims_full` counts it; rows keep their owners.
#[map]
pub(crate) static CLAIMS: HashMap<ClaimKey, Claim> = HashMap::with_max_entries(CLAIM_CAPACITY, 0);

/// Processes made, programs executed, processes ended, in order. Written by `life`, read by userspace, which is woken for
/// the first of them. Full: the event is lost, `lives_full` counts it and userspace falls back to /proc. `account` wakes
/// by it, too, when a half fills up.
#[map]
pub(crate) static LIVES: RingBuf = RingBuf::with_byte_size(LIVES_BYTES, 0);

/// Health of the claim path, one entry, never reset.
#[map]
pub(crate) static CLAIM_STATS: PerCpuArray<ClaimStats> = PerCpuArray::with_max_entries(1, 0);

/// A socket-local storage map, as its BTF definition wants it: pointers to arrays whose lengths are the numbers.
/// (aya's own type allows neither the clone flag nor any context but sock_addr.)
#[repr(C)]
pub(crate) struct SocketStorage<const FLAGS: usize> {
    r#type: *const [i32; BPF_MAP_TYPE_SK_STORAGE as usize],
    key: *const i32,
    value: *const Owner,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; FLAGS],
}

// SAFETY: the pointers are never followed; the struct exists for its BTF only.
unsafe impl<const FLAGS: usize> Sync for SocketStorage<FLAGS> {}

impl<const FLAGS: usize> SocketStorage<FLAGS> {
    const fn new() -> Self {
        Self {
            r#type: ptr::null(),
            key: ptr::null(),
            value: ptr::null(),
            max_entries: ptr::null(),
            map_flags: ptr::null(),
        }
    }
}

const BPF_F_NO_PREALLOC: usize = 1;
const BPF_F_CLONE: usize = 0x200;

/// Owner of each socket, cloned by the kernel into accepted sockets. Lives and dies with the socket. Out of
/// `optmem_max`: the socket has no owner here and `no_storage` counts it.
#[unsafe(link_section = ".maps")]
#[unsafe(export_name = "OWNERS")]
pub(crate) static OWNERS: SocketStorage<{ BPF_F_NO_PREALLOC | BPF_F_CLONE }> = SocketStorage::new();

/// The same without the clone flag, used instead where `optmem_max` is so small that a failing clone could drop a
/// connection.
#[unsafe(link_section = ".maps")]
#[unsafe(export_name = "OWNERS_NO_CLONE")]
pub(crate) static OWNERS_NO_CLONE: SocketStorage<BPF_F_NO_PREALLOC> = SocketStorage::new();

/// Structure offsets, set before load. Read one at a time: `global` of all of them would copy all of them.
#[unsafe(no_mangle)]
pub(crate) static OFFSETS: Offsets = Offsets::ZERO;
/// 1: attached to a sub-tree; tracing programs and the seed must not make storage for sockets outside of it.
#[unsafe(no_mangle)]
pub(crate) static SCOPED: u32 = 0;
/// 1: use [`OWNERS`]; 0: [`OWNERS_NO_CLONE`].
#[unsafe(no_mangle)]
pub(crate) static CLONE: u32 = 1;
/// 1: `bpf_get_current_task_btf` is there for cgroup/sock and sock_addr programs.
#[unsafe(no_mangle)]
pub(crate) static CGROUP_TASK: u32 = 0;
/// 1: tracing programs are offered `bpf_get_socket_cookie`, `bpf_sk_storage_get` and `bpf_get_current_task_btf`.
#[unsafe(no_mangle)]
pub(crate) static TRACING: u32 = 1;
/// 1: `bpf_get_netns_cookie` is there for cgroup_skb programs.
#[unsafe(no_mangle)]
pub(crate) static SKB_NETNS: u32 = 0;
/// 1: interfaces are tapped, so `account` keeps the wire tuple of sockets behind NAT.
#[unsafe(no_mangle)]
pub(crate) static TAPPED: u32 = 0;

/// Rows that one CPU may make in a half before userspace is woken to look how full it is; 0: it looks by itself.
#[unsafe(no_mangle)]
pub(crate) static UNSEEN: u64 = 0;

/// Jiffies between two samples of a TCP connection.
#[unsafe(no_mangle)]
pub(crate) static SAMPLE_EVERY: u64 = 100;

/// Reads a global that userspace sets before load. Volatile, or the compiler would fold the initial value in.
#[inline(always)]
pub(crate) fn global<T: Copy>(value: &'static T) -> T {
    // SAFETY: a reference is valid and aligned.
    unsafe { ptr::read_volatile(value) }
}
