//! `cargo xtask test`: everything that says whether the project works on this machine, in under ten minutes.

use crate::build_ebpf;
use crate::packages::{self, Evidence, Package};
use crate::privileges;
use crate::project::Project;
use crate::shell;
use crate::steps::{self, Steps, Tests, Verdict};
use anyhow::{Context, Result, bail};
use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Fail when anything could not run
    #[arg(long)]
    require_all: bool,
}

/// How many tests of the package monitor-tests must run as root; a test that is lost is a failure.
const EXPECTED: &str = "tests/expected-count";

/// The command.
pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    println!(
        "Formatting, lints, unit tests, the committed object, then tests on real traffic (root and BPF)."
    );
    let project = Project::find()?;
    packages::ensure_components(&project, &[("fmt", "rustfmt"), ("clippy", "clippy")])?;
    let privileged = privileges::probe();
    if privileged.is_ok() {
        packages::ensure(&system_packages())?;
    }
    let mut steps = Steps::default();
    steps.step("formatting", || cargo(&project, &["fmt", "--all", "--check"]));
    steps.step("lints", || cargo(&project, &[&CLIPPY[..], packages::features(), &DENY].concat()));
    steps.step("lints without libpcap", || cargo(&project, &[&WITHOUT_LIBPCAP[..], &DENY].concat()));
    steps.step("the object was made from these sources", || {
        build_ebpf::check_hashes(&project).map(|_| Verdict::Passed)
    });
    unit_tests(&project, &mut steps);
    integration_tests(&project, &mut steps, privileged);
    Ok(steps.finish(args.require_all))
}

const CLIPPY: [&str; 5] = ["clippy", "--workspace", "--exclude", "monitor-ebpf", "--all-targets"];
/// The build that a bare `cargo build` on Linux gives.
const WITHOUT_LIBPCAP: [&str; 4] = ["clippy", "--package", "monitor", "--all-targets"];
const DENY: [&str; 3] = ["--", "-D", "warnings"];

/// What the integration tests start.
fn system_packages() -> Vec<Package> {
    let package = |name: &str, program, why| Package {
        name: name.to_owned(),
        evidence: Evidence::Program(program),
        why,
    };
    vec![
        package("iproute2", "ip", "network namespaces and veth pairs for the integration tests"),
        package("ethtool", "ethtool", "turns GSO, TSO and GRO off in the integration tests"),
        package("nftables", "nft", "NAT and dropped packets in the integration tests"),
        package("tmux", "tmux", "a terminal for the integration tests"),
        package("lsof", "lsof", "owners of captured packets, as on macOS, in the integration tests"),
        packages::libpcap(),
    ]
}

fn cargo(project: &Project, arguments: &[&str]) -> Result<Verdict> {
    shell::run(project.cargo().args(arguments)).map(|()| Verdict::Passed)
}

fn unit_tests(project: &Project, steps: &mut Steps) {
    let mut ignored = 0;
    steps.step("unit, property and drawing tests", || {
        let mut command = project.cargo();
        command.args(["test", "--no-fail-fast", "-p", "monitor", "-p", "monitor-common", "-p", "xtask"]);
        command.args(packages::features());
        let tests = steps::cargo_test(&mut command)?;
        ignored = tests.ignored;
        Ok(Verdict::Tests(tests))
    });
    if ignored > 0 {
        steps.because(format!("{ignored} skipped (unit tests): marked #[ignore]"));
    }
}

fn integration_tests(project: &Project, steps: &mut Steps, privileged: Result<()>) {
    let mut tests = Tests::default();
    steps.step("integration tests on real traffic", || {
        let build = ["build", "-p", "monitor", "-p", "monitor-tests"];
        shell::run(project.cargo().args(build).args(packages::features()))?;
        let mut command = project.cargo();
        command.args(["test", "--no-fail-fast", "-p", "monitor-tests", "--", "--test-threads=1"]);
        command.env("MONITOR_BIN", project.target.join("debug/monitor"));
        if privileged.is_ok() {
            command.arg("--include-ignored");
        }
        tests = steps::cargo_test(&mut command)?;
        Ok(Verdict::Tests(tests))
    });
    match privileged {
        Ok(()) => steps.step("no integration test was lost", || expect_all(project, tests)),
        Err(why) => steps.because(format!("{} skipped (integration tests): {why:#}", tests.ignored)),
    }
}

fn expect_all(project: &Project, tests: Tests) -> Result<Verdict> {
    let text = std::fs::read_to_string(project.root.join(EXPECTED))
        .with_context(|| format!("cannot read {EXPECTED}"))?;
    let expected: usize = text.trim().parse().with_context(|| format!("{EXPECTED} is not a number"))?;
    let ran = tests.passed + tests.failed;
    if ran < expected {
        bail!("fewer ran than expected: {ran} of {expected} ({EXPECTED})");
    }
    if ran > expected {
        println!("{ran} ran and {expected} were expected: write {ran} into {EXPECTED}");
    }
    Ok(Verdict::Passed)
}
