//! `cargo xtask bench`: what `monitor` costs, and whether it is right at speed.
//!
//! Every bench runs once a round, and the rounds follow each other, so that whatever else the machine does falls on all
//! of them alike; the table shows medians with the range, what they are compared with, and the goals. The measuring is
//! done by `tests/src/bin/bench`, which can make namespaces and traffic; here is the order of things. Numbers are of the
//! release build.

mod floor;
mod grid;
mod numbers;
mod page;
mod rivals;
mod table;

use crate::project::Project;
use crate::{packages, privileges, shell};
use anyhow::{Context as _, Result, bail};
use rivals::Build;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;
use table::{Line, Table};

#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(crate) struct Args {
    /// Run only this one; may be repeated
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Rounds; 5 unless --quick
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Two short rounds: shows that it works, not what it costs
    #[arg(long)]
    quick: bool,
    /// Measure another build of monitor in turns with this one, as a column of its own; repeatable
    #[arg(long, value_name = "NAME=PATH")]
    against: Vec<String>,
    /// Show only what has a goal
    #[arg(long)]
    goals: bool,
    /// Show what there is, and run nothing
    #[arg(long)]
    list: bool,
    /// Write docs/performance.md
    #[arg(long, conflicts_with_all = ["only", "quick"])]
    write: bool,
}

struct Bench {
    name: &'static str,
    about: &'static str,
    /// Programs without which it cannot run, with their Debian packages.
    needs: &'static [(&'static str, &'static str)],
}

const IP: (&str, &str) = ("ip", "iproute2");
const IPERF: (&str, &str) = ("iperf3", "iperf3");
const SS: (&str, &str) = ("ss", "iproute2");

const BENCHES: [Bench; 14] = [
    Bench {
        name: "tcp",
        about: "iperf3 over a veth pair, with and without monitor, and CPU of monitor per GB",
        needs: &[IP, IPERF, SS],
    },
    Bench {
        name: "datagrams-veth",
        about: "64-byte datagrams at full rate over a veth pair, with and without; what was missed",
        needs: &[IP],
    },
    Bench { name: "datagrams-lo", about: "the same over loopback", needs: &[IP] },
    Bench {
        name: "sockets",
        about: "a message over 1 to 20,000 sockets: nothing at the hooks, empty programs, a floor in C, monitor",
        needs: &[IP],
    },
    Bench {
        name: "threads",
        about: "1, 4 and 16 threads that share one unconnected UDP socket, with and without the hooks of sendto(2)",
        needs: &[IP],
    },
    Bench {
        name: "programs",
        about: "kernel time per run of each program, of counting that, and of one look at the owner",
        needs: &[IP, IPERF, SS],
    },
    Bench {
        name: "idle",
        about: "CPU time and memory of three monitors that have nothing to do",
        needs: &[],
    },
    Bench {
        name: "start",
        about: "time from exec to the first frame, the first data and the first object",
        needs: &[IP],
    },
    Bench {
        name: "screen",
        about: "CPU and bytes drawn with 1,000 active flows at 200x50; iftop, iftoprs, bandwhich",
        needs: &[IP],
    },
    Bench {
        name: "live",
        about: "CPU and memory with 10,000 and 50,000 connections that live; iftoprs, bandwhich",
        needs: &[IP],
    },
    Bench {
        name: "rows",
        about: "a million rows that are active in one tick: how long they take, and what they keep",
        needs: &[IP],
    },
    Bench {
        name: "churn",
        about: "memory, idle CPU and bytes of a quiet object before and after 30,000 interfaces, 70,000 processes, 300,000 flows",
        needs: &[IP],
    },
    Bench {
        name: "short",
        about: "3,000 short connections a second, and 500 processes a second: whose bytes; nethogs, bandwhich",
        needs: &[IP],
    },
    Bench {
        name: "capture",
        about: "64-byte frames at 200,000 a second past a capture by libpcap: what it dropped, with two buffers",
        needs: &[IP],
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
    let (able, skipped): (Vec<_>, Vec<_>) = match privileges::probe() {
        Ok(()) => {
            chosen.iter().copied().map(|bench| (bench, missing(bench))).partition(|(_, why)| why.is_none())
        }
        Err(why) => {
            let why = format!("{why:#}; as root: sudo -E env PATH=\"$PATH\" cargo xtask bench");
            (Vec::new(), chosen.iter().map(|bench| (*bench, Some(why.clone()))).collect())
        }
    };
    let able: Vec<_> = able.into_iter().map(|(bench, _)| bench).collect();
    let others = args.against.iter().map(|text| Build::read(text)).collect::<Result<Vec<_>>>()?;
    let mut run = Run::new(others);
    if !able.is_empty() {
        let project = Project::find()?;
        let packages = ["--package", "monitor", "--package", "monitor-tests", "--bins"];
        let features = packages::features();
        shell::run(project.cargo().args(["build", "--release"]).args(packages).args(features))?;
        run.builds[0].binary = project.target.join("release/monitor");
        run.floor = floor::object(&project)?;
        run.start = Instant::now();
        run.rounds(&project, args, &able);
    }
    if !able.is_empty() {
        let table = if args.goals { run.table.goals() } else { run.table.to_string() };
        println!("{table}\n{}\n", run.circumstances());
    }
    for (bench, why) in &skipped {
        println!("skipped: {}: {}", bench.name, why.as_deref().unwrap_or_default());
    }
    println!(
        "{} ran, {} skipped, {} failed runs, {} goals missed",
        able.len(),
        skipped.len(),
        run.failed,
        run.table.missed()
    );
    if args.write && !able.is_empty() {
        page::write(&Project::find()?, &run.table, &run.circumstances())?;
    }
    Ok(if run.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the rounds found.
struct Run {
    /// This build first.
    builds: Vec<Build>,
    /// The object of the floor in C, or why there is none.
    floor: Result<PathBuf, String>,
    table: Table,
    failed: u32,
    start: Instant,
    /// Processes that wanted a CPU, at the end of each bench.
    loads: Vec<f64>,
}

impl Run {
    fn new(others: Vec<Build>) -> Self {
        let this = Build { name: "this build".to_owned(), binary: PathBuf::new() };
        let builds: Vec<_> = std::iter::once(this).chain(others).collect();
        let table = Table::new(builds.iter().map(|build| build.name.clone()).collect());
        let (floor, loads) = (Err(String::new()), Vec::new());
        Self { builds, floor, table, failed: 0, start: Instant::now(), loads }
    }

    fn rounds(&mut self, project: &Project, args: &Args, benches: &[&'static Bench]) {
        let rounds = args.rounds.unwrap_or(if args.quick { 2 } else { 5 });
        for round in 1..=rounds {
            for bench in benches {
                for build in rivals::order(self.builds.len(), round) {
                    eprintln!("round {round} of {rounds}: {}, {}", bench.name, self.builds[build].name);
                    match self.once(project, bench, build, round, args.quick) {
                        Ok(lines) => {
                            for line in lines {
                                self.table.add(bench.name, build, line);
                            }
                        }
                        Err(error) => {
                            self.failed += 1;
                            eprintln!("{} failed: {error:#}", bench.name);
                        }
                    }
                    self.loads.extend(load());
                }
            }
        }
    }

    /// When not everything that the machine did was ours, a reader must know.
    fn circumstances(&self) -> String {
        let cpus = std::thread::available_parallelism().map_or(0, usize::from);
        let highest = self.loads.iter().copied().fold(0.0, f64::max);
        let mean = self.loads.iter().sum::<f64>() / (self.loads.len().max(1) as f64);
        let floor = match &self.floor {
            Ok(_) => String::new(),
            Err(why) => format!("; no floor in C, for {why}"),
        };
        format!(
            "{cpus} CPUs, kernel {}; {} s; load average {mean:.1}, at most {highest:.1}, the benches included{floor}",
            kernel(),
            self.start.elapsed().as_secs(),
        )
    }

    fn once(
        &self,
        project: &Project,
        bench: &Bench,
        build: usize,
        round: u32,
        quick: bool,
    ) -> Result<Vec<Line>> {
        let mut command = Command::new(project.target.join("release/bench"));
        command.args([bench.name, "--round", &round.to_string()]).stdin(Stdio::null());
        command.env("MONITOR_BIN", &self.builds[build].binary);
        if let Ok(object) = &self.floor {
            command.env("FLOOR_OBJECT", object);
        }
        // Other tools may have been installed by cargo.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let places =
            std::env::split_paths(&path).chain([shell::cargo_home().join("bin"), "/usr/sbin".into()]);
        command.env("PATH", std::env::join_paths(places)?);
        if quick {
            command.arg("--quick");
        }
        if build > 0 {
            command.arg("--alone");
        }
        let text = shell::capture(&mut command)?;
        text.lines().map(|line| Line::read(line).with_context(|| format!("`{line}`"))).collect()
    }
}

/// The command that gives what a bench lacks.
fn missing(bench: &Bench) -> Option<String> {
    let lacking = bench.needs.iter().filter(|(program, _)| shell::find(program).is_none());
    let packages: Vec<_> = lacking.map(|(_, package)| *package).collect();
    let sudo = if packages::is_root() { "" } else { "sudo " };
    (!packages.is_empty())
        .then(|| format!("{sudo}apt-get install -y --no-install-recommends {}", packages.join(" ")))
}

fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

fn kernel() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // What follows the numbers names the machine, not the kernel.
    release.split('-').next().unwrap_or_default().trim().to_owned()
}

fn choose(only: &[String]) -> Result<Vec<&'static Bench>> {
    if let Some(unknown) = only.iter().find(|name| BENCHES.iter().all(|bench| bench.name != **name)) {
        bail!("there is no bench {unknown}; see cargo xtask bench --list");
    }
    Ok(BENCHES.iter().filter(|bench| only.is_empty() || only.iter().any(|name| name == bench.name)).collect())
}
