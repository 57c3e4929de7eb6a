//! Looking at what can hang, in a process apart: paths that other processes chose lead to file systems that need not answer,
//! and a thread that waits in one can neither be ended nor let go of what the process holds, kernel programs among it.
//!
//! A question is waited for a while. Then whoever answers it is left alone, what hangs is remembered and not asked for again
//! until it answers, and the next question goes to a new process.

mod answer;
#[cfg(target_os = "linux")]
mod fork;

#[cfg(target_os = "linux")]
pub use fork::Zygote;

use crate::model::{Mono, ProcessId};
use crate::resolve::program::FileId;
use answer::Answerer;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a path is waited for. File systems that work need milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a hash is: the largest file that is hashed takes so long from a slow disk.
const HASH_PATIENCE: Duration = Duration::from_mins(1);
/// Processes that hang, at most; with so many, nothing more is asked.
const MAX_HUNG: usize = 8;
/// The longest message, bytes: a command line whose bytes all have to be escaped is shorter.
const MAX_MESSAGE: u32 = 1 << 16;
/// File systems that wait for a server or a program.
const FOREIGN: [&str; 9] = ["fuse", "nfs", "cifs", "smb", "9p", "ceph", "afs", "autofs", "virtiofs"];

/// Makes processes that answer. There are none on other systems.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub struct Zygote {}

#[cfg(not(target_os = "linux"))]
impl Zygote {
    fn line(&self) -> io::Result<UnixStream> {
        Err(ErrorKind::Unsupported.into())
    }
}

/// What is asked.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Question {
    /// Does this path lead to this file?
    Leads { path: Box<[u8]>, file: FileId },
    /// What of a process can hang.
    Process { pid: u32, ticks: u64 },
    /// The hash of what a process runs.
    HashOf { pid: u32, ticks: u64 },
    /// The hash of this file, where it has not changed since `before`, ns since 1970.
    HashAt { path: Box<[u8]>, file: FileId, before: i64 },
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// The process is gone, the file is not there or may not be read.
    Nothing,
    /// The path without links, where it leads to the file.
    Path(Option<String>),
    /// Of a process.
    Process { cmdline: Option<String>, on_host: bool },
    /// A hash.
    Sum(String),
}

/// Nobody answered in time, or nobody was asked as that had hung before.
#[derive(Debug)]
pub(super) struct Unanswered;

/// Something that does not answer.
#[derive(Debug)]
struct Hung {
    /// Whoever waits for it: readable once it is over.
    line: UnixStream,
    /// The path that was asked for.
    path: PathBuf,
    /// The file system that it is on, where it is one that can hang.
    mount: Option<PathBuf>,
    process: Option<ProcessId>,
}

impl Hung {
    fn covers(&self, path: &Path, process: Option<ProcessId>) -> bool {
        self.path == path
            || self.mount.as_ref().is_some_and(|mount| path.starts_with(mount))
            || (process.is_some() && self.process == process)
    }
}

/// Who is asked.
#[derive(Debug)]
pub(super) struct Apart {
    zygote: Option<Arc<Zygote>>,
    patience: Duration,
    line: Option<UnixStream>,
    hung: Vec<Hung>,
    /// Answers where there is no process to be had: in tests, and where the system gave none.
    here: Answerer,
}

impl Apart {
    /// For what takes milliseconds.
    pub(super) fn new(zygote: Option<Arc<Zygote>>) -> Self {
        Self { zygote, patience: PATIENCE, line: None, hung: Vec::new(), here: Answerer::default() }
    }

    /// For hashes.
    pub(super) fn patient(zygote: Option<Arc<Zygote>>) -> Self {
        Self { patience: HASH_PATIENCE, ..Self::new(zygote) }
    }

    /// Whether this path leads to this file: then the path without links.
    pub(super) fn leads(&mut self, path: &[u8], file: FileId) -> Result<Option<Arc<str>>, Unanswered> {
        let named = Path::new(OsStr::from_bytes(path));
        if !named.is_absolute() {
            return Ok(None);
        }
        Ok(match self.ask(&Question::Leads { path: path.into(), file }, named, None)? {
            Answer::Path(path) => path.map(Into::into),
            Answer::Nothing | Answer::Process { .. } | Answer::Sum(_) => None,
        })
    }

    /// The command line of a process, and whether the path of its executable leads to that on this host.
    pub(super) fn process(
        &mut self,
        id: ProcessId,
        ticks: u64,
        exe: Option<&str>,
    ) -> Result<(Option<Arc<str>>, bool), Unanswered> {
        let question = Question::Process { pid: id.pid, ticks };
        Ok(match self.ask(&question, Path::new(exe.unwrap_or_default()), Some(id))? {
            Answer::Process { cmdline, on_host } => (cmdline.map(Into::into), on_host),
            Answer::Nothing | Answer::Path(_) | Answer::Sum(_) => (None, false),
        })
    }

    /// The hash of what a process runs.
    pub(super) fn hash_of(&mut self, id: ProcessId, ticks: u64, exe: &str) -> Option<Arc<str>> {
        let question = Question::HashOf { pid: id.pid, ticks };
        sum(self.ask(&question, Path::new(exe), Some(id)))
    }

    /// The hash of the file that a program start opened, by its path, where it is that file still.
    pub(super) fn hash_at(&mut self, path: &str, file: FileId, started: Mono) -> Option<Arc<str>> {
        let before = answer::wall_of(started);
        let question = Question::HashAt { path: path.as_bytes().into(), file, before };
        sum(self.ask(&question, Path::new(path), None))
    }

    /// What does not answer: file systems where they are known, else paths. Looks whether some answer by now.
    pub(super) fn hung(&mut self) -> Vec<PathBuf> {
        self.hung.retain(|hung| is_waiting(&hung.line));
        let mut paths: Vec<_> =
            self.hung.iter().map(|hung| hung.mount.as_ref().unwrap_or(&hung.path).clone()).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    fn ask(
        &mut self,
        question: &Question,
        path: &Path,
        process: Option<ProcessId>,
    ) -> Result<Answer, Unanswered> {
        let Some(zygote) = &self.zygote else { return Ok(self.here.answer(question)) };
        if !self.hung.is_empty() {
            self.hung.retain(|hung| is_waiting(&hung.line));
            if self.hung.len() >= MAX_HUNG || self.hung.iter().any(|hung| hung.covers(path, process)) {
                return Err(Unanswered);
            }
        }
        let line = match self.line.take() {
            Some(line) => Ok(line),
            None => zygote.line(),
        };
        let asked = line.and_then(|mut line| {
            line.set_read_timeout(Some(self.patience))?;
            send(&mut line, question)?;
            Ok(line)
        });
        let Ok(mut line) = asked else { return Err(Unanswered) };
        match receive(&mut line) {
            Ok(answer) => {
                self.line = Some(line);
                Ok(answer)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                log::warn!("{} does not answer", path.display());
                let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
                let mount = foreign_mount(&mountinfo, path);
                self.hung.push(Hung { line, path: path.to_path_buf(), mount, process });
                Err(Unanswered)
            }
            // It is gone. The next question has another one.
            Err(_) => Err(Unanswered),
        }
    }
}

fn sum(answer: Result<Answer, Unanswered>) -> Option<Arc<str>> {
    match answer {
        Ok(Answer::Sum(sum)) => Some(sum.into()),
        Ok(Answer::Nothing | Answer::Path(_) | Answer::Process { .. }) | Err(Unanswered) => None,
    }
}

/// Whether nothing came of it yet: no answer, no end.
fn is_waiting(line: &UnixStream) -> bool {
    let peeked =
        rustix::net::recv(line, &mut [0], rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT);
    peeked.is_err_and(|error| error == rustix::io::Errno::AGAIN)
}

/// The mount that a path is on as it is written, where that is of a file system that can hang. Where the path has links,
/// that may be another one than it leads to; then only the path is known to hang.
fn foreign_mount(mountinfo: &str, path: &Path) -> Option<PathBuf> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let point = left.split(' ').nth(4)?.replace("\\040", " ").replace("\\011", "\t");
        let point = PathBuf::from(point.replace("\\012", "\n").replace("\\134", "\\"));
        path.starts_with(&point).then_some((point, right))
    });
    // Of several at one place, the last one covers the others.
    let (point, kind) = mounts.max_by_key(|(point, _)| point.components().count())?;
    FOREIGN.iter().any(|foreign| kind.starts_with(foreign)).then_some(point)
}

fn send(line: &mut UnixStream, message: &impl Serialize) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len()).ok().filter(|length| *length <= MAX_MESSAGE);
    let length = length.ok_or(ErrorKind::FileTooLarge)?;
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend(body);
    line.write_all(&bytes)
}

fn receive<T: DeserializeOwned>(line: &mut UnixStream) -> io::Result<T> {
    let mut length = [0; 4];
    line.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > MAX_MESSAGE {
        return Err(ErrorKind::FileTooLarge.into());
    }
    let mut body = vec![0; length as usize];
    line.read_exact(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_file_systems_that_can_hang_are_avoided_as_a_whole() {
        let text = "1 0 0:1 / / rw - ext4 /dev/a rw\n\
                    2 1 0:2 / /mnt/a\\040b rw - fuse.sshfs host: rw\n\
                    3 2 0:3 / /mnt/a\\040b/local rw - tmpfs tmpfs rw\n";
        let mount = |path: &str| foreign_mount(text, Path::new(path));
        assert_eq!(mount("/mnt/a b/bin/x"), Some(PathBuf::from("/mnt/a b")));
        assert_eq!(mount("/mnt/a b/local/x"), None);
        assert_eq!(mount("/mnt/a bc/x"), None);
        assert_eq!(mount("/usr/bin/x"), None);
    }

    #[test]
    fn what_hangs_is_not_asked_for_again_and_the_rest_is() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let id = ProcessId { pid: 7, generation: 7 };
        let hung = |mount: Option<&str>, process, line| Hung {
            line,
            path: "/hang/x".into(),
            mount: mount.map(Into::into),
            process,
        };
        let other = ProcessId { pid: 8, generation: 7 };
        let one = hung(None, Some(id), ours);
        assert!(one.covers(Path::new("/hang/x"), None) && one.covers(Path::new("/y"), Some(id)));
        assert!(!one.covers(Path::new("/hang/y"), Some(other)));
        assert!(is_waiting(&one.line));
        drop(theirs);
        assert!(!is_waiting(&one.line), "it has ended");
        let whole = hung(Some("/hang"), None, one.line);
        assert!(whole.covers(Path::new("/hang/y"), None) && !whole.covers(Path::new("/hanging"), None));
    }
}
