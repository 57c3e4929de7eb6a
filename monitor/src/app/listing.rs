//! `-l`: the interfaces, one a line, in columns that awk can take apart.

use crate::frontend::escape_word;
use crate::source::interfaces;
use anyhow::{Context, Result};
use std::fmt::Write as _;

/// The names of this host's interfaces; of none where the system does not tell.
pub(super) fn names() -> Vec<String> {
    interfaces::list().unwrap_or_default().into_iter().map(|interface| interface.name).collect()
}

/// Name, state, whether it is what is captured where none is named, and addresses.
///
/// # Errors
/// Where the system does not tell.
pub(super) fn page() -> Result<String> {
    let all = interfaces::list().context("cannot list the interfaces")?;
    let default = interfaces::default(&all).map(|interface| interface.index);
    let name = |interface: &interfaces::Interface| escape_word(&interface.name).into_owned();
    let width = all.iter().map(|interface| name(interface).len()).max().unwrap_or(0).max("name".len());
    let mut out = format!("{:<width$} {:<7} {:<7} addresses\n", "name", "state", "default");
    for interface in &all {
        let state = match (interface.up, interface.running) {
            (false, _) => "down",
            (true, false) => "idle",
            (true, true) => "running",
        };
        let mark = if Some(interface.index) == default { "default" } else { "-" };
        let addrs: Vec<String> = interface.addrs.iter().map(ToString::to_string).collect();
        let addrs = if addrs.is_empty() { "-".to_owned() } else { addrs.join(" ") };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{:<width$} {state:<7} {mark:<7} {addrs}", name(interface));
    }
    Ok(out)
}
