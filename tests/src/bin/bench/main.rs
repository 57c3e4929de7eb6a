//! The benches on real traffic: `bench NAME [--quick]` runs one once and prints what it measured, one JSON object a line.
//!
//! `cargo xtask bench` builds this and `load`, calls it for every bench of every round, and makes the table. Traffic
//! stays in namespaces made here. `monitor` runs as a user would start it, on the whole machine, unless a sample says
//! otherwise. What is compared runs in the order A B B A, so that a machine that slows down or speeds up favours neither;
//! and where other work on the machine would decide who is faster, CPU time is compared beside the rates.

mod capture;
mod cost;
mod datagrams;
mod idle;
mod lookup;
mod programs;
mod sample;
mod screen;
mod short;
mod start;
mod tcp;
mod truth;

use sample::Samples;
use std::{env, process::ExitCode, time::Duration};

/// How long things may take.
#[derive(Clone, Copy)]
struct Pace {
    quick: bool,
}

impl Pace {
    /// A time in milliseconds, or the part of it that a quick run takes.
    fn milliseconds(self, full: u64) -> Duration {
        Duration::from_millis(if self.quick { full / 3 } else { full })
    }
}

type Run = fn(Pace, &mut Samples);

/// Every bench.
const BENCHES: [(&str, Run); 9] = [
    ("tcp", tcp::run),
    ("datagrams-veth", datagrams::over_veth),
    ("datagrams-lo", datagrams::over_loopback),
    ("programs", programs::run),
    ("idle", idle::run),
    ("start", start::run),
    ("screen", screen::run),
    ("short", short::run),
    ("capture", capture::run),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let name = arguments.first().map(String::as_str).unwrap_or_default();
    let Some((_, run)) = BENCHES.iter().find(|(known, _)| *known == name) else {
        eprintln!("usage: bench NAME [--quick]; NAME is one of {:?}", BENCHES.map(|(name, _)| name));
        return ExitCode::from(2);
    };
    let mut samples = Samples::default();
    run(Pace { quick: arguments.iter().any(|argument| argument == "--quick") }, &mut samples);
    print!("{samples}");
    ExitCode::SUCCESS
}
