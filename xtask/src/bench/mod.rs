//! `cargo xtask bench`: what `monitor` costs.
//!
//! Every bench runs once a round, and the rounds follow each other, so that whatever else the machine does falls on all
//! of them alike; the table shows medians with the range. Numbers are of the release build.

mod process;
mod table;

use crate::project::Project;
use crate::shell;
use anyhow::{Context as _, Result, bail};
use std::path::PathBuf;
use std::process::ExitCode;
use table::Table;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only this one; may be repeated
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Rounds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Show what there is, and run nothing
    #[arg(long)]
    list: bool,
}

/// One number of one round.
struct Sample {
    /// What was measured, with its goal where there is one.
    what: &'static str,
    /// In what.
    unit: &'static str,
    value: f64,
}

struct Bench {
    name: &'static str,
    about: &'static str,
    run: fn(&Setting) -> Result<Vec<Sample>>,
}

/// What every bench gets.
struct Setting {
    monitor: PathBuf,
}

const BENCHES: [Bench; 2] = [
    Bench {
        name: "first-output",
        about: "time from exec to the first object of `--json --once`",
        run: process::first_output,
    },
    Bench {
        name: "idle",
        about: "CPU time and resident memory over ten seconds without load",
        run: process::idle,
    },
];

/// The command.
pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    if args.list {
        for bench in &BENCHES {
            println!("{:<14} {}", bench.name, bench.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = choose(&args.only)?;
    let project = Project::find()?;
    shell::run(project.cargo().args(["build", "--release", "--package", "monitor"]))?;
    let setting = Setting { monitor: project.target.join("release/monitor") };
    let mut table = Table::default();
    for round in 1..=args.rounds {
        for bench in &chosen {
            eprintln!("round {round} of {}: {}", args.rounds, bench.name);
            let samples = (bench.run)(&setting).with_context(|| format!("bench {}", bench.name))?;
            for sample in &samples {
                table.add(bench.name, sample);
            }
        }
    }
    print!("{table}");
    Ok(ExitCode::SUCCESS)
}

fn choose(only: &[String]) -> Result<Vec<&'static Bench>> {
    if let Some(unknown) = only.iter().find(|name| BENCHES.iter().all(|bench| bench.name != **name)) {
        bail!("there is no bench {unknown}; see cargo xtask bench --list");
    }
    Ok(BENCHES.iter().filter(|bench| only.is_empty() || only.iter().any(|name| name == bench.name)).collect())
}
