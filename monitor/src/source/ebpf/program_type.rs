//! The types of kernel programs that the object has, as an enum without a rest.
//!
//! aya knows many more, so whoever matches on its enum needs an arm for them. That arm stands here, once: with this enum, a
//! type that is loaded and not attached does not compile. Loading is `verify`'s business, attaching is `load`'s.

use aya::programs::{BtfTracePoint, CgroupSkb, CgroupSock, CgroupSockAddr, Iter, Program, SocketFilter};

/// A program of the object, by its type.
pub(super) enum Typed<'p> {
    /// Counts packets of the cgroup's sockets.
    Skb(&'p mut CgroupSkb),
    /// Sockets that are made, bound, closed.
    Sock(&'p mut CgroupSock),
    /// System calls with an address.
    SockAddr(&'p mut CgroupSockAddr),
    /// A tracepoint with BTF.
    Tracepoint(&'p mut BtfTracePoint),
    /// A list of what is there. Who reads it runs it.
    Iterator(&'p mut Iter),
    /// Counts what a device carries. Attached to packet sockets, one a device (`interface::tap`).
    Filter(&'p mut SocketFilter),
}

impl<'p> Typed<'p> {
    /// `None` for a type that is none of these: why it cannot be used is [`UNEXPECTED`].
    pub(super) fn of(program: &'p mut Program) -> Option<Self> {
        Some(match program {
            Program::CgroupSkb(program) => Self::Skb(program),
            Program::CgroupSock(program) => Self::Sock(program),
            Program::CgroupSockAddr(program) => Self::SockAddr(program),
            Program::BtfTracePoint(program) => Self::Tracepoint(program),
            Program::Iter(program) => Self::Iterator(program),
            Program::SocketFilter(program) => Self::Filter(program),
            _ => return None,
        })
    }
}

/// Why a program of another type does not run.
pub(super) const UNEXPECTED: &str = "the object's program is of an unexpected type";
