//! BTF tracepoints: who really reads and writes, and who executes what. They observe only; the result is ignored.

use crate::btf::{Binprm, Task};
use crate::life;
use crate::maps::{SCOPED, TRACING, global};
use crate::owner::{Reader, claim, claim_without_storage};
use crate::packet;
use crate::sk::{AF_PACKET, TracedSock};
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use monitor_common::{CLAIM_READ, CLAIM_SEND, CLAIM_TRANSFER};

const MSG_PEEK: i32 = 0x2;
const MSG_ERRQUEUE: i32 = 0x2000;

/// The first argument of a tracepoint of sockets.
#[inline(always)]
fn socket(ctx: &BtfTracePointContext) -> TracedSock {
    // SAFETY: the tracepoint's own argument, which these all have first.
    unsafe { TracedSock::assume(ctx.arg(0)) }
}

/// An argument of a tracepoint of processes.
#[inline(always)]
fn task<const ARG: usize>(ctx: &BtfTracePointContext) -> Task {
    // SAFETY: the tracepoint's own argument.
    unsafe { Task::assume(ctx.arg(ARG)) }
}

#[inline(always)]
fn claim_traced(sk: TracedSock, method: u8) {
    if !sk.is_inet() {
        return;
    }
    // Read where it lies; the helper is only needed where the socket has none yet.
    let mut cookie = sk.cookie();
    if global(&TRACING) == 0 {
        // Without a cookie no packet hook has seen the socket yet, so there are no bytes to claim.
        if cookie != 0 {
            claim_without_storage(cookie, method);
        }
        return;
    }
    if cookie == 0 {
        cookie = sk.sock().cookie();
    }
    claim(sk.sock(), cookie, 0, method, Reader::Tracing, global(&SCOPED) == 0);
}

/// include/trace/events/sock.h: `sock_send_length(struct sock *sk, int ret, int flags)`, after the bytes were accepted.
#[btf_tracepoint(function = "sock_send_length")]
pub(crate) fn sock_send_length(ctx: BtfTracePointContext) -> u32 {
    let (sk, sent) = (socket(&ctx), ctx.arg::<i32>(1));
    if sent > 0 {
        if sk.family() == AF_PACKET {
            packet::sent(sk, u64::from(sent.cast_unsigned()));
        } else {
            claim_traced(sk, CLAIM_TRANSFER);
        }
    }
    0
}

/// `sock_recv_length(struct sock *sk, int ret, int flags)`. Peeking and the error queue are not use.
#[btf_tracepoint(function = "sock_recv_length")]
pub(crate) fn sock_recv_length(ctx: BtfTracePointContext) -> u32 {
    if ctx.arg::<i32>(1) > 0 && ctx.arg::<i32>(2) & (MSG_PEEK | MSG_ERRQUEUE) == 0 {
        claim_traced(socket(&ctx), CLAIM_TRANSFER);
    }
    0
}

/// include/trace/events/tcp.h: `tcp_rcv_space_adjust(struct sock *sk)`; splice(2) fires it and not `sock_recv_length`.
///
/// The kernel's own readers (stream parsers of sockmap and KCM, kTLS, iSCSI, RDS: `tcp_read_sock` from `sk_data_ready`)
/// fire it in softirq, where the current process is whoever was interrupted. They read while no process holds the socket's
/// lock (include/net/sock.h, `sock_owned_by_user`); a system call reads while its process does.
#[btf_tracepoint(function = "tcp_rcv_space_adjust")]
pub(crate) fn tcp_rcv_space_adjust(ctx: BtfTracePointContext) -> u32 {
    let sk = socket(&ctx);
    if sk.is_owned() {
        claim_traced(sk, CLAIM_READ);
    }
    0
}

/// `tcp_sendmsg_locked(const struct sock *sk, ...)`, before the bytes leave.
#[btf_tracepoint(function = "tcp_sendmsg_locked")]
pub(crate) fn tcp_sendmsg_locked(ctx: BtfTracePointContext) -> u32 {
    claim_traced(socket(&ctx), CLAIM_SEND);
    0
}

/// include/trace/events/sched.h: `sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *)`.
#[btf_tracepoint(function = "sched_process_exec")]
pub(crate) fn sched_process_exec(ctx: BtfTracePointContext) -> u32 {
    // SAFETY: the tracepoint's own argument.
    life::executed(task::<0>(&ctx), unsafe { Binprm::assume(ctx.arg(2)) });
    0
}

/// `sched_process_fork(struct task_struct *parent, struct task_struct *child)`, for threads, too.
#[btf_tracepoint(function = "sched_process_fork")]
pub(crate) fn sched_process_fork(ctx: BtfTracePointContext) -> u32 {
    life::born(task::<1>(&ctx));
    0
}

/// `sched_process_exit(struct task_struct *p)`, of every thread.
#[btf_tracepoint(function = "sched_process_exit")]
pub(crate) fn sched_process_exit(ctx: BtfTracePointContext) -> u32 {
    life::ended(task::<0>(&ctx));
    0
}
