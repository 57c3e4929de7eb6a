//! From a socket to the ends of its flow, and whether a packet is the one that the socket sent or the outside of it.
//!
//! What the packet itself says is `key`'s business.

use crate::maps::WIRE;
use crate::slot::{Slot, zero};
use aya_ebpf::bindings::{__sk_buff, BPF_NOEXIST, bpf_sock};
use core::ptr;
use monitor_common::{FlowKey, Tuple, WireKey};

const SOCK_RAW: u32 = 3;
const TCP: u32 = 6;
const UDP: u32 = 17;
const ESP: u32 = 50;
const AH: u32 = 51;
const UDP_LITE: u32 = 136;
/// The port of ESP in UDP and of IKE beside it (RFC 3948).
const ESP_IN_UDP: u16 = 4500;
const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;

/// The own ends of a connected TCP or UDP socket; false where it is none and the packet has to say. Under NAT the
/// packet's ends differ from packet to packet, the socket's do not. `CHECK`: false, too, where the packet does not begin
/// as one that the socket made itself; it has to be read then.
#[inline(always)]
pub fn connected_tuple<const CHECK: bool>(
    skb: *mut __sk_buff,
    socket: *mut bpf_sock,
    key: &mut FlowKey,
) -> bool {
    if socket.is_null() {
        return false;
    }
    // SAFETY: a full socket, and the context.
    let (protocol, remote_port, kind, ethertype) = unsafe {
        (
            (*socket).protocol,
            (&raw const (*socket).dst_port).read_volatile(),
            (*socket).type_,
            (*skb).protocol as u16,
        )
    };
    let has_ports = matches!(protocol, TCP | UDP | UDP_LITE);
    // A raw socket may say that it speaks one of these.
    if remote_port == 0 || kind == SOCK_RAW || !has_ports {
        return false;
    }
    key.protocol = protocol as u8;
    key.remote_port = u16::from_be(remote_port);
    // SAFETY: as above. Every load is volatile: the compiler must not turn two of them into one load from a chosen
    // address, which the verifier refuses. The addresses are in network order already.
    unsafe {
        key.local_port = (&raw const (*socket).src_port).read_volatile() as u16;
        let local = key.local_addr.as_mut_ptr().cast::<u32>();
        let remote = key.remote_addr.as_mut_ptr().cast::<u32>();
        // The version is the packet's: an AF_INET6 socket with a mapped peer sends IPv4.
        if ethertype == ETH_P_IP.to_be() {
            if CHECK && !begins_as::<20, 9>(skb, protocol) {
                return false;
            }
            key.ip_version = 4;
            local.write_volatile((&raw const (*socket).src_ip4).read_volatile());
            remote.write_volatile((&raw const (*socket).dst_ip4).read_volatile());
        } else if ethertype == ETH_P_IPV6.to_be() {
            if CHECK && !begins_as::<40, 6>(skb, protocol) {
                return false;
            }
            key.ip_version = 6;
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
        } else {
            return false;
        }
    }
    true
}

/// Whether the headers are one of IP of `LENGTH` bytes, whose byte `AT` is this protocol, and ports that are not those of
/// ESP in UDP. Read where they lie: two loads, where a helper would cost as much as all else.
#[inline(always)]
fn begins_as<const LENGTH: usize, const AT: usize>(skb: *mut __sk_buff, protocol: u32) -> bool {
    // SAFETY: context fields; the verifier knows them as the packet's bounds, and each load is behind the check.
    unsafe {
        let start = (*skb).data as usize as *const u8;
        let end = (*skb).data_end as usize as *const u8;
        if start.wrapping_add(LENGTH + 4) > end {
            return false;
        }
        let port = start.wrapping_add(LENGTH + 2).cast::<u16>();
        u32::from(start.wrapping_add(AT).read_volatile()) == protocol
            && port.read_volatile() != ESP_IN_UDP.to_be()
    }
}

/// Whether the packet, whose headers are in `key`, is not the one that the socket made but the outside of it: the kernel
/// sends ESP, AH and ESP in UDP in the name of the socket that sent what is inside.
#[inline(always)]
pub fn encapsulates(socket: *mut bpf_sock, key: &FlowKey) -> bool {
    if socket.is_null() {
        return false;
    }
    // SAFETY: a full socket; volatile as in `connected_tuple`.
    let (protocol, kind, source, port) = unsafe {
        (
            (&raw const (*socket).protocol).read_volatile(),
            (&raw const (*socket).type_).read_volatile(),
            (&raw const (*socket).src_port).read_volatile() as u16,
            u16::from_be((&raw const (*socket).dst_port).read_volatile()),
        )
    };
    // A raw socket sends what it likes.
    if kind == SOCK_RAW {
        return false;
    }
    match u32::from(key.protocol) {
        ESP | AH => true,
        // A daemon of IKE sends from and to this port itself.
        UDP => {
            key.remote_port == ESP_IN_UDP
                && (protocol != UDP || (port != ESP_IN_UDP && source != key.local_port))
        }
        _ => false,
    }
}

/// As [`connected_tuple`], and notes the packet's tuple where it is not the socket's: it is what a device carries. Once
/// a tick and socket. What the kernel said where it was to be kept.
#[inline(always)]
pub fn tapped_tuple(skb: *mut __sk_buff, socket: *mut bpf_sock, key: &mut FlowKey) -> Result<(), i32> {
    let (mut wire, mut own) = (Slot::new(), Slot::new());
    let (wire, own) = (zero::<Tuple>(&mut wire), zero::<WireKey>(&mut own));
    copy_tuple(key, wire);
    if !connected_tuple::<false>(skb, socket, key) {
        return Ok(());
    }
    own.cookie = key.cookie;
    copy_tuple(key, &mut own.socket);
    let (left, right) = (ptr::from_ref(&own.socket).cast::<u64>(), ptr::from_ref(wire).cast::<u64>());
    let mut differs = 0;
    let mut index = 0;
    while index < size_of::<Tuple>() / 8 {
        // SAFETY: both are 40 initialised bytes, and aligned: they stand in a `Slot`, at a multiple of 8.
        differs |= unsafe { left.add(index).read_volatile() ^ right.add(index).read_volatile() };
        index += 1;
    }
    if differs == 0 { Ok(()) } else { WIRE.insert(&*own, &*wire, u64::from(BPF_NOEXIST)) }
}

#[inline(always)]
fn copy_tuple(key: &FlowKey, tuple: &mut Tuple) {
    tuple.local_addr = key.local_addr;
    tuple.remote_addr = key.remote_addr;
    tuple.local_port = key.local_port;
    tuple.remote_port = key.remote_port;
    tuple.protocol = key.protocol;
    tuple.ip_version = key.ip_version;
}
