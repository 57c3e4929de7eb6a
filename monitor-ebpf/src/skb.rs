//! Packets as programs get them: the context `struct __sk_buff`, and bytes of the packet.
//!
//! What the bytes say is `key`'s business.

use crate::sk::FullSock;
use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::generated::{
    bpf_get_netns_cookie, bpf_get_socket_cookie, bpf_get_socket_uid, bpf_sk_fullsock, bpf_skb_load_bytes,
};
use aya_ebpf::programs::SkBuffContext;
use core::mem::MaybeUninit;
use monitor_common::Plain;

/// The packet of a program run.
#[derive(Clone, Copy)]
pub(crate) struct Skb(*mut __sk_buff);

impl From<SkBuffContext> for Skb {
    #[inline(always)]
    fn from(context: SkBuffContext) -> Self {
        Self(context.skb.skb)
    }
}

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[inline(always)]
        pub(crate) fn $name(self) -> u32 {
            // SAFETY: a field of the program's context, which is there as long as it runs.
            unsafe { (*self.0).$name }
        }
    )*};
}

macro_rules! helpers {
    ($($(#[$doc:meta])* $name:ident() -> $type:ty = $helper:ident;)*) => {$(
        $(#[$doc])*
        #[inline(always)]
        pub(crate) fn $name(self) -> $type {
            // SAFETY: the program's context.
            unsafe { $helper(self.0.cast()) }
        }
    )*};
}

impl Skb {
    fields! {
        /// Bytes, from where the program sees it.
        len;
        /// Segments on the wire, 0 where it is not known or one.
        gso_segs;
        /// Payload bytes of a segment, 0 where it is one.
        gso_size;
        /// Index of the device.
        ifindex;
        /// The Ethernet type, in network order.
        protocol;
        /// `PACKET_*` of linux/if_packet.h.
        pkt_type;
        /// Whether the kernel keeps a VLAN tag beside the data.
        vlan_present;
        /// That tag.
        vlan_tci;
    }

    helpers! {
        /// Cookie of its socket, 0 where it has none.
        cookie() -> u64 = bpf_get_socket_cookie;
        /// Cookie of the network namespace of its socket, or of its device. Not every kernel has the helper.
        netns_cookie() -> u64 = bpf_get_netns_cookie;
        /// User of its socket.
        uid() -> u32 = bpf_get_socket_uid;
    }

    /// Its socket, where that is a full one: no handshake, nothing that waits for its end.
    #[inline(always)]
    pub(crate) fn socket(self) -> Option<FullSock> {
        // SAFETY: a context field; the helper takes only a socket that is not null.
        unsafe {
            let socket = (*self.0).__bindgen_anon_2.sk;
            if socket.is_null() { None } else { FullSock::assume(bpf_sk_fullsock(socket)) }
        }
    }

    /// Reads a `T` at `offset` from the start of what the program sees; `None` where the packet ends before.
    #[inline(always)]
    pub(crate) fn load<T: Plain>(self, offset: u32) -> Option<T> {
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: the context, and a buffer of the size that is passed. Where it gives 0 the helper wrote all of it, and any
        // bytes are a `T`.
        unsafe {
            let result =
                bpf_skb_load_bytes(self.0.cast(), offset, value.as_mut_ptr().cast(), size_of::<T>() as u32);
            if result == 0 { Some(value.assume_init()) } else { None }
        }
    }

    /// The byte at `BYTE` and the two bytes at `PAIR`, which is behind it, in network order. Read where they lie: two loads,
    /// where a helper would cost as much as all else. `None` where the packet ends before or is in pieces.
    #[inline(always)]
    pub(crate) fn peek<const BYTE: usize, const PAIR: usize>(self) -> Option<(u8, u16)> {
        const { assert!(BYTE < PAIR) };
        // SAFETY: context fields; the verifier knows them as the packet's bounds, and each load is behind the check.
        unsafe {
            let start = (*self.0).data as usize as *const u8;
            let end = (*self.0).data_end as usize as *const u8;
            if start.wrapping_add(PAIR + 2) > end {
                return None;
            }
            Some((
                start.wrapping_add(BYTE).read_volatile(),
                start.wrapping_add(PAIR).cast::<u16>().read_volatile(),
            ))
        }
    }
}
