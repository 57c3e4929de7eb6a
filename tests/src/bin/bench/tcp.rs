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

/// Long enough for the ticks to be a small part of it, and for a thread that woke once to be none.
const BULK: u32 = 20;

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
        self.run_for(["-t", &self.seconds])
    }

    /// So many GB, however long that takes.
    fn pour(&self, gigabytes: u32) -> Moved {
        self.run_for(["-n", &format!("{}M", gigabytes * 1_000)])
    }

    fn run_for(&self, what: [&str; 2]) -> Moved {
        let mut command: Command = self.pair.a.netns.command("iperf3");
        let address = self.pair.b.address(Version::V4, 0).ip().to_string();
        command.args(["-J", "-c", &address, "-p", PORT]).args(what);
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
    let runs = [iperf.run(), iperf.run()];
    let own = beyond_idle(&iperf, &monitor, pace);
    monitor.interrupt();
    bare.push(iperf.run());
    let average = |runs: &[Moved], what: fn(&Moved) -> f64| mean(&runs.iter().map(what).collect::<Vec<_>>());
    let each = |what: fn(&Moved) -> f64| [average(&runs, what), average(&bare, what)];
    let (rate, cost) = (each(|run| run.rate), each(|run| run.cost));
    samples.add("TCP throughput", "Gbit/s", rate[0]).baseline(rate[1]);
    samples.add("the same, share of bare", "", rate[0] / rate[1]).baseline(1.0);
    samples.add("CPU of both ends per GB", "ms", cost[0]).baseline(cost[1]);
    samples.add("throughput by that, share of bare", "", cost[1] / cost[0]).baseline(1.0);
    samples.add(format!("CPU of monitor per GB beyond idle, {} GB", bulk(pace)), "ms", own).at_most(1.0);
}

fn bulk(pace: Pace) -> u32 {
    if pace.quick { BULK / 10 } else { BULK }
}

/// CPU of monitor for each GB, in ms, without what its ticks take in as long when nothing moves.
fn beyond_idle(iperf: &Iperf, monitor: &Watched, pace: Pace) -> f64 {
    let idle = Share::begin(monitor);
    thread::sleep(pace.milliseconds(5000));
    let idle = idle.end(monitor);
    let busy = Share::begin(monitor);
    let moved = iperf.pour(bulk(pace)).bytes;
    let (used, seconds) = (busy.end(monitor), busy.seconds());
    (used - idle) / 100.0 * seconds * 1e3 / (moved / 1e9)
}
