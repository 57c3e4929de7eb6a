//! Where programs are looked for that a library runs by its name: crossterm asks tput(1) for the size of a terminal that does
//! not tell it. Never where the caller's PATH says: under sudo on some systems, and as root everywhere, that is anybody's word.

#![expect(unsafe_code, reason = "changing the environment is unsafe once there is a second thread")]

/// Directories that only root can write to.
const TRUSTED: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Has nothing looked for elsewhere.
///
/// # Safety
/// No other thread may run yet.
pub(super) unsafe fn trust_the_system_only() {
    // SAFETY: no other thread runs, as the caller says, so nobody reads the environment meanwhile.
    unsafe { std::env::set_var("PATH", TRUSTED) };
}
