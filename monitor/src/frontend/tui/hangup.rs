//! Hang-up, the end of the program when its terminal goes away: the window was closed, the connection was lost.
//!
//! SIGHUP is the engine's, but it does not reach every program, and the reader of terminal events of crossterm 0.29
//! never returns from a terminal that is gone: it reads again after end of file and after an error. So one thread sleeps
//! until the terminal hangs up, and then sees to it that the program ends. Whoever finds that it is gone notes it here.

use crate::engine::{Command, Control};
use crate::threads::{self, Role};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How long the engine may take to end after it was asked to.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// Exit status after SIGHUP, as shells have it.
const HUNG_UP: i32 = 129;

static GONE: AtomicBool = AtomicBool::new(false);

/// Notes that the terminal is gone.
pub(super) fn note() {
    GONE.store(true, Ordering::SeqCst);
}

/// The error of a terminal that is gone, where that was noted: what the kernel says who still writes to it.
///
/// # Errors
/// It is gone.
pub(super) fn check() -> io::Result<()> {
    if GONE.load(Ordering::SeqCst) { Err(Errno::IO.into()) } else { Ok(()) }
}

/// Starts to watch. It costs nothing until the terminal is gone.
///
/// # Errors
/// Where the system has no thread to give, or no terminal.
pub(super) fn watch(control: Control) -> io::Result<()> {
    // Where events are read from: stdin, or where that is no terminal, the controlling one.
    let other = if io::stdin().is_terminal() { None } else { Some(File::open("/dev/tty")?) };
    let wait = move || {
        let hung_up = match &other {
            Some(terminal) => hangs_up(terminal.as_fd()),
            None => hangs_up(io::stdin().as_fd()),
        };
        if hung_up {
            note();
            // Fails only when the engine has ended.
            let _ = control.send(Command::Stop);
            thread::sleep(PATIENCE);
            std::process::exit(HUNG_UP);
        }
    };
    threads::spawn(Role::Hangup, wait).map(drop)
}

/// Waits for the other side to close; `false` where that cannot be waited for.
fn hangs_up(terminal: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(terminal, PollFlags::empty())];
    loop {
        match poll(&mut fds, None) {
            Ok(_) => return fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR),
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
