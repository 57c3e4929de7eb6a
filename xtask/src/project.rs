//! Where the project's files are.

use crate::shell;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace and its target directory.
pub(crate) struct Project {
    /// The workspace root.
    pub(crate) root: PathBuf,
    /// Where cargo puts what it builds, `CARGO_TARGET_DIR` and configuration considered.
    pub(crate) target: PathBuf,
}

impl Project {
    /// The project that this program was started from.
    pub(crate) fn find() -> Result<Self> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest.parent().context("xtask is not inside a workspace")?.to_path_buf();
        let target = target_directory(&root)?;
        Ok(Self { root, target })
    }

    /// The committed object.
    pub(crate) fn object(&self) -> PathBuf {
        self.root.join("monitor/bpf/monitor.bpf.o")
    }

    /// The record beside the object: what it was made from, and by what.
    pub(crate) fn record(&self) -> PathBuf {
        self.root.join("monitor/bpf/monitor.bpf.toml")
    }

    /// A cargo command in the workspace root, by the cargo that started this program.
    pub(crate) fn cargo(&self) -> Command {
        cargo_in(&self.root)
    }
}

fn cargo_in(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

fn target_directory(root: &Path) -> Result<PathBuf> {
    let text = shell::capture(cargo_in(root).args(["metadata", "--no-deps", "--format-version=1"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&text)?;
    let directory =
        metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
    Ok(PathBuf::from(directory))
}
