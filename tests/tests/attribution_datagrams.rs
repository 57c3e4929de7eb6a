//! Whose datagrams they are: servers with workers, sockets that two processes use, copies for several receivers, and
//! packets that do not look like what the socket sent.

use monitor_tests::{
    accounts::{as_the_stack_carried, balance, datagrams},
    agent::{Agent, Socket},
    json::{Object, counters, field, number, plus, sum},
    monitor::Monitor,
    stage::{INET6, Stage, confidence, datagrams_at, fork, names, nobody_else, only, owners, rows_of},
    veth::Version,
};
use std::net::{IpAddr, SocketAddr};

const LENGTH: u64 = 500;

fn settled(monitor: Monitor, stage: &Stage) -> Object {
    let report = monitor.stop();
    balance(&report);
    let last = report.last().clone();
    for end in [&stage.pair.a, &stage.pair.b] {
        as_the_stack_carried(&last, &end.name, end.counters());
    }
    last
}

/// A server that binds and leaves the rest to a worker, which is asked where each datagram came from, or is not.
fn worker_of_a_server(version: Version, how: &str) {
    const COUNT: u64 = 20;
    let mut stage = Stage::new();
    let monitor = Monitor::start(&stage.cgroup);
    let (sink, to) = stage.sink(version);
    let worker = fork(&mut stage.server, "worker");
    let (source, back) = datagrams_at(&mut stage.client, stage.pair.a.address(version, 0));
    // They are there before the worker looks.
    stage.client.ask(&format!("send {} {COUNT} {LENGTH} {to}", source.id));
    stage.server.ask(&format!("child {} take-in {} {COUNT} {how}", worker.id, sink.id));
    stage.server.ask(&format!("child {} send {} {COUNT} {LENGTH} {back}", worker.id, sink.id));
    stage.client.ask(&format!("take-in {} {COUNT}", source.id));
    let last = settled(monitor, &stage);
    let expected = datagrams(COUNT, COUNT, LENGTH + version.udp_headers());
    assert_eq!(only(&last, sink, worker.pid), expected);
    assert_eq!(only(&last, source, stage.client.pid()), expected);
    assert_eq!(names(&last, worker.pid), ["worker"]);
    assert_eq!(last.processes().len(), 2, "{:#}", last.0);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_udp_worker_has_what_came_before_it_looked() {
    worker_of_a_server(Version::V4, "named");
    worker_of_a_server(Version::V6, "named");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_udp_worker_that_does_not_ask_where_from() {
    worker_of_a_server(Version::V4, "");
    worker_of_a_server(Version::V6, "");
}

/// A supervisor looks where a datagram came from and leaves it to a worker. Looking is no use.
#[test]
#[ignore = "needs root and BPF"]
fn a_supervisor_that_peeks_takes_no_datagram() {
    const COUNT: u64 = 20;
    let mut stage = Stage::new();
    let monitor = Monitor::start(&stage.cgroup);
    let (sink, to) = stage.sink(Version::V4);
    let worker = fork(&mut stage.server, "worker");
    let (source, _) = datagrams_at(&mut stage.client, stage.pair.a.address(Version::V4, 0));
    for _ in 0..2 {
        stage.client.ask(&format!("send {} {COUNT} {LENGTH} {to}", source.id));
        stage.server.ask(&format!("take-in {} 1 peek", sink.id));
        stage.server.ask(&format!("child {} take-in {} {COUNT} named", worker.id, sink.id));
    }
    let last = settled(monitor, &stage);
    assert_eq!(only(&last, sink, worker.pid), datagrams(2 * COUNT, 0, LENGTH + 28));
    assert!(rows_of(&last, sink).iter().all(|row| confidence(row) == "exact"), "{:#}", last.0);
}

#[test]
#[ignore = "needs root and BPF"]
fn datagrams_that_nobody_takes_are_the_binders() {
    const COUNT: u64 = 20;
    let mut stage = Stage::new();
    let mut monitor = Monitor::start(&stage.cgroup);
    let (sink, to) = stage.sink(Version::V4);
    let (source, _) = datagrams_at(&mut stage.client, stage.pair.a.address(Version::V4, 0));
    stage.client.ask(&format!("send {} {COUNT} {LENGTH} {to}", source.id));
    let waiting = monitor.next_object();
    assert!(number(field(&waiting["ledger"], "rx"), "pending") > 0, "{:#}", waiting.0);
    let deadline = monitor.printed() + 60;
    while number(field(&monitor.next_object()["ledger"], "rx"), "pending") > 0 {
        assert!(monitor.printed() < deadline, "still not settled");
    }
    let last = settled(monitor, &stage);
    assert_eq!(only(&last, sink, stage.server.pid()), datagrams(COUNT, 0, LENGTH + 28));
}

/// Parent and child send in turn on one socket, to two addresses.
#[test]
#[ignore = "needs root and BPF"]
fn two_processes_on_one_udp_socket_are_split_by_who_sent() {
    const EACH: u64 = 7;
    let mut stage = Stage::new();
    let monitor = Monitor::start(&stage.cgroup);
    let (sink, to) = stage.sink(Version::V4);
    let (source, _) = datagrams_at(&mut stage.client, stage.pair.a.address(Version::V4, 0));
    let other = fork(&mut stage.client, "other");
    for _ in 0..3 {
        stage.client.ask(&format!("send {} {EACH} {LENGTH} {to}", source.id));
        stage.client.ask(&format!("child {} send {} {} {LENGTH} {to}", other.id, source.id, 2 * EACH));
    }
    stage.server.ask(&format!("take-in {} {}", sink.id, 9 * EACH));
    let last = settled(monitor, &stage);
    let rows = rows_of(&last, source);
    let of = |pid: u32| sum(rows.iter().copied().filter(|row| field(row, "pid") == pid));
    assert_eq!(of(stage.client.pid()), datagrams(0, 3 * EACH, LENGTH + 28), "{:#}", last.0);
    assert_eq!(of(other.pid), datagrams(0, 6 * EACH, LENGTH + 28), "{:#}", last.0);
    for row in &rows {
        assert_eq!(confidence(row), "shared", "{row}");
        let reason = field(field(row, "attribution"), "reason").as_str().expect("a reason");
        let pids = [stage.client.pid(), other.pid];
        let named = pids.iter().any(|pid| field(row, "pid") != *pid && reason.contains(&pid.to_string()));
        assert!(named, "{row}");
    }
    assert_eq!(rows.len(), 2, "{:#}", last.0);
}

#[test]
#[ignore = "needs root and BPF"]
fn sharing_ends_when_the_other_process_is_gone() {
    const EACH: u64 = 7;
    let mut stage = Stage::new();
    let mut monitor = Monitor::start(&stage.cgroup);
    let (_sink, to) = stage.sink(Version::V4);
    let (source, _) = datagrams_at(&mut stage.client, stage.pair.a.address(Version::V4, 0));
    let other = fork(&mut stage.client, "other");
    for step in [String::new(), format!("child {} ", other.id), String::new()] {
        stage.client.ask(&format!("{step}send {} {EACH} {LENGTH} {to}", source.id));
    }
    stage.client.ask(&format!("reap {}", other.id));
    // One object that begins after its end: by then the monitor has looked for it.
    monitor.next_object();
    monitor.next_object();
    stage.client.ask(&format!("send {} {EACH} {LENGTH} {to}", source.id));
    let report = monitor.stop();
    balance(&report);
    let last = report.last();
    let held = owners(rows_of(last, source));
    let sent = |times: u64| datagrams(0, times * EACH, LENGTH + 28);
    let own = (Some(stage.client.pid()), "exact".to_owned());
    assert_eq!(held.get(&own), Some(&sent(1)), "after the end of the other: {:#}", last.0);
    assert_eq!(held.values().copied().fold(sent(0), plus), sent(4), "{:#}", last.0);
}

#[test]
#[ignore = "needs root and BPF"]
fn each_receiver_of_a_multicast_datagram_has_its_copy() {
    const COUNT: u64 = 10;
    /// IPPROTO_IP, IP_ADD_MEMBERSHIP; SOL_SOCKET, SO_REUSEADDR.
    const JOIN: &str = "0 35";
    const REUSE: &str = "1 2 1";
    let mut stage = Stage::new();
    let group: SocketAddr = "239.77.0.1:7777".parse().expect("an address");
    for end in [&stage.pair.a, &stage.pair.b] {
        end.netns.ip(&format!("route add 239.77.0.0/16 dev {}", end.name));
    }
    let mut third = Agent::actor(&stage.cgroup, &stage.pair.b.netns, "third");
    let monitor = Monitor::start(&stage.cgroup);
    // struct ip_mreqn: group, any address, the interface.
    let index = stage.pair.b.index.to_ne_bytes().map(|byte| format!("{byte:02x}")).concat();
    let mut receivers: Vec<Socket> = Vec::new();
    for actor in [&mut stage.server, &mut third] {
        let socket = actor.socket("socket 2 2 0");
        actor.ask(&format!("option {} {REUSE}", socket.id));
        actor.ask(&format!("bind {} {group}", socket.id));
        actor.ask(&format!("option {} {JOIN} hex:ef4d000100000000{index}", socket.id));
        receivers.push(socket);
    }
    let (source, _) = datagrams_at(&mut stage.client, stage.pair.a.address(Version::V4, 0));
    stage.client.ask(&format!("send {} {COUNT} {LENGTH} {group}", source.id));
    stage.server.ask(&format!("take-in {} {COUNT}", receivers[0].id));
    third.ask(&format!("take-in {} {COUNT}", receivers[1].id));
    let report = monitor.stop();
    balance(&report);
    let last = report.last();
    assert_eq!(only(last, source, stage.client.pid()), datagrams(0, COUNT, LENGTH + 28));
    assert_eq!(only(last, receivers[0], stage.server.pid()), datagrams(COUNT, 0, LENGTH + 28));
    assert_eq!(only(last, receivers[1], third.pid()), datagrams(COUNT, 0, LENGTH + 28));
    assert_eq!(last.processes().len(), 3, "{:#}", last.0);
}

/// An IPv6 socket with an IPv4 peer sends IPv4.
#[test]
#[ignore = "needs root and BPF"]
fn mapped_addresses_are_ipv4() {
    const COUNT: u64 = 10;
    let mut stage = Stage::new();
    let monitor = Monitor::start(&stage.cgroup);
    let mapped = |address: SocketAddr| {
        let IpAddr::V4(v4) = address.ip() else { panic!("{address} is not IPv4") };
        SocketAddr::new(v4.to_ipv6_mapped().into(), address.port())
    };
    let sink = stage.server.socket(&format!("socket {INET6} 2 0"));
    let sink = stage.server.socket(&format!("bind {} [::]:0", sink.id));
    let to = mapped(stage.pair.b.address(Version::V4, sink.port));
    let source = stage.client.socket(&format!("socket {INET6} 2 0"));
    stage.client.ask(&format!("send {} {COUNT} {LENGTH} {to}", source.id));
    stage.server.ask(&format!("take-in {} {COUNT} named", sink.id));
    let listener = stage.server.socket(&format!("socket {INET6} 1 0"));
    let listener = stage.server.socket(&format!("bind {} [::]:0", listener.id));
    stage.server.ask(&format!("listen {}", listener.id));
    let to = mapped(stage.pair.b.address(Version::V4, listener.port));
    let client = stage.client.socket(&format!("socket {INET6} 1 0"));
    stage.client.socket(&format!("connect {} {to}", client.id));
    let accepted = stage.server.socket(&format!("accept {}", listener.id));
    stage.client.ask(&format!("send {} 3 10000", client.id));
    stage.server.ask(&format!("receive {} 30000", accepted.id));
    stage.client.ask(&format!("acknowledged {}", client.id));
    let last = settled(monitor, &stage);
    assert_eq!(only(&last, source, stage.client.pid()), datagrams(0, COUNT, LENGTH + 28));
    assert_eq!(only(&last, sink, stage.server.pid()), datagrams(COUNT, 0, LENGTH + 28));
    only(&last, client, stage.client.pid());
    only(&last, accepted, stage.server.pid());
    for row in last.flows() {
        for end in ["local", "remote"] {
            let address = field(field(row, end), "addr").as_str().expect("an address");
            assert!(address.starts_with("10.77.0."), "{row}");
        }
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn extension_headers_are_counted_and_the_ports_behind_them_found() {
    const COUNT: u64 = 10;
    /// IPPROTO_IPV6; IPV6_HOPOPTS, IPV6_DSTOPTS: a header of eight bytes, all padding (RFC 8200, 4.2).
    const HEADERS: [&str; 2] = ["41 54 hex:0000010400000000", "41 59 hex:0000010400000000"];
    let mut stage = Stage::new();
    let monitor = Monitor::start(&stage.cgroup);
    let (sink, to) = stage.sink(Version::V6);
    let (source, _) = datagrams_at(&mut stage.client, stage.pair.a.address(Version::V6, 0));
    for header in HEADERS {
        stage.client.ask(&format!("option {} {header}", source.id));
    }
    stage.client.ask(&format!("send {} {COUNT} {LENGTH} {to}", source.id));
    stage.server.ask(&format!("take-in {} {COUNT} named", sink.id));
    let last = settled(monitor, &stage);
    let bytes = LENGTH + 48 + 16;
    assert_eq!(only(&last, source, stage.client.pid()), datagrams(0, COUNT, bytes));
    assert_eq!(only(&last, sink, stage.server.pid()), datagrams(COUNT, 0, bytes));
    for row in last.flows() {
        assert_eq!(field(row, "proto"), "udp", "{row}");
        let port = number(field(row, "local"), "port");
        assert!([sink.port, source.port].map(u64::from).contains(&port), "{row}");
    }
}

/// A datagram that the wire carries in pieces is one to the sockets. The device counts the headers of the others.
#[test]
#[ignore = "needs root and BPF"]
fn fragments_are_one_datagram_to_the_sockets() {
    const COUNT: u64 = 5;
    const BIG: u64 = 60_000;
    for (version, header, fragment) in [(Version::V4, 20, 1480), (Version::V6, 40 + 8, 1448)] {
        let mut stage = Stage::new();
        let monitor = Monitor::start(&stage.cgroup);
        let (sink, to) = stage.sink(version);
        let (source, _) = datagrams_at(&mut stage.client, stage.pair.a.address(version, 0));
        stage.client.ask(&format!("send {} {COUNT} {BIG} {to}", source.id));
        stage.server.ask(&format!("take-in {} {COUNT} named", sink.id));
        let report = monitor.stop();
        balance(&report);
        let last = report.last();
        let bytes = BIG + version.udp_headers();
        assert_eq!(only(last, source, stage.client.pid()), datagrams(0, COUNT, bytes));
        assert_eq!(only(last, sink, stage.server.pid()), datagrams(COUNT, 0, bytes));
        for end in [&stage.pair.a, &stage.pair.b] {
            nobody_else(last, &end.name, &[stage.client.pid(), stage.server.pid()]);
        }
        // Exactly what the sockets do not see: the headers of the fragments, less the one that they do see.
        let fragments = (BIG + 8).div_ceil(fragment);
        let device = stage.pair.a.counters();
        assert_eq!(device.tx_packets, COUNT * fragments);
        let plain = version.udp_headers() - 8;
        let wire = COUNT * (BIG + 8 + fragments * (header + monitor_tests::veth::ETHERNET));
        assert_eq!(device.tx_bytes, wire, "unseen: {}", COUNT * (fragments * header - plain));
        assert_eq!(counters(last.process(stage.client.pid())).tx_bytes, COUNT * bytes);
    }
}
