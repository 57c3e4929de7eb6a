//! The compiler, linker and strip program that build the kernel object.
//!
//! Building for the bpf target needs the sources of `core`, unstable flags, and a `bpf-linker` made with the LLVM of the
//! compiler. Two toolchains give that: rustup's nightly with rust-src, or Debian's `rustc-web` with `rust-web-src`, told
//! by `RUSTC_BOOTSTRAP` to accept the flags. The one that made the committed object is preferred where it is installed,
//! because only it can prove the object byte for byte; then nightly; then Debian's, which is installed when missing.

use crate::packages::{self, Evidence, Package};
use crate::shell;
use anyhow::{Context, Result, bail};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The version of bpf-linker that is installed when there is none.
const LINKER_VERSION: &str = "0.13.0";

/// The oldest LLVM that this version of bpf-linker can be built with.
const LEAST_LLVM: u32 = 21;

/// The target of the kernel programs.
pub(crate) const TARGET: &str = "bpfel-unknown-none";

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";

/// What the object is made with.
pub(crate) struct Toolchain {
    compiler: Compiler,
    /// bpf-linker, by its path.
    pub(crate) linker: PathBuf,
    /// Its version line.
    pub(crate) linker_version: String,
    /// llvm-strip of the compiler's LLVM.
    pub(crate) strip: PathBuf,
}

/// A Rust compiler with the sources of its library.
struct Compiler {
    rustc: PathBuf,
    cargo: PathBuf,
    sysroot: PathBuf,
    /// First line of `rustc -vV`.
    version: String,
    /// `LLVM version` of `rustc -vV`.
    llvm: String,
}

impl Toolchain {
    /// Finds a toolchain, preferring the one whose version line is `recorded`, and installs what is missing.
    pub(crate) fn ensure(recorded: Option<&str>) -> Result<Self> {
        let found = installed();
        let position = found.iter().position(|compiler| Some(compiler.version.as_str()) == recorded);
        let compiler = match found.into_iter().nth(position.unwrap_or(0)) {
            Some(compiler) => compiler,
            None => install_compiler()?,
        };
        let strip = ensure_llvm(&compiler)?;
        let linker = ensure_linker(&compiler)?;
        let linker_version = shell::capture(Command::new(&linker).arg("--version"))?.trim().to_owned();
        Ok(Self { compiler, linker, linker_version, strip })
    }

    /// First line of `rustc -vV`.
    pub(crate) fn rustc_version(&self) -> &str {
        &self.compiler.version
    }

    /// The compiler's LLVM.
    pub(crate) fn llvm_version(&self) -> &str {
        &self.compiler.llvm
    }

    /// The directories of the library's sources: as the compiler names it, and where that leads.
    pub(crate) fn library_sources(&self) -> Vec<PathBuf> {
        let named = sources(&self.compiler.sysroot);
        let real = named.canonicalize().ok().filter(|real| *real != named);
        std::iter::once(named).chain(real).collect()
    }

    /// Cargo of this toolchain.
    pub(crate) fn cargo(&self) -> Command {
        self.clean(Command::new(&self.compiler.cargo))
    }

    /// Clippy of this toolchain, which calls cargo and the compiler beside it.
    pub(crate) fn clippy(&self) -> Result<Command> {
        let clippy = self.compiler.cargo.with_file_name("cargo-clippy");
        if self.compiler.cargo == Path::new(DEBIAN_CARGO) {
            packages::ensure(&[debian("rust-web-clippy", &clippy, "lints of the kernel programs")])?;
        } else if !clippy.is_file() {
            bail!("nightly has no clippy: rustup component add --toolchain nightly clippy");
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let beside = clippy.parent().map(Path::to_path_buf);
        let path = std::env::join_paths(beside.into_iter().chain(std::env::split_paths(&path)))?;
        let mut command = self.clean(Command::new(&clippy));
        command.env("CARGO", &self.compiler.cargo).env("PATH", path);
        Ok(command)
    }

    /// Takes out of the environment what the surrounding cargo or the developer's shell would change in the object.
    fn clean(&self, mut command: Command) -> Command {
        let leaks = |name: &str| {
            name.starts_with("CARGO_PROFILE_")
                || name.starts_with("CARGO_TARGET_")
                || name.starts_with("CARGO_BUILD_")
                || name.starts_with("RUSTC")
                || ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_INCREMENTAL", "LD_LIBRARY_PATH"]
                    .contains(&name)
        };
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(leaks) {
                command.env_remove(name);
            }
        }
        command.env("RUSTC", &self.compiler.rustc).env("RUSTC_BOOTSTRAP", "1");
        command
    }
}

/// The usable compilers of this machine, in order of preference.
fn installed() -> Vec<Compiler> {
    let debian = Compiler::probe(DEBIAN_RUSTC.as_ref(), DEBIAN_CARGO.as_ref());
    let linkable =
        |compiler: &Compiler| compiler.llvm_major().parse().is_ok_and(|llvm: u32| llvm >= LEAST_LLVM);
    nightly().into_iter().chain(debian).filter(linkable).collect()
}

fn nightly() -> Option<Compiler> {
    let which = |program: &str| {
        let output = Command::new(shell::find("rustup")?)
            .args(["which", "--toolchain", "nightly", program])
            .env("RUSTUP_AUTO_INSTALL", "0")
            .output()
            .ok()?;
        output.status.success().then(|| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
    };
    Compiler::probe(&which("rustc")?, &which("cargo")?)
}

impl Compiler {
    /// The compiler, if it is there, runs, and has its library's sources.
    fn probe(rustc: &Path, cargo: &Path) -> Option<Self> {
        if !rustc.is_file() || !cargo.is_file() {
            return None;
        }
        let verbose = shell::capture(Command::new(rustc).arg("-vV")).ok()?;
        let sysroot = shell::capture(Command::new(rustc).args(["--print", "sysroot"])).ok()?;
        let sysroot = PathBuf::from(sysroot.trim());
        sources(&sysroot).join("library/core/Cargo.toml").is_file().then_some(())?;
        Some(Self {
            rustc: rustc.to_path_buf(),
            cargo: cargo.to_path_buf(),
            sysroot,
            version: verbose.lines().next()?.to_owned(),
            llvm: verbose.lines().find_map(|line| line.strip_prefix("LLVM version: "))?.to_owned(),
        })
    }

    fn llvm_major(&self) -> &str {
        self.llvm.split('.').next().unwrap_or_default()
    }

    fn llvm_prefix(&self) -> PathBuf {
        PathBuf::from(format!("/usr/lib/llvm-{}", self.llvm_major()))
    }
}

fn sources(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib/src/rust")
}

fn debian(name: &str, file: &Path, why: &'static str) -> Package {
    Package { name: name.to_owned(), evidence: Evidence::File(file.to_path_buf()), why }
}

fn install_compiler() -> Result<Compiler> {
    println!("missing: a compiler with the sources of `core` and LLVM {LEAST_LLVM} or newer");
    packages::install(&["rustc-web", "cargo-web", "rust-web-src"])?;
    installed().into_iter().next().with_context(|| {
        format!(
            "no compiler with the sources of `core` and LLVM {LEAST_LLVM} or newer; install one: \
             rustup toolchain install nightly --component rust-src"
        )
    })
}

/// Makes sure of llvm-strip and of what bpf-linker is built against, and returns llvm-strip.
fn ensure_llvm(compiler: &Compiler) -> Result<PathBuf> {
    let strip = compiler.llvm_prefix().join("bin/llvm-strip");
    if strip.is_file() && shell::find("bpf-linker").is_some() {
        return Ok(strip);
    }
    packages::ensure(&[debian(
        &format!("llvm-{}-dev", compiler.llvm_major()),
        &compiler.llvm_prefix().join("bin/llvm-config"),
        "llvm-strip, and the LLVM of the compiler for bpf-linker",
    )])?;
    if !strip.is_file() {
        bail!("{} is missing", strip.display());
    }
    Ok(strip)
}

fn ensure_linker(compiler: &Compiler) -> Result<PathBuf> {
    if let Some(linker) = shell::find("bpf-linker") {
        return Ok(linker);
    }
    let mut install = Command::new("cargo");
    install.args(["install", "--no-default-features", "--features"]);
    install.arg(format!("llvm-{}", compiler.llvm_major())).arg(format!("bpf-linker@{LINKER_VERSION}"));
    install.env("LLVM_PREFIX", compiler.llvm_prefix());
    let mut command = format!("LLVM_PREFIX={}", compiler.llvm_prefix().display());
    write!(command, " {}", shell::line(&install))?;
    if !packages::is_root() {
        bail!("bpf-linker is missing; install it with: {command}");
    }
    println!("missing: bpf-linker (links the kernel programs)\n$ {command}");
    shell::run(&mut install)?;
    shell::find("bpf-linker").context("bpf-linker was installed, but not where it can be found")
}
