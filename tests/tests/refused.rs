//! Every optional kernel program refused, one at a time: the monitor runs, says what it lost, and neither loses a byte
//! nor gives one to the wrong process.

use monitor_tests::{
    accounts::{as_the_stack_carried, balance},
    agent::Connection,
    json::{Object, field, number},
    monitor::{self, Monitor},
    scene::Scene,
    veth::Version,
};
use std::{collections::BTreeMap, fs, process::Command};

/// Without these nothing is counted.
const COUNTERS: [&str; 2] = ["ingress", "egress"];

/// The programs that this kernel takes, as the monitor logs them, and what is degraded without anything refused.
fn loaded() -> (Vec<String>, Vec<String>) {
    let scene = Scene::new();
    let directory = tempfile::tempdir().expect("a directory for the log");
    let log = directory.path().join("log");
    let mut command = monitor::command(&scene.cgroup, None);
    command.arg("--log-file").arg(&log).env("RUST_LOG", "info");
    let report = Monitor::counting(command).stop();
    let text = fs::read_to_string(&log).expect("the log");
    let names = text.lines().filter_map(|line| {
        let name = line.split_once("] program ")?.1.strip_suffix(" loaded")?;
        (!COUNTERS.contains(&name)).then(|| name.to_owned())
    });
    (names.collect(), report.last().degraded())
}

/// Whose each socket is: the truth, by cookie.
type Owners = BTreeMap<u64, u32>;

fn own(owners: &mut Owners, scene: &Scene, connection: &Connection) {
    owners.insert(connection.client.cookie, scene.client.pid());
    owners.insert(connection.server.cookie, scene.server.pid());
    owners.insert(connection.listener.cookie, scene.server.pid());
}

/// Nothing is owned by somebody who does not own it; what nobody owns is no mistake.
fn assert_none_is_wrong(name: &str, last: &Object, owners: &Owners) {
    for flow in last.flows() {
        let Some(pid) = field(flow, "pid").as_u64() else { continue };
        let truth = owners.get(&number(flow, "socket")).copied().map(u64::from);
        assert_eq!(Some(pid), truth, "without {name}, an owner (left) and the truth (right): {flow}");
    }
}

fn refuse(name: &str, usual: &[String]) {
    const BYTES: u64 = 200_000;
    let mut scene = Scene::new();
    let mut owners = Owners::new();
    let old = scene.connect(Version::V4);
    own(&mut owners, &scene, &old);
    let before = [scene.pair.a.counters(), scene.pair.b.counters()];
    let mut command: Command = monitor::command(&scene.cgroup, None);
    command.args(["--refuse", name]);
    let monitor = Monitor::counting(command);
    let new = scene.connect(Version::V4);
    own(&mut owners, &scene, &new);
    for connection in [old, new] {
        scene.upload(connection, BYTES);
        scene.download(connection, BYTES);
    }
    let (sink, address) = scene.datagram_server(Version::V4);
    let source = scene.client.socket(&format!("datagram {}", scene.pair.a.address(Version::V4, 0)));
    owners.extend([(sink.cookie, scene.server.pid()), (source.cookie, scene.client.pid())]);
    scene.client.ask(&format!("send-to {} {address} 20 100", source.id));
    scene.server.ask(&format!("receive-from {} 20 echo", sink.id));
    scene.client.ask(&format!("receive-from {} 20", source.id));
    let report = monitor.stop();
    balance(&report);
    let last = report.last();
    let degraded = last.degraded();
    let more: Vec<_> = degraded.iter().filter(|text| !usual.contains(text)).collect();
    assert!(more.len() == 1 && more[0].contains(name), "refusing {name} degrades {more:?}");
    for (end, before) in [&scene.pair.a, &scene.pair.b].into_iter().zip(before) {
        as_the_stack_carried(last, &end.name, end.counters().since(before));
    }
    assert_none_is_wrong(name, last, &owners);
}

#[test]
#[ignore = "needs root and BPF"]
fn any_optional_program_may_be_refused() {
    let (names, usual) = loaded();
    assert!(names.len() >= 10, "the log names too few programs: {names:?}");
    for name in names {
        refuse(&name, &usual);
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn without_a_counter_there_is_one_sentence_and_no_number() {
    let scene = Scene::new();
    for name in COUNTERS {
        let mut command = monitor::command(&scene.cgroup, None);
        command.args(["--refuse", name]);
        let report = Monitor::spawn(command).ended();
        assert_eq!(report.status.code(), Some(1), "{}", report.stderr);
        assert!(report.objects.is_empty() && report.stderr.contains(name), "{}", report.stderr);
    }
}
