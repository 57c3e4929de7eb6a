//! Reading small files that somebody else writes: never a fifo, never without an end, never more than is asked for.

use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// `O_NONBLOCK`: opening a fifo without a writer must not wait.
const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();

/// A regular file of at most `most` bytes; `None` for anything else, or where it cannot be read.
pub(super) fn read(path: &Path, most: u64) -> Option<Vec<u8>> {
    let (file, metadata) = regular(path)?;
    if metadata.len() > most {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).ok()?;
    (u64::try_from(bytes.len()).ok()? <= most).then_some(bytes)
}

/// A regular file, open for reading.
pub(super) fn regular(path: &Path) -> Option<(File, Metadata)> {
    let file = OpenOptions::new().read(true).custom_flags(NONBLOCK).open(path).ok()?;
    let metadata = file.metadata().ok()?;
    metadata.is_file().then_some((file, metadata))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_a_bounded_size() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        std::fs::write(&path, b"12345").unwrap();
        assert_eq!(read(&path, 5).as_deref(), Some(&b"12345"[..]));
        assert_eq!(read(&path, 4), None);
        assert_eq!(read(dir.path(), 5), None, "a directory");
        assert_eq!(read(Path::new("/dev/zero"), 5), None, "a device without an end");
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert_eq!(read(&fifo, 5), None, "and it did not wait for a writer");
    }
}
