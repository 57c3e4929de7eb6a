//! Files and pipes of packets to their end, and to an end in the middle of them.

use monitor_tests::{
    json::{Object, field},
    monitor::{Monitor, Report},
    program,
    recording::{QuietPipe, next_generation, recorded, with_interfaces},
    terminal::Terminal,
    wait,
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
};

fn command(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

#[test]
fn a_quiet_pipe_ends_with_a_signal_and_tells_what_came() {
    for signal in [Signal::INT, Signal::TERM] {
        for as_input in [false, true] {
            let pipe = QuietPipe::with(&recorded(15));
            let mut monitor = Monitor::spawn(command(&pipe.read(as_input, &["--json"])));
            // The second interval is not over: nobody knows yet what else belongs to it.
            monitor.objects_from(1);
            let report = monitor.signal(signal);
            assert_eq!(report.status.code(), Some(128 + signal.as_raw()), "{}", report.stderr);
            assert_eq!(report.last().totals().tx_packets, 15, "what came before the signal");
            assert_eq!(report.stderr, "", "as told, so nothing is wrong");
        }
    }
}

#[test]
fn a_quiet_pipe_ends_with_a_signal_as_text() {
    let pipe = QuietPipe::with(&recorded(15));
    let mut command = command(&pipe.read(true, &["-t"]));
    let mut child = command.stdout(Stdio::piped()).spawn().expect("run monitor");
    let mut printed = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
    let mut first = String::new();
    while !first.contains("====") {
        assert_ne!(printed.read_line(&mut first).expect("read what is printed"), 0, "{first}");
    }
    kill_process(Pid::from_child(&child), Signal::TERM).expect("signal monitor");
    let status = wait::until("monitor -t ends", || child.try_wait().expect("wait for monitor"));
    let mut rest = String::new();
    printed.read_to_string(&mut rest).expect("read the rest");
    assert_eq!(status.code(), Some(143));
    assert!(rest.contains("192.0.2.1"), "the last picture: {rest}");
}

#[test]
fn a_quiet_pipe_on_the_screen_obeys_keys_and_signals() {
    for (end, code) in [(None, 0), (Some(Signal::TERM), 143), (Some(Signal::INT), 130)] {
        let pipe = QuietPipe::with(&recorded(15));
        let words = pipe.read(true, &["-n", "--view", "flows"]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let terminal = Terminal::open(120, 40, &words, &[]);
        terminal.until_drawn("the packets of the first second", |screen| screen.contains("192.0.2.1"));
        terminal.press("H");
        terminal.until_seen("the page of the program's health", |screen| screen.contains("HEALTH"));
        match end {
            None => terminal.press("q"),
            Some(signal) => terminal.signal(signal),
        }
        assert_eq!(terminal.ended_sane().0, code);
    }
}

#[test]
fn a_recording_starts_nothing_that_looks_at_processes_or_asks_for_names() {
    let pipe = QuietPipe::with(&recorded(15));
    let mut monitor = Monitor::spawn(command(&pipe.read(true, &["--json"])));
    monitor.objects_from(1);
    let tasks = fs::read_dir(format!("/proc/{}/task", monitor.pid())).expect("it runs").flatten();
    let (mut threads, mut children) = (Vec::new(), String::new());
    for task in tasks {
        let read = |name: &str| fs::read_to_string(task.path().join(name)).expect("a thread");
        threads.push(read("comm").trim().to_owned());
        children.push_str(&read("children"));
    }
    assert!(threads.iter().any(|name| name == "recording"), "{threads:?}");
    for name in ["identity", "dns", "users", "sha256"] {
        assert!(!threads.iter().any(|thread| thread == name), "{threads:?}");
    }
    assert_eq!(children, "", "no other process");
    monitor.stop();
}

#[test]
fn a_pipe_that_speaks_again_is_read_on() {
    let whole = recorded(40);
    let (before, after) = whole.split_at(24 + 15 * 144 + 30);
    let mut pipe = QuietPipe::with(before);
    let mut monitor = Monitor::spawn(command(&pipe.read(true, &["--json"])));
    monitor.objects_from(1);
    pipe.say(after);
    let objects = monitor.objects_from(3);
    assert_eq!(objects[2].totals().tx_packets, 30);
    assert_eq!(monitor.stop().last().totals().tx_packets, 40);
}

fn read(file: &[u8]) -> Report {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("file");
    fs::write(&path, file).expect("write a file");
    let mut command = Command::new(program::monitor());
    command.arg("--read").arg(&path).arg("--json");
    Monitor::spawn(command).ended()
}

#[test]
fn a_time_at_the_end_of_all_dates_is_no_output_without_end() {
    let latest = i64::MAX.unsigned_abs();
    let before = next_generation(&[(5, b"before")]);
    for at in [latest + 1, u64::MAX] {
        let report = read(&next_generation(&[(5, b"before"), (at, b"after")]));
        let offset = format!("at offset {}:", before.len());
        assert_eq!((report.status.code(), report.objects.len()), (Some(1), 1), "{}", report.stderr);
        assert!(report.stderr.contains(&offset), "{}", report.stderr);
    }
    let report = read(&next_generation(&[(latest, b"last"), (latest, b"last")]));
    assert_eq!((report.status.code(), report.objects.len()), (Some(0), 1), "{}", report.stderr);
    assert_eq!(report.last().totals().rx_packets + report.last().totals().tx_packets, 2);
}

/// What is listed is what changed, so that a small file makes no large output, however many interfaces it names.
#[test]
fn a_file_of_many_interfaces_makes_no_output_of_many_lists() {
    const INTERFACES: usize = 4_096;
    const SECONDS: u64 = 50;
    let packet = recorded(1).split_off(24 + 16);
    let packets: Vec<(u64, &[u8])> = (0..SECONDS).map(|at| (at * 1_000_000_000, &packet[..])).collect();
    let file = with_interfaces(INTERFACES, &packets);
    let report = read(&file);
    assert_eq!(report.status.code(), Some(0), "{}", report.stderr);
    assert_eq!(report.last().totals().tx_packets + report.last().totals().rx_packets, SECONDS);
    let listed = |object: &Object| field(&object["ledger"], "interfaces").as_array().map_or(0, Vec::len);
    let lists: Vec<usize> = report.objects.iter().map(listed).collect();
    assert!(lists.len() as u64 >= SECONDS, "an object a second: {}", lists.len());
    // All are named where they are new, and in the last object, which lists everything.
    let whole = lists.iter().filter(|length| **length > 8).count();
    assert!(whole <= 2, "{lists:?}");
    let sizes =
        report.objects.iter().filter(|object| listed(object) <= 8).map(|object| object.0.to_string().len());
    assert!(sizes.clone().all(|size| size < 8_192), "{:?}", sizes.collect::<Vec<_>>());
}
