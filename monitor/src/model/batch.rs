//! A batch: what a source saw since it was last asked.

use super::{
    CaptureReport, Counters, FlowId, Health, Identity, InterfaceReport, Method, Mono, ProcessId, SocketId,
    TcpHealth, Unseen,
};
use std::sync::Arc;

/// What the owner of a delta was worth when the bytes moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Standing {
    /// The owner claimed this very socket.
    Firm,
    /// The owner made a datagram socket, or bound or connected it, and nobody was seen to use it until then.
    Made,
    /// Nobody had claimed the socket.
    Unclaimed,
    /// An accepted socket that nobody had claimed; `owner` is its listener's.
    Inherited,
    /// A packet of a listening socket: a handshake. `owner` is the listener's.
    Listener,
    /// Several processes held the socket when the monitor started and none had used it.
    Ambiguous,
    /// A kernel thread or a kernel socket.
    Kernel,
    /// An interface carried it and no socket saw it.
    Unseen(Unseen),
    /// Read from a file, which does not say whose it was.
    Recorded,
}

/// Bytes that moved in the batch's interval on one flow under one owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// The flow.
    pub flow: FlowId,
    /// The owner that the kernel had on record, if any.
    pub owner: Option<ProcessId>,
    /// What that is worth.
    pub standing: Standing,
    /// How it was found.
    pub method: Method,
    /// What moved.
    pub counters: Counters,
    /// Uid of the socket's creator in the initial user namespace, where known.
    pub uid: Option<u32>,
    /// cgroup2 id of the socket, 0 where unknown.
    pub cgroup: u64,
    /// How its TCP connection fares, where it is one and was sampled.
    pub tcp: Option<TcpHealth>,
}

/// A socket that changed hands, or was closed, in the batch's interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The socket.
    pub socket: SocketId,
    /// The claimant.
    pub process: ProcessId,
    /// How it claimed.
    pub method: Method,
    /// First and latest change of the interval to this claimant.
    pub first: Mono,
    /// See `first`.
    pub last: Mono,
    /// The last descriptor was closed.
    pub closed: bool,
}

/// What was learnt of a process in the batch's interval: it claimed a socket, executed a program, was looked up, ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessSeen {
    /// The process.
    pub id: ProcessId,
    /// comm of the thread-group leader, lossy UTF-8, unescaped; empty where unknown.
    pub comm: Arc<str>,
    /// Full path of the executable, where it could be read.
    pub exe: Option<Arc<str>>,
    /// Start, where known.
    pub start: Option<Mono>,
    /// When it was alive for certain and had this name: its latest claim or exec.
    pub alive: Option<Mono>,
    /// Real uid in the initial user namespace, where known.
    pub uid: Option<u32>,
    /// cgroup2 id, 0 where unknown.
    pub cgroup: u64,
    /// What else names it, once it was looked up.
    pub identity: Option<Arc<Identity>>,
    /// When it was found to have ended.
    pub exited: Option<Mono>,
}

/// The name of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceSeen {
    /// Netns cookie.
    pub netns: u64,
    /// Index in that netns.
    pub ifindex: u32,
    /// Its name.
    pub name: Arc<str>,
}

/// Bytes that are counted but have no flow: the flow table was full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unplaced {
    /// The owner, where the overflow table still had room for it.
    pub owner: Option<ProcessId>,
    /// What the owner is worth.
    pub standing: Standing,
    /// What moved.
    pub counters: Counters,
}

/// Everything a source saw in `from..to`, in no particular order. Claims are complete for the deltas of the same
/// batch: a claim made before the end of the interval is in this batch or an earlier one.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Start of the interval.
    pub from: Mono,
    /// End of the interval.
    pub to: Mono,
    /// Bytes by flow and owner; the same pair may appear more than once.
    pub deltas: Vec<Delta>,
    /// Bytes without a flow.
    pub unplaced: Vec<Unplaced>,
    /// Sockets that changed hands.
    pub claims: Vec<Claim>,
    /// Processes to name.
    pub processes: Vec<ProcessSeen>,
    /// Processes that have ended, of those that share a socket (`FlowTable::sharers`).
    pub gone: Vec<ProcessId>,
    /// Interfaces to name.
    pub interfaces: Vec<InterfaceSeen>,
    /// What interfaces carried since start, of all that the source knows of.
    pub reports: Vec<InterfaceReport>,
    /// What captures counted since they were opened.
    pub captures: Vec<CaptureReport>,
    /// Set when the source's health changed.
    pub health: Option<Arc<Health>>,
}
