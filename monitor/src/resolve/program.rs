//! Executable and command line, from what the kernel saw of a program start.
//!
//! A path that execve(2) was given is only a claim: it may be relative, a link, or mean another file by now. It is
//! believed where it leads to the very file, by device and inode, that the kernel opened.

use super::apart::{Apart, Unanswered};
use super::file_id::FileId;
use super::process::cmdline;
use crate::model::{Executed, Mono};
use std::collections::HashMap;
use std::sync::Arc;

/// Executables remembered; beyond it, they are looked up anew.
const MAX_KNOWN: usize = 8_192;
/// Bytes of a name that the kernel keeps (TASK_COMM_LEN, less the zero).
const COMM_ROOM: usize = 15;

/// A program that a process executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// As execve(2) got it.
    pub(super) path: Option<Box<[u8]>>,
    pub(super) file: Option<FileId>,
    /// The command line, where all of it is known.
    pub(super) cmdline: Option<Arc<str>>,
    /// The first argument: the interpreter of a script is named here only.
    first: Box<[u8]>,
    pub(super) uid: u32,
    pub(super) cgroup: u64,
    /// When it was started.
    pub(super) at: Mono,
}

impl Program {
    pub(super) fn of(executed: Executed) -> Self {
        let Executed { uid, cgroup, file, path, args, cut, at, .. } = executed;
        let first = args.split(|byte| *byte == 0).next().unwrap_or_default().into();
        let cmdline = (!cut).then(|| cmdline(&args)).flatten().map(Into::into);
        Self { path, file, cmdline, first, uid, cgroup, at }
    }

    /// The name of the file that was started: what comm is cut from.
    pub(super) fn file_name(&self) -> Option<&str> {
        file_name(std::str::from_utf8(self.path.as_deref()?).ok()?)
    }
}

/// The last part of a path.
fn file_name(path: &str) -> Option<&str> {
    path.rsplit('/').next().filter(|name| !name.is_empty())
}

/// The whole name of a process whose comm fills all the room that the kernel has for it (15 bytes), where one of these files
/// is what it was cut from.
pub(super) fn whole_name(comm: &str, started: Option<&str>, exe: Option<&str>) -> Option<Arc<str>> {
    if comm.len() != COMM_ROOM {
        return None;
    }
    let of_exe = exe.map(|exe| exe.strip_suffix(" (deleted)").unwrap_or(exe)).and_then(file_name);
    let mut names = [started, of_exe].into_iter().flatten();
    names.find(|name| name.len() > COMM_ROOM && name.starts_with(comm)).map(Into::into)
}

/// A file, and the path that execve(2) was given for it.
type Start = (FileId, Box<[u8]>);

/// Paths of executables by what the kernel saw.
#[derive(Debug, Default)]
pub(super) struct Executables {
    known: HashMap<Start, Option<Arc<str>>>,
}

impl Executables {
    /// The full path of a program, where it can be proven.
    pub(super) fn path(
        &mut self,
        program: &Program,
        apart: &mut Apart,
    ) -> Result<Option<Arc<str>>, Unanswered> {
        let Some(file) = program.file else { return Ok(None) };
        let named = program.path.as_deref().unwrap_or_default();
        if let Some(path) = self.known.get(&(file, Box::from(named))) {
            return Ok(path.clone());
        }
        let path = match apart.leads(named, file, program.uid)? {
            Some(path) => Some(path),
            None => apart.leads(&program.first, file, program.uid)?,
        };
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        self.known.insert((file, named.into()), path.clone());
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::file_id::of_metadata;
    use crate::resolve::process::MAX_CMDLINE;
    use std::fs;
    use std::path::Path;

    fn program(path: &str, first: &str, of: &Path) -> Program {
        let found = fs::metadata(of).unwrap();
        Program::of(Executed {
            file: Some(of_metadata(&found)),
            path: Some(path.as_bytes().into()),
            args: format!("{first}\0-x\0").into_bytes().into(),
            ..Executed::default()
        })
    }

    #[test]
    fn a_path_is_believed_where_it_leads_to_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let (real, link, other) = (root.join("real"), root.join("link"), root.join("other"));
        fs::write(&real, "x").unwrap();
        fs::write(&other, "y").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let (mut executables, mut apart) = (Executables::default(), Apart::new(None));
        let mut path = |path: &Path, first: &str, of: &Path| {
            executables
                .path(&program(path.to_str().unwrap(), first, of), &mut apart)
                .unwrap()
                .as_deref()
                .map(str::to_owned)
        };
        let real_text = real.to_str().map(str::to_owned);
        assert_eq!(path(&link, "a", &real), real_text, "without links");
        assert_eq!(path(&other, "a", &real), None, "another file");
        assert_eq!(path(Path::new("real"), "a", &real), None, "relative to who knows what");
        let script = root.join("script");
        assert_eq!(path(&script, real.to_str().unwrap(), &real), real_text, "its interpreter");
    }

    #[test]
    fn names_that_fill_their_room_are_whole_where_the_file_is_known() {
        let whole = |comm, started, exe| whole_name(comm, started, exe).map(|name| name.to_string());
        let long = Some("averylongprocessname-server".to_owned());
        assert_eq!(whole("averylongproces", long.as_deref(), Some("/usr/bin/python3.13")), long);
        assert_eq!(whole("averylongproces", None, Some("/opt/averylongprocessname-server (deleted)")), long);
        assert_eq!(whole("averylongproces", Some("averylongproces"), None), None, "it is whole");
        assert_eq!(whole("another name", long.as_deref(), None), None, "it named itself");
        assert_eq!(whole("averylongprotest", long.as_deref(), None), None);
        assert_eq!(program("/a/b", "x", Path::new("/")).file_name(), Some("b"));
    }

    #[test]
    fn command_lines() {
        assert_eq!(cmdline(b"curl\0-s\0\0").as_deref(), Some("curl -s"));
        assert_eq!(cmdline(b"nginx: master\0\0\0\0").as_deref(), Some("nginx: master"));
        assert_eq!(cmdline(b"\0\0"), None);
        assert_eq!(cmdline(b""), None);
        assert_eq!(cmdline(b"a\xff\x1b[2J\nb\0").as_deref(), Some("a\u{fffd}\u{1b}[2J\nb"), "raw");
        let long = cmdline(&[0xff; 10_000]).unwrap();
        assert!(long.len() <= MAX_CMDLINE, "{}", long.len());
    }
}
