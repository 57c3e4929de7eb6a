//! The cookie of a network namespace, by `SO_NETNS_COOKIE` (Linux 5.14). Entering one is the parent's.
#![expect(unsafe_code, reason = "no safe wrapper offers SO_NETNS_COOKIE")]

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::os::fd::{AsRawFd, OwnedFd};

/// SO_NETNS_COOKIE of asm-generic/socket.h.
const SO_NETNS_COOKIE: libc::c_int = 71;

/// The cookie of the network namespace that the calling thread is in; 0 where the kernel does not tell.
pub(crate) fn netns_cookie() -> u64 {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
    socket.ok().and_then(|socket| cookie(&socket)).unwrap_or(0)
}

fn cookie(socket: &OwnedFd) -> Option<u64> {
    let mut cookie = 0_u64;
    let mut length = libc::socklen_t::try_from(size_of::<u64>()).ok()?;
    // SAFETY: the descriptor is open, and the buffer and its length are those of a u64.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    (result == 0).then_some(cookie)
}
