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

const TARGETS: [&str; 2] = ["aarch64-apple-darwin", "x86_64-apple-darwin"];
/// What a user of macOS builds, and what a contributor there builds it with.
const PACKAGES: [&str; 6] = ["-p", "monitor", "-p", "monitor-common", "-p", "xtask"];

const BUILD_STD: &str = "-Zbuild-std=std,panic_abort";

/// Checks both targets.
pub(crate) fn check(project: &Project) -> Result<()> {
    if rustup_has_them() {
        return lint(|| Ok(project.cargo()), &[]);
    }
    println!("rustup has no standard library for macOS: building it from its sources");
    let toolchain = Toolchain::ensure(None)?;
    let own = || {
        let mut command = toolchain.clippy()?;
        // Its artefacts are not those of the usual compiler.
        command.current_dir(&project.root).env("CARGO_TARGET_DIR", project.target.join("apple"));
        Ok(command)
    };
    lint(own, &[BUILD_STD])
}

fn lint(cargo: impl Fn() -> Result<Command>, options: &[&str]) -> Result<()> {
    for target in TARGETS {
        let mut clippy = cargo()?;
        clippy
            .arg("clippy")
            .args(options)
            .args(["--target", target])
            .args(PACKAGES)
            .args(["--", "-Dwarnings"]);
        shell::run(&mut clippy)?;
    }
    Ok(())
}

/// Makes sure of the standard library of both targets, where rustup gives it.
fn rustup_has_them() -> bool {
    let Some(rustup) = shell::find("rustup") else { return false };
    let mut add = Command::new(rustup);
    add.args(["target", "add"]).args(TARGETS).stdout(Stdio::null());
    add.status().is_ok_and(|status| status.success())
}
