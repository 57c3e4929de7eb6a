//! `cargo xtask verify`: what a change needs beyond its tests. Slow the first time, because it installs and builds tools.

use crate::apple;
use crate::build_ebpf::{self, Comparison};
use crate::fuzz;
use crate::packages;
use crate::project::Project;
use crate::shell;
use crate::steps::{Steps, Verdict};
use crate::vm;
use anyhow::{Result, bail};
use std::process::{Command, ExitCode};

/// The version of cargo-deny that is installed when there is none.
const DENY_VERSION: &str = "0.20.2";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Fail when anything could not run
    #[arg(long)]
    require_all: bool,
}

/// The command.
pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    println!(
        "The object byte for byte, lints of the kernel programs, macOS, fuzzing, documentation, licences and known \
         vulnerabilities of dependencies, other kernels."
    );
    let project = Project::find()?;
    let mut steps = Steps::default();
    steps.step("a rebuild gives the committed object", || object(&project));
    steps.step("lints of the kernel programs", || build_ebpf::lint(&project).map(|()| Verdict::Passed));
    steps.step("macOS: types and lints", || apple::check(&project).map(|()| Verdict::Passed));
    steps.step("hostile packets and files", || fuzz::check(&project).map(|()| Verdict::Passed));
    steps.step("documentation", || documentation(&project));
    steps.step("licences, bans and sources of dependencies", || dependencies(&project));
    steps.step("known vulnerabilities of dependencies", || advisories(&project));
    steps.step("other kernels are as docs/kernels.md says", || vm::check(&project).map(|()| Verdict::Passed));
    Ok(steps.finish(args.require_all))
}

fn object(project: &Project) -> Result<Verdict> {
    build_ebpf::check_hashes(project)?;
    Ok(match build_ebpf::check_bytes(project)? {
        Comparison::Identical => Verdict::Passed,
        Comparison::OtherToolchain(why) => Verdict::Skipped(why),
    })
}

fn documentation(project: &Project) -> Result<Verdict> {
    let mut command = project.cargo();
    command.args([
        "doc",
        "--workspace",
        "--exclude",
        "monitor-ebpf",
        "--no-deps",
        "--document-private-items",
    ]);
    command.args(packages::features());
    shell::run(command.env("RUSTDOCFLAGS", "-Dwarnings"))?;
    Ok(Verdict::Passed)
}

fn dependencies(project: &Project) -> Result<Verdict> {
    shell::run(deny(project)?.args(["--locked", "check", "licenses", "bans", "sources"]))?;
    Ok(Verdict::Passed)
}

/// The advisories of RustSec are in a repository of their own and in no registry: a machine that reaches registries only
/// cannot ask them, and says so.
fn advisories(project: &Project) -> Result<Verdict> {
    if shell::run(deny(project)?.args(["--locked", "fetch", "db"])).is_err() {
        let why = "RustSec's advisories cannot be fetched from here; run `cargo deny check advisories` where they can";
        return Ok(Verdict::NotAvailable(why.to_owned()));
    }
    shell::run(deny(project)?.args(["--locked", "check", "advisories"]))?;
    Ok(Verdict::Passed)
}

fn deny(project: &Project) -> Result<Command> {
    let program = match shell::find("cargo-deny") {
        Some(program) => program,
        None => install_deny()?,
    };
    let mut command = Command::new(program);
    command.current_dir(&project.root);
    Ok(command)
}

fn install_deny() -> Result<std::path::PathBuf> {
    let mut install = Command::new("cargo");
    install.args(["install", "--locked"]).arg(format!("cargo-deny@{DENY_VERSION}"));
    if !packages::is_root() {
        bail!("cargo-deny is missing; install it with: {}", shell::line(&install));
    }
    println!("missing: cargo-deny (reads deny.toml); three minutes\n$ {}", shell::line(&install));
    shell::run(&mut install)?;
    match shell::find("cargo-deny") {
        Some(deny) => Ok(deny),
        None => bail!("cargo-deny was installed, but not where it can be found"),
    }
}
