//! `--json`: NDJSON, one object a tick.
//!
//! Raw integers and raw names (JSON's own escaping only), UTC times, schema version 1: scripts rely on it, so fields
//! are added and never renamed. No option changes a number here.

mod identity;
mod ledger;
mod object;
#[cfg(test)]
mod tests;

use super::{Frontend, reader_is_there};
use crate::engine::{Command, Control, Snapshots};
use crate::model::Snapshot;
use object::Object;
use std::io::{self, Write};

/// The JSON frontend.
#[derive(Debug)]
pub struct Json<W = io::Stdout> {
    once: bool,
    out: W,
}

impl Json {
    /// Writes to standard output; with `once` the first object, which lists everything held, is the only one.
    pub fn new(once: bool) -> Self {
        Self::to(io::stdout(), once)
    }
}

impl<W: Write> Json<W> {
    /// Writes to `out`.
    pub fn to(out: W, once: bool) -> Self {
        Self { once, out }
    }

    /// One line, one write, one flush: a reader sees an object or nothing of it.
    fn print(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        let mut line = serde_json::to_vec(&Object::new(snapshot, self.once || snapshot.last))?;
        line.push(b'\n');
        self.out.write_all(&line)?;
        self.out.flush()
    }
}

impl<W: Write> Frontend for Json<W> {
    fn run(mut self: Box<Self>, mut feed: Snapshots, control: Control) -> anyhow::Result<()> {
        while let Some(snapshot) = feed.blocking_recv() {
            // While the source loads, nothing is counted and there is nothing to say.
            if snapshot.health.loading && !snapshot.last {
                continue;
            }
            if !reader_is_there(self.print(&snapshot), &control)? || snapshot.last {
                return Ok(());
            }
            if self.once {
                // Fails only when the engine has ended, which is what is asked for.
                let _ = control.send(Command::Stop);
                while feed.blocking_recv().is_some_and(|snapshot| !snapshot.last) {}
                return Ok(());
            }
        }
        Ok(())
    }
}
