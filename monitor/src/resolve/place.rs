//! What a cgroup path says: systemd's unit and slice, the container, the pod. Text only; it asks nobody.
//!
//! The shapes are those that systemd, docker, podman, containerd, CRI-O, LXC and the kubelet give to their cgroups, with
//! the systemd driver and with the cgroupfs driver. A path that fits none says nothing.

/// Longest path that is looked at, bytes. The kernel allows longer ones than `PATH_MAX` by nesting.
const MAX_PATH: usize = 16_384;
/// Digits of a container's id.
const ID_DIGITS: usize = 64;
/// Runtime of a container in a pod whose path does not name its runtime.
pub(super) const SOME_RUNTIME: &str = "cri";

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place<'p> {
    pub(super) unit: Option<&'p str>,
    pub(super) slice: Option<&'p str>,
    /// Runtime and id.
    pub(super) container: Option<(&'static str, &'p str)>,
    /// UID of the pod, with dashes.
    pub(super) pod: Option<String>,
}

/// Reads a path. The innermost of each kind wins: a unit inside a container is the unit.
pub(super) fn read(path: &str) -> Place<'_> {
    let mut place = Place::default();
    let mut outer = "";
    for segment in path.get(..MAX_PATH.min(path.len())).unwrap_or_default().split('/') {
        if is_unit(segment) {
            place.unit = Some(unescaped(segment));
        }
        if segment.strip_suffix(".slice").is_some_and(|name| !name.is_empty()) {
            place.slice = Some(unescaped(segment));
        }
        if let Some(pod) = pod(segment, outer) {
            place.pod = Some(pod);
        }
        if let Some(container) = container(segment, outer, place.pod.is_some()) {
            place.container = Some(container);
        }
        outer = segment;
    }
    place
}

/// The kinds of units that processes run in (systemd.unit(5)).
fn is_unit(segment: &str) -> bool {
    [".service", ".scope", ".socket", ".mount", ".swap"]
        .iter()
        .any(|kind| segment.len() > kind.len() && segment.ends_with(kind))
}

/// systemd puts an underscore before names that the kernel could take for a file of its own (cg_escape).
fn unescaped(segment: &str) -> &str {
    segment.strip_prefix('_').unwrap_or(segment)
}

fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn container<'p>(segment: &'p str, outer: &str, in_pod: bool) -> Option<(&'static str, &'p str)> {
    for (prefix, runtime) in [
        ("docker-", "docker"),
        ("libpod-", "podman"),
        ("cri-containerd-", "containerd"),
        ("nerdctl-", "containerd"),
        ("crio-", "crio"),
    ] {
        let name = segment.strip_prefix(prefix);
        // `libpod-conmon-ID` and `crio-conmon-ID` are the runtime's own, not the container: no id follows the prefix.
        if let Some(id) = name.map(|name| name.strip_suffix(".scope").unwrap_or(name)).filter(|id| is_id(id))
        {
            return Some((runtime, id));
        }
    }
    // The systemd driver's name where the cgroupfs driver made it: `SLICE:cri-containerd:ID`.
    if let Some((head, id)) = segment.rsplit_once(':').filter(|(_, id)| is_id(id)) {
        let runtime = match head.rsplit(':').next() {
            Some("cri-containerd" | "nerdctl") => "containerd",
            Some("crio") => "crio",
            Some("docker") => "docker",
            Some("libpod") => "podman",
            _ => return None,
        };
        return Some((runtime, id));
    }
    if let Some(name) = segment.strip_prefix("lxc.payload.").filter(|name| !name.is_empty()) {
        return Some(("lxc", name));
    }
    match outer {
        "docker" if is_id(segment) => Some(("docker", segment)),
        "libpod_parent" if is_id(segment) => Some(("podman", segment)),
        "lxc" | "lxc.payload" if !segment.is_empty() => Some(("lxc", segment)),
        _ if in_pod && is_id(segment) => Some((SOME_RUNTIME, segment)),
        _ => None,
    }
}

/// `kubepods-burstable-podUID.slice` with underscores for dashes, or `podUID` below `kubepods`.
fn pod(segment: &str, outer: &str) -> Option<String> {
    let uid = if let Some(name) = segment.strip_suffix(".slice") {
        let (head, uid) = name.rsplit_once("-pod")?;
        if !head.contains("kubepods") {
            return None;
        }
        uid.replace('_', "-")
    } else {
        let below = ["kubepods", "besteffort", "burstable", "guaranteed"].contains(&outer)
            || outer.ends_with("kubepods.slice");
        segment.strip_prefix("pod").filter(|_| below)?.to_owned()
    };
    // A UUID, or the hash that a static pod has for one.
    let fits = uid.len() >= 32 && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    fits.then_some(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const UID: &str = "2f1b3c4d-0000-1111-2222-333344445555";

    fn container_of(path: &str) -> Option<(&'static str, String)> {
        read(&path.replace("ID", ID)).container.map(|(runtime, id)| (runtime, id.to_owned()))
    }

    #[test]
    fn units_and_slices() {
        let place = read("/system.slice/system-getty.slice/getty@tty1.service");
        assert_eq!((place.unit, place.slice), (Some("getty@tty1.service"), Some("system-getty.slice")));
        let place = read("/user.slice/user-1000.slice/user@1000.service/app.slice/app-firefox-42.scope");
        assert_eq!((place.unit, place.slice), (Some("app-firefox-42.scope"), Some("app.slice")));
        let place = read("/system.slice/_memory.service/worker");
        assert_eq!(place.unit, Some("memory.service"));
        let place = read("/system.slice/dev-disk-by\\x2dlabel-swap.swap");
        assert_eq!(place.unit, Some("dev-disk-by\\x2dlabel-swap.swap"), "as systemctl shows it");
        assert_eq!(read("/"), Place::default());
        assert_eq!(read("/.service/.slice"), Place::default());
    }

    #[test]
    fn containers_by_every_driver() {
        let id = || ID.to_owned();
        for (path, runtime) in [
            ("/system.slice/docker-ID.scope", "docker"),
            ("/docker/ID", "docker"),
            ("/docker/ID/init.scope", "docker"),
            ("/machine.slice/libpod-ID.scope/container", "podman"),
            ("/libpod_parent/libpod-ID", "podman"),
            ("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope", "podman"),
            ("/system.slice/containerd.service/kubepods-besteffort.slice:cri-containerd:ID", "containerd"),
            ("/system.slice/nerdctl-ID.scope", "containerd"),
            ("/kubepods.slice/crio-ID.scope", "crio"),
        ] {
            assert_eq!(container_of(path), Some((runtime, id())), "{path}");
        }
        assert_eq!(container_of("/lxc.payload.web/system.slice/x.service"), Some(("lxc", "web".to_owned())));
        assert_eq!(container_of("/lxc/web"), Some(("lxc", "web".to_owned())));
        for path in [
            "/machine.slice/libpod-conmon-ID.scope",
            "/system.slice/docker.service",
            "/system.slice/ID",
            "/docker/buildkit",
            "/docker-0123.scope",
            "/lxc.monitor.web",
        ] {
            assert_eq!(container_of(path), None, "{path}");
        }
        let nested = format!("/docker/{ID}/docker/{}", ID.replace('0', "f"));
        assert_eq!(read(&nested).container.map(|found| found.1.to_owned()), Some(ID.replace('0', "f")));
    }

    #[test]
    fn pods() {
        let systemd = format!(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice/cri-containerd-{ID}.scope",
            UID.replace('-', "_")
        );
        let place = read(&systemd);
        assert_eq!((place.pod.as_deref(), place.container), (Some(UID), Some(("containerd", ID))));
        let cgroupfs = format!("/kubepods/besteffort/pod{UID}/{ID}");
        let place = read(&cgroupfs);
        assert_eq!((place.pod.as_deref(), place.container), (Some(UID), Some((SOME_RUNTIME, ID))));
        let guaranteed = format!("/kubepods/pod{UID}/{ID}");
        assert_eq!(read(&guaranteed).pod.as_deref(), Some(UID));
        assert_eq!(read("/srv/podium/x").pod, None);
        assert_eq!(read("/kubepods/podcast").pod, None);
    }

    #[test]
    fn overlong_and_odd_paths_are_no_surprise() {
        let long = format!("/{}/x.service", "a".repeat(40_000));
        assert_eq!(read(&long), Place::default());
        let _ = read(&"é/".repeat(20_000));
        assert_eq!(
            read("/a\nb\u{1b}[2J.service").unit,
            Some("a\nb\u{1b}[2J.service"),
            "raw: showing escapes it"
        );
    }
}
