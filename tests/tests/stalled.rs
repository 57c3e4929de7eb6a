//! Nobody takes what `monitor` writes: a connection that hangs, a pager that waits for its user. Counting goes on, and a
//! signal still ends it.

use monitor_tests::{
    accounts,
    json::Object,
    monitor,
    monitor::Report,
    program::{self, Running},
    pty::Pty,
    scene::Scene,
    veth::Version,
    wait,
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
};

/// Whether the thread that writes waits in write(2) for somebody to read.
fn is_stalled(monitor: &Running) -> bool {
    let pid = monitor.0.id();
    let call = fs::read_to_string(format!("/proc/{pid}/task/{pid}/syscall")).unwrap_or_default();
    // A thread that runs has no number there.
    call.split(' ').next().and_then(|number| number.parse().ok()) == Some(libc::SYS_write)
}

fn end(monitor: &Running) {
    kill_process(Pid::from_child(&monitor.0), Signal::TERM).expect("signal monitor");
}

/// `monitor --json` into a pipe with room for one page, and the end of the pipe that nobody reads yet.
fn into_a_pipe(scene: &Scene) -> (Running, File) {
    let (read, write) = rustix::pipe::pipe().expect("a pipe");
    rustix::pipe::fcntl_setpipe_size(&write, 4096).expect("a small pipe");
    let mut command = monitor::command_every("0.1", scene.cgroup.path(), None);
    (Running::start(command.stdin(Stdio::null()).stdout(write)), read.into())
}

#[test]
#[ignore = "needs root and BPF"]
fn bytes_are_counted_while_nobody_reads() {
    const BYTES: u64 = 3_000_000;
    let mut scene = Scene::new();
    let (mut monitor, pipe) = into_a_pipe(&scene);
    wait::until("its pipe is full", || is_stalled(&monitor).then_some(()));
    let connection = scene.connect(Version::V4);
    scene.upload(connection, BYTES);
    assert!(is_stalled(&monitor), "it waits still");
    let mut lines = BufReader::new(pipe).lines();
    let mut objects = Vec::new();
    let mut read = || {
        let line = lines.next()?.expect("a line");
        objects.push(Object(serde_json::from_str(&line).expect("JSON")));
        objects.last().map(|object| object.totals().tx_bytes)
    };
    while read().expect("more objects") < BYTES {}
    end(&monitor);
    while read().is_some() {}
    let status = monitor.ended();
    assert_eq!(status.code(), Some(143));
    accounts::balance(&Report { objects, status, stderr: String::new() });
}

#[test]
#[ignore = "needs root and BPF"]
fn a_signal_ends_it_though_nobody_reads() {
    let scene = Scene::new();
    let (mut monitor, pipe) = into_a_pipe(&scene);
    wait::until("its pipe is full", || is_stalled(&monitor).then_some(()));
    end(&monitor);
    assert_eq!(monitor.ended().code(), Some(143));
    drop(pipe);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_signal_gives_a_terminal_back_that_hangs() {
    let scene = Scene::new();
    let mut pty = Pty::sized(50, 200);
    let mut command = Command::new(program::monitor());
    command.args(["--interval", "0.1", "--cgroup"]).arg(scene.cgroup.path());
    pty.give_to(&mut command);
    let mut monitor = Running::start(&mut command);
    // Each of these keys has the whole screen drawn again.
    wait::until("what it draws is not taken", || {
        pty.ours.write_all(b"\x0c").expect("type");
        is_stalled(&monitor).then_some(())
    });
    end(&monitor);
    let status = monitor.ended();
    assert_eq!((status.code(), status.signal()), (Some(143), None));
    // What waits to be read ends with giving the terminal back.
    drop(command);
    let mut drawn = Vec::new();
    let mut ours = pty.unread();
    let mut piece = [0; 8192];
    // The end of a terminal is an error (EIO).
    while let Ok(length @ 1..) = ours.read(&mut piece) {
        drawn.extend_from_slice(&piece[..length]);
    }
    let end = String::from_utf8_lossy(&drawn);
    let tail: String = end.chars().rev().take(60).collect::<Vec<_>>().into_iter().rev().collect();
    assert!(end.contains("\x1b[?1049l") && end.ends_with("\x1b[?25h"), "{tail:?}");
}
