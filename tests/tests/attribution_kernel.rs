//! What is no process's: the kernel's own sockets. And the sockets that see what is not meant for them alone: ping and
//! raw sockets. The kernel's sockets are in no cgroup, so these tests watch the whole machine and look at their own
//! devices only.

use monitor_tests::{
    accounts::{balance, datagrams},
    agent::Socket,
    counters::Counters,
    json::{Object, field, sum},
    monitor::{Monitor, command_every},
    stage::{INET, INET6, Stage, connected, datagrams_at, only, owners, stream},
    veth::{ETHERNET, Version},
};
use monitor_tests::{cgroup, netns::DeviceCounters};

/// On all of the machine.
fn everywhere() -> Monitor {
    Monitor::counting(command_every("0.2", &cgroup::mount_point(), None))
}

fn ended(monitor: Monitor) -> Object {
    let report = monitor.stop();
    balance(&report);
    report.last().clone()
}

/// All that an interface carried, by the device's rule.
fn as_carried(seen: Counters) -> DeviceCounters {
    DeviceCounters {
        rx_bytes: seen.rx_skb_bytes + ETHERNET * seen.rx_skbs,
        rx_packets: seen.rx_skbs,
        tx_bytes: seen.tx_skb_bytes + ETHERNET * seen.tx_skbs,
        tx_packets: seen.tx_skbs,
        dropped: 0,
    }
}

/// What the kernel sent by an interface, and that nobody but it and `pid` has anything there.
fn kernels(object: &Object, interface: &str, pid: Option<u32>) -> Counters {
    let mut kernel = Counters::default();
    for ((owner, worth), moved) in owners(object.flows_on(interface)) {
        assert_eq!(worth, "exact", "{:#}", object.0);
        if owner == Some(0) {
            kernel = moved;
        } else {
            assert_eq!(owner, pid, "{:#}", object.0);
        }
    }
    kernel
}

fn ping(version: Version, kind: u8) {
    const COUNT: u64 = 10;
    const LENGTH: u64 = 100;
    let mut stage = Stage::new();
    stage.pair.a.netns.set("ipv4/ping_group_range", "0 0");
    let monitor = everywhere();
    let (family, protocol, header) = if version == Version::V4 { (INET, 1, 20) } else { (INET6, 58, 40) };
    let socket = stage.client.socket(&format!("socket {family} {kind} {protocol}"));
    let to = stage.pair.b.address(version, 0);
    stage.client.ask(&format!("ping {} {to} {COUNT} {LENGTH}", socket.id));
    let last = ended(monitor);
    let bytes = header + 8 + LENGTH;
    assert_eq!(only(&last, socket, stage.client.pid()), datagrams(COUNT, COUNT, bytes));
    assert_eq!(kernels(&last, &stage.pair.a.name, Some(stage.client.pid())), Counters::default());
    // The requests find no socket: the kernel answers them itself, from its own.
    let kernel = kernels(&last, &stage.pair.b.name, None);
    assert_eq!(kernel, datagrams(0, COUNT, bytes), "{:#}", last.0);
    for row in last.flows_on(&stage.pair.a.name) {
        assert_eq!(field(row, "proto"), if version == Version::V4 { "icmp" } else { "icmpv6" });
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_ping_socket_is_its_pingers_and_the_answer_the_kernels() {
    ping(Version::V4, 2);
    ping(Version::V6, 2);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_raw_socket_is_its_pingers_and_the_answer_the_kernels() {
    ping(Version::V4, 3);
    ping(Version::V6, 3);
}

/// Each raw socket gets a copy of what another asked for.
#[test]
#[ignore = "needs root and BPF"]
fn each_raw_socket_has_its_copy() {
    const COUNT: u64 = 5;
    let mut stage = Stage::new();
    let listening = stage.client.socket(&format!("socket {INET} 3 1"));
    let child = monitor_tests::stage::fork(&mut stage.client, "pinger");
    let monitor = everywhere();
    let to = stage.pair.b.address(Version::V4, 0);
    let socket = stage.client.socket(&format!("child {} socket {INET} 3 1", child.id));
    stage.client.ask(&format!("child {} ping {} {to} {COUNT} 100", child.id, socket.id));
    stage.client.ask(&format!("take-in {} {COUNT}", listening.id));
    let last = ended(monitor);
    assert_eq!(only(&last, socket, child.pid), datagrams(COUNT, COUNT, 128));
    // It was there first and its maker and the child hold it: it is whose use showed.
    assert_eq!(only(&last, listening, stage.client.pid()), datagrams(COUNT, 0, 128));
}

#[test]
#[ignore = "needs root and BPF"]
fn an_ip_protocol_that_nobody_knows() {
    const COUNT: u64 = 10;
    const LENGTH: u64 = 100;
    for (version, family, header) in [(Version::V4, INET, 20), (Version::V6, INET6, 40)] {
        let mut stage = Stage::new();
        let monitor = Monitor::start(&stage.cgroup);
        let sink = stage.server.socket(&format!("socket {family} 3 253"));
        let source = stage.client.socket(&format!("socket {family} 3 253"));
        let to = stage.pair.b.address(version, 0);
        stage.client.ask(&format!("send {} {COUNT} {LENGTH} {to}", source.id));
        stage.server.ask(&format!("take-in {} {COUNT}", sink.id));
        let last = ended(monitor);
        assert_eq!(only(&last, source, stage.client.pid()), datagrams(0, COUNT, header + LENGTH));
        assert_eq!(only(&last, sink, stage.server.pid()), datagrams(COUNT, 0, header + LENGTH));
        for row in last.flows() {
            assert_eq!(field(row, "proto"), "ip-253", "{row}");
            assert!(field(field(row, "local"), "port").is_null(), "{row}");
        }
    }
}

/// A closed port: the kernel answers by RST or by ICMP. What came in found no socket and is seen by no hook.
#[test]
#[ignore = "needs root and BPF"]
fn a_closed_port_is_answered_by_the_kernel() {
    let mut stage = Stage::new();
    let monitor = everywhere();
    let refused = stream(&mut stage.client, stage.pair.b.address(Version::V4, 1), 0);
    let try_it = format!("connect {} {}", refused.id, stage.pair.b.address(Version::V4, 1));
    let why = stage.client.refused(&try_it);
    assert!(why.contains("refused"), "{why}");
    let (source, _) = datagrams_at(&mut stage.client, stage.pair.a.address(Version::V4, 0));
    let to = stage.pair.b.address(Version::V4, 1);
    stage.client.ask(&format!("send {} 1 100 {to}", source.id));
    let last = ended(monitor);
    // RST: 40 bytes. Port unreachable: 28 bytes and the datagram that it is about.
    let kernel = kernels(&last, &stage.pair.b.name, None);
    assert_eq!((kernel.tx_bytes, kernel.tx_packets), (40 + 28 + 128, 2), "{:#}", last.0);
    assert_eq!(kernel.rx_packets, 0, "{:#}", last.0);
    let device = stage.pair.b.counters();
    assert_eq!((device.tx_bytes, device.tx_packets), (40 + 28 + 128 + 2 * ETHERNET, 2));
    // Not seen: the SYN and the datagram, there; the ICMP error, here, which no socket receives.
    assert_eq!((device.rx_bytes, device.rx_packets), (60 + 128 + 2 * ETHERNET, 2));
    let syn_and_rst = only(&last, refused, stage.client.pid());
    assert_eq!((syn_and_rst.tx_bytes, syn_and_rst.rx_bytes), (60, 40), "{:#}", last.0);
    assert_eq!(only(&last, source, stage.client.pid()), datagrams(0, 1, 128));
}

/// Closed in good order: what the kernel sends and receives after the socket has gone into TIME_WAIT is no socket's. All
/// else is in the rows, and the difference is exactly that: the last FIN on its way in and its ACK on the way out. The other end
/// has its socket until then.
#[test]
#[ignore = "needs root and BPF"]
fn what_comes_after_the_end_of_a_connection_is_not_seen() {
    const CONNECTIONS: u64 = 10;
    let mut stage = Stage::new();
    let monitor = everywhere();
    let (listener, to) = stage.listener(Version::V4);
    let mut sockets: Vec<(Socket, Socket)> = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = connected(&mut stage.client, to, 0);
        let server = stage.server.socket(&format!("accept {}", listener.id));
        // The client ends first and is then in FIN_WAIT2, until the server's FIN makes it TIME_WAIT.
        stage.client.ask(&format!("end {}", client.id));
        stage.server.ask(&format!("drain {}", server.id));
        stage.client.ask(&format!("acknowledged {}", client.id));
        stage.client.ask(&format!("close {}", client.id));
        stage.server.ask(&format!("close {}", server.id));
        sockets.push((client, server));
    }
    monitor_tests::wait::until("every FIN is acknowledged", || {
        let device = stage.pair.b.counters();
        (device.rx_packets == CONNECTIONS * 4).then_some(())
    });
    let last = ended(monitor);
    for (client, server) in sockets {
        // SYN, ACK, FIN against SYN-ACK, ACK, and not the FIN that comes into TIME_WAIT, nor its ACK.
        let client = only(&last, client, stage.client.pid());
        assert_eq!((client.tx_packets, client.rx_packets), (3, 2), "{:#}", last.0);
        assert!(only(&last, server, stage.server.pid()).tx_packets > 0);
    }
    for (end, unseen_tx, unseen_rx) in [(&stage.pair.a, 1, 1), (&stage.pair.b, 0, 0)] {
        let (seen, device) = (as_carried(sum(last.flows_on(&end.name))), end.counters());
        let each = CONNECTIONS * (52 + ETHERNET);
        let unseen = DeviceCounters {
            rx_bytes: each * unseen_rx,
            rx_packets: CONNECTIONS * unseen_rx,
            tx_bytes: each * unseen_tx,
            tx_packets: CONNECTIONS * unseen_tx,
            dropped: 0,
        };
        assert_eq!(device.since(seen), unseen, "{}: {:#}", end.name, last.0);
    }
}
