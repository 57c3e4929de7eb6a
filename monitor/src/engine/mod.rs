//! The only place where source, attribution, table and resolvers meet, and the only clock.

mod command;

pub use command::{Command, Control, Snapshots};
