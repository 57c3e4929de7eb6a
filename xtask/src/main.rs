//! The project's own commands, as `cargo xtask COMMAND`.
//!
//! One file per command; what several commands share (where things are, how to start a program, what the machine lacks)
//! has a file of its own. Nothing here is needed to build or to use `monitor`: `cargo build` does that.

mod apple;
mod bench;
mod budget;
mod build_ebpf;
mod fuzz;
mod object;
mod packages;
mod privileges;
mod project;
mod run;
mod shell;
mod steps;
mod test;
mod toolchain;
mod verify;
mod vm;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The commands of this project
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build monitor in release mode and start it, through sudo when not root
    Run(run::Args),
    /// Run the tests: what needs root and BPF is counted and explained where it cannot run
    Test(test::Args),
    /// Check what contributors need beyond the tests: the object, its lints, documentation, licences
    Verify(verify::Args),
    /// Build the kernel programs and write the object that is committed
    BuildEbpf(build_ebpf::Args),
    /// Run monitor and its tests on other kernels, emulated, and compare with docs/kernels.md
    Vm(vm::Args),
    /// Feed hostile bytes to what reads packets and files
    Fuzz(fuzz::Args),
    /// Measure what monitor costs
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(args) => run::main(&args),
        Command::Test(args) => test::main(&args),
        Command::Verify(args) => verify::main(&args),
        Command::Vm(args) => vm::main(&args),
        Command::Fuzz(args) => fuzz::main(&args),
        Command::Bench(args) => bench::main(&args),
        Command::BuildEbpf(args) => build_ebpf::main(&args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}
