//! Whose bytes they are, where that is not plain: processes that are gone, sockets that were there first, sockets with
//! many peers.

use monitor_tests::{
    accounts::{as_the_stack_carried, balance, datagrams},
    agent::{Agent, reconnect},
    json::{counters, field, number, sum},
    kernel,
    monitor::{self, Monitor},
    scene::Scene,
    veth::{ETHERNET, Version},
};
use std::net::SocketAddr;

#[test]
#[ignore = "needs root and BPF"]
fn a_process_that_is_gone_before_the_first_look_keeps_its_name_and_bytes() {
    const COUNT: u64 = 20;
    const LENGTH: u64 = 500;
    const BYTES: u64 = 100_000;
    let mut scene = Scene::new();
    let listener = scene.server.listen(scene.pair.b.address(Version::V4, 0));
    let (sink, address) = scene.datagram_server(Version::V4);
    let monitor = Monitor::counting(monitor::command_every("3", scene.cgroup.path(), None));
    let looks = monitor.printed();
    let mut brief = Agent::spawn(&scene.cgroup, &scene.pair.a.netns, "brief");
    let pid = brief.pid();
    let source = brief.socket(&format!("datagram {}", scene.pair.a.address(Version::V4, 0)));
    brief.ask(&format!("send-to {} {address} {COUNT} {LENGTH}", source.id));
    scene.server.ask(&format!("receive-from {} {COUNT}", sink.id));
    let to = SocketAddr::new(address.ip(), listener.port);
    let connection = reconnect(&mut brief, &mut scene.server, to, listener);
    brief.ask(&format!("send {} {BYTES} 10000", connection.client.id));
    assert!(brief.exit().success());
    assert_eq!(monitor.printed(), looks, "monitor looked while the process lived; the test proves nothing");
    scene.server.ask(&format!("drain {}", connection.server.id));
    let report = monitor.stop();
    balance(&report);
    let last = report.last();
    let process = last.process(pid);
    assert_eq!(field(process, "process"), "brief", "{process}");
    assert!(number(process, "tx_skb_bytes") > COUNT * (LENGTH + 28) + BYTES, "{process}");
    let flows = last.flows_of(pid);
    let udp: Vec<_> = flows.iter().filter(|flow| field(flow, "proto") == "udp").copied().collect();
    assert_eq!(sum(udp), datagrams(0, COUNT, LENGTH + 28), "{:#}", last.0);
    let tcp = flows.iter().filter(|flow| number(flow, "socket") == connection.client.cookie);
    assert!(sum(tcp.copied()).tx_skb_bytes > BYTES, "{:#}", last.0);
    for flow in &flows {
        assert_eq!(field(flow, "process"), "brief", "{flow}");
        assert_eq!(field(field(flow, "attribution"), "confidence"), "exact", "{flow}");
    }
}

fn a_socket_that_was_there_first(version: Version) {
    const BEFORE: u64 = 1 << 20;
    const AFTER: u64 = 5 << 20;
    let mut scene = Scene::new();
    let connection = scene.connect(version);
    scene.upload(connection, BEFORE);
    scene.download(connection, BEFORE);
    let monitor = Monitor::start(&scene.cgroup);
    let before = [scene.pair.a.counters(), scene.pair.b.counters()];
    scene.upload(connection, AFTER);
    scene.download(connection, AFTER);
    let report = monitor.stop();
    balance(&report);
    let last = report.last();
    assert_eq!(last.flows().len(), 2, "one connection, two ends: {:#}", last.0);
    for ((agent, socket), (end, before)) in
        [(&scene.client, connection.client), (&scene.server, connection.server)]
            .into_iter()
            .zip([&scene.pair.a, &scene.pair.b].into_iter().zip(before))
    {
        if kernel::older_than(5, 12) {
            // Such a kernel does not tell in which namespace an older socket is, so its interface has no name.
            let (own, device) = (sum(last.flows_of(agent.pid())), end.counters().since(before));
            assert_eq!(own.tx_skb_bytes + 14 * own.tx_skbs, device.tx_bytes, "{:#}", last.0);
            assert_eq!(own.rx_skb_bytes + 14 * own.rx_skbs, device.rx_bytes, "{:#}", last.0);
        } else {
            as_the_stack_carried(last, &end.name, end.counters().since(before));
        }
        let flows = last.flows_of(agent.pid());
        assert_eq!(flows.len(), 1, "{:#}", last.0);
        assert_eq!(number(flows[0], "socket"), socket.cookie);
        assert_eq!(counters(flows[0]), counters(last.process(agent.pid())), "{:#}", last.0);
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_connection_opened_before_the_monitor_over_ipv4() {
    a_socket_that_was_there_first(Version::V4);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_connection_opened_before_the_monitor_over_ipv6() {
    a_socket_that_was_there_first(Version::V6);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_udp_socket_opened_before_the_monitor() {
    const COUNT: u64 = 50;
    const LENGTH: u64 = 300;
    let mut scene = Scene::new();
    let (server, address) = scene.datagram_server(Version::V4);
    let client = scene.client.socket(&format!("datagram {}", scene.pair.a.address(Version::V4, 0)));
    let monitor = Monitor::start(&scene.cgroup);
    scene.client.ask(&format!("send-to {} {address} {COUNT} {LENGTH}", client.id));
    scene.server.ask(&format!("receive-from {} {COUNT}", server.id));
    let report = monitor.stop();
    balance(&report);
    let bytes = LENGTH + 28;
    assert_eq!(counters(report.last().process(scene.client.pid())), datagrams(0, COUNT, bytes));
    assert_eq!(counters(report.last().process(scene.server.pid())), datagrams(COUNT, 0, bytes));
}

/// The process ends with a full send queue; the reader begins only then.
fn bytes_that_leave_after_death(killed: bool) {
    let mut scene = Scene::new();
    let mut monitor = Monitor::start(&scene.cgroup);
    let mut doomed = Agent::spawn(&scene.cgroup, &scene.pair.a.netns, "doomed");
    let pid = doomed.pid();
    let listener = scene.server.listen(scene.pair.b.address(Version::V4, 0));
    scene.server.ask(&format!("buffers {} 0 16384", listener.id));
    let to = scene.pair.b.address(Version::V4, listener.port);
    let connection = reconnect(&mut doomed, &mut scene.server, to, listener);
    doomed.ask(&format!("buffers {} 2000000 0", connection.client.id));
    let queued = number(&doomed.ask(&format!("fill {}", connection.client.id)), "sent");
    assert_eq!(if killed { doomed.kill() } else { doomed.exit() }.success(), !killed);
    let at_death = scene.pair.a.counters();
    assert!(
        at_death.tx_bytes < queued / 2,
        "too much left while the process lived: {at_death:?} of {queued}"
    );
    // Two whole intervals pass between the death and the bytes.
    monitor.next_object();
    let drained = scene.server.ask(&format!("drain {}", connection.server.id));
    assert_eq!(number(&drained, "received"), queued);
    let device = scene.pair.a.counters();
    let report = monitor.stop();
    balance(&report);
    let last = report.last();
    let own = sum(last.flows_of(pid));
    // Only what is sent: packets that come in after the last FIN find no socket and are seen by no hook.
    assert_eq!(own.tx_skb_bytes + ETHERNET * own.tx_skbs, device.tx_bytes, "{:#}", last.0);
    assert_eq!(own.tx_skbs, device.tx_packets, "{:#}", last.0);
    assert_eq!(own, sum(last.flows_on(&scene.pair.a.name)), "the interface is named: {:#}", last.0);
    assert!(own.tx_skb_bytes > queued, "{own:?} of {queued}");
    assert_eq!(counters(last.process(pid)).tx_bytes, own.tx_bytes, "{:#}", last.0);
    assert_eq!(field(last.process(pid), "process"), "doomed", "{:#}", last.0);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_process_that_exited_while_its_bytes_were_still_leaving() {
    bytes_that_leave_after_death(false);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_process_that_was_killed_while_its_bytes_were_still_leaving() {
    bytes_that_leave_after_death(true);
}

fn many_peers(version: Version) {
    const PEERS: u64 = 200;
    const EACH: u64 = 5;
    const LENGTH: u64 = 100;
    let mut scene = Scene::new();
    let monitor = Monitor::start(&scene.cgroup);
    let (server, address) = scene.datagram_server(version);
    let peers = scene.client.ask(&format!("datagrams {PEERS} {}", scene.pair.a.address(version, 0)));
    let (first, last) = (number(&peers, "first"), number(&peers, "last"));
    scene.server.start(&format!("receive-from {} {} echo", server.id, PEERS * EACH));
    scene.client.ask(&format!("each {first} {last} {address} {EACH} {LENGTH}"));
    scene.server.finish();
    for peer in first..=last {
        scene.client.ask(&format!("receive-from {peer} {EACH}"));
    }
    let report = monitor.stop();
    balance(&report);
    let last = report.last();
    let bytes = LENGTH + version.udp_headers();
    for pid in [scene.client.pid(), scene.server.pid()] {
        let flows = last.flows_of(pid);
        assert_eq!(flows.len() as u64, PEERS, "one row a peer: {:#}", last.0);
        for flow in flows {
            assert_eq!(counters(flow), datagrams(EACH, EACH, bytes), "{flow}");
            assert_eq!(number(flow, "socket") == server.cookie, pid == scene.server.pid(), "{flow}");
        }
        assert_eq!(counters(last.process(pid)), datagrams(PEERS * EACH, PEERS * EACH, bytes));
    }
    for end in [&scene.pair.a, &scene.pair.b] {
        as_the_stack_carried(last, &end.name, end.counters());
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_udp_server_with_many_peers_over_ipv4() {
    many_peers(Version::V4);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_udp_server_with_many_peers_over_ipv6() {
    many_peers(Version::V6);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_connection_accepted_without_asking_who_calls() {
    const BYTES: u64 = 300_000;
    let mut scene = Scene::new();
    let monitor = Monitor::start(&scene.cgroup);
    let listener = scene.server.listen(scene.pair.b.address(Version::V4, 0));
    scene.server.start(&format!("accept {} silent", listener.id));
    let to = scene.pair.b.address(Version::V4, listener.port);
    let client = scene.client.socket(&format!("connect {to}"));
    let server = scene.server.finish_socket();
    scene.server.start(&format!("receive {} {BYTES}", server.id));
    scene.client.ask(&format!("send {} {BYTES} 10000", client.id));
    scene.server.finish();
    scene.client.ask(&format!("acknowledged {}", client.id));
    let report = monitor.stop();
    balance(&report);
    let last = report.last();
    for (end, agent) in [(&scene.pair.a, &scene.client), (&scene.pair.b, &scene.server)] {
        as_the_stack_carried(last, &end.name, end.counters());
        let own = sum(last.flows_of(agent.pid()));
        assert_eq!(own, sum(last.flows_on(&end.name)), "all by one: {:#}", last.0);
    }
}
