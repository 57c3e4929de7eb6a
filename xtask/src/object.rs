//! The committed kernel object: the hash of what it is made from, and the record beside it.
//!
//! The record says what made the object, so that anyone can prove it: `source_sha256` needs no toolchain and depends
//! neither on git nor on times; the bytes can be compared wherever the recorded toolchain is installed.

use crate::project::Project;
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The crates whose sources are in the object.
const CRATES: [&str; 2] = ["monitor-common", "monitor-ebpf"];

/// What stands in `monitor.bpf.toml`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// SHA-256 of the object.
    pub(crate) object_sha256: String,
    /// [`source_hash`] when it was made.
    pub(crate) source_sha256: String,
    /// First line of `rustc -vV`.
    pub(crate) rustc: String,
    /// The compiler's LLVM.
    pub(crate) llvm: String,
    /// bpf-linker's version line.
    pub(crate) bpf_linker: String,
}

impl Record {
    /// The record as a file.
    pub(crate) fn to_toml(&self) -> String {
        format!(
            "# What monitor.bpf.o is made from, and by what. Written by `cargo xtask build-ebpf`.\n\
             object_sha256 = \"{}\"\nsource_sha256 = \"{}\"\nrustc = \"{}\"\nllvm = \"{}\"\nbpf_linker = \"{}\"\n",
            self.object_sha256, self.source_sha256, self.rustc, self.llvm, self.bpf_linker
        )
    }

    /// Reads what [`Record::to_toml`] wrote.
    pub(crate) fn from_toml(text: &str) -> Result<Self> {
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""));
            let value = line.and_then(|rest| rest.strip_suffix('"'));
            Ok::<_, anyhow::Error>(
                value.with_context(|| format!("the object's record has no {key}"))?.to_owned(),
            )
        };
        Ok(Self {
            object_sha256: value("object_sha256")?,
            source_sha256: value("source_sha256")?,
            rustc: value("rustc")?,
            llvm: value("llvm")?,
            bpf_linker: value("bpf_linker")?,
        })
    }

    /// The committed record; `None` where there is none.
    pub(crate) fn read(project: &Project) -> Result<Option<Self>> {
        match std::fs::read_to_string(project.record()) {
            Ok(text) => Self::from_toml(&text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", project.record().display())),
        }
    }
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The hash over everything that decides the object but the toolchain: sources, manifests, locked dependencies, and
/// `recipe`, the flags of the build.
pub(crate) fn source_hash(root: &Path, recipe: &str) -> Result<String> {
    let mut files = BTreeSet::new();
    for name in CRATES {
        files.insert(PathBuf::from(name).join("Cargo.toml"));
        collect_sources(root, Path::new(name), &mut files)?;
    }
    let mut hasher = Sha256::new();
    let mut add = |name: &str, bytes: &[u8]| {
        // Lengths keep two neighbours from being read as one.
        hasher.update(format!("{} {name} {}\n", name.len(), bytes.len()));
        hasher.update(bytes);
    };
    for file in files {
        let bytes =
            std::fs::read(root.join(&file)).with_context(|| format!("cannot read {}", file.display()))?;
        add(&file.to_string_lossy(), &bytes);
    }
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    add("Cargo.lock", locked_dependencies(&lock, "monitor-ebpf").join("\n").as_bytes());
    add("recipe", recipe.as_bytes());
    let digest = hasher.finalize();
    Ok(digest.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}

fn collect_sources(root: &Path, directory: &Path, files: &mut BTreeSet<PathBuf>) -> Result<()> {
    let absolute = root.join(directory);
    let entries =
        std::fs::read_dir(&absolute).with_context(|| format!("cannot read {}", absolute.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = directory.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() && entry.file_name() != "target" {
            collect_sources(root, &path, files)?;
        } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "rs") {
            files.insert(path);
        }
    }
    Ok(())
}

/// One line for each package of a lock file that `package` depends on, sorted: name, version, checksum.
fn locked_dependencies(lock: &str, package: &str) -> Vec<String> {
    let packages: Vec<_> = lock.split("[[package]]").skip(1).map(Locked::parse).collect();
    let mut reached = BTreeSet::new();
    let mut open = vec![package.to_owned()];
    while let Some(name) = open.pop() {
        // A dependency is "name", or "name version" where the lock file has several.
        let mut words = name.split(' ');
        let (name, version) = (words.next().unwrap_or_default(), words.next());
        let matching = packages
            .iter()
            .filter(|found| found.name == name && version.is_none_or(|version| version == found.version));
        for found in matching {
            if reached.insert(format!("{} {} {}", found.name, found.version, found.checksum)) {
                open.extend(found.dependencies.iter().map(|&dependency| dependency.to_owned()));
            }
        }
    }
    reached.into_iter().collect()
}

/// One `[[package]]` of a lock file.
struct Locked<'a> {
    name: &'a str,
    version: &'a str,
    checksum: &'a str,
    dependencies: Vec<&'a str>,
}

impl<'a> Locked<'a> {
    fn parse(block: &'a str) -> Self {
        let value = |key: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
            line.unwrap_or_default().trim_matches('"')
        };
        let quoted = |line: &'a str| line.strip_prefix(" \"")?.strip_suffix("\",");
        Self {
            name: value("name"),
            version: value("version"),
            checksum: value("checksum"),
            dependencies: block.lines().filter_map(quoted).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\ndependencies = [\n \"b 2.0.0\",\n]\n\n\
        [[package]]\nname = \"b\"\nversion = \"1.0.0\"\nchecksum = \"11\"\n\n\
        [[package]]\nname = \"b\"\nversion = \"2.0.0\"\nchecksum = \"22\"\ndependencies = [\n \"a\",\n \"c\",\n]\n\n\
        [[package]]\nname = \"c\"\nversion = \"3.0.0\"\nchecksum = \"33\"\n";

    #[test]
    fn only_what_the_package_reaches_is_locked() {
        assert_eq!(locked_dependencies(LOCK, "a"), ["a 1.0.0 ", "b 2.0.0 22", "c 3.0.0 33"]);
        assert_eq!(locked_dependencies(LOCK, "c"), ["c 3.0.0 33"]);
    }

    #[test]
    fn a_record_survives_being_written() {
        let record = Record {
            object_sha256: "ab".into(),
            source_sha256: "cd".into(),
            rustc: "rustc 1.2.3 (abc 2026-01-01)".into(),
            llvm: "22.1.8".into(),
            bpf_linker: "bpf-linker 0.1.2".into(),
        };
        assert_eq!(Record::from_toml(&record.to_toml()).unwrap(), record);
        assert!(Record::from_toml("rustc = \"x\"").is_err());
    }

    #[test]
    fn the_hash_is_the_known_one() {
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
