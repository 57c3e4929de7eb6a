//! Cgroup lookup: from the id of a cgroup to its path, and to what the path says. A cgroup that is gone keeps what was
//! learnt.

use super::runtime::State;
use super::workload;
use crate::model::{Container, Pod};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Cgroups remembered; beyond it, they are looked up anew.
const MAX_KNOWN: usize = 65_536;
/// Cgroups visited in one walk.
const MAX_WALK: usize = 65_536;
/// Between two walks: at least this, and so many times what the last one took.
const REST: Duration = Duration::from_millis(50);
/// See `REST`.
const SHARE: u32 = 20;

/// A cgroup and what its path says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Located {
    pub(super) path: Arc<str>,
    pub(super) unit: Option<Arc<str>>,
    pub(super) slice: Option<Arc<str>>,
    pub(super) container: Option<Arc<Container>>,
    pub(super) pod: Option<Arc<Pod>>,
}

/// The cgroups known so far.
#[derive(Debug)]
pub(super) struct Cgroups {
    mount: Option<PathBuf>,
    state: State,
    paths: HashMap<u64, Arc<str>>,
    /// Those whose directory is not root's, and whose it is.
    handed_over: HashMap<Arc<str>, u32>,
    located: HashMap<Arc<str>, Arc<Located>>,
    walked: Option<(Instant, Duration)>,
}

impl Cgroups {
    /// Of the cgroup2 that is mounted here; `state` knows the containers' names.
    pub(super) fn new(state: State) -> Self {
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mount = mount_point(&mountinfo);
        Self {
            mount,
            state,
            paths: HashMap::new(),
            handed_over: HashMap::new(),
            located: HashMap::new(),
            walked: None,
        }
    }

    /// Learns where these are, while they are there. Cheap where they are known.
    pub(super) fn learn(&mut self, id: u64) {
        if id == 0 || self.paths.contains_key(&id) {
            return;
        }
        if let Some((at, took)) = self.walked
            && at.elapsed() < REST.max(took * SHARE)
        {
            return;
        }
        self.walk();
    }

    /// What is known of a cgroup by its id. The root says nothing about a process on a hybrid machine, but that it is
    /// the root.
    pub(super) fn by_id(&mut self, id: u64) -> Option<Arc<Located>> {
        self.learn(id);
        let path = Arc::clone(self.paths.get(&id)?);
        Some(self.by_path(&path))
    }

    /// What a path says.
    pub(super) fn by_path(&mut self, path: &str) -> Arc<Located> {
        if let Some(located) = self.located.get(path) {
            return Arc::clone(located);
        }
        if self.located.len() >= MAX_KNOWN {
            self.located.clear();
        }
        let (roots, owner) = self.roots(path);
        let found = workload::read(path, roots);
        let container = found.container.map(|(runtime, id)| {
            // Whatever the state of a runtime of root's says of that id is not of this one.
            let claimed = owner.filter(|_| found.is_claimed);
            Arc::new(claimed.map_or_else(
                || self.state.container(runtime, id),
                |uid| Container {
                    runtime,
                    id: format!("{uid}:{id}").into(),
                    name: None,
                    claimed_by: claimed,
                },
            ))
        });
        let located = Arc::new(Located {
            path: path.into(),
            unit: found.unit.as_deref().map(Into::into),
            slice: found.slice.map(Into::into),
            container,
            pod: found.pod.map(|uid| Arc::new(self.state.pod(&uid))),
        });
        self.located.insert(Arc::clone(&located.path), Arc::clone(&located));
        located
    }

    /// How much of a path nobody but root can have made, bytes, and to whom the last directory of that was handed over.
    fn roots(&self, path: &str) -> (usize, Option<u32>) {
        let ends = path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]);
        for end in ends {
            let above = &path[..end];
            // One that is gone, or on a hybrid machine of another hierarchy, has the owner that was seen, or root.
            let owner = self.handed_over.get(above).copied().or_else(|| {
                let metadata =
                    fs::symlink_metadata(self.mount.as_ref()?.join(above.strip_prefix('/')?)).ok()?;
                Some(std::os::unix::fs::MetadataExt::uid(&metadata))
            });
            if let Some(uid) = owner.filter(|uid| *uid != 0) {
                return (end, Some(uid));
            }
        }
        (path.len(), None)
    }

    fn walk(&mut self) {
        let Some(mount) = self.mount.clone() else { return };
        let started = Instant::now();
        if self.paths.len() >= MAX_KNOWN {
            self.paths.clear();
            self.handed_over.clear();
        }
        if let Ok(root) = fs::metadata(&mount) {
            self.paths.insert(std::os::unix::fs::MetadataExt::ino(&root), "/".into());
        }
        let mut visited = 0;
        let mut open = vec![(mount, String::new())];
        while let Some((dir, path)) = open.pop() {
            let Ok(entries) = fs::read_dir(&dir) else { continue };
            for entry in entries.flatten() {
                if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    continue;
                }
                visited += 1;
                if visited > MAX_WALK {
                    break;
                }
                let path = format!("{path}/{}", entry.file_name().to_string_lossy());
                // The number of a cgroup's directory is its id (kernfs, Linux 5.5).
                if let Entry::Vacant(vacant) = self.paths.entry(entry.ino()) {
                    let path = vacant.insert(path.as_str().into());
                    let owner = entry.metadata().map_or(0, |of| std::os::unix::fs::MetadataExt::uid(&of));
                    if owner != 0 {
                        self.handed_over.insert(Arc::clone(path), owner);
                    }
                }
                open.push((dir.join(entry.file_name()), path));
            }
        }
        self.walked = Some((Instant::now(), started.elapsed()));
    }
}

/// `ID PARENT MAJ:MIN ROOT MOUNTPOINT OPTIONS... - FSTYPE ...` (proc_pid_mountinfo(5)): the mount that shows the whole
/// hierarchy, else the first.
fn mount_point(mountinfo: &str) -> Option<PathBuf> {
    let mounts: Vec<(&str, &str)> = mountinfo
        .lines()
        .filter_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let mut fields = left.split(' ').skip(3);
            right.starts_with("cgroup2 ").then_some((fields.next()?, fields.next()?))
        })
        .collect();
    let (_, path) = mounts.iter().find(|(root, _)| *root == "/").or(mounts.first())?;
    Some(Path::new(&path.replace("\\040", " ").replace("\\134", "\\")).to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_mount_is_preferred() {
        let text =
            "1 2 0:3 /docker/x /part rw - cgroup2 none rw\n1 2 0:3 / /the\\040whole rw - cgroup2 none rw\n";
        assert_eq!(mount_point(text), Some(PathBuf::from("/the whole")));
        assert_eq!(mount_point("31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw"), None);
    }

    #[test]
    fn a_cgroup_that_is_gone_is_still_known_and_walks_are_spread() {
        let dir = tempfile::tempdir().unwrap();
        let unit = dir.path().join("system.slice/web.service");
        fs::create_dir_all(&unit).unwrap();
        let id = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&unit).unwrap());
        let mut cgroups = Cgroups::new(State::new(dir.path()));
        cgroups.mount = Some(dir.path().to_path_buf());
        cgroups.learn(id);
        fs::remove_dir(&unit).unwrap();
        let located = cgroups.by_id(id).unwrap();
        assert_eq!(
            (&*located.path, located.unit.as_deref()),
            ("/system.slice/web.service", Some("web.service"))
        );
        let walked = cgroups.walked.unwrap().0;
        for unknown in 1_u64..100 {
            cgroups.learn(unknown << 40);
        }
        assert!(cgroups.walked.unwrap().0.duration_since(walked) < Duration::from_secs(5));
        assert_eq!(cgroups.by_id(1 << 40), None);
    }
}
