//! Kernel time per run of each program, as the kernel itself counts it.
//!
//! Counting costs two clock reads a run. What of them falls into the counted time is measured with a program that does
//! nothing (the baseline); what they cost in all is the difference in the rate of datagrams.

use crate::{
    Pace,
    cost::Watched,
    datagrams::Flood,
    lookup,
    sample::{Samples, mean},
    short::Scene,
    tcp::Iperf,
};
use monitor_tests::bpf::{self, Kind, Runs};
use std::{
    collections::BTreeMap,
    fs,
    process::Command,
    time::{Duration, Instant},
};

/// A program that ran less often than this tells nothing.
const ENOUGH: u64 = 500;

pub(crate) fn run(pace: Pace, samples: &mut Samples) {
    let time = pace.milliseconds(500);
    let mut flood = Flood::over_veth();
    let nothing = lookup::nothing(&mut flood, time);
    let mut bare = vec![flood.run(time).nanoseconds];
    let hooked = [lookup::hooked(&mut flood, time), lookup::hooked(&mut flood, time)];
    bare.push(flood.run(time).nanoseconds);
    let mut plain = Vec::new();
    let monitor = Watched::monitor();
    plain.push(flood.run(time).nanoseconds);
    let counting = bpf::count_runs().expect("the kernel counts runs of programs");
    let mut counted = Vec::new();
    let taken = during(&monitor, || counted.push(flood.run(time).nanoseconds));
    report(samples, "datagrams", &taken, nothing);
    let taken = during(&monitor, || {
        Iperf::new(pace).run();
    });
    report(samples, "TCP stream", &taken, nothing);
    let taken = during(&monitor, || {
        Scene::new().eight(pace.milliseconds(1000));
    });
    report(samples, "short connections", &taken, nothing);
    let taken = during(&monitor, || processes(pace.milliseconds(1000)));
    report(samples, "processes", &taken, nothing);
    counted.push(flood.run(time).nanoseconds);
    drop(counting);
    plain.push(flood.run(time).nanoseconds);
    let [bare, hooked, plain, counted] = [&bare[..], &hooked, &plain, &counted].map(mean);
    samples.add("a datagram with empty programs at both packet hooks", "ns", hooked).baseline(bare);
    samples.add("a datagram with monitor", "ns", plain).baseline(bare);
    samples.add("a datagram with monitor while the kernel counts runs", "ns", counted).baseline(plain);
    lookup::cost(&mut flood, &monitor, time, samples);
    monitor.interrupt();
}

/// Programs that end at once, one after the other.
fn processes(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        let status = Command::new("/bin/true").status().expect("a program that every system has");
        assert!(status.success());
    }
}

/// What the programs of a monitor did meanwhile.
fn during(monitor: &Watched, work: impl FnOnce()) -> Vec<Runs> {
    let look = || -> BTreeMap<u32, Runs> {
        let programs = bpf::held_by(monitor.pid()).into_iter().filter(|(kind, _)| *kind == Kind::Program);
        programs.map(|(_, id)| (id, bpf::runs(id).expect("the program is loaded"))).collect()
    };
    let tracepoints = tracepoints(monitor.pid());
    let before = look();
    work();
    let since = |(id, now): (u32, Runs)| {
        let then = before.get(&id).cloned().unwrap_or_default();
        // The kernel keeps 15 letters of a name, which two tracepoints share.
        let name = tracepoints.get(&id).cloned().unwrap_or(now.name);
        Runs { name, count: now.count - then.count, nanoseconds: now.nanoseconds - then.nanoseconds }
    };
    look().into_iter().map(since).collect()
}

/// What the programs of a monitor are attached to, where that is a tracepoint, by their ids.
fn tracepoints(pid: u32) -> BTreeMap<u32, String> {
    let open = fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("monitor runs");
    let texts = open.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
    let attached = texts.filter_map(|text| {
        let line = |name| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        Some((line("prog_id:")?.parse().ok()?, line("tp_name:")?.to_owned()))
    });
    attached.collect()
}

fn report(samples: &mut Samples, traffic: &str, taken: &[Runs], nothing: f64) {
    for program in taken.iter().filter(|program| program.count >= ENOUGH) {
        let each = program.nanoseconds as f64 / program.count as f64;
        samples.add(format!("{traffic}: {}", program.name), "ns", each).baseline(nothing);
    }
}
