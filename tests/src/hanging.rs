//! A file system that does not answer, as a network file system without its server does: FUSE, spoken by hand and only as far
//! as the first word (linux/fuse.h).

use crate::wait;
use rustix::fs::{Mode, OFlags, open};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::{
    ffi::CString,
    fs::File,
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
        let (operation, number) = hanging.request();
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

    /// Waits until somebody looks. From now on he waits for an answer that does not come, and no signal ends that.
    pub fn asked(&mut self) {
        self.request();
    }

    /// Operation and number of the next request.
    fn request(&mut self) -> (u32, u64) {
        let mut request = vec![0; REQUEST];
        let length = wait::until("somebody asks the file system", || match self.device.read(&mut request) {
            Ok(length) => Some(length),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("read /dev/fuse: {error}"),
        });
        assert!(length >= 40, "a header is 40 bytes and not {length}");
        let word = |at: usize| u32::from_ne_bytes(request[at..at + 4].try_into().expect("four bytes"));
        let number = u64::from_ne_bytes(request[8..16].try_into().expect("eight bytes"));
        (word(4), number)
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        // Closing the device lets everybody go who waits.
        unmount(&self.path, UnmountFlags::DETACH).ok();
    }
}
