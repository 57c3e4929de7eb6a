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

/// The inode of the hierarchy's root: the first that kernfs hands out (fs/kernfs/dir.c, `kernfs_create_root`).
const ROOT_INODE: u64 = 1;

/// A cgroup to attach to.
#[derive(Debug)]
pub(super) struct Target {
    /// Its directory.
    pub fd: OwnedFd,
    /// What it covers, for the header: "all sockets", "cgroup /a/b", "this container".
    pub scope: String,
    /// Not the root: sockets outside must be left alone.
    pub scoped: bool,
}

impl Target {
    /// Whether the sub-tree was removed (rmdir(2)): nothing can be opened in it any more. The root never is.
    pub(super) fn removed(&self) -> bool {
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
pub(super) fn open(path: Option<&Path>) -> Result<Target, SourceError> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let root = Root::best(mounts(&mountinfo).into_iter().filter_map(Root::open));
    match path {
        Some(path) => open_subtree(path, root.as_ref()),
        None => open_root(root),
    }
}

/// A cgroup2 mount.
#[derive(Debug)]
struct Root {
    path: PathBuf,
    fd: OwnedFd,
    /// It shows the whole hierarchy and not a container's part.
    whole: bool,
}

impl Root {
    /// `None` where the mount cannot be reached, as one below another mount.
    fn open(path: PathBuf) -> Option<Self> {
        let fd = open_dir(&path).ok().filter(is_cgroup2)?;
        let whole = is_whole(&fd);
        Some(Self { path, fd, whole })
    }

    /// One that shows everything, or the first.
    fn best(roots: impl Iterator<Item = Self>) -> Option<Self> {
        let mut roots: Vec<Self> = roots.collect();
        let best = roots.iter().position(|root| root.whole).unwrap_or(0);
        (best < roots.len()).then(|| roots.swap_remove(best))
    }

    fn scope(&self) -> String {
        if self.whole { "all sockets" } else { "this container" }.to_owned()
    }
}

/// Whether a cgroup is the root of the hierarchy. mountinfo does not tell: it shows paths as this process's cgroup namespace
/// has them, and a container's part is `/` in its own.
fn is_whole(fd: &OwnedFd) -> bool {
    rustix::fs::fstat(fd).is_ok_and(|stat| stat.st_ino == ROOT_INODE)
}

/// Mount points of cgroup2.
fn mounts(mountinfo: &str) -> Vec<PathBuf> {
    mountinfo.lines().filter_map(parse_mount).collect()
}

/// `ID PARENT MAJ:MIN ROOT MOUNTPOINT OPTIONS... - FSTYPE SOURCE SUPEROPTIONS`, spaces in paths as `\040`.
fn parse_mount(line: &str) -> Option<PathBuf> {
    let (left, right) = line.split_once(" - ")?;
    if right.split(' ').next()? != "cgroup2" {
        return None;
    }
    Some(PathBuf::from(unescape(left.split(' ').nth(4)?)))
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
    let mounted = |fd| Root { path: PathBuf::new(), whole: is_whole(&fd), fd };
    let root = root.map_or_else(|| detached().map(mounted), Ok)?;
    Ok(Target { scope: root.scope(), scoped: !root.whole, fd: root.fd })
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
            "no cgroup2 can be reached and a private mount failed: {error}; \
             mount it once with `sudo mount -t cgroup2 none /sys/fs/cgroup/unified` or use a kernel with CONFIG_CGROUPS"
        ))
    })
}

/// `path` is a directory of a cgroup2 mount, or is taken from the cgroup2 root as unit files and container runtimes
/// write it ("/system.slice/nginx.service").
fn open_subtree(path: &Path, root: Option<&Root>) -> Result<Target, SourceError> {
    let mount = root.map(|root| root.path.as_path());
    let below = mount.map(|mount| mount.join(path.strip_prefix("/").unwrap_or(path)));
    for candidate in std::iter::once(path).chain(below.as_deref()) {
        let Some(opened) = Root::open(candidate.to_owned()) else { continue };
        let name = mount.and_then(|mount| candidate.strip_prefix(mount).ok()).unwrap_or(candidate);
        let scope = if name.as_os_str().is_empty() || opened.whole {
            opened.scope()
        } else {
            format!("cgroup /{}", name.display()).replace("//", "/")
        };
        return Ok(Target { fd: opened.fd, scope, scoped: !opened.whole });
    }
    let hint = mount.map_or_else(
        || "no cgroup2 is mounted".to_owned(),
        |mount| format!("list them with `find {} -type d`", mount.display()),
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
        assert_eq!(mounts(HYBRID), [Path::new("/sys/fs/cgroup/unified")]);
    }

    #[test]
    fn unified_layout_with_an_escaped_path() {
        let text = "1 2 0:3 / /mnt/a\\040b rw - cgroup2 none rw\n";
        assert_eq!(mounts(text), [Path::new("/mnt/a b")]);
    }

    #[test]
    fn no_cgroup2_and_garbage() {
        assert!(mounts("31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw").is_empty());
        assert!(mounts("- cgroup2\n\n - - -\n").is_empty());
    }

    /// H3: which of several shows everything is not in mountinfo.
    #[test]
    fn a_whole_mount_is_preferred_to_a_containers() {
        let root = |path: &str, whole| {
            let fd = open_dir(Path::new("/")).unwrap();
            Root { path: path.into(), fd, whole }
        };
        let best = |roots: Vec<Root>| Root::best(roots.into_iter());
        assert_eq!(best(vec![root("/part", false), root("/all", true)]).unwrap().path, Path::new("/all"));
        let part = best(vec![root("/part", false)]).unwrap();
        assert_eq!((part.path.as_path(), part.scope()), (Path::new("/part"), "this container".to_owned()));
        assert!(best(Vec::new()).is_none());
    }

    #[test]
    fn a_path_that_is_no_cgroup_is_named() {
        let error = open(Some(Path::new("/proc"))).unwrap_err();
        assert!(error.message.contains("--cgroup /proc"), "{error}");
    }
}
