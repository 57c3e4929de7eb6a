//! Captured packets: the same bytes as on the wire, owners from samples, and everything that can go wrong. The binary has
//! to be built with the feature `pcap`, as `cargo xtask test` does.

use monitor_tests::{
    accounts::{as_the_wire_carried, balance},
    agent::{Agent, connect, transfer},
    cgroup::Cgroup,
    counters::Counters,
    frames::{frame, inject, udp_packet},
    json::{Object, counters, field, number, sum},
    monitor::{Monitor, Report, command_on},
    netns::Netns,
    program,
    recording::recorded,
    scene::Scene,
    stage::confidence,
    veth::{End, Pair, Version},
    wait,
};
use serde_json::Value;
use std::cell::RefCell;
use std::{fs, os::unix::fs::PermissionsExt, process::Command};

/// A monitor that captures on an end.
fn on(end: &End, more: &[&str]) -> Monitor {
    let mut command = command_on(&end.name, &end.netns);
    command.args(["--backend", "pcap"]).args(more);
    Monitor::counting(command)
}

/// Waits for an object in which this holds. Samples of sockets are seconds apart, and lsof has its own time limit.
fn until(monitor: &mut Monitor, what: &str, holds: impl Fn(&Object) -> bool) -> Object {
    let latest = RefCell::new(None);
    let look = || {
        let object = monitor.next_object();
        latest.replace(Some(object.clone()));
        Some(object).filter(&holds)
    };
    wait::or_tell(3 * wait::STEP, look, || format!("{what}: {:#?}", latest.borrow()))
}

/// Whether every byte so far has its owner, and at least so many were sent. (Rows are of one interval, the ledger is of all.)
fn is_owned(object: &Object, least: u64) -> bool {
    object.totals().tx_bytes >= least
        && ["rx", "tx"]
            .map(|way| field(&object["ledger"], way))
            .into_iter()
            .all(|way| number(way, "attributed") == number(way, "counted"))
}

/// What was captured of an interface; `None` where nothing of it changed.
fn changed<'o>(object: &'o Object, end: &End) -> Option<&'o Value> {
    let all = field(&object["ledger"], "interfaces").as_array().expect("a list");
    let found = all.iter().find(|interface| field(interface, "name") == end.name.as_str());
    found.map(|interface| field(interface, "capture"))
}

/// Waits until some object has told so much of what was captured: only one that it changed in does.
fn captured(monitor: &mut Monitor, end: &End, (name, value): (&str, u64)) {
    let tells = |object: &Object| changed(object, end).is_some_and(|capture| number(capture, name) == value);
    wait::until("the capture tells", || monitor.objects_from(1).iter().any(tells).then_some(()));
}

/// The same of an object that lists everything.
fn capture<'o>(object: &'o Object, end: &End) -> &'o Value {
    changed(object, end).unwrap_or_else(|| panic!("no ledger of {}: {:#}", end.name, object.0))
}

fn method(flow: &Value) -> &str {
    field(field(flow, "attribution"), "method").as_str().expect("text")
}

fn ended(mut command: Command) -> (Option<i32>, String, Vec<Object>) {
    command.arg("--json");
    let Report { objects, status, stderr } = Monitor::spawn(command).ended();
    (status.code(), stderr, objects)
}

fn monitor(arguments: &[&str]) -> Command {
    let mut command = Command::new(program::monitor());
    command.args(arguments);
    command
}

#[test]
#[ignore = "needs root and BPF"]
fn a_capture_counts_what_the_device_carried_and_names_who_moved_it() {
    let mut scene = Scene::on(Pair::new().without_offloads());
    let monitor = on(&scene.pair.a, &[]);
    for version in [Version::V4, Version::V6] {
        let connection = scene.connect(version);
        scene.upload(connection, 300_000);
        scene.download(connection, 200_000);
    }
    let pid = scene.client.pid();
    let mut monitor = monitor;
    until(&mut monitor, "everything has its owner", |object| is_owned(object, 600_000));
    let report = monitor.stop();
    balance(&report);
    let last = report.last();
    assert_eq!((&last["backend"], &last["tier"]), (&"pcap".into(), &"sock_diag".into()));
    as_the_wire_carried(last, &scene.pair.a.name, scene.pair.a.counters());
    assert_eq!(sum(last.flows_of(pid)), last.totals(), "all of it is the client's: {:#}", last.0);
    for flow in last.flows() {
        assert_eq!((confidence(flow), method(flow)), ("exact", "sock_diag"), "{flow}");
        assert!(field(flow, "socket").is_null(), "a capture knows no cookie: {flow}");
    }
    let seen = capture(last, &scene.pair.a);
    let totals = last.totals();
    assert_eq!(number(seen, "received"), totals.rx_packets + totals.tx_packets, "{seen}");
    assert_eq!((number(seen, "dropped"), number(seen, "malformed")), (0, 0), "{seen}");
}

#[test]
#[ignore = "needs root and BPF"]
fn lsof_names_a_live_sender_on_loopback() {
    let (cgroup, netns) = (Cgroup::new(), Netns::new());
    let mut client = Agent::spawn(&cgroup, &netns, "with space");
    let mut server = Agent::spawn(&cgroup, &netns, "server");
    let connection = connect(&mut client, &mut server, "127.0.0.1:0".parse().expect("an address"));
    let mut command = netns.command(program::monitor());
    command.args(["--json", "--interval", "0.2", "-i", "lo", "--backend", "pcap", "--attribution", "lsof"]);
    let mut monitor = Monitor::counting(command);
    transfer((&mut client, connection.client), (&mut server, connection.server), 100_000);
    until(&mut monitor, "lsof has seen both", |object| is_owned(object, 100_000));
    let report = monitor.stop();
    balance(&report);
    let last = report.last();
    assert_eq!(last["tier"], "lsof");
    assert_eq!(field(last.process(client.pid()), "process"), "with space");
    let [sent, received] = [client.pid(), server.pid()].map(|pid| sum(last.flows_of(pid)));
    assert!(sent.tx_bytes > 100_000, "{sent:?}");
    assert_eq!(
        (sent.tx_bytes, sent.rx_bytes),
        (received.rx_bytes, received.tx_bytes),
        "both sides of one wire"
    );
    assert_eq!(last.totals().tx_bytes, sent.tx_bytes + received.tx_bytes, "{:#}", last.0);
}

#[test]
#[ignore = "needs root and BPF"]
fn tags_are_taken_off_and_lies_are_counted() {
    let pair = Pair::new();
    let mut monitor = on(&pair.a, &[]);
    let packet = udp_packet((pair.b.v4, 7000), (pair.a.v4, 7001), 100);
    let bytes = packet.len() as u64;
    let [_, _, network, last] = pair.a.v4.octets();
    let to = [2, 0, 0, 0x77, network, last];
    let tagged = [&[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 0x08, 0][..], &packet].concat();
    inject(&pair.b, &frame(to, &tagged));
    let mut lie = packet.clone();
    (lie[2], lie[3]) = (0xff, 0xff);
    inject(&pair.b, &frame(to, &[&[0x08, 0][..], &lie].concat()));
    captured(&mut monitor, &pair.a, ("received", 2));
    let report = monitor.stop();
    let last = report.last();
    let flows = last.flows();
    let tagged =
        flows.iter().find(|flow| field(field(flow, "local"), "port") == 7001).expect("the tagged one");
    assert_eq!(counters(tagged).rx_bytes, bytes, "{tagged}");
    let lie = flows.iter().find(|flow| field(flow, "proto") == "eth-0800").expect("the lie");
    assert_eq!(counters(lie).rx_bytes, bytes, "{lie}");
    assert_eq!(number(capture(last, &pair.a), "malformed"), 1);
    balance(&report);
}

/// What the wire carried: bytes and packets in and out. A capture sees no super-packets, which the kernel counts as such.
fn wire(counters: Counters) -> [u64; 4] {
    [counters.rx_bytes, counters.tx_bytes, counters.rx_packets, counters.tx_packets]
}

/// A flow: protocol, local and remote end, owner, and what the wire carried.
type Told = (String, Value, Value, Value, [u64; 4]);

/// Flows by protocol, ends and owner.
fn told(object: &Object) -> Vec<Told> {
    let mut told: Vec<_> = object
        .flows()
        .iter()
        .map(|flow| {
            let [local, remote, pid] = ["local", "remote", "pid"].map(|name| field(flow, name).clone());
            (field(flow, "proto").to_string(), local, remote, pid, wire(counters(flow)))
        })
        .collect();
    told.sort_by_key(|row| format!("{row:?}"));
    told
}

#[test]
#[ignore = "needs root and BPF"]
fn both_backends_agree_on_flows_bytes_and_owners_that_last() {
    const SHORT: u64 = 12;
    let mut scene = Scene::on(Pair::new().without_offloads());
    let mut packets = on(&scene.pair.a, &[]);
    let mut kernel = Monitor::counting(command_on(&scene.pair.a.name, &scene.pair.a.netns));
    for version in [Version::V4, Version::V6] {
        let connection = scene.connect(version);
        scene.upload(connection, 200_000);
        scene.download(connection, 100_000);
    }
    until(&mut packets, "everything has its owner", |object| is_owned(object, 400_000));
    // Processes that are gone before anybody looks.
    let (_, sink) = scene.datagram_server(Version::V4);
    for _ in 0..SHORT {
        let mut short = Agent::spawn(&scene.cgroup, &scene.pair.a.netns, "short");
        let socket = short.socket(&format!("datagram {}", scene.pair.a.address(Version::V4, 0)));
        short.ask(&format!("send-to {} {sink} 1 100", socket.id));
        short.kill();
    }
    let all = wire(kernel.next_object().totals());
    until(&mut packets, &format!("everything was seen and nothing waits, as in {all:?}"), |object| {
        wire(object.totals()) == all && number(field(&object["ledger"], "tx"), "pending") == 0
    });
    let (packets, kernel) = (packets.stop(), kernel.stop());
    balance(&packets);
    balance(&kernel);
    let (packets, kernel) = (packets.last(), kernel.last());
    let [seen, counted] = [packets, kernel].map(|object| wire(object.totals()));
    assert_eq!(seen, counted, "without offloads there is no difference in headers");
    let is_short = |row: &Told| row.4[3] == 1;
    let (short, long): (Vec<_>, Vec<_>) = told(packets).into_iter().partition(is_short);
    let (known, exact): (Vec<_>, Vec<_>) = told(kernel).into_iter().partition(is_short);
    assert_eq!(long, exact, "flows, bytes and owners of connections that last");
    let ends = |rows: &[Told]| {
        rows.iter().map(|row| (row.1.to_string(), row.2.to_string(), row.4)).collect::<Vec<_>>()
    };
    assert_eq!((ends(&short), known.len() as u64), (ends(&known), SHORT), "flows and bytes of the others");
    assert!(known.iter().all(|row| !row.3.is_null()), "the kernel has every owner: {known:#?}");
    let missed = short.iter().filter(|row| row.3.is_null()).count();
    println!("of {SHORT} processes with one datagram each, captured packets missed the owner of {missed}");
    let wrong =
        short.iter().zip(&known).filter(|(found, true_one)| !found.3.is_null() && found.3 != true_one.3);
    assert_eq!(wrong.count(), 0, "an owner is missed, and never another one");
}

#[test]
#[ignore = "needs root and BPF"]
fn an_interface_that_vanishes_is_captured_again_when_it_is_back() {
    let netns = Netns::new();
    let make = |index: u32| {
        netns.ip(&format!("link add dm0 index {index} type veth peer name dm1"));
        netns.ip("addr add 10.88.0.1/24 dev dm0");
        netns.ip("link set dm1 up");
        netns.ip("link set dm0 arp off up");
        let (v4, v6) = ([10, 88, 0, 1].into(), "fd88::1".parse().expect("an address"));
        End { netns: netns.clone(), name: "dm0".to_owned(), index, v4, v6 }
    };
    let first = make(700);
    // The filter keeps out what the system sends by itself, and has to hold for the second one, too.
    let mut monitor = on(&first, &["-f", "udp dst port 9"]);
    let packet = udp_packet((first.v4, 9), ([10, 88, 0, 9].into(), 9), 50);
    let frame = frame([2; 6], &[&[0x08, 0][..], &packet].concat());
    inject(&first, &frame);
    until(&mut monitor, "the frame came", |object| object.totals().tx_packets == 1);
    netns.ip("link del dm0");
    until(&mut monitor, "the loss is said", |object| {
        object.degraded().iter().any(|what| what.starts_with("nothing is captured on dm0"))
    });
    let second = make(701);
    until(&mut monitor, "it is back", |object| {
        !object.degraded().iter().any(|what| what.starts_with("nothing is captured"))
    });
    inject(&second, &frame);
    until(&mut monitor, "the second frame came", |object| object.totals().tx_packets == 2);
    balance(&monitor.stop());
}

#[test]
#[ignore = "needs root and BPF"]
fn what_is_wrong_for_good_is_one_line_at_once() {
    for (arguments, says) in [
        (["-i", "lo", "-f", "port 53 and ("], "pcap-filter(7)"),
        (["-i", "lo", "-f", "no such thing"], "pcap-filter(7)"),
        (["-i", "nosuch0", "-f", "tcp"], "--list-interfaces"),
        (["-i", "x\u{1b}[2J", "-f", "tcp"], "x\\u{1b}[2J"),
    ] {
        let mut command = monitor(&["--backend", "pcap"]);
        command.args(arguments);
        let (code, said, objects) = ended(command);
        assert_eq!((code, said.lines().count(), objects.len()), (Some(1), 1, 0), "{arguments:?}: {said}");
        assert!(said.contains(says) && !said.contains('\u{1b}'), "{arguments:?}: {said}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_filter_and_a_net_leave_out_what_they_say() {
    let mut scene = Scene::new();
    let (kept, address) = scene.datagram_server(Version::V4);
    let (other, elsewhere) = scene.datagram_server(Version::V4);
    let mut filtered = on(&scene.pair.a, &["-f", &format!("udp port {}", kept.port)]);
    let mut inside = on(&scene.pair.a, &["-F", "10.77.0.0/24"]);
    let client = scene.client.socket(&format!("datagram {}", scene.pair.a.address(Version::V4, 0)));
    scene.client.ask(&format!("send-to {} {address} 3 100", client.id));
    scene.client.ask(&format!("send-to {} {elsewhere} 5 100", client.id));
    until(&mut filtered, "three packets came", |object| object.totals().tx_packets == 3);
    captured(&mut inside, &scene.pair.a, ("excluded", 8));
    let report = filtered.stop();
    assert!(report.last().flows().iter().all(|flow| field(field(flow, "remote"), "port") != other.port));
    assert_eq!(inside.stop().last().totals(), Counters::default());
}

#[test]
#[ignore = "needs root and BPF"]
fn where_the_kernel_does_not_count_packets_are_captured_and_the_reason_is_told() {
    let mut scene = Scene::new();
    let mut command = scene.pair.a.netns.command(program::monitor());
    // Without -i: the device is the first that runs and is not the loopback.
    command.args(["--json", "--interval", "0.2", "--refuse", "egress"]);
    let mut monitor = Monitor::counting(command);
    let connection = scene.connect(Version::V4);
    scene.upload(connection, 10_000);
    let object = until(&mut monitor, "everything has its owner", |object| is_owned(object, 10_000));
    assert_eq!(object["backend"], "pcap");
    let why = &object.degraded()[0];
    assert!(why.starts_with("packets are captured") && why.contains("egress"), "{why}");
    let report = monitor.stop();
    balance(&report);
    assert_eq!(sum(report.last().flows_of(scene.client.pid())), report.last().totals());
}

#[test]
#[ignore = "needs root and BPF"]
fn an_lsof_that_hangs_or_lies_is_named_and_costs_no_byte() {
    let mut scene = Scene::new();
    let directory = tempfile::tempdir().expect("a directory");
    let fake = directory.path().join("lsof");
    for (script, says) in [("exec sleep 100", "longer than"), ("echo nonsense", "not its output")] {
        fs::write(&fake, format!("#!/bin/sh\n{script}\n")).expect("write a program");
        fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).expect("make it one");
        // In the place of the system's, for this program only: no other is run.
        let mut command = scene.pair.a.netns.command("unshare");
        command.args(["--mount", "sh", "-c", "mount --bind \"$0\" \"$(command -v lsof)\" && exec \"$@\""]);
        command.arg(&fake).arg(program::monitor()).args(["--json", "--no-dns", "--interval", "0.2"]);
        command.args(["-i", &scene.pair.a.name, "--backend", "pcap", "--attribution", "lsof"]);
        let mut monitor = Monitor::counting(command);
        let connection = scene.connect(Version::V4);
        scene.upload(connection, 10_000);
        let object = until(&mut monitor, "what is wrong is said", |object| {
            object["degraded"].to_string().contains(says)
        });
        assert!(
            object["degraded"].to_string().contains("no new flow gets an owner"),
            "{:#}",
            object["degraded"]
        );
        let report = monitor.stop();
        balance(&report);
        assert!(report.last().totals().tx_bytes > 10_000);
    }
}

fn read(file: &[u8], more: &[&str]) -> (Option<i32>, String, Vec<Object>) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("file");
    fs::write(&path, file).expect("write a file");
    let mut command = monitor(&["--read"]);
    command.arg(path).args(more);
    ended(command)
}

#[test]
fn a_file_is_told_in_its_own_time_and_at_full_speed() {
    // More than the minute that tests wait for anything: it is not told in its own time.
    let (code, said, objects) = read(&recorded(600), &[]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert_eq!(objects.len(), 60, "one object for each second");
    let last = objects.last().expect("there are some");
    assert_eq!(last["backend"], "file");
    assert_eq!(last["time"], "2023-11-14T22:14:19.900Z");
    assert_eq!((last.totals().tx_bytes, last.totals().tx_packets), (600 * 128, 600));
    assert_eq!(number(field(&last["ledger"], "tx"), "unknown"), 600 * 128);
    let [what @ .., _] = &last.degraded()[..] else { panic!("nothing is said of the ends") };
    assert!(!what.is_empty() && last["degraded"].to_string().contains("-F"), "{:#}", last["degraded"]);
    let turned = read(&recorded(10), &["-F", "192.0.2.0/24"]).2;
    assert_eq!(turned.last().expect("there are some").totals().rx_packets, 10, "the other side");
}

#[test]
fn a_fault_in_a_file_is_told_with_its_offset_after_what_was_before() {
    let whole = recorded(20);
    let (code, said, objects) = read(&whole[..whole.len() - 3], &[]);
    let offset = whole.len() - 144;
    assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains(&format!("at offset {offset}:")), "{said}");
    assert_eq!(objects.last().expect("what was before").totals().tx_packets, 19);
    for (bad, says) in [(&b"\x7fELF, not packets"[..], "neither pcap nor pcapng"), (b"", "it is empty")] {
        let (code, said, objects) = read(bad, &[]);
        assert_eq!((code, objects.len()), (Some(1), 0), "{said}");
        assert!(said.contains("at offset 0") && said.contains(says), "{said}");
    }
    let (code, said, ..) = ended(monitor(&["--read", "/nonexistent/file"]));
    assert_eq!(code, Some(1));
    assert!(said.contains("/nonexistent/file"), "{said}");
}

#[test]
fn an_empty_capture_and_a_huge_sparse_one_are_no_trouble() {
    let (code, said, objects) = read(&recorded(0), &[]);
    assert_eq!((code, objects.len()), (Some(0), 1), "{said}");
    assert_eq!(objects[0].totals(), Counters::default());
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("sparse");
    fs::write(&path, recorded(1)).expect("write a file");
    let file = fs::File::options().write(true).open(&path).expect("open it");
    // Headers that say nothing, 16 million of them.
    file.set_len(256 << 20).expect("make it long");
    let mut command = Command::new("sh");
    // 600 MB of address space would not hold the file twice, nor a row for each of its records.
    command.args(["-c", "ulimit -v 600000; exec \"$@\"", "sh"]);
    command.arg(program::monitor()).arg("--read").arg(&path);
    // As long as it takes: sixteen million records are work, on a busy machine for longer than a step of a test.
    let output = command.arg("--json").output().expect("run monitor");
    let (printed, said) =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).into();
    let last = printed.lines().last().unwrap_or_else(|| panic!("nothing was told: {said}"));
    let last: Value = serde_json::from_str(last).expect("JSON");
    assert!(output.status.success() || said.contains("at offset"), "{}: {said}", output.status);
    let received = number(&field(&last["ledger"], "interfaces")[0]["capture"], "received");
    assert!(received > 16_000_000, "{received}");
}

#[test]
fn standard_input_is_a_file_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("file");
    fs::write(&path, recorded(5)).expect("write a file");
    let mut command = Command::new("sh");
    command.args(["-c", "cat \"$1\" | \"$0\" --read - --json"]).arg(program::monitor()).arg(&path);
    let printed = program::output(command);
    let last: Value = serde_json::from_str(printed.lines().last().expect("a line")).expect("JSON");
    assert_eq!(number(field(&last, "totals"), "tx_packets"), 5);
}

#[test]
fn what_contradicts_itself_is_a_usage_error() {
    for arguments in [
        &["--backend", "ebpf", "-f", "tcp"][..],
        &["--backend", "pcap", "--cgroup", "/x"],
        &["--read", "x", "-i", "lo"],
        &["--read", "x", "--backend", "pcap"],
        &["--speed", "2"],
        &["-F", "fd00::/8"],
        &["--buffer-size", "7"],
        &["--backend", "sniff"],
    ] {
        let (code, said, ..) = ended(monitor(arguments));
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
    }
}

#[test]
fn interfaces_are_listed_without_privileges() {
    let printed = program::output(monitor(&["--list-interfaces"]));
    let loopback = printed.lines().find(|line| line.starts_with("lo ")).expect("lo");
    assert!(loopback.contains("127.0.0.1"), "{printed}");
    assert!(printed.lines().filter(|line| line.contains(" default ")).count() <= 2, "one default: {printed}");
}
