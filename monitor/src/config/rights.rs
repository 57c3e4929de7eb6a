//! Impersonation: acting with somebody else's rights for a moment, so that the kernel judges what he may open and no path
//! has to be looked at twice.
//!
//! Users and capabilities are per thread on Linux: a thread takes on the user's, does the work and ends. Nothing has to be
//! given back, so no way out can forget it, and the other threads never lose theirs.

use rustix::process::geteuid;
use std::io::{self, ErrorKind};

/// A user whose rights are taken on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Every group that he is in.
    pub(super) groups: Vec<u32>,
    /// For sentences.
    pub(super) name: String,
}

/// Does the work with the rights of a user; without one, with those of the user that the process runs as, and with no
/// capability that the file of the program gave it.
///
/// # Errors
/// They cannot be taken on; then nothing was done.
#[cfg(target_os = "linux")]
pub(super) fn with<T: Send>(user: Option<&User>, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    use crate::threads::{Role, spawn_scoped};
    use std::{panic::resume_unwind, thread};

    if user.is_none() && !has_capabilities_of_its_file() {
        return Ok(work());
    }
    thread::scope(|scope| {
        let act = || take_on(user).map(|()| work());
        let acting = spawn_scoped(Role::Caller, scope, act)?;
        acting.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Gives this thread, and no other, the rights of the user. Only the effective user changes: one who is the real or saved user
/// of a thread may signal it, and with fs.suid_dumpable=1 trace it, with all of our memory.
#[cfg(target_os = "linux")]
fn take_on(user: Option<&User>) -> io::Result<()> {
    use rustix::process::{Gid, Uid};
    use rustix::thread::{
        CapabilitySet, CapabilitySets, set_capabilities, set_thread_groups, set_thread_res_gid,
        set_thread_res_uid,
    };

    let none = CapabilitySet::empty();
    let nothing = CapabilitySets { effective: none, permitted: none, inheritable: none };
    let take = || {
        if let Some(user) = user {
            let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
            let groups: Vec<Gid> = user.groups.iter().copied().map(Gid::from_raw).collect();
            set_thread_groups(&groups)?;
            set_thread_res_gid(gid, gid, gid)?;
            set_thread_res_uid(Uid::ROOT, uid, Uid::ROOT)?;
        }
        set_capabilities(None, nothing)
    };
    // A user namespace may not know him, a filter may refuse the calls.
    take().map_err(|error| {
        io::Error::new(ErrorKind::PermissionDenied, format!("rights cannot be taken on: {error}"))
    })
}

/// The same on systems where users are the process's: one such act at a time, and the threads that capture are a user's while
/// it lasts.
///
/// # Errors
/// They cannot be taken on; then nothing was done.
#[cfg(not(target_os = "linux"))]
pub(super) fn with<T: Send>(user: Option<&User>, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    use nix::unistd::{Gid, Uid, getegid, setegid, seteuid};
    use std::sync::{Mutex, PoisonError};

    static ACTING: Mutex<()> = Mutex::new(());
    let Some(user) = user else { return Ok(work()) };
    let _acting = ACTING.lock().unwrap_or_else(PoisonError::into_inner);
    let (before, root) = (getegid(), Uid::from_raw(geteuid().as_raw()));
    setegid(Gid::from_raw(user.gid))?;
    let refused = |error| {
        let why = format!("rights cannot be taken on: {error}");
        io::Error::new(ErrorKind::PermissionDenied, why)
    };
    let done = seteuid(Uid::from_raw(user.uid)).map(|()| work()).map_err(refused);
    seteuid(root)?;
    setegid(before)?;
    done
}

/// Whether the process can do more than its user: its file has capabilities.
#[cfg(target_os = "linux")]
pub(super) fn has_capabilities_of_its_file() -> bool {
    let permitted = rustix::thread::capabilities(None).map(|sets| sets.permitted);
    !geteuid().is_root() && permitted.is_ok_and(|permitted| !permitted.is_empty())
}

/// Files have no capabilities here.
#[cfg(not(target_os = "linux"))]
pub(super) fn has_capabilities_of_its_file() -> bool {
    false
}
