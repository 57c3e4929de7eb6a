//! Taking the terminal and giving it back, on every way out.
//!
//! The only module that changes the terminal's modes. It draws nothing. The mouse stays the terminal's own.

use crossterm::cursor::{Hide, Show};
use crossterm::style::ResetColor;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{Command, execute};
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal, taken: raw, on the alternate screen, without a cursor. Dropping it gives the terminal back.
pub(super) struct Taken(());

impl Taken {
    /// Takes the terminal.
    pub(super) fn take() -> io::Result<Self> {
        enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        // From here on an early return drops the guard.
        let taken = Self(());
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(taken)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        restore();
    }
}

/// Whether the terminal is ours to draw on.
pub(super) fn is_taken() -> bool {
    TAKEN.load(Ordering::SeqCst)
}

/// Gives the terminal back as it was: for a panic hook and for the way out on a signal. From any thread, any number of
/// times, also when the terminal was never taken; it cannot fail, because there would be nobody to tell.
pub fn restore() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut end = String::new();
    // Writing to a String cannot fail.
    let _ = ResetColor.write_ansi(&mut end);
    let _ = LeaveAlternateScreen.write_ansi(&mut end);
    let _ = Show.write_ansi(&mut end);
    // Straight to the descriptor: the thread that panicked elsewhere may hold the lock of `stdout()`.
    let mut rest = end.as_bytes();
    while !rest.is_empty() {
        match rustix::io::write(io::stdout().as_fd(), rest) {
            Ok(0) => break,
            Ok(written) => rest = &rest[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => break,
        }
    }
    let _ = disable_raw_mode();
}
