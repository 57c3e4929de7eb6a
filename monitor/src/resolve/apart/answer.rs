//! Answers to questions that can hang: whatever walks a path that another process chose, or reads what is in its memory.

use super::{Answer, Question};
use crate::bounded;
use crate::model::Mono;
use crate::resolve::file_id::{FileId, of_metadata, proven};
use crate::resolve::process;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, openat};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
#[cfg(target_os = "linux")]
use std::os::unix::net::UnixStream;
use std::path::Path;

/// The largest executable that is hashed, bytes: at some 400 MB/s it takes ten seconds of one core.
const MAX_EXECUTABLE: u64 = 4 << 30;
/// Executables remembered; beyond it, they are hashed anew.
const MAX_KNOWN: usize = 4_096;

/// A file as it is now: device, inode, size, seconds and nanoseconds of its last change.
type State = (u64, u64, u64, i64, i64);

/// Who answers.
#[derive(Debug, Default)]
pub(super) struct Answerer {
    sums: HashMap<State, String>,
}

/// Answers what comes, until nobody asks any more.
#[cfg(target_os = "linux")]
pub(super) fn serve(mut line: UnixStream) {
    let mut answerer = Answerer::default();
    while let Ok(question) = super::receive(&mut line) {
        if super::send(&mut line, &answerer.answer(&question)).is_err() {
            return;
        }
    }
}

impl Answerer {
    /// Takes as long as file systems like.
    pub(super) fn answer(&mut self, question: &Question) -> Answer {
        match question {
            Question::Leads { path, file } => Answer::Path(proven(path, *file)),
            Question::Process { pid, ticks } => {
                let Some(dir) = process::open(*pid, *ticks) else { return Answer::Nothing };
                Answer::Process { cmdline: process::command_line(&dir), on_host: process::is_on_host(&dir) }
            }
            Question::HashOf { pid, ticks } => {
                let file = process::open(*pid, *ticks).and_then(|dir| executable(&dir));
                self.sum(file)
            }
            Question::HashAt { path, file, before } => {
                let opened = bounded::regular(Path::new(OsStr::from_bytes(path))).ok();
                self.sum(opened.filter(|(_, metadata)| is_unchanged(metadata, *file, *before)))
            }
        }
    }

    fn sum(&mut self, opened: Option<(File, Metadata)>) -> Answer {
        let Some((file, of)) = opened else { return Answer::Nothing };
        let state = (of.dev(), of.ino(), of.len(), of.mtime(), of.mtime_nsec());
        if let Some(sum) = self.sums.get(&state) {
            return Answer::Sum(sum.clone());
        }
        let Some(sum) = hash(file, of.len()) else { return Answer::Nothing };
        if self.sums.len() >= MAX_KNOWN {
            self.sums.clear();
        }
        self.sums.insert(state, sum.clone());
        Answer::Sum(sum)
    }
}

/// Whether it is the file that was opened for a program start, and nobody has changed it since.
fn is_unchanged(metadata: &Metadata, file: FileId, before: i64) -> bool {
    let changed = metadata.ctime().saturating_mul(1_000_000_000).saturating_add(metadata.ctime_nsec());
    of_metadata(metadata) == file && changed <= before
}

/// The file that a process runs, not what its path leads to by now.
fn executable(dir: &OwnedFd) -> Option<(File, Metadata)> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(openat(dir, "exe", flags, Mode::empty()).ok()?);
    let metadata = file.metadata().ok().filter(Metadata::is_file)?;
    Some((file, metadata))
}

fn hash(mut file: File, length: u64) -> Option<String> {
    if length > MAX_EXECUTABLE {
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

/// Wall-clock time of a moment since the system started, ns since 1970, as of what both clocks say now.
pub(super) fn wall_of(at: Mono) -> i64 {
    use rustix::time::{ClockId, clock_gettime};
    let read = |clock| {
        let time = clock_gettime(clock);
        time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
    };
    #[cfg(target_os = "linux")]
    let since_start = read(ClockId::Boottime);
    #[cfg(not(target_os = "linux"))]
    let since_start = read(ClockId::Monotonic);
    let at = i64::try_from(crate::procfs::as_shown(at).0).unwrap_or(i64::MAX);
    read(ClockId::Realtime).saturating_sub(since_start.saturating_sub(at))
}
