//! The system calls that have no safe wrapper.

#![expect(unsafe_code, reason = "these system calls have no safe wrapper")]

use rustix::process::Pid;
use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

fn done(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// fork(2): the child's pid, or `None` in the child.
pub(crate) fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: this process has one thread whenever it forks (`thread` steps end before they are answered), so the child
    // may go on as the parent would.
    Ok(Pid::from_raw(done(unsafe { libc::fork() })?))
}

/// The same with a pid of the caller's choice, by clone3(2).
pub(crate) fn fork_as(pid: i32) -> io::Result<Option<Pid>> {
    // SAFETY: all zero is a clone without any flag.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.exit_signal = u64::try_from(libc::SIGCHLD).map_err(io::Error::other)?;
    arguments.set_tid = (&raw const pid).addr() as u64;
    arguments.set_tid_size = 1;
    // SAFETY: without flags this is fork(2), see there; the arguments are valid for their size.
    let result =
        unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) };
    Ok(Pid::from_raw(done(libc::c_int::try_from(result).map_err(io::Error::other)?)?))
}

/// A descriptor that this process was executed with.
pub(crate) fn adopt(fd: i32) -> OwnedFd {
    // SAFETY: the parent kept exactly these open over exec, and nothing else in this process knows them.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// setsockopt(2).
pub(crate) fn set_option(socket: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    let length = libc::socklen_t::try_from(value.len()).map_err(io::Error::other)?;
    // SAFETY: the value is valid for its length and only read.
    done(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value.as_ptr().cast(), length) })?;
    Ok(())
}

/// What is sent and not acknowledged.
pub(crate) fn unacknowledged(socket: BorrowedFd<'_>) -> io::Result<i32> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: TIOCOUTQ (SIOCOUTQ) stores one int through the pointer, which is valid.
    done(unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) })?;
    Ok(bytes)
}

/// sendmmsg(2) of that many equal messages on a connected socket; how many were taken.
pub(crate) fn send_many(socket: BorrowedFd<'_>, count: usize, message: &mut [u8]) -> io::Result<usize> {
    let mut part = libc::iovec { iov_base: message.as_mut_ptr().cast(), iov_len: message.len() };
    let mut headers = headers(&mut part, count);
    let length = libc::c_uint::try_from(count).map_err(io::Error::other)?;
    // SAFETY: every header points to one part, which is valid and only read.
    let sent = done(unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), length, 0) })?;
    usize::try_from(sent).map_err(io::Error::other)
}

/// recvmmsg(2) of that many messages at most, all into one buffer; how many came.
pub(crate) fn receive_many(socket: BorrowedFd<'_>, count: usize, buffer: &mut [u8]) -> io::Result<usize> {
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut headers = headers(&mut part, count);
    let length = libc::c_uint::try_from(count).map_err(io::Error::other)?;
    let (fd, flags) = (socket.as_raw_fd(), libc::MSG_WAITFORONE);
    // SAFETY: every header points to one part, which is valid for writes of its length; no time limit is given.
    let result = unsafe { libc::recvmmsg(fd, headers.as_mut_ptr(), length, flags, std::ptr::null_mut()) };
    usize::try_from(done(result)?).map_err(io::Error::other)
}

fn headers(part: &mut libc::iovec, count: usize) -> Vec<libc::mmsghdr> {
    // SAFETY: all zero is a message header without a name, parts or control bytes.
    let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
    header.msg_hdr.msg_iov = part;
    header.msg_hdr.msg_iovlen = 1;
    vec![header; count]
}

/// Sends a frame by a packet socket, out of this interface.
pub(crate) fn send_frame(socket: BorrowedFd<'_>, index: i32, frame: &[u8]) -> io::Result<usize> {
    // SAFETY: all zero is a link-layer address of nothing.
    let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    to.sll_family = libc::AF_PACKET.try_into().map_err(io::Error::other)?;
    to.sll_ifindex = index;
    let size = libc::socklen_t::try_from(size_of_val(&to)).map_err(io::Error::other)?;
    let (fd, at) = (socket.as_raw_fd(), (&raw const to).cast());
    // SAFETY: frame and address are valid for their lengths and only read.
    let sent = unsafe { libc::sendto(fd, frame.as_ptr().cast(), frame.len(), 0, at, size) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}
