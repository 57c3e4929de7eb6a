//! From a packet's headers to the ends of its flow.
//!
//! Reads IPv4 and IPv6 (extension headers included) and the ports of TCP, UDP, UDP-Lite, DCCP and SCTP. It does not
//! decide who owns the packet, and it looks into no tunnel.

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::generated::bpf_skb_load_bytes;
use core::mem::MaybeUninit;
use monitor_common::FlowKey;

const TCP: u8 = 6;
const UDP: u8 = 17;
const DCCP: u8 = 33;
const SCTP: u8 = 132;
const UDP_LITE: u8 = 136;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;

/// The offset's bits in the fragment field of IPv4.
const FRAGMENT_OFFSET: u16 = 0x1fff;

/// IPv6 extension headers that are walked; a packet with more is counted under the next header that is left.
const MAX_EXTENSIONS: u32 = 6;

/// Which way a packet goes, as a constant of each program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To this host.
    Ingress,
    /// From this host.
    Egress,
}

/// Lengths that the GSO correction needs.
pub struct Headers {
    /// L3 and L4 headers, in bytes, without `jumbo`.
    pub len: u32,
    /// Length of a BIG TCP jumbo hop-by-hop header, or 0.
    pub jumbo: u32,
}

/// Reads a `T` at `offset` from the network header; `None` where the packet ends before.
#[inline(always)]
fn load<T: Copy>(skb: *mut __sk_buff, offset: u32) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: `skb` is the program's context and the buffer has the size that is passed.
    let result =
        unsafe { bpf_skb_load_bytes(skb.cast(), offset, value.as_mut_ptr().cast(), size_of::<T>() as u32) };
    if result == 0 {
        // SAFETY: the helper wrote all of it; every `T` used here is an integer or an array of integers.
        Some(unsafe { value.assume_init() })
    } else {
        None
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Ipv4 {
    version_ihl: u8,
    tos: u8,
    len: u16,
    id: u16,
    fragment: u16,
    ttl: u8,
    protocol: u8,
    checksum: u16,
    src: [u8; 4],
    dst: [u8; 4],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Ipv6 {
    version_class_flow: [u8; 4],
    payload_len: u16,
    next: u8,
    hop_limit: u8,
    src: [u8; 16],
    dst: [u8; 16],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Tcp {
    ports: [u16; 2],
    sequence: u32,
    ack: u32,
    offset_flags: u16,
}

/// Fills addresses, ports, protocol and version of `key` from the packet. `None` where it is not IP or too short.
#[inline(always)]
pub fn parse(skb: *mut __sk_buff, direction: Direction, key: &mut FlowKey) -> Option<Headers> {
    let version = load::<u8>(skb, 0)? >> 4;
    key.ip_version = version;
    let (l3, jumbo, first_fragment) = if version == 4 {
        let ip = load::<Ipv4>(skb, 0)?;
        key.protocol = ip.protocol;
        let (local, remote) = ends(direction, ip.src, ip.dst);
        set_ipv4(&mut key.local_addr, local);
        set_ipv4(&mut key.remote_addr, remote);
        (u32::from(ip.version_ihl & 0xf) * 4, 0, u16::from_be(ip.fragment) & FRAGMENT_OFFSET == 0)
    } else if version == 6 {
        let ip = load::<Ipv6>(skb, 0)?;
        let (local, remote) = ends(direction, ip.src, ip.dst);
        key.local_addr = local;
        key.remote_addr = remote;
        let walk = extensions(skb, ip.next, ip.payload_len == 0);
        key.protocol = walk.protocol;
        (walk.end, walk.jumbo, walk.first_fragment)
    } else {
        return None;
    };
    let l4 = if first_fragment { ports(skb, direction, l3, key) } else { 0 };
    Some(Headers { len: l3.saturating_sub(jumbo).saturating_add(l4), jumbo })
}

#[inline(always)]
fn ends<T>(direction: Direction, src: T, dst: T) -> (T, T) {
    if direction == Direction::Egress { (src, dst) } else { (dst, src) }
}

/// An IPv4 address takes the first four bytes of the field; the rest stays zero.
#[inline(always)]
fn set_ipv4(field: &mut [u8; 16], addr: [u8; 4]) {
    let [a, b, c, d] = addr;
    field[0] = a;
    field[1] = b;
    field[2] = c;
    field[3] = d;
}

struct Walk {
    protocol: u8,
    end: u32,
    jumbo: u32,
    first_fragment: bool,
}

/// Walks the IPv6 extension headers (RFC 8200, 4.1). A hop-by-hop header of a packet without payload length is BIG
/// TCP's jumbogram option (RFC 2675), which never reaches the wire on a segment.
#[inline(always)]
fn extensions(skb: *mut __sk_buff, next: u8, jumbogram: bool) -> Walk {
    let mut walk = Walk { protocol: next, end: size_of::<Ipv6>() as u32, jumbo: 0, first_fragment: true };
    for _ in 0..MAX_EXTENSIONS {
        let header = walk.protocol;
        if !matches!(header, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION) {
            break;
        }
        let Some([following, len, hi, lo]) = load::<[u8; 4]>(skb, walk.end) else { break };
        let size = match header {
            FRAGMENT => {
                walk.first_fragment = u16::from_be_bytes([hi, lo]) & 0xfff8 == 0;
                8
            }
            AUTHENTICATION => (u32::from(len) + 2) * 4,
            _ => (u32::from(len) + 1) * 8,
        };
        if header == HOP_BY_HOP && jumbogram {
            walk.jumbo = size;
        }
        walk.end += size;
        walk.protocol = following;
        if !walk.first_fragment {
            break;
        }
    }
    walk
}

/// Sets the ports and returns the length of the L4 header that a segment repeats, 0 where no GSO type segments it.
#[inline(always)]
fn ports(skb: *mut __sk_buff, direction: Direction, offset: u32, key: &mut FlowKey) -> u32 {
    let (ports, len) = match key.protocol {
        TCP => match load::<Tcp>(skb, offset) {
            Some(tcp) => (tcp.ports, u32::from(u16::from_be(tcp.offset_flags) >> 12) * 4),
            None => return 0,
        },
        UDP | UDP_LITE | DCCP | SCTP => match load::<[u16; 2]>(skb, offset) {
            Some(ports) => (ports, if key.protocol == SCTP { 12 } else { 8 }),
            None => return 0,
        },
        _ => return 0,
    };
    let [src, dst] = ports;
    let (local, remote) = ends(direction, src, dst);
    key.local_port = u16::from_be(local);
    key.remote_port = u16::from_be(remote);
    len
}
