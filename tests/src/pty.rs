//! A terminal without a terminal emulator: what a program draws, with the time of each piece.

#![expect(unsafe_code, reason = "std and rustix (as configured) do not wrap openpty")]

use rustix::io::{FdFlags, fcntl_setfd};
use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, FromRawFd, OwnedFd},
    process::{Command, Stdio},
    ptr,
    thread::{self, JoinHandle},
};

/// Nobody looks at it.
#[derive(Debug)]
pub struct Pty {
    /// Its other side: what is written here is typed, what is drawn is read.
    pub ours: File,
    theirs: OwnedFd,
}

impl Pty {
    /// 80 x 24.
    pub fn open() -> Self {
        Self::sized(24, 80)
    }

    /// Of that size.
    ///
    /// # Panics
    /// Where the system has none to give.
    pub fn sized(rows: u16, columns: u16) -> Self {
        let (mut ours, mut theirs) = (-1, -1);
        let mut size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the two descriptors and the size are valid for the call; name and modes may be null.
        let result = unsafe {
            libc::openpty(&raw mut ours, &raw mut theirs, ptr::null_mut(), ptr::null_mut(), &raw mut size)
        };
        assert_eq!(result, 0, "no terminal: {}", io::Error::last_os_error());
        // SAFETY: both were made by the call above and nothing else knows of them.
        let (ours, theirs) = unsafe { (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) };
        // A program that has our side open keeps the terminal from going away.
        for fd in [ours.as_fd(), theirs.as_fd()] {
            fcntl_setfd(fd, FdFlags::CLOEXEC).expect("a flag of a descriptor");
        }
        Self { ours, theirs }
    }

    /// Makes it the input and output of a command.
    ///
    /// # Panics
    /// Without a free descriptor.
    pub fn give_to(&self, command: &mut Command) {
        let end = || Stdio::from(self.theirs.try_clone().expect("a descriptor"));
        command.stdin(end()).stdout(end()).stderr(end()).env("TERM", "xterm-256color");
    }

    /// What was drawn and not read yet, up to the end, once every program has closed it.
    pub fn unread(self) -> File {
        self.ours
    }

    /// Reads what is drawn and throws it away, until the last program has closed the terminal.
    pub fn drain(self) -> JoinHandle<()> {
        self.watch(|_| true)
    }

    /// Gives each piece that is drawn to `look`, until that is false or the last program has closed the terminal.
    pub fn watch(self, mut look: impl FnMut(&[u8]) -> bool + Send + 'static) -> JoinHandle<()> {
        let Self { mut ours, theirs } = self;
        drop(theirs);
        thread::spawn(move || {
            let mut piece = [0; 8192];
            // The end of a terminal is an error (EIO).
            while let Ok(length @ 1..) = ours.read(&mut piece) {
                if !look(&piece[..length]) {
                    return;
                }
            }
        })
    }
}
