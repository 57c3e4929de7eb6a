//! How connections fare: what the kernel's sockets say of themselves, in the rows of their flows.

use monitor_tests::{
    agent::{Connection, Socket},
    frames::rules,
    json::{Object, field, number},
    monitor::{Monitor, command},
    scene::Scene,
    stage::rows_of,
    veth::Version,
    wait,
};
use serde_json::Value;
use std::{fs, io, time::Duration};

const BYTES: u64 = 1 << 20;

/// The health of a socket's connection, as the latest object that lists it has it.
fn health(object: &Object, socket: Socket) -> Option<Value> {
    let row = rows_of(object, socket).into_iter().next()?;
    Some(field(row, "tcp").clone()).filter(|tcp| !tcp.is_null())
}

/// Moves a byte each way after a while, so that a sample is taken of what was before.
fn nudge(scene: &mut Scene, connection: Connection) {
    std::thread::sleep(Duration::from_millis(150));
    scene.upload(connection, 1);
    scene.download(connection, 1);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_connection_tells_its_round_trip_window_and_payload() {
    let mut scene = Scene::new();
    let monitor = Monitor::start(&scene.cgroup);
    for version in [Version::V4, Version::V6] {
        let connection = scene.connect(version);
        scene.upload(connection, BYTES);
        scene.download(connection, 2 * BYTES);
        nudge(&mut scene, connection);
        nudge(&mut scene, connection);
    }
    let (sink, to) = scene.datagram_server(Version::V4);
    let source = scene.client.socket(&format!("datagram {}", scene.pair.a.address(Version::V4, 0)));
    scene.client.ask(&format!("send-to {} {to} 1 100", source.id));
    scene.server.ask(&format!("receive-from {} 1", sink.id));
    let report = monitor.stop();
    let last = report.last();
    let mut connections = 0;
    for row in last.flows() {
        let tcp = field(row, "tcp");
        if field(row, "proto") == "udp" {
            assert!(tcp.is_null(), "{row}");
            continue;
        }
        if tcp.is_null() || field(tcp, "state") == "listening" {
            continue;
        }
        connections += 1;
        let client = field(row, "process") == "client";
        assert_eq!(field(tcp, "state"), "established", "{row}");
        let srtt = number(tcp, "srtt_us");
        assert!((1..1_000_000).contains(&srtt), "{row}");
        assert!(number(tcp, "cwnd") >= 2, "{row}");
        let (acked, received) = (number(tcp, "acked_bytes"), number(tcp, "received_bytes"));
        let (sent, taken) = if client { (BYTES, 2 * BYTES) } else { (2 * BYTES, BYTES) };
        // The last byte each way may be younger than the sample; a SYN counts as one acknowledged byte.
        assert!((sent..=sent + 3).contains(&acked), "{acked} acknowledged: {row}");
        assert!((taken..=taken + 2).contains(&received), "{received} received: {row}");
        // Goodput never exceeds what the wire carried.
        assert!(acked <= number(row, "tx_bytes") && received <= number(row, "rx_bytes"), "{row}");
    }
    assert_eq!(connections, 4, "{:#}", last.0);
}

#[test]
#[ignore = "needs root, BPF and nftables"]
fn what_is_lost_on_the_way_is_sent_again_and_counted() {
    let mut scene = Scene::new();
    let monitor = Monitor::start(&scene.cgroup);
    let (lossy, clean) = (scene.connect(Version::V4), scene.connect(Version::V4));
    let port = lossy.listener.port;
    rules(
        &scene.pair.b,
        &format!(
            "table ip lossy {{ chain in {{ type filter hook input priority 0; tcp dport {port} numgen inc mod 10 == 5 drop; }}; }}"
        ),
    );
    scene.upload(lossy, BYTES);
    scene.upload(clean, BYTES);
    nudge(&mut scene, lossy);
    nudge(&mut scene, clean);
    let report = monitor.stop();
    let last = report.last();
    let again = |socket| number(&health(last, socket).expect("a sample"), "retransmits");
    assert!(again(lossy.client) > 0, "{:#}", last.0);
    assert_eq!((again(clean.client), again(lossy.server)), (0, 0), "{:#}", last.0);
}

/// Waits until the other end has acknowledged every end of a connection here.
fn ends_acknowledged(scene: &Scene) {
    wait::until("the end is acknowledged", || {
        let sockets = scene.pair.a.netns.run(|| {
            ["tcp", "tcp6"].map(|family| fs::read_to_string(format!("/proc/thread-self/net/{family}")))
        });
        // FIN_WAIT1, LAST_ACK.
        let waits = |line: &str| matches!(line.split_whitespace().nth(3), Some("04" | "09"));
        let none = |sockets: io::Result<String>| !sockets.expect("the sockets").lines().any(waits);
        sockets.into_iter().all(none).then_some(())
    });
}

/// The states of both ends of a connection.
fn states(object: &Object, connection: Connection) -> [String; 2] {
    [connection.client, connection.server].map(|socket| {
        let health = health(object, socket).expect("a sample");
        field(&health, "state").as_str().expect("text").to_owned()
    })
}

/// A hook sees a packet before its socket does: the end that comes in finds the connection still established, and the
/// one that goes out is of a socket that has closed already. A socket that nobody holds any more is closed, whatever
/// its connection still does.
#[test]
#[ignore = "needs root and BPF"]
fn a_connection_tells_how_it_ends() {
    let mut scene = Scene::new();
    let mut monitor = Monitor::start(&scene.cgroup);
    let [half, quarter, whole] = std::array::from_fn(|_| scene.connect(Version::V4));
    for connection in [half, quarter, whole] {
        scene.upload(connection, BYTES);
    }
    monitor.next_object();
    scene.client.ask(&format!("shutdown {}", half.client.id));
    for connection in [quarter, whole] {
        scene.client.ask(&format!("close {}", connection.client.id));
    }
    ends_acknowledged(&scene);
    scene.server.ask(&format!("drain {}", whole.server.id));
    scene.server.ask(&format!("close {}", whole.server.id));
    let report = monitor.stop();
    let last = report.last();
    assert_eq!(states(last, half), ["fin-wait-1", "close-wait"], "{:#}", last.0);
    assert_eq!(states(last, quarter), ["closed", "close-wait"], "{:#}", last.0);
    assert_eq!(states(last, whole), ["closed", "closed"], "{:#}", last.0);
}

/// A1: what is acknowledged between the last sample and the last packet. Either end closes with most of its bytes still in
/// its queue, because the other does not read; then it reads.
#[test]
#[ignore = "needs root and BPF"]
fn what_is_acknowledged_after_the_close_is_counted() {
    let mut scene = Scene::new();
    let monitor = Monitor::start(&scene.cgroup);
    let mut sent = Vec::new();
    for version in [Version::V4, Version::V6] {
        let [active, passive] = std::array::from_fn(|_| scene.connect(version));
        for connection in [active, passive] {
            // The peer's end comes first, so that the close goes by LAST_ACK.
            let is_passive = connection.client.cookie == passive.client.cookie;
            if is_passive {
                scene.server.ask(&format!("shutdown {}", connection.server.id));
            }
            scene.client.ask(&format!("buffers {} 2000000 0", connection.client.id));
            let queued = number(&scene.client.ask(&format!("fill {}", connection.client.id)), "sent");
            scene.client.ask(&format!("close {}", connection.client.id));
            let drained = scene.server.ask(&format!("drain {}", connection.server.id));
            assert_eq!(number(&drained, "received"), queued);
            if !is_passive {
                scene.server.ask(&format!("close {}", connection.server.id));
            }
            sent.push((connection.client, queued));
        }
    }
    ends_acknowledged(&scene);
    let report = monitor.stop();
    let last = report.last();
    for (socket, queued) in sent {
        let health = health(last, socket).expect("a sample");
        // SYN and FIN are acknowledged, too.
        assert_eq!(number(&health, "acked_bytes"), queued + 2, "{health} of {queued}");
        assert_eq!(field(&health, "state"), "closed", "{:#}", last.0);
    }
}

/// E6: the list said closed, JSON the state that was sampled last, and the filter found none.
#[test]
#[ignore = "needs root and BPF"]
fn closed_connections_are_found_by_that() {
    let mut scene = Scene::new();
    let mut command = command(&scene.cgroup, None);
    command.args(["--filter", "state:closed"]);
    let mut monitor = Monitor::counting(command);
    let [open, closed] = std::array::from_fn(|_| scene.connect(Version::V4));
    for connection in [open, closed] {
        scene.upload(connection, BYTES);
    }
    assert!(monitor.next_object().flows().is_empty());
    scene.client.ask(&format!("close {}", closed.client.id));
    ends_acknowledged(&scene);
    let report = monitor.stop();
    let last = report.last();
    let [flow] = last.flows() else { panic!("one is closed: {:#}", last.0) };
    assert_eq!(number(flow, "socket"), closed.client.cookie);
    assert_eq!(field(field(flow, "tcp"), "state"), "closed");
}
