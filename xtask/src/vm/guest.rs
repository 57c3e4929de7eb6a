//! One run of one guest: qemu without acceleration, its serial line read until it switches itself off.

use super::kernels::Kernel;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A guest that takes longer is ended.
const LIMIT: Duration = Duration::from_mins(14);

/// What a guest said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// `uname -r`.
    pub(super) release: String,
    /// The tier that monitor names.
    pub(super) tier: String,
    /// Program, and whether the kernel took it, in the order of loading.
    pub(super) programs: Vec<(String, bool)>,
    /// Test, and whether it passed, in the order of running.
    pub(super) tests: Vec<(String, bool)>,
}

/// Boots a kernel and waits for its end; the whole serial line goes to a file beside the image.
pub(super) fn run(kernel: &Kernel, image: &Path, vm: &Path) -> Result<Said> {
    let log = vm.join(format!("{}.log", kernel.name));
    let serial = fs::File::create(&log)?;
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "1", "-m", "640"]);
    qemu.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"]);
    qemu.arg("-kernel").arg(kernel.directory(vm).join("vmlinuz")).arg("-initrd").arg(image);
    qemu.args(["-append", "console=ttyS0 panic=-1 quiet"]);
    let mut child = qemu
        .stdin(Stdio::null())
        .stdout(serial.try_clone()?)
        .stderr(serial)
        .spawn()
        .context("cannot start qemu-system-x86_64")?;
    let deadline = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            bail!("Linux {} did not end within {LIMIT:?}; it said {}", kernel.name, log.display());
        }
        thread::sleep(Duration::from_millis(50));
    };
    let text = String::from_utf8_lossy(&fs::read(&log)?).replace('\r', "");
    match read(&text) {
        Some(said) if status.success() => Ok(said),
        _ => bail!("Linux {} did not come to its end ({status}); it said {}", kernel.name, log.display()),
    }
}

/// Reads the marked lines. `None` where the last one is missing: the guest died.
fn read(text: &str) -> Option<Said> {
    let mut said = Said::default();
    let mut ended = false;
    for line in text.lines().filter_map(|line| line.strip_prefix("@vm ")) {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        match kind {
            "kernel" => rest.clone_into(&mut said.release),
            "object" => said.tier = tier(rest),
            "log" => said.programs.extend(program(rest)),
            "test" => said.tests.extend(test(rest)),
            "refused" => println!("   the guest's kernel refused {rest}"),
            "end" => ended = true,
            _ => {}
        }
    }
    ended.then_some(said)
}

fn tier(object: &str) -> String {
    let object: serde_json::Value = serde_json::from_str(object).unwrap_or_default();
    object["tier"].as_str().unwrap_or("none").to_owned()
}

/// `... program NAME loaded` or `... program NAME refused: WHY`, as monitor logs it.
fn program(line: &str) -> Option<(String, bool)> {
    let (name, outcome) = line.split_once("] program ")?.1.split_once(' ')?;
    match outcome {
        "loaded" => Some((name.to_owned(), true)),
        _ if outcome.starts_with("refused") => Some((name.to_owned(), false)),
        _ => None,
    }
}

fn test(rest: &str) -> Option<(String, bool)> {
    let (name, code) = rest.split_once(' ')?;
    Some((name.to_owned(), code == "0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
noise
@vm kernel 5.10.0-1-cloud-amd64
@vm log [2026-11-21T10:00:00Z INFO  monitor::source::ebpf::load] program sock_create loaded
@vm log [2026-11-21T10:00:00Z WARN  monitor::source::ebpf::load] program task_file refused: the kernel: no
@vm log 0: (bf) r6 = r1
@vm object {\"tier\":\"T1\"}
@vm test gso::a 0
@vm test gso::b 101
";

    #[test]
    fn what_a_guest_says_is_read() {
        let said = read(&format!("{TEXT}@vm end\n")).unwrap();
        assert_eq!((said.release.as_str(), said.tier.as_str()), ("5.10.0-1-cloud-amd64", "T1"));
        assert_eq!(said.programs, [("sock_create".to_owned(), true), ("task_file".to_owned(), false)]);
        assert_eq!(said.tests, [("gso::a".to_owned(), true), ("gso::b".to_owned(), false)]);
    }

    #[test]
    fn a_guest_that_died_says_nothing() {
        assert_eq!(read(TEXT), None);
    }
}
