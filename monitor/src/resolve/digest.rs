//! SHA-256 of executables, when somebody asks for it. The file that runs is hashed, not what its path leads to by now.

use super::pool::Pool;
use super::process;
use crate::bounded;
use crate::model::{Mono, ProcessSeen};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The largest executable that is hashed, bytes: at some 400 MB/s it takes ten seconds of one core.
const MAX_EXECUTABLE: u64 = 4 << 30;

/// Executables remembered; beyond it, they are hashed anew.
const MAX_KNOWN: usize = 4_096;
/// Executables that wait to be hashed; what finds no room is not.
const WAITING: usize = 4_096;

/// A file as it is now: device, inode, size, seconds and nanoseconds of its last change.
type State = (u64, u64, u64, i64, i64);
/// Sums by file.
type Sums = Arc<Mutex<HashMap<State, Arc<str>>>>;

/// Hashes on a thread of its own, each file once.
#[derive(Debug)]
pub(super) struct Digests {
    pool: Pool,
    sums: Sums,
}

impl Default for Digests {
    fn default() -> Self {
        Self { pool: Pool::new("sha256", 1, WAITING), sums: Sums::default() }
    }
}

impl Digests {
    /// Hashes the executable of a process and tells the sum as lower-case hexadecimal digits; `None` where the process
    /// is gone or its executable cannot be read.
    pub(super) fn ask(
        &mut self,
        seen: &ProcessSeen,
        claimed: Option<Mono>,
        tell: impl FnOnce(Option<Arc<str>>) + Send + 'static,
    ) {
        let (seen, sums) = (seen.clone(), Arc::clone(&self.sums));
        self.pool.run(move || tell(of_process(&seen, claimed, &sums)));
    }
}

fn of_process(seen: &ProcessSeen, claimed: Option<Mono>, sums: &Sums) -> Option<Arc<str>> {
    let path = format!("/proc/{}/exe", seen.id.pid);
    let sum = once(Path::new(&path), sums)?;
    // Another process may have got the pid meanwhile: then the file was another's.
    process::look(seen, claimed).map(|_| sum)
}

fn once(path: &Path, sums: &Sums) -> Option<Arc<str>> {
    let file = std::fs::metadata(path).ok()?;
    let state = (file.dev(), file.ino(), file.len(), file.mtime(), file.mtime_nsec());
    let known = || sums.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(sum) = known().get(&state) {
        return Some(Arc::clone(sum));
    }
    let sum: Arc<str> = of_file(path)?.into();
    let mut known = known();
    if known.len() >= MAX_KNOWN {
        known.clear();
    }
    known.insert(state, Arc::clone(&sum));
    Some(sum)
}

fn of_file(path: &Path) -> Option<String> {
    let (mut file, metadata) = bounded::regular(path).ok()?;
    if metadata.len() > MAX_EXECUTABLE {
        return None;
    }
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer).ok()?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
    }
    Some(hash.finalize().iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_three_letters() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of_file(&path).as_deref(), Some(expected));
        assert_eq!(of_file(dir.path()), None);
    }
}
