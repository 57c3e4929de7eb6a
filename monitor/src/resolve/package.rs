//! Package lookup, which package an executable came with: the file lists of dpkg, apk and pacman. rpm's database is not
//! read.
//!
//! Nothing is indexed: the lists are read through once for all that is asked at that time, and the answers are kept.

use crate::bounded;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The largest file list, bytes.
const MAX_LIST: u64 = 64 << 20;
/// Executables remembered; beyond it, they are looked up anew.
const MAX_KNOWN: usize = 16_384;
/// Between two passes over the lists; one takes some 20 ms.
const REST: Duration = Duration::from_secs(1);
/// How long an answer holds: packages come and go while the monitor runs.
const HOLDS: Duration = Duration::from_mins(10);

/// Directories that were moved below /usr; the lists of some packages still name them without.
const MERGED: [&str; 6] = ["bin/", "sbin/", "lib/", "lib32/", "lib64/", "libx32/"];
/// Where no package puts a program.
const NOBODYS: [&str; 6] = ["home/", "root/", "tmp/", "var/tmp/", "usr/local/", "proc/"];

/// The packages known so far.
#[derive(Debug)]
pub(super) struct Packages {
    root: PathBuf,
    known: HashMap<Arc<str>, (Instant, Option<Arc<str>>)>,
    wanted: HashSet<Arc<str>>,
    passed: Option<Instant>,
}

impl Packages {
    /// With the databases below `root`.
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf(), known: HashMap::new(), wanted: HashSet::new(), passed: None }
    }

    /// The package of an executable of this host, by its path without links. `Err` where the lists have to be read
    /// first: then it is noted for [`Packages::pass`].
    pub(super) fn of(&mut self, path: &Arc<str>) -> Result<Option<Arc<str>>, ()> {
        let inside = path.strip_prefix('/').unwrap_or(path);
        if NOBODYS.iter().any(|dir| inside.starts_with(dir)) || path.contains('\n') {
            return Ok(None);
        }
        match self.known.get(path) {
            Some((at, package)) if at.elapsed() < HOLDS => Ok(package.clone()),
            _ => {
                if self.wanted.len() < MAX_KNOWN {
                    self.wanted.insert(Arc::clone(path));
                }
                Err(())
            }
        }
    }

    /// Reads the lists for all that was noted, where there is something and the last time is long enough ago. True
    /// where it did. `now` = however long it is.
    pub(super) fn pass(&mut self, now: bool) -> bool {
        if !self.waits() || !(now || self.passed.is_none_or(|at| at.elapsed() >= REST)) {
            return false;
        }
        let wanted = std::mem::take(&mut self.wanted);
        // By every name that a list may have for it.
        let mut names: HashMap<String, Arc<str>> = HashMap::new();
        for path in wanted.iter().filter(|path| path.starts_with('/')) {
            if let Some(short) =
                path.strip_prefix("/usr/").filter(|rest| MERGED.iter().any(|dir| rest.starts_with(dir)))
            {
                names.insert(format!("/{short}"), Arc::clone(path));
            }
            names.insert(path.to_string(), Arc::clone(path));
        }
        let mut found = HashMap::new();
        self.dpkg(&names, &mut found);
        self.apk(&names, &mut found);
        self.pacman(&names, &mut found);
        if self.known.len() + wanted.len() > MAX_KNOWN {
            self.known.clear();
        }
        let now = Instant::now();
        self.known.extend(wanted.into_iter().map(|path| {
            let package = found.remove(&path);
            (path, (now, package))
        }));
        self.passed = Some(now);
        true
    }

    /// Whether something waits for a pass.
    pub(super) fn waits(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// `info/PACKAGE.list` or `info/PACKAGE:ARCH.list`, a path a line. A diverted path belongs to who diverted it.
    fn dpkg(&self, names: &HashMap<String, Arc<str>>, found: &mut HashMap<Arc<str>, Arc<str>>) {
        let base = self.root.join("var/lib/dpkg");
        let Ok(lists) = fs::read_dir(base.join("info")) else { return };
        let diversions = bounded::read(&base.join("diversions"), MAX_LIST).unwrap_or_default();
        let diversions = String::from_utf8_lossy(&diversions);
        let lines: Vec<&str> = diversions.lines().collect();
        // Three lines each: the path, where it went, the package that did it (deb-divert).
        let diverted: HashMap<&str, (&str, &str)> =
            lines.chunks_exact(3).map(|three| (three[0], (three[1], three[2]))).collect();
        let moved: HashMap<&str, &str> = diverted.iter().map(|(from, (to, _))| (*to, *from)).collect();
        for list in lists.flatten() {
            let file = list.file_name();
            let Some(package) = file.to_str().and_then(|name| name.strip_suffix(".list")) else { continue };
            let package = package.split(':').next().unwrap_or(package);
            let Ok(content) = bounded::read(&list.path(), MAX_LIST) else { continue };
            let mut note = |line: &str| {
                if let Some(path) = names.get(line) {
                    found.insert(Arc::clone(path), package.into());
                }
            };
            for line in content.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok())
            {
                match diverted.get(line) {
                    Some((to, by)) if *by != package => note(to),
                    _ if moved.contains_key(line) => {}
                    _ => note(line),
                }
            }
        }
    }

    /// `P:` the package, `F:` a directory, `R:` a file in it.
    fn apk(&self, names: &HashMap<String, Arc<str>>, found: &mut HashMap<Arc<str>, Arc<str>>) {
        let Ok(content) = bounded::read(&self.root.join("lib/apk/db/installed"), MAX_LIST) else { return };
        let (mut package, mut dir) = ("", "");
        let content = String::from_utf8_lossy(&content);
        for line in content.lines() {
            match line.split_once(':') {
                Some(("P", name)) => package = name,
                Some(("F", name)) => dir = name,
                Some(("R", name)) => {
                    if let Some(path) = names.get(&format!("/{dir}/{name}")) {
                        found.insert(Arc::clone(path), package.into());
                    }
                }
                _ => {}
            }
        }
    }

    /// `local/PACKAGE-VERSION-RELEASE/files`, a path a line without its leading slash.
    fn pacman(&self, names: &HashMap<String, Arc<str>>, found: &mut HashMap<Arc<str>, Arc<str>>) {
        let Ok(packages) = fs::read_dir(self.root.join("var/lib/pacman/local")) else { return };
        for entry in packages.flatten() {
            let file = entry.file_name();
            let Some(package) = file.to_str().and_then(|name| name.rsplitn(3, '-').nth(2)) else { continue };
            let Ok(content) = bounded::read(&entry.path().join("files"), MAX_LIST) else { continue };
            for line in String::from_utf8_lossy(&content).lines() {
                if let Some(path) = names.get(&format!("/{line}")) {
                    found.insert(Arc::clone(path), package.into());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(files: &[(&str, &[u8])], path: &str) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let file = dir.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
        }
        let mut packages = Packages::new(dir.path());
        let path: Arc<str> = path.into();
        assert_eq!(packages.of(&path), Err(()));
        assert!(packages.pass(false));
        packages.of(&path).unwrap().map(|package| package.to_string())
    }

    #[test]
    fn dpkg_with_merged_usr_and_diversions() {
        let lists: [(&str, &[u8]); 4] = [
            ("var/lib/dpkg/info/curl.list", b"/.\n/usr/bin/curl\n"),
            ("var/lib/dpkg/info/libc6:amd64.list", b"/bin/cat\n\xff\n"),
            ("var/lib/dpkg/info/dash.list", b"/usr/bin/sh\n"),
            ("var/lib/dpkg/info/mine.list", b"/usr/bin/sh\n"),
        ];
        assert_eq!(with(&lists, "/usr/bin/curl").as_deref(), Some("curl"));
        assert_eq!(with(&lists, "/usr/bin/cat").as_deref(), Some("libc6"), "listed below /bin");
        assert_eq!(with(&lists, "/usr/bin/other"), None);
        let mut diverted = lists.to_vec();
        diverted.push(("var/lib/dpkg/diversions", b"/usr/bin/sh\n/usr/bin/sh.distrib\nmine\n"));
        assert_eq!(with(&diverted, "/usr/bin/sh").as_deref(), Some("mine"));
        assert_eq!(with(&diverted, "/usr/bin/sh.distrib").as_deref(), Some("dash"));
    }

    #[test]
    fn apk_and_pacman() {
        let apk: [(&str, &[u8]); 1] =
            [("lib/apk/db/installed", b"P:busybox\nV:1\nF:bin\nR:busybox\na:0:0:755\n")];
        assert_eq!(with(&apk, "/bin/busybox").as_deref(), Some("busybox"));
        assert_eq!(with(&apk, "/usr/bin/busybox").as_deref(), Some("busybox"));
        let pacman: [(&str, &[u8]); 1] =
            [("var/lib/pacman/local/openssh-client-9.8p1-1/files", b"%FILES%\nusr/bin/ssh\n")];
        assert_eq!(with(&pacman, "/usr/bin/ssh").as_deref(), Some("openssh-client"));
    }

    #[test]
    fn passes_are_spread_and_nobodys_files_need_none() {
        let dir = tempfile::tempdir().unwrap();
        let mut packages = Packages::new(dir.path());
        assert_eq!(packages.of(&"/tmp/a.out".into()), Ok(None));
        assert!(!packages.pass(false), "there is nothing to do");
        packages.of(&"/usr/bin/a".into()).unwrap_err();
        assert!(packages.pass(false));
        packages.of(&"/usr/bin/b".into()).unwrap_err();
        assert!(!packages.pass(false), "not twice in a second");
        assert!(packages.waits());
    }
}
