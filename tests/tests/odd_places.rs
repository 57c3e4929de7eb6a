//! Where a monitor may be started: another mount, cgroup or user namespace, without /proc or /sys, with few descriptors.

use monitor_tests::{
    accounts::{as_the_stack_carried, balance},
    agent::Agent,
    cgroup::{self, Cgroup},
    json::Object,
    monitor::{self, Monitor},
    program,
    scene::Scene,
    stage::only,
    veth::Version,
};
use std::{fs, process::Command};

/// The same command in namespaces of its own, after lines of shell.
fn within(unshare: &[&str], lines: &str, command: &Command) -> Command {
    let mut wrapped = Command::new("unshare");
    wrapped.args(unshare).args(["sh", "-ec", &format!("{lines}\nexec \"$@\""), "sh"]);
    wrapped.arg(command.get_program()).args(command.get_args());
    wrapped
}

/// `monitor --json`, with all sockets.
fn everything() -> Command {
    let mut command = Command::new(program::monitor());
    command.args(["--json", "--no-dns", "--interval", "0.2", "--backend", "ebpf"]);
    command
}

fn degraded(command: Command) -> Vec<String> {
    Monitor::counting(command).stop().last().degraded()
}

/// S7: the kernel writes a value for each possible CPU, and a file that says there are fewer was believed: the values
/// after those were written over the heap.
#[test]
#[ignore = "needs root and BPF"]
fn what_sys_says_of_the_cpus_is_not_believed() {
    let directory = tempfile::tempdir().expect("a directory for the file");
    let file = directory.path().join("possible");
    for said in ["0", "0-200000000", "none", ""] {
        fs::write(&file, said).expect("write the file");
        let mut scene = Scene::new();
        let bind = format!("mount --bind {} /sys/devices/system/cpu/possible", file.display());
        let command = monitor::command(&scene.cgroup, None);
        let monitor = Monitor::counting(within(&["-m"], &bind, &command));
        let connection = scene.connect(Version::V4);
        scene.upload(connection, 1 << 20);
        let report = monitor.stop();
        balance(&report);
        for end in [&scene.pair.a, &scene.pair.b] {
            as_the_stack_carried(report.last(), &end.name, end.counters());
        }
        only(report.last(), connection.client, scene.client.pid());
    }
}

/// H3: a cgroup namespace of its own has a root of its own, and that was "all sockets".
#[test]
#[ignore = "needs root and BPF"]
fn a_private_cgroup_namespace_is_this_container_and_not_all_sockets() {
    let container = Cgroup::new();
    let (root, inside) = (cgroup::mount_point(), container.path().join("cgroup.procs"));
    let private = |lines: &str| {
        let nested = within(&["-C", "-m"], lines, &everything());
        within(&["-m"], &format!("echo $$ >{}", inside.display()), &nested)
    };
    let own = format!("umount -l {root}; mount -t cgroup2 none {root}", root = root.display());
    let none = format!("umount -l {}", root.display());
    for (lines, scope) in [(&*own, "this container"), (&*none, "this container"), ("", "all sockets")] {
        let mut scene = Scene::new();
        let part = Cgroup::within(&container);
        let mut guest = Agent::spawn(&part, &scene.pair.b.netns, "guest");
        let monitor = Monitor::counting(private(lines));
        let connection = scene.connect(Version::V4);
        scene.upload(connection, 1 << 20);
        let sink = guest.socket(&format!("datagram {}", scene.pair.b.address(Version::V4, 0)));
        let source = scene.client.socket(&format!("datagram {}", scene.pair.a.address(Version::V4, 0)));
        let to = scene.pair.b.address(Version::V4, sink.port);
        scene.client.ask(&format!("send-to {} {to} 3 100", source.id));
        guest.ask(&format!("receive-from {} 3", sink.id));
        let report = monitor.stop();
        let last = report.last();
        assert_eq!(last["scope"], scope, "{lines}");
        only(last, sink, guest.pid());
        let others = last.flows_of(scene.server.pid()).len();
        assert_eq!(others > 0, scope == "all sockets", "{lines}: {:#}", last.0);
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_user_namespace_is_refused_with_one_sentence() {
    for unshare in [&["-U"][..], &["-U", "-r"]] {
        let report = Monitor::spawn(within(unshare, "", &everything())).ended();
        assert_eq!(report.status.code(), Some(1), "{}", report.stderr);
        assert_eq!(report.stderr.lines().count(), 1, "{}", report.stderr);
        assert!(report.stderr.contains("this is a user namespace"), "{}", report.stderr);
    }
}

/// A container that was given too little.
#[test]
#[ignore = "needs root and BPF"]
fn root_without_the_capabilities_is_told_which() {
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-bpf,-sys_admin", "--inh-caps", "-all"]);
    let everything = everything();
    command.arg(everything.get_program()).args(everything.get_args());
    let report = Monitor::spawn(command).ended();
    assert_eq!(report.status.code(), Some(1), "{}", report.stderr);
    assert!(report.stderr.contains("--cap-add BPF"), "{}", report.stderr);
}

/// SL7: it was "cannot count the CPUs", and nothing was said of names.
#[test]
#[ignore = "needs root and BPF"]
fn without_sys_and_without_proc_it_counts_and_says_what_is_missing() {
    let hide = |place: &str| within(&["-m"], &format!("mount -t tmpfs none {place}"), &everything());
    let said = degraded(hide("/sys"));
    assert!(said.iter().any(|said| said.contains("mount sysfs")), "{said:?}");
    let said = degraded(hide("/proc"));
    assert!(said.iter().any(|said| said.contains("/proc is not mounted")), "{said:?}");
}

/// SL6: the advice was a newer kernel, or to look for another program.
#[test]
#[ignore = "needs root and BPF"]
fn few_descriptors_are_raised_or_named() {
    let limited = |limit: &str| {
        let mut command = Command::new("prlimit");
        command.arg(format!("--nofile={limit}"));
        let everything = everything();
        command.arg(everything.get_program()).args(everything.get_args());
        command
    };
    let usual = degraded(everything());
    assert_eq!(degraded(limited("40:1024")), usual, "the soft limit is raised");
    for limit in ["20", "32", "40", "50", "60"] {
        let mut once = limited(limit);
        once.arg("--once");
        let report = Monitor::spawn(once).ended();
        let said = format!("{}{:?}", report.stderr, report.objects.last().map(Object::degraded));
        assert!(said.contains("ulimit -n"), "{limit}: {said}");
    }
}
