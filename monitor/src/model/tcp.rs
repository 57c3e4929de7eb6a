//! TCP health: how a connection fares, as its socket knows it.

use super::{Endpoint, FlowId, ProcessId, Protocol, SocketId};
use std::time::Duration;

/// State of a TCP socket, as include/net/tcp_states.h numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TcpState {
    Established,
    SynSent,
    SynReceived,
    FinWait1,
    FinWait2,
    TimeWait,
    Closed,
    CloseWait,
    LastAck,
    Listen,
    Closing,
}

impl TcpState {
    /// From the kernel's number.
    pub fn from_kernel(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Established,
            2 => Self::SynSent,
            3 | 12 => Self::SynReceived,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Closed,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            _ => return None,
        })
    }

    /// The name, as ss(8) has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Established => "established",
            Self::SynSent => "syn-sent",
            Self::SynReceived => "syn-recv",
            Self::FinWait1 => "fin-wait-1",
            Self::FinWait2 => "fin-wait-2",
            Self::TimeWait => "time-wait",
            Self::Closed => "closed",
            Self::CloseWait => "close-wait",
            Self::LastAck => "last-ack",
            Self::Listen => "listening",
            Self::Closing => "closing",
        }
    }
}

/// What the kernel's own list says of a socket, asked for while somebody looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SocketState {
    /// State of a TCP socket.
    pub state: Option<TcpState>,
    /// Bytes that came in and were not read; of a listening socket, connections that wait to be accepted.
    pub receive_queue: u32,
    /// Bytes that were sent and are not acknowledged, or not gone; of a listening socket, how many may wait.
    pub send_queue: u32,
    /// How a TCP connection fares at this moment.
    pub tcp: Option<TcpHealth>,
}

/// The answer about one selected flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inspected {
    /// The flow.
    pub flow: FlowId,
    /// Its socket, or in a few words why nothing is known of it.
    pub socket: Result<SocketState, &'static str>,
}

/// A socket that a process holds, whether it moves anything or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeldSocket {
    /// The socket.
    pub socket: SocketId,
    /// What it speaks.
    pub protocol: Protocol,
    /// This host's end; the unspecified address where it listens on all.
    pub local: Endpoint,
    /// The other end; `None` where it is not connected.
    pub remote: Option<Endpoint>,
    /// Its queues, and how it fares.
    pub state: SocketState,
}

/// The answer about one selected process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeldSockets {
    /// The process.
    pub process: ProcessId,
    /// Its sockets in its own network namespace, listening ones first; or in a few words why nothing is known of them.
    pub sockets: Result<Vec<HeldSocket>, &'static str>,
}

/// The latest sample of a TCP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpHealth {
    /// State.
    pub state: TcpState,
    /// Smoothed round-trip time.
    pub srtt: Duration,
    /// Congestion window, segments.
    pub cwnd: u32,
    /// Segments sent again since the connection began.
    pub retransmits: u32,
    /// Payload bytes that the peer has acknowledged.
    pub acked_bytes: u64,
    /// Payload bytes received in order.
    pub received_bytes: u64,
}
