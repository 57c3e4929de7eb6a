//! From a socket to the ends of its flow, and whether a packet is the one that the socket sent or the outside of it.
//!
//! What the packet itself says is `key`'s business.

use crate::maps::WIRE;
use crate::mem::{Slot, zero};
use crate::sk::{FullSock, SOCK_RAW};
use crate::skb::Skb;
use aya_ebpf::bindings::BPF_NOEXIST;
use core::mem::offset_of;
use core::ptr;
use monitor_common::{FlowKey, Tuple, WireKey};

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
pub(crate) fn connected_tuple<const CHECK: bool>(
    skb: Skb,
    socket: Option<FullSock>,
    key: &mut FlowKey,
) -> bool {
    let Some(socket) = socket else { return false };
    let (protocol, remote_port, kind) = (socket.protocol(), socket.remote_port(), socket.kind());
    let has_ports = matches!(protocol, TCP | UDP | UDP_LITE);
    // A raw socket may say that it speaks one of these.
    if remote_port == 0 || kind == SOCK_RAW || !has_ports {
        return false;
    }
    key.protocol = protocol as u8;
    key.remote_port = u16::from_be(remote_port);
    key.local_port = socket.local_port() as u16;
    // The version is the packet's: an AF_INET6 socket with a mapped peer sends IPv4.
    let ethertype = skb.protocol() as u16;
    if ethertype == ETH_P_IP.to_be() {
        if CHECK && !begins_as::<9, 22>(skb, protocol) {
            return false;
        }
        key.ip_version = 4;
        set_word::<0>(key, (socket.local_ip4(), socket.remote_ip4()));
    } else if ethertype == ETH_P_IPV6.to_be() {
        if CHECK && !begins_as::<6, 42>(skb, protocol) {
            return false;
        }
        key.ip_version = 6;
        set_word::<0>(key, socket.ip6::<0>());
        set_word::<1>(key, socket.ip6::<1>());
        set_word::<2>(key, socket.ip6::<2>());
        set_word::<3>(key, socket.ip6::<3>());
    } else {
        return false;
    }
    true
}

/// Sets one word of both addresses, which are in network order already.
#[inline(always)]
fn set_word<const WORD: usize>(key: &mut FlowKey, (local, remote): (u32, u32)) {
    const {
        assert!(WORD < 4);
        assert!(offset_of!(FlowKey, local_addr).is_multiple_of(align_of::<u32>()));
        assert!(offset_of!(FlowKey, remote_addr).is_multiple_of(align_of::<u32>()));
    }
    let to_local = key.local_addr.as_mut_ptr().cast::<u32>();
    let to_remote = key.remote_addr.as_mut_ptr().cast::<u32>();
    // SAFETY: inside the addresses, and aligned as the key is.
    unsafe {
        to_local.add(WORD).write_volatile(local);
        to_remote.add(WORD).write_volatile(remote);
    }
}

/// Whether the headers are one of IP, whose byte `AT` is this protocol, and ports, of which that at `PORT` is not that of ESP
/// in UDP.
#[inline(always)]
fn begins_as<const AT: usize, const PORT: usize>(skb: Skb, protocol: u32) -> bool {
    skb.peek::<AT, PORT>()
        .is_some_and(|(found, port)| u32::from(found) == protocol && port != ESP_IN_UDP.to_be())
}

/// Whether the packet, whose headers are in `key`, is not the one that the socket made but the outside of it: the kernel
/// sends ESP, AH and ESP in UDP in the name of the socket that sent what is inside.
#[inline(always)]
pub(crate) fn encapsulates(socket: Option<FullSock>, key: &FlowKey) -> bool {
    let Some(socket) = socket else { return false };
    let (protocol, kind) = (socket.protocol(), socket.kind());
    let (source, port) = (socket.local_port() as u16, u16::from_be(socket.remote_port()));
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
pub(crate) fn tapped_tuple(skb: Skb, socket: Option<FullSock>, key: &mut FlowKey) -> Result<(), i32> {
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
