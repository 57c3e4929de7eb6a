//! What a message costs when there are many sockets: one flow fits into the processor's cache, thousands do not.
//!
//! A process sends and receives on pairs of sockets in turn (`load`, `crew.rs`), with nothing at the hooks, with two
//! programs that do nothing, with a program in C that does the least that counts flows, and with `monitor`; at both ends,
//! as on a machine that talks to itself, and at one, as on one of two machines. What each datagram weighs is known, so
//! what `monitor` counted is compared with it.

use crate::{
    Pace,
    datagrams::loader,
    hooks::{Hooks, Scope, others},
    sample::{Samples, mean},
};
use monitor_tests::{agent::Agent, cgroup::Cgroup, json::number, netns::Netns};
use std::collections::BTreeMap;

/// Bytes of a datagram with its headers.
const ON_THE_WIRE: u64 = 64 + 28;
/// The names of the processes: what one of them moves is known to the byte, for no packet of it carries nothing.
const DATAGRAMS: &str = "pairs-udp";
const STREAMS: &str = "pairs-tcp";

/// First messages whose mean tells something.
const ENOUGH: usize = 400;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Connected,
    Unconnected,
    Peers,
    Stream,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Connected, Self::Unconnected, Self::Peers, Self::Stream];

    /// The step's word for it.
    fn word(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Unconnected => "unconnected",
            Self::Peers => "peers",
            Self::Stream => "stream",
        }
    }

    fn title(self, count: usize) -> String {
        match self {
            Self::Connected => format!("connected datagrams, {}", pairs(count)),
            Self::Unconnected => format!("unconnected datagrams, {}", pairs(count)),
            Self::Peers if count == 1 => "one unconnected socket, 1 peer".to_owned(),
            Self::Peers => format!("one unconnected socket, {count} peers"),
            Self::Stream => format!("TCP requests and responses, {}", pairs(count)),
        }
    }

    /// Whether its system calls name the other end.
    fn names_addresses(self) -> bool {
        match self {
            Self::Unconnected | Self::Peers => true,
            Self::Connected | Self::Stream => false,
        }
    }

    fn counts(self) -> &'static [usize] {
        match self {
            Self::Connected | Self::Unconnected | Self::Stream => &[1, 400, 4_000, 20_000],
            Self::Peers => &[1, 400],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ends {
    One,
    Both,
}

/// One kind of traffic.
type Traffic = (Kind, usize);

#[derive(Clone, Copy)]
struct Cost {
    nanoseconds: f64,
    /// Of the first message of each pair.
    first: f64,
    instructions: Option<f64>,
    misses: Option<f64>,
}

/// Where it all happens. Fields drop in this order: a cgroup after those below it.
struct Stage {
    near: Cgroup,
    far: Cgroup,
    all: Cgroup,
    netns: Netns,
}

/// What is attached in no time. It is measured before and after each `monitor`, which is not, and compared with what it
/// stands beside: a machine that is slow for some seconds is slow for both.
const LIGHT: [(Hooks, Ends); 5] = [
    (Hooks::Bare, Ends::Both),
    (Hooks::Empty, Ends::Both),
    (Hooks::Floor, Ends::Both),
    (Hooks::Empty, Ends::One),
    (Hooks::Floor, Ends::One),
];
const MONITORS: [(Hooks, Ends); 3] =
    [(Hooks::Monitor, Ends::Both), (Hooks::WithoutAddresses, Ends::Both), (Hooks::Monitor, Ends::One)];

pub(crate) fn run(pace: Pace, samples: &mut Samples) {
    let stage = Stage::new();
    let (mut strangers, mut missed) = (0, 0);
    let mut table = Table(BTreeMap::new());
    for traffic in traffic(pace) {
        // The same sockets for all that is compared: where in memory they happen to lie is a part of what they cost.
        let mut turn = Turn { stage: &stage, load: stage.load(traffic), pace, seen: Vec::new(), missed: 0 };
        turn.light();
        for (hooks, ends) in pace.in_turn(&MONITORS) {
            if hooks == Hooks::WithoutAddresses && !traffic.0.names_addresses() {
                continue;
            }
            strangers = others(&stage.near).max(strangers);
            turn.one(hooks, ends, traffic.0 != Kind::Stream);
            turn.light();
        }
        missed += turn.missed;
        table.0.insert(traffic, Seen(turn.seen));
    }
    if table.0.values().all(|seen| seen.0.iter().all(|(.., cost)| cost.instructions.is_none())) {
        eprintln!("no instructions and no cache misses: this machine's processor does not show its counters");
    }
    table.cells(samples);
    table.goals(samples);
    samples.add("bytes missed or counted twice", "B", missed as f64).baseline(0.0).at_most(0.0);
    samples.add("programs of others at the packet hooks", "", f64::from(strangers)).baseline(0.0);
}

/// Measuring some sockets.
struct Turn<'s> {
    stage: &'s Stage,
    load: Agent,
    pace: Pace,
    seen: Vec<(Hooks, Ends, Cost)>,
    /// Bytes that `monitor` did not count, or counted twice.
    missed: u64,
}

impl Turn<'_> {
    fn light(&mut self) {
        let mut order = LIGHT;
        if self.seen.len().is_multiple_of(2) {
            order.reverse();
        }
        for (hooks, ends) in order.into_iter().filter(|(hooks, _)| hooks.is_there()) {
            self.one(hooks, ends, false);
        }
    }

    fn one(&mut self, hooks: Hooks, ends: Ends, knows_bytes: bool) {
        let Stage { near, all, .. } = self.stage;
        let scope = if ends == Ends::One { Scope::Cgroup(near) } else { Scope::All(all) };
        let attached = hooks.attach(scope, &format!("proc:{DATAGRAMS}"));
        let answer = self.load.ask(&format!("run {}", self.pace.milliseconds(60).as_millis()));
        let decimal = |name: &str| answer[name].as_f64();
        let cost = Cost {
            nanoseconds: decimal("nanoseconds").expect("CPU time"),
            first: decimal("first").expect("CPU time"),
            instructions: decimal("instructions"),
            misses: decimal("misses"),
        };
        self.seen.push((hooks, ends, cost));
        if let Some(report) = attached.end()
            && knows_bytes
        {
            let counted = report.last().totals();
            let truth = number(&answer, "messages") * ON_THE_WIRE * ends.seen();
            self.missed += truth.abs_diff(counted.rx_bytes + counted.tx_bytes);
        }
    }
}

fn traffic(pace: Pace) -> Vec<Traffic> {
    let most = if pace.quick { 400 } else { usize::MAX };
    let counts = |kind: Kind| {
        let counts = kind.counts().iter().filter(move |count| **count <= most);
        counts.map(move |count| (kind, *count))
    };
    Kind::ALL.into_iter().flat_map(counts).collect()
}

impl Ends {
    /// How often a message passes a hook.
    fn seen(self) -> u64 {
        match self {
            Self::One => 1,
            Self::Both => 2,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::One => "one end",
            Self::Both => "both ends",
        }
    }
}

impl Stage {
    fn new() -> Self {
        let (netns, all) = (Netns::new(), Cgroup::new());
        netns.set("ipv4/ip_local_port_range", "1024 65000");
        let (near, far) = (Cgroup::within(&all), Cgroup::within(&all));
        Self { near, far, all, netns }
    }

    /// Makes the sockets. The first ends are in the cgroup that is looked at where only one is: of one socket with many
    /// peers, that one.
    fn load(&self, (kind, count): Traffic) -> Agent {
        let (near, far) = (self.near.path().display(), self.far.path().display());
        let name = if kind == Kind::Stream { STREAMS } else { DATAGRAMS };
        let mut load = loader(&self.all, &self.netns, name);
        load.ask(&match kind {
            Kind::Peers => format!("pairs {} {count} {far} {near}", kind.word()),
            Kind::Connected | Kind::Unconnected | Kind::Stream => {
                format!("pairs {} {count} {near} {far}", kind.word())
            }
        });
        load
    }
}

/// What was measured on some sockets, in order.
struct Seen(Vec<(Hooks, Ends, Cost)>);

impl Seen {
    fn all(&self, hooks: Hooks, ends: Ends) -> impl DoubleEndedIterator<Item = (usize, Cost)> {
        // With nothing at the hooks there is nothing that could be at one end only.
        let ends = if hooks == Hooks::Bare { Ends::Both } else { ends };
        let numbered = self.0.iter().enumerate();
        numbered.filter(move |(_, seen)| (seen.0, seen.1) == (hooks, ends)).map(|(at, seen)| (at, seen.2))
    }

    /// The mean of what was measured.
    fn of(&self, hooks: Hooks, ends: Ends, what: impl Fn(Cost) -> Option<f64>) -> Option<f64> {
        let values: Vec<f64> = self.all(hooks, ends).filter_map(|(_, cost)| what(cost)).collect();
        (!values.is_empty()).then(|| mean(&values))
    }

    /// Of a `monitor`, and of something light right before and right after it.
    fn beside(
        &self,
        monitor: Hooks,
        light: Hooks,
        ends: Ends,
        what: impl Fn(Cost) -> f64,
    ) -> Option<[f64; 2]> {
        let (at, cost) = self.all(monitor, ends).next()?;
        let before = self.all(light, ends).rfind(|(light, _)| *light < at)?;
        let after = self.all(light, ends).find(|(light, _)| *light > at)?;
        Some([what(cost), f64::midpoint(what(before.1), what(after.1))])
    }

    /// What is left of the rate of messages.
    fn share(&self, hooks: Hooks, ends: Ends) -> Option<f64> {
        let cost = |cost: Cost| cost.nanoseconds;
        let [with, bare] = match hooks {
            Hooks::Monitor | Hooks::WithoutAddresses => self.beside(hooks, Hooks::Bare, ends, cost)?,
            Hooks::Bare | Hooks::Empty | Hooks::Floor => {
                let mean = |hooks| self.of(hooks, ends, |cost| Some(cost.nanoseconds));
                [mean(hooks)?, mean(Hooks::Bare)?]
            }
        };
        Some(bare / with)
    }

    /// Nanoseconds of a message beyond those with two empty programs.
    fn above_empty(&self, ends: Ends, what: impl Fn(Cost) -> f64) -> Option<f64> {
        self.beside(Hooks::Monitor, Hooks::Empty, ends, what).map(|[with, empty]| with - empty)
    }
}

/// By what was sent.
struct Table(BTreeMap<Traffic, Seen>);

impl Table {
    /// A line for each kind of traffic and its watched ends.
    fn cells(&self, samples: &mut Samples) {
        for (traffic, seen) in &self.0 {
            for ends in [Ends::Both, Ends::One] {
                let line = format!("{}, {}", traffic.0.title(traffic.1), ends.title());
                seen.cells(ends, |column, value| samples.cell(&line, column, value));
                if traffic.1 >= ENOUGH {
                    let more = seen.above_empty(ends, |cost| cost.first);
                    samples.cell(&line, "first message: monitor above empty, ns", more);
                }
            }
        }
    }

    fn share(&self, traffic: Traffic, ends: Ends, hooks: Hooks) -> Option<f64> {
        self.0.get(&traffic)?.share(hooks, ends)
    }

    /// What has a goal.
    fn goals(&self, samples: &mut Samples) {
        use Ends::{Both, One};
        let connected = |count| (Kind::Connected, count);
        for (count, goal) in [(1, 40.0), (4_000, 300.0)] {
            let above = self
                .0
                .get(&connected(count))
                .and_then(|seen| seen.above_empty(Both, |cost| cost.nanoseconds));
            if let Some(value) = above {
                let what = format!("datagram over {}, above empty programs, both hooks", pairs(count));
                samples.add(what, "ns", value).at_most(goal);
            }
        }
        for (ends, more) in [(One, 0.03), (Both, 0.02)] {
            let [floor, own] =
                [Hooks::Floor, Hooks::Monitor].map(|hooks| self.share(connected(1), ends, hooks));
            if let Some((own, floor)) = own.zip(floor) {
                let what = format!("share of the bare datagram rate beyond the C floor's, {}", ends.title());
                samples.add(what, "", own - floor).at_least(more);
            }
        }
        for (kind, count, hooks, goal) in [
            (Kind::Connected, 400, Hooks::Monitor, 0.85),
            (Kind::Connected, 4_000, Hooks::Monitor, 0.80),
            (Kind::Unconnected, 1, Hooks::Monitor, 0.80),
            (Kind::Unconnected, 400, Hooks::Monitor, 0.76),
            (Kind::Unconnected, 1, Hooks::WithoutAddresses, 0.86),
            (Kind::Unconnected, 400, Hooks::WithoutAddresses, 0.83),
        ] {
            let Some(share) = self.share((kind, count), Both, hooks) else { continue };
            let without = if hooks == Hooks::WithoutAddresses { ", without sendmsg4" } else { "" };
            let what = format!("share of bare: {}, both ends{without}", kind.title(count));
            let sample = samples.add(what, "", share);
            // Compared with the floor of the same run.
            match self.share((kind, count), Both, Hooks::Floor) {
                Some(floor) => sample.baseline(floor).at_least(goal),
                None => sample.at_least(goal),
            }
        }
    }
}

impl Seen {
    fn cells(&self, ends: Ends, mut cell: impl FnMut(&str, Option<f64>)) {
        let all = [
            (Hooks::Bare, "nothing"),
            (Hooks::Empty, "empty programs"),
            (Hooks::Floor, "C floor"),
            (Hooks::Monitor, "monitor"),
            (Hooks::WithoutAddresses, "without sendmsg4"),
        ];
        for (hooks, name) in all {
            cell(&format!("{name}, ns"), self.of(hooks, ends, |cost| Some(cost.nanoseconds)));
        }
        cell("monitor above empty, ns", self.above_empty(ends, |cost| cost.nanoseconds));
        for (hooks, name) in &all[1..] {
            cell(&format!("{name}, share"), self.share(*hooks, ends));
        }
        for (hooks, name) in all {
            cell(&format!("{name}, instructions"), self.of(hooks, ends, |cost| cost.instructions));
            cell(&format!("{name}, cache misses"), self.of(hooks, ends, |cost| cost.misses));
        }
    }
}

fn pairs(count: usize) -> String {
    if count == 1 { "1 pair".to_owned() } else { format!("{count} pairs") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(all: &[(Hooks, Ends, f64)]) -> Seen {
        let cost = |nanoseconds| Cost { nanoseconds, first: 0.0, instructions: None, misses: None };
        Seen(all.iter().map(|(hooks, ends, nanoseconds)| (*hooks, *ends, cost(*nanoseconds))).collect())
    }

    fn close(value: Option<f64>, to: f64) {
        assert!(value.is_some_and(|value| (value - to).abs() < 1e-9), "{value:?} and not {to}");
    }

    #[test]
    fn a_monitor_is_compared_with_what_it_stands_beside() {
        use Ends::{Both, One};
        let seen = seen(&[
            (Hooks::Bare, Both, 900.0),
            (Hooks::Empty, Both, 1_000.0),
            (Hooks::Monitor, Both, 2_000.0),
            (Hooks::Empty, Both, 1_200.0),
            (Hooks::Bare, Both, 1_100.0),
            (Hooks::Empty, One, 1_500.0),
            (Hooks::Monitor, One, 2_500.0),
            (Hooks::Empty, One, 1_500.0),
            // Slow by now, which is nothing to those before.
            (Hooks::Bare, Both, 3_000.0),
        ]);
        close(seen.share(Hooks::Monitor, Both), 0.5);
        close(seen.above_empty(Both, |cost| cost.nanoseconds), 900.0);
        close(seen.above_empty(One, |cost| cost.nanoseconds), 1_000.0);
        // Nothing at the hooks is the same at one end.
        close(seen.share(Hooks::Monitor, One), 2_050.0 / 2_500.0);
        close(seen.share(Hooks::Empty, Both), 5_000.0 / 3.0 / 1_100.0);
        assert_eq!(seen.share(Hooks::Floor, Both), None);
    }
}
