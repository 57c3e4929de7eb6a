//! Plain data that every other module speaks: what a source saw, whose it is, what a frontend shows.
//!
//! Nothing here does I/O, reads a clock, takes a lock or can fail. Addresses are `IpAddr`, ports are in host order,
//! bytes are L3 bytes, rates are bits/s, instants are nanoseconds since boot.

mod batch;
mod cost;
mod counters;
mod flow;
mod health;
mod identity;
mod interface;
mod life;
mod mono;
mod names;
mod net;
mod owner;
mod snapshot;
mod tcp;

pub use batch::{Batch, Claim, Delta, InterfaceSeen, ProcessSeen, Standing, Unplaced};
pub use cost::OwnCost;
pub use counters::{Counters, bits_per_second};
pub use flow::{Endpoint, FlowId, Protocol, SocketId};
pub use health::{Backend, Degradation, Health, Loaded, MapHealth, ProgramHealth, ProgramRuns, TIERS, Tier};
pub use identity::{Ancestor, Container, Identity, Pod};
pub use interface::{
    Capture, CaptureReport, DeviceRule, InterfaceLedger, InterfaceReport, InterfaceSide, TapSide, Unit,
    Unseen, socket_parts,
};
pub use life::{Born, Executed, Life};
pub use mono::Mono;
pub use names::Names;
pub use net::Net;
pub use owner::{Attribution, Confidence, Method, ProcessId};
pub use snapshot::{
    FlowRow, Ledger, LedgerSide, Peak, ProcessRow, Snapshot, TotalsRow, WINDOW_SECONDS, WINDOWS, Windows,
};
pub use tcp::{HeldSocket, HeldSockets, Inspected, SocketState, TcpHealth, TcpState};
