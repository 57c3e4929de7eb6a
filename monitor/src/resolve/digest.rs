//! SHA-256 of executables, when somebody asks for it. The file that runs is hashed, not what its path leads to by now; of a
//! process that has ended, what its path leads to where that is provably the same.

use super::apart::{Apart, Zygote};
use super::file_id::FileId;
use super::pool::Pool;
use super::process;
use crate::model::{Mono, ProcessSeen};
use crate::threads::Role;
use std::sync::{Arc, Mutex, PoisonError};

/// Executables that wait to be hashed; what finds no room is not.
const WAITING: usize = 4_096;
/// Why there is no hash: of one that runs.
const UNREADABLE: &str = "its executable cannot be read, is no file, or is larger than 4 GiB";
/// Of one that has ended.
const GONE: &str =
    "it ended before it was hashed, and its executable is not there any more or has changed since";
/// Too many were asked for.
const BUSY: &str = "more executables wait to be hashed than there is room for";

/// A hash, or why there is none.
pub(super) type Hashed = Result<Arc<str>, &'static str>;

/// What a program start opened: the path that led to it, the file, and when.
pub(super) type Opened = (Arc<str>, FileId, Mono);

/// Hashes on a thread of its own, each file once.
#[derive(Debug)]
pub(super) struct Digests {
    pool: Pool,
    apart: Arc<Mutex<Apart>>,
}

impl Digests {
    /// The files are read by processes of this one's making.
    pub(super) fn new(zygote: Option<Arc<Zygote>>) -> Self {
        Self {
            pool: Pool::new(Role::Hashes, 1, WAITING),
            apart: Arc::new(Mutex::new(Apart::patient(zygote))),
        }
    }

    /// Hashes the executable of a process and tells the sum as lower-case hexadecimal digits. An error where there is no
    /// room: then `tell` is never called.
    pub(super) fn ask(
        &mut self,
        seen: &ProcessSeen,
        claimed: Option<Mono>,
        opened: Option<Opened>,
        tell: impl FnOnce(Hashed) + Send + 'static,
    ) -> Result<(), &'static str> {
        let (seen, apart) = (seen.clone(), Arc::clone(&self.apart));
        let job = move || {
            let mut apart = apart.lock().unwrap_or_else(PoisonError::into_inner);
            tell(hash(&seen, claimed, opened, &mut apart));
        };
        if self.pool.run(job) { Ok(()) } else { Err(BUSY) }
    }
}

fn hash(seen: &ProcessSeen, claimed: Option<Mono>, opened: Option<Opened>, apart: &mut Apart) -> Hashed {
    let look = process::look(seen, claimed);
    let runs = look.is_some();
    let exe = look.as_ref().and_then(|look| look.exe.as_deref()).unwrap_or_default();
    let living = look.as_ref().and_then(|look| apart.hash_of(seen.id, look.ticks, exe, seen.uid));
    living
        .or_else(|| opened.and_then(|(path, file, at)| apart.hash_at(&path, file, at, seen.uid)))
        .ok_or(if runs { UNREADABLE } else { GONE })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ProcessId;
    use crate::resolve::file_id::of_metadata;

    fn now() -> Mono {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Mono(u64::try_from(time.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap())
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_file_of_a_process_that_ended_is_hashed_where_nobody_changed_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        let file = of_metadata(&std::fs::metadata(&path).unwrap());
        let ended = ProcessSeen { id: ProcessId { pid: u32::MAX, generation: 1 }, ..ProcessSeen::default() };
        let mut apart = Apart::patient(None);
        let mut of = |file, at| {
            let opened: Opened = (path.to_str().unwrap().into(), file, at);
            hash(&ended, None, Some(opened), &mut apart)
        };
        let later = Mono(now().0 + 1_000_000_000);
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of(file, later).as_deref(), Ok(expected));
        assert_eq!(of(file, Mono(now().0 - 1_000_000_000_000)), Err(GONE), "it was changed after the start");
        assert_eq!(of((file.0, file.1, file.2 + 1), later), Err(GONE), "another file");
        assert_eq!(hash(&ended, None, None, &mut apart), Err(GONE), "nobody knows which");
        let own = ProcessSeen { id: ProcessId { pid: std::process::id(), generation: 0 }, ..ended };
        assert_eq!(hash(&own, None, None, &mut apart).map(|sum| sum.len()), Ok(64));
    }
}
