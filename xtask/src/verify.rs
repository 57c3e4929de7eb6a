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
        "The object byte for byte, lints of the kernel programs, macOS, fuzzing, documentation, licences, other kernels."
    );
    let project = Project::find()?;
    let mut steps = Steps::default();
    steps.step("a rebuild gives the committed object", || object(&project));
    steps.step("lints of the kernel programs", || build_ebpf::lint(&project).map(|()| Verdict::Passed));
    steps.step("macOS: types and lints", || apple::check(&project).map(|()| Verdict::Passed));
    steps.step("hostile packets and files", || fuzz::check(&project).map(|()| Verdict::Passed));
    steps.step("documentation", || documentation(&project));
    steps.step("licences, bans and sources of dependencies", || dependencies(&project));
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
    let deny = match shell::find("cargo-deny") {
        Some(deny) => deny,
        None => install_deny()?,
    };
    let mut command = Command::new(deny);
    command.args(["--locked", "check", "licenses", "bans", "sources"]).current_dir(&project.root);
    shell::run(&mut command)?;
    Ok(Verdict::Passed)
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
