//! IPsec: what passes the hook on the way out twice is its process's once.
//!
//! Needs ESP and xfrm interfaces in the kernel. Where they are missing, the tests assert that and say nothing more; `cargo
//! xtask vm` runs them on kernels that have both.

use monitor_tests::{
    accounts::balance,
    counters::Counters,
    json::{Object, field, number, sum},
    monitor::{Monitor, command_on},
    program,
    scene::Scene,
    veth::{ETHERNET, End},
};
use serde_json::Value;

const COUNT: u64 = 20;
const LENGTH: u64 = 100;
/// Of IPv4, UDP and payload.
const INNER: u64 = LENGTH + 28;
/// The same in ESP in tunnel mode without cipher and digest (RFC 4303): the outer header, SPI and sequence, padding to four
/// bytes with its length and the next header.
const OUTER: u64 = 20 + 8 + INNER + 4;

/// Whether the kernel has what the tests need.
fn ready(end: &End) -> bool {
    let mut command = end.netns.command("ip");
    command.args("xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 9 mode tunnel".split(' '));
    command.args(["enc", "ecb(cipher_null)", "", "auth", "digest_null", ""]);
    let state = command.output().expect("ip runs");
    let mut command = end.netns.command("ip");
    command.args("link add probe type xfrm dev lo if_id 9".split(' '));
    let interface = command.output().expect("ip runs");
    let said: String = [&state, &interface].map(|output| String::from_utf8_lossy(&output.stderr)).concat();
    if state.status.success() && interface.status.success() {
        return true;
    }
    let missing = ["not found", "not supported", "Unknown device type"];
    assert!(missing.iter().any(|words| said.contains(words)), "{said}");
    false
}

/// Security associations and policies of one end, both ways; `inner` says which packets, `interface` by which interface.
fn secure(here: &End, there: &End, inner: [&str; 2], interface: &str) {
    let (own, peer) = (here.v4.to_string(), there.v4.to_string());
    for (src, dst) in [(&own, &peer), (&peer, &own)] {
        let mut command = here.netns.command("ip");
        let spi = if src < dst { 1 } else { 2 };
        let words = format!("xfrm state add src {src} dst {dst} proto esp spi {spi} mode tunnel {interface}");
        command.args(words.split_whitespace());
        command.args(["enc", "ecb(cipher_null)", "", "auth", "digest_null", ""]);
        let output = command.output().expect("ip runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let [from, to] = inner;
    for (src, dst, dir, outer) in
        [(from, to, "out", (&own, &peer)), (to, from, "in", (&peer, &own)), (to, from, "fwd", (&peer, &own))]
    {
        here.netns.ip(&format!(
            "xfrm policy add src {src} dst {dst} dir {dir} tmpl src {} dst {} proto esp mode tunnel {interface}",
            outer.0, outer.1
        ));
    }
}

/// Datagrams from a to b and back; `a`, `b`: the addresses.
fn talk(scene: &mut Scene, a: &str, b: &str) {
    let server = scene.server.socket(&format!("datagram {b}:0"));
    let client = scene.client.socket(&format!("datagram {a}:0 {b}:{}", server.port));
    scene.server.start(&format!("receive-from {} {COUNT} echo", server.id));
    scene.client.ask(&format!("send-to {} - {COUNT} {LENGTH}", client.id));
    scene.server.finish();
    scene.client.ask(&format!("receive-from {} {COUNT}", client.id));
}

fn everywhere(scene: &Scene) -> Monitor {
    let mut command = scene.pair.a.netns.command(program::monitor());
    command.args(["--json", "--no-dns", "--interval", "0.2"]);
    Monitor::counting(command)
}

fn ended(monitor: Monitor) -> Object {
    let report = monitor.stop();
    balance(&report);
    report.last().clone()
}

/// Sent and received, in bytes and packets.
fn moved(counters: &Counters) -> [u64; 4] {
    [counters.tx_bytes, counters.tx_packets, counters.rx_bytes, counters.rx_packets]
}

fn side<'o>(object: &'o Object, end: &End, side: &str) -> &'o Value {
    let all = field(&object["ledger"], "interfaces").as_array().expect("a list");
    let found = all.iter().find(|interface| number(interface, "ifindex") == u64::from(end.index));
    field(found.unwrap_or_else(|| panic!("no ledger of {} in {:#}", end.name, object.0)), side)
}

/// A tunnel with an interface at both ends, 10.88.0.1 and 10.88.0.2 inside.
fn tunnel(scene: &Scene) {
    for (here, there, inner) in [
        (&scene.pair.a, &scene.pair.b, ["10.88.0.1", "10.88.0.2"]),
        (&scene.pair.b, &scene.pair.a, ["10.88.0.2", "10.88.0.1"]),
    ] {
        here.netns.ip(&format!("link add ipsec0 type xfrm dev {} if_id 7", here.name));
        here.netns.ip(&format!("addr add {}/24 dev ipsec0", inner[0]));
        here.netns.ip("link set ipsec0 up");
        secure(here, there, inner, "if_id 7");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn what_passes_an_ipsec_interface_is_its_processs_once() {
    let mut scene = Scene::new();
    if !ready(&scene.pair.a) {
        return;
    }
    tunnel(&scene);
    let monitor = everywhere(&scene);
    talk(&mut scene, "10.88.0.1", "10.88.0.2");
    let last = ended(monitor);
    let bytes = COUNT * INNER;
    for pid in [scene.client.pid(), scene.server.pid()] {
        assert_eq!(moved(&sum(last.flows_of(pid))), [bytes, COUNT, bytes, COUNT], "{:#}", last.0);
    }
    let outside = last.flows_on(&scene.pair.a.name);
    assert_eq!(moved(&sum(outside)), [COUNT * OUTER, COUNT, 0, 0], "{:#}", last.0);
    for ledger in ["tx", "rx"] {
        let unseen = field(field(&last["ledger"], ledger), "forwarded").as_u64();
        // Both ends are on this machine.
        assert_eq!(unseen, (ledger == "tx").then_some(2 * COUNT * OUTER), "{:#}", last.0);
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn on_the_device_of_an_ipsec_interface_the_outside_is_a_line() {
    let mut scene = Scene::new();
    if !ready(&scene.pair.a) {
        return;
    }
    tunnel(&scene);
    let monitor = Monitor::counting(command_on(&scene.pair.a.name, &scene.pair.a.netns));
    talk(&mut scene, "10.88.0.1", "10.88.0.2");
    let last = ended(monitor);
    let tx = side(&last, &scene.pair.a, "tx");
    let bytes = COUNT * (OUTER + ETHERNET);
    let lines = ["device", "encapsulation", "attributed", "dropped", "remainder"].map(|name| &tx[name]);
    assert_eq!(lines.map(Value::as_u64), [bytes, bytes, 0, 0, 0].map(Some), "{tx:#}");
}

#[test]
#[ignore = "needs root and BPF"]
fn ipsec_by_policy_is_its_processs_as_it_leaves() {
    let mut scene = Scene::new();
    if !ready(&scene.pair.a) {
        return;
    }
    let (a, b) = (scene.pair.a.v4.to_string(), scene.pair.b.v4.to_string());
    secure(&scene.pair.a, &scene.pair.b, [&a, &b], "");
    secure(&scene.pair.b, &scene.pair.a, [&b, &a], "");
    let monitor = Monitor::counting(command_on(&scene.pair.a.name, &scene.pair.a.netns));
    talk(&mut scene, &a, &b);
    let last = ended(monitor);
    let counted = moved(&sum(last.flows_of(scene.client.pid())));
    assert_eq!(counted, [COUNT * OUTER, COUNT, COUNT * INNER, COUNT], "{:#}", last.0);
    let tx = side(&last, &scene.pair.a, "tx");
    let bytes = COUNT * (OUTER + ETHERNET);
    let lines = ["device", "attributed", "encapsulation", "dropped", "remainder"].map(|name| &tx[name]);
    assert_eq!(lines.map(Value::as_u64), [bytes, bytes, 0, 0, 0].map(Some), "{tx:#}");
}
