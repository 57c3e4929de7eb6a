//! Datagrams of 64 bytes as fast as one thread can send them, with and without `monitor`, and whether it counts each.

use crate::{
    Pace,
    sample::{Samples, mean},
};
use monitor_tests::{
    agent::Agent,
    cgroup::Cgroup,
    json::{Object, number, sum},
    monitor::Monitor,
    netns::Netns,
    program,
    veth::{Pair, Version},
};
use serde_json::Value;
use std::{net::SocketAddr, path::PathBuf, process::Command, time::Duration};

/// Bytes of payload, and with the headers of UDP and IPv4.
const LENGTH: u64 = 64;
const ON_THE_WIRE: u64 = LENGTH + 28;

/// A sender and a sink. Fields drop in this order.
pub(crate) struct Flood {
    sender: Agent,
    sink: Agent,
    to: SocketAddr,
    sink_cookie: u64,
    /// What the sink had no room for, all runs before this one.
    dropped: u64,
    pub(crate) cgroup: Cgroup,
    _namespaces: Vec<Netns>,
}

/// One run.
pub(crate) struct Flooded {
    /// CPU time of one, from send(2) to the sink's queue, without what other work does to it.
    pub(crate) nanoseconds: f64,
    /// Datagrams a second that send(2) took.
    rate: f64,
    /// Those that the sink received.
    delivered: f64,
    sent: u64,
    /// That reached the socket of the sink, with room or without.
    arrived: u64,
    cookie: u64,
}

/// The `load` helper: it is built beside this program.
fn load() -> PathBuf {
    program::traffic().with_file_name("load")
}

/// Starts a `load`.
pub(crate) fn loader(cgroup: &Cgroup, netns: &Netns, name: &str) -> Agent {
    Agent::from_command(netns.command(load()), cgroup, name)
}

impl Flood {
    pub(crate) fn over_veth() -> Self {
        let pair = Pair::new();
        let to = pair.b.address(Version::V4, 0);
        Self::between(pair.a.netns, pair.b.netns, to)
    }

    pub(crate) fn over_loopback() -> Self {
        let netns = Netns::new();
        Self::between(netns.clone(), netns, ([127, 0, 0, 1], 0).into())
    }

    fn between(from: Netns, at: Netns, address: SocketAddr) -> Self {
        let cgroup = Cgroup::new();
        let (sender, mut sink) = (loader(&cgroup, &from, "flood"), loader(&cgroup, &at, "sink"));
        let socket = sink.socket(&format!("sink {address}"));
        let to = SocketAddr::new(address.ip(), socket.port);
        Self { sender, sink, to, sink_cookie: socket.cookie, dropped: 0, cgroup, _namespaces: vec![from, at] }
    }

    pub(crate) fn run(&mut self, time: Duration) -> Flooded {
        self.sink.start("absorb");
        let sent = self.sender.ask(&format!("flood {} {} {LENGTH}", self.to, time.as_millis()));
        let absorbed = self.sink.finish();
        // A sender that waits for a CPU longer than the sink is patient sends the rest afterwards.
        let late = self.sink.ask("rest");
        let decimal = |name: &str| sent[name].as_f64().unwrap_or_else(|| panic!("no {name} in {sent}"));
        let seconds = decimal("seconds");
        let dropped = number(&late, "dropped");
        let arrived = number(&absorbed, "received") + number(&late, "received") + dropped - self.dropped;
        self.dropped = dropped;
        let (count, received) = (number(&sent, "sent"), number(&absorbed, "received"));
        assert_eq!(number(&sent, "failed"), 0, "a queue was full, so nobody knows what the hook saw: {sent}");
        Flooded {
            nanoseconds: decimal("nanoseconds"),
            rate: count as f64 / seconds,
            delivered: received as f64 / seconds,
            sent: count,
            arrived,
            cookie: number(&sent, "cookie"),
        }
    }
}

pub(crate) fn over_veth(pace: Pace, samples: &mut Samples) {
    compare(pace, samples, Flood::over_veth());
}

pub(crate) fn over_loopback(pace: Pace, samples: &mut Samples) {
    compare(pace, samples, Flood::over_loopback());
}

fn compare(pace: Pace, samples: &mut Samples, mut flood: Flood) {
    let time = pace.milliseconds(500);
    let mut bare = vec![flood.run(time)];
    let mut command = Command::new(program::monitor());
    command.arg("--json");
    let monitor = Monitor::counting(command);
    let watched = [flood.run(time), flood.run(time)];
    let report = monitor.stop();
    bare.push(flood.run(time));
    let average =
        |runs: &[Flooded], what: fn(&Flooded) -> f64| mean(&runs.iter().map(what).collect::<Vec<_>>());
    let each = |what: fn(&Flooded) -> f64| [average(&watched, what), average(&bare, what)];
    let (cost, sent, delivered) =
        (each(|run| run.nanoseconds), each(|run| run.rate), each(|run| run.delivered));
    let share = |[with, without]: [f64; 2]| with / without;
    samples.add("CPU time of a datagram", "ns", cost[0]).baseline(cost[1]);
    samples.add("rate by that, share of bare", "", 1.0 / share(cost)).baseline(1.0).at_least(0.95);
    samples.add("64-byte datagrams sent", "k/s", sent[0] / 1e3).baseline(sent[1] / 1e3);
    samples.add("sent, share of bare", "", share(sent)).baseline(1.0);
    samples.add("64-byte datagrams delivered", "k/s", delivered[0] / 1e3).baseline(delivered[1] / 1e3);
    samples.add("delivered, share of bare", "", share(delivered)).baseline(1.0);
    let (truth, counted) = account(&watched, flood.sink_cookie, report.last());
    samples.add("bytes sent and received", "MB", counted as f64 / 1e6).baseline(truth as f64 / 1e6);
    samples
        .add("bytes missed or counted twice", "B", truth.abs_diff(counted) as f64)
        .baseline(0.0)
        .at_most(0.0);
}

/// What there was to count, and what was counted on these sockets.
fn account(runs: &[Flooded], sink: u64, last: &Object) -> (u64, u64) {
    let on = |cookie: u64| {
        let is_this = move |flow: &&Value| number(flow, "socket") == cookie;
        sum(last.flows().iter().filter(is_this))
    };
    let truth: u64 = runs.iter().map(|run| run.sent + run.arrived).sum();
    let sent: u64 = runs.iter().map(|run| on(run.cookie).tx_bytes).sum();
    (truth * ON_THE_WIRE, sent + on(sink).rx_bytes)
}
