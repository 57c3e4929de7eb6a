//! BTF tracepoints: who really reads and writes, and who executes what. They observe only; the result is ignored.

use crate::life;
use crate::maps::{OFFSETS, SCOPED, TRACING, global};
use crate::owner::{Reader, claim, claim_without_storage, field};
use crate::packet;
use aya_ebpf::helpers::generated::bpf_get_socket_cookie;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use monitor_common::{CLAIM_READ, CLAIM_SEND, CLAIM_TRANSFER};

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const AF_PACKET: u16 = 17;
const MSG_PEEK: i32 = 0x2;
const MSG_ERRQUEUE: i32 = 0x2000;

/// Whether a `struct sock` is an IP socket.
///
/// # Safety
/// `sk` must be a socket that the verifier knows.
#[inline(always)]
pub unsafe fn is_inet(sk: *const u8) -> bool {
    // SAFETY: the caller's.
    let family = unsafe { family(sk) };
    family == AF_INET || family == AF_INET6
}

/// The address family.
///
/// # Safety
/// As [`is_inet`].
#[inline(always)]
unsafe fn family(sk: *const u8) -> u16 {
    // SAFETY: the caller's.
    unsafe { field::<u16>(sk, global(&OFFSETS.skc_family)) }
}

#[inline(always)]
fn claim_traced(sk: *const u8, method: u8) {
    // SAFETY: the tracepoint's own socket argument.
    unsafe {
        if !is_inet(sk) {
            return;
        }
        // Read where it lies; the helper is only needed where the socket has none yet.
        let mut cookie = field::<u64>(sk, global(&OFFSETS.skc_cookie));
        if global(&TRACING) == 0 {
            // Without a cookie no packet hook has seen the socket yet, so there are no bytes to claim.
            if cookie != 0 {
                claim_without_storage(cookie, method);
            }
            return;
        }
        if cookie == 0 {
            cookie = bpf_get_socket_cookie(sk.cast_mut().cast());
        }
        claim(sk.cast_mut().cast(), cookie, 0, method, Reader::Tracing, global(&SCOPED) == 0);
    }
}

/// include/trace/events/sock.h: `sock_send_length(struct sock *sk, int ret, int flags)`, after the bytes were accepted.
#[btf_tracepoint(function = "sock_send_length")]
pub fn sock_send_length(ctx: BtfTracePointContext) -> u32 {
    let (sk, sent) = (ctx.arg(0), ctx.arg::<i32>(1));
    if sent > 0 {
        // SAFETY: the tracepoint's own socket argument, in the sender's context.
        unsafe {
            if family(sk) == AF_PACKET {
                packet::sent(sk, u64::from(sent.cast_unsigned()));
            } else {
                claim_traced(sk, CLAIM_TRANSFER);
            }
        }
    }
    0
}

/// `sock_recv_length(struct sock *sk, int ret, int flags)`. Peeking and the error queue are not use.
#[btf_tracepoint(function = "sock_recv_length")]
pub fn sock_recv_length(ctx: BtfTracePointContext) -> u32 {
    if ctx.arg::<i32>(1) > 0 && ctx.arg::<i32>(2) & (MSG_PEEK | MSG_ERRQUEUE) == 0 {
        claim_traced(ctx.arg(0), CLAIM_TRANSFER);
    }
    0
}

/// include/trace/events/tcp.h: `tcp_rcv_space_adjust(struct sock *sk)`; splice(2) fires it and not `sock_recv_length`.
///
/// The kernel's own readers (stream parsers of sockmap and KCM, kTLS, iSCSI, RDS: `tcp_read_sock` from `sk_data_ready`)
/// fire it in softirq, where the current process is whoever was interrupted. They read while no process holds the socket's
/// lock (include/net/sock.h, `sock_owned_by_user`); a system call reads while its process does.
#[btf_tracepoint(function = "tcp_rcv_space_adjust")]
pub fn tcp_rcv_space_adjust(ctx: BtfTracePointContext) -> u32 {
    let sk = ctx.arg(0);
    let owned = global(&OFFSETS.sock_owned);
    // SAFETY: the tracepoint's own socket argument.
    if owned != 0 && unsafe { field::<u32>(sk, owned) } != 0 {
        claim_traced(sk, CLAIM_READ);
    }
    0
}

/// `tcp_sendmsg_locked(const struct sock *sk, ...)`, before the bytes leave.
#[btf_tracepoint(function = "tcp_sendmsg_locked")]
pub fn tcp_sendmsg_locked(ctx: BtfTracePointContext) -> u32 {
    claim_traced(ctx.arg(0), CLAIM_SEND);
    0
}

/// include/trace/events/sched.h: `sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *)`.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn sched_process_exec(ctx: BtfTracePointContext) -> u32 {
    // SAFETY: the tracepoint's own arguments.
    unsafe { life::executed(ctx.arg(0), ctx.arg(2)) };
    0
}

/// `sched_process_fork(struct task_struct *parent, struct task_struct *child)`, for threads, too.
#[btf_tracepoint(function = "sched_process_fork")]
pub fn sched_process_fork(ctx: BtfTracePointContext) -> u32 {
    // SAFETY: the tracepoint's own argument.
    unsafe { life::born(ctx.arg(1)) };
    0
}

/// `sched_process_exit(struct task_struct *p)`, of every thread.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn sched_process_exit(ctx: BtfTracePointContext) -> u32 {
    // SAFETY: the tracepoint's own argument.
    unsafe { life::ended(ctx.arg(0)) };
    0
}
