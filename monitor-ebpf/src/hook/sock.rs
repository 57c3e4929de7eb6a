//! Sockets as they are made, bound and closed (net/ipv4/af_inet.c: `inet_create`, `__inet_bind`, `inet_release`).
//! All return 1 = allow. Kernel sockets and accepted sockets do not pass `sock_create`.

use crate::owner::{self, Reader};
use crate::sk::Sock;
use aya_ebpf::macros::cgroup_sock;
use aya_ebpf::programs::SockContext;
use monitor_common::{CLAIM_BIND, CLAIM_CREATE};

/// The context of a cgroup/sock program is the socket.
#[inline(always)]
fn socket(ctx: &SockContext) -> Sock {
    // SAFETY: the program's own context.
    unsafe { Sock::assume(ctx.sock.cast()) }
}

#[inline(always)]
fn claim(ctx: &SockContext, method: u8) {
    let sock = socket(ctx);
    owner::claim(sock, sock.cookie(), sock.netns_cookie(), method, Reader::Cgroup, true);
}

#[cgroup_sock(sock_create)]
pub(crate) fn sock_create(ctx: SockContext) -> i32 {
    claim(&ctx, CLAIM_CREATE);
    1
}

#[cgroup_sock(post_bind4)]
pub(crate) fn post_bind4(ctx: SockContext) -> i32 {
    claim(&ctx, CLAIM_BIND);
    1
}

#[cgroup_sock(post_bind6)]
pub(crate) fn post_bind6(ctx: SockContext) -> i32 {
    claim(&ctx, CLAIM_BIND);
    1
}

#[cgroup_sock(sock_release)]
pub(crate) fn sock_release(ctx: SockContext) -> i32 {
    let sock = socket(&ctx);
    owner::release(sock, sock.cookie());
    1
}
