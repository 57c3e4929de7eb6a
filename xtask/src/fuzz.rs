//! `cargo xtask fuzz`: hostile bytes for what reads packets and files (fuzz/targets), guided by coverage.
//!
//! It needs neither nightly nor cargo-fuzz: libFuzzer comes with the crate libfuzzer-sys, and the coverage that it goes by
//! is a pass of LLVM that every compiler has. With a number of runs it is the same search each time, for its seed is
//! fixed; that is what `verify` does. Inputs that are kept are in fuzz/corpus.

use crate::packages::{self, Evidence, Package};
use crate::project::Project;
use crate::shell;
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The targets.
const TARGETS: [&str; 2] = ["dissect", "file"];
/// Runs of each in `verify`: ten seconds of packets, half a minute of files.
const RUNS: u64 = 3_000_000;
/// The longest input; longer ones find nothing that shorter ones do not.
const LONGEST: u32 = 1_024;
/// What libFuzzer needs to see which code ran.
const COVERAGE: &str = "--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these targets: dissect, file
    targets: Vec<String>,
    /// Search for so long, each target, from another seed each time
    #[arg(long)]
    seconds: Option<u64>,
    /// Add what was found to fuzz/corpus, as far as it reaches new code
    #[arg(long)]
    keep: bool,
}

/// The command.
pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    let project = Project::find()?;
    let targets: Vec<&str> = if args.targets.is_empty() {
        TARGETS.to_vec()
    } else {
        args.targets.iter().map(|wanted| known(wanted)).collect::<Result<_>>()?
    };
    let bounds = match args.seconds {
        Some(seconds) => vec![format!("-max_total_time={seconds}")],
        None => bounded(),
    };
    search(&project, &targets, &bounds, args.keep)?;
    Ok(ExitCode::SUCCESS)
}

fn known(wanted: &str) -> Result<&'static str> {
    let found = TARGETS.into_iter().find(|target| *target == wanted);
    found.with_context(|| format!("there is no fuzz target {wanted}; there are {}", TARGETS.join(" and ")))
}

/// The same search each time.
fn bounded() -> Vec<String> {
    vec![format!("-runs={RUNS}"), "-seed=1".to_owned()]
}

/// The run of `verify`.
pub(crate) fn check(project: &Project) -> Result<()> {
    search(project, &TARGETS, &bounded(), false)
}

fn search(project: &Project, targets: &[&str], bounds: &[String], keep: bool) -> Result<()> {
    packages::ensure(&[Package {
        name: "g++".to_owned(),
        evidence: Evidence::Program("c++"),
        why: "libFuzzer is C++",
    }])?;
    let built = build(project)?;
    for target in targets {
        let kept = project.root.join("fuzz/corpus").join(target);
        let found = project.target.join("fuzz/found").join(target);
        // What an earlier search found would make this one another.
        fs::remove_dir_all(&found).ok();
        fs::create_dir_all(&found).with_context(|| format!("cannot make {}", found.display()))?;
        let program = built.join(target);
        let log = project.target.join("fuzz").join(format!("{target}.log"));
        let mut command = Command::new(&program);
        command
            .args(bounds)
            .arg(format!("-max_len={LONGEST}"))
            .args(["-print_final_stats=1", "-verbosity=0"]);
        command.arg(format!("-artifact_prefix={}/", project.target.join("fuzz").display()));
        command.arg(&found).arg(&kept).stderr(File::create(&log).context("cannot write a log")?);
        println!("$ {}", shell::line(&command));
        let outcome = shell::run(&mut command);
        let said = fs::read_to_string(&log).unwrap_or_default();
        let wanted = if outcome.is_ok() { "stat::" } else { "" };
        said.lines().filter(|line| line.starts_with(wanted)).for_each(|line| println!("{line}"));
        outcome.with_context(|| format!("{target} fails; the input is named above"))?;
        if keep {
            shell::run(
                Command::new(&program).args(["-set_cover_merge=1", "-verbosity=0"]).arg(&kept).arg(&found),
            )?;
        }
    }
    Ok(())
}

/// Builds the targets and returns where they are.
fn build(project: &Project) -> Result<PathBuf> {
    let host = host(project)?;
    let target = project.target.join("fuzz");
    let mut cargo = project.cargo();
    cargo.args(["build", "--manifest-path", "fuzz/Cargo.toml", "--target", &host]);
    // With --target the flags are not for build scripts and macros.
    cargo.env("RUSTFLAGS", COVERAGE).env("CARGO_TARGET_DIR", &target).env_remove("CARGO_ENCODED_RUSTFLAGS");
    shell::run(&mut cargo)?;
    let built = target.join(host).join("debug");
    if TARGETS.iter().any(|target| !Path::new(&built.join(target)).is_file()) {
        bail!("the fuzz targets were built, but not into {}", built.display());
    }
    Ok(built)
}

/// The target triple of this machine.
fn host(project: &Project) -> Result<String> {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let said = shell::capture(rustc.arg("-vV").current_dir(&project.root))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}
