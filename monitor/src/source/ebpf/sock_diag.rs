//! Cookies of the sockets of a network namespace, by inode.

use crate::sock_diag::{in_namespace, list};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// What a namespace holds.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    /// Inode -> cookie, of those that a process can hold.
    pub cookies: HashMap<u64, u64>,
    /// Cookies of those that no process holds any more.
    pub orphans: HashSet<u64>,
    /// Raw sockets are among them; a kernel without raw_diag does not list those.
    pub raw: bool,
}

/// The sockets of the namespace at `path`. `None` where it cannot.
pub(super) fn of_namespace(path: &Path) -> Option<Sockets> {
    in_namespace(path, here)
}

impl Sockets {
    /// Whether this socket is among them.
    pub(super) fn has(&self, cookie: u64) -> bool {
        self.orphans.contains(&cookie) || self.cookies.values().any(|known| *known == cookie)
    }
}

/// The sockets of the calling thread's namespace.
pub(super) fn here() -> Option<Sockets> {
    let mut sockets = Sockets::default();
    let complete = list(|listed| {
        if listed.inode == 0 {
            sockets.orphans.insert(listed.cookie);
        } else {
            sockets.cookies.insert(listed.inode, listed.cookie);
        }
    })?;
    sockets.raw = complete.raw;
    Some(sockets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_socket_of_this_process_is_listed_with_its_cookie() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let link = std::fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
        let inode: u64 =
            link.to_str().unwrap().trim_start_matches("socket:[").trim_end_matches(']').parse().unwrap();
        let cookie = rustix::net::sockopt::socket_cookie(&listener).unwrap();
        // Not every kernel has the module; then nothing is listed at all.
        let sockets = here().unwrap();
        assert!(sockets.cookies.is_empty() || sockets.cookies[&inode] == cookie);
    }
}
