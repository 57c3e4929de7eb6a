//! What numbers are called: executables of processes, names of interfaces.
//!
//! Fills in a batch before the table sees it. Bounded in time; what cannot be read stays unknown and is never guessed.

mod interface;
mod process;

use crate::model::{Batch, ProcessId};
use std::collections::BTreeSet;

/// Every resolver, with its cache.
#[derive(Debug, Default)]
pub struct Resolver {
    interfaces: interface::Interfaces,
}

impl Resolver {
    /// With empty caches.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those of these processes that have ended.
    pub fn gone(&self, processes: &BTreeSet<ProcessId>) -> Vec<ProcessId> {
        process::gone(processes)
    }

    /// Adds what can be found out now.
    pub fn complete(&mut self, batch: &mut Batch) {
        process::complete(&mut batch.processes);
        self.interfaces.complete(batch);
    }
}
