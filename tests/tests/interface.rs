//! `-i`: what an interface carried, told from what sockets saw, and a ledger that leaves nothing.

use monitor_tests::{
    accounts::balance,
    agent::{Agent, connect, transfer},
    cgroup::Cgroup,
    frames::{frame, inject, ping, rules, udp_packet},
    json::{Object, counters, field, number, sum},
    monitor::{Monitor, Report, command_on},
    netns::{DeviceCounters, Netns},
    program,
    scene::Scene,
    veth::{ETHERNET, End, Pair, Route, Version},
    wait,
};
use serde_json::Value;
use std::net::SocketAddr;

const LINES: [&str; 12] = [
    "overflow",
    "forwarded",
    "socketless",
    "encapsulation",
    "link",
    "other_hosts",
    "stacked",
    "fragment_headers",
    "extra_copies",
    "dropped",
    "in_flight",
    "framing",
];
const PARTS: [&str; 5] = ["attributed", "kernel", "pending", "ambiguous", "unknown"];

/// The ledger of one interface.
fn ledger<'o>(object: &'o Object, end: &End) -> &'o Value {
    let all = field(&object["ledger"], "interfaces").as_array().expect("a list");
    let found = all.iter().find(|interface| number(interface, "ifindex") == u64::from(end.index));
    found.unwrap_or_else(|| panic!("no ledger of {} in {:#}", end.name, object.0))
}

fn line(side: &Value, name: &str) -> i64 {
    field(side, name).as_i64().unwrap_or_else(|| panic!("`{name}` is not measured in {side}"))
}

/// Checks that the lines of a side that are not zero are these, and that with them it closes to the byte.
fn assert_side(side: &Value, device: u64, expected: &[(&str, u64)]) {
    let lines = PARTS.iter().chain(&LINES).map(|name| (*name, line(side, name)));
    let found: Vec<(&str, i64)> = lines.filter(|(_, bytes)| *bytes != 0).collect();
    let expected: Vec<(&str, i64)> = expected
        .iter()
        .map(|(name, bytes)| (*name, i64::try_from(*bytes).expect("not so many bytes")))
        .filter(|(_, bytes)| *bytes != 0)
        .collect();
    assert_eq!(found, expected, "{side:#}");
    assert_eq!((number(side, "device"), line(side, "remainder")), (device, 0), "{side:#}");
}

/// Both sides of an interface, whose device counted nothing before.
fn assert_closed(last: &Object, end: &End, rx: &[(&str, u64)], tx: &[(&str, u64)]) {
    let DeviceCounters { rx_bytes, tx_bytes, .. } = end.counters();
    let ledger = ledger(last, end);
    assert_side(field(ledger, "rx"), rx_bytes, rx);
    assert_side(field(ledger, "tx"), tx_bytes, tx);
}

fn on(end: &End) -> Monitor {
    Monitor::counting(command_on(&end.name, &end.netns))
}

fn stopped(monitor: Monitor) -> (Report, Object) {
    let report = monitor.stop();
    balance(&report);
    let last = report.last().clone();
    (report, last)
}

/// The flows of no process, by protocol.
fn unowned<'o>(object: &'o Object, protocol: &str) -> Vec<&'o Value> {
    let flows = object.flows().iter().filter(|flow| field(flow, "pid").is_null());
    flows.filter(|flow| field(flow, "proto") == protocol).collect()
}

fn reason(flow: &Value) -> &str {
    field(field(flow, "attribution"), "reason").as_str().expect("a reason")
}

fn datagrams(scene: &mut Scene, version: Version, count: u64, length: u64) {
    let (server, address) = scene.datagram_server(version);
    let local = scene.pair.a.address(version, 0);
    let client = scene.client.socket(&format!("datagram {local}"));
    scene.server.start(&format!("receive-from {} {count} echo", server.id));
    scene.client.ask(&format!("send-to {} {address} {count} {length}", client.id));
    scene.server.finish();
    scene.client.ask(&format!("receive-from {} {count}", client.id));
}

fn sockets_close(pair: Pair, offloads: bool) {
    let mut scene = Scene::on(pair);
    let monitor = on(&scene.pair.a);
    for version in [Version::V4, Version::V6] {
        let connection = scene.connect(version);
        scene.upload(connection, 5 << 20);
        scene.download(connection, 2 << 20);
        datagrams(&mut scene, version, 200, 700);
    }
    let (_, last) = stopped(monitor);
    let device = scene.pair.a.counters();
    assert!(device.rx_bytes > 4 << 20 && device.tx_bytes > 10 << 20, "{device:?}");
    assert_eq!(
        last.flows_on(&scene.pair.a.name).len(),
        last.flows().len(),
        "only this interface: {:#}",
        last.0
    );
    assert_eq!(
        sum(last.flows_of(scene.client.pid())),
        last.totals(),
        "all of it is the client's: {:#}",
        last.0
    );
    if offloads {
        let (rx, tx) = (("attributed", device.rx_bytes), ("attributed", device.tx_bytes));
        return assert_closed(&last, &scene.pair.a, &[rx], &[tx]);
    }
    // Segments are made between socket and device, and the headers that this takes are a line.
    for (side, device) in [("rx", device.rx_bytes), ("tx", device.tx_bytes)] {
        let side = field(ledger(&last, &scene.pair.a), side);
        let attributed = number(side, "attributed");
        assert_side(side, device, &[("attributed", attributed), ("framing", device - attributed)]);
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn what_sockets_move_closes_to_the_byte() {
    sockets_close(Pair::new(), true);
}

#[test]
#[ignore = "needs root and BPF"]
fn what_sockets_move_closes_without_offloads() {
    sockets_close(Pair::new().without_offloads(), false);
}

#[test]
#[ignore = "needs root and BPF"]
fn without_an_interface_the_rest_is_one_signed_line() {
    let mut scene = Scene::new();
    let mut command = scene.pair.a.netns.command(program::monitor());
    command.args(["--json", "--interval", "0.2"]);
    let monitor = Monitor::counting(command);
    datagrams(&mut scene, Version::V4, 20, 100);
    let packet = udp_packet((scene.pair.b.v4, 9), (scene.pair.a.v4, 9), 72);
    let mac = [2, 0, 0, 0x77, 0, 1];
    inject(&scene.pair.b, &frame(mac, &[&[8, 0], &packet[..]].concat()));
    let report = monitor.stop();
    let side = field(ledger(report.last(), &scene.pair.a), "rx");
    assert_eq!(number(side, "attributed"), 20 * (100 + 28 + ETHERNET), "{side}");
    assert_eq!(line(side, "not_at_sockets"), 100 + 14, "{side}");
    for name in LINES.iter().chain(&["remainder"]) {
        assert!(field(side, name).is_null(), "{name}: {side}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_router_shows_what_it_forwards() {
    const BYTES: u64 = 3 << 20;
    let (route, cgroup) = (Route::new(), Cgroup::new());
    let mut client = Agent::spawn(&cgroup, &route.near.a.netns, "client");
    let mut server = Agent::spawn(&cgroup, &route.far.b.netns, "server");
    let router = [&route.near.b, &route.far.a];
    let mut command = command_on(&router[0].name, &router[0].netns);
    command.args(["-i", &router[1].name]);
    let monitor = Monitor::counting(command);
    for version in [Version::V4, Version::V6] {
        let connection = connect(&mut client, &mut server, route.far.b.address(version, 0));
        transfer((&mut client, connection.client), (&mut server, connection.server), BYTES);
    }
    let (_, last) = stopped(monitor);
    for end in router {
        let device = end.counters();
        assert!(device.rx_bytes + device.tx_bytes > 2 * BYTES, "{device:?}");
        assert_closed(&last, end, &[("forwarded", device.rx_bytes)], &[("forwarded", device.tx_bytes)]);
        let flows = last.flows_on(&end.name);
        assert_eq!(flows.len(), 2, "one connection, one line: {:#}", last.0);
        for flow in flows {
            assert!(field(flow, "pid").is_null() && field(flow, "proto") == "tcp", "{flow}");
            assert_eq!(reason(flow), "forwarded: neither end is this host");
            assert!(number(flow, "rx_bytes") > 0 && number(flow, "tx_bytes") > 0, "{flow}");
        }
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_closed_port_is_no_sockets() {
    const COUNT: u64 = 5;
    let mut scene = Scene::new();
    let monitor = on(&scene.pair.a);
    let socket = scene.server.socket(&format!("datagram {}", scene.pair.b.address(Version::V4, 0)));
    let closed = scene.pair.a.address(Version::V4, 9);
    scene.server.ask(&format!("send-to {} {closed} {COUNT} 100", socket.id));
    wait::until("the datagrams arrive", || (scene.pair.a.counters().tx_packets >= 1).then_some(()));
    let (_, last) = stopped(monitor);
    let device = scene.pair.a.counters();
    assert_closed(
        &last,
        &scene.pair.a,
        &[("socketless", COUNT * (128 + ETHERNET))],
        &[("kernel", device.tx_bytes)],
    );
    let flows = unowned(&last, "udp");
    assert_eq!(flows.len(), 1, "{:#}", last.0);
    assert_eq!(number(flows[0], "rx_bytes"), COUNT * 128, "L3 bytes: {}", flows[0]);
    assert_eq!(number(field(flows[0], "local"), "port"), 9, "{}", flows[0]);
    assert!(reason(flows[0]).starts_with("no socket"), "{}", flows[0]);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_ping_that_the_kernel_answers() {
    const COUNT: u16 = 4;
    let pair = Pair::new();
    let monitor = on(&pair.a);
    ping(&pair.b, pair.a.v4, COUNT, 56);
    let (_, last) = stopped(monitor);
    let bytes = u64::from(COUNT) * (84 + ETHERNET);
    assert_closed(&last, &pair.a, &[("socketless", bytes)], &[("kernel", bytes)]);
    let flows = unowned(&last, "icmp");
    assert_eq!(flows.len(), 1, "{:#}", last.0);
    assert_eq!(number(flows[0], "rx_packets"), u64::from(COUNT));
}

#[test]
#[ignore = "needs root and BPF"]
fn arp_is_a_line_of_its_own() {
    let mut scene = Scene::new();
    let end = scene.pair.a.clone();
    for end in [&scene.pair.a, &scene.pair.b] {
        end.netns.set(&format!("ipv6/conf/{}/disable_ipv6", end.name), "1");
        end.netns.ip(&format!("link set {} arp on", end.name));
    }
    let before = end.counters();
    let monitor = on(&end);
    datagrams(&mut scene, Version::V4, 3, 100);
    let (_, last) = stopped(monitor);
    let device = end.counters().since(before);
    let (arp, udp) = (28 + ETHERNET, 3 * (128 + ETHERNET));
    assert_side(field(ledger(&last, &end), "rx"), device.rx_bytes, &[("attributed", udp), ("link", arp)]);
    assert_side(field(ledger(&last, &end), "tx"), device.tx_bytes, &[("attributed", udp), ("link", arp)]);
    let flows = unowned(&last, "arp");
    assert_eq!(flows.len(), 1, "{:#}", last.0);
    let moved = counters(flows[0]);
    assert_eq!((moved.rx_skb_bytes, moved.tx_skb_bytes), (28, 28), "{}", flows[0]);
    assert!(field(field(flows[0], "local"), "addr").is_null(), "{}", flows[0]);
}

#[test]
#[ignore = "needs root and BPF"]
fn tagged_frames_and_unknown_types_are_counted() {
    let pair = Pair::new();
    let monitor = on(&pair.a);
    let packet = udp_packet((pair.b.v4, 7), (pair.a.v4, 7), 72);
    let mac = [2, 0, 0, 0x77, 0, 1];
    // One tag, two tags, a type that nobody knows, and a frame with a length (802.3).
    inject(&pair.b, &frame(mac, &[&[0x81, 0, 0, 7, 8, 0], &packet[..]].concat()));
    inject(&pair.b, &frame(mac, &[&[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8, 8, 0], &packet[..]].concat()));
    inject(&pair.b, &frame(mac, &[&[0x88, 0xb5][..], &[0; 46]].concat()));
    inject(&pair.b, &frame([1, 0x80, 0xc2, 0, 0, 0], &[&[0, 38, 0x42, 0x42, 3][..], &[0; 43]].concat()));
    let (_, last) = stopped(monitor);
    let side = field(ledger(&last, &pair.a), "rx");
    assert_eq!(line(side, "link"), 60 + 60, "{side}");
    // The kernel takes the outermost tag out of the data before anyone can look; the veth had counted it.
    assert_eq!(line(side, "remainder"), 2 * 4, "{side}");
    let addressed = line(side, "socketless") + line(side, "other_hosts");
    assert_eq!(addressed, 114 + 118, "{side}");
    assert_eq!(unowned(&last, "eth-88b5").len(), 1, "{:#}", last.0);
    assert_eq!(unowned(&last, "llc").len(), 1, "{:#}", last.0);
    let tagged: u64 = unowned(&last, "udp").into_iter().map(|flow| number(flow, "rx_bytes")).sum();
    assert_eq!(tagged, 200, "{:#}", last.0);
}

#[test]
#[ignore = "needs root and BPF"]
fn fragments_belong_to_their_datagrams() {
    const COUNT: u64 = 10;
    for version in [Version::V4, Version::V6] {
        let mut scene = Scene::new();
        let monitor = on(&scene.pair.a);
        datagrams(&mut scene, version, COUNT, 4000);
        let (_, last) = stopped(monitor);
        let device = scene.pair.a.counters();
        // Three pieces each: two more Ethernet headers, and the headers that IP repeats or adds.
        let headers = if version == Version::V4 { 2 * 20 } else { 3 * 48 - 40 };
        let extra = COUNT * (2 * ETHERNET + headers);
        let whole = COUNT * (4000 + version.udp_headers() + ETHERNET);
        let lines = [("attributed", whole), ("fragment_headers", extra)];
        assert_eq!(device.rx_bytes, whole + extra);
        assert_closed(&last, &scene.pair.a, &lines, &lines);
        assert!(unowned(&last, "udp").is_empty(), "{:#}", last.0);
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn what_is_dropped_after_the_socket_is_a_line() {
    const COUNT: u64 = 7;
    let mut scene = Scene::new();
    let end = scene.pair.a.clone();
    let monitor = on(&end);
    let (table, name) = ("add table netdev t; add chain netdev t e", &end.name);
    let chain = format!("{table} {{ type filter hook egress device \"{name}\" priority 0; }}");
    rules(&end, &format!("{chain}; add rule netdev t e drop"));
    let local = scene.client.socket(&format!("datagram {}", end.address(Version::V4, 0)));
    scene.client.ask(&format!("send-to {} {} {COUNT} 100", local.id, scene.pair.b.address(Version::V4, 9)));
    let (_, last) = stopped(monitor);
    let side = field(ledger(&last, &end), "tx");
    let bytes = COUNT * (128 + ETHERNET);
    assert_side(side, 0, &[("attributed", bytes), ("dropped", bytes)]);
}

#[test]
#[ignore = "needs root and BPF"]
fn translated_connections_are_joined() {
    let mut scene = Scene::new();
    rules(
        &scene.pair.a,
        "add table ip t; add chain ip t o { type nat hook output priority -100; }; \
         add rule ip t o ip daddr 10.99.0.1 dnat to 10.77.0.2",
    );
    rules(
        &scene.pair.b,
        "add table ip t; add chain ip t p { type nat hook prerouting priority -100; }; \
         add rule ip t p tcp dport 80 redirect to :8080",
    );
    let (a, b) = (scene.pair.a.clone(), scene.pair.b.clone());
    a.netns.ip(&format!("route add 10.99.0.1 dev {}", a.name));
    let monitors = [on(&a), on(&b)];
    let listener = scene.server.listen(SocketAddr::new(b.v4.into(), 8080));
    scene.server.start(&format!("accept {}", listener.id));
    let client = scene.client.socket("connect 10.99.0.1:80");
    let server = scene.server.finish_socket();
    transfer((&mut scene.client, client), (&mut scene.server, server), 1 << 20);
    let remote = scene.server.socket(&format!("datagram {}:53", b.v4));
    let local = scene.client.socket(&format!("datagram {} 10.99.0.1:53", a.address(Version::V4, 0)));
    scene.server.start(&format!("receive-from {} 3 echo", remote.id));
    scene.client.ask(&format!("send-to {} - 3 100", local.id));
    scene.server.finish();
    scene.client.ask(&format!("receive-from {} 3", local.id));
    for (monitor, end, pid) in monitors
        .into_iter()
        .zip([(&a, scene.client.pid()), (&b, scene.server.pid())])
        .map(|(m, (e, p))| (m, e, p))
    {
        let (_, last) = stopped(monitor);
        let device = end.counters();
        let unseen = last
            .flows()
            .iter()
            .find(|flow| !field(flow, "pid").is_u64() && reason(flow).contains("no socket"));
        assert_eq!(unseen, None, "joined under its wire tuple: {:#}", last.0);
        assert!(!last.flows_of(pid).is_empty(), "{:#}", last.0);
        let ledger = ledger(&last, end);
        for (side, device) in [("rx", device.rx_bytes), ("tx", device.tx_bytes)] {
            let side = field(ledger, side);
            assert_eq!((number(side, "device"), line(side, "remainder")), (device, 0), "{side:#}");
            // The SYN-ACK leaves under the listener and the translated port, and waits for a connection of that name.
            assert_eq!(number(side, "attributed") + number(side, "pending"), device, "{side:#}");
        }
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn more_translations_than_are_kept_are_said() {
    const SOCKETS: usize = 100;
    let mut scene = Scene::new();
    let a = scene.pair.a.clone();
    rules(
        &a,
        "add table ip t; add chain ip t o { type nat hook output priority -100; }; \
         add rule ip t o ip daddr 10.99.0.1 dnat to 10.77.0.2",
    );
    a.netns.ip(&format!("route add 10.99.0.1 dev {}", a.name));
    let mut command = a.netns.command(program::monitor());
    command.args(["--json", "--no-dns", "--interval", "2", "--capacity", "64", "--interface", &a.name]);
    let monitor = Monitor::counting(command);
    let local = a.address(Version::V4, 0);
    for _ in 0..SOCKETS {
        let socket = scene.client.socket(&format!("datagram {local} 10.99.0.1:53"));
        scene.client.ask(&format!("send-to {} - 1 100", socket.id));
    }
    let (_, last) = stopped(monitor);
    let said = last.degraded().join("\n");
    assert!(said.contains("some flows behind NAT") && said.contains("--capacity above 64"), "{said}");
}

#[test]
#[ignore = "needs root and BPF"]
fn an_interface_that_goes_and_comes_back_is_followed() {
    let (netns, cgroup) = (Netns::new(), Cgroup::new());
    let make = |index: u32| {
        netns.ip(&format!("link add mtx index {index} type veth peer name mty"));
        for name in ["mtx", "mty"] {
            netns.ip(&format!("link set {name} arp off multicast off addrgenmode none"));
        }
        netns.ip("addr add 10.78.0.1/24 dev mtx");
        netns.ip("link set mty up");
        netns.ip("link set mtx up");
    };
    make(2001);
    let mut client = Agent::spawn(&cgroup, &netns, "client");
    let mut monitor = Monitor::counting(command_on("mtx", &netns));
    let mut send = |count: u64| {
        let local = client.socket("datagram 10.78.0.1:0");
        client.ask(&format!("send-to {} 10.78.0.2:9 {count} 100", local.id));
    };
    send(3);
    monitor.next_object();
    netns.ip("link del mtx");
    let told = |monitor: &mut Monitor| monitor.next_object().degraded().join("\n");
    wait::until("it says so", || told(&mut monitor).contains("nothing is counted on mtx").then_some(()));
    make(2002);
    wait::until("it is back", || (!told(&mut monitor).contains("mtx")).then_some(()));
    send(4);
    let (_, last) = stopped(monitor);
    for (index, count) in [(2001, 3), (2002, 4)] {
        let all = field(&last["ledger"], "interfaces").as_array().expect("a list").clone();
        let one = all.iter().find(|one| number(one, "ifindex") == index).expect("both have a ledger");
        let bytes = count * (128 + ETHERNET);
        assert_side(field(one, "tx"), bytes, &[("attributed", bytes)]);
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn promiscuous_sees_what_is_for_others_and_ends_with_monitor() {
    let pair = Pair::new();
    let promiscuity = || pair.a.netns.ip(&format!("-d link show {}", pair.a.name)).contains("promiscuity 1");
    let mut command = command_on(&pair.a.name, &pair.a.netns);
    command.arg("-p");
    let monitor = Monitor::counting(command);
    assert!(promiscuity());
    let packet = udp_packet((pair.b.v4, 7), ([10, 77, 0, 9].into(), 7), 72);
    inject(&pair.b, &frame([2, 0, 0, 0, 0, 9], &[&[8, 0], &packet[..]].concat()));
    let (_, last) = stopped(monitor);
    wait::until("the interface is as before", || (!promiscuity()).then_some(()));
    assert_closed(&last, &pair.a, &[("other_hosts", 114)], &[]);
    let flows = unowned(&last, "udp");
    assert_eq!(reason(flows[0]), "no socket: addressed to another host");
}

#[test]
#[ignore = "needs root and BPF"]
fn what_stands_on_an_interface_is_told_apart() {
    let mut scene = Scene::new();
    let (a, b) = (scene.pair.a.clone(), scene.pair.b.clone());
    a.netns
        .ip(&format!("link add link {} name mv0 address 02:00:00:77:09:01 type macvlan mode bridge", a.name));
    a.netns.ip("link set mv0 arp off multicast off addrgenmode none");
    a.netns.ip("addr add 10.79.0.1/24 dev mv0");
    a.netns.ip("link set mv0 up");
    a.netns.ip("neigh replace 10.79.0.2 lladdr 02:00:00:77:00:02 dev mv0 nud permanent");
    b.netns.ip(&format!("addr add 10.79.0.2/24 dev {}", b.name));
    b.netns.ip(&format!("neigh replace 10.79.0.1 lladdr 02:00:00:77:09:01 dev {} nud permanent", b.name));
    let before = a.counters();
    let monitor = on(&a);
    let connection =
        connect(&mut scene.client, &mut scene.server, "10.79.0.2:0".parse().expect("an address"));
    scene.upload(connection, 1 << 20);
    let (_, last) = stopped(monitor);
    let device = a.counters().since(before);
    assert!(unowned(&last, "tcp").is_empty(), "{:#}", last.0);
    assert_side(field(ledger(&last, &a), "rx"), device.rx_bytes, &[("attributed", device.rx_bytes)]);
    assert_side(field(ledger(&last, &a), "tx"), device.tx_bytes, &[("attributed", device.tx_bytes)]);
}

#[test]
#[ignore = "needs root and BPF"]
fn loopback_closes() {
    let (netns, cgroup) = (Netns::new(), Cgroup::new());
    let mut client = Agent::spawn(&cgroup, &netns, "client");
    let mut server = Agent::spawn(&cgroup, &netns, "server");
    let monitor = Monitor::counting(command_on("lo", &netns));
    let connection = connect(&mut client, &mut server, "127.0.0.1:0".parse().expect("an address"));
    transfer((&mut client, connection.client), (&mut server, connection.server), 1 << 20);
    let socket = client.socket("datagram 127.0.0.1:0");
    client.ask(&format!("send-to {} 127.0.0.1:9 2 100", socket.id));
    let (_, last) = stopped(monitor);
    let device = netns.devices()["lo"];
    let all = field(&last["ledger"], "interfaces").as_array().expect("a list");
    let lo = all.iter().find(|one| number(one, "ifindex") == 1).expect("lo");
    for (side, device) in [("rx", device.rx_bytes), ("tx", device.tx_bytes)] {
        let side = field(lo, side);
        assert_eq!((number(side, "device"), line(side, "remainder")), (device, 0), "{side:#}");
    }
    // The datagrams to the closed port, and the kernel's word that it is closed. lo counts no Ethernet header.
    assert_eq!(line(field(lo, "rx"), "socketless"), 2 * 128 + 2 * (128 + 28));
    assert_eq!(line(field(lo, "tx"), "socketless"), 0);
}

/// The kernel answers for all namespaces from one ICMP socket a CPU, and `lo` has the same index and ends in each.
#[test]
#[ignore = "needs root and BPF"]
fn each_namespace_has_its_own_icmp() {
    const ROUNDS: u64 = 10;
    const COUNT: u64 = 20;
    const OTHERS: u64 = 150;
    let (netns, other, cgroup) = (Netns::new(), Netns::new(), Cgroup::new());
    let mut client = Agent::spawn(&cgroup, &netns, "client");
    let mut noise = Agent::spawn(&cgroup, &other, "noise");
    let monitor = Monitor::counting(command_on("lo", &netns));
    let socket = client.socket("datagram 127.0.0.1:0");
    let loud = noise.socket("datagram 127.0.0.1:0");
    for _ in 0..ROUNDS {
        noise.start(&format!("send-to {} 127.0.0.1:9 {OTHERS} 60", loud.id));
        client.ask(&format!("send-to {} 127.0.0.1:9 {COUNT} 100", socket.id));
        noise.finish();
    }
    let (_, last) = stopped(monitor);
    let (device, all) = (netns.devices()["lo"], ROUNDS * COUNT);
    let interfaces = field(&last["ledger"], "interfaces").as_array().expect("a list");
    let lo = interfaces.iter().find(|one| number(one, "ifindex") == 1).expect("lo");
    let (datagrams, answers) = (all * 128, all * (128 + 28));
    assert_side(field(lo, "tx"), device.tx_bytes, &[("attributed", datagrams), ("kernel", answers)]);
    assert_side(field(lo, "rx"), device.rx_bytes, &[("socketless", datagrams + answers)]);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_refused_tap_is_said_and_sockets_still_count() {
    let mut scene = Scene::new();
    let mut command = command_on(&scene.pair.a.name, &scene.pair.a.netns);
    command.args(["--refuse", "frames"]);
    let monitor = Monitor::counting(command);
    datagrams(&mut scene, Version::V4, 5, 100);
    let (_, last) = stopped(monitor);
    let said = last.degraded().join("\n");
    assert!(said.contains("what no socket sees") && said.contains(&scene.pair.a.name), "{said}");
    assert_eq!(last.process(scene.client.pid())["tx_packets"], 5);
    assert!(field(field(ledger(&last, &scene.pair.a), "rx"), "forwarded").is_null());
}

#[test]
#[ignore = "needs root and BPF"]
fn an_interface_that_does_not_exist_is_one_sentence() {
    let netns = Netns::new();
    let report = Monitor::spawn(command_on("nosuch0", &netns)).ended();
    assert_eq!(report.status.code(), Some(1), "{}", report.stderr);
    assert_eq!(
        report.stderr, "monitor: -i nosuch0: there is no such interface; name one of: lo\n",
        "one sentence"
    );
}

#[test]
#[ignore = "needs root and BPF"]
fn sockets_outside_the_cgroup_are_not_called_absent() {
    let mut scene = Scene::new();
    let empty = Cgroup::new();
    let mut command = command_on(&scene.pair.a.name, &scene.pair.a.netns);
    command.arg("--cgroup").arg(empty.path());
    let monitor = Monitor::counting(command);
    datagrams(&mut scene, Version::V4, 5, 100);
    let (_, last) = stopped(monitor);
    let flows = unowned(&last, "udp");
    assert_eq!(flows.len(), 1, "{:#}", last.0);
    assert_eq!(reason(flows[0]), "no socket of this cgroup");
    let bytes = 5 * (128 + ETHERNET);
    assert_closed(&last, &scene.pair.a, &[("socketless", bytes)], &[("socketless", bytes)]);
}
