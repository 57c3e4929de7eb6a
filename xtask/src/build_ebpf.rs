//! `cargo xtask build-ebpf`: from the kernel programs' sources to the committed object, and the proof that they match.
//!
//! The object is the same wherever and whenever it is built with the same toolchain: every path that the compiler would
//! write into it is remapped, nothing of the environment reaches the build, and the architecture that `aya-ebpf` asks for
//! is fixed (no program reads registers, so the object serves every little-endian machine).

use crate::budget;
use crate::object::{self, Record};
use crate::project::Project;
use crate::shell;
use crate::toolchain::{TARGET, Toolchain};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Compiler flags. Debug information stands here and not only in the profile, because the functions of `core` need it,
/// too: without it the verifier refuses them.
const FLAGS: [&str; 3] = ["--cfg=bpf_target_arch=\"x86_64\"", "-Cdebuginfo=2", "-Clink-arg=--btf"];

/// The release profile of this build; the workspace's own is for userspace.
const PROFILE: [(&str, &str); 8] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3"),
    ("CARGO_PROFILE_RELEASE_LTO", "fat"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "2"),
    ("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "false"),
    ("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "false"),
    ("CARGO_PROFILE_RELEASE_INCREMENTAL", "false"),
];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Change nothing; fail unless the committed object is what the sources give
    #[arg(long)]
    check: bool,
    /// With --check: compare hashes only, which needs no toolchain
    #[arg(long, requires = "check")]
    source_hash_only: bool,
    /// Change only the table of what the programs may cost, to what the committed object costs
    #[arg(long, conflicts_with = "check")]
    accept: bool,
}

/// The command.
pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    let project = Project::find()?;
    if args.check {
        check_hashes(&project)?;
        println!("the committed object and its sources are the recorded ones");
        budget::check(&project)?;
        println!("no program and no fast path has grown");
        if !args.source_hash_only {
            println!("{}", check_bytes(&project)?.sentence());
        }
    } else if args.accept {
        budget::accept(&project)?;
    } else {
        write(&project)?;
        budget::check(&project)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What comparing byte for byte came to, short of a difference.
pub(crate) enum Comparison {
    /// The same bytes.
    Identical,
    /// The recorded toolchain is not here.
    OtherToolchain(String),
}

impl Comparison {
    fn sentence(&self) -> String {
        match self {
            Self::Identical => "a rebuild gives the committed object, byte for byte".to_owned(),
            Self::OtherToolchain(why) => format!("not compared byte for byte: {why}"),
        }
    }
}

/// Fails unless the object is the recorded one and was made from these sources.
pub(crate) fn check_hashes(project: &Project) -> Result<Record> {
    let record = Record::read(project)?;
    let record = record.context("there is no committed object; make it with: cargo xtask build-ebpf")?;
    if object::source_hash(&project.root, &recipe())? != record.source_sha256 {
        bail!(
            "the sources of the kernel programs have changed since monitor/bpf/monitor.bpf.o was made; \
             rebuild and commit it: cargo xtask build-ebpf"
        );
    }
    let bytes = std::fs::read(project.object())
        .with_context(|| format!("cannot read {}", project.object().display()))?;
    if object::sha256(&bytes) != record.object_sha256 {
        bail!(
            "monitor/bpf/monitor.bpf.o is not the object that its record describes; run: cargo xtask build-ebpf"
        );
    }
    Ok(record)
}

/// Rebuilds where the recorded toolchain is installed and fails if the bytes differ.
pub(crate) fn check_bytes(project: &Project) -> Result<Comparison> {
    let record = Record::read(project)?.context("there is no committed object")?;
    let toolchain = Toolchain::ensure(Some(&record.rustc))?;
    for (recorded, here) in [
        (&record.rustc, toolchain.rustc_version()),
        (&record.llvm, toolchain.llvm_version()),
        (&record.bpf_linker, &toolchain.linker_version),
    ] {
        if recorded != here {
            return Ok(Comparison::OtherToolchain(format!(
                "it was made with {recorded}, and here is {here}"
            )));
        }
    }
    let stripped = strip(&toolchain, &build(project, &toolchain)?)?;
    if std::fs::read(&stripped)? != std::fs::read(project.object())? {
        bail!("the rebuilt object ({}) differs from monitor/bpf/monitor.bpf.o", stripped.display());
    }
    Ok(Comparison::Identical)
}

fn write(project: &Project) -> Result<()> {
    let recorded = Record::read(project)?.map(|record| record.rustc);
    let toolchain = Toolchain::ensure(recorded.as_deref())?;
    let stripped = strip(&toolchain, &build(project, &toolchain)?)?;
    let bytes = std::fs::read(&stripped)?;
    let record = Record {
        object_sha256: object::sha256(&bytes),
        source_sha256: object::source_hash(&project.root, &recipe())?,
        rustc: toolchain.rustc_version().to_owned(),
        llvm: toolchain.llvm_version().to_owned(),
        bpf_linker: toolchain.linker_version.clone(),
    };
    let directory = project.root.join("monitor/bpf");
    std::fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    std::fs::write(project.object(), &bytes)?;
    std::fs::write(project.record(), record.to_toml())?;
    println!("wrote monitor/bpf/monitor.bpf.o: {} bytes, sha256 {}", bytes.len(), record.object_sha256);
    Ok(())
}

/// What of the build is not in the sources, as text for the hash.
fn recipe() -> String {
    let profile = PROFILE.iter().map(|(name, value)| format!("{name}={value}"));
    FLAGS
        .iter()
        .map(ToString::to_string)
        .chain(profile)
        .chain([TARGET.to_owned()])
        .collect::<Vec<_>>()
        .join("\n")
}

/// Builds the object and returns where it is, not stripped.
fn build(project: &Project, toolchain: &Toolchain) -> Result<PathBuf> {
    let target = project.target.join("ebpf");
    let mut command = toolchain.cargo();
    command.arg("build");
    configure(&mut command, project, toolchain);
    println!(
        "building the kernel programs with {} (LLVM {})",
        toolchain.rustc_version(),
        toolchain.llvm_version()
    );
    shell::run(&mut command)?;
    Ok(target.join(TARGET).join("release/monitor-ebpf"))
}

/// Lints the kernel programs with the build's own flags; a warning is an error.
pub(crate) fn lint(project: &Project) -> Result<()> {
    let toolchain = Toolchain::ensure(Record::read(project)?.map(|record| record.rustc).as_deref())?;
    let mut command = toolchain.clippy()?;
    command.arg("clippy");
    configure(&mut command, project, &toolchain);
    command.args(["--", "-D", "warnings"]);
    shell::run(&mut command)
}

/// The arguments and the environment that every cargo command for the kernel programs shares.
fn configure(command: &mut Command, project: &Project, toolchain: &Toolchain) {
    let flags: Vec<_> = FLAGS.iter().map(ToString::to_string).chain(remaps(project, toolchain)).collect();
    command
        .args(["--package=monitor-ebpf", "--release", "--locked", "-Zbuild-std=core", "--target", TARGET])
        .arg(format!("--target-dir={}", project.target.join("ebpf").display()))
        .current_dir(&project.root)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &toolchain.linker)
        .envs(PROFILE);
}

/// Flags that replace the directories of this machine in the object. The last that matches wins.
fn remaps(project: &Project, toolchain: &Toolchain) -> Vec<String> {
    let mut pairs = vec![(project.root.clone(), "/monitor")];
    pairs.push((shell::cargo_home(), "/cargo"));
    // The name of a registry's directory depends on how cargo reaches it.
    let registries = std::fs::read_dir(shell::cargo_home().join("registry/src"));
    pairs.extend(registries.into_iter().flatten().flatten().map(|entry| (entry.path(), "/registry")));
    pairs.extend(toolchain.library_sources().into_iter().map(|path| (path, "/rust-src")));
    pairs.push((project.target.join("ebpf"), "/target"));
    pairs.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())).collect()
}

/// Removes debug information but keeps BTF; the original stays.
fn strip(toolchain: &Toolchain, built: &Path) -> Result<PathBuf> {
    let stripped = built.with_extension("o");
    shell::run(Command::new(&toolchain.strip).arg("-g").arg(built).arg("-o").arg(&stripped))?;
    Ok(stripped)
}
