//! What `monitor` writes to goes away: its terminal, standard error. It ends with the status of that, and without a panic.

use monitor_tests::{
    program::{self, Running},
    pty::Pty,
    scene::Scene,
};
use std::{
    fs::{self, OpenOptions, Permissions},
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    process::{Command, ExitStatus, Stdio},
};

/// Runs a command on a terminal that is closed once the command has written that; gives how it ended.
fn closed_under(mut command: Command, text: &'static str) -> ExitStatus {
    let pty = Pty::open();
    pty.give_to(&mut command);
    let mut running = Running::start(&mut command);
    // It holds the other side of the terminal, too.
    drop(command);
    let mut written = String::new();
    let closing = pty.watch(move |piece| {
        written.push_str(&String::from_utf8_lossy(piece));
        !written.contains(text)
    });
    closing.join().expect("watch the terminal");
    running.ended()
}

/// `monitor` in a session whose terminal sends SIGHUP, or in one that nobody tells.
fn monitor(is_told: bool) -> Command {
    if !is_told {
        return Command::new(program::monitor());
    }
    let mut setsid = Command::new("setsid");
    setsid.arg("--ctty").arg(program::monitor());
    setsid
}

#[test]
#[ignore = "needs root and BPF"]
fn a_terminal_that_vanishes_is_a_hang_up_whoever_tells() {
    let scene = Scene::new();
    for is_told in [true, false] {
        for (options, text) in [(&["--no-dns"][..], "live"), (&["-t"], "Cumulative")] {
            let mut command = monitor(is_told);
            command.args(options).args(["--interval", "0.2", "--cgroup"]).arg(scene.cgroup.path());
            let status = closed_under(command, text);
            assert_eq!((status.code(), status.signal()), (Some(129), None), "{options:?}, told: {is_told}");
        }
    }
}

/// Programs that leave a mark where they are run, under the names of those that `monitor` and its libraries know.
#[test]
#[ignore = "needs root and BPF"]
fn nothing_is_run_from_the_path_of_the_caller() {
    let scene = Scene::new();
    let directory = tempfile::tempdir().expect("a directory");
    let mark = directory.path().join("mark");
    for name in ["lsof", "getent", "id", "tput", "stty"] {
        let path = directory.path().join(name);
        fs::write(&path, format!("#!/bin/sh\necho {name} >>{}\n", mark.display())).expect("write it");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("let it be run");
    }
    let path = format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap_or_default());
    // A terminal that is gone has no size, which libraries then ask other programs for.
    let mut command = monitor(false);
    command.args(["--no-dns", "--interval", "0.2", "--cgroup"]).arg(scene.cgroup.path()).env("PATH", &path);
    closed_under(command, "live");
    // As another user, who is in no local file.
    let mut command = Command::new(program::monitor());
    command.args(["-l"]).envs([("PATH", &*path), ("SUDO_USER", "somebody-elsewhere")]);
    program::ended(&mut command);
    let mut command = Command::new(program::monitor());
    command.args(["--backend", "pcap", "--attribution", "lsof", "-i", "lo", "--once", "--json"]);
    let (code, said) = program::ended(command.env("PATH", &path));
    assert!(code == Some(0) || said.contains("without libpcap"), "{said}");
    assert_eq!(fs::read_to_string(&mark).unwrap_or_default(), "", "these were run");
}

#[test]
fn a_standard_error_that_takes_nothing_is_no_panic() {
    let (read, write) = rustix::pipe::pipe().expect("a pipe");
    drop(read);
    let full = OpenOptions::new().write(true).open("/dev/full").expect("open /dev/full");
    for error in [Stdio::from(write), Stdio::from(full)] {
        let mut command = Command::new(program::monitor());
        command.args(["--read", "/nonexistent"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(error);
        let status = command.status().expect("run monitor");
        assert_eq!((status.code(), status.signal()), (Some(1), None));
    }
    let mut closed = Command::new("sh");
    closed.args(["-c", "exec \"$0\" --read /nonexistent 2>&-"]).arg(program::monitor());
    assert_eq!(program::ended(&mut closed).0, Some(1));
}

/// MONITOR_TEST_PANIC is heeded by debug builds only.
#[test]
#[ignore = "needs root and BPF"]
fn a_panic_that_nobody_can_be_told_of_ends_as_any_other() {
    let scene = Scene::new();
    let full = OpenOptions::new().write(true).open("/dev/full").expect("open /dev/full");
    let mut command = Command::new(program::monitor());
    command.args(["--json", "--cgroup"]).arg(scene.cgroup.path()).env("MONITOR_TEST_PANIC", "engine");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(full);
    let mut running = Running::start(&mut command);
    let status = running.ended();
    assert_eq!((status.code(), status.signal()), (Some(101), None));
}
