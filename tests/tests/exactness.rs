//! What `monitor` counts is what moved, to the byte: against device counters where they can be a witness, against
//! arithmetic where the packets are known.

use monitor_tests::{
    accounts::{as_the_stack_carried, as_the_wire_carried, balance, datagrams},
    agent::{connect, transfer},
    json::{Object, counters, field, number, sum},
    kernel::{with_syn_ack, without_syn_ack},
    monitor::Monitor,
    scene::{Loopback, Scene},
    veth::{Pair, Version},
};

/// Many super-packets' worth.
const UP: u64 = 12 << 20;
const DOWN: u64 = 3 << 20;

/// What came out of one end went into the other. `accepted`: over a connection of that version, accepted by end b.
fn assert_symmetric(last: &Object, scene: &Scene, accepted: Option<Version>) {
    let (a, b) = (sum(last.flows_on(&scene.pair.a.name)), sum(last.flows_on(&scene.pair.b.name)));
    let b = accepted.map_or(b, |version| with_syn_ack(b, version));
    assert_eq!((a.tx_bytes, a.tx_packets), (b.rx_bytes, b.rx_packets), "from a to b: {:#}", last.0);
    assert_eq!((b.tx_bytes, b.tx_packets), (a.rx_bytes, a.rx_packets), "from b to a: {:#}", last.0);
}

/// A transfer each way over one connection, which stays open to the end.
fn tcp(pair: Pair, version: Version) -> (Object, Scene) {
    let mut scene = Scene::on(pair);
    let monitor = Monitor::start(&scene.cgroup);
    let connection = scene.connect(version);
    scene.upload(connection, UP);
    scene.download(connection, DOWN);
    let report = monitor.stop();
    balance(&report);
    let last = report.last().clone();
    assert_symmetric(&last, &scene, Some(version));
    for (agent, socket, sent, received) in
        [(&scene.client, connection.client, UP, DOWN), (&scene.server, connection.server, DOWN, UP)]
    {
        let flows = last.flows_of(agent.pid());
        let flow = flows.iter().find(|flow| number(flow, "socket") == socket.cookie);
        let flow = flow.unwrap_or_else(|| panic!("no flow of socket {socket:?} in {:#}", last.0));
        let moved = counters(flow);
        assert!(moved.tx_skb_bytes > sent && moved.rx_skb_bytes > received, "{sent}, {received}: {flow}");
        assert_eq!(field(field(flow, "attribution"), "confidence"), "exact", "{flow}");
        assert_eq!(field(flow, "proto"), "tcp", "{flow}");
        assert_eq!(number(field(flow, "local"), "port"), u64::from(socket.port), "{flow}");
    }
    (last, scene)
}

fn tcp_as_the_stack_carried(version: Version) {
    let (last, scene) = tcp(Pair::new(), version);
    let (a, b) = (&scene.pair.a, &scene.pair.b);
    as_the_stack_carried(&last, &a.name, a.counters());
    as_the_stack_carried(&last, &b.name, without_syn_ack(b.counters(), version));
    let sent = sum(last.flows_on(&scene.pair.a.name));
    assert!(sent.tx_skbs * 2 < sent.tx_packets, "no super-packets in {sent:?}");
}

fn tcp_as_the_wire_carried(version: Version) {
    let (last, scene) = tcp(Pair::new().without_offloads(), version);
    let (a, b) = (&scene.pair.a, &scene.pair.b);
    as_the_wire_carried(&last, &a.name, a.counters());
    as_the_wire_carried(&last, &b.name, without_syn_ack(b.counters(), version));
}

#[test]
#[ignore = "needs root and BPF"]
fn tcp_over_ipv4_with_super_packets() {
    tcp_as_the_stack_carried(Version::V4);
}

#[test]
#[ignore = "needs root and BPF"]
fn tcp_over_ipv6_with_super_packets() {
    tcp_as_the_stack_carried(Version::V6);
}

#[test]
#[ignore = "needs root and BPF"]
fn tcp_over_ipv4_without_offloads() {
    tcp_as_the_wire_carried(Version::V4);
}

#[test]
#[ignore = "needs root and BPF"]
fn tcp_over_ipv6_without_offloads() {
    tcp_as_the_wire_carried(Version::V6);
}

/// Datagrams there and back between two sockets; the client's is connected or not.
fn udp(pair: Pair, version: Version, connected: bool) -> (Object, Scene) {
    const COUNT: u64 = 2000;
    const LENGTH: u64 = 64;
    let mut scene = Scene::on(pair);
    let monitor = Monitor::start(&scene.cgroup);
    let (server, address) = scene.datagram_server(version);
    let local = scene.pair.a.address(version, 0);
    let remote = if connected { address.to_string() } else { String::new() };
    let client = scene.client.socket(&format!("datagram {local} {remote}"));
    scene.server.start(&format!("receive-from {} {COUNT} echo", server.id));
    let to = if connected { "-".to_owned() } else { address.to_string() };
    scene.client.ask(&format!("send-to {} {to} {COUNT} {LENGTH}", client.id));
    scene.server.finish();
    scene.client.ask(&format!("receive-from {} {COUNT}", client.id));
    let report = monitor.stop();
    balance(&report);
    let last = report.last().clone();
    let expected = datagrams(COUNT, COUNT, LENGTH + version.udp_headers());
    for (agent, socket, end) in
        [(&scene.client, client, &scene.pair.a), (&scene.server, server, &scene.pair.b)]
    {
        let flows = last.flows_of(agent.pid());
        assert_eq!(flows.len(), 1, "one peer, one flow: {:#}", last.0);
        assert_eq!(counters(flows[0]), expected, "{}", flows[0]);
        assert_eq!(number(flows[0], "socket"), socket.cookie);
        assert_eq!(field(flows[0], "interface"), end.name.as_str());
        assert_eq!(counters(last.process(agent.pid())), expected);
    }
    assert_symmetric(&last, &scene, None);
    (last, scene)
}

fn udp_both_ways(version: Version, connected: bool) {
    let (last, scene) = udp(Pair::new(), version, connected);
    for end in [&scene.pair.a, &scene.pair.b] {
        as_the_stack_carried(&last, &end.name, end.counters());
    }
    let (last, scene) = udp(Pair::new().without_offloads(), version, connected);
    for end in [&scene.pair.a, &scene.pair.b] {
        as_the_wire_carried(&last, &end.name, end.counters());
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn udp_over_ipv4_unconnected() {
    udp_both_ways(Version::V4, false);
}

#[test]
#[ignore = "needs root and BPF"]
fn udp_over_ipv4_connected() {
    udp_both_ways(Version::V4, true);
}

#[test]
#[ignore = "needs root and BPF"]
fn udp_over_ipv6_unconnected() {
    udp_both_ways(Version::V6, false);
}

#[test]
#[ignore = "needs root and BPF"]
fn udp_over_ipv6_connected() {
    udp_both_ways(Version::V6, true);
}

fn loopback_tcp(address: &str, version: Version) {
    let mut scene = Loopback::new();
    let monitor = Monitor::start(&scene.cgroup);
    let address = address.parse().expect("an address");
    let connection = connect(&mut scene.client, &mut scene.server, address);
    transfer((&mut scene.client, connection.client), (&mut scene.server, connection.server), UP);
    let report = monitor.stop();
    balance(&report);
    let last = report.last();
    assert_eq!(last.flows_on("lo").len(), last.flows().len(), "all of it is on lo: {:#}", last.0);
    let (client, server) = (sum(last.flows_of(scene.client.pid())), sum(last.flows_of(scene.server.pid())));
    let server = with_syn_ack(server, version);
    assert!(client.tx_bytes > UP, "{client:?}");
    // Not so what the stack carried: lo takes super-packets of more than 64 KiB apart between sender and receiver.
    assert_eq!((client.tx_bytes, client.tx_packets), (server.rx_bytes, server.rx_packets), "{:#}", last.0);
    assert_eq!((client.rx_bytes, client.rx_packets), (server.tx_bytes, server.tx_packets), "{:#}", last.0);
    // For the same reason the receivers' buffers are what the device counted, once as sent and once as received. It
    // counts them without the header that it strips (drivers/net/loopback.c).
    let (device, total) = (scene.netns.devices()["lo"], last.totals());
    let counted = (device.tx_bytes, device.tx_packets, device.rx_bytes, device.rx_packets);
    let seen = (total.rx_skb_bytes, total.rx_skbs, total.rx_skb_bytes, total.rx_skbs);
    assert_eq!(seen, counted, "monitor (left), lo (right): {:#}", last.0);
}

#[test]
#[ignore = "needs root and BPF"]
fn tcp_over_loopback_ipv4() {
    loopback_tcp("127.0.0.1:0", Version::V4);
}

#[test]
#[ignore = "needs root and BPF"]
fn tcp_over_loopback_ipv6() {
    loopback_tcp("[::1]:0", Version::V6);
}

#[test]
#[ignore = "needs root and BPF"]
fn udp_over_loopback() {
    const COUNT: u64 = 500;
    const LENGTH: u64 = 1200;
    for (local, headers) in [("127.0.0.1", 28), ("[::1]", 48)] {
        let mut scene = Loopback::new();
        let monitor = Monitor::start(&scene.cgroup);
        let server = scene.server.socket(&format!("datagram {local}:0"));
        let client = scene.client.socket(&format!("datagram {local}:0"));
        scene.server.start(&format!("receive-from {} {COUNT}", server.id));
        scene.client.ask(&format!("send-to {} {local}:{} {COUNT} {LENGTH}", client.id, server.port));
        scene.server.finish();
        let report = monitor.stop();
        balance(&report);
        let last = report.last();
        let bytes = LENGTH + headers;
        assert_eq!(counters(last.process(scene.client.pid())), datagrams(0, COUNT, bytes));
        assert_eq!(counters(last.process(scene.server.pid())), datagrams(COUNT, 0, bytes));
        assert_eq!(last.flows_on("lo").len(), 2, "{:#}", last.0);
    }
}
