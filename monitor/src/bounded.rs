//! Bounded reads of small files that somebody else writes: never a fifo or a device, never without an end, never more than
//! is asked for.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// `O_NONBLOCK`: opening a fifo without a writer must not wait.
const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();

/// A regular file of at most `most` bytes.
///
/// # Errors
/// It cannot be read, is something else, or is larger.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let (file, metadata) = regular(path)?;
    let large = || io::Error::new(ErrorKind::FileTooLarge, format!("it is larger than {most} bytes"));
    if metadata.len() > most {
        return Err(large());
    }
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(large()) } else { Ok(bytes) }
}

/// The same as text.
///
/// # Errors
/// As [`read`], and where it is not UTF-8.
pub(crate) fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let text = String::from_utf8(read(path, most)?);
    text.map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"))
}

/// A regular file, open for reading.
///
/// # Errors
/// It cannot be opened, or is something else.
pub(crate) fn regular(path: &Path) -> io::Result<(File, Metadata)> {
    let file = OpenOptions::new().read(true).custom_flags(NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() {
        return Ok((file, metadata));
    }
    Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_a_bounded_size() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        std::fs::write(&path, b"12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        let refused = |path: &Path, most| read(path, most).unwrap_err().kind();
        assert_eq!(refused(&path, 4), ErrorKind::FileTooLarge);
        assert_eq!(refused(dir.path(), 5), ErrorKind::InvalidInput, "a directory");
        assert_eq!(refused(Path::new("/dev/zero"), 5), ErrorKind::InvalidInput, "a device without an end");
        assert_eq!(refused(Path::new("/proc/self/maps"), 5), ErrorKind::FileTooLarge, "it has no size");
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert_eq!(refused(&fifo, 5), ErrorKind::InvalidInput, "and it did not wait for a writer");
        std::fs::write(&path, b"\xff").unwrap();
        assert_eq!(read_text(&path, 5).unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
