//! The bytes of a recording, and a way to stop waiting for them: a pipe can be quiet for as long as it likes.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// A file that can be read until it is cancelled.
pub(super) struct Cancellable {
    file: File,
    /// At its end once the other end of the pipe is closed.
    cancelled: PipeReader,
}

impl Cancellable {
    /// Opens a file, or standard input where it is `-`. The descriptor cancels every read, also one that waits, once it is
    /// closed.
    pub(super) fn open(path: &Path) -> io::Result<(Self, OwnedFd)> {
        let file = if path == Path::new("-") {
            // Not through std's buffer: poll(2) knows nothing of what is in it.
            File::from(io::stdin().as_fd().try_clone_to_owned()?)
        } else {
            File::open(path)?
        };
        let (cancelled, cancel) = io::pipe()?;
        Ok((Self { file, cancelled }, cancel.into()))
    }
}

impl Read for Cancellable {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut waits = [PollFd::new(&self.file, PollFlags::IN), PollFd::new(&self.cancelled, PollFlags::IN)];
        match poll(&mut waits, None) {
            Err(Errno::INTR) => return Err(io::ErrorKind::Interrupted.into()),
            polled => polled?,
        };
        if !waits[1].revents().is_empty() {
            return Err(io::Error::other("nobody wants to read on"));
        }
        self.file.read(into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::thread;

    #[test]
    fn a_read_that_waits_ends_when_it_is_cancelled() {
        let (theirs, mut ours) = io::pipe().unwrap();
        ours.write_all(b"ab").unwrap();
        let (cancelled, cancel) = io::pipe().unwrap();
        let mut input = Cancellable { file: OwnedFd::from(theirs).into(), cancelled };
        let mut bytes = [0; 8];
        assert_eq!(input.read(&mut bytes).unwrap(), 2);
        let waiting = thread::spawn(move || input.read(&mut bytes));
        drop(cancel);
        assert!(waiting.join().unwrap().is_err(), "the writer is there still");
        drop(ours);
    }
}
