//! The fork server, a process that makes processes: forked while the program has one thread and no kernel program, so that
//! what it forks later has no descriptor and no mapping of theirs, and can be left alone where it hangs.
//!
//! It reads no file itself and so never hangs. It ends when the program does, however that ends: its socket is closed then.

#![expect(unsafe_code, reason = "fork(2), and what has to happen between it and the work, have no safe form")]

use super::answer;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use std::fs::OpenOptions;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The forked process, as long as this is held.
#[derive(Debug)]
pub(crate) struct Zygote {
    commands: OwnedFd,
}

impl Zygote {
    /// Forks.
    ///
    /// # Errors
    /// The system has no process to give.
    ///
    /// # Safety
    /// No other thread may run yet.
    pub(crate) unsafe fn start() -> io::Result<Self> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        // SAFETY: the caller says that there is one thread, so no lock is held by another in the copy.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                drop(ours);
                in_child(|| serve(theirs))
            }
            _ => Ok(Self { commands: ours }),
        }
    }

    /// The line to a new process that answers questions.
    ///
    /// # Errors
    /// The zygote is gone, or there is no descriptor to be had.
    pub(super) fn line(&self) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [theirs.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        sendmsg(&self.commands, &[IoSlice::new(b"+")], &mut control, SendFlags::NOSIGNAL)?;
        Ok(ours)
    }
}

/// Never comes back: what is above in the stack is the program's.
fn in_child(work: impl FnOnce()) -> ! {
    // A panic says nothing, as standard error leads nowhere.
    let _ = catch_unwind(AssertUnwindSafe(work));
    // SAFETY: it takes a number, and nothing has to be done after it.
    unsafe { libc::_exit(0) }
}

/// Forks a process for each line that comes, until the program is gone.
fn serve(commands: OwnedFd) {
    let Ok(commands) = detach(commands) else { return };
    while let Some(line) = receive(&commands) {
        // SAFETY: this process has one thread.
        if unsafe { libc::fork() } == 0 {
            drop(commands);
            in_child(|| answer::serve(line));
        }
    }
}

/// Lets go of all that the program had: its standard streams, or whoever reads them would wait for a process that hangs; its
/// terminal and process group, as their signals are for the program; its directory.
fn detach(commands: OwnedFd) -> io::Result<OwnedFd> {
    log::set_max_level(log::LevelFilter::Off);
    rustix::process::setsid()?;
    rustix::process::chdir("/")?;
    // Fails only where names have no use.
    let _ = rustix::thread::set_name(c"monitor-names");
    let kept = rustix::io::fcntl_dupfd_cloexec(&commands, 3)?;
    drop(commands);
    {
        let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        for number in 0..3 {
            // SAFETY: the descriptor is open, and what it replaces is used by nobody in this process.
            if unsafe { libc::dup2(null.as_raw_fd(), number) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    for (from, to) in [(3, kept.as_raw_fd() - 1), (kept.as_raw_fd() + 1, i32::MAX)] {
        if from <= to {
            // SAFETY: this process uses none of these again: what owned them is dropped nowhere, for it never comes back.
            // Below Linux 5.9 there is no such call, and what was inherited stays.
            unsafe { libc::syscall(libc::SYS_close_range, from, to, 0) };
        }
    }
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGCHLD] {
        // SAFETY: no handler is installed. The end of the program is told by its socket; an ignored SIGCHLD leaves no
        // zombies.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    Ok(kept)
}

/// The next line; `None` where the program is gone.
fn receive(commands: &OwnedFd) -> Option<UnixStream> {
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let got = recvmsg(commands, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC);
        match got {
            Ok(got) if got.bytes == 0 => return None,
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return None,
        }
        let descriptor = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        if let Some(descriptor) = descriptor {
            return Some(UnixStream::from(descriptor));
        }
    }
}
