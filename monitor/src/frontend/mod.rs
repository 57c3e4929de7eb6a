//! Consumers of snapshots: the screen, text and JSON.
//!
//! A frontend runs on the main thread, takes `Arc<Snapshot>`s from the feed and sends commands back. It owns its own
//! state and shares nothing else with the engine; it counts nothing and resolves nothing.

mod escape;
mod json;
mod text;
mod tui;

pub(crate) use escape::{escape, escape_ascii, escape_word};
pub(crate) use json::Json;
pub(crate) use text::Text;
pub(crate) use tui::{Tui, TuiOptions, complain, complain_later, discard, restore, swatches};

use crate::engine::{Command, Control, Snapshots};
use anyhow::Context;
use std::io::{self, ErrorKind};

/// Shows snapshots until they end.
pub(crate) trait Frontend {
    /// Runs until the feed ends, the snapshot with `last` set was shown, or the reader or user has had enough (then it
    /// has sent [`Command::Stop`]).
    ///
    /// # Errors
    /// The output failed for another reason than that its reader went away. A feed that ends early is not an error
    /// here: the engine knows why.
    fn run(self: Box<Self>, feed: Snapshots, control: Control) -> anyhow::Result<()>;
}

/// Takes the result of a write: `true` to go on, `false` when the reader went away, which is no error but the end.
fn reader_is_there(written: io::Result<()>, control: &Control) -> anyhow::Result<bool> {
    match written {
        Ok(()) => Ok(true),
        Err(error) => {
            // Fails only when the engine has ended, which is what is asked for.
            let _ = control.send(Command::Stop);
            if error.kind() == ErrorKind::BrokenPipe {
                return Ok(false);
            }
            Err(error).context("cannot write to standard output")
        }
    }
}
