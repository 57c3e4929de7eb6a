//! The check of what macOS builds, from any system: types and lints, without Apple's SDK. Nothing is linked or run, so this
//! shows what the compiler shows and no more.
//!
//! It takes the standard library of the targets: from rustup, or built from its sources by the toolchain that builds the
//! kernel object.

use crate::project::Project;
use crate::shell;
use crate::toolchain::Toolchain;
use anyhow::Result;
use std::process::{Command, Stdio};

/// The one that lints run for; the other one differs in the processor only and is type-checked.
const LINTED: &str = "aarch64-apple-darwin";
const CHECKED: &str = "x86_64-apple-darwin";
/// What a user of macOS builds, and what a contributor there builds it with.
const PACKAGES: [&str; 6] = ["-p", "monitor", "-p", "monitor-common", "-p", "xtask"];

const BUILD_STD: &str = "-Zbuild-std=std,panic_abort";

/// Checks both targets.
pub(crate) fn check(project: &Project) -> Result<()> {
    if rustup_has_them() {
        shell::run(
            project.cargo().args(["clippy", "--target", LINTED]).args(PACKAGES).args(["--", "-Dwarnings"]),
        )?;
        return shell::run(project.cargo().args(["check", "--target", CHECKED]).args(PACKAGES));
    }
    println!("rustup has no standard library for macOS: building it from its sources");
    let toolchain = Toolchain::ensure(None)?;
    let own = |mut command: Command| {
        // Its artefacts are not those of the usual compiler.
        command.current_dir(&project.root).env("CARGO_TARGET_DIR", project.target.join("apple"));
        command
    };
    let mut clippy = own(toolchain.clippy()?);
    clippy.args(["clippy", BUILD_STD, "--target", LINTED]).args(PACKAGES).args(["--", "-Dwarnings"]);
    shell::run(&mut clippy)?;
    let mut check = own(toolchain.cargo());
    shell::run(check.args(["check", BUILD_STD, "--target", CHECKED]).args(PACKAGES))
}

/// Makes sure of the standard library of both targets, where rustup gives it.
fn rustup_has_them() -> bool {
    let Some(rustup) = shell::find("rustup") else { return false };
    let mut add = Command::new(rustup);
    add.args(["target", "add", LINTED, CHECKED]).stdout(Stdio::null());
    add.status().is_ok_and(|status| status.success())
}
