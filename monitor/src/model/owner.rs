//! Attribution and its confidence: whose bytes they are, and how sure that is.

use super::Mono;
use std::borrow::Cow;
use std::time::Duration;

/// How long bytes wait for their owner, at most: in the table for a claim, and for a sample of sockets that is younger than they.
pub(crate) const SETTLE_AFTER: Duration = Duration::from_secs(5);

/// A process: a thread-group id and the generation that tells it from a later process with the same pid
/// (`monitor_common::generation` of its start time; 0 where the start time is unknown).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessId {
    /// Thread-group id in the initial pid namespace. 0 is the kernel.
    pub pid: u32,
    /// Start time in units of 2^20 ns since boot, modulo 2^32.
    pub generation: u32,
}

impl ProcessId {
    /// The kernel itself: kernel threads and kernel sockets.
    pub const KERNEL: Self = Self { pid: 0, generation: 0 };

    /// Whether it can have started in `from..=to`, as far as its generation tells. One without always can.
    pub fn can_have_started(self, from: Mono, to: Mono) -> bool {
        let [from, to] = [from, to].map(|at| (at.0 >> 20) & 0xffff_ffff);
        let since = |unit: u64| unit.wrapping_sub(from) & 0xffff_ffff;
        self.generation == 0 || since(self.generation.into()) <= since(to)
    }
}

/// How an owner was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// It was not.
    #[default]
    None,
    /// Found open in the process when the monitor started.
    Seed,
    /// The process was seen to hold it: the kernel's list of sockets (sock_diag(7)) and /proc.
    SockDiag,
    /// The process was seen to hold it: /proc/net and /proc.
    Procfs,
    /// The process was seen to hold it: lsof(8).
    Lsof,
    /// The process made the socket.
    Create,
    /// The process was the last to close it.
    Release,
    /// bind(2).
    Bind,
    /// connect(2).
    Connect,
    /// The process read from it (`tcp_rcv_space_adjust`).
    Read,
    /// accept(2) or getpeername(2).
    Accept,
    /// sendmsg(2) with an address, or recvmsg(2) asking for one.
    Message,
    /// The process's own call moved bytes (`sock_send_length`, `sock_recv_length`).
    Transfer,
    /// The process is sending (`tcp_sendmsg_locked`).
    Send,
    /// A handshake, told from the listener.
    Listener,
    /// A kernel socket or a kernel thread.
    Kernel,
}

impl Method {
    /// The name in machine output.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Seed => "seed",
            Self::SockDiag => "sock_diag",
            Self::Procfs => "procfs",
            Self::Lsof => "lsof",
            Self::Create => "create",
            Self::Release => "release",
            Self::Bind => "bind",
            Self::Connect => "connect",
            Self::Read => "read",
            Self::Accept => "accept",
            Self::Message => "message",
            Self::Transfer => "transfer",
            Self::Send => "send",
            Self::Listener => "listener",
            Self::Kernel => "kernel",
        }
    }
}

/// What an attribution is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Confidence {
    /// The owner used, opened or accepted this very socket.
    Exact,
    /// The owner of the listener, because nobody used the accepted socket.
    Inherited,
    /// Several live processes use the socket in turn; this one was the last user when the bytes moved.
    Shared,
    /// Several candidates and no evidence for one of them.
    Ambiguous,
    /// Not yet settled; will move, once, to its owner.
    Pending,
    /// No candidate.
    Unknown,
}

impl Confidence {
    /// The name in machine output.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Inherited => "inherited",
            Self::Shared => "shared",
            Self::Ambiguous => "ambiguous",
            Self::Pending => "pending",
            Self::Unknown => "unknown",
        }
    }
}

/// An owner with its evidence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Attribution {
    /// The owner; `None` where it is pending, ambiguous or unknown.
    pub owner: Option<ProcessId>,
    /// How it was found.
    pub method: Method,
    /// What it is worth.
    pub confidence: Confidence,
    /// Why it is not exact; `None` where it is.
    pub reason: Option<Cow<'static, str>>,
}
