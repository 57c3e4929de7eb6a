//! Whose bytes they are when one process makes a socket and another uses it: accepted, inherited, passed, executed.

use monitor_tests::{
    accounts::{as_the_stack_carried, balance},
    agent::Agent,
    json::{Object, counters, field, number, sum},
    monitor::Monitor,
    program,
    stage::{Owners, Stage, connected, fork, listener, names, nobody_else, only, owners, rows_of},
    veth::Version,
};
use std::{net::SocketAddr, os::unix::fs::symlink};

/// Ends the monitor, checks the books and that both ends' devices agree.
fn settled(monitor: Monitor, stage: &Stage) -> Object {
    let report = monitor.stop();
    balance(&report);
    let last = report.last().clone();
    for end in [&stage.pair.a, &stage.pair.b] {
        as_the_stack_carried(&last, &end.name, end.counters());
    }
    last
}

#[test]
#[ignore = "needs root and BPF"]
fn accepting_with_an_address_is_enough_to_own_what_is_never_read() {
    let mut stage = Stage::new();
    let monitor = Monitor::start(&stage.cgroup);
    let (listener, to) = stage.listener(Version::V4);
    let worker = fork(&mut stage.server, "worker");
    let client = connected(&mut stage.client, to, 0);
    let server = stage.server.socket(&format!("child {} accept {}", worker.id, listener.id));
    stage.client.ask(&format!("send {} 1 20000", client.id));
    stage.client.ask(&format!("acknowledged {}", client.id));
    let last = settled(monitor, &stage);
    assert!(only(&last, server, worker.pid).rx_skb_bytes > 20000);
    nobody_else(&last, &stage.pair.b.name, &[worker.pid]);
    nobody_else(&last, &stage.pair.a.name, &[stage.client.pid()]);
}

#[test]
#[ignore = "needs root and BPF"]
fn what_nobody_used_is_the_listeners_and_says_so() {
    let mut stage = Stage::new();
    let mut monitor = Monitor::start(&stage.cgroup);
    let (listener, to) = stage.listener(Version::V4);
    let worker = fork(&mut stage.server, "worker");
    let client = connected(&mut stage.client, to, 0);
    let server = stage.server.socket(&format!("child {} accept {} silent", worker.id, listener.id));
    stage.client.ask(&format!("send {} 1 20000", client.id));
    stage.client.ask(&format!("acknowledged {}", client.id));
    // First nobody's, with the reason; after five seconds the listener's.
    let pending = monitor.next_object();
    let row = owners(rows_of(&pending, server));
    assert!(row.keys().all(|(pid, confidence)| pid.is_none() && confidence == "pending"), "{:#}", pending.0);
    let deadline = monitor.printed() + 60;
    while number(field(&monitor.next_object()["ledger"], "rx"), "pending") > 0 {
        assert!(monitor.printed() < deadline, "still not settled");
    }
    let last = settled(monitor, &stage);
    let owners = owners(rows_of(&last, server));
    let worth: Vec<_> = owners.keys().map(|(pid, worth)| (*pid, worth.as_str())).collect();
    assert_eq!(worth, [(Some(stage.server.pid()), "inherited")], "{:#}", last.0);
    for row in rows_of(&last, server) {
        assert!(field(row, "attribution").get("reason").is_some(), "{row}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn closing_without_use_is_the_closers() {
    let mut stage = Stage::new();
    let monitor = Monitor::start(&stage.cgroup);
    let (listener, to) = stage.listener(Version::V4);
    let worker = fork(&mut stage.server, "worker");
    let client = connected(&mut stage.client, to, 0);
    let server = stage.server.socket(&format!("child {} accept {} silent", worker.id, listener.id));
    stage.client.ask(&format!("send {} 1 20000", client.id));
    stage.client.ask(&format!("acknowledged {}", client.id));
    stage.server.ask(&format!("child {} close {}", worker.id, server.id));
    let last = settled(monitor, &stage);
    only(&last, server, worker.pid);
    nobody_else(&last, &stage.pair.b.name, &[worker.pid]);
}

/// Two workers on one listener of their master: each owns what it served, handshakes included; the master nothing.
fn pre_fork(how: &str, version: Version) {
    const BYTES: u64 = 300_000;
    let mut stage = Stage::new();
    let monitor = Monitor::start(&stage.cgroup);
    let (listener, to) = stage.listener(version);
    let workers = [fork(&mut stage.server, "worker-1"), fork(&mut stage.server, "worker-2")];
    for round in 0..4 {
        let worker = workers[round % 2];
        let client = connected(&mut stage.client, to, 0);
        let child = format!("child {}", worker.id);
        let server = stage.server.socket(&format!("{child} accept {} {how}", listener.id));
        stage.server.start(&format!("{child} receive {} {BYTES}", server.id));
        stage.client.ask(&format!("send {} 30 10000", client.id));
        stage.server.finish();
        stage.client.start(&format!("receive {} {BYTES}", client.id));
        stage.server.ask(&format!("{child} send {} 30 10000", server.id));
        stage.client.finish();
        stage.server.ask(&format!("{child} acknowledged {}", server.id));
    }
    let last = settled(monitor, &stage);
    nobody_else(&last, &stage.pair.b.name, &workers.map(|worker| worker.pid));
    nobody_else(&last, &stage.pair.a.name, &[stage.client.pid()]);
    let master = last.processes().iter().find(|row| field(row, "pid") == stage.server.pid());
    assert!(master.is_none(), "the master moved nothing: {master:?}");
    for (worker, name) in workers.iter().zip(["worker-1", "worker-2"]) {
        let moved = counters(last.process(worker.pid));
        assert!(moved.rx_bytes > 2 * BYTES && moved.tx_bytes > 2 * BYTES, "{moved:?}");
        assert_eq!(names(&last, worker.pid), [name]);
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn pre_fork_workers_that_accept_with_an_address() {
    pre_fork("", Version::V4);
}

#[test]
#[ignore = "needs root and BPF"]
fn pre_fork_workers_that_accept_without_an_address() {
    pre_fork("silent", Version::V4);
}

#[test]
#[ignore = "needs root and BPF"]
fn pre_fork_workers_over_ipv6() {
    pre_fork("", Version::V6);
    pre_fork("silent", Version::V6);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_thread_pool_is_its_process_and_has_its_leaders_name() {
    let mut stage = Stage::new();
    let monitor = Monitor::start(&stage.cgroup);
    let address = stage.pair.b.address(Version::V4, 0);
    let (server, pid) = (&mut stage.server, stage.client.pid());
    let listener = server.socket("thread pool-0 socket 2 1 0");
    let listener = server.socket(&format!("thread pool-1 bind {} {address}", listener.id));
    server.ask(&format!("thread pool-2 listen {}", listener.id));
    let to = SocketAddr::new(address.ip(), listener.port);
    let client = stage.client.socket("thread poll-0 socket 2 1 0");
    stage.client.ask(&format!("thread poll-1 connect {} {to}", client.id));
    let accepted = server.socket(&format!("thread pool-3 accept {} silent", listener.id));
    server.start(&format!("thread pool-4 receive {} 100000", accepted.id));
    stage.client.ask(&format!("thread poll-2 send {} 10 10000", client.id));
    server.finish();
    stage.client.ask(&format!("acknowledged {}", client.id));
    let last = settled(monitor, &stage);
    only(&last, accepted, stage.server.pid());
    only(&last, client, pid);
    assert_eq!(names(&last, stage.server.pid()), ["server"], "{:#}", last.0);
    assert_eq!(names(&last, pid), ["client"], "{:#}", last.0);
    assert_eq!(last.processes().len(), 2, "{:#}", last.0);
}

/// A connected socket of the client's; what the devices counted until now is the client's.
fn before_the_handover(stage: &mut Stage) -> (monitor_tests::agent::Socket, monitor_tests::agent::Socket) {
    let (listener, to) = stage.listener(Version::V4);
    let client = connected(&mut stage.client, to, 0);
    let server = stage.server.socket(&format!("accept {}", listener.id));
    stage.server.start(&format!("receive {} 50000", server.id));
    stage.client.ask(&format!("send {} 5 10000", client.id));
    stage.server.finish();
    stage.client.ask(&format!("acknowledged {}", client.id));
    (client, server)
}

/// What the socket's rows must add up to: the first holder has what the device counted up to the hand-over, the second
/// the rest.
fn assert_split(last: &Object, stage: &Stage, until: monitor_tests::netns::DeviceCounters, to: u32) {
    use monitor_tests::veth::ETHERNET;
    let flows = last.flows_on(&stage.pair.a.name);
    let own = |pid: u32| sum(flows.iter().copied().filter(|row| field(row, "pid") == pid));
    let first = own(stage.client.pid());
    assert_eq!(first.tx_skb_bytes + ETHERNET * first.tx_skbs, until.tx_bytes, "{:#}", last.0);
    assert_eq!(first.rx_skb_bytes + ETHERNET * first.rx_skbs, until.rx_bytes, "{:#}", last.0);
    assert!(own(to).tx_skb_bytes > 70000, "{:#}", last.0);
    nobody_else(last, &stage.pair.a.name, &[stage.client.pid(), to]);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_connection_passed_to_another_process_is_the_receivers_from_its_first_send() {
    let mut stage = Stage::new();
    let monitor = Monitor::start(&stage.cgroup);
    let heir = fork(&mut stage.client, "heir");
    let (client, server) = before_the_handover(&mut stage);
    let until = stage.pair.a.counters();
    stage.client.ask(&format!("pass {} {}", client.id, heir.id));
    let passed = stage.client.socket(&format!("child {} take", heir.id));
    assert_eq!(passed.cookie, client.cookie);
    stage.server.start(&format!("receive {} 70000", server.id));
    stage.client.ask(&format!("child {} send {} 7 10000", heir.id, passed.id));
    stage.server.finish();
    stage.client.ask(&format!("child {} acknowledged {}", heir.id, passed.id));
    let last = settled(monitor, &stage);
    assert_split(&last, &stage, until, heir.pid);
    only(&last, server, stage.server.pid());
}

#[test]
#[ignore = "needs root and BPF"]
fn a_connection_inherited_by_a_fork_is_the_childs_from_its_first_send() {
    let mut stage = Stage::new();
    let monitor = Monitor::start(&stage.cgroup);
    let (client, server) = before_the_handover(&mut stage);
    let heir = fork(&mut stage.client, "heir");
    let until = stage.pair.a.counters();
    stage.server.start(&format!("receive {} 70000", server.id));
    stage.client.ask(&format!("child {} send {} 7 10000", heir.id, client.id));
    stage.server.finish();
    stage.client.ask(&format!("child {} acknowledged {}", heir.id, client.id));
    let last = settled(monitor, &stage);
    assert_split(&last, &stage, until, heir.pid);
}

#[test]
#[ignore = "needs root and BPF"]
fn two_processes_that_use_one_connection_in_turn_are_said_to_share_it() {
    let mut stage = Stage::new();
    let mut monitor = Monitor::start(&stage.cgroup);
    let (client, server) = before_the_handover(&mut stage);
    let heir = fork(&mut stage.client, "heir");
    for step in
        [format!("child {} send {} 7 10000", heir.id, client.id), format!("send {} 7 10000", client.id)]
    {
        stage.server.start(&format!("receive {} 70000", server.id));
        stage.client.ask(&step);
        stage.server.finish();
        stage.client.ask(&format!("acknowledged {}", client.id));
        monitor.next_object();
    }
    let last = settled(monitor, &stage);
    let shared = owners(rows_of(&last, client));
    let worth: Vec<_> = shared.keys().map(|(pid, worth)| (*pid, worth.as_str())).collect();
    assert!(worth.contains(&(Some(stage.client.pid()), "shared")), "{shared:?}");
    let pids = [stage.client.pid(), heir.pid];
    assert!(worth.iter().all(|(pid, _)| pid.is_some_and(|pid| pids.contains(&pid))), "{shared:?}");
}

/// A service as systemd starts it: the listener is made by one program and served by another, which a fork of the first
/// executed.
fn socket_activation(how: &str) {
    let mut stage = Stage::new();
    let directory = tempfile::tempdir().expect("a directory");
    let program = directory.path().join("served");
    symlink(program::actor(), &program).expect("a link");
    let mut systemd = Agent::actor(&stage.cgroup, &stage.pair.b.netns, "systemd");
    let monitor = Monitor::start(&stage.cgroup);
    let (listener, to) = listener(&mut systemd, stage.pair.b.address(Version::V4, 0), 0);
    // The first connection is there before anybody serves.
    let first = connected(&mut stage.client, to, 0);
    stage.client.ask(&format!("send {} 1 5000", first.id));
    stage.client.ask(&format!("acknowledged {}", first.id));
    let service = fork(&mut systemd, "systemd");
    systemd.ask(&format!("child {} exec {}", service.id, program.display()));
    let mut sockets = Vec::new();
    for client in [first, connected(&mut stage.client, to, 0)] {
        let accept = format!("child {} accept {} {how}", service.id, listener.id);
        let server = systemd.socket(&accept);
        stage.client.start(&format!("receive {} 30000", client.id));
        systemd.ask(&format!("child {} send {} 3 10000", service.id, server.id));
        stage.client.finish();
        systemd.ask(&format!("child {} acknowledged {}", service.id, server.id));
        sockets.push(server);
    }
    let last = settled(monitor, &stage);
    for socket in sockets {
        only(&last, socket, service.pid);
    }
    nobody_else(&last, &stage.pair.b.name, &[service.pid]);
    assert_eq!(names(&last, service.pid), ["served"]);
    assert_eq!(names(&last, systemd.pid()), [""; 0]);
}

#[test]
#[ignore = "needs root and BPF"]
fn socket_activation_with_an_address() {
    socket_activation("");
}

#[test]
#[ignore = "needs root and BPF"]
fn socket_activation_without_an_address() {
    socket_activation("silent");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_socket_survives_exec_and_has_the_new_name() {
    let mut stage = Stage::new();
    let directory = tempfile::tempdir().expect("a directory");
    let program = directory.path().join("after");
    symlink(program::actor(), &program).expect("a link");
    let monitor = Monitor::start(&stage.cgroup);
    let (client, server) = before_the_handover(&mut stage);
    stage.client.ask(&format!("exec {}", program.display()));
    stage.server.start(&format!("receive {} 70000", server.id));
    stage.client.ask(&format!("send {} 7 10000", client.id));
    stage.server.finish();
    stage.client.ask(&format!("acknowledged {}", client.id));
    let last = settled(monitor, &stage);
    let all = only(&last, client, stage.client.pid());
    assert!(all.tx_skb_bytes > 120_000);
    assert_eq!(names(&last, stage.client.pid()), ["after"], "{:#}", last.0);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_process_for_each_connection_however_short() {
    const CONNECTIONS: usize = 40;
    let mut stage = Stage::new();
    let monitor = Monitor::start(&stage.cgroup);
    let (listener, to) = stage.listener(Version::V4);
    let mut pids = Vec::new();
    for number in 0..CONNECTIONS {
        let child = fork(&mut stage.client, &format!("brief-{number}"));
        let step = format!("child {}", child.id);
        let socket = stage.client.socket(&format!("{step} socket 2 1 0"));
        stage.client.ask(&format!("{step} connect {} {to}", socket.id));
        let server = stage.server.socket(&format!("accept {} silent", listener.id));
        stage.client.ask(&format!("{step} send {} 1 {}", socket.id, 100 + number));
        stage.server.ask(&format!("receive {} {}", server.id, 100 + number));
        stage.client.ask(&format!("{step} acknowledged {}", socket.id));
        stage.client.ask(&format!("{step} reset {}", socket.id));
        stage.client.ask(&format!("reap {}", child.id));
        pids.push((child.pid, socket, number));
    }
    let last = settled(monitor, &stage);
    for (pid, socket, number) in pids {
        let moved = only(&last, socket, pid);
        // SYN, ACK and RST have no data; the data's segment has 32 bytes of TCP.
        assert_eq!(moved.tx_skb_bytes, 60 + 52 + (52 + 100 + number as u64) + 52, "{:#}", last.0);
        assert_eq!((moved.tx_skbs, moved.rx_skbs), (4, 2), "{:#}", last.0);
        assert_eq!(names(&last, pid), [format!("brief-{number}")]);
    }
    let server = owners(last.flows_on(&stage.pair.b.name));
    let expected = Owners::from([(
        (Some(stage.server.pid()), "exact".to_owned()),
        sum(last.flows_on(&stage.pair.b.name)),
    )]);
    assert_eq!(server, expected, "{:#}", last.0);
}
