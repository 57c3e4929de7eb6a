//! `--json`: NDJSON, one object a tick.
//!
//! Raw integers and raw names (JSON's own escaping only), UTC times, schema version 1: scripts rely on it, so fields
//! are added and never renamed. Options choose what is listed and added up (a filter says so in the object); none
//! changes the meaning or the unit of a number.

#![warn(clippy::wildcard_enum_match_arm)]

mod entry;
mod ledger;
mod member;
mod number;
mod object;
#[cfg(test)]
mod tests;

use super::{Frontend, reader_is_there};
use crate::engine::{Command, Control, Snapshots};
use crate::model::Snapshot;
use crate::query::Choice;
use object::{Lists, Object};
use std::io::{self, BufWriter, Write};
use std::sync::Arc;

/// Bytes of an object that are written at once.
const PIECE: usize = 1 << 20;

/// The JSON frontend.
#[derive(Debug)]
pub(crate) struct Json<W = io::Stdout> {
    choice: Choice,
    once: bool,
    out: W,
}

impl Json {
    /// Writes to standard output; with `once` the first object, which lists everything held, is the only one.
    pub(crate) fn new(choice: Choice, once: bool) -> Self {
        Self::to(io::stdout(), choice, once)
    }
}

impl<W: Write> Json<W> {
    /// Writes to `out`.
    pub(crate) fn to(out: W, choice: Choice, once: bool) -> Self {
        Self { choice, once, out }
    }

    /// One line, one flush, and one write where the object is not larger than [`PIECE`]: those of many rows are not held
    /// as text in whole.
    fn print(&mut self, snapshot: &Arc<Snapshot>) -> io::Result<()> {
        let lists = Lists::new(snapshot, &self.choice);
        let everything = self.once || snapshot.last;
        let mut line = BufWriter::with_capacity(PIECE, &mut self.out);
        serde_json::to_writer(&mut line, &Object::new(snapshot, &lists, &self.choice, everything))?;
        line.write_all(b"\n")?;
        line.flush()
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
