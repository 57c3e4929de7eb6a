//! `cargo xtask vm`: the real `monitor` and its tests on other kernels, under emulation, against the committed table.

mod applies;
mod binaries;
mod guest;
mod image;
mod kernels;
mod matrix;

use crate::packages::{self, Evidence, Package};
use crate::project::Project;
use anyhow::{Context, Result, bail};
use binaries::Binaries;
use guest::Said;
use kernels::{KERNELS, Kernel};
use matrix::Matrix;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Kernels to boot, such as 5.10; all but the newest without
    kernels: Vec<String>,
    /// Write the results to docs/kernels.md instead of comparing with it
    #[arg(long)]
    write: bool,
    /// Run only the tests whose names contain this, and compare nothing
    #[arg(long, value_name = "TEXT", conflicts_with = "write")]
    only: Option<String>,
}

/// The committed table.
const TABLE: &str = "docs/kernels.md";
/// Guests at the same time.
const AT_ONCE: usize = 2;

/// The command.
pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    let project = Project::find()?;
    let kernels = chosen(&args.kernels)?;
    let (found, run) = results(&project, &kernels, args.only.as_deref())?;
    let names: Vec<&str> = kernels.iter().map(|kernel| kernel.name).collect();
    let path = project.root.join(TABLE);
    let file = std::fs::read_to_string(&path).unwrap_or_default();
    if args.only.is_some() {
        return Ok(ExitCode::from(u8::from(
            run.iter().any(|said| said.tests.iter().any(|(_, passed)| !passed)),
        )));
    }
    if args.write {
        let merged = found.merged_into(&matrix::parse(&file), &names);
        std::fs::write(&path, matrix::replaced(&file, &merged))
            .with_context(|| format!("cannot write {TABLE}"))?;
        println!("wrote {TABLE}");
        return Ok(ExitCode::SUCCESS);
    }
    compare(&found, &file, &names)?;
    println!("as {TABLE} says");
    Ok(ExitCode::SUCCESS)
}

/// Compares the default kernels with the table; for `cargo xtask verify`.
pub(crate) fn check(project: &Project) -> Result<()> {
    let kernels = chosen(&[])?;
    let (found, _) = results(project, &kernels, None)?;
    let names: Vec<&str> = kernels.iter().map(|kernel| kernel.name).collect();
    let file =
        std::fs::read_to_string(project.root.join(TABLE)).with_context(|| format!("cannot read {TABLE}"))?;
    compare(&found, &file, &names)
}

fn compare(found: &Matrix, file: &str, kernels: &[&str]) -> Result<()> {
    let differences = found.differences(&matrix::parse(file), kernels);
    if differences.is_empty() {
        return Ok(());
    }
    for difference in &differences {
        println!("{difference}");
    }
    bail!(
        "{} cells differ from {TABLE}; if all of them are as they should be, run `cargo xtask vm --write`",
        differences.len()
    )
}

fn chosen(names: &[String]) -> Result<Vec<&'static Kernel>> {
    if names.is_empty() {
        return Ok(KERNELS.iter().filter(|kernel| kernel.default).collect());
    }
    let known = || KERNELS.map(|kernel| kernel.name).join(", ");
    let find = |name: &String| {
        KERNELS
            .iter()
            .find(|kernel| kernel.name == name)
            .with_context(|| format!("no kernel {name}; there are {}", known()))
    };
    names.iter().map(find).collect()
}

/// Boots the kernels, [`AT_ONCE`] at a time, and puts what they said into one matrix.
fn results(
    project: &Project,
    kernels: &[&'static Kernel],
    only: Option<&str>,
) -> Result<(Matrix, Vec<Said>)> {
    packages::ensure(&system_packages())?;
    let vm = project.target.join("vm");
    std::fs::create_dir_all(&vm)?;
    kernels::ensure(kernels, &vm)?;
    let binaries = binaries::build(project)?;
    let waiting = Mutex::new(kernels.iter().enumerate());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((number, kernel)) = next(&waiting) {
                    let said = boot(kernel, &binaries, only, &vm);
                    done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((number, said));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    let (mut matrix, mut all) = (Matrix::default(), Vec::new());
    for (number, said) in done {
        let said = said?;
        matrix.add(kernels[number].name, &said, &binaries.tests);
        all.push(said);
    }
    Ok((matrix, all))
}

fn next<T>(waiting: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next()
}

fn boot(kernel: &Kernel, binaries: &Binaries, only: Option<&str>, vm: &Path) -> Result<Said> {
    let wanted = |(file, test): &&(String, String)| {
        let name = format!("{file}::{test}");
        applies::why_not(&name, kernel.name).is_none() && only.is_none_or(|text| name.contains(text))
    };
    let run: Vec<_> = binaries.tests.iter().filter(wanted).cloned().collect();
    let image = image::write(kernel, binaries, &run, vm)?;
    let started = Instant::now();
    let said = guest::run(kernel, &image, vm)?;
    let (passed, failed): (Vec<_>, Vec<_>) = said.tests.iter().partition(|(_, passed)| *passed);
    let refused: Vec<_> =
        said.programs.iter().filter(|(_, loaded)| !loaded).map(|(name, _)| name.as_str()).collect();
    println!(
        "Linux {} ({}): {}, {} programs refused, {} tests passed, {} failed ({:.0} s)",
        kernel.name,
        said.release,
        said.tier,
        refused.len(),
        passed.len(),
        failed.len(),
        started.elapsed().as_secs_f64()
    );
    for (name, _) in failed {
        println!("   failed: {name}");
    }
    Ok(said)
}

/// What booting needs; the kernels themselves are not packages of this machine.
fn system_packages() -> [Package; 8] {
    let package = |name: &str, program, why| Package {
        name: name.to_owned(),
        evidence: Evidence::Program(program),
        why,
    };
    [
        package("qemu-system-x86", "qemu-system-x86_64", "emulates a machine for other kernels"),
        package("busybox-static", "busybox", "the guest's shell"),
        package("cpio", "cpio", "packs the guest's files"),
        package("xz-utils", "xz", "unpacks kernel modules"),
        package("zstd", "zstd", "unpacks kernel modules"),
        package("libc-bin", "ldd", "finds the libraries of the guest's programs"),
        package("iproute2", "ip", "network namespaces and veth pairs for the tests in the guest"),
        package("ethtool", "ethtool", "turns GSO, TSO and GRO off for the tests in the guest"),
    ]
}
