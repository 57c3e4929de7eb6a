//! File identity: the device and the inode that the kernel opened, and the path that is proven to lead there.

use rustix::fs::{major, minor};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A device (major, minor) and an inode.
pub(super) type FileId = (u32, u32, u64);

/// The path without links, where it leads to this file. May hang as long as a file system likes.
pub(super) fn proven(path: &[u8], file: FileId) -> Option<String> {
    let path = Path::new(OsStr::from_bytes(path));
    if !path.is_absolute() {
        return None;
    }
    let path = fs::canonicalize(path).ok()?;
    let same = of_metadata(&fs::metadata(&path).ok()?) == file;
    same.then(|| path.to_string_lossy().into_owned())
}

/// Which file that is of.
pub(super) fn of_metadata(found: &fs::Metadata) -> FileId {
    (major(dev(found)), minor(dev(found)), found.ino())
}

/// As rustix numbers devices.
fn dev(metadata: &fs::Metadata) -> rustix::fs::Dev {
    #[expect(clippy::allow_attributes, reason = "the cast is one only where Dev is narrower")]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::unnecessary_cast,
        reason = "see above"
    )]
    let dev = metadata.dev() as rustix::fs::Dev;
    dev
}
