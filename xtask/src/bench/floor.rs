//! The least that counts flows, in C: what `monitor` is compared with where there is a clang.

use crate::project::Project;
use crate::shell;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::Command;

const SOURCE: &str = "tests/src/bin/bench/floor.c";

/// The object, or what is missing for it.
pub(super) fn object(project: &Project) -> Result<Result<PathBuf, String>> {
    let Some(clang) = shell::find("clang") else {
        return Ok(Err("there is no clang (apt-get install -y --no-install-recommends clang)".to_owned()));
    };
    let object = project.target.join("floor.o");
    let headers = format!("-I/usr/include/{}-linux-gnu", std::env::consts::ARCH);
    let mut command = Command::new(clang);
    command.args(["-O2", "-g", "-target", "bpf", &headers, "-c"]).arg(project.root.join(SOURCE));
    shell::run(command.arg("-o").arg(&object)).context("the floor in C")?;
    Ok(Ok(object))
}
