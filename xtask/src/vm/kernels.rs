//! The kernels: Debian's own, from the mirror that this machine already uses, unpacked into the target directory and
//! never installed.

use crate::shell;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A kernel that can be booted.
pub(super) struct Kernel {
    /// Its name here: the mainline version.
    pub(super) name: &'static str,
    /// Runs when no kernel is named.
    pub(super) default: bool,
    /// Debian's suite.
    suite: &'static str,
    /// Which package has the image: what stands before and after the part of the name that grows.
    image: (&'static str, &'static str),
    /// The same for the package with the modules, where that is another.
    modules: Option<(&'static str, &'static str)>,
}

/// Every kernel, oldest first.
pub(super) const KERNELS: [Kernel; 5] = [
    Kernel {
        name: "5.10",
        default: true,
        suite: "bullseye-security",
        image: ("linux-image-5.10.0-", "-cloud-amd64"),
        modules: None,
    },
    Kernel {
        name: "6.1",
        default: true,
        suite: "bookworm-security",
        image: ("linux-image-6.1.0-", "-cloud-amd64"),
        modules: None,
    },
    Kernel {
        name: "6.12",
        default: true,
        suite: "trixie-security",
        image: ("linux-image-6.12.", "+deb13-cloud-amd64"),
        modules: None,
    },
    Kernel {
        name: "6.18",
        default: true,
        suite: "trixie-backports",
        image: ("linux-image-6.18.", "+deb13-cloud-amd64"),
        modules: None,
    },
    // From 7.x on linux-image is empty.
    Kernel {
        name: "7.2",
        default: false,
        suite: "sid",
        image: ("linux-binary-7.2.", "-cloud-amd64"),
        modules: Some(("linux-modules-7.2.", "-cloud-amd64")),
    },
];

/// Modules that the tests need, with those that they depend on; what a kernel has built in is no file.
const MODULES: [&str; 14] = [
    "veth",
    "tun",
    "inet_diag",
    "tcp_diag",
    "udp_diag",
    "raw_diag",
    "af_packet",
    "sctp",
    // IPsec without a cipher.
    "xfrm_user",
    "xfrm_interface",
    "esp4",
    "authenc",
    "ecb",
    "crypto_null",
];

/// Signs every suite of Debian's.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

impl Kernel {
    /// Its directory: `vmlinuz`, `modules/` and in that `order`, one file name a line.
    pub(super) fn directory(&self, vm: &Path) -> PathBuf {
        vm.join("kernels").join(self.name)
    }

    fn there(&self, vm: &Path) -> bool {
        self.directory(vm).join("vmlinuz").is_file()
    }
}

/// Gets the kernels that are not there yet.
pub(super) fn ensure(kernels: &[&Kernel], vm: &Path) -> Result<()> {
    let missing: Vec<_> = kernels.iter().filter(|kernel| !kernel.there(vm)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let apt = Apt::new(vm)?;
    for kernel in missing {
        println!("getting Linux {} of Debian's {} (never installed)", kernel.name, kernel.suite);
        apt.update(kernel.suite)?;
        get(&apt, kernel, vm).with_context(|| format!("Linux {}", kernel.name))?;
    }
    Ok(())
}

fn get(apt: &Apt, kernel: &Kernel, vm: &Path) -> Result<()> {
    let unpacked = vm.join("unpacked");
    let _ = fs::remove_dir_all(&unpacked);
    let names = apt.names()?;
    for (before, after) in [Some(kernel.image), kernel.modules].into_iter().flatten() {
        let name = newest(&names, before, after)
            .with_context(|| format!("no package {before}*{after} in {}", kernel.suite))?;
        apt.unpack(name, &unpacked)?;
    }
    let directory = kernel.directory(vm);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(directory.join("modules"))?;
    take_modules(&unpacked, &directory.join("modules"))?;
    // Last: it says that all is there.
    let files = files_below(&unpacked)?;
    let image = files.iter().find(|path| file_name(path).starts_with("vmlinuz")).context("no vmlinuz")?;
    fs::copy(image, directory.join("vmlinuz"))?;
    fs::remove_dir_all(&unpacked)?;
    Ok(())
}

/// apt with lists and a cache of its own, so that nothing of the machine's changes.
struct Apt {
    directory: PathBuf,
    /// Base addresses of the mirrors of Debian and of its security updates, as the machine has them.
    archive: String,
    security: String,
}

impl Apt {
    fn new(vm: &Path) -> Result<Self> {
        let mut list = Command::new("apt-get");
        list.args(["indextargets", "--format", "$(ORIGIN) $(RELEASE) $(REPO_URI)", "Created-By: Packages"]);
        let targets = shell::capture(&mut list)?;
        let mirror = |security: bool| {
            let found = targets.lines().find_map(|line| mirror_of(line, security));
            found.with_context(|| {
                let which = if security { "Debian's security updates" } else { "Debian" };
                format!(
                    "apt's sources on this machine name no mirror of {which}, where the kernels come from"
                )
            })
        };
        let (archive, security) = (mirror(false)?, mirror(true)?);
        let directory = vm.join("apt");
        for part in ["lists/partial", "cache/archives/partial", "debs"] {
            fs::create_dir_all(directory.join(part))?;
        }
        Ok(Self { directory, archive, security })
    }

    fn update(&self, suite: &str) -> Result<()> {
        let mirror = if suite.ends_with("-security") { &self.security } else { &self.archive };
        let signed =
            if Path::new(KEYRING).exists() { format!(" signed-by={KEYRING}") } else { String::new() };
        let line = format!("deb [arch=amd64{signed}] {mirror} {suite} main\n");
        fs::write(self.directory.join("sources.list"), line)?;
        shell::run(self.command("apt-get").args(["-q", "-q", "update"]))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let options = [
            ("Dir::Etc::SourceList", "sources.list"),
            ("Dir::State::Lists", "lists"),
            ("Dir::Cache", "cache"),
        ];
        for (option, name) in options {
            command.arg("-o").arg(format!("{option}={}", self.directory.join(name).display()));
        }
        command.args(["-o", "Dir::Etc::SourceParts=/dev/null", "-o", "APT::Sandbox::User=root"]);
        command.current_dir(self.directory.join("debs"));
        command
    }

    fn names(&self) -> Result<Vec<String>> {
        let text = shell::capture(self.command("apt-cache").args(["pkgnames", "linux-"]))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    fn unpack(&self, name: &str, into: &Path) -> Result<()> {
        shell::run(self.command("apt-get").args(["-q", "-q", "download", name]))?;
        let debs = self.directory.join("debs");
        let prefix = format!("{name}_");
        let deb = fs::read_dir(&debs)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| file_name(path).starts_with(&prefix))
            .with_context(|| format!("apt-get download left no {name}"))?;
        shell::run(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(into))?;
        Ok(fs::remove_file(deb)?)
    }
}

/// `ORIGIN RELEASE ADDRESS` of a package index: the address, if it is Debian's and of the wanted kind.
fn mirror_of(line: &str, security: bool) -> Option<String> {
    let mut words = line.split(' ');
    let (origin, release, address) = (words.next()?, words.next()?, words.next()?);
    let fits = if security { release.ends_with("-security") } else { !release.contains('-') };
    (origin == "Debian" && fits).then(|| address.to_owned())
}

/// The newest of the packages whose names differ in their middle only. Numbers in it are compared as numbers.
fn newest<'n>(names: &'n [String], before: &str, after: &str) -> Option<&'n String> {
    names
        .iter()
        .filter_map(|name| {
            let middle = name.strip_prefix(before)?.strip_suffix(after)?;
            // The part that grows: "43", "117", "2+deb14". Not "rt-43", nor "0.deb11.52" of another suite.
            let plain = middle.split('+').next()?;
            plain.bytes().all(|byte| byte.is_ascii_digit()).then(|| (numbers(middle), name))
        })
        .max()
        .map(|(_, name)| name)
}

fn numbers(text: &str) -> Vec<u64> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

/// Copies the modules that are wanted, decompressed, and writes the order in which they go in.
fn take_modules(unpacked: &Path, into: &Path) -> Result<()> {
    let files = files_below(unpacked)?;
    let mut order = Vec::new();
    let mut known = BTreeSet::new();
    for name in MODULES {
        take_module(name, &files, into, &mut known, &mut order)?;
    }
    if !order.iter().any(|name| name == "veth.ko") {
        bail!("the package has no module veth");
    }
    fs::write(into.join("order"), order.join("\n") + "\n")?;
    Ok(())
}

fn take_module(
    name: &str,
    files: &[PathBuf],
    into: &Path,
    known: &mut BTreeSet<String>,
    order: &mut Vec<String>,
) -> Result<()> {
    if !known.insert(name.to_owned()) {
        return Ok(());
    }
    let is_it = |path: &&PathBuf| {
        file_name(path).split_once(".ko").is_some_and(|(stem, _)| stem.replace('-', "_") == name)
    };
    // No file: built in, or not of this kernel.
    let Some(path) = files.iter().find(is_it) else { return Ok(()) };
    let content = decompressed(path)?;
    for dependency in depends(&content) {
        take_module(&dependency, files, into, known, order)?;
    }
    fs::write(into.join(format!("{name}.ko")), content)?;
    order.push(format!("{name}.ko"));
    Ok(())
}

fn decompressed(path: &Path) -> Result<Vec<u8>> {
    let program = match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => return Ok(fs::read(path)?),
    };
    let output = Command::new(program).arg("-dc").arg(path).output()?;
    if !output.status.success() {
        bail!("{program} cannot decompress {}", path.display());
    }
    Ok(output.stdout)
}

/// What a module depends on, from its `.modinfo`: zero-terminated `name=value` texts.
fn depends(module: &[u8]) -> Vec<String> {
    let text = module.split(|byte| *byte == 0).find_map(|text| text.strip_prefix(b"depends="));
    let text = String::from_utf8_lossy(text.unwrap_or_default()).replace('-', "_");
    text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn files_below(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.append(&mut files_below(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    Ok(files)
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_package_is_found_by_number() {
        let names = ["linux-image-6.1.0-9-cloud-amd64", "linux-image-6.1.0-56-cloud-amd64"]
            .into_iter()
            .chain(["linux-image-6.1.0-0.deb11.52-cloud-amd64", "linux-image-6.1.0-99-cloud-amd64-dbg"])
            .map(str::to_owned)
            .collect::<Vec<_>>();
        let found = newest(&names, "linux-image-6.1.0-", "-cloud-amd64").unwrap();
        assert_eq!(found, "linux-image-6.1.0-56-cloud-amd64");
        assert!(newest(&names, "linux-image-5.10.0-", "-cloud-amd64").is_none());
    }

    #[test]
    fn mirrors_are_the_machines_own() {
        let line = "Debian bookworm-security http://mirror.example/debian-security/";
        assert_eq!(mirror_of(line, true).as_deref(), Some("http://mirror.example/debian-security/"));
        assert_eq!(mirror_of(line, false), None);
        assert_eq!(mirror_of("Other bookworm http://other.example/", false), None);
    }

    #[test]
    fn dependencies_of_a_module() {
        assert_eq!(depends(b"\0license=GPL\0depends=inet_diag,nf-x\0"), ["inet_diag", "nf_x"]);
        assert!(depends(b"\0depends=\0").is_empty());
    }
}
