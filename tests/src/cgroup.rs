//! A cgroup of the test's own, so that `monitor --cgroup` sees this test's processes and nobody else's.

use crate::wait;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// A child of the cgroup2 root; removed, with whatever still runs in it, on drop.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// Makes `monitor-test-<pid>-<n>`.
    ///
    /// # Panics
    /// When it cannot be made (not root, no cgroup2).
    pub fn new() -> Self {
        Self::below(&mount_point())
    }

    /// The same as a child of another, which must outlive it.
    pub fn within(other: &Self) -> Self {
        Self::below(other.path())
    }

    /// A child of another with a name of its own, such as a runtime or systemd would give.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn named(other: &Self, name: &str) -> Self {
        Self::at(other.path().join(name))
    }

    fn below(parent: &Path) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("monitor-test-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self::at(parent.join(name))
    }

    fn at(path: PathBuf) -> Self {
        fs::create_dir(&path).unwrap_or_else(|error| panic!("cannot make {}: {error}", path.display()));
        Self { path }
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn members(&self) -> Vec<Pid> {
        let list = fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        list.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)).collect()
    }
}

impl Default for Cgroup {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for pid in self.members() {
            // It may have ended by itself since the list was read.
            kill_process(pid, Signal::KILL).ok();
        }
        let deadline = std::time::Instant::now() + wait::STEP;
        while fs::remove_dir(&self.path).is_err() {
            if std::time::Instant::now() > deadline {
                // Not a panic: this may run while one unwinds.
                eprintln!("cannot remove {}: still {:?}", self.path.display(), self.members());
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

/// Where cgroup2 is mounted: `/sys/fs/cgroup`, or `.../unified` on a hybrid machine.
///
/// # Panics
/// When it is not mounted.
pub fn mount_point() -> PathBuf {
    let table = fs::read("/proc/self/mountinfo").expect("/proc/self/mountinfo");
    table
        .split(|&byte| byte == b'\n')
        .find_map(|line| {
            let fields: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
            let separator = fields.iter().position(|&field| field == b"-")?;
            (*fields.get(separator + 1)? == b"cgroup2")
                .then(|| PathBuf::from(std::ffi::OsStr::from_bytes(fields[4])))
        })
        .expect("cgroup2 is mounted")
}
