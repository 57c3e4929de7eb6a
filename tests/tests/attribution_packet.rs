//! What packet sockets send: it passes no IP hook, so it is counted at the system call, on who made it.

use monitor_tests::{
    accounts::{balance, datagrams},
    agent::Agent,
    cgroup::Cgroup,
    json::{Object, counters, field, number, sum},
    kernel::older_than,
    monitor::{Monitor, command_on},
    stage::{Stage, fork, only, owners, rows_of},
};
use std::fmt::Write as _;

/// AF_PACKET, SOCK_RAW, no protocol: it only sends.
const PACKET_SOCKET: &str = "socket 17 3 0";
/// Bytes of the frames.
const LENGTH: u64 = 60;

/// A broadcast of a type for experiments (IEEE 802), in hexadecimal digits.
fn frame() -> String {
    let mut digits = "ffffffffffff02000000770188b5".to_owned();
    while digits.len() < 2 * 60 {
        write!(digits, "00").expect("a String takes everything");
    }
    digits
}

fn ended(monitor: Monitor) -> Object {
    let report = monitor.stop();
    balance(&report);
    report.last().clone()
}

fn inject(stage: &mut Stage, prefix: &str, socket: u64, count: u64) {
    for _ in 0..count {
        let step = format!("{prefix}inject {socket} {} {}", stage.pair.a.index, frame());
        assert_eq!(number(&stage.client.ask(&step), "sent"), LENGTH);
    }
}

/// `tx.injected` of the ledger.
fn injected(object: &Object) -> u64 {
    number(field(&object["ledger"], "tx"), "injected")
}

/// Below Linux 6.3 nothing tells who sends by a packet socket: then its bytes are on nobody, and what the device carried
/// beside the sockets has them.
fn counted(bytes: u64) -> u64 {
    if older_than(6, 3) { 0 } else { bytes }
}

#[test]
#[ignore = "needs root and BPF"]
fn what_a_packet_socket_sends_is_its_senders() {
    const COUNT: u64 = 10;
    let mut stage = Stage::new();
    let outside = Cgroup::new();
    let mut outsider = Agent::actor(&outside, &stage.pair.a.netns, "outside");
    let old = stage.client.socket(PACKET_SOCKET);
    let monitor = Monitor::start(&stage.cgroup);
    let new = stage.client.socket(PACKET_SOCKET);
    inject(&mut stage, "", old.id, COUNT);
    inject(&mut stage, "", new.id, 2 * COUNT);
    let others = outsider.socket(PACKET_SOCKET);
    outsider.ask(&format!("inject {} {} {}", others.id, stage.pair.a.index, frame()));
    let last = ended(monitor);
    assert_eq!(stage.pair.a.counters().tx_bytes, (3 * COUNT + 1) * LENGTH);
    assert_eq!(injected(&last), counted(3 * COUNT * LENGTH), "{:#}", last.0);
    assert_eq!(last.totals().tx_bytes, counted(3 * COUNT * LENGTH), "{:#}", last.0);
    if counted(1) == 0 {
        return assert!(last.flows().is_empty(), "{:#}", last.0);
    }
    for (socket, count) in [(old, COUNT), (new, 2 * COUNT)] {
        assert_eq!(only(&last, socket, stage.client.pid()), datagrams(0, count, LENGTH));
        let row = rows_of(&last, socket)[0];
        assert_eq!(
            (field(row, "proto"), field(row, "process")),
            (&"packet".into(), &"client".into()),
            "{row}"
        );
        assert!(field(row, "interface").is_null() && field(field(row, "local"), "addr").is_null(), "{row}");
    }
    assert!(rows_of(&last, others).is_empty(), "outside of the cgroup: {:#}", last.0);
    let interfaces = field(&last["ledger"], "interfaces").as_array().expect("a list");
    let named = interfaces.iter().any(|row| field(row, "name") == stage.pair.a.name.as_str());
    assert!(!named, "no socket hook saw it: {interfaces:#?}");
}

#[test]
#[ignore = "needs root and BPF"]
fn processes_that_share_a_packet_socket_have_each_their_own_frames() {
    let mut stage = Stage::new();
    let monitor = Monitor::start(&stage.cgroup);
    let socket = stage.client.socket(PACKET_SOCKET);
    let child = fork(&mut stage.client, "child");
    for _ in 0..3 {
        inject(&mut stage, "", socket.id, 1);
        inject(&mut stage, &format!("child {} ", child.id), socket.id, 2);
    }
    let last = ended(monitor);
    let held = owners(rows_of(&last, socket));
    for (pid, count) in [(stage.client.pid(), 3), (child.pid, 6)] {
        let own = held.get(&(Some(pid), "exact".to_owned())).copied().unwrap_or_default();
        assert_eq!(own.tx_bytes, counted(count * LENGTH), "{:#}", last.0);
    }
    assert_eq!(sum(last.processes()).tx_bytes, counted(9 * LENGTH), "{:#}", last.0);
}

/// With `-i` the device's own tap has counted the frame: it is there, once, and the ledger closes.
#[test]
#[ignore = "needs root and BPF"]
fn on_a_tapped_interface_a_frame_is_counted_once() {
    const COUNT: u64 = 5;
    let mut stage = Stage::new();
    let end = stage.pair.a.clone();
    let monitor = Monitor::counting(command_on(&end.name, &end.netns));
    let socket = stage.client.socket(PACKET_SOCKET);
    inject(&mut stage, "", socket.id, COUNT);
    let last = ended(monitor);
    let flows = last.flows_on(&end.name);
    assert_eq!(flows.len(), last.flows().len(), "{:#}", last.0);
    let moved: Vec<_> = flows.iter().map(|row| (field(row, "proto"), counters(row).tx_packets)).collect();
    assert_eq!(moved, [(&"eth-88b5".into(), COUNT)], "{:#}", last.0);
    assert_eq!(injected(&last), 0, "{:#}", last.0);
    let interfaces = field(&last["ledger"], "interfaces").as_array().expect("a list");
    let sent = field(&interfaces[0], "tx");
    for (line, bytes) in [("device", COUNT * LENGTH), ("link", COUNT * LENGTH), ("remainder", 0)] {
        assert_eq!(number(sent, line), bytes, "{line}: {sent:#}");
    }
}
