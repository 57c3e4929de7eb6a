//! iperf3 over a veth pair, with and without `monitor`.

use crate::{
    Pace,
    cost::{Share, Watched},
    sample::{Samples, mean},
};
use monitor_tests::{
    program,
    veth::{Pair, Version},
    wait,
};
use serde_json::Value;
use std::{
    process::{Command, Stdio},
    thread,
};

const PORT: &str = "5201";
/// One run.
pub(crate) struct Moved {
    bytes: f64,
    /// Gbit/s.
    rate: f64,
    /// CPU time of both ends per GB, in ms. What the stack and the hooks do for them is in it; what other work does to
    /// them is not.
    cost: f64,
}

/// A server at the other end, and how long a run takes.
pub(crate) struct Iperf {
    pair: Pair,
    seconds: String,
    _server: Watched,
}

impl Iperf {
    pub(crate) fn new(pace: Pace) -> Self {
        let pair = Pair::new();
        let mut command = pair.b.netns.command("iperf3");
        command.args(["-s", "-p", PORT]).stdout(Stdio::null());
        let server = Watched::spawn(command);
        wait::until("iperf3 listens", || {
            let sockets = pair.b.netns.system("ss", "-Hltn");
            sockets.contains(PORT).then_some(())
        });
        Self { pair, seconds: pace.milliseconds(1000).as_secs_f64().ceil().to_string(), _server: server }
    }

    /// One run.
    pub(crate) fn run(&self) -> Moved {
        let mut command: Command = self.pair.a.netns.command("iperf3");
        let address = self.pair.b.address(Version::V4, 0).ip().to_string();
        command.args(["-J", "-c", &address, "-p", PORT, "-t", &self.seconds]);
        let report: Value = serde_json::from_str(&program::output(command)).expect("iperf3 prints JSON");
        let end = &report["end"];
        let number = |of: &Value, name: &str| of[name].as_f64().unwrap_or_else(|| panic!("no {name}: {end}"));
        let (received, busy) = (&end["sum_received"], &end["cpu_utilization_percent"]);
        let bytes = number(received, "bytes");
        let percent = number(busy, "host_total") + number(busy, "remote_total");
        Moved {
            bytes,
            rate: number(received, "bits_per_second") / 1e9,
            cost: percent / 100.0 * number(received, "seconds") * 1e3 / (bytes / 1e9),
        }
    }
}

pub(crate) fn run(pace: Pace, samples: &mut Samples) {
    let iperf = Iperf::new(pace);
    let mut bare = vec![iperf.run()];
    let monitor = Watched::monitor();
    let idle = Share::begin(&monitor);
    thread::sleep(pace.milliseconds(1000));
    let idle = idle.end(&monitor);
    let busy = Share::begin(&monitor);
    let runs = [iperf.run(), iperf.run()];
    let (used, seconds) = (busy.end(&monitor), busy.seconds());
    monitor.interrupt();
    bare.push(iperf.run());
    let average = |runs: &[Moved], what: fn(&Moved) -> f64| mean(&runs.iter().map(what).collect::<Vec<_>>());
    let each = |what: fn(&Moved) -> f64| [average(&runs, what), average(&bare, what)];
    let (rate, cost) = (each(|run| run.rate), each(|run| run.cost));
    samples.add("TCP throughput", "Gbit/s", rate[0]).baseline(rate[1]);
    samples.add("the same, share of bare", "", rate[0] / rate[1]).baseline(1.0);
    samples.add("CPU of both ends per GB", "ms", cost[0]).baseline(cost[1]);
    samples.add("throughput by that, share of bare", "", cost[1] / cost[0]).baseline(1.0);
    let moved: f64 = runs.iter().map(|run| run.bytes).sum();
    // The baseline is what its ticks take in as long without traffic.
    let [per_gigabyte, ticks] = [used, idle].map(|percent| percent / 100.0 * seconds * 1e3 / (moved / 1e9));
    samples.add("CPU of monitor per GB", "ms", per_gigabyte).baseline(ticks).at_most(1.0);
}
