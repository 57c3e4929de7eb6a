//! The benches on real traffic: `bench NAME` runs one once and prints what it measured, one JSON object a line.
//!
//! `cargo xtask bench` builds this and `load`, calls it for every bench of every round, and makes the table. Traffic
//! stays in namespaces made here. `monitor` runs as a user would start it, on the whole machine, unless a sample says
//! otherwise. What is compared runs in the order A B B A, so that a machine that slows down or speeds up favours neither;
//! and where other work on the machine would decide who is faster, CPU time is compared beside the rates.

mod capture;
mod churn;
mod cost;
mod datagrams;
mod hooks;
mod idle;
mod live;
mod lookup;
mod programs;
mod rows;
mod sample;
mod screen;
mod short;
mod sockets;
mod start;
mod tcp;
mod threads;
mod truth;

use sample::Samples;
use std::{env, process::ExitCode, time::Duration};

/// How long things may take.
#[derive(Clone, Copy)]
struct Pace {
    quick: bool,
    /// Without other tools: they have been measured beside another `monitor`.
    alone: bool,
    round: u32,
}

impl Pace {
    /// A time in milliseconds, or the part of it that a quick run takes.
    fn milliseconds(self, full: u64) -> Duration {
        Duration::from_millis(if self.quick { full / 3 } else { full })
    }

    /// Forwards and backwards, round by round: what comes later on a machine that slows down is not always the same.
    fn in_turn<T: Copy>(self, all: &[T]) -> Vec<T> {
        let mut all = all.to_vec();
        if self.round.is_multiple_of(2) {
            all.reverse();
        }
        all
    }
}

type Run = fn(Pace, &mut Samples);

/// Every bench.
const BENCHES: [(&str, Run); 14] = [
    ("tcp", tcp::run),
    ("datagrams-veth", datagrams::over_veth),
    ("datagrams-lo", datagrams::over_loopback),
    ("sockets", sockets::run),
    ("threads", threads::run),
    ("programs", programs::run),
    ("idle", idle::run),
    ("start", start::run),
    ("screen", screen::run),
    ("live", live::run),
    ("rows", rows::run),
    ("churn", churn::run),
    ("short", short::run),
    ("capture", capture::run),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some((run, pace)) = understood(&arguments) else {
        let names = BENCHES.map(|(name, _)| name);
        eprintln!("usage: bench NAME [--quick] [--alone] [--round N]; NAME is one of {names:?}");
        return ExitCode::from(2);
    };
    let mut samples = Samples::default();
    run(pace, &mut samples);
    print!("{samples}");
    ExitCode::SUCCESS
}

fn understood(arguments: &[String]) -> Option<(Run, Pace)> {
    let (name, options) = arguments.split_first()?;
    let (_, run) = BENCHES.iter().find(|(known, _)| known == name)?;
    let mut pace = Pace { quick: false, alone: false, round: 1 };
    let mut options = options.iter();
    while let Some(option) = options.next() {
        match option.as_str() {
            "--quick" => pace.quick = true,
            "--alone" => pace.alone = true,
            "--round" => pace.round = options.next()?.parse().ok()?,
            _ => return None,
        }
    }
    Some((*run, pace))
}
