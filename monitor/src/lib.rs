//! `monitor`: which process moves which bytes to whom, counted in the kernel.
//!
//! The library behind the `monitor` binary. Data flows one way: kernel -> [`source`] -> [`model::Batch`] -> [`table`]
//! -> [`model::Snapshot`] -> [`query`] -> [`frontend`]; only commands go back. ARCHITECTURE.md has the drawing and who
//! may import whom.

pub mod app;
pub mod attribution;
mod bounded;
pub mod config;
pub mod engine;
pub mod frontend;
pub mod model;
pub mod privilege;
pub mod procfs;
pub mod query;
pub mod resolve;
#[cfg(target_os = "linux")]
pub mod sock_diag;
pub mod source;
pub mod table;
