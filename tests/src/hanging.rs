//! A file system that does not answer, as a network file system without its server does: FUSE, spoken by hand and only as far
//! as the first word (linux/fuse.h).

use crate::wait;
use rustix::fs::{Mode, OFlags, open};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::{
    ffi::CString,
    fs::{self, File},
    io::{ErrorKind, Read, Write},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

/// Longest request that is read; the kernel wants room for more than it sends.
const REQUEST: usize = 1 << 16;
/// The first request of all, which has to be answered.
const INIT: u32 = 26;
/// Length of its answer with the header, since FUSE 7.23.
const INIT_ANSWER: u32 = 16 + 64;

/// The head of a request.
struct Request {
    operation: u32,
    number: u64,
}

/// Every thread of every process.
fn threads() -> impl Iterator<Item = u32> {
    let numbers = |path: String| {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
    };
    numbers("/proc".to_owned()).flat_map(move |pid| numbers(format!("/proc/{pid}/task")))
}

/// Whether a thread waits for an answer of FUSE, or for somebody who asked the same before it (fs/fuse/dev.c, fs/dcache.c).
fn waits(thread: u32) -> bool {
    let place = fs::read_to_string(format!("/proc/{thread}/wchan")).unwrap_or_default();
    ["request_wait_answer", "d_alloc_parallel"].contains(&place.as_str())
}

/// Whether a thread is of that process, or of one that descends from it.
fn came_of(thread: u32, pid: u32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{thread}/status")) else { return false };
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse::<u32>().ok()
    };
    number("Tgid:") == Some(pid) || number("PPid:").is_some_and(|parent| parent != 0 && came_of(parent, pid))
}

/// A mount on which whoever looks waits until this is dropped.
#[derive(Debug)]
pub struct Hanging {
    device: File,
    path: PathBuf,
}

impl Hanging {
    /// Mounts it on a directory, for everybody.
    ///
    /// # Panics
    /// When the kernel has no FUSE.
    pub fn mount(path: &Path) -> Self {
        let device = open("/dev/fuse", OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty());
        let device = File::from(device.expect("/dev/fuse"));
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
        let options = CString::new(options).expect("no zero byte");
        mount("hanging", path, "fuse", MountFlags::NODEV | MountFlags::NOSUID, &*options)
            .unwrap_or_else(|error| panic!("mount on {}: {error}", path.display()));
        let mut hanging = Self { device, path: path.to_path_buf() };
        let Request { operation, number } = hanging.request();
        assert_eq!(operation, INIT);
        let mut answer = [INIT_ANSWER.to_ne_bytes(), 0_u32.to_ne_bytes()].concat();
        answer.extend(number.to_ne_bytes());
        // Version 7.31; read ahead nothing, no flags; 12 in the background; write pages.
        for word in [7_u32, 31, 0, 0, 12, 4096, 1] {
            answer.extend(word.to_ne_bytes());
        }
        answer.resize(INIT_ANSWER as usize, 0);
        hanging.device.write_all(&answer).expect("the kernel takes the answer");
        hanging
    }

    /// Waits until a process looks, or one that came of it: until one of its threads waits in the kernel for the answer, which
    /// does not come, and no signal ends that. Others may have asked for the same before; then the kernel asks once for all.
    pub fn asked_by(&mut self, pid: u32) {
        self.request();
        wait::until("it waits for the file system", || {
            threads().any(|thread| waits(thread) && came_of(thread, pid)).then_some(())
        });
    }

    /// The next request.
    fn request(&mut self) -> Request {
        let mut request = vec![0; REQUEST];
        let length = wait::until("somebody asks the file system", || match self.device.read(&mut request) {
            Ok(length) => Some(length),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("read /dev/fuse: {error}"),
        });
        assert!(length >= 40, "a header is 40 bytes and not {length}");
        let word = |at: usize| u32::from_ne_bytes(request[at..at + 4].try_into().expect("four bytes"));
        let number = u64::from_ne_bytes(request[8..16].try_into().expect("eight bytes"));
        Request { operation: word(4), number }
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        // Closing the device lets everybody go who waits.
        unmount(&self.path, UnmountFlags::DETACH).ok();
    }
}
