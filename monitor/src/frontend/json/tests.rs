//! One whole object against a literal, and what the loop does with the feed.

#[expect(unreachable_pub, reason = "the integration tests use the same file")]
#[path = "../../../../tests/src/schema.rs"]
mod check;
mod schema;
mod table;

use super::*;
use crate::model::bits_per_second;
use crate::model::{
    Ancestor, Backend, Confidence, Container, Degradation, Endpoint, Health, Identity, Ledger, LedgerSide,
    MapHealth, Mono, Names, OwnCost, Pod, ProcessId, Protocol, TcpHealth, TcpState,
};
use crate::query::fixture::{busy, endpoint, flow, kernel, nobody, process, snapshot};
use serde_json::{Value, json};
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::mpsc;

/// Remembers each write.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<Vec<u8>>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A reader that went away.
struct Closed(io::ErrorKind);

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs the frontend on a feed; returns what it asked for and how it ended.
fn run<W: Write + Send>(json: Json<W>, snapshots: Vec<Snapshot>) -> (Option<Command>, anyhow::Result<()>) {
    let (sender, feed) = mpsc::channel(1);
    let (control, mut commands) = mpsc::unbounded_channel();
    let ended = std::thread::scope(|scope| {
        scope.spawn(move || {
            for snapshot in snapshots {
                // The frontend may leave early.
                let _ = sender.blocking_send(Arc::new(snapshot));
            }
        });
        Box::new(json).run(feed, control)
    });
    (commands.try_recv().ok(), ended)
}

fn objects(once: bool, snapshots: Vec<Snapshot>) -> (Vec<Value>, Option<Command>) {
    let sink = Sink::default();
    let (command, ended) = run(Json::to(sink.clone(), Choice::default(), once), snapshots);
    ended.unwrap();
    let writes = sink.0.lock().unwrap();
    for write in writes.iter() {
        assert_eq!(write.split(|byte| *byte == b'\n').count(), 2, "one line, one write");
        assert_eq!(write.last(), Some(&b'\n'));
    }
    (writes.iter().map(|line| serde_json::from_slice(line).unwrap()).collect(), command)
}

/// A flow and a process of every kind.
fn small() -> Snapshot {
    let nginx = process(2817, "nginx", 8_000_000, 80_000);
    let system = kernel(16_000, 0);
    let unknown = nobody(Confidence::Unknown, 0, 8000);
    let mut ping = flow(0, &system, endpoint("::1", 0), endpoint("fe80::1", 0));
    ping.id.local = Endpoint { port: None, ..ping.id.local };
    ping.id.remote = Endpoint { port: None, ..ping.id.remote };
    (ping.id.protocol, ping.id.netns, ping.interface) = (Protocol::ICMPV6, 0, "".into());
    let mut raw = flow(7, &unknown, endpoint("10.0.0.5", 9), endpoint("10.0.0.6", 10));
    (raw.id.protocol, raw.attribution.reason) = (Protocol::Ip(200), None);
    let mut web = flow(1, &nginx, endpoint("10.0.0.5", 443), endpoint("93.184.216.34", 52211));
    web.tcp = Some(TcpHealth {
        state: TcpState::CloseWait,
        srtt: Duration::from_micros(1500),
        cwnd: 10,
        retransmits: 3,
        acked_bytes: 4,
        received_bytes: 5,
    });
    // Its socket was closed; the sample before that says something else.
    web.closed = Some(Mono(2_000_000_000));
    let flows = vec![web, ping, raw];
    let mut small = snapshot(vec![nginx, system, unknown], flows);
    let degraded = vec![Degradation { what: "a \"b\"".into(), why: "c\nd".into(), fix: "none".into() }];
    let maps = vec![MapHealth { name: "OWNERS", id: 1, capacity: 0, fill: 0, memory: 7 }];
    small.health = Arc::new(Health { degraded, maps, ..(*small.health).clone() });
    small.own = OwnCost { cpu: Duration::from_millis(5), memory: Some(6), ..OwnCost::default() };
    small.ledger = Ledger {
        rx: LedgerSide { counted: 3, attributed: 1, kernel: 2, ..LedgerSide::default() },
        tx: LedgerSide {
            pending: 1,
            ambiguous: 2,
            unknown: 3,
            overflow: 4,
            injected: 5,
            forwarded: Some(6),
            ..LedgerSide::default()
        },
        interfaces: Vec::new(),
    };
    small
}

/// The first process with everything that can be known of it, and names of what it talks to.
fn named(mut snapshot: Snapshot) -> Snapshot {
    let first = Arc::make_mut(&mut snapshot.processes[0]);
    first.identity = Arc::new(Identity {
        name: None,
        cmdline: Some("nginx: master".into()),
        parents: [Ancestor { id: ProcessId { pid: 1, generation: 1 }, comm: "init".into() }].into(),
        user: Some("www".into()),
        cgroup: Some("/a.slice/b.service".into()),
        unit: Some("b.service".into()),
        slice: Some("a.slice".into()),
        container: Some(Arc::new(Container {
            runtime: "docker",
            id: "0f".into(),
            name: Some("web".into()),
            claimed_by: None,
        })),
        pod: Some(Arc::new(Pod { uid: "u".into(), name: None, namespace: None })),
        netns_inode: 7,
        package: Some("nginx".into()),
        sha256: Some("ff".into()),
        unhashed: None,
    });
    first.exited = first.start.map(|start| start.plus(Duration::from_secs(9)));
    let hosts = [(std::net::IpAddr::from([93, 184, 216, 34]), "example.org".into())].into();
    let services = Arc::new([((Protocol::TCP, 443), "https".into())].into());
    Snapshot { names: Arc::new(Names { hosts, services }), ..snapshot }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one literal of everything")]
fn golden_object() {
    let counted = |rx: u64, tx: u64| {
        json!({
            "rx_bytes": rx * 60, "tx_bytes": tx * 60,
            "rx_packets": rx * 60 / 1000, "tx_packets": tx * 60 / 1000,
            "rx_bps": rx, "tx_bps": tx,
            "rx_skb_bytes": rx * 30, "tx_skb_bytes": tx * 30,
            "rx_skbs": rx * 60 / 2000, "tx_skbs": tx * 60 / 2000,
        })
    };
    let with = |mut object: Value, counted: Value| {
        let Value::Object(counted) = counted else { unreachable!() };
        object.as_object_mut().unwrap().extend(counted);
        object
    };
    let unnamed = |object: Value| {
        let nothing = json!({
            "full_name": null, "sha256_reason": null,
            "cmdline": null, "user": null, "cgroup": null, "unit": null, "slice": null, "container": null,
            "pod": null, "netns_inode": null, "package": null, "sha256": null, "parents": [], "exited": null,
        });
        with(object, nothing)
    };
    let expected = json!({
        "schema": 1,
        "time": "2026-01-02T03:04:05.678Z",
        "backend": "ebpf",
        "tier": "T4",
        "scope": "all sockets",
        "interval_ns": 1_000_000_000,
        "degraded": [{"what": "a \"b\"", "why": "c\nd", "fix": "none"}],
        "own": {"cpu_ns": 5_000_000, "memory": 6, "kernel_memory": 7},
        "ledger": {
            "rx": {
                "counted": 3, "attributed": 1, "kernel": 2, "pending": 0, "ambiguous": 0, "unknown": 0,
                "overflow": 0, "injected": 0, "device": null, "forwarded": null, "remainder": null,
            },
            "tx": {
                "counted": 0, "attributed": 0, "kernel": 0, "pending": 1, "ambiguous": 2, "unknown": 3,
                "overflow": 4, "injected": 5, "device": null, "forwarded": 6, "remainder": null,
            },
            "interfaces": [],
        },
        "totals": counted(8_016_000, 88_000),
        "processes": [
            with(json!({
                "pid": 2817, "start": "2026-01-02T03:03:55.678Z", "process": "nginx", "exe": "/usr/sbin/nginx",
                "uid": 817, "cmdline": "nginx: master", "user": "www", "cgroup": "/a.slice/b.service",
                "unit": "b.service", "slice": "a.slice",
                "container": {"runtime": "docker", "id": "0f", "name": "web", "claimed_by": null},
                "pod": {"uid": "u", "name": null, "namespace": null}, "netns_inode": 7, "package": "nginx",
                "full_name": null, "sha256": "ff", "sha256_reason": null, "parents": [{"pid": 1, "process": "init"}],
                "exited": "2026-01-02T03:04:04.678Z", "attribution": {"confidence": "exact"},
            }), counted(8_000_000, 80_000)),
            with(unnamed(json!({
                "pid": 0, "start": null, "process": "kernel", "exe": null, "uid": null,
                "attribution": {"confidence": "exact"},
            })), counted(16_000, 0)),
            with(unnamed(json!({
                "pid": null, "start": null, "process": null, "exe": null, "uid": null,
                "attribution": {"confidence": "unknown", "reason": "no owner seen"},
            })), counted(0, 8000)),
        ],
        "flows": [
            with(json!({
                "proto": "tcp",
                "local": {"addr": "10.0.0.5", "port": 443, "name": null, "service": "https"},
                "remote": {"addr": "93.184.216.34", "port": 52211, "name": "example.org", "service": null},
                "pid": 2817, "process": "nginx", "uid": 817, "interface": "eth0",
                "netns": 4_026_531_840_u64, "socket": 1,
                "tcp": {
                    "state": "closed", "srtt_us": 1500, "cwnd": 10, "retransmits": 3,
                    "acked_bytes": 4, "received_bytes": 5,
                },
                "attribution": {"method": "connect", "confidence": "exact"},
            }), counted(8_000_000, 80_000)),
            with(json!({
                "proto": "icmpv6",
                "local": {"addr": "::1", "port": null, "name": null, "service": null},
                "remote": {"addr": "fe80::1", "port": null, "name": null, "service": null},
                "pid": 0, "process": "kernel", "uid": null, "interface": null,
                "netns": null, "socket": null, "tcp": null,
                "attribution": {"method": "connect", "confidence": "exact"},
            }), counted(16_000, 0)),
            with(json!({
                "proto": "ip-200",
                "local": {"addr": "10.0.0.5", "port": 9, "name": null, "service": null},
                "remote": {"addr": "10.0.0.6", "port": 10, "name": null, "service": null},
                "pid": null, "process": null, "uid": null, "interface": "eth0",
                "netns": 4_026_531_840_u64, "socket": 7, "tcp": null,
                "attribution": {"method": "none", "confidence": "unknown", "reason": "no owner seen"},
            }), counted(0, 8000)),
        ],
    });
    let (objects, _) = objects(false, vec![named(small())]);
    assert_eq!(objects, [expected]);
}

#[test]
fn hosts_services_and_ports_have_the_names_that_flows_have() {
    use crate::query::ViewKind::{Hosts, Ports, Services};
    let hosts = [(std::net::IpAddr::from([93, 184, 216, 34]), "example.org".into())].into();
    let services = [((Protocol::TCP, 443), "https".into()), ((Protocol::TCP, 52_000), "made-up".into())];
    let names = Arc::new(Names { hosts, services: Arc::new(services.into()) });
    let mut snapshot = Snapshot { names, ..busy() };
    Arc::make_mut(&mut snapshot.flows[0]).id.remote.port = Some(443);
    Arc::make_mut(&mut snapshot.flows[0]).id.local.port = Some(52_000);
    Arc::make_mut(&mut snapshot.flows[0]).id.remote.addr = [93, 184, 216, 34].into();
    for (view, key, name) in [
        (Hosts, "93.184.216.34", "example.org"),
        (Services, "tcp/443", "https"),
        (Ports, "tcp/52000", "made-up"),
    ] {
        let choice = Choice { view: Some(view), ..Choice::default() };
        let sink = Sink::default();
        run(Json::to(sink.clone(), choice, false), vec![snapshot.clone()]).1.unwrap();
        let object: Value = serde_json::from_slice(&sink.0.lock().unwrap()[0]).unwrap();
        let groups = object["groups"].as_array().unwrap();
        let group = groups.iter().find(|group| group["key"] == key).unwrap();
        assert_eq!(group["name"], name, "{object:#}");
    }
}

#[test]
fn fields_come_in_the_order_of_the_schema() {
    let (snapshot, choice) = (Arc::new(small()), Choice::default());
    let lists = Lists::new(&snapshot, &choice);
    let line = serde_json::to_string(&Object::new(&snapshot, &lists, &choice, false)).unwrap();
    let names = [
        "schema",
        "time",
        "backend",
        "tier",
        "scope",
        "interval_ns",
        "degraded",
        "own",
        "ledger",
        "totals",
        "processes",
        "flows",
    ];
    let places = names.map(|name| line.find(&format!("\"{name}\":")).unwrap());
    assert!(places.is_sorted(), "{line}");
    assert_eq!([Backend::Ebpf, Backend::Pcap, Backend::File].map(Backend::name), ["ebpf", "pcap", "file"]);
}

/// E15: a recording costs what it costs, but it is not measured, and `null` never stands for 0, nor 0 for `null`.
#[test]
fn what_is_not_measured_is_null() {
    let unmeasured = Snapshot { own: OwnCost::default(), ..small() };
    let (objects, _) = objects(false, vec![unmeasured]);
    assert_eq!(objects[0]["own"], Value::Null);
}

#[test]
fn names_stay_raw() {
    let (objects, _) = objects(false, vec![busy()]);
    let names: Vec<_> =
        objects[0]["processes"].as_array().unwrap().iter().map(|row| &row["process"]).collect();
    assert!(names.contains(&&json!("a\u{1b}[2J\u{202e}b")));
}

#[test]
fn an_object_lists_what_moved_and_the_last_one_everything() {
    let idle = || {
        let mut idle = busy();
        for row in &mut idle.processes {
            Arc::make_mut(row).interval = crate::model::Counters::default();
        }
        for row in &mut idle.flows[1..] {
            Arc::make_mut(row).interval = crate::model::Counters::default();
        }
        idle
    };
    let last = Snapshot { last: true, ..idle() };
    let (objects, command) = objects(false, vec![idle(), last, busy()]);
    let counts = |object: &Value| {
        (object["processes"].as_array().unwrap().len(), object["flows"].as_array().unwrap().len())
    };
    assert_eq!(objects.iter().map(counts).collect::<Vec<_>>(), [(0, 1), (41, 9)]);
    assert_eq!(command, None);
}

#[test]
fn once_prints_one_object_with_everything_and_stops() {
    let mut idle = busy();
    Arc::make_mut(&mut idle.flows[0]).interval = crate::model::Counters::default();
    let loading =
        Snapshot { health: Arc::new(Health { loading: true, ..Health::default() }), ..Snapshot::default() };
    let (objects, command) = objects(true, vec![loading, idle, busy(), Snapshot { last: true, ..busy() }]);
    assert_eq!(objects.len(), 1);
    assert_eq!(objects[0]["flows"].as_array().unwrap().len(), 9);
    assert_eq!(command, Some(Command::Stop));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let (command, ended) =
        run(Json::to(Closed(io::ErrorKind::BrokenPipe), Choice::default(), false), vec![busy(), busy()]);
    assert_eq!(command, Some(Command::Stop));
    ended.unwrap();
    let (command, ended) =
        run(Json::to(Closed(io::ErrorKind::StorageFull), Choice::default(), false), vec![busy()]);
    assert_eq!(command, Some(Command::Stop));
    assert!(ended.unwrap_err().to_string().contains("standard output"));
}

#[test]
fn rates_round_and_do_not_divide_by_nothing() {
    let second = Duration::from_secs(1);
    assert_eq!(bits_per_second(125, second), 1000);
    assert_eq!(bits_per_second(125, Duration::ZERO), 0);
    assert_eq!(bits_per_second(1, Duration::from_secs(3)), 3);
    assert_eq!(bits_per_second(1, Duration::from_secs(16)), 1);
    assert_eq!(bits_per_second(u64::MAX, Duration::from_nanos(1)), u64::MAX);
}

#[test]
fn every_object_is_as_the_schema_says() {
    let mut captured = named(small());
    captured.ledger.interfaces = busy().ledger.interfaces;
    Arc::make_mut(&mut captured.ledger.interfaces[0]).capture = Some(crate::model::Capture::default());
    let filter = Some(Arc::new(crate::query::filter::Filter::parse("total>=0").unwrap()));
    let choices = crate::query::ViewKind::ALL.map(|view| Choice {
        view: Some(view),
        filter: filter.clone(),
        ..Choice::default()
    });
    let schema = schema::schema();
    for choice in choices.into_iter().chain([Choice::default()]) {
        let sink = Sink::default();
        let snapshots = vec![captured.clone(), busy(), Snapshot { last: true, ..Snapshot::default() }];
        run(Json::to(sink.clone(), choice, false), snapshots).1.unwrap();
        let writes = sink.0.lock().unwrap();
        for line in writes.iter() {
            let object: Value = serde_json::from_slice(line).unwrap();
            assert_eq!(check::faults(&schema, &object), [""; 0]);
        }
    }
}

#[test]
fn the_check_names_what_is_wrong_and_where() {
    let (objects, _) = objects(false, vec![named(small())]);
    let schema = schema::schema();
    for (path, value, fault) in [
        ("/processes/0/pid", json!("1"), "/processes[]/pid is no [\"integer\", \"null\"]: \"1\""),
        ("/flows/0/rx_bytes", json!(-1), "/flows[]/rx_bytes is below its minimum: -1"),
        ("/own", json!({"memory": 1, "kernel_memory": 2}), "/own/cpu_ns is missing"),
        ("/flows/0/tcp/state", Value::Null, "/flows[]/tcp/state is no [\"string\"]: null"),
        (
            "/degraded/0",
            json!({"what": "", "why": "", "fix": "", "who": ""}),
            "/degraded[]/who is not in the schema",
        ),
    ] {
        let mut object = objects[0].clone();
        *object.pointer_mut(path).unwrap() = value;
        assert_eq!(check::faults(&schema, &object), [fault]);
    }
}
