//! Whose bytes they are, wherever the process lives and whatever happens to its packets on the way: NAT, pid namespaces,
//! child cgroups, recycled pids, protocols that not every kernel has.

use monitor_tests::{
    accounts::{as_the_stack_carried, balance, datagrams},
    agent::Agent,
    cgroup::Cgroup,
    counters::Counters,
    json::{Object, counters, field, number, plus, sum},
    monitor::Monitor,
    netns::Netns,
    program,
    stage::{MPTCP, Stage, connected, datagrams_at, listener, names, nobody_else, only, owners, rows_of},
    veth::Version,
};
use rustix::net::{AddressFamily, Protocol, SocketType};
use serde_json::Value;
use std::{collections::BTreeSet, fs, net::SocketAddr};

const BYTES: u64 = 100_000;

fn settled(monitor: Monitor, stage: &Stage) -> Object {
    let report = monitor.stop();
    balance(&report);
    let last = report.last().clone();
    for end in [&stage.pair.a, &stage.pair.b] {
        as_the_stack_carried(&last, &end.name, end.counters());
    }
    last
}

/// Loads a ruleset.
fn nft(netns: &Netns, rules: &str) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), rules.replace("; ", ";\n").replace("} }", "}\n}\n")).expect("write the rules");
    netns.system("nft", &format!("-f {}", file.path().display()));
}

fn end(row: &Value, name: &str) -> SocketAddr {
    let end = field(row, name);
    let address = field(end, "addr").as_str().expect("an address").parse().expect("an address");
    SocketAddr::new(address, u16::try_from(number(end, "port")).expect("a port"))
}

/// Moves bytes both ways over `to`, which NAT makes another address; both sockets' flows must be one row each, in the
/// socket's own words: the client talks to `to`, the server to `from` (the client as it appears there).
fn through_nat(stage: &mut Stage, real: SocketAddr, to: SocketAddr, from: Option<SocketAddr>) {
    let monitor = Monitor::start(&stage.cgroup);
    let (listener, _) = listener(&mut stage.server, real, 0);
    let client = connected(&mut stage.client, to, 0);
    let server = stage.server.socket(&format!("accept {} silent", listener.id));
    stage.server.start(&format!("receive {} {BYTES}", server.id));
    stage.client.ask(&format!("send {} 10 10000", client.id));
    stage.server.finish();
    stage.client.start(&format!("receive {} {BYTES}", client.id));
    stage.server.ask(&format!("send {} 10 10000", server.id));
    stage.client.finish();
    stage.server.ask(&format!("acknowledged {}", server.id));
    let last = settled(monitor, stage);
    only(&last, client, stage.client.pid());
    only(&last, server, stage.server.pid());
    nobody_else(&last, &stage.pair.a.name, &[stage.client.pid()]);
    nobody_else(&last, &stage.pair.b.name, &[stage.server.pid()]);
    let (rows, others) = (rows_of(&last, client), rows_of(&last, server));
    assert_eq!((rows.len(), others.len()), (1, 1), "both directions in one row: {:#}", last.0);
    assert_eq!(end(rows[0], "remote"), to, "{}", rows[0]);
    let from = from.unwrap_or_else(|| end(rows[0], "local"));
    assert_eq!(end(others[0], "remote").ip(), from.ip(), "{}", others[0]);
    assert_eq!(end(others[0], "local").port(), real.port(), "{}", others[0]);
}

#[test]
#[ignore = "needs root, BPF and nftables"]
fn behind_dnat_in_output_a_flow_is_what_its_socket_believes() {
    let mut stage = Stage::new();
    let real = stage.pair.b.address(Version::V4, 8080);
    let rules = format!(
        "table ip nat {{ chain output {{ type nat hook output priority -100; ip daddr 10.99.0.1 tcp dport 80 dnat to {real}; }} }}"
    );
    stage.pair.a.netns.ip(&format!("route add 10.99.0.1/32 dev {}", stage.pair.a.name));
    nft(&stage.pair.a.netns, &rules);
    through_nat(&mut stage, real, "10.99.0.1:80".parse().expect("an address"), None);
}

#[test]
#[ignore = "needs root, BPF and nftables"]
fn behind_a_redirect_in_prerouting_a_flow_is_what_its_socket_believes() {
    let mut stage = Stage::new();
    let real = stage.pair.b.address(Version::V4, 8080);
    let rules = "table ip nat { chain prerouting { type nat hook prerouting priority -100; tcp dport 80 redirect to :8080; } }";
    nft(&stage.pair.b.netns, rules);
    let to = stage.pair.b.address(Version::V4, 80);
    through_nat(&mut stage, real, to, None);
}

#[test]
#[ignore = "needs root, BPF and nftables"]
fn behind_masquerade_each_end_believes_its_own_peer() {
    let mut stage = Stage::new();
    let (name, real) = (stage.pair.a.name.clone(), stage.pair.b.address(Version::V4, 8080));
    // The client speaks from another address of its own, which the device's replaces.
    stage.pair.a.netns.ip("addr add 10.98.0.1/32 dev lo");
    stage.pair.a.netns.ip(&format!("route replace 10.77.0.0/24 dev {name} src 10.98.0.1"));
    let rules = "table ip nat { chain postrouting { type nat hook postrouting priority 100; ip saddr 10.98.0.1 masquerade; } }";
    nft(&stage.pair.a.netns, rules);
    let seen_as = stage.pair.a.address(Version::V4, 0);
    through_nat(&mut stage, real, real, Some(seen_as));
}

/// The pid that the machine knows a process by which is alone in its pid namespace, below `unshare`.
fn only_child(of: u32) -> u32 {
    let children = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).expect("the children");
    let mut pids = children.split_whitespace().map(|pid| pid.parse().expect("a pid"));
    let child = pids.next().expect("a child");
    assert_eq!(pids.next(), None, "{children}");
    child
}

#[test]
#[ignore = "needs root and BPF"]
fn in_another_pid_namespace_a_process_has_the_machines_pid() {
    let mut stage = Stage::new();
    let mut command = stage.pair.a.netns.command("unshare");
    command.args(["--pid", "--fork", "--kill-child"]).arg(program::actor());
    let mut inside = Agent::from_command(command, &stage.cgroup, "inside");
    let pid = only_child(inside.pid());
    let monitor = Monitor::start(&stage.cgroup);
    let (sink, to) = stage.sink(Version::V4);
    let (source, _) = datagrams_at(&mut inside, stage.pair.a.address(Version::V4, 0));
    inside.ask(&format!("send {} 10 100 {to}", source.id));
    stage.server.ask(&format!("take-in {} 10", sink.id));
    let last = settled(monitor, &stage);
    assert_eq!(only(&last, source, pid), datagrams(0, 10, 128));
    assert_eq!(names(&last, pid), ["inside"]);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_child_cgroup_is_part_of_its_parent() {
    let mut stage = Stage::new();
    let inner = Cgroup::within(&stage.cgroup);
    let mut inside = Agent::actor(&inner, &stage.pair.a.netns, "inside");
    let outside = Cgroup::new();
    let mut outsider = Agent::actor(&outside, &stage.pair.a.netns, "outside");
    let monitor = Monitor::start(&stage.cgroup);
    let (sink, to) = stage.sink(Version::V4);
    for actor in [&mut inside, &mut outsider] {
        let (source, _) = datagrams_at(actor, "10.77.0.1:0".parse().expect("an address"));
        actor.ask(&format!("send {} 10 100 {to}", source.id));
    }
    stage.server.ask(&format!("take-in {} 20", sink.id));
    let report = monitor.stop();
    balance(&report);
    let last = report.last();
    assert_eq!(counters(last.process(inside.pid())), datagrams(0, 10, 128), "{:#}", last.0);
    assert_eq!(only(last, sink, stage.server.pid()), datagrams(20, 0, 128));
    assert_eq!(names(last, outsider.pid()), [""; 0], "outside of the cgroup");
    // Before the cgroup that it is in.
    drop(inside);
}

/// Two processes with one pid, one after the other: told apart by their start.
#[test]
#[ignore = "needs root and BPF"]
fn a_recycled_pid_is_another_process() {
    let mut stage = Stage::new();
    let monitor = Monitor::start(&stage.cgroup);
    let (sink, to) = stage.sink(Version::V4);
    let mut pid = 0;
    let mut sockets = Vec::new();
    for (name, count) in [("first", 10), ("second", 20)] {
        let child = stage.client.ask(&format!("fork {name} {pid}"));
        let id = number(&child, "id");
        assert!(pid == 0 || number(&child, "pid") == pid, "{child}");
        pid = number(&child, "pid");
        let source = stage.client.socket(&format!("child {id} socket 2 2 0"));
        stage.client.ask(&format!("child {id} send {} {count} 100 {to}", source.id));
        stage.client.ask(&format!("reap {id}"));
        stage.server.ask(&format!("take-in {} {count}", sink.id));
        sockets.push((source, name, count));
    }
    let last = settled(monitor, &stage);
    let rows: Vec<_> = last.processes().iter().filter(|row| field(row, "pid") == pid).collect();
    assert_eq!(rows.len(), 2, "{:#}", last.0);
    let starts: BTreeSet<_> = rows.iter().map(|row| field(row, "start").as_str()).collect();
    assert_eq!(starts.len(), 2, "{rows:#?}");
    for (socket, name, count) in sockets {
        let row = rows.iter().find(|row| field(row, "process") == name).expect("a row by that name");
        assert_eq!(counters(row), datagrams(0, count, 128), "{row}");
        assert_eq!(sum(rows_of(&last, socket)), datagrams(0, count, 128), "{:#}", last.0);
    }
}

/// The packets are those of subflows, sockets of the kernel's. The connecting process is seen; on the accepting side
/// nobody ever touches the subflow, so its bytes stay with the listener's process and say so.
#[test]
#[ignore = "needs root and BPF"]
fn mptcp_subflows_are_the_connectors_and_the_listeners() {
    let mut stage = Stage::new();
    if !fs::exists("/proc/sys/net/mptcp/enabled").expect("look for MPTCP") {
        let why = stage.client.refused(&format!("socket 2 1 {MPTCP}"));
        assert!(why.contains("not supported"), "no MPTCP here, yet: {why}");
        return;
    }
    let mut monitor = Monitor::start(&stage.cgroup);
    let (listener, to) = listener(&mut stage.server, stage.pair.b.address(Version::V4, 0), MPTCP);
    let worker = monitor_tests::stage::fork(&mut stage.server, "worker");
    let client = connected(&mut stage.client, to, MPTCP);
    let server = stage.server.socket(&format!("child {} accept {}", worker.id, listener.id));
    stage.server.start(&format!("child {} receive {} {BYTES}", worker.id, server.id));
    stage.client.ask(&format!("send {} 10 10000", client.id));
    stage.server.finish();
    let deadline = monitor.printed() + 60;
    while number(field(&monitor.next_object()["ledger"], "rx"), "pending") > 0 {
        assert!(monitor.printed() < deadline, "still not settled");
    }
    let report = monitor.stop();
    balance(&report);
    let last = report.last();
    nobody_else(last, &stage.pair.a.name, &[stage.client.pid()]);
    assert!(sum(last.flows_on(&stage.pair.a.name)).tx_skb_bytes > BYTES, "{:#}", last.0);
    let holders = owners(last.flows_on(&stage.pair.b.name));
    for (pid, worth) in holders.keys() {
        let expected = *pid == Some(stage.server.pid()) && worth == "inherited";
        assert!(expected || *pid == Some(worker.pid), "{:#}", last.0);
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn sctp_is_its_users_or_not_there() {
    /// IPPROTO_SCTP.
    const SCTP: u16 = 132;
    let mut stage = Stage::new();
    // Opening one loads the module where there is one.
    let protocol = Protocol::from_raw(u32::from(SCTP).try_into().expect("not zero"));
    if let Err(error) = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, Some(protocol)) {
        assert_eq!(error, rustix::io::Errno::PROTONOSUPPORT);
        let why = stage.client.refused(&format!("socket 2 1 {SCTP}"));
        assert!(why.contains("not supported"), "no SCTP here, yet: {why}");
        return;
    }
    let monitor = Monitor::start(&stage.cgroup);
    let (listener, to) = listener(&mut stage.server, stage.pair.b.address(Version::V4, 0), SCTP);
    let client = connected(&mut stage.client, to, SCTP);
    let server = stage.server.socket(&format!("accept {}", listener.id));
    stage.client.ask(&format!("send {} 10 1000", client.id));
    stage.server.ask(&format!("receive {} 10000", server.id));
    let report = monitor.stop();
    balance(&report);
    let last = report.last();
    for (end, pid) in [(&stage.pair.a, stage.client.pid()), (&stage.pair.b, stage.server.pid())] {
        let held = owners(last.flows_on(&end.name));
        assert!(held.keys().all(|(owner, _)| owner.is_none_or(|owner| owner == pid)), "{:#}", last.0);
        let own = held.into_iter().filter(|((owner, _), _)| *owner == Some(pid));
        let own = own.map(|(_, moved)| moved).fold(Counters::default(), plus);
        assert!(own.rx_bytes.max(own.tx_bytes) > 10_000, "the payload is its user's: {:#}", last.0);
    }
}
