//! Effects: what an action asks of the world outside the state. The session carries them out.

use std::time::Duration;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Stop the engine and leave.
    Quit,
    /// Paint every cell again.
    Repaint,
    /// Leave the terminal to the shell for a while.
    Suspend,
    /// Tick this often.
    Interval(Duration),
    /// Take the mouse or leave it.
    Mouse(bool),
    /// Write the settings file.
    Save,
    /// Put this on the clipboard.
    Copy(String),
    /// Write what is shown to a file.
    Export,
    /// Have the engine let go of what is over.
    Clear,
    /// Have the engine ask for the names of hosts, or no longer.
    NameHosts(bool),
    /// Have the engine count what counting costs, or no longer.
    Measure(bool),
    /// Have the engine count on these interfaces instead, from zero.
    Watch(Vec<String>),
}
