//! `cargo xtask test`: everything that says whether the project works on this machine, in under ten minutes.

use crate::build_ebpf;
use crate::packages::{self, Evidence, Package};
use crate::privileges;
use crate::project::Project;
use crate::shell;
use crate::steps::{self, Steps, Tests, Verdict};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Fail when anything could not run
    #[arg(long)]
    require_all: bool,
}

/// The package whose tests must all run as root: as many as its sources declare.
const INTEGRATION: &str = "tests";

/// Under sudo and its like these say who called. The tests are root's, and say themselves for whom they start `monitor`.
const CALLED: [&str; 5] = ["SUDO_USER", "SUDO_UID", "SUDO_GID", "DOAS_USER", "PKEXEC_UID"];

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
        package("libcap2-bin", "setcap", "gives a program capabilities in the integration tests"),
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
        for name in CALLED {
            command.env_remove(name);
        }
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

/// Fails where fewer tests ran than the sources declare: one that is compiled out or filtered away is a failure.
fn expect_all(project: &Project, tests: Tests) -> Result<Verdict> {
    let declared = declared(&project.root.join(INTEGRATION))?;
    let ran = tests.passed + tests.failed;
    if ran < declared {
        bail!("fewer tests ran than {INTEGRATION}/ declares: {ran} of {declared}");
    }
    Ok(Verdict::Passed)
}

/// How many `#[test]` functions the Rust files under a directory have.
fn declared(directory: &Path) -> Result<usize> {
    let reading = || format!("cannot read {}", directory.display());
    let mut count = 0;
    for entry in std::fs::read_dir(directory).with_context(reading)? {
        let path = entry.with_context(reading)?.path();
        if path.is_dir() {
            count += declared(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).with_context(reading)?;
            count += text.lines().filter(|line| line.trim() == "#[test]").count();
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_did_not_run_is_missed() {
        let project = Project::find().unwrap();
        let declared = declared(&project.root.join(INTEGRATION)).unwrap();
        assert!(declared > 200, "{declared}");
        let ran = |passed| Tests { passed, failed: 0, ignored: 0 };
        assert!(expect_all(&project, ran(declared)).is_ok());
        assert!(expect_all(&project, ran(declared - 1)).is_err());
    }
}
