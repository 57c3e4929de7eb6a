//! Finding the cgroup to attach to: the cgroup2 root, or a sub-tree that the user named.
//!
//! Reads mountinfo (proc_pid_mountinfo(5)); never mounts anything into a namespace.

use crate::source::SourceError;
use rustix::fs::{Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// `CGROUP2_SUPER_MAGIC` of linux/magic.h.
const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;

/// A cgroup to attach to.
#[derive(Debug)]
pub struct Target {
    /// Its directory.
    pub fd: OwnedFd,
    /// What it covers, for the header: "all sockets", "cgroup /a/b", "this container".
    pub scope: String,
    /// Not the root: sockets outside must be left alone.
    pub scoped: bool,
}

impl Target {
    /// Whether the sub-tree was removed (rmdir(2)): nothing can be opened in it any more. The root never is.
    pub fn removed(&self) -> bool {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        self.scoped
            && rustix::fs::openat(&self.fd, "cgroup.procs", flags, Mode::empty())
                .is_err_and(|error| matches!(error, rustix::io::Errno::NOENT | rustix::io::Errno::NODEV))
    }
}

/// Opens the sub-tree at `path`, or the root where there is none.
///
/// # Errors
/// A path that is not a cgroup2 directory; a root that cannot be opened or mounted.
pub fn open(path: Option<&Path>) -> Result<Target, SourceError> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let root = find_root(&mountinfo);
    match path {
        Some(path) => open_subtree(path, root.as_ref().map(|root| root.path.as_path())),
        None => open_root(root),
    }
}

/// A cgroup2 mount.
#[derive(Debug, PartialEq, Eq)]
struct Root {
    path: PathBuf,
    /// The mount shows the whole hierarchy and not a container's part.
    whole: bool,
}

fn find_root(mountinfo: &str) -> Option<Root> {
    let roots: Vec<Root> = mountinfo.lines().filter_map(parse_mount).collect();
    let whole = roots.iter().position(|root| root.whole).unwrap_or(0);
    roots.into_iter().nth(whole)
}

/// `ID PARENT MAJ:MIN ROOT MOUNTPOINT OPTIONS... - FSTYPE SOURCE SUPEROPTIONS`, spaces in paths as `\040`.
fn parse_mount(line: &str) -> Option<Root> {
    let (left, right) = line.split_once(" - ")?;
    if right.split(' ').next()? != "cgroup2" {
        return None;
    }
    let mut fields = left.split(' ').skip(3);
    let (root, mount_point) = (fields.next()?, fields.next()?);
    Some(Root { path: PathBuf::from(unescape(mount_point)), whole: root == "/" })
}

fn unescape(path: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(path.to_owned(), |path, (from, to)| path.replace(from, to))
}

fn open_dir(path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn open_root(root: Option<Root>) -> Result<Target, SourceError> {
    let Some(root) = root else {
        return Ok(Target { fd: detached()?, scope: "all sockets".to_owned(), scoped: false });
    };
    let fd = open_dir(&root.path).map_err(|error| {
        SourceError::new(format!(
            "cannot open the cgroup2 root {}: {error}; run monitor where it can be read",
            root.path.display()
        ))
    })?;
    let scope = if root.whole { "all sockets" } else { "this container" };
    Ok(Target { fd, scope: scope.to_owned(), scoped: !root.whole })
}

/// A mount that nobody sees and that goes with its descriptor (fsopen(2), Linux 5.2).
fn detached() -> Result<OwnedFd, SourceError> {
    let mount = || -> rustix::io::Result<OwnedFd> {
        let fs = rustix::mount::fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
        rustix::mount::fsconfig_create(&fs)?;
        rustix::mount::fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
    };
    mount().map_err(|error| {
        SourceError::new(format!(
            "no cgroup2 is mounted and a private mount failed: {error}; \
             mount it once with `sudo mount -t cgroup2 none /sys/fs/cgroup/unified` or use a kernel with CONFIG_CGROUPS"
        ))
    })
}

/// `path` is a directory of a cgroup2 mount, or is taken from the cgroup2 root as unit files and container runtimes
/// write it ("/system.slice/nginx.service").
fn open_subtree(path: &Path, root: Option<&Path>) -> Result<Target, SourceError> {
    let below = root.map(|root| root.join(path.strip_prefix("/").unwrap_or(path)));
    for candidate in std::iter::once(path).chain(below.as_deref()) {
        let Ok(fd) = open_dir(candidate) else { continue };
        if is_cgroup2(&fd) {
            let name = root.and_then(|root| candidate.strip_prefix(root).ok()).unwrap_or(candidate);
            let whole = name.as_os_str().is_empty();
            let scope = if whole { "all sockets".to_owned() } else { format!("cgroup /{}", name.display()) };
            return Ok(Target { fd, scope: scope.replace("//", "/"), scoped: !whole });
        }
    }
    let hint = root.map_or_else(
        || "no cgroup2 is mounted".to_owned(),
        |root| format!("list them with `find {} -type d`", root.display()),
    );
    Err(SourceError::new(format!("--cgroup {}: no such cgroup2 directory; {hint}", path.display())))
}

fn is_cgroup2(fd: &OwnedFd) -> bool {
    rustix::fs::fstatfs(fd).is_ok_and(|stat| u64::try_from(stat.f_type) == Ok(CGROUP2_SUPER_MAGIC))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
";

    #[test]
    fn hybrid_layout() {
        let root = find_root(HYBRID).unwrap();
        assert_eq!(root, Root { path: "/sys/fs/cgroup/unified".into(), whole: true });
    }

    #[test]
    fn unified_layout_with_an_escaped_path() {
        let root = find_root("1 2 0:3 / /mnt/a\\040b rw - cgroup2 none rw\n").unwrap();
        assert_eq!(root.path, Path::new("/mnt/a b"));
    }

    #[test]
    fn a_whole_mount_is_preferred_to_a_containers() {
        let text = "1 2 0:3 /docker/x /part rw - cgroup2 none rw\n1 2 0:3 / /whole rw - cgroup2 none rw\n";
        assert_eq!(find_root(text).unwrap().path, Path::new("/whole"));
        let part = find_root("1 2 0:3 /docker/x /part rw - cgroup2 none rw\n").unwrap();
        assert!(!part.whole);
    }

    #[test]
    fn no_cgroup2_and_garbage() {
        assert_eq!(find_root("31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw"), None);
        assert_eq!(find_root("- cgroup2\n\n - - -\n"), None);
    }

    #[test]
    fn a_path_that_is_no_cgroup_is_named() {
        let error = open(Some(Path::new("/proc"))).unwrap_err();
        assert!(error.message.contains("--cgroup /proc"), "{error}");
    }
}
