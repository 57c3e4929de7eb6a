//! The made-up server of docs/screens.md and of most pictures: processes with names of every kind, and two minutes of what
//! they moved.

use super::*;
use crate::model::{
    Ancestor, Container, FlowRow, Identity, InterfaceLedger, InterfaceSide, Mono, Pod, ProcessId, ProcessRow,
    Protocol, TapSide, TcpHealth, TcpState,
};
use crate::query::Row;
use std::collections::{BTreeMap, BTreeSet};

/// Since boot.
const NOW: Mono = Mono(18_112_000_000_000);
/// The network namespace that a host boots with.
const NETNS: u64 = 1;

fn ago(seconds: u64) -> Mono {
    NOW.minus(Duration::from_secs(seconds))
}

/// The busy server, with everything that can be known of its processes.
pub(super) fn named() -> Snapshot {
    let busy = busy();
    let flows: Vec<Arc<FlowRow>> = busy.flows.iter().map(|row| Arc::new(flow(row, &busy))).collect();
    let processes = busy.processes.iter().map(|row| Arc::new(process(row, &flows))).collect();
    let mut ledger = busy.ledger.clone();
    ledger.interfaces =
        [("lo", 1), ("eth0", 2)].map(|(name, index)| Arc::new(interface(name, index, &flows))).into();
    let boot_wall = busy.wall.minus(NOW.since(Mono(0)));
    Snapshot { sequence: 752, at: NOW, boot_wall, ledger, processes, flows, ..busy }
}

/// The same, with what is missing on a kernel that refuses something.
pub(super) fn lacking() -> Snapshot {
    Snapshot { health: Arc::new(degraded(2)), ..named() }
}

/// A screen that has watched it for two minutes.
pub(super) fn watched(size: (u16, u16)) -> Screen {
    let mut screen = Screen::new(named(), size);
    let now = named();
    for second in (0..120).rev() {
        // Between 60 and 100 %, up and down, each row in a time of its own; now it is all of it.
        let part = |row: usize| {
            let (period, phase) = (30 + 7 * row as u64, second % (30 + 7 * row as u64));
            100 - 80 * phase.min(period - phase) / period
        };
        let scaled = |counters: &crate::model::Counters, row| {
            let bytes = |bytes: u64| bytes * part(row) / 100;
            crate::query::fixture::counters(bytes(counters.rx_bytes), bytes(counters.tx_bytes))
        };
        let mut then = Snapshot { sequence: now.sequence - second, at: ago(second), ..now.clone() };
        for (place, row) in then.processes.iter_mut().enumerate() {
            Arc::make_mut(row).interval = scaled(&row.interval, place);
        }
        for (place, row) in then.flows.iter_mut().enumerate() {
            // Flow after flow they are those of the processes, the first of which is idle.
            Arc::make_mut(row).interval = scaled(&row.interval, place + 1);
        }
        then.totals.interval = then.processes.iter().map(|row| row.interval).sum();
        screen.state.history.take(&then);
    }
    screen
}

fn process(row: &ProcessRow, flows: &[Arc<FlowRow>]) -> ProcessRow {
    let is_curl = &*row.process == "curl";
    let is_its = |flow: &&Arc<FlowRow>| flow.attribution.owner == row.id && row.id.is_some();
    ProcessRow {
        identity: Arc::new(identity(row)),
        uid: uid(row),
        start: row.start.map(|_| ago(if is_curl { 81 } else { 18_100 })),
        exited: is_curl.then_some(ago(2)),
        flows: flows.iter().filter(is_its).filter(|flow| flow.closed.is_none()).count(),
        last: ago(0),
        ..row.clone()
    }
}

fn flow(row: &FlowRow, busy: &Snapshot) -> FlowRow {
    let owner = busy.processes.iter().find(|process| process.id == row.attribution.owner);
    let owner = owner.filter(|process| process.id.is_some());
    let is_curl = &*row.process == "curl";
    let is_tcp = row.id.protocol == Protocol::TCP;
    let tcp = TcpHealth {
        state: TcpState::Established,
        srtt: Duration::from_micros(1200 * row.id.socket.0),
        cwnd: 10,
        retransmits: u32::from(row.id.socket.0 == 4) * 17,
        acked_bytes: row.total.tx_bytes,
        received_bytes: row.total.rx_bytes,
    };
    let is_local = row.id.remote.addr.is_loopback();
    let mut id = row.id;
    (id.netns, id.ifindex) = (NETNS, if is_local { 1 } else { 2 });
    FlowRow {
        id,
        interface: if is_local { "lo" } else { "eth0" }.into(),
        identity: owner.map(|owner| Arc::new(identity(owner))).unwrap_or_default(),
        uid: owner.and_then(|owner| uid(owner)),
        closed: is_curl.then_some(ago(1)),
        tcp: is_tcp.then_some(tcp),
        first: ago(if is_curl { 80 } else { 740 }),
        last: ago(0),
        ..row.clone()
    }
}

/// What an interface carried: what its flows did, and a little of what no socket sees.
fn interface(name: &str, ifindex: u32, flows: &[Arc<FlowRow>]) -> InterfaceLedger {
    let side = |bytes: fn(&FlowRow) -> u64| {
        let tap = TapSide { link: 340_784 * i64::from(ifindex - 1), ..TapSide::default() };
        let mut side = InterfaceSide { tap: Some(tap), ..InterfaceSide::default() };
        for flow in flows.iter().filter(|flow| flow.id.ifindex == ifindex) {
            let row = Row::Flow(flow);
            *match row.confidence() {
                _ if row.owner() == Some(ProcessId::KERNEL) => &mut side.kernel,
                Confidence::Exact | Confidence::Inherited | Confidence::Shared => &mut side.attributed,
                Confidence::Pending => &mut side.pending,
                Confidence::Ambiguous => &mut side.ambiguous,
                Confidence::Unknown => &mut side.unknown,
            } += bytes(flow);
        }
        let all = side.attributed + side.kernel + side.pending + side.ambiguous + side.unknown;
        side.device = Some(all + u64::try_from(tap.sum()).unwrap());
        side.closed()
    };
    InterfaceLedger {
        capture: None,
        changed: 0,
        netns: NETNS,
        ifindex,
        name: name.into(),
        rx: side(|flow| flow.total.rx_bytes),
        tx: side(|flow| flow.total.tx_bytes),
    }
}

fn uid(row: &ProcessRow) -> Option<u32> {
    Some(match identity(row).user.as_deref()? {
        "www-data" => 33,
        "postgres" => 110,
        "deploy" => 1000,
        "cart" => 1001,
        "mallory" => 1002,
        _ => 0,
    })
}

fn container(runtime: &'static str, id: &str, name: Option<&str>) -> Arc<Container> {
    let (id, name) = (id.into(), name.map(Into::into));
    Arc::new(Container { runtime, id, name, claimed_by: None })
}

fn identity(row: &ProcessRow) -> Identity {
    let parents = |names: &[(&str, u32)]| {
        let one = |(comm, pid): &(&str, u32)| Ancestor {
            // As those that have a row of their own.
            id: ProcessId { pid: *pid, generation: 7 },
            comm: (*comm).into(),
        };
        names.iter().map(one).collect()
    };
    let known = Identity { netns_inode: 4_026_531_840, ..Identity::default() };
    match &*row.process {
        "nginx" => Identity {
            cmdline: Some("nginx: master process /usr/sbin/nginx -g daemon on; master_process on;".into()),
            parents: parents(&[("systemd", 1)]),
            user: Some("www-data".into()),
            cgroup: Some("/system.slice/nginx.service".into()),
            unit: Some("nginx.service".into()),
            slice: Some("system.slice".into()),
            package: Some("nginx-core".into()),
            ..known
        },
        "postgres" => Identity {
            cmdline: Some("postgres: checkpointer".into()),
            parents: parents(&[("containerd-shim", 8800), ("systemd", 1)]),
            user: Some("postgres".into()),
            cgroup: Some("/system.slice/docker-4f1e.scope".into()),
            unit: Some("docker-4f1e.scope".into()),
            slice: Some("system.slice".into()),
            container: Some(container(
                "docker",
                "4f1e02f5c8d94a3b9b0c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a1b0c9d8e7f6a",
                Some("shop-db-1"),
            )),
            ..known
        },
        "curl" => Identity {
            cmdline: Some("curl -O https://example.org/large.iso".into()),
            parents: parents(&[("bash", 30_100), ("sshd", 30_090), ("sshd", 812), ("systemd", 1)]),
            user: Some("deploy".into()),
            cgroup: Some("/user.slice/user-1000.slice/session-4.scope".into()),
            unit: Some("session-4.scope".into()),
            slice: Some("user-1000.slice".into()),
            package: Some("curl".into()),
            ..known
        },
        "データベース管理プロセス" => Identity {
            user: Some("cart".into()),
            pod: Some(Arc::new(Pod {
                uid: "0f4b2c1e-6a1d-4b0e-9b1c-7f1f3f2d5a10".into(),
                name: Some("cart-7d4b9c".into()),
                namespace: Some("shop".into()),
            })),
            container: Some(container("containerd", &"9a".repeat(32), None)),
            ..known
        },
        "a\u{1b}[2J\u{202e}b" => Identity {
            user: Some("mallory".into()),
            unit: Some("evil\u{1b}[31m.service".into()),
            cmdline: Some("a\u{1b}[2J\u{202e}b --now\nfake: line".into()),
            ..known
        },
        "sshd" => Identity {
            parents: parents(&[("systemd", 1)]),
            user: Some("root".into()),
            unit: Some("ssh.service".into()),
            package: Some("openssh-server".into()),
            ..known
        },
        name if name.starts_with("worker") => Identity {
            parents: parents(&[("nginx", 2817), ("systemd", 1)]),
            user: Some("www-data".into()),
            unit: Some("nginx.service".into()),
            slice: Some("system.slice".into()),
            package: Some("nginx-core".into()),
            ..known
        },
        _ => Identity::default(),
    }
}

/// E17: www-data had thirty uids, loopback was on eth0, and pages had no graph beside 212 Mb/s.
#[test]
fn the_made_up_server_is_one_that_could_be() {
    let server = named();
    let mut users: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    let rows = server.processes.iter().map(|row| (&row.identity, row.uid));
    for (identity, uid) in rows.chain(server.flows.iter().map(|row| (&row.identity, row.uid))) {
        assert_eq!(identity.user.is_some(), uid.is_some());
        if let (Some(user), Some(uid)) = (&identity.user, uid) {
            users.entry(user).or_default().insert(uid);
        }
    }
    assert!(users.values().all(|uids| uids.len() == 1), "{users:?}");
    assert_eq!(users.values().flatten().collect::<BTreeSet<_>>().len(), users.len(), "{users:?}");
    for flow in &server.flows {
        assert_eq!(flow.id.remote.addr.is_loopback(), &*flow.interface == "lo", "{:?}", flow.id);
    }
    let carried: u64 = server.ledger.interfaces.iter().map(|interface| interface.rx.device.unwrap()).sum();
    let counted = server.totals.total.rx_bytes;
    assert!(carried <= counted + 340_784, "{carried} on devices, {counted} at sockets");
    let held: usize = server.processes.iter().map(|row| row.flows).sum();
    assert!(held <= server.flows.len(), "{held} flows of processes");
    for keys in ["\n", "\t\n", "\n\n"] {
        for size in [(80, 40), (120, 40)] {
            let mut screen = watched(size);
            keys.chars().for_each(|c| {
                screen.press(if c == '\t' { KeyCode::Tab } else { KeyCode::Enter });
            });
            let text = screen.text();
            assert!(text.contains("212Mb/s") && text.contains('█') && !text.contains("<0b/s"), "{text}");
        }
    }
}
