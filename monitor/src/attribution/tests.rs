//! Matching, the reading of lsof's output as its manual and macOS have it, and what becomes of a batch.

use super::lsof::{Lsof, parse};
use super::matching::{Held, Role};
use super::*;
use crate::model::{Counters, Endpoint, Protocol};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

const A: ProcessId = ProcessId { pid: 1, generation: 0 };
const B: ProcessId = ProcessId { pid: 2, generation: 0 };
const METHOD: Method = Method::SockDiag;

fn end(text: &str) -> Endpoint {
    let addr: SocketAddr = text.parse().unwrap();
    Endpoint { addr: addr.ip(), port: Some(addr.port()) }
}

fn flow(protocol: Protocol, local: &str, remote: &str) -> FlowId {
    let (local, remote) = (end(local), end(remote));
    let socket = SocketId::of_ends(protocol, local, remote);
    FlowId { socket, protocol, local, remote, netns: 0, ifindex: 2 }
}

fn held(protocol: Protocol, local: &str, role: Role, holder: ProcessId) -> Held {
    Held { protocol, local: end(local), role, holder, here: true }
}

fn sockets(all: &[Held]) -> Sockets {
    let mut sockets = Sockets::of(METHOD);
    for held in all {
        sockets.add(held);
    }
    sockets
}

#[test]
fn all_of_it_then_the_own_address_then_any() {
    let found = sockets(&[
        held(Protocol::UDP, "0.0.0.0:53", Role::Open, A),
        held(Protocol::UDP, "10.0.0.5:53", Role::Open, B),
        held(Protocol::UDP, "10.0.0.5:53", Role::Connected(end("192.0.2.1:9")), A),
    ]);
    let owner = |local, remote| found.owner(&flow(Protocol::UDP, local, remote));
    assert_eq!(owner("10.0.0.5:53", "192.0.2.1:9"), Match::One(A, METHOD));
    assert_eq!(owner("10.0.0.5:53", "192.0.2.1:8"), Match::One(B, METHOD));
    assert_eq!(owner("10.0.0.6:53", "192.0.2.1:8"), Match::One(A, METHOD));
    assert_eq!(owner("10.0.0.6:54", "192.0.2.1:8"), Match::Nobody);
    assert_eq!(found.owner(&flow(Protocol::TCP, "10.0.0.6:53", "192.0.2.1:8")), Match::Nobody);
    assert_eq!(owner("[fd00::5]:53", "[fd00::6]:8"), Match::Nobody, "IPv4 sockets take no IPv6");
}

#[test]
fn sockets_of_ipv6_take_ipv4_and_mapped_addresses_are_ipv4() {
    let found = sockets(&[
        held(Protocol::UDP, "[::]:53", Role::Open, A),
        held(Protocol::TCP, "[::ffff:10.0.0.5]:80", Role::Connected(end("[::ffff:192.0.2.1]:9")), B),
        held(Protocol::UDP, "[fe80:4::1]:5353", Role::Open, B),
    ]);
    assert_eq!(found.owner(&flow(Protocol::UDP, "10.0.0.5:53", "192.0.2.1:9")), Match::One(A, METHOD));
    assert_eq!(found.owner(&flow(Protocol::UDP, "[fd00::5]:53", "[fd00::6]:9")), Match::One(A, METHOD));
    assert_eq!(found.owner(&flow(Protocol::TCP, "10.0.0.5:80", "192.0.2.1:9")), Match::One(B, METHOD));
    let scoped = found.owner(&flow(Protocol::UDP, "[fe80::1]:5353", "[fe80::2]:5353"));
    assert_eq!(scoped, Match::One(B, METHOD), "BSD keeps the scope in the address");
}

#[test]
fn two_candidates_are_ambiguous_and_a_listener_is_not_its_connection() {
    let connected = Role::Connected(end("192.0.2.1:9"));
    let found = sockets(&[
        held(Protocol::TCP, "10.0.0.5:80", connected, A),
        held(Protocol::TCP, "10.0.0.5:80", connected, B),
        held(Protocol::TCP, "0.0.0.0:80", Role::Listening, A),
        held(Protocol::UDP, "0.0.0.0:7", Role::Open, A),
        held(Protocol::UDP, "[::]:7", Role::Open, B),
    ]);
    let both = Match::Several(vec![(A, METHOD), (B, METHOD)]);
    assert_eq!(found.owner(&flow(Protocol::TCP, "10.0.0.5:80", "192.0.2.1:9")), both);
    assert_eq!(found.owner(&flow(Protocol::TCP, "10.0.0.5:80", "192.0.2.1:8")), Match::Listener(A));
    assert_eq!(found.owner(&flow(Protocol::UDP, "10.0.0.5:7", "192.0.2.1:8")), both);
}

#[test]
fn another_namespace_is_believed_only_where_everything_fits() {
    let elsewhere = |role| Held { here: false, ..held(Protocol::TCP, "172.17.0.2:80", role, A) };
    let found = sockets(&[elsewhere(Role::Connected(end("192.0.2.1:9"))), elsewhere(Role::Listening)]);
    assert_eq!(found.owner(&flow(Protocol::TCP, "172.17.0.2:80", "192.0.2.1:9")), Match::One(A, METHOD));
    assert_eq!(found.owner(&flow(Protocol::TCP, "172.17.0.2:80", "192.0.2.1:8")), Match::Nobody);
}

#[test]
fn without_ports_the_kernel_may_be_meant() {
    let bare = |addr: &str| Endpoint { addr: addr.parse().unwrap(), port: None };
    let local = bare("0.0.0.0");
    let found = sockets(&[Held { protocol: Protocol::ICMP, local, role: Role::Open, holder: A, here: true }]);
    let (local, remote) = (bare("10.0.0.5"), bare("192.0.2.1"));
    let ping = FlowId { local, remote, ..flow(Protocol::ICMP, "10.0.0.5:0", "192.0.2.1:0") };
    assert_eq!(found.owner(&ping), Match::Several(vec![(A, METHOD)]));
}

/// What lsof 4.95 prints on Linux for -FpcuftPTn.
const LINUX: &str = "p812\ncsshd\nu0\nf3\ntIPv4\nPTCP\nn*:22\nTST=LISTEN\nTQR=0\nTQS=0\nf4\ntIPv6\nPTCP\nn*:22\nTST=LISTEN\n\
    p901\ncsystemd-resolve\nu101\nf12\ntIPv4\nPUDP\nn127.0.0.53:53\nf13\ntIPv4\nPTCP\nn127.0.0.53:53\nTST=LISTEN\n\
    p1203\ncmy\\x20prog\\t)\nu1000\nf5\ntIPv4\nPTCP\nn10.0.0.5:41230->192.0.2.7:443\nTST=ESTABLISHED\nTQR=0\nTQS=8\n\
    f6\ntIPv6\nPUDP\nn[fe80::1]:546\nf7\ntIPv6\nPUDP\nn*:*\nf8\ntIPv6\nPTCP\nn[fd00::5]:80->[fd00::9]:5000\nTST=CLOSE_WAIT\n";

/// What lsof 4.91 prints on macOS: the scope in the address, escaped commands, states beside ends.
const MACOS: &str = "p333\ncGoogle\\x20Chrome\\x20He\nu501\nf23\ntIPv4\nPUDP\nn192.168.1.7:60123->142.250.1.1:443\n\
    f24\ntIPv6\nPTCP\nn[2001:db8::7]:51000->[2001:db8::1]:443\nTST=ESTABLISHED\n\
    p89\ncmDNSResponder\nu65\nf6\ntIPv4\nPUDP\nn*:5353\nf7\ntIPv6\nPUDP\nn*:5353\nf9\ntIPv6\nPUDP\nn[fe80:4::aede:48ff:fe00:1122]:123\n\
    p510\ncrapportd\nu501\nf4\ntIPv4\nPTCP\nn*:49152\nTST=LISTEN\nf5\ntIPv6\nPUDP\nn[fe80::1%lo0]:3722\n";

fn pid_of(found: &Sockets, protocol: Protocol, local: &str, remote: &str) -> Option<u32> {
    match found.owner(&flow(protocol, local, remote)) {
        Match::One(process, Method::Lsof) | Match::Listener(process) => Some(process.pid),
        _ => None,
    }
}

#[test]
fn lsof_of_linux() {
    let (found, understood) = parse(LINUX.as_bytes());
    let pid = |protocol, local, remote| pid_of(&found, protocol, local, remote);
    assert!(understood);
    assert_eq!(pid(Protocol::TCP, "10.0.0.5:41230", "192.0.2.7:443"), Some(1203));
    assert_eq!(pid(Protocol::TCP, "[fd00::5]:80", "[fd00::9]:5000"), Some(1203));
    assert_eq!(pid(Protocol::UDP, "127.0.0.53:53", "127.0.0.1:9"), Some(901));
    assert_eq!(pid(Protocol::TCP, "10.0.0.5:22", "192.0.2.7:9"), Some(812));
    assert_eq!(pid(Protocol::UDP, "[fe80::1]:546", "[fe80::2]:547"), Some(1203));
    let process = found.process(ProcessId { pid: 1203, generation: 0 }).unwrap();
    assert_eq!((&*process.comm, process.uid), ("my prog\t)", Some(1000)));
}

#[test]
fn lsof_of_macos() {
    let (found, _) = parse(MACOS.as_bytes());
    let pid = |protocol, local, remote| pid_of(&found, protocol, local, remote);
    assert_eq!(pid(Protocol::UDP, "192.168.1.7:60123", "142.250.1.1:443"), Some(333));
    assert_eq!(pid(Protocol::TCP, "[2001:db8::7]:51000", "[2001:db8::1]:443"), Some(333));
    assert_eq!(pid(Protocol::UDP, "192.168.1.7:5353", "192.168.1.9:5353"), Some(89));
    assert_eq!(pid(Protocol::UDP, "[fe80::aede:48ff:fe00:1122]:123", "[fe80::9]:123"), Some(89));
    assert_eq!(pid(Protocol::UDP, "[fe80::1]:3722", "[fe80::2]:9"), Some(510));
    let names: Vec<&str> = found.processes().map(|process| &*process.comm).collect();
    assert!(names.contains(&"Google Chrome He"), "{names:?}");
}

#[test]
fn lines_cut_short_name_nobody() {
    let connection = "n10.0.0.5:41230->192.0.2.7:443";
    let start = LINUX.find(connection).unwrap();
    // A port that is cut is another port.
    for cut in start..=start + connection.len() {
        let (found, _) = parse(&LINUX.as_bytes()[..cut]);
        assert_eq!(pid_of(&found, Protocol::TCP, "10.0.0.5:41230", "192.0.2.7:443"), None);
        assert_eq!(pid_of(&found, Protocol::TCP, "10.0.0.5:41230", "192.0.2.7:4"), None);
    }
    for garbage in ["", "\n\n", "p\nf\nn\n", "pX\nPTCP\nn*:1\n", "Pn\nn->:\n", "lsof: usage\n"] {
        assert!(!parse(garbage.as_bytes()).1, "{garbage:?}");
    }
    parse(&(0..=255).collect::<Vec<u8>>());
}

/// A program that does this in place of lsof.
fn fake(script: &str) -> (tempfile::TempDir, Sample, Duration) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lsof");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let begun = Instant::now();
    let sample = Lsof::at(&path, Duration::from_millis(500)).sample();
    (directory, sample, begun.elapsed())
}

/// Waits until the process whose number a script left there is over; it may not be waited for yet.
fn is_over(pid_file: &std::path::Path) {
    let pid = std::fs::read_to_string(pid_file).unwrap();
    let status = format!("/proc/{}/status", pid.trim());
    let begun = Instant::now();
    while std::fs::read_to_string(&status).is_ok_and(|status| !status.contains("State:\tZ")) {
        assert!(begun.elapsed() < Duration::from_secs(10), "{status} is still there");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_lsof_that_hangs_is_ended_and_named() {
    for script in ["exec sleep 60", "sleep 60 & echo $! >$0.child; wait"] {
        let (directory, sample, took) = fake(script);
        assert!(took < Duration::from_secs(5), "{took:?}");
        assert!(sample.degraded[0].why.contains("longer than 0.5 s"), "{:?}", sample.degraded);
        let child = directory.path().join("lsof.child");
        if child.exists() {
            is_over(&child);
        }
    }
}

#[test]
fn an_lsof_that_leaves_a_child_with_its_output_is_not_waited_for() {
    let (directory, sample, took) = fake("sleep 60 & echo $! >$0.child; printf 'p77\\n'");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(sample.degraded.is_empty(), "{:?}", sample.degraded);
    is_over(&directory.path().join("lsof.child"));
}

/// Capabilities 2 and 19 (linux/capability.h) are what looking at other users' processes takes.
#[test]
fn an_lsof_gets_nothing_of_the_environment_and_few_capabilities() {
    let (directory, sample, _) =
        fake("cat /proc/self/environ >$0.environ; cat /proc/self/status >$0.status; pwd >$0.pwd");
    assert!(sample.degraded.is_empty(), "{:?}", sample.degraded);
    let left = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    let environ = left("lsof.environ");
    let names: Vec<&str> =
        environ.split_terminator('\0').filter_map(|pair| Some(pair.split_once('=')?.0)).collect();
    assert!(names.contains(&"LC_ALL"), "{names:?}");
    // The shell adds the others.
    assert!(names.iter().all(|name| ["LC_ALL", "PWD", "OLDPWD", "_"].contains(name)), "{names:?}");
    assert_eq!(left("lsof.pwd"), "/\n");
    let status = left("lsof.status");
    let value = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().to_owned();
    assert_eq!(value("NoNewPrivs:"), "1");
    if rustix::process::geteuid().is_root() {
        let bounding = u64::from_str_radix(&value("CapBnd:"), 16).unwrap();
        assert_eq!(bounding & !(1 << 2 | 1 << 19), 0, "{bounding:x}");
    }
}

#[test]
fn an_lsof_that_is_missing_or_prints_garbage_is_named() {
    let nowhere = std::path::Path::new("/nonexistent/lsof");
    let missing = Lsof::at(nowhere, Duration::from_secs(1)).sample();
    assert!(missing.degraded[0].fix.starts_with("install lsof;"), "{:?}", missing.degraded);
    let (_directory, sample, _) = fake("echo what is this");
    assert!(sample.degraded[0].why.contains("not its output"), "{:?}", sample.degraded);
    let (_directory, sample, _) = fake("exit 1");
    assert!(sample.degraded.is_empty(), "no socket is no fault: {:?}", sample.degraded);
}

/// Gives these samples, one after the other, then the last for ever.
struct Script(Vec<Vec<Held>>);

impl Sampler for Script {
    fn sample(&mut self) -> Sample {
        let next = if self.0.len() > 1 { self.0.remove(0) } else { self.0[0].clone() };
        let mut found = sockets(&next);
        for held in &next {
            found.add_process(crate::model::ProcessSeen { id: held.holder, ..Default::default() });
        }
        Sample { sockets: found, degraded: Vec::new() }
    }
}

fn batch(flow: FlowId, at: Mono) -> Batch {
    let counters = Counters { rx_bytes: 100, rx_packets: 1, ..Counters::default() };
    let delta = Delta {
        flow,
        owner: None,
        standing: Standing::Unclaimed,
        method: Method::None,
        counters,
        uid: None,
        cgroup: 0,
        tcp: None,
    };
    Batch { from: at, to: at.plus(Duration::from_millis(1)), deltas: vec![delta], ..Batch::default() }
}

#[test]
fn a_flow_that_is_younger_than_the_sample_gets_its_owner_from_the_next() {
    let connection = held(Protocol::TCP, "10.0.0.5:80", Role::Connected(end("192.0.2.1:9")), A);
    let mut attributor = Attributor::with(Box::new(Script(vec![Vec::new(), vec![connection]]))).unwrap();
    let flow = flow(Protocol::TCP, "10.0.0.5:80", "192.0.2.1:9");
    let begun = Instant::now();
    let mut waited = false;
    loop {
        let now = Mono(1 << 40).plus(begun.elapsed());
        let mut batch = batch(flow, now);
        attributor.complete(&mut batch);
        let delta = &batch.deltas[0];
        if delta.standing == Standing::Firm {
            assert_eq!((delta.owner, delta.method), (Some(A), METHOD));
            assert!(waited, "the first sample did not have it");
            let claim = &batch.claims[0];
            assert_eq!((claim.socket, claim.process, claim.method), (flow.socket, A, METHOD));
            assert_eq!(batch.processes[0].id, A);
            return;
        }
        assert_eq!(delta.standing, Standing::Unclaimed);
        assert!(batch.claims.is_empty());
        waited = true;
        assert!(begun.elapsed() < Duration::from_secs(10), "no owner came");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// W9: EtherIP, L2TP and MPLS in IP waited for an owner that cannot come.
#[test]
fn what_carries_other_packets_is_waited_for_by_nobody() {
    let mut attributor = Attributor::with(Box::new(Script(vec![Vec::new()]))).unwrap();
    for number in [4, 41, 47, 50, 51, 97, 115, 137] {
        let mut batch = batch(flow(Protocol::Ip(number), "10.0.0.5:0", "192.0.2.1:0"), Mono(1 << 40));
        attributor.complete(&mut batch);
        assert_eq!(batch.deltas[0].standing, Standing::Unseen(Unseen::Encapsulation), "{number}");
    }
}
