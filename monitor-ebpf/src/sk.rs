//! Sockets, as each kind of program gets them, and the storage in which their owners are.
//!
//! Who owns a socket is `owner`'s business.

use crate::btf::BtfPtr;
use crate::maps::{CLONE, OFFSETS, OWNERS, OWNERS_NO_CLONE, global};
use crate::mem::Live;
use aya_ebpf::bindings::{BPF_SK_STORAGE_GET_F_CREATE, bpf_sock, bpf_tcp_sock, file};
use aya_ebpf::helpers::generated::{
    bpf_get_netns_cookie, bpf_get_socket_cookie, bpf_sk_cgroup_id, bpf_sk_storage_get, bpf_sock_from_file,
    bpf_tcp_sock as tcp_sock,
};
use core::ffi::c_void;
use core::ptr::{self, NonNull};
use monitor_common::Owner;

/// `SOCK_RAW`.
pub(crate) const SOCK_RAW: u32 = 3;

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
/// The family of packet sockets.
pub(crate) const AF_PACKET: u16 = 17;

/// A socket as helpers take it, whatever the program.
#[derive(Clone, Copy)]
pub(crate) struct Sock(*mut c_void);

macro_rules! helpers {
    ($($(#[$doc:meta])* $name:ident = $helper:ident;)*) => {$(
        $(#[$doc])*
        #[inline(always)]
        pub(crate) fn $name(self) -> u64 {
            // SAFETY: a socket that the verifier knows; it refuses one that the helper does not take.
            unsafe { $helper(self.0) }
        }
    )*};
}

impl Sock {
    /// A program's context or argument.
    ///
    /// # Safety
    /// The verifier must know it as a socket that is not null.
    #[inline(always)]
    pub(crate) const unsafe fn assume(sk: *mut c_void) -> Self {
        Self(sk)
    }

    helpers! {
        /// Its cookie, made where it has none yet. Of a socket that is a program's context or a tracing program's argument.
        cookie = bpf_get_socket_cookie;
        /// Cookie of its network namespace. Of a socket that is a program's context.
        netns_cookie = bpf_get_netns_cookie;
    }

    /// Its owner's storage; `None` where there is none and `create` is false (or memory is short).
    #[inline(always)]
    pub(crate) fn owner(self, create: bool) -> Option<Live<'static, Owner>> {
        let flags = if create { u64::from(BPF_SK_STORAGE_GET_F_CREATE) } else { 0 };
        // SAFETY: a socket that the verifier knows, and maps whose pointers the loader relocates. What the helper gives, if
        // anything, lives as long as the socket.
        unsafe {
            let owner = if global(&CLONE) == 1 {
                bpf_sk_storage_get(ptr::from_ref(&OWNERS).cast_mut().cast(), self.0, ptr::null_mut(), flags)
            } else {
                let map = ptr::from_ref(&OWNERS_NO_CLONE).cast_mut().cast();
                bpf_sk_storage_get(map, self.0, ptr::null_mut(), flags)
            };
            let owner = owner.cast::<Owner>();
            if owner.is_null() { None } else { Some(Live::assume(owner)) }
        }
    }
}

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident() -> $type:ty = $field:ident;)*) => {$(
        $(#[$doc])*
        #[inline(always)]
        pub(crate) fn $name(self) -> $type {
            // SAFETY: a field of what the helper gave. Volatile: the verifier rewrites each load, so the compiler must not
            // turn two of them into one from a chosen address.
            unsafe { (&raw const (*self.0.as_ptr()).$field).read_volatile() }
        }
    )*};
}

/// `struct bpf_sock`: the full socket of a packet.
#[derive(Clone, Copy)]
pub(crate) struct FullSock(NonNull<bpf_sock>);

impl FullSock {
    /// What `bpf_sk_fullsock` gave; `None` for null.
    ///
    /// # Safety
    /// Only for what it gave.
    #[inline(always)]
    pub(crate) const unsafe fn assume(socket: *mut bpf_sock) -> Option<Self> {
        match NonNull::new(socket) {
            Some(socket) => Some(Self(socket)),
            None => None,
        }
    }

    fields! {
        /// IP protocol number.
        protocol() -> u32 = protocol;
        /// `SOCK_*`.
        kind() -> u32 = type_;
        /// `TCP_*` of net/tcp_states.h.
        state() -> u32 = state;
        /// The own port, in host order.
        local_port() -> u32 = src_port;
        /// The other end's port, in network order; 0 where it is not connected.
        remote_port() -> u16 = dst_port;
        /// The own IPv4 address, in network order.
        local_ip4() -> u32 = src_ip4;
        /// The other end's.
        remote_ip4() -> u32 = dst_ip4;
    }

    /// One of the four words of the own IPv6 address, and of the other end's, in network order.
    #[inline(always)]
    pub(crate) fn ip6<const WORD: usize>(self) -> (u32, u32) {
        const { assert!(WORD < 4) };
        let socket = self.0.as_ptr();
        // SAFETY: as the other fields.
        unsafe {
            (
                (&raw const (*socket).src_ip6).cast::<u32>().add(WORD).read_volatile(),
                (&raw const (*socket).dst_ip6).cast::<u32>().add(WORD).read_volatile(),
            )
        }
    }

    /// Its cgroup2 id.
    #[inline(always)]
    pub(crate) fn cgroup(self) -> u64 {
        // SAFETY: a full socket.
        unsafe { bpf_sk_cgroup_id(self.0.as_ptr().cast()) }
    }

    /// As a socket.
    #[inline(always)]
    pub(crate) const fn sock(self) -> Sock {
        Sock(self.0.as_ptr().cast())
    }

    /// As a TCP connection, where it is one (net/core/filter.c, `bpf_tcp_sock`).
    #[inline(always)]
    pub(crate) fn tcp(self) -> Option<TcpSock> {
        // SAFETY: a full socket.
        NonNull::new(unsafe { tcp_sock(self.0.as_ptr()) }).map(TcpSock)
    }
}

/// `struct bpf_tcp_sock`: what the kernel knows of a connection.
#[derive(Clone, Copy)]
pub(crate) struct TcpSock(NonNull<bpf_tcp_sock>);

impl TcpSock {
    fields! {
        /// Smoothed round-trip time in units of 1/8 us; 0 before the first.
        srtt() -> u32 = srtt_us;
        /// Payload bytes that the peer acknowledged.
        acked() -> u64 = bytes_acked;
        /// Payload bytes received in order.
        received() -> u64 = bytes_received;
        /// Congestion window, segments.
        cwnd() -> u32 = snd_cwnd;
        /// Segments sent again.
        retransmits() -> u32 = total_retrans;
        /// The oldest sequence number that is not acknowledged.
        oldest() -> u32 = snd_una;
        /// The next one to be sent.
        next() -> u32 = snd_nxt;
    }
}

/// `struct sock`, as tracing programs get it.
#[derive(Clone, Copy)]
pub(crate) struct TracedSock(BtfPtr);

impl TracedSock {
    /// A program's argument.
    ///
    /// # Safety
    /// The verifier must know it as a socket.
    #[inline(always)]
    pub(crate) const unsafe fn assume(sk: *const u8) -> Self {
        // SAFETY: the caller's.
        Self(unsafe { BtfPtr::assume(sk) })
    }

    /// That of an open file; `None` where it is no socket, or has none.
    ///
    /// # Safety
    /// The verifier must know it as a file that is not null.
    #[inline(always)]
    pub(crate) unsafe fn of_file(file: *mut file) -> Option<Self> {
        // SAFETY: the caller's; the helper gives a `struct socket` that the verifier knows, or null.
        let socket = unsafe { BtfPtr::assume(bpf_sock_from_file(file).cast_const().cast()) };
        if socket.is_null() {
            return None;
        }
        let sk = socket.follow(global(&OFFSETS.socket_sk));
        if sk.is_null() { None } else { Some(Self(sk)) }
    }

    /// The address family.
    #[inline(always)]
    pub(crate) fn family(self) -> u16 {
        self.0.read(global(&OFFSETS.skc_family))
    }

    /// Whether it is an IP socket.
    #[inline(always)]
    pub(crate) fn is_inet(self) -> bool {
        let family = self.family();
        family == AF_INET || family == AF_INET6
    }

    /// Its cookie where it lies; 0 where it has none yet.
    #[inline(always)]
    pub(crate) fn cookie(self) -> u64 {
        self.0.read(global(&OFFSETS.skc_cookie))
    }

    /// The netns cookie, where it lies: tracing programs have no helper for it (Linux 5.12 made it a number that is there
    /// from the start). 0 where it cannot be read.
    #[inline(always)]
    pub(crate) fn netns_cookie(self) -> u64 {
        if global(&OFFSETS.skc_net) == 0 || global(&OFFSETS.net_cookie) == 0 {
            return 0;
        }
        self.0.follow(global(&OFFSETS.skc_net)).read(global(&OFFSETS.net_cookie))
    }

    /// Whether a process holds its lock (include/net/sock.h, `sock_owned_by_user`). False where that cannot be read.
    #[inline(always)]
    pub(crate) fn is_owned(self) -> bool {
        let owned = global(&OFFSETS.sock_owned);
        owned != 0 && self.0.read::<u32>(owned) != 0
    }

    /// As a socket.
    #[inline(always)]
    pub(crate) const fn sock(self) -> Sock {
        Sock(self.0.as_ptr().cast_mut().cast())
    }
}
