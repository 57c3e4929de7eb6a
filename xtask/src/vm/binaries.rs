//! What runs inside: `monitor` and the tests, linked statically so that they need nothing of the guest.

use crate::project::Project;
use crate::shell;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::Command;

/// The guests are amd64, whatever builds them.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// The tests that run inside: a file of the tests crate, and beginnings of names in it. Files that are not here test the
/// command line, the screen or the lab, or need nftables; of the cases of attribution those run whose outcome depends on
/// what a kernel offers, for each takes seconds under emulation.
const TESTS: [(&str, &[&str]); 11] = [
    ("exactness", &[""]),
    ("gso", &[""]),
    ("owners", &[""]),
    ("lifecycle", &[""]),
    ("optmem", &[""]),
    ("attribution_handover", &["pre_fork_workers_that", "a_connection_passed", "a_connection_inherited"]),
    ("attribution_calls", &["sendmmsg"]),
    ("attribution_datagrams", &["a_udp_worker_that", "two_processes_on"]),
    ("attribution_kernel", &["a_ping_socket"]),
    ("attribution_packet", &["what_a_packet"]),
    ("ipsec", &[""]),
];

/// Static executables, and the tests in them.
pub(super) struct Binaries {
    /// Name in the guest, and file here.
    pub(super) files: Vec<(String, PathBuf)>,
    /// `(file, test)`, in the order in which they run.
    pub(super) tests: Vec<(String, String)>,
}

/// Builds everything.
pub(super) fn build(project: &Project) -> Result<Binaries> {
    let mut monitor = cargo(project, &["build", "--package", "monitor"]);
    shell::run(&mut monitor)?;
    let directory = project.target.join(TRIPLE).join("release");
    let mut files = vec![("monitor".to_owned(), directory.join("monitor"))];
    let mut tests = cargo(project, &["test", "--no-run", "--package", "monitor-tests"]);
    tests.args(TESTS.iter().flat_map(|(name, _)| ["--test", name]));
    let messages = shell::capture(tests.arg("--message-format=json-render-diagnostics"))?;
    for helper in ["traffic", "actor"] {
        files.push((helper.to_owned(), directory.join(helper)));
    }
    let mut list = Vec::new();
    for (name, wanted) in TESTS {
        let path = messages
            .lines()
            .find_map(|line| executable(line, name))
            .with_context(|| format!("cargo built no tests/tests/{name}.rs"))?;
        // Static, so it runs here, too.
        let listed = shell::capture(Command::new(&path).args(["--list", "--format=terse"]))?;
        let in_it = listed.lines().filter_map(|line| line.strip_suffix(": test"));
        let in_it: Vec<&str> =
            in_it.filter(|test| wanted.iter().any(|part| test.starts_with(part))).collect();
        if let Some(part) = wanted.iter().find(|part| !in_it.iter().any(|test| test.starts_with(**part))) {
            bail!("tests/tests/{name}.rs has no test that begins with {part}");
        }
        list.extend(in_it.into_iter().map(|test| (name.to_owned(), test.to_owned())));
        files.push((name.to_owned(), path));
    }
    Ok(Binaries { files, tests: list })
}

fn cargo(project: &Project, arguments: &[&str]) -> Command {
    let mut command = project.cargo();
    command.args(arguments).args(["--quiet", "--release", "--target", TRIPLE]);
    // Stripped, because all of it goes into the guest's memory.
    command.env("RUSTFLAGS", "-C target-feature=+crt-static").env("CARGO_PROFILE_RELEASE_STRIP", "true");
    command
}

/// The executable of an integration test, if this message of cargo's is about it.
fn executable(line: &str, name: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    let target = &message["target"];
    let is_it =
        message["reason"] == "compiler-artifact" && target["name"] == name && target["kind"][0] == "test";
    if is_it { message["executable"].as_str().map(PathBuf::from) } else { None }
}
