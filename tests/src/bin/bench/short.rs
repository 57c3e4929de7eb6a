//! Connections that live for a millisecond: whose are their bytes?
//!
//! The truth does not come from `monitor`: each of the eight clients asks an address of its own, and of the children
//! that make one connection each the helper tells pid and local port. So each row of the output that belongs to this
//! traffic has one right process, and it is right only with that pid and that name.

use crate::{
    Pace,
    cost::{Share, Watched},
    datagrams::loader,
    sample::Samples,
    truth::{Judgement, PORT, Truth},
};
use monitor_tests::{agent::Agent, cgroup::Cgroup, json::number, netns::Netns, program};
use serde_json::Value;
use std::{
    env, fs,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

/// The address that the children ask, as the eight clients ask 127.0.1.1 to 127.0.1.8.
const CHILDREN: u8 = 9;
const CLIENTS: u8 = 8;
/// Connections a second of each of the eight, and of the children together.
const EACH: u32 = 375;
const FORKS: u32 = 500;
const CPU: &str = "CPU of monitor";
/// For other tools to find their devices.
const WARM_UP: Duration = Duration::from_millis(800);

/// A server, eight clients and one that forks, on the loopback device of one namespace. Fields drop in this order.
pub(crate) struct Scene {
    clients: Vec<Agent>,
    forker: Agent,
    server: Agent,
    _cgroup: Cgroup,
    netns: Netns,
}

/// What moved.
struct Moved {
    connections: f64,
    seconds: f64,
    truth: Truth,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let (cgroup, netns) = (Cgroup::new(), Netns::new());
        netns.set("ipv4/ip_local_port_range", "1024 65000");
        // A port that is used twice would have two owners.
        netns.set("ipv4/tcp_tw_reuse", "0");
        let mut server = loader(&cgroup, &netns, "answer");
        server.ask(&format!("serve 0.0.0.0:{PORT}"));
        let clients =
            (1..=CLIENTS).map(|number| loader(&cgroup, &netns, &format!("client-{number}"))).collect();
        let forker = loader(&cgroup, &netns, "forker");
        Self { clients, forker, server, _cgroup: cgroup, netns }
    }

    /// 3,000 connections a second of eight processes.
    pub(crate) fn eight(&mut self, time: Duration) -> (f64, f64) {
        for (number, client) in (1..).zip(&mut self.clients) {
            client.start(&format!("request 127.0.1.{number}:{PORT} {} {EACH}", time.as_millis()));
        }
        let answers: Vec<Value> = self.clients.iter().map(Agent::finish).collect();
        let connections: u64 = answers.iter().map(|answer| number(answer, "connections")).sum();
        let seconds = answers.iter().filter_map(|answer| answer["seconds"].as_f64()).fold(0.0, f64::max);
        (connections as f64, seconds)
    }

    fn by_eight(&mut self, time: Duration) -> Moved {
        let (connections, seconds) = self.eight(time);
        let mut truth = Truth::new(self.server.pid());
        for (number, client) in (1..).zip(&self.clients) {
            truth.client(number, client.pid());
        }
        Moved { connections, seconds, truth }
    }

    fn by_children(&mut self, time: Duration) -> Moved {
        let step = format!("request-by-children 127.0.1.{CHILDREN}:{PORT} {} {FORKS}", time.as_millis());
        let answer = self.forker.ask(&step);
        let mut truth = Truth::new(self.server.pid());
        for child in answer["children"].as_array().expect("a list of children") {
            let half = |at: usize| child[at].as_u64().and_then(|number| u32::try_from(number).ok());
            let (pid, port) = half(0).zip(half(1)).expect("pid and port");
            truth.child(port, pid);
        }
        assert_eq!(number(&answer, "failed"), 0, "connections failed");
        let seconds = answer["seconds"].as_f64().expect("seconds");
        Moved { connections: number(&answer, "connections") as f64, seconds, truth }
    }
}

pub(crate) fn run(pace: Pace, samples: &mut Samples) {
    let time = pace.milliseconds(10_000);
    let eight = f64::from(EACH) * f64::from(CLIENTS);
    let own = attribution("eight processes", eight, samples, |scene| scene.by_eight(time));
    samples.add(format!("eight processes: {CPU}"), "%", own).baseline(0.0).at_most(2.0);
    let own_each = attribution("a process each", f64::from(FORKS), samples, |scene| scene.by_children(time));
    samples.add(format!("a process each: {CPU}"), "%", own_each).baseline(0.0);
    if !pace.alone {
        peers(own, pace.milliseconds(1500), samples);
    }
}

/// Gives the CPU of monitor.
fn attribution(
    kind: &str,
    asked: f64,
    samples: &mut Samples,
    traffic: impl FnOnce(&mut Scene) -> Moved,
) -> f64 {
    let mut scene = Scene::new();
    let directory = tempfile::tempdir().expect("a directory for the output");
    let path = directory.path().join("objects");
    let mut command = Command::new(program::monitor());
    command.arg("--json").stdout(fs::File::create(&path).expect("a file for the output"));
    let monitor = Watched::counting(command);
    let before = device(&scene);
    let share = Share::begin(&monitor);
    let moved = traffic(&mut scene);
    let used = share.end(&monitor);
    let device = device(&scene) - before;
    monitor.interrupt();
    let judgement = moved.truth.judge(&path);
    let rate = moved.connections / moved.seconds;
    samples.add(format!("{kind}: connections"), "/s", rate).baseline(asked);
    let percent = |part: u64| part as f64 / judgement.all() as f64 * 100.0;
    let Judgement { right, wrong, none, .. } = &judgement;
    samples
        .add(format!("{kind}: bytes on the right process"), "%", percent(*right))
        .baseline(100.0)
        .at_least(99.9);
    samples.add(format!("{kind}: bytes on a wrong process"), "B", *wrong as f64).baseline(0.0).at_most(0.0);
    for (reason, bytes) in none {
        samples.add(format!("{kind}: bytes on none, {reason}"), "%", percent(*bytes)).baseline(0.0);
    }
    let unseen = (device - judgement.on_device as f64) / device * 100.0;
    samples.add(format!("{kind}: of the device's bytes, passed no socket"), "%", unseen);
    used
}

/// What the loopback device counted, both ways.
fn device(scene: &Scene) -> f64 {
    let devices = scene.netns.devices();
    let lo = devices.get("lo").expect("a namespace has a loopback device");
    (lo.rx_bytes + lo.tx_bytes) as f64
}

/// CPU of others on the traffic of the eight, for a shorter time.
fn peers(own: f64, time: Duration, samples: &mut Samples) {
    let mut scene = Scene::new();
    let tools = [
        ("nethogs", ["-a", "-t", "lo"].as_slice()),
        ("bandwhich", &["--raw", "-n", "-i", "lo"]),
        ("iftoprs", &["--json", "-n", "-i", "lo"]),
    ];
    for (name, arguments) in tools {
        let Some(path) = find(name) else {
            eprintln!("{name} is not installed");
            continue;
        };
        let mut command = scene.netns.command(path);
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        let mut tool = Watched::spawn(command);
        thread::sleep(WARM_UP);
        let used = costs(&mut scene, &tool, time);
        if tool.has_ended() {
            eprintln!("{name} ended by itself, so it has no figure");
            continue;
        }
        samples.add(format!("eight processes: CPU of {name}, beside monitor's"), "%", used).baseline(own);
    }
}

fn costs(scene: &mut Scene, tool: &Watched, time: Duration) -> f64 {
    let share = Share::begin(tool);
    scene.eight(time);
    share.end(tool)
}

pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|directory| directory.join(name)).find(|path| path.is_file())
}
