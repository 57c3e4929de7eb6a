//! The lab: what the integration tests of `monitor` share.
//!
//! Every test makes its own cgroup and its own network namespaces, starts helper processes (`traffic`) that move a
//! known number of bytes on command, and compares what the real `monitor` says with what the helpers and the devices
//! counted. Nothing here sleeps for a fixed time: a step ends when its condition holds, or panics at its deadline.
//! Nothing is shared between tests, nothing of the machine is changed for longer than a value lives.

pub mod accounts;
pub mod agent;
pub mod bpf;
pub mod capture;
pub mod cgroup;
pub mod console;
pub mod counters;
pub mod disk;
pub mod frames;
pub mod hanging;
pub mod json;
pub mod kernel;
pub mod live;
pub mod monitor;
pub mod netns;
pub mod program;
pub mod pty;
pub mod recording;
pub mod scene;
pub mod schema;
pub mod stage;
pub mod steps;
pub mod terminal;
pub mod text;
pub mod tun;
pub mod veth;
pub mod wait;
