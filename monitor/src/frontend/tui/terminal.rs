//! Taking the terminal and giving it back, on every way out.
//!
//! The only module that changes the terminal's modes. It draws nothing.

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::style::ResetColor;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{Command, execute};
use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{QueueSelector, tcflush};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Beyond any terminal's rows; they take it for their last.
const LAST_ROW: u16 = 998;

static TAKEN: AtomicBool = AtomicBool::new(false);
/// What is to be said once the terminal is given back.
static WAITING: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The terminal, taken: raw, on the alternate screen, without a cursor, telling pasted text from keys. Dropping it gives the terminal back.
pub(super) struct Taken(());

impl Taken {
    /// Takes the terminal.
    pub(super) fn take() -> io::Result<Self> {
        enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        // From here on an early return drops the guard.
        let taken = Self(());
        execute!(io::stdout(), EnterAlternateScreen, Hide, EnableBracketedPaste)?;
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

/// Reports of clicks and the wheel, with places beyond column 223 (SGR). Not of every motion: that would be a report a
/// cell, over ssh too.
const MOUSE_ON: &str = "\x1b[?1000h\x1b[?1006h";
const MOUSE_OFF: &str = "\x1b[?1006l\x1b[?1000l";

/// Takes the mouse, or leaves it to the terminal.
pub(super) fn mouse(ours: bool) {
    send(if ours { MOUSE_ON } else { MOUSE_OFF });
}

/// Sends something that is not drawn, while the terminal is ours.
pub(super) fn send(sequence: &str) {
    if is_taken() {
        write(sequence);
    }
}

/// Leaves the terminal to the shell and stops, as Ctrl-Z does elsewhere; returns when the shell lets us go on.
pub(super) fn suspend(mouse_is_ours: bool) {
    if !is_taken() {
        return;
    }
    restore();
    // In an orphaned process group nothing stops; then we are back at once.
    let _ = kill_process(getpid(), Signal::TSTP);
    retake(mouse_is_ours);
}

/// Takes the terminal again after others had it: after a stop the shell has set its own modes.
pub(super) fn retake(mouse_is_ours: bool) {
    let _ = disable_raw_mode();
    // Where this fails the terminal is gone, and the next read or draw says so.
    if enable_raw_mode().is_ok() {
        TAKEN.store(true, Ordering::SeqCst);
        let _ = execute!(io::stdout(), EnterAlternateScreen, Hide, EnableBracketedPaste);
        mouse(mouse_is_ours);
    }
}

/// Gives the terminal back as it was: for a panic hook and for the way out on a signal. From any thread, any number of
/// times, also when the terminal was never taken; it cannot fail, because there would be nobody to tell.
pub(crate) fn restore() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut end = String::from(MOUSE_OFF);
    // Writing to a String cannot fail.
    let _ = DisableBracketedPaste.write_ansi(&mut end);
    let _ = ResetColor.write_ansi(&mut end);
    // A terminal without an alternate screen (GNU screen by default, the console) keeps the last frame: what comes next
    // belongs below it.
    let _ = MoveTo(0, LAST_ROW).write_ansi(&mut end);
    end.push_str("\r\n");
    let _ = LeaveAlternateScreen.write_ansi(&mut end);
    let _ = Show.write_ansi(&mut end);
    write(&end);
    let _ = disable_raw_mode();
    // A thread that panicked in between may hold the lock.
    if let Ok(mut waiting) = WAITING.try_lock() {
        waiting.drain(..).for_each(|sentence| complain(&sentence));
    }
}

/// Throws away what the terminal was sent and has not taken, so that the thread that draws goes on. Does nothing while the
/// terminal is not ours.
pub(crate) fn discard() {
    if !is_taken() {
        return;
    }
    // Fails where the terminal is gone; then nothing waits.
    let _ = tcflush(io::stdout().as_fd(), QueueSelector::OFlush);
    // The kernel (drivers/tty/pty.c) does not wake who waits for the room that this made. A signal does: this one, to which
    // the program listens anyway, has its write(2) begun again.
    let _ = kill_process(getpid(), Signal::WINCH);
}

/// Tells the user something on standard error. Where that is gone, full or closed there is nobody to tell, and no more to do.
pub(crate) fn complain(sentence: &str) {
    write_to(io::stderr().as_fd(), &format!("monitor: {sentence}\n"));
}

/// The same, once the terminal is given back where it is ours: a sentence must not stand in the middle of the screen.
pub(crate) fn complain_later(sentence: &str) {
    let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    if is_taken() { waiting.push(sentence.to_owned()) } else { complain(sentence) }
}

/// To the terminal.
fn write(text: &str) {
    write_to(io::stdout().as_fd(), text);
}

/// Straight to the descriptor: a thread that panicked elsewhere may hold the lock of `stdout()`, and `eprintln!` panics where
/// it cannot write.
fn write_to(descriptor: BorrowedFd<'_>, text: &str) {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match rustix::io::write(descriptor, rest) {
            Ok(0) => break,
            Ok(written) => rest = &rest[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => break,
        }
    }
}
