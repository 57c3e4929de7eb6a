//! The ABI between the kernel programs (`monitor-ebpf`) and userspace (`monitor`), and nothing else.
//!
//! Every shared struct is `repr(C)` with fixed-width integers and explicit padding, so that a key has no
//! uninitialised byte (the kernel hashes all of them) and both sides agree on every offset; the asserts below hold on
//! the host and on the bpf target. No `enum`, `bool`, `Option`, `usize` or reference crosses this border: a value that
//! the other side did not expect must be a number that can be looked at, not undefined behaviour.

#![no_std]

mod life;
mod method;
mod offsets;
mod owner;
mod plain;
mod wire;

pub use life::{
    ARGS_BYTES, Executed, LIFE_BORN, LIFE_ENDED, LIFE_EXECUTED, LIFE_FOUND, LIVES_BYTES, Life, PATH_BYTES,
};
pub use method::{
    CLAIM_ACCEPT, CLAIM_BIND, CLAIM_CONNECT, CLAIM_CREATE, CLAIM_MESSAGE, CLAIM_READ, CLAIM_RELEASE,
    CLAIM_SEED, CLAIM_SEND, CLAIM_TRANSFER, Evidence, Method, claim_rank,
};
pub use offsets::Offsets;
pub use owner::{OWNER_AMBIGUOUS, OWNER_KERNEL, Owner, OwnerWord};
pub use plain::Plain;
pub use wire::{Segments, wire_segments};

/// Rows that each half of the flow table holds unless `--capacity` says otherwise.
pub const DEFAULT_CAPACITY: u32 = 65_536;
/// Smallest and largest `--capacity`. The upper end is about 4 GB of kernel memory for both halves.
pub const CAPACITY_RANGE: (u32, u32) = (64, 8_388_608);
/// Rows of each overflow half: one per process that moved bytes while the flow half was full.
pub const OVERFLOW_CAPACITY: u32 = 8_192;
/// Entries of [`names::PROCS`] and [`names::CLAIMS`]: what one tick can hold.
pub const CLAIM_CAPACITY: u32 = 65_536;

/// [`names::WIRE`] has a row for so many of `--capacity` while interfaces are tapped. Without a tap it,
/// [`names::TAP_OVERFLOW`] and [`names::TAPS`] hold one row.
pub const WIRE_SHARE: u32 = 4;
/// Rows of [`names::TAP_OVERFLOW`] while interfaces are tapped.
pub const TAP_OVERFLOW_CAPACITY: u32 = 1_024;

/// Names of maps and globals, as they stand in the object.
pub mod names {
    /// The two halves of the flow table: HASH, `FlowKey` -> `FlowValue`.
    pub const FLOWS: [&str; 2] = ["FLOWS_A", "FLOWS_B"];
    /// The two halves of the overflow table: HASH, `OverflowKey` -> `FlowValue`.
    pub const OVERFLOW: [&str; 2] = ["OVERFLOW_A", "OVERFLOW_B"];
    /// PERCPU_ARRAY of `Counters`, index = half: what found no room in the overflow table either.
    pub const TOTALS: &str = "TOTALS";
    /// PERCPU_ARRAY of `HalfStats`, index = half.
    pub const STATS: &str = "STATS";
    /// ARRAY of one u32: which half the programs write.
    pub const ACTIVE: &str = "ACTIVE";
    /// CGROUP_ARRAY of one: the sub-tree that is looked at, where it is not the root.
    pub const SCOPE: &str = "SCOPE";
    /// SK_STORAGE of `Owner`.
    pub const OWNERS: &str = "OWNERS";
    /// HASH, `ProcessKey` -> `Process`, drained every tick.
    pub const PROCS: &str = "PROCS";
    /// HASH, `ClaimKey` -> `Claim`, drained every tick.
    pub const CLAIMS: &str = "CLAIMS";
    /// PERCPU_ARRAY of one `ClaimStats`: never reset.
    pub const CLAIM_STATS: &str = "CLAIM_STATS";
    /// The two halves of the interface table: HASH, `TapKey` -> `TapValue`. They turn with the flow halves.
    pub const TAPS: [&str; 2] = ["TAPS_A", "TAPS_B"];
    /// What found the interface table full: HASH, `TapOverflowKey` -> `TapValue`.
    pub const TAP_OVERFLOW: [&str; 2] = ["TAP_OVERFLOW_A", "TAP_OVERFLOW_B"];
    /// PERCPU_ARRAY of `HalfStats` of the interface table, index = half.
    pub const TAP_STATS: &str = "TAP_STATS";
    /// HASH, `WireKey` -> `Tuple`, drained every tick: connected sockets whose packets have another tuple on the wire.
    pub const WIRE: &str = "WIRE";
    /// RINGBUF of `Life` and `Executed`, told apart by their length.
    pub const LIVES: &str = "LIVES";
}

/// What moved in one row or sum, both directions, since the row was made.
///
/// `skb_bytes` and `skbs` are what the stack carried: the sum of `skb->len` at the cgroup hook. `gso_bytes` and
/// `gso_packets` are what the wire carries beyond that ([`wire_segments`]): the headers and the packets of all segments
/// of a GSO or GRO packet but the first. Most packets have none, which saves two atomic adds each.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Sum of `skb->len` received.
    pub rx_skb_bytes: u64,
    /// Sum of `skb->len` sent.
    pub tx_skb_bytes: u64,
    /// Socket buffers received.
    pub rx_skbs: u64,
    /// Socket buffers sent.
    pub tx_skbs: u64,
    /// Wire bytes received less `rx_skb_bytes`; two's complement, as a BIG TCP header makes it negative.
    pub rx_gso_bytes: u64,
    /// Wire bytes sent less `tx_skb_bytes`; two's complement.
    pub tx_gso_bytes: u64,
    /// Packets on the wire received less `rx_skbs`.
    pub rx_gso_packets: u64,
    /// Packets on the wire sent less `tx_skbs`.
    pub tx_gso_packets: u64,
}

/// Key of a row of the flow table.
///
/// Addresses are in network order; an IPv4 address takes the first four bytes and the rest is zero. Ports are in host
/// order, 0 where the protocol has none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// Socket cookie (`bpf_get_socket_cookie`), 0 where there is none.
    pub cookie: u64,
    /// Address of this host's end.
    pub local_addr: [u8; 16],
    /// Address of the other end.
    pub remote_addr: [u8; 16],
    /// Port of this host's end, host order.
    pub local_port: u16,
    /// Port of the other end, host order.
    pub remote_port: u16,
    /// `skb->ifindex`, in the netns of the socket.
    pub ifindex: u32,
    /// Thread-group id of the owner in the initial pid namespace; 0 where nobody has claimed the socket. Of
    /// [`STANDING_RAW`] the low half of a netns cookie.
    pub tgid: u32,
    /// The owner's generation, [`generation`] of its start time; 0 where unknown. Of [`STANDING_RAW`] the high half of
    /// a netns cookie.
    pub generation: u32,
    /// IP protocol number.
    pub protocol: u8,
    /// 4 or 6: the version of the packet, whatever the family of the socket; [`PACKET_SOCKET`].
    pub ip_version: u8,
    /// What the owner was worth when the packet passed: `STANDING_*`.
    pub standing: u8,
    /// 1: sent in the name of the socket, but not made by it: the outside of what it sent (ESP, AH, ESP in UDP). The same
    /// packet may have passed before, on the interface of the tunnel, or not (IPsec by policy).
    pub outer: u8,
    /// Zero.
    pub pad: [u8; 4],
}

/// In [`FlowKey::ip_version`], which is `AF_PACKET` then: what a packet socket sent, as bytes accepted. Addresses, ports,
/// protocol and interface are zero; the netns in the row is the socket's.
pub const PACKET_SOCKET: u8 = 17;

/// The owner claimed this very socket.
pub const STANDING_FIRM: u8 = 0;
/// Nobody has claimed or inherited the socket yet.
pub const STANDING_UNCLAIMED: u8 = 1;
/// An accepted socket that nobody has claimed yet: the owner is its listener's (storage cloned by the kernel).
pub const STANDING_INHERITED: u8 = 2;
/// The packet belongs to a listening socket: a handshake, not yet a connection of its own.
pub const STANDING_LISTENER: u8 = 3;
/// The seed found several processes holding the socket and none has used it yet.
pub const STANDING_AMBIGUOUS: u8 = 4;
/// The owner is a kernel thread.
pub const STANDING_KERNEL: u8 = 5;
/// A raw socket that nobody has claimed: one of the kernel's own, where all others are known. The kernel sends RST and
/// ICMP of every network namespace from the same socket per CPU (ICMP since Linux 5.18), so the namespace of the packet
/// is in the key, where the helper for it loads: in [`FlowKey::tgid`] and [`FlowKey::generation`], which are free.
pub const STANDING_RAW: u8 = 6;

/// Value of a row of the flow table.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowValue {
    /// What moved.
    pub counters: Counters,
    /// Netns cookie of the socket (`bpf_get_netns_cookie` at the claim); 0 where unknown.
    pub netns: u64,
    /// cgroup2 id of the socket (`bpf_sk_cgroup_id`; of a packet socket the sender's, `bpf_get_current_cgroup_id`), 0 where unknown.
    pub cgroup: u64,
    /// `bpf_get_socket_uid` when the row was made.
    pub uid: u32,
    /// `sk->sk_type`: 1 stream, 2 datagram, 3 raw.
    pub socket_type: u8,
    /// How the owner was found: `CLAIM_*` of the claim in force at the latest packet.
    pub method: u8,
    /// `bpf_sock.state` at the latest packet (`TCP_*` of net/tcp_states.h).
    pub state: u8,
    /// Zero.
    pub pad: u8,
    /// How the connection fares, where it is TCP.
    pub tcp: TcpSample,
}

/// What `bpf_tcp_sock` said of a connection, at most once per 100 ms and row while its state stays the same. Two CPUs may
/// write it at the same time: then fields are of two moments, microseconds apart.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpSample {
    /// When, in jiffies; 0: never, for want of a round trip or of a connection.
    pub sampled: u64,
    /// Payload bytes acknowledged by the peer.
    pub acked: u64,
    /// Payload bytes received in order.
    pub received: u64,
    /// Smoothed round-trip time in units of 1/8 us, as the kernel keeps it.
    pub srtt: u32,
    /// Congestion window, segments.
    pub cwnd: u32,
    /// Segments sent again since the connection began.
    pub retransmits: u32,
    /// Zero.
    pub pad: u32,
}

/// Key of the overflow table: one process and what its bytes were worth.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OverflowKey {
    /// As in [`FlowKey`].
    pub tgid: u32,
    /// As in [`FlowKey`].
    pub generation: u32,
    /// As in [`FlowKey`].
    pub standing: u8,
    /// As in [`FlowKey`].
    pub outer: u8,
    /// Zero.
    pub pad: [u8; 6],
}

/// What happened to one half of the flow table since it became the active one; per CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HalfStats {
    /// Rows made.
    pub inserts: u64,
    /// Packets that found the half full (E2BIG) and went to the overflow table.
    pub full: u64,
    /// Packets that could not make a row for another reason (EBUSY, ENOMEM) and went to the overflow table.
    pub busy: u64,
    /// Packets that found the overflow table full, too, and went to the totals.
    pub overflow_full: u64,
    /// Packets whose headers could not be read; they went to the overflow table.
    pub unparsed: u64,
    /// Tuples that found no room in [`names::WIRE`]. Of the interface table.
    pub wires_lost: u64,
}

/// Two ends and what they speak. Addresses and ports as in [`FlowKey`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// Address of this host's end.
    pub local_addr: [u8; 16],
    /// Address of the other end.
    pub remote_addr: [u8; 16],
    /// Port of this host's end, host order.
    pub local_port: u16,
    /// Port of the other end, host order.
    pub remote_port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// 4 or 6.
    pub ip_version: u8,
    /// Zero.
    pub pad: [u8; 2],
}

/// Key of [`names::WIRE`]: a connected socket and its own tuple. The value is the tuple of the packets that it sends.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct WireKey {
    /// The socket.
    pub cookie: u64,
    /// What the socket believes.
    pub socket: Tuple,
}

/// Key of a row of the interface table: one direction of one conversation as a device carried it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TapKey {
    /// Source address, as in [`FlowKey`]; zero where it is not IP.
    pub src_addr: [u8; 16],
    /// Destination address.
    pub dst_addr: [u8; 16],
    /// Source port, host order; 0 where the protocol has none and in every fragment.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Index of the tapped device.
    pub ifindex: u32,
    /// Type of the innermost link-layer header, host order ([`ETHERTYPE_LLC`] for a frame with a length instead).
    pub ethertype: u16,
    /// VLAN id of the outermost tag, 0 where there is none.
    pub vlan: u16,
    /// IP protocol number, 0 where it is not IP.
    pub protocol: u8,
    /// 4 or 6, 0 where it is not IP.
    pub ip_version: u8,
    /// `TAP_RECEIVED`, `TAP_SENT`, `TAP_OTHER_HOST`.
    pub direction: u8,
    /// 1: a fragment of a datagram.
    pub fragment: u8,
}

/// Received, addressed to this host, to all or to many.
pub const TAP_RECEIVED: u8 = 0;
/// Sent.
pub const TAP_SENT: u8 = 1;
/// Received, and addressed to another host by its link-layer address.
pub const TAP_OTHER_HOST: u8 = 2;
/// What the kernel calls a frame of IEEE 802.2 (`ETH_P_802_2` of linux/if_ether.h).
pub const ETHERTYPE_LLC: u16 = 4;

/// Value of a row of the interface table.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TapValue {
    /// Wire bytes at L3, headers of every segment included, padding not.
    pub bytes: u64,
    /// Packets on the wire.
    pub packets: u64,
    /// L3 bytes as the stack carried them.
    pub skb_bytes: u64,
    /// Socket buffers.
    pub skbs: u64,
    /// Wire bytes with the link-layer header, VLAN tags and padding of every segment.
    pub link_bytes: u64,
    /// Sum of `skb->len` with the link-layer header, as software devices count; a VLAN tag beside the data is not in it.
    pub device_bytes: u64,
}

/// Key of [`names::TAP_OVERFLOW`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TapOverflowKey {
    /// Index of the tapped device.
    pub ifindex: u32,
    /// `TAP_*`.
    pub direction: u32,
}

/// Key of [`names::CLAIMS`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClaimKey {
    /// The claimed socket.
    pub cookie: u64,
    /// The claimant.
    pub tgid: u32,
    /// The claimant's [`generation`].
    pub generation: u32,
}

/// Value of [`names::CLAIMS`]: a socket that changed hands in this tick.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// First change of the tick to this claimant, ns since boot (`bpf_ktime_get_boot_ns`).
    pub first: u64,
    /// Latest change of the tick to this claimant, ns since boot.
    pub last: u64,
    /// Netns cookie, 0 where unknown.
    pub netns: u64,
    /// `CLAIM_*`.
    pub method: u8,
    /// `OWNER_*` flags, and [`CLAIM_CLOSED`].
    pub flags: u8,
    /// Zero.
    pub pad: [u8; 6],
}

/// In [`Claim::flags`]: the socket was closed (`cgroup/sock_release`).
pub const CLAIM_CLOSED: u8 = 0x80;

/// Key of [`names::PROCS`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProcessKey {
    /// Thread-group id in the initial pid namespace.
    pub tgid: u32,
    /// [`generation`], 0 where the start time cannot be read.
    pub generation: u32,
}

/// Value of [`names::PROCS`]: what is known of a process at its latest claim or exec.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// `task->group_leader->comm`, zero-terminated; all zero where it cannot be read.
    pub comm: [u8; 16],
    /// `task->group_leader->start_boottime`, ns since boot; 0 where it cannot be read.
    pub start: u64,
    /// When this was written, ns since boot.
    pub at: u64,
    /// cgroup2 id of the process.
    pub cgroup: u64,
    /// Real uid in the initial user namespace.
    pub uid: u32,
    /// Zero.
    pub pad: u32,
}

/// Health of the claim path; per CPU, never reset.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClaimStats {
    /// Claims that changed an owner.
    pub changed: u64,
    /// Claims whose storage could not be made (optmem_max, memory).
    pub no_storage: u64,
    /// Entries that did not fit into CLAIMS (E2BIG).
    pub claims_full: u64,
    /// Entries that did not fit into PROCS (E2BIG).
    pub procs_full: u64,
    /// Events that did not fit into LIVES.
    pub lives_full: u64,
    /// Entries that the kernel did not add to CLAIMS or PROCS for another reason (EBUSY, ETIMEDOUT).
    pub busy: u64,
}

/// One record of the iter/task_file stream: a descriptor of an inet socket, held by a process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeedRecord {
    /// Socket cookie.
    pub cookie: u64,
    /// Holder.
    pub process: ProcessKey,
    /// `start_boottime` of the holder, ns since boot.
    pub start: u64,
    /// comm of the thread-group leader.
    pub comm: [u8; 16],
    /// Netns cookie of the socket, 0 where it cannot be read.
    pub netns: u64,
}

/// A process's generation: its start time in units of 2^20 ns (about a millisecond), modulo 2^32. Together with the
/// tgid it tells a process from a later one with the same pid.
#[inline(always)]
pub const fn generation(start_boottime_ns: u64) -> u32 {
    ((start_boottime_ns >> 20) & 0xffff_ffff) as u32
}

const _: () = {
    assert!(core::mem::offset_of!(FlowKey, local_addr) == 8);
    assert!(core::mem::offset_of!(FlowKey, remote_addr) == 24);
    assert!(core::mem::offset_of!(FlowKey, local_port) == 40);
    assert!(core::mem::offset_of!(FlowKey, ifindex) == 44);
    assert!(core::mem::offset_of!(FlowKey, protocol) == 56);
    assert!(core::mem::offset_of!(FlowValue, netns) == 64);
    assert!(core::mem::offset_of!(FlowValue, uid) == 80);
    assert!(core::mem::offset_of!(FlowValue, tcp) == 88);
    assert!(core::mem::offset_of!(Owner, word) == 16);
    assert!(core::mem::offset_of!(Claim, method) == 24);
};
