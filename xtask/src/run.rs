//! `cargo xtask run`: from a checkout to a running monitor.

use crate::project::Project;
use crate::{packages, shell};
use anyhow::{Result, bail};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, ExitStatus};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Arguments for monitor
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Builds monitor and becomes it, or sudo running it; the exit code is monitor's.
pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    let project = Project::find()?;
    let mut build = project.cargo();
    build.args(["build", "--release", "--package", "monitor"]).args(packages::features());
    let status = build.status()?;
    if !status.success() {
        return Ok(exit_code(status));
    }
    let binary = project.target.join("release/monitor");
    let mut command = if packages::is_root() {
        Command::new(&binary)
    } else if shell::find("sudo").is_some() {
        println!("monitor needs root to load its kernel programs: starting it through sudo");
        let mut sudo = Command::new("sudo");
        sudo.arg("--").arg(&binary);
        sudo
    } else {
        let line = format!("{} {}", binary.display(), args.arguments.join(" "));
        bail!("monitor needs root and sudo is not here; as root, run: {}", line.trim_end());
    };
    command.args(&args.arguments);
    let error = command.exec();
    bail!("cannot start {}: {error}", shell::line(&command))
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let signal = status.signal().map(|signal| 128 + signal);
    let code = status.code().or(signal).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
