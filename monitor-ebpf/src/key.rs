//! From a packet's headers to the ends of its flow.
//!
//! Works at any offset, so that the cgroup hooks (which see L3) and the taps (which see frames) share it. Reads IPv4 and IPv6 (extension headers included) and the ports of TCP, UDP, UDP-Lite, DCCP and SCTP. It does not
//! decide who owns the packet, and it looks into no tunnel.

use crate::skb::Skb;
use monitor_common::{FlowKey, Plain, TapKey};

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
/// The bit that says that more of the datagram follows.
const MORE_FRAGMENTS: u16 = 0x2000;

/// IPv6 extension headers that are walked; a packet with more is counted under the next header that is left.
const MAX_EXTENSIONS: u32 = 6;

/// Which way a packet goes, as a constant of each program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// To this host.
    Ingress,
    /// From this host.
    Egress,
}

/// Lengths that the GSO correction needs, and what a tap asks beyond.
pub(crate) struct Headers {
    /// L3 and L4 headers, in bytes, without `jumbo`.
    pub len: u32,
    /// Length of a BIG TCP jumbo hop-by-hop header, or 0.
    pub jumbo: u32,
    /// Length of the packet as its IP header has it, 0 where that does not say. A short frame is padded beyond it.
    pub total: u32,
    /// Part of a fragmented datagram.
    pub fragment: bool,
}

/// A key that `parse` fills.
pub(crate) trait Ends {
    /// The address of this host's end, or the source.
    fn local(&mut self) -> &mut [u8; 16];
    /// The address of the other end, or the destination.
    fn remote(&mut self) -> &mut [u8; 16];
    /// Sets the ports, host order.
    fn set_ports(&mut self, local: u16, remote: u16);
    /// Sets the version of IP.
    fn set_version(&mut self, version: u8);
    /// The IP protocol number.
    fn protocol(&mut self) -> &mut u8;
}

macro_rules! ends {
    ($key:ty: $local:ident, $remote:ident, $local_port:ident, $remote_port:ident) => {
        impl Ends for $key {
            #[inline(always)]
            fn local(&mut self) -> &mut [u8; 16] {
                &mut self.$local
            }
            #[inline(always)]
            fn remote(&mut self) -> &mut [u8; 16] {
                &mut self.$remote
            }
            #[inline(always)]
            fn set_ports(&mut self, local: u16, remote: u16) {
                self.$local_port = local;
                self.$remote_port = remote;
            }
            #[inline(always)]
            fn set_version(&mut self, version: u8) {
                self.ip_version = version;
            }
            #[inline(always)]
            fn protocol(&mut self) -> &mut u8 {
                &mut self.protocol
            }
        }
    };
}
ends!(FlowKey: local_addr, remote_addr, local_port, remote_port);
ends!(TapKey: src_addr, dst_addr, src_port, dst_port);

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
// SAFETY: `repr(C)`, of integers and arrays of them, without padding.
unsafe impl Plain for Ipv4 {}

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
// SAFETY: `repr(C)`, of integers and arrays of them, without padding.
unsafe impl Plain for Ipv6 {}

#[repr(C)]
#[derive(Clone, Copy)]
struct Tcp {
    ports: [u16; 2],
    sequence: u32,
    ack: u32,
    offset_flags: u16,
}
// SAFETY: `repr(C)`, of integers and arrays of them, without padding.
unsafe impl Plain for Tcp {}

/// Fills addresses, ports, protocol and version of `key` from the packet that begins at `base`. `None` where it is not
/// IP or too short.
#[inline(always)]
pub(crate) fn parse<K: Ends>(skb: Skb, base: u32, direction: Direction, key: &mut K) -> Option<Headers> {
    let version = skb.load::<u8>(base)? >> 4;
    key.set_version(version);
    let mut jumbo = 0;
    let (total, fragment, first_fragment);
    let l3 = if version == 4 {
        let ip = skb.load::<Ipv4>(base)?;
        let offset = u16::from_be(ip.fragment);
        first_fragment = offset & FRAGMENT_OFFSET == 0;
        fragment = offset & (MORE_FRAGMENTS | FRAGMENT_OFFSET) != 0;
        total = u32::from(u16::from_be(ip.len));
        *key.protocol() = ip.protocol;
        let (local, remote) = ends(direction, ip.src, ip.dst);
        set_ipv4(key.local(), local);
        set_ipv4(key.remote(), remote);
        u32::from(ip.version_ihl & 0xf) * 4
    } else if version == 6 {
        let ip = skb.load::<Ipv6>(base)?;
        let (local, remote) = ends(direction, ip.src, ip.dst);
        *key.local() = local;
        *key.remote() = remote;
        let payload = u32::from(u16::from_be(ip.payload_len));
        total = if payload == 0 { 0 } else { payload + size_of::<Ipv6>() as u32 };
        let walk = extensions(skb, base, ip.next, payload == 0);
        *key.protocol() = walk.protocol;
        jumbo = walk.jumbo;
        first_fragment = walk.first_fragment;
        fragment = walk.fragment;
        walk.end
    } else {
        return None;
    };
    let l4 = if first_fragment { ports(skb, direction, base + l3, key) } else { 0 };
    Some(Headers { len: l3.saturating_sub(jumbo).saturating_add(l4), jumbo, total, fragment })
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
    fragment: bool,
}

/// Walks the IPv6 extension headers (RFC 8200, 4.1). A hop-by-hop header of a packet without payload length is BIG
/// TCP's jumbogram option (RFC 2675), which never reaches the wire on a segment.
#[inline(always)]
fn extensions(skb: Skb, base: u32, next: u8, jumbogram: bool) -> Walk {
    let end = size_of::<Ipv6>() as u32;
    let mut walk = Walk { protocol: next, end, jumbo: 0, first_fragment: true, fragment: false };
    for _ in 0..MAX_EXTENSIONS {
        let header = walk.protocol;
        if !matches!(header, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION) {
            break;
        }
        let Some([following, len, hi, lo]) = skb.load::<[u8; 4]>(base + walk.end) else { break };
        let size = match header {
            FRAGMENT => {
                walk.fragment = true;
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
fn ports<K: Ends>(skb: Skb, direction: Direction, offset: u32, key: &mut K) -> u32 {
    let protocol = *key.protocol();
    let (ports, len) = match protocol {
        TCP => match skb.load::<Tcp>(offset) {
            Some(tcp) => (tcp.ports, u32::from(u16::from_be(tcp.offset_flags) >> 12) * 4),
            None => return 0,
        },
        UDP | UDP_LITE | DCCP | SCTP => match skb.load::<[u16; 2]>(offset) {
            Some(ports) => (ports, if protocol == SCTP { 12 } else { 8 }),
            None => return 0,
        },
        _ => return 0,
    };
    let [src, dst] = ports;
    let (local, remote) = ends(direction, src, dst);
    key.set_ports(u16::from_be(local), u16::from_be(remote));
    len
}
