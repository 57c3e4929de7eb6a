//! The workload that a cgroup path names: systemd's unit and slice, the container, the pod. Text only; it asks nobody.
//!
//! The shapes are those that systemd, docker, podman, containerd, CRI-O, LXC and the kubelet give to their cgroups, with
//! the systemd driver and with the cgroupfs driver. A path that fits none says nothing.

use std::borrow::Cow;

/// Longest path that is looked at, bytes. The kernel allows longer ones than `PATH_MAX` by nesting.
const MAX_PATH: usize = 16_384;
/// Digits of a container's id.
const ID_DIGITS: usize = 64;
/// Runtime of a container in a pod whose path does not name its runtime.
pub(super) const SOME_RUNTIME: &str = "cri";

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Workload<'p> {
    /// Below a user's manager (`user@UID.service`) with the unit of that, `user@UID.service/UNIT`.
    pub(super) unit: Option<Cow<'p, str>>,
    pub(super) slice: Option<&'p str>,
    /// Runtime and id.
    pub(super) container: Option<(&'static str, &'p str)>,
    /// The container's cgroup is in a directory that is not root's: anybody can have given it its name.
    pub(super) is_claimed: bool,
    /// UID of the pod, with dashes.
    pub(super) pod: Option<String>,
}

/// Reads a path, of which whoever is not root can have made what stands behind the first `roots` bytes. The outermost of each
/// kind wins, as for systemd (cg_path_get_unit): what is inside a unit or a container was named by who runs in it. Units in a
/// container are its own business and are not told.
pub(super) fn read(path: &str, roots: usize) -> Workload<'_> {
    let mut workload = Workload::default();
    let (mut outer, mut end) = ("", 0);
    let mut manager = None;
    for segment in path.get(..MAX_PATH.min(path.len())).unwrap_or_default().split('/') {
        end += segment.len();
        let is_roots = end <= roots;
        end += 1;
        if workload.container.is_some() {
            break;
        }
        if let (true, None, Some(pod)) = (is_roots, &workload.pod, pod(segment, outer)) {
            workload.pod = Some(pod);
        }
        if let Some(container) = container(segment, outer, workload.pod.is_some()) {
            (workload.container, workload.is_claimed) = (Some(container), !is_roots);
        }
        match (&workload.unit, manager) {
            (None, _) if is_roots && is_unit(segment) => {
                workload.unit = Some(Cow::Borrowed(unescaped(segment)));
                manager = Some(unescaped(segment)).filter(|unit| is_manager(unit));
            }
            (None, _) if is_roots && is_slice(segment) => workload.slice = Some(unescaped(segment)),
            // What a user's manager runs is named by the user, so his manager is named with it.
            (Some(_), Some(of)) if is_unit(segment) => {
                workload.unit = Some(Cow::Owned(format!("{of}/{}", unescaped(segment))));
                manager = None;
            }
            _ => {}
        }
        outer = segment;
    }
    workload
}

/// `user@UID.service`: what runs the units of a user.
fn is_manager(unit: &str) -> bool {
    let uid = unit.strip_prefix("user@").and_then(|rest| rest.strip_suffix(".service"));
    uid.is_some_and(|uid| !uid.is_empty() && uid.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_slice(segment: &str) -> bool {
    segment.strip_suffix(".slice").is_some_and(|name| !name.is_empty())
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

    /// All of it was made by root.
    fn read(path: &str) -> Workload<'_> {
        super::read(path, path.len())
    }

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const UID: &str = "2f1b3c4d-0000-1111-2222-333344445555";

    fn container_of(path: &str) -> Option<(&'static str, String)> {
        read(&path.replace("ID", ID)).container.map(|(runtime, id)| (runtime, id.to_owned()))
    }

    #[test]
    fn units_and_slices() {
        let of = |path: &str| {
            let workload = read(path);
            (workload.unit.map(Cow::into_owned).unwrap_or_default(), workload.slice.map(str::to_owned))
        };
        let both = |unit: &str, slice: &str| (unit.to_owned(), Some(slice.to_owned()));
        assert_eq!(
            of("/system.slice/system-getty.slice/getty@tty1.service"),
            both("getty@tty1.service", "system-getty.slice")
        );
        assert_eq!(of("/system.slice/_memory.service/worker").0, "memory.service");
        let swap = "dev-disk-by\\x2dlabel-swap.swap";
        assert_eq!(of(&format!("/system.slice/{swap}")).0, swap, "as systemctl shows it");
        assert_eq!(
            of("/user.slice/user-1000.slice/session-3.scope"),
            both("session-3.scope", "user-1000.slice")
        );
        assert_eq!(read("/"), Workload::default());
        assert_eq!(read("/.service/.slice"), Workload::default());
        assert_eq!(of("/system.slice/docker-x.scope/init.scope").0, "docker-x.scope", "the outermost");
        let user = "/user.slice/user-1000.slice/user@1000.service";
        assert_eq!(of(user), both("user@1000.service", "user-1000.slice"));
        assert_eq!(
            of(&format!("{user}/app.slice/app-firefox-42.scope/x.service")),
            both("user@1000.service/app-firefox-42.scope", "user-1000.slice")
        );
        assert_eq!(of("/system.slice/user@x.service/nginx.service").0, "user@x.service", "no user's manager");
    }

    #[test]
    fn what_a_user_names_is_nobody_elses() {
        let top = "/user.slice/user-65534.slice/user@65534.service";
        let of = |below: &str| {
            let path = format!("{top}/{below}");
            let workload = super::read(&path, top.len());
            let unit = workload.unit.as_deref().map(str::to_owned);
            (
                unit,
                workload.slice.map(str::to_owned),
                workload.container.map(|found| found.0),
                workload.is_claimed,
                workload.pod,
            )
        };
        let unit = |name: &str| Some(format!("user@65534.service/{name}"));
        let slice = Some("user-65534.slice".to_owned());
        assert_eq!(of("nginx.service"), (unit("nginx.service"), slice.clone(), None, false, None));
        let docker = format!("docker-{ID}.scope");
        assert_eq!(of(&docker), (unit(&docker), slice.clone(), Some("docker"), true, None));
        let pod = format!("kubepods.slice/kubepods-pod{}.slice", UID.replace('-', "_"));
        assert_eq!(of(&pod), (Some("user@65534.service".to_owned()), slice, None, false, None));
        // Handed to a user without systemd.
        let workload = super::read("/alice/nginx.service", "/alice".len());
        assert_eq!(workload, Workload::default());
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
        assert_eq!(
            read(&nested).container,
            Some(("docker", ID)),
            "the outermost: what is in it can name itself"
        );
        assert_eq!(read(&format!("/docker/{ID}/nginx.service")).unit, None);
    }

    #[test]
    fn pods() {
        let systemd = format!(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice/cri-containerd-{ID}.scope",
            UID.replace('-', "_")
        );
        let workload = read(&systemd);
        assert_eq!((workload.pod.as_deref(), workload.container), (Some(UID), Some(("containerd", ID))));
        let cgroupfs = format!("/kubepods/besteffort/pod{UID}/{ID}");
        let workload = read(&cgroupfs);
        assert_eq!((workload.pod.as_deref(), workload.container), (Some(UID), Some((SOME_RUNTIME, ID))));
        let guaranteed = format!("/kubepods/pod{UID}/{ID}");
        assert_eq!(read(&guaranteed).pod.as_deref(), Some(UID));
        assert_eq!(read("/srv/podium/x").pod, None);
        assert_eq!(read("/kubepods/podcast").pod, None);
    }

    #[test]
    fn overlong_and_odd_paths_are_no_surprise() {
        let long = format!("/{}/x.service", "a".repeat(40_000));
        assert_eq!(read(&long), Workload::default());
        let _ = read(&"é/".repeat(20_000));
        assert_eq!(
            read("/a\nb\u{1b}[2J.service").unit.as_deref(),
            Some("a\nb\u{1b}[2J.service"),
            "raw: showing escapes it"
        );
    }
}
