//! Names of containers and pods, from what their runtimes keep on disk. No daemon is asked.
//!
//! The files are the runtimes' own and may be another user's: they are read with a bound, and what does not fit the
//! expected shape is no name.

use super::workload::SOME_RUNTIME;
use crate::bounded;
use crate::model::{Container, Pod};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The largest state file of one container, bytes.
const MAX_STATE: u64 = 4 << 20;
/// The largest list of containers, bytes.
const MAX_LIST: u64 = 16 << 20;
/// The longest name, bytes. Docker allows 255, Kubernetes 253.
const MAX_NAME: usize = 512;
/// Entries of /var/log/pods that are looked at.
const MAX_PODS: usize = 65_536;

const DOCKER: &str = "var/lib/docker/containers";
const CONTAINERD: &str = "run/containerd/io.containerd.runtime.v2.task";
const STORAGE: [&str; 2] = ["var/lib/containers/storage", "run/containers/storage"];
const PODS: &str = "var/log/pods";

/// Where the runtimes keep their state: below `/`, or a directory that stands for it.
#[derive(Clone, Debug)]
pub(super) struct State {
    root: PathBuf,
}

impl State {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    /// A container of a runtime by its id, which is known to be hexadecimal digits unless it is LXC's.
    pub(super) fn container(&self, runtime: &'static str, id: &str) -> Container {
        let (runtime, name) = match runtime {
            "docker" => (runtime, self.docker(id)),
            "podman" => (runtime, self.listed(id)),
            "containerd" => (runtime, self.containerd(id)),
            "crio" => (runtime, self.crio(id)),
            "lxc" => (runtime, Some(id.to_owned())),
            // The path does not say which: whoever has a state of it.
            _ => [("containerd", self.containerd(id)), ("crio", self.crio(id)), ("docker", self.docker(id))]
                .into_iter()
                .find(|(_, name)| name.is_some())
                .unwrap_or((SOME_RUNTIME, None)),
        };
        Container { runtime, id: id.into(), name: name.map(Into::into), claimed_by: None }
    }

    /// `{"Name": "/web", ...}`.
    fn docker(&self, id: &str) -> Option<String> {
        let state = json(&self.root.join(DOCKER).join(id).join("config.v2.json"), MAX_STATE)?;
        let name = text(state.get("Name")?)?;
        Some(name.strip_prefix('/').map(str::to_owned).unwrap_or(name))
    }

    /// `[{"id": "...", "names": ["web"], ...}]`, in a directory that is named after the storage driver.
    fn listed(&self, id: &str) -> Option<String> {
        let drivers = STORAGE.iter().filter_map(|storage| fs::read_dir(self.root.join(storage)).ok());
        let lists = drivers.flat_map(|entries| entries.flatten().take(64).collect::<Vec<_>>());
        lists.filter(|entry| entry.file_name().to_string_lossy().ends_with("-containers")).find_map(|entry| {
            let list = json(&entry.path().join("containers.json"), MAX_LIST)?;
            let found =
                list.as_array()?.iter().find(|item| item.get("id").and_then(Value::as_str) == Some(id));
            text(found?.get("names")?.get(0)?)
        })
    }

    /// The annotations of the OCI bundle.
    fn containerd(&self, id: &str) -> Option<String> {
        let namespaces = fs::read_dir(self.root.join(CONTAINERD)).ok()?;
        namespaces.flatten().take(64).find_map(|namespace| {
            let bundle = json(&namespace.path().join(id).join("config.json"), MAX_STATE)?;
            annotation(&bundle, &["io.kubernetes.cri.container-name", "nerdctl/name"])
        })
    }

    fn crio(&self, id: &str) -> Option<String> {
        let bundles = STORAGE
            .iter()
            .map(|storage| self.root.join(storage).join("overlay-containers").join(id).join("userdata"));
        let named =
            bundles.filter_map(|bundle| json(&bundle.join("config.json"), MAX_STATE)).find_map(|bundle| {
                annotation(&bundle, &["io.kubernetes.container.name", "io.kubernetes.cri-o.ContainerName"])
            });
        named.or_else(|| self.listed(id))
    }

    /// A pod by its UID: `/var/log/pods/NAMESPACE_NAME_UID`. Neither namespace nor name can have an underscore.
    pub(super) fn pod(&self, uid: &str) -> Pod {
        let entries = fs::read_dir(self.root.join(PODS)).into_iter().flatten().flatten().take(MAX_PODS);
        let mut found = entries.filter_map(|entry| {
            let entry = entry.file_name().into_string().ok()?;
            let (namespace, rest) = entry.split_once('_')?;
            let (name, of) = rest.split_once('_')?;
            let fits = of == uid && !name.is_empty() && !namespace.is_empty();
            fits.then(|| (namespace.to_owned(), name.to_owned()))
        });
        let (namespace, name) = found.next().unzip();
        Pod { uid: uid.into(), name: name.map(Into::into), namespace: namespace.map(Into::into) }
    }
}

fn json(path: &Path, most: u64) -> Option<Value> {
    serde_json::from_slice(&bounded::read(path, most).ok()?).ok()
}

fn annotation(bundle: &Value, names: &[&str]) -> Option<String> {
    let annotations = bundle.get("annotations")?;
    names.iter().find_map(|name| text(annotations.get(name)?))
}

/// A name that can be one: not empty, not endless. Raw otherwise, whatever is in it.
fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|name| !name.is_empty() && name.len() <= MAX_NAME).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const UID: &str = "2f1b3c4d-0000-1111-2222-333344445555";

    /// A root with one file in it.
    fn root(path: &str, content: &[u8]) -> (tempfile::TempDir, State) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        let state = State::new(dir.path());
        (dir, state)
    }

    fn name(runtime: &'static str, path: &str, content: &[u8]) -> Option<String> {
        let (_dir, state) = root(&path.replace("ID", ID), content);
        state.container(runtime, ID).name.map(|name| name.to_string())
    }

    #[test]
    fn every_runtime_has_its_state_file() {
        let docker = "var/lib/docker/containers/ID/config.v2.json";
        assert_eq!(name("docker", docker, br#"{"ID":"x","Name":"/web"}"#).as_deref(), Some("web"));
        let podman = "var/lib/containers/storage/overlay-containers/containers.json";
        let list = format!(r#"[{{"id":"f"}},{{"id":"{ID}","names":["db"]}}]"#);
        assert_eq!(name("podman", podman, list.as_bytes()).as_deref(), Some("db"));
        let containerd = "run/containerd/io.containerd.runtime.v2.task/k8s.io/ID/config.json";
        let bundle = br#"{"annotations":{"io.kubernetes.cri.container-name":"api"}}"#;
        assert_eq!(name("containerd", containerd, bundle).as_deref(), Some("api"));
        assert_eq!(name("cri", containerd, bundle).as_deref(), Some("api"));
        let crio = "run/containers/storage/overlay-containers/ID/userdata/config.json";
        let bundle = br#"{"annotations":{"io.kubernetes.container.name":"dns"}}"#;
        assert_eq!(name("crio", crio, bundle).as_deref(), Some("dns"));
        let state = State::new(Path::new("/nowhere"));
        assert_eq!(state.container("lxc", "web").name.as_deref(), Some("web"));
        assert_eq!(state.container("cri", ID).runtime, SOME_RUNTIME);
    }

    #[test]
    fn hostile_state_is_no_name_or_a_raw_one() {
        let docker = "var/lib/docker/containers/ID/config.v2.json";
        for content in [
            &b""[..],
            b"{\"Name\":\"/we",
            b"[]",
            b"{\"Name\":7}",
            b"{\"Name\":\"\"}",
            b"\xff\xfe\x00",
            &b"[".repeat(100_000),
            format!("{{\"Name\":\"{}\"}}", "x".repeat(5_000)).as_bytes(),
        ] {
            assert_eq!(
                name("docker", docker, content),
                None,
                "{}",
                String::from_utf8_lossy(&content[..content.len().min(40)])
            );
        }
        let hostile = br#"{"Name":"/a\u001b[2J\nb"}"#;
        assert_eq!(name("docker", docker, hostile).as_deref(), Some("a\u{1b}[2J\nb"));
        let huge = vec![b' '; usize::try_from(MAX_STATE).unwrap() + 1];
        assert_eq!(name("docker", docker, &huge), None);
    }

    #[test]
    fn pods_by_the_names_of_their_logs() {
        let (_dir, state) = root(&format!("var/log/pods/shop_cart-0_{UID}/x"), b"");
        let pod = state.pod(UID);
        assert_eq!((pod.namespace.as_deref(), pod.name.as_deref()), (Some("shop"), Some("cart-0")));
        assert_eq!(state.pod("other").name, None);
    }
}
