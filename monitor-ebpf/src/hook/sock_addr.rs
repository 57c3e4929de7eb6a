//! System calls with an address (net/ipv4/af_inet.c `inet_stream_connect`, `inet_getname`; net/ipv4/udp.c
//! `udp_sendmsg`, `udp_recvmsg`). All return 1 = allow and change nothing. `getpeername` also runs inside
//! accept(2) with an address, on the accepted socket, which is what makes a pre-fork worker known.

use crate::owner::{Reader, claim};
use crate::sk::Sock;
use aya_ebpf::macros::cgroup_sock_addr;
use aya_ebpf::programs::SockAddrContext;
use monitor_common::{CLAIM_ACCEPT, CLAIM_CONNECT, CLAIM_MESSAGE};

#[inline(always)]
fn claim_addr(ctx: &SockAddrContext, method: u8) {
    // SAFETY: the program's own context, by which the helpers find the socket as well, and its field.
    let (context, sk) = unsafe { (Sock::assume(ctx.sock_addr.cast()), (*ctx.sock_addr).__bindgen_anon_1.sk) };
    if sk.is_null() {
        return;
    }
    let (cookie, netns) = (context.cookie(), context.netns_cookie());
    // SAFETY: a socket that is not null.
    claim(unsafe { Sock::assume(sk.cast()) }, cookie, netns, method, Reader::Cgroup, true);
}

macro_rules! hooks {
    ($($name:ident: $method:expr;)*) => {
        $(
            #[cgroup_sock_addr($name)]
            pub(crate) fn $name(ctx: SockAddrContext) -> i32 {
                claim_addr(&ctx, $method);
                1
            }
        )*
    };
}

hooks! {
    connect4: CLAIM_CONNECT;
    connect6: CLAIM_CONNECT;
    sendmsg4: CLAIM_MESSAGE;
    sendmsg6: CLAIM_MESSAGE;
    recvmsg4: CLAIM_MESSAGE;
    recvmsg6: CLAIM_MESSAGE;
    getpeername4: CLAIM_ACCEPT;
    getpeername6: CLAIM_ACCEPT;
}
