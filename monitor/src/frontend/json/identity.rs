//! What names a process, in its object.

use crate::model::{self, Ancestor, Identity};
use serde::Serialize;

/// Names are raw, and null where they are not known or there are none.
#[derive(Serialize)]
pub(super) struct Fields<'s> {
    full_name: Option<&'s str>,
    cmdline: Option<&'s str>,
    user: Option<&'s str>,
    cgroup: Option<&'s str>,
    unit: Option<&'s str>,
    slice: Option<&'s str>,
    container: Option<Container<'s>>,
    pod: Option<Pod<'s>>,
    netns_inode: Option<u64>,
    package: Option<&'s str>,
    sha256: Option<&'s str>,
    sha256_reason: Option<&'s str>,
    parents: Vec<Parent<'s>>,
}

#[derive(Serialize)]
struct Container<'s> {
    runtime: &'static str,
    id: &'s str,
    name: Option<&'s str>,
    claimed_by: Option<u32>,
}

#[derive(Serialize)]
struct Pod<'s> {
    uid: &'s str,
    name: Option<&'s str>,
    namespace: Option<&'s str>,
}

#[derive(Serialize)]
struct Parent<'s> {
    pid: u32,
    process: Option<&'s str>,
}

impl<'s> Fields<'s> {
    pub(super) fn new(identity: &'s Identity) -> Self {
        Self {
            full_name: identity.name.as_deref(),
            cmdline: identity.cmdline.as_deref(),
            user: identity.user.as_deref(),
            cgroup: identity.cgroup.as_deref(),
            unit: identity.unit.as_deref(),
            slice: identity.slice.as_deref(),
            container: identity.container.as_deref().map(Container::new),
            pod: identity.pod.as_deref().map(Pod::new),
            netns_inode: Some(identity.netns_inode).filter(|inode| *inode != 0),
            package: identity.package.as_deref(),
            sha256: identity.sha256.as_deref(),
            sha256_reason: identity.unhashed,
            parents: identity.parents.iter().map(Parent::new).collect(),
        }
    }
}

impl<'s> Container<'s> {
    fn new(container: &'s model::Container) -> Self {
        Self {
            runtime: container.runtime,
            id: &container.id,
            name: container.name.as_deref(),
            claimed_by: container.claimed_by,
        }
    }
}

impl<'s> Pod<'s> {
    fn new(pod: &'s model::Pod) -> Self {
        Self { uid: &pod.uid, name: pod.name.as_deref(), namespace: pod.namespace.as_deref() }
    }
}

impl<'s> Parent<'s> {
    fn new(ancestor: &'s Ancestor) -> Self {
        let process = Some(&*ancestor.comm).filter(|comm| !comm.is_empty());
        Self { pid: ancestor.id.pid, process }
    }
}
