//! Sockets as they are made, bound and closed (net/ipv4/af_inet.c: `inet_create`, `__inet_bind`, `inet_release`).
//! All return 1 = allow. Kernel sockets and accepted sockets do not pass `sock_create`.

use crate::owner::{Reader, claim, release};
use aya_ebpf::bindings::bpf_sock;
use aya_ebpf::helpers::generated::{bpf_get_netns_cookie, bpf_get_socket_cookie};
use aya_ebpf::macros::cgroup_sock;
use aya_ebpf::programs::SockContext;
use monitor_common::{CLAIM_BIND, CLAIM_CREATE};

#[inline(always)]
fn claim_sock(sock: *mut bpf_sock, method: u8) {
    // SAFETY: the context of a cgroup/sock program is the socket.
    unsafe {
        let cookie = bpf_get_socket_cookie(sock.cast());
        let netns = bpf_get_netns_cookie(sock.cast());
        claim(sock.cast(), cookie, netns, method, Reader::Cgroup, true);
    }
}

#[cgroup_sock(sock_create)]
pub fn sock_create(ctx: SockContext) -> i32 {
    claim_sock(ctx.sock, CLAIM_CREATE);
    1
}

#[cgroup_sock(post_bind4)]
pub fn post_bind4(ctx: SockContext) -> i32 {
    claim_sock(ctx.sock, CLAIM_BIND);
    1
}

#[cgroup_sock(post_bind6)]
pub fn post_bind6(ctx: SockContext) -> i32 {
    claim_sock(ctx.sock, CLAIM_BIND);
    1
}

#[cgroup_sock(sock_release)]
pub fn sock_release(ctx: SockContext) -> i32 {
    // SAFETY: as above.
    unsafe {
        let cookie = bpf_get_socket_cookie(ctx.sock.cast());
        release(ctx.sock.cast(), cookie);
    }
    1
}
