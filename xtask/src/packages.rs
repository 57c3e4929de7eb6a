//! What a command needs from the system, and how to get it.
//!
//! Each command has one table. Missing packages are installed when this runs as root on a system with apt; otherwise the
//! exact command is the error.

use crate::project::Project;
use crate::shell;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Whether the lists of packages are those of the mirror: a machine's image can be older, and then its lists offer what
/// is gone or too old.
static UPDATED: OnceLock<()> = OnceLock::new();

/// A Debian package.
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// It is there when this is.
    pub(crate) evidence: Evidence,
    /// What it is for.
    pub(crate) why: &'static str,
}

/// What shows that a package is installed.
pub(crate) enum Evidence {
    /// A program in PATH.
    Program(&'static str),
    /// A file or directory.
    File(PathBuf),
}

impl Package {
    fn missing(&self) -> bool {
        match &self.evidence {
            Evidence::Program(name) => shell::find(name).is_none(),
            Evidence::File(path) => !path.exists(),
        }
    }
}

/// Makes sure that all of `packages` are there.
pub(crate) fn ensure(packages: &[Package]) -> Result<()> {
    let missing: Vec<_> = packages.iter().filter(|package| package.missing()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for package in &missing {
        println!("missing: {} ({})", package.name, package.why);
    }
    let names: Vec<_> = missing.iter().map(|package| package.name.as_str()).collect();
    install(&names)?;
    match missing.iter().find(|package| package.missing()) {
        None => Ok(()),
        Some(package) => bail!("{} is installed and still does not give what is needed", package.name),
    }
}

/// Installs packages, or the newest version of those that are there. Fails with the command where this is not root.
pub(crate) fn install(names: &[&str]) -> Result<()> {
    let command = format!("apt-get install -y --no-install-recommends {}", names.join(" "));
    if shell::find("apt-get").is_none() {
        bail!("install these with your package manager; on Debian: {command}");
    }
    if !is_root() {
        bail!("missing system packages; install them with: sudo {command}");
    }
    if UPDATED.set(()).is_ok() {
        apt_get(&["update"])?;
    }
    apt_get(&[&["install", "-y", "--no-install-recommends"], names].concat())
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments);
    println!("$ {}", shell::line(&command));
    shell::run(&mut command)
}

/// Makes sure that the parts of the Rust toolchain are there that a minimal one lacks: pairs of a cargo sub-command and
/// the component that has it.
pub(crate) fn ensure_components(project: &Project, components: &[(&str, &str)]) -> Result<()> {
    let present = |subcommand: &str| {
        let mut command = project.cargo();
        command.args([subcommand, "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let missing: Vec<_> = components
        .iter()
        .filter(|(subcommand, _)| !present(subcommand))
        .map(|&(_, component)| component)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut command = Command::new("rustup");
    command.args(["component", "add"]).args(&missing);
    if shell::find("rustup").is_none() {
        bail!("the Rust toolchain lacks {}; with rustup: {}", missing.join(" and "), shell::line(&command));
    }
    println!("missing: {}\n$ {}", missing.join(", "), shell::line(&command));
    shell::run(&mut command)
}

/// libpcap's header, where most systems have it.
const PCAP_H: &str = "/usr/include/pcap.h";

/// What the capture of packets is built with.
pub(crate) fn libpcap() -> Package {
    Package {
        name: "libpcap-dev".to_owned(),
        evidence: Evidence::File(PCAP_H.into()),
        why: "captured packets, which is what is left where the kernel cannot count",
    }
}

/// The features of `monitor` that this machine can build: the capture of packets where libpcap's headers are.
pub(crate) fn features() -> &'static [&'static str] {
    let is_there = Path::new(PCAP_H).exists() || shell::find("pcap-config").is_some();
    if is_there { &["--features", "monitor/pcap"] } else { &[] }
}

/// Whether this runs as root.
pub(crate) fn is_root() -> bool {
    effective_uid(Path::new("/proc/self/status")).is_ok_and(|uid| uid == 0)
}

fn effective_uid(status: &Path) -> Result<u32> {
    let text = std::fs::read_to_string(status)?;
    let line = text.lines().find_map(|line| line.strip_prefix("Uid:")).context("no Uid line")?;
    let uid = line.split_whitespace().nth(1).context("no effective uid")?;
    Ok(uid.parse()?)
}
