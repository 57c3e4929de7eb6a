//! Isolated lookups of what can hang, in a process apart: paths that other processes chose lead to file systems that need
//! not answer, and a thread that waits in one can neither be ended nor let go of what the process holds, kernel programs
//! among it.
//!
//! A question is waited for a while. Then whoever answers it is left alone, what hangs is remembered and not asked for again
//! until it answers, and the next question goes to a new process.

mod answer;
#[cfg(target_os = "linux")]
mod fork;

#[cfg(target_os = "linux")]
pub(crate) use fork::Zygote;

use crate::model::{Mono, ProcessId};
use crate::resolve::file_id::FileId;
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
const MAX_HUNG: usize = 64;
/// Of them for processes of one user that is not root: then nothing more is asked for his, so that he costs others little.
const MAX_OF_USER: usize = 4;
/// The longest message, bytes: a command line whose bytes all have to be escaped is shorter.
const MAX_MESSAGE: u32 = 1 << 16;
/// File systems that wait for a server or a program.
const FOREIGN: [&str; 9] = ["fuse", "nfs", "cifs", "smb", "9p", "ceph", "afs", "autofs", "virtiofs"];

/// Makes processes that answer. There are none on other systems.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub(crate) enum Zygote {}

#[cfg(not(target_os = "linux"))]
impl Zygote {
    fn line(&self) -> io::Result<UnixStream> {
        match *self {}
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

/// What a question is about.
#[derive(Clone, Copy, Debug)]
struct Subject<'p> {
    path: &'p Path,
    /// The process whose executable and memory it is about; without one it is the path alone.
    process: Option<ProcessId>,
    /// Whose process it is, or named the path.
    uid: Option<u32>,
}

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
    uid: Option<u32>,
}

impl Hung {
    /// Whether that would hang, too. A process that hangs says nothing of others that run the same file: it may be its memory.
    fn covers(&self, subject: Subject<'_>) -> bool {
        self.mount.as_ref().is_some_and(|mount| subject.path.starts_with(mount))
            || match self.process {
                None => self.path == subject.path,
                process => process == subject.process,
            }
    }

    /// What is said to hang.
    fn shown(&self) -> PathBuf {
        match (&self.mount, self.process) {
            (Some(mount), _) => mount.clone(),
            (None, Some(process)) => PathBuf::from(format!("/proc/{}", process.pid)),
            (None, None) => self.path.clone(),
        }
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
    pub(super) fn leads(
        &mut self,
        path: &[u8],
        file: FileId,
        uid: u32,
    ) -> Result<Option<Arc<str>>, Unanswered> {
        let named = Path::new(OsStr::from_bytes(path));
        if !named.is_absolute() {
            return Ok(None);
        }
        let subject = Subject { path: named, process: None, uid: Some(uid) };
        Ok(match self.ask(&Question::Leads { path: path.into(), file }, subject)? {
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
        uid: Option<u32>,
    ) -> Result<(Option<Arc<str>>, bool), Unanswered> {
        let question = Question::Process { pid: id.pid, ticks };
        let subject = Subject { path: Path::new(exe.unwrap_or_default()), process: Some(id), uid };
        Ok(match self.ask(&question, subject)? {
            Answer::Process { cmdline, on_host } => (cmdline.map(Into::into), on_host),
            Answer::Nothing | Answer::Path(_) | Answer::Sum(_) => (None, false),
        })
    }

    /// The hash of what a process runs.
    pub(super) fn hash_of(
        &mut self,
        id: ProcessId,
        ticks: u64,
        exe: &str,
        uid: Option<u32>,
    ) -> Option<Arc<str>> {
        let question = Question::HashOf { pid: id.pid, ticks };
        sum(self.ask(&question, Subject { path: Path::new(exe), process: Some(id), uid }))
    }

    /// The hash of the file that a program start opened, by its path, where it is that file still.
    pub(super) fn hash_at(
        &mut self,
        path: &str,
        file: FileId,
        started: Mono,
        uid: Option<u32>,
    ) -> Option<Arc<str>> {
        let before = answer::wall_of(started);
        let question = Question::HashAt { path: path.as_bytes().into(), file, before };
        sum(self.ask(&question, Subject { path: Path::new(path), process: None, uid }))
    }

    /// What does not answer: file systems where they are known, else paths. Looks whether some answer by now.
    pub(super) fn hung(&mut self) -> Vec<PathBuf> {
        self.hung.retain(|hung| is_waiting(&hung.line));
        let mut paths: Vec<_> = self.hung.iter().map(Hung::shown).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    /// Whether this is not asked, because it would hang or enough does.
    fn is_refused(&mut self, subject: Subject<'_>) -> bool {
        if self.hung.is_empty() {
            return false;
        }
        self.hung.retain(|hung| is_waiting(&hung.line));
        let of_user = |uid| self.hung.iter().filter(|hung| hung.uid == Some(uid)).count();
        self.hung.len() >= MAX_HUNG
            || subject.uid.is_some_and(|uid| uid != 0 && of_user(uid) >= MAX_OF_USER)
            || self.hung.iter().any(|hung| hung.covers(subject))
    }

    fn ask(&mut self, question: &Question, subject: Subject<'_>) -> Result<Answer, Unanswered> {
        if self.is_refused(subject) {
            return Err(Unanswered);
        }
        let Some(zygote) = &self.zygote else { return Ok(self.here.answer(question)) };
        let line = match self.line.take() {
            Some(line) => line,
            None => match zygote.line() {
                Ok(line) => line,
                Err(error) => {
                    // It was ended, or there is no descriptor to be had. Names are worth more than what it is there for.
                    log::warn!("no process to look at files, so this one does: {error}");
                    self.zygote = None;
                    return Ok(self.here.answer(question));
                }
            },
        };
        match self.answered(line, question) {
            Ok(answer) => Ok(answer),
            Err(Some(line)) => {
                log::warn!("{} does not answer", subject.path.display());
                let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
                let mount = foreign_mount(&mountinfo, subject.path);
                let Subject { path, process, uid } = subject;
                self.hung.push(Hung { line, path: path.to_path_buf(), mount, process, uid });
                Err(Unanswered)
            }
            // Whoever was asked was ended. The next question goes to another one, and this one is not asked again: it may
            // have been the reason.
            Err(None) => Ok(Answer::Nothing),
        }
    }

    /// The answer; else the line, where there is none in time, or nothing where nobody is at its end.
    fn answered(&mut self, mut line: UnixStream, question: &Question) -> Result<Answer, Option<UnixStream>> {
        let sent = line.set_read_timeout(Some(self.patience)).and_then(|()| send(&mut line, question));
        match sent.and_then(|()| receive(&mut line)) {
            Ok(answer) => {
                self.line = Some(line);
                Ok(answer)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(Some(line))
            }
            Err(_) => Err(None),
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

    fn hung(path: &str, mount: Option<&str>, process: Option<ProcessId>) -> (Hung, UnixStream) {
        let (line, theirs) = UnixStream::pair().unwrap();
        let mount = mount.map(Into::into);
        (Hung { line, path: path.into(), mount, process, uid: Some(7) }, theirs)
    }

    fn subject(path: &str, process: Option<ProcessId>, uid: u32) -> Subject<'_> {
        Subject { path: Path::new(path), process, uid: Some(uid) }
    }

    #[test]
    fn what_hangs_is_not_asked_for_again_and_the_rest_is() {
        let id = |pid| Some(ProcessId { pid, generation: 7 });
        let (path, theirs) = hung("/hang/x", None, None);
        assert!(path.covers(subject("/hang/x", id(8), 8)) && !path.covers(subject("/hang/y", None, 8)));
        assert!(is_waiting(&path.line));
        drop(theirs);
        assert!(!is_waiting(&path.line), "it has ended");
        let whole = hung("/hang/x", Some("/hang"), None).0;
        assert!(whole.covers(subject("/hang/y", id(8), 8)) && !whole.covers(subject("/hanging", None, 8)));
        let process = hung("/usr/bin/bash", None, id(8)).0;
        assert!(process.covers(subject("/usr/bin/bash", id(8), 8)));
        assert!(!process.covers(subject("/usr/bin/bash", id(9), 8)), "it may be its memory that hangs");
        assert!(!process.covers(subject("/usr/bin/bash", None, 8)));
        assert_eq!(process.shown(), PathBuf::from("/proc/8"));
    }

    #[test]
    fn a_user_who_hangs_costs_himself_and_no_others() {
        let mut apart = Apart::new(None);
        let mut ends = Vec::new();
        for number in 0..MAX_OF_USER {
            assert!(!apart.is_refused(subject("/other", None, 7)));
            let (hung, theirs) = hung(&format!("/hang/{number}"), None, None);
            ends.push(theirs);
            apart.hung.push(hung);
        }
        assert!(apart.is_refused(subject("/other", None, 7)));
        assert!(!apart.is_refused(subject("/other", None, 8)));
        assert_eq!(apart.hung().len(), MAX_OF_USER);
        ends.clear();
        assert!(!apart.is_refused(subject("/hang/0", None, 7)), "all is over");
        assert!(apart.hung().is_empty());
    }
}
