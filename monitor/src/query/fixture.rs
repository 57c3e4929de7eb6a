//! Made-up snapshots for the tests of query and frontend: a busy server, and pieces to vary it with.

use crate::model::{
    Attribution, Backend, Confidence, Counters, Degradation, Endpoint, FlowId, FlowRow, Health,
    InterfaceLedger, InterfaceSide, Ledger, LedgerSide, Loaded, MapHealth, Method, Mono, OwnCost, Peak,
    ProcessId, ProcessRow, ProgramHealth, ProgramRuns, Protocol, Snapshot, SocketId, TapSide, TotalsRow,
    Wall, Windows,
};
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// 2026-01-02T03:04:05.678Z
pub(crate) const WALL: i64 = 1_767_323_045_678_912_345;

pub(crate) fn counters(rx: u64, tx: u64) -> Counters {
    Counters {
        rx_bytes: rx,
        tx_bytes: tx,
        rx_packets: rx / 1000,
        tx_packets: tx / 1000,
        rx_skb_bytes: rx / 2,
        tx_skb_bytes: tx / 2,
        rx_skbs: rx / 2000,
        tx_skbs: tx / 2000,
    }
}

pub(crate) fn windows(rx: u64, tx: u64) -> Windows {
    Windows { rx: [rx, rx / 100 * 93, rx / 100 * 90], tx: [tx, tx / 100 * 97, tx / 100 * 95] }
}

/// A process that moves `rx` and `tx` bits/s.
pub(crate) fn process(pid: u32, name: &str, rx: u64, tx: u64) -> ProcessRow {
    ProcessRow {
        id: Some(ProcessId { pid, generation: 7 }),
        confidence: Confidence::Exact,
        process: name.into(),
        exe: Some(format!("/usr/sbin/{name}").into()),
        start: Some(Mono(90_000_000_000)),
        uid: Some(pid % 1000),
        cgroup: 1,
        identity: Arc::default(),
        exited: None,
        flows: pid as usize,
        total: counters(rx * 60, tx * 60),
        interval: counters(rx / 8, tx / 8),
        windows: windows(rx, tx),
        peak: Some(Peak { rx, tx, total: rx + tx }),
        last: Mono(100),
    }
}

/// The bytes of no process.
pub(crate) fn nobody(confidence: Confidence, rx: u64, tx: u64) -> ProcessRow {
    ProcessRow {
        id: None,
        confidence,
        exe: None,
        start: None,
        uid: None,
        ..process(0, confidence.name(), rx, tx)
    }
}

/// The kernel's own bytes.
pub(crate) fn kernel(rx: u64, tx: u64) -> ProcessRow {
    let id = Some(ProcessId::KERNEL);
    ProcessRow { id, exe: None, start: None, uid: None, flows: 3, ..process(0, "kernel", rx, tx) }
}

pub(crate) fn endpoint(addr: &str, port: u16) -> Endpoint {
    Endpoint { addr: addr.parse::<IpAddr>().unwrap(), port: Some(port) }
}

/// A TCP flow of a process.
pub(crate) fn flow(socket: u64, owner: &ProcessRow, local: Endpoint, remote: Endpoint) -> FlowRow {
    let method = if owner.id.is_some() { Method::Connect } else { Method::None };
    let reason = match owner.confidence {
        Confidence::Exact => None,
        Confidence::Unknown => Some(Cow::Borrowed("AF_XDP")),
        Confidence::Inherited | Confidence::Shared | Confidence::Ambiguous | Confidence::Pending => {
            Some(Cow::Borrowed("some reason"))
        }
    };
    FlowRow {
        id: FlowId {
            socket: SocketId(socket),
            protocol: Protocol::TCP,
            local,
            remote,
            netns: 4_026_531_840,
            ifindex: 2,
        },
        attribution: Attribution { owner: owner.id, method, confidence: owner.confidence, reason },
        process: if owner.id.is_some() { owner.process.clone() } else { "".into() },
        uid: owner.uid,
        identity: Arc::default(),
        interface: "eth0".into(),
        total: owner.total,
        interval: owner.interval,
        windows: owner.windows,
        peak: owner.peak.unwrap_or_default(),
        tcp: None,
        closed: None,
        predates: false,
        first: Mono(50),
        last: Mono(100),
    }
}

/// The ledger of a tapped interface, one direction.
pub(crate) fn side(device: u64) -> InterfaceSide {
    let tap = TapSide { link: 340_784, forwarded: 12_000, ..TapSide::default() };
    let attributed = device - 88_120 - 340_784 - 12_000;
    InterfaceSide {
        device: Some(device),
        attributed,
        kernel: 88_120,
        tap: Some(tap),
        ..InterfaceSide::default()
    }
    .closed()
}

pub(crate) fn snapshot(processes: Vec<ProcessRow>, flows: Vec<FlowRow>) -> Snapshot {
    let sum = |part: fn(&Windows) -> [u64; 3]| {
        let mut sum = [0; 3];
        for row in &processes {
            for (sum, value) in sum.iter_mut().zip(part(&row.windows)) {
                *sum += value;
            }
        }
        sum
    };
    let windows = Windows { rx: sum(|w| w.rx), tx: sum(|w| w.tx) };
    let total: Counters = processes.iter().map(|row| row.total).sum();
    let interfaces = vec![Arc::new(InterfaceLedger {
        capture: None,
        changed: 9,
        netns: 4_026_531_840,
        ifindex: 2,
        name: "eth0".into(),
        rx: self::side(4_812_331_020),
        tx: self::side(1_640_212_116),
    })];
    let side = |counted: u64| LedgerSide { counted, attributed: counted, ..LedgerSide::default() };
    Snapshot {
        sequence: 9,
        at: Mono(100_000_000_000),
        wall: Wall(WALL),
        boot_wall: Wall(WALL - 100_000_000_000),
        interval: Duration::from_secs(1),
        elapsed: Duration::from_secs(751),
        totals: TotalsRow {
            total,
            interval: processes.iter().map(|row| row.interval).sum(),
            windows,
            peak: Peak { rx: windows.rx[0] * 2, tx: windows.tx[0] * 2, total: windows.rx[0] * 3 },
        },
        ledger: Ledger { rx: side(total.rx_bytes), tx: side(total.tx_bytes), interfaces },
        processes: processes.into_iter().map(Arc::new).collect(),
        flows: flows.into_iter().map(Arc::new).collect(),
        names: Arc::default(),
        inspected: None,
        held: None,
        health: Arc::new(health()),
        own: own(),
        last: false,
    }
}

/// What a quiet `monitor` costs.
pub(crate) fn own() -> OwnCost {
    OwnCost {
        cpu: Duration::from_millis(2310),
        recent_cpu: Duration::from_millis(31),
        recent: Duration::from_secs(10),
        memory: Some(14_200_000),
        wakeups: None,
        ticks: 751,
        late: 2,
        latest: Duration::from_millis(131),
        merged: 0,
    }
}

pub(crate) fn health() -> Health {
    let programs = PROGRAMS.map(|(name, runs)| program(name, Loaded::Yes, runs)).into();
    let map =
        |(name, capacity, fill)| MapHealth { name, id: 1, capacity, fill, memory: u64::from(capacity) * 144 };
    Health {
        backend: Backend::Ebpf,
        tier: "T4".into(),
        scope: "all sockets".into(),
        programs,
        maps: [("FLOWS_A", 65_536, 1204), ("FLOWS_B", 65_536, 1198), ("CLAIMS", 16_384, 42)].map(map).into(),
        drain: Duration::from_micros(8240),
        ..Health::default()
    }
}

/// Some of the kernel programs, and how often they ran.
const PROGRAMS: [(&str, u64); 4] =
    [("sock_create", 12), ("tcp_sendmsg_locked", 2_400), ("ingress", 41_000), ("egress", 38_200)];

fn program(name: &'static str, loaded: Loaded, runs: u64) -> ProgramHealth {
    let counted = ProgramRuns {
        runs: runs * 10,
        time: Duration::from_nanos(runs * 10 * 320),
        recent_runs: runs,
        recent: Duration::from_secs(1),
    };
    ProgramHealth {
        name,
        id: (loaded == Loaded::Yes).then_some(1),
        runs: (loaded == Loaded::Yes).then_some(counted),
        loaded,
        loss: "the first bytes sent on a passed TCP socket stay with the previous owner",
        fix: "use Linux 6.16 or newer, as root".into(),
    }
}

/// A source with `missing` things missing.
pub(crate) fn degraded(missing: usize) -> Health {
    let one = |n: usize| Degradation {
        what: format!("owners by receive only, kind {n}"),
        why: "tcp_sendmsg_locked: Operation not permitted (os error 1)".into(),
        fix: "sudo sysctl kernel.perf_event_paranoid=2".into(),
    };
    let refused = || Loaded::Refused("the kernel refused it: Operation not permitted (os error 1)".into());
    let programs = PROGRAMS.map(|(name, runs)| match name {
        "tcp_sendmsg_locked" if missing > 0 => program(name, refused(), runs),
        _ => program(name, Loaded::Yes, runs),
    });
    let programs = programs.into();
    Health { tier: "T2".into(), programs, degraded: (1..=missing).map(one).collect(), ..health() }
}

/// A server with a few processes of every kind, hostile names among them.
pub(crate) fn busy() -> Snapshot {
    let nginx = process(2817, "nginx", 212_000_000, 8_100_000);
    let postgres = process(9120, "postgres", 84_300_000, 22_000_000);
    let curl = process(31_007, "curl", 12_000_000, 200_000);
    let evil = process(4_194_303, "a\u{1b}[2J\u{202e}b", 1_200_000, 999_950);
    let wide = process(777, "データベース管理プロセス", 640_000, 64_000);
    let dead = process(501, "finished", 0, 0);
    let sshd = process(812, "sshd", 12_400, 56_000);
    let system = kernel(1200, 2200);
    let pending = nobody(Confidence::Pending, 52_000, 1000);
    let ambiguous = nobody(Confidence::Ambiguous, 900, 10);
    let unknown = nobody(Confidence::Unknown, 40, 0);
    let v6 = endpoint("2001:db8:1234:5678:9abc:def0:1234:5678", 443);
    let inherited = ProcessRow { confidence: Confidence::Inherited, ..sshd.clone() };
    let mut ping = flow(9, &system, endpoint("10.0.0.5", 0), endpoint("10.0.0.1", 0));
    (ping.id.local.port, ping.id.remote.port, ping.id.protocol) = (None, None, Protocol::ICMP);
    let flows = vec![
        flow(1, &nginx, endpoint("10.0.0.5", 443), endpoint("93.184.216.34", 52211)),
        flow(2, &postgres, endpoint("127.0.0.1", 5432), endpoint("127.0.0.1", 40022)),
        flow(3, &curl, endpoint("2001:db8::5", 51514), v6),
        flow(4, &evil, endpoint("10.0.0.5", 40000), endpoint("192.0.2.1", 4444)),
        flow(5, &wide, endpoint("10.0.0.5", 40001), endpoint("198.51.100.20", 80)),
        flow(6, &inherited, endpoint("10.0.0.5", 22), endpoint("203.0.113.77", 61022)),
        flow(7, &pending, endpoint("10.0.0.5", 443), endpoint("93.184.216.34", 52212)),
        flow(8, &unknown, endpoint("10.0.0.5", 8080), endpoint("203.0.113.9", 1)),
        ping,
    ];
    let mut processes =
        vec![dead, nginx, postgres, curl, evil, wide, sshd, system, pending, ambiguous, unknown];
    // Enough more that a small screen must scroll.
    processes.extend((0..30).map(|n| process(1000 + n, &format!("worker-{n:02}"), 9000, 4000)));
    snapshot(processes, flows)
}
