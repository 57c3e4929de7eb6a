//! The data model, plain data that every other module speaks: what a source saw, whose it is, what a frontend shows.
//!
//! Nothing here does I/O, reads a clock, takes a lock or can fail. Addresses are `IpAddr`, ports are in host order,
//! bytes are L3 bytes, rates are bits/s, instants are nanoseconds since boot, dates are a type of their own.

pub(crate) mod batch;
mod cost;
mod counters;
pub(crate) mod flow;
mod health;
mod identity;
mod interface;
mod life;
mod mono;
mod names;
mod owner;
mod snapshot;
mod tcp;

pub(crate) use batch::{Batch, Claim, Delta, InterfaceSeen, ProcessSeen, Standing, Unplaced};
pub(crate) use cost::OwnCost;
pub(crate) use counters::{Counters, bits_per_second};
pub(crate) use flow::{Endpoint, FlowId, Protocol, SocketId};
pub(crate) use health::{Backend, Degradation, Health, Loaded, MapHealth, ProgramHealth, ProgramRuns, TIERS};
pub(crate) use identity::{Ancestor, Container, Identity, Pod};
#[cfg(target_os = "linux")]
pub(crate) use interface::Unit;
pub(crate) use interface::{
    Capture, CaptureReport, DeviceRule, InterfaceLedger, InterfaceReport, InterfaceSide, TapSide, Unseen,
    socket_parts,
};
pub(crate) use life::{Born, Executed, Life};
pub(crate) use mono::{Mono, Wall, nanoseconds};
pub(crate) use names::Names;
pub(crate) use owner::{Attribution, Confidence, Evidence, Method, ProcessId, SETTLE_AFTER};
pub(crate) use snapshot::{
    FlowRow, Ledger, LedgerSide, Peak, ProcessRow, Snapshot, TotalsRow, WINDOW_SECONDS, WINDOWS, Windows,
};
pub(crate) use tcp::{HeldSocket, HeldSockets, Inspected, SocketState, TcpHealth, TcpState};
