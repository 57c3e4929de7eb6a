//! The wire's bytes of a super-packet: by traffic control's own reckoning, and where the kernel was not told how many
//! segments there are.

use monitor_tests::{
    accounts::balance,
    agent::Agent,
    capture::WireMeter,
    cgroup::Cgroup,
    json::{counters, number, sum},
    monitor::Monitor,
    netns::Netns,
    scene::Scene,
    tun::Tun,
    veth::{ETHERNET, Version},
};
use std::net::SocketAddr;

fn formula_agrees_with_traffic_control(version: Version) {
    const UP: u64 = 16 << 20;
    const DOWN: u64 = 4 << 20;
    let mut scene = Scene::new();
    let meters = [WireMeter::attach(&scene.pair.a), WireMeter::attach(&scene.pair.b)];
    let monitor = Monitor::start(&scene.cgroup);
    let connection = scene.connect(version);
    scene.upload(connection, UP);
    scene.download(connection, DOWN);
    let report = monitor.stop();
    balance(&report);
    let last = report.last();
    for (end, meter) in [&scene.pair.a, &scene.pair.b].into_iter().zip(meters) {
        let sent = sum(last.flows_on(&end.name));
        let seen = (sent.tx_bytes + ETHERNET * sent.tx_packets, sent.tx_packets);
        assert_eq!(seen, meter.read(), "monitor (left), traffic control (right): {:#}", last.0);
        assert!(sent.tx_skbs < sent.tx_packets, "no super-packets in {sent:?}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn wire_bytes_over_ipv4_are_those_of_traffic_control() {
    formula_agrees_with_traffic_control(Version::V4);
}

#[test]
#[ignore = "needs root and BPF"]
fn wire_bytes_over_ipv6_are_those_of_traffic_control() {
    formula_agrees_with_traffic_control(Version::V6);
}

fn super_packet_without_segment_count(name: &str, from: &str, to: &str, headers: u64) {
    let (netns, cgroup) = (Netns::new(), Cgroup::new());
    let tun = Tun::new(&netns, name, "10.78.0.1/24", "fd78::1/64");
    let mut server = Agent::spawn(&cgroup, &netns, "server");
    let monitor = Monitor::start(&cgroup);
    let from: SocketAddr = from.parse().expect("an address");
    let mut to: SocketAddr = to.parse().expect("an address");
    let socket = server.socket(&format!("datagram {to}"));
    to.set_port(socket.port);
    // Without this the kernel takes the super-packet apart before the hook sees it.
    server.ask(&format!("coalesce {}", socket.id));
    // Whole segments; a last one of one byte; a last one in between.
    let packets: [(u64, u16, u64); 3] = [(5000, 1000, 5), (4001, 1000, 5), (9000, 1400, 7)];
    for (payload, segment, _) in packets {
        let payload = usize::try_from(payload).expect("a small number");
        tun.send_udp(from, to, payload, segment);
        server.ask(&format!("receive-from {} 1", socket.id));
    }
    let report = monitor.stop();
    balance(&report);
    let last = report.last();
    let flows = last.flows_of(server.pid());
    assert_eq!(flows.len(), 1, "{:#}", last.0);
    let seen = counters(flows[0]);
    let payload: u64 = packets.iter().map(|packet| packet.0).sum();
    let segments: u64 = packets.iter().map(|packet| packet.2).sum();
    let buffers = packets.len() as u64;
    assert_eq!((seen.rx_skbs, seen.rx_skb_bytes), (buffers, payload + buffers * headers), "{}", flows[0]);
    assert_eq!((seen.rx_packets, seen.rx_bytes), (segments, payload + segments * headers), "{}", flows[0]);
    assert_eq!((seen.tx_packets, number(flows[0], "socket")), (0, socket.cookie), "{}", flows[0]);
    assert_eq!(last.flows_on(&tun.name).len(), 1, "{:#}", last.0);
}

#[test]
#[ignore = "needs root, BPF and tun"]
fn a_super_packet_without_a_segment_count_over_ipv4() {
    super_packet_without_segment_count("mtun4", "10.78.0.2:9", "10.78.0.1:0", 28);
}

#[test]
#[ignore = "needs root, BPF and tun"]
fn a_super_packet_without_a_segment_count_over_ipv6() {
    super_packet_without_segment_count("mtun6", "[fd78::2]:9", "[fd78::1]:0", 48);
}
