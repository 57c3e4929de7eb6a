//! The initramfs: all that a guest has.

use super::binaries::Binaries;
use super::kernels::Kernel;
use crate::shell;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The first process.
const INIT: &str = include_str!("init.sh");
/// System programs that the tests start.
const PROGRAMS: [&str; 2] = ["ip", "ethtool"];
/// Where things are mounted.
const MOUNT_POINTS: [&str; 4] = ["proc", "sys", "dev", "tmp"];

/// Writes the initramfs of a kernel and returns its path.
pub(super) fn write(
    kernel: &Kernel,
    binaries: &Binaries,
    run: &[(String, String)],
    vm: &Path,
) -> Result<PathBuf> {
    let root = vm.join("root").join(kernel.name);
    let _ = fs::remove_dir_all(&root);
    for directory in MOUNT_POINTS.iter().chain(&["bin", "test", "usr/sbin"]) {
        fs::create_dir_all(root.join(directory))?;
    }
    // Debian's libraries are named by /lib and by /lib64.
    for name in ["lib", "lib64", "sbin"] {
        fs::create_dir_all(root.join("usr").join(name))?;
        symlink(format!("usr/{name}"), root.join(name))?;
    }
    let busybox = shell::find("busybox").context("busybox is missing")?;
    copy(&busybox, &root.join("bin/busybox"))?;
    for program in PROGRAMS {
        let path = shell::find(program).with_context(|| format!("{program} is missing"))?;
        for library in libraries(&path)? {
            copy(&library, &root.join(library.strip_prefix("/")?))?;
        }
        copy(&path, &root.join("usr/sbin").join(program))?;
    }
    for (name, path) in &binaries.files {
        copy(path, &root.join("test").join(name))?;
    }
    copy_modules(&kernel.directory(vm).join("modules"), &root.join("modules"))?;
    fs::write(root.join("init"), INIT)?;
    fs::set_permissions(root.join("init"), fs::Permissions::from_mode(0o755))?;
    fs::write(root.join("run.sh"), script(run))?;
    let image = vm.join(format!("{}.cpio", kernel.name));
    archive(&root, &image)?;
    fs::remove_dir_all(&root)?;
    Ok(image)
}

fn script(run: &[(String, String)]) -> String {
    let mut text = "programs\n".to_owned();
    for (file, test) in run {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "check {file}::{test} /test/{file} --exact {test} --include-ignored --test-threads=1"
        );
    }
    text
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(directory) = to.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::copy(from, to).map(|_| ()).with_context(|| format!("cannot copy {}", from.display()))
}

fn copy_modules(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// The shared libraries of a program and its interpreter, as ldd finds them.
fn libraries(program: &Path) -> Result<BTreeSet<PathBuf>> {
    Ok(library_paths(&shell::capture(Command::new("ldd").arg(program))?))
}

fn library_paths(text: &str) -> BTreeSet<PathBuf> {
    text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

fn archive(root: &Path, image: &Path) -> Result<()> {
    let mut cpio = Command::new("cpio");
    cpio.args(["--quiet", "--create", "--format=newc", "--owner=0:0"]).current_dir(root);
    let mut child = cpio
        .stdin(Stdio::piped())
        .stdout(fs::File::create(image)?)
        .spawn()
        .with_context(|| format!("cannot start {}", shell::line(&cpio)))?;
    let mut names = String::new();
    list(root, Path::new(""), &mut names)?;
    {
        use std::io::Write as _;
        child.stdin.take().context("cpio has no stdin")?.write_all(names.as_bytes())?;
    }
    if !child.wait()?.success() {
        bail!("{} failed", shell::line(&cpio));
    }
    Ok(())
}

/// Every name below `root`, directories before what is in them.
fn list(root: &Path, below: &Path, names: &mut String) -> Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let _ = writeln!(names, "{}", path.display());
        if entry.file_type()?.is_dir() {
            list(root, &path, names)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_the_absolute_paths_of_ldd() {
        let text = "\tlinux-vdso.so.1 (0x7ffd)\n\tlibmnl.so.0 => /lib/x86/libmnl.so.0 (0x7f)\n\t/lib64/ld.so (0x7f)\n";
        let found: Vec<_> = library_paths(text).into_iter().collect();
        assert_eq!(found, [Path::new("/lib/x86/libmnl.so.0"), Path::new("/lib64/ld.so")]);
    }

    #[test]
    fn the_script_names_every_test() {
        let text = script(&[("gso".to_owned(), "a".to_owned())]);
        assert_eq!(text, "programs\ncheck gso::a /test/gso --exact a --include-ignored --test-threads=1\n");
    }
}
