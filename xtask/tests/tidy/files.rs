//! The tracked files of the project.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file, by its path from the root, with `/`.
pub(crate) struct File {
    pub(crate) path: String,
    /// What is in it; bytes that are no text are replaced.
    pub(crate) text: String,
}

impl File {
    /// A file that is only in a test.
    #[cfg(test)]
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether it is Rust.
    pub(crate) fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == "rs")
    }

    /// Whether all of it is a test.
    pub(crate) fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// For a file of the library `monitor`: the path of its module, without `monitor`. Empty for lib.rs; `None` for
    /// files of other crates.
    pub(crate) fn module(&self) -> Option<Vec<&str>> {
        let inside = self.path.strip_prefix("monitor/src/")?.strip_suffix(".rs")?;
        let mut module: Vec<_> = inside.split('/').collect();
        if matches!(module.last(), Some(&("mod" | "lib"))) {
            module.pop();
        }
        Some(module)
    }
}

/// All tracked files, and those that are about to be; without git (a source archive), all files.
pub(crate) fn tracked() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in a workspace");
    let paths = listed(root).unwrap_or_else(|| walk(root, Path::new("")));
    assert!(!paths.is_empty(), "no files in {}", root.display());
    paths.into_iter().filter_map(|path| read(root, path)).collect()
}

fn listed(root: &Path) -> Option<Vec<String>> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(arguments).current_dir(root).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then(|| text.split_terminator('\0').map(str::to_owned).collect())
}

fn walk(root: &Path, directory: &Path) -> Vec<String> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(root.join(directory)).expect("a directory of the project").flatten() {
        let path: PathBuf = directory.join(entry.file_name());
        let name = entry.file_name();
        if entry.path().is_file() {
            paths.push(path.to_string_lossy().into_owned());
        } else if name != "target" && name != ".git" {
            paths.extend(walk(root, &path));
        }
    }
    paths
}

/// A listed file may have been deleted since.
fn read(root: &Path, path: String) -> Option<File> {
    let bytes = std::fs::read(root.join(&path)).ok()?;
    Some(File { path, text: String::from_utf8_lossy(&bytes).into_owned() })
}
