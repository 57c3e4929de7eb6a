//! Many connections that live and are seldom used, as a busy server has them: what showing them costs and keeps in memory.
//!
//! `monitor` looks at one end of each, as on a machine whose peers are others: that is one flow for each connection. The
//! whole program is measured, on a terminal of 200 x 50, where other tools have the same traffic.

use crate::{
    Pace,
    datagrams::loader,
    sample::Samples,
    screen::{costs, on_a_terminal},
    short::find,
};
use monitor_tests::{agent::Agent, cgroup::Cgroup, netns::Netns, program};
use std::process::Command;

/// Connections, the most CPU in percent of a core, and the most resident memory in MB.
const GOALS: [(usize, f64, f64); 2] = [(10_000, 2.0, 30.0), (50_000, 5.0, 70.0)];
/// Messages a second, over all connections: 10,000 requests, and their responses.
const RATE: u32 = 20_000;
/// Longer than looking takes; the load ends with its value.
const LONG: u32 = 60_000;

pub(crate) fn run(pace: Pace, samples: &mut Samples) {
    for (count, cpu, memory) in GOALS.into_iter().filter(|(count, ..)| !pace.quick || *count == 10_000) {
        let scene = Scene::new(count);
        let mut own = Command::new(program::monitor());
        own.arg("--cgroup").arg(scene.near.path());
        let mut tools = vec![("monitor", own, [].as_slice())];
        for (name, arguments) in [("iftoprs", ["-n", "-i", "lo"].as_slice()), ("bandwhich", &["-n"])] {
            match find(name).filter(|_| !pace.alone) {
                Some(path) => tools.push((name, scene.netns.command(path), arguments)),
                None if pace.alone => {}
                None => eprintln!("{name} is not installed"),
            }
        }
        for (name, command, arguments) in tools {
            let is_ours = name == "monitor";
            let (mut watched, drawn) = on_a_terminal(command, arguments, is_ours);
            let (used, bytes) = costs(&watched, &drawn, pace);
            if watched.has_ended() {
                eprintln!("{name} ended by itself, so it has no figure");
                continue;
            }
            report(samples, name, count, [used, watched.memory("VmRSS:")], is_ours.then_some([cpu, memory]));
            samples.add(format!("{count} connections, {name}: drawn"), "kB/s", bytes);
        }
    }
}

fn report(
    samples: &mut Samples,
    name: &str,
    count: usize,
    [used, resident]: [f64; 2],
    goals: Option<[f64; 2]>,
) {
    let cpu = samples.add(format!("{count} connections, {name}: CPU"), "%", used);
    if let Some([goal, _]) = goals {
        cpu.at_most(goal);
    }
    let memory = samples.add(format!("{count} connections, {name}: resident memory"), "MB", resident);
    if let Some([_, goal]) = goals {
        memory.at_most(goal);
    }
}

/// Connections that are used as long as this lives. Fields drop in this order.
struct Scene {
    _load: Agent,
    near: Cgroup,
    _far: Cgroup,
    netns: Netns,
}

impl Scene {
    fn new(count: usize) -> Self {
        let (near, far, netns) = (Cgroup::new(), Cgroup::new(), Netns::new());
        netns.set("ipv4/ip_local_port_range", "1024 65000");
        let mut load = loader(&near, &netns, "bench-live");
        load.ask(&format!("pairs stream {count} {} {}", near.path().display(), far.path().display()));
        load.start(&format!("pace {LONG} {RATE}"));
        Self { _load: load, near, _far: far, netns }
    }
}
