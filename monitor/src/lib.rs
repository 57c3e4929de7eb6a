//! `monitor`: which process moves which bytes to whom, counted in the kernel.
//!
//! The library behind the `monitor` binary. Data flows one way: kernel -> `source` -> `model::Batch` -> `table`
//! -> `model::Snapshot` -> `query` -> `frontend`; only commands go back. ARCHITECTURE.md has the drawing and who
//! may import whom.

#![cfg_attr(
    not(all(target_os = "linux", feature = "pcap")),
    expect(dead_code, reason = "other builds leave a part out; the one with everything shows what is dead")
)]

pub mod app;
mod attribution;
mod bounded;
mod config;
mod engine;
mod frontend;
mod model;
mod privilege;
mod procfs;
mod query;
mod resolve;
#[cfg(target_os = "linux")]
mod sock_diag;
mod source;
mod table;
mod threads;

/// What the benchmarks and the fuzz targets drive. No interface: it changes with them.
#[doc(hidden)]
pub mod bench {
    pub use crate::engine::bench::Ticks;
    pub use crate::model::batch::Batch;
    pub use crate::model::flow::Protocol;
    pub use crate::source::pcap::dissect::{LinkType, dissect};
    pub use crate::source::pcap::file::Reader;
    pub use crate::source::pcap::recording::{FileRecording, Options};
    pub use crate::source::{Recording, Step};
}
