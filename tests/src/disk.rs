//! A small disk of a test's own, with a home on it and a place of root's: who opens what there can be watched.

use nix::sys::fanotify::{
    EventFFlags, Fanotify, FanotifyResponse, InitFlags, MarkFlags, MaskFlags, Response,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    mount::{MountFlags, UnmountFlags, mount, unmount},
};
use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    os::{
        fd::AsRawFd,
        unix::fs::{MetadataExt, PermissionsExt, chown},
    },
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};
use tempfile::TempDir;

/// Whose home it is: a user who is in every user database and owns nothing.
pub const NOBODY: u32 = 65534;
/// His name.
pub const NOBODYS_NAME: &str = "nobody";

/// A file system in memory; gone on drop.
#[derive(Debug)]
pub struct Disk {
    place: TempDir,
}

impl Disk {
    /// One of that many bytes.
    ///
    /// # Panics
    /// Where it cannot be mounted.
    pub fn new(bytes: u32) -> Self {
        let place = tempfile::tempdir().expect("a place for the disk");
        let options = std::ffi::CString::new(format!("size={bytes},mode=755")).expect("no NUL");
        mount("test", place.path(), "tmpfs", MountFlags::empty(), Some(options.as_c_str()))
            .expect("mount a disk");
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).expect("open the disk to others");
        let disk = Self { place };
        fs::create_dir(disk.home()).expect("make the home");
        fs::set_permissions(disk.home(), Permissions::from_mode(0o700)).expect("close the home");
        chown(disk.home(), Some(NOBODY), Some(NOBODY)).expect("give the home away");
        fs::create_dir(disk.roots()).expect("make root's place");
        disk
    }

    /// The home, closed to others.
    pub fn home(&self) -> PathBuf {
        self.place.path().join("home")
    }

    /// A directory of root's that others can read.
    pub fn roots(&self) -> PathBuf {
        self.place.path().join("roots")
    }

    /// Makes a file of nobody's in his home, with the directories that lead there; gives its path.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn his(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home().join(name);
        let mut made = vec![path.clone()];
        made.extend(path.ancestors().skip(1).take_while(|above| **above != self.home()).map(PathBuf::from));
        fs::create_dir_all(path.parent().expect("it is in the home")).expect("make the directories");
        fs::write(&path, text).expect("write the file");
        for path in made {
            chown(path, Some(NOBODY), Some(NOBODY)).expect("give it away");
        }
        path
    }

    /// Makes a file of root's with that mode; gives its path.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn of_root(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.roots().join(name);
        fs::write(&path, text).expect("write the file");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("set its mode");
        path
    }

    /// Watches who opens what here, until that is dropped.
    ///
    /// # Panics
    /// Where this kernel has no fanotify(7) with permission events.
    pub fn watch(&self) -> Opens {
        let flags = InitFlags::FAN_CLASS_CONTENT | InitFlags::FAN_REPORT_TID | InitFlags::FAN_CLOEXEC;
        let fanotify = Fanotify::init(flags | InitFlags::FAN_NONBLOCK, EventFFlags::O_RDONLY)
            .expect("fanotify with permission events");
        let mask = MaskFlags::FAN_OPEN_PERM | MaskFlags::FAN_ONDIR;
        let add = MarkFlags::FAN_MARK_ADD | MarkFlags::FAN_MARK_MOUNT;
        fanotify.mark(add, mask, rustix::fs::CWD, Some(self.place.path())).expect("mark the disk");
        Opens::of(fanotify)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Fails only where it is gone.
        unmount(self.place.path(), UnmountFlags::DETACH).ok();
    }
}

/// What a file is, but for when it was read: the same twice means that nobody changed it, its owner or its names.
///
/// # Panics
/// Where there is none.
pub fn identity(path: &Path) -> String {
    let it = fs::symlink_metadata(path).expect("look at the file");
    let (inode, links, owner, mode) = (it.ino(), it.nlink(), (it.uid(), it.gid()), it.mode());
    format!("{inode} {links} {owner:?} {mode:o} {} changed {}.{}", it.len(), it.ctime(), it.ctime_nsec())
}

/// One open(2), at the moment that it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// What.
    pub path: PathBuf,
    /// The user whose rights counted (fsuid).
    pub uid: u32,
    /// The capabilities in effect.
    pub capabilities: u64,
}

/// A list of who opened what, made by the kernel while each of them waits.
#[derive(Debug)]
pub struct Opens {
    seen: Arc<Mutex<Vec<Opened>>>,
    over: Arc<AtomicBool>,
    watcher: Option<JoinHandle<()>>,
}

impl Opens {
    fn of(fanotify: Fanotify) -> Self {
        let (seen, over) = (Arc::<Mutex<Vec<Opened>>>::default(), Arc::<AtomicBool>::default());
        let (list, end) = (Arc::clone(&seen), Arc::clone(&over));
        let watcher = thread::spawn(move || {
            while !end.load(Ordering::SeqCst) {
                let mut fds = [PollFd::new(&fanotify, PollFlags::IN)];
                let short = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
                // An interrupted wait is one that is over.
                if !poll(&mut fds, Some(&short)).is_ok_and(|ready| ready > 0) {
                    continue;
                }
                for event in fanotify.read_events().expect("events") {
                    let fd = event.fd().expect("an open has a file");
                    list.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(opened(fd.as_raw_fd(), event.pid()));
                    fanotify
                        .write_response(FanotifyResponse::new(fd, Response::FAN_ALLOW))
                        .expect("let it go on");
                }
            }
        });
        Self { seen, over, watcher: Some(watcher) }
    }

    /// Ends watching; gives everything that was opened.
    ///
    /// # Panics
    /// Where the watcher did.
    pub fn end(mut self) -> Vec<Opened> {
        self.over.store(true, Ordering::SeqCst);
        if let Some(watcher) = self.watcher.take() {
            watcher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Opens {
    fn drop(&mut self) {
        // A test that failed: nobody may wait for an answer for ever.
        self.over.store(true, Ordering::SeqCst);
    }
}

/// The files that a program writes to, in a mount namespace of its own: the changes of others are not in the list.
#[derive(Debug)]
pub struct Writes(Fanotify);

impl Writes {
    /// Watches the root mount of the namespace that a process is in.
    ///
    /// # Panics
    /// Where this kernel has no fanotify(7).
    pub fn of(process: u32) -> Self {
        let flags = InitFlags::FAN_CLASS_NOTIF | InitFlags::FAN_CLOEXEC | InitFlags::FAN_NONBLOCK;
        let fanotify = Fanotify::init(flags, EventFFlags::O_RDONLY).expect("fanotify");
        let mask = MaskFlags::FAN_MODIFY | MaskFlags::FAN_CLOSE_WRITE;
        let root = format!("/proc/{process}/root");
        let add = MarkFlags::FAN_MARK_ADD | MarkFlags::FAN_MARK_MOUNT;
        fanotify.mark(add, mask, rustix::fs::CWD, Some(root.as_str())).expect("mark the root mount");
        Self(fanotify)
    }

    /// Everything that was written to.
    ///
    /// # Panics
    /// Where the list is not whole.
    pub fn end(self) -> BTreeSet<PathBuf> {
        let mut written = BTreeSet::new();
        while let Ok(events) = self.0.read_events() {
            for event in events {
                let fd = event.fd().expect("not more than the kernel remembers");
                let path = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()));
                written.insert(path.expect("the path of what was written to"));
            }
        }
        written
    }
}

fn opened(fd: i32, thread: i32) -> Opened {
    let path = fs::read_link(format!("/proc/self/fd/{fd}")).expect("the path of what is opened");
    let status = fs::read_to_string(format!("/proc/{thread}/status")).expect("the thread waits");
    let value = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).expect(key).trim();
    let uid = value("Uid:").split_whitespace().last().and_then(|fsuid| fsuid.parse().ok()).expect("a number");
    let capabilities = u64::from_str_radix(value("CapEff:"), 16).expect("a number");
    Opened { path, uid, capabilities }
}
