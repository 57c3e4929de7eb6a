//! The rules, one by one. What must hold for any input is in `properties`.

mod interfaces;
mod properties;

use super::*;
use crate::model::{
    Confidence, Endpoint, FlowRow, InterfaceSeen, Peak, ProcessRow, ProcessSeen, TcpHealth, TcpState,
    WINDOW_SECONDS, Windows,
};
use std::net::{IpAddr, Ipv4Addr};

const MASTER: ProcessId = ProcessId { pid: 10, generation: 1 };
const WORKER: ProcessId = ProcessId { pid: 11, generation: 2 };
const OTHER: ProcessId = ProcessId { pid: 12, generation: 3 };

/// Seconds after the start of counting.
fn at(seconds: f64) -> Mono {
    Mono(100_000_000_000).plus(Duration::from_secs_f64(seconds))
}

fn end(last: u8, port: u16) -> Endpoint {
    Endpoint { addr: IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)), port: Some(port) }
}

fn flow(socket: u64, peer: u16) -> FlowId {
    FlowId {
        socket: SocketId(socket),
        protocol: Protocol::TCP,
        local: end(1, 80),
        remote: end(2, peer),
        netns: 7,
        ifindex: 2,
    }
}

fn rx(bytes: u64) -> Counters {
    Counters { rx_bytes: bytes, rx_packets: 1, rx_skb_bytes: bytes, rx_skbs: 1, ..Counters::default() }
}

fn delta(flow: FlowId, standing: Standing, owner: Option<ProcessId>, bytes: u64) -> Delta {
    let method = if standing == Standing::Firm { Method::Transfer } else { Method::None };
    Delta { flow, owner, standing, method, counters: rx(bytes), uid: Some(1000), cgroup: 0, tcp: None }
}

fn claim(socket: u64, process: ProcessId, method: Method, first: f64, last: f64) -> Claim {
    Claim { socket: SocketId(socket), process, method, first: at(first), last: at(last), closed: false }
}

fn named(id: ProcessId, comm: &str) -> ProcessSeen {
    ProcessSeen { id, comm: comm.into(), uid: Some(id.pid), ..ProcessSeen::default() }
}

/// A table and the time; each step is one batch of a second.
struct Lab {
    table: FlowTable,
    now: f64,
}

impl Lab {
    fn new() -> Self {
        Self::with(TableConfig::default())
    }

    fn with(config: TableConfig) -> Self {
        Self { table: FlowTable::new(config, at(0.0)), now: 0.0 }
    }

    fn step(&mut self, batch: Batch) -> &mut Self {
        let batch = Batch { from: at(self.now), to: at(self.now + 1.0), ..batch };
        self.now += 1.0;
        self.table.ingest(&batch);
        self.table.advance(at(self.now));
        self
    }

    fn deltas(&mut self, deltas: Vec<Delta>) -> &mut Self {
        self.step(Batch { deltas, ..Batch::default() })
    }

    fn claims(&mut self, claims: Vec<Claim>) -> &mut Self {
        self.step(Batch { claims, ..Batch::default() })
    }

    fn wait(&mut self, seconds: usize) -> &mut Self {
        for _ in 0..seconds {
            self.step(Batch::default());
        }
        self
    }

    fn shot(&mut self) -> Snapshot {
        let snapshot = cut(&mut self.table, at(self.now), Wall(0), false);
        check_sums(&snapshot);
        snapshot
    }

    /// (pid, confidence, rx bytes) of every process row.
    fn owners(&mut self) -> Vec<(Option<u32>, Confidence, u64)> {
        let row = |row: &Arc<ProcessRow>| (row.id.map(|id| id.pid), row.confidence, row.total.rx_bytes);
        self.shot().processes.iter().map(row).collect()
    }

    fn only_flow(&mut self) -> FlowRow {
        let snapshot = self.shot();
        assert_eq!(snapshot.flows.len(), 1, "{:#?}", snapshot.flows);
        FlowRow::clone(&snapshot.flows[0])
    }
}

/// A snapshot, and the next interval.
fn cut(table: &mut FlowTable, now: Mono, boot: Wall, last: bool) -> Snapshot {
    let snapshot = table.snapshot(now, boot, last);
    table.begin_interval(now);
    snapshot
}

/// Invariants 1 and 2 of the module, and that no peak is below the rate beside it.
fn check_sums(snapshot: &Snapshot) {
    let reaches = |peak: &Peak, windows: &Windows| {
        let (rx, tx) = (windows.rx[0], windows.tx[0]);
        assert!(peak.rx >= rx && peak.tx >= tx && peak.total >= rx.max(tx), "{peak:?} {windows:?}");
    };
    reaches(&snapshot.totals.peak, &snapshot.totals.windows);
    for flow in &snapshot.flows {
        reaches(&flow.peak, &flow.windows);
    }
    for process in &snapshot.processes {
        reaches(&process.peak.expect("of a whole process"), &process.windows);
    }
    let rows: Counters = snapshot.processes.iter().map(|row| row.total).sum();
    assert_eq!(rows, snapshot.totals.total);
    for side in [snapshot.ledger.rx, snapshot.ledger.tx] {
        let parts = side.attributed + side.kernel + side.pending + side.ambiguous + side.unknown;
        assert_eq!(parts, side.counted);
        assert!(side.overflow <= side.counted);
    }
    assert_eq!(snapshot.ledger.rx.counted, snapshot.totals.total.rx_bytes);
    assert_eq!(snapshot.ledger.tx.counted, snapshot.totals.total.tx_bytes);
}

fn exact(process: ProcessId, method: Method) -> Attribution {
    Attribution { owner: Some(process), method, confidence: Confidence::Exact, reason: None }
}

#[test]
fn firm_bytes_are_their_owners_with_the_method_of_the_claim() {
    let mut lab = Lab::new();
    let row = lab.deltas(vec![delta(flow(1, 1), Standing::Firm, Some(WORKER), 100)]).only_flow();
    assert_eq!(row.attribution, exact(WORKER, Method::Transfer));
    assert_eq!((row.total, row.interval), (rx(100), rx(100)));
    assert_eq!(lab.owners(), [(Some(11), Confidence::Exact, 100)]);
}

#[test]
fn kernel_bytes_are_one_row_named_kernel() {
    let mut lab = Lab::new();
    let thread = Some(ProcessId { pid: 40, generation: 9 });
    let snapshot = lab
        .deltas(vec![
            delta(flow(1, 1), Standing::Kernel, thread, 5),
            delta(flow(2, 2), Standing::Kernel, None, 6),
        ])
        .shot();
    assert_eq!(snapshot.processes.len(), 1);
    assert_eq!(&*snapshot.processes[0].process, "kernel");
    assert_eq!(snapshot.processes[0].id, Some(ProcessId::KERNEL));
    assert_eq!((snapshot.ledger.rx.kernel, snapshot.ledger.rx.attributed), (11, 0));
    assert_eq!(snapshot.flows[0].attribution, exact(ProcessId::KERNEL, Method::Kernel));
}

#[test]
fn accepted_bytes_go_to_a_known_claimant_at_once() {
    let mut lab = Lab::new();
    let batch = Batch {
        deltas: vec![delta(flow(1, 1), Standing::Inherited, Some(MASTER), 100)],
        claims: vec![claim(1, WORKER, Method::Accept, 0.5, 0.5)],
        ..Batch::default()
    };
    assert_eq!(lab.step(batch).only_flow().attribution, exact(WORKER, Method::Accept));
}

#[test]
fn accepted_bytes_wait_and_move_once_when_a_claim_arrives() {
    let mut lab = Lab::new();
    lab.deltas(vec![delta(flow(1, 1), Standing::Inherited, Some(MASTER), 100)]);
    let row = lab.only_flow();
    assert_eq!((row.attribution.owner, row.attribution.confidence), (None, Confidence::Pending));
    assert!(row.attribution.reason.is_some());
    assert_eq!(lab.owners(), [(None, Confidence::Pending, 100)]);
    lab.claims(vec![claim(1, WORKER, Method::Transfer, 1.5, 1.5)]);
    let snapshot = lab.shot();
    assert_eq!(snapshot.flows.len(), 1);
    assert_eq!(snapshot.flows[0].attribution, exact(WORKER, Method::Transfer));
    assert_eq!(snapshot.flows[0].interval, rx(100), "settled bytes count in the interval in which they move");
    assert_eq!(snapshot.totals.interval, Counters::default());
    lab.wait(10);
    assert_eq!(lab.owners(), [(Some(11), Confidence::Exact, 100)]);
}

#[test]
fn accepted_bytes_that_nobody_claims_fall_to_the_listener_after_the_deadline() {
    let mut lab = Lab::new();
    lab.deltas(vec![delta(flow(1, 1), Standing::Inherited, Some(MASTER), 100)]).wait(4);
    assert_eq!(lab.owners(), [(None, Confidence::Pending, 100)]);
    let row = lab.wait(1).only_flow();
    assert_eq!((row.attribution.owner, row.attribution.confidence), (Some(MASTER), Confidence::Inherited));
    assert!(row.attribution.reason.is_some());
    lab.claims(vec![claim(1, WORKER, Method::Transfer, 6.5, 6.5)]);
    assert_eq!(lab.owners(), [(Some(10), Confidence::Exact, 100)], "after the deadline nothing moves");
}

#[test]
fn after_one_deadline_a_socket_does_not_park_again_but_a_claim_still_wins() {
    let mut lab = Lab::new();
    lab.deltas(vec![delta(flow(1, 1), Standing::Inherited, Some(MASTER), 100)]).wait(5);
    lab.deltas(vec![delta(flow(1, 1), Standing::Inherited, Some(MASTER), 10)]);
    assert_eq!(lab.owners(), [(Some(10), Confidence::Exact, 110)]);
    lab.step(Batch {
        deltas: vec![delta(flow(1, 1), Standing::Inherited, Some(MASTER), 1)],
        claims: vec![claim(1, WORKER, Method::Transfer, 6.5, 6.5)],
        ..Batch::default()
    });
    assert_eq!(lab.owners(), [(Some(10), Confidence::Exact, 110), (Some(11), Confidence::Exact, 1)]);
}

#[test]
fn close_settles_accepted_bytes_on_the_listener() {
    let mut lab = Lab::new();
    lab.deltas(vec![delta(flow(1, 1), Standing::Inherited, Some(MASTER), 100)]);
    lab.claims(vec![Claim { closed: true, ..claim(1, MASTER, Method::Release, 1.5, 1.5) }]);
    assert_eq!(lab.only_flow().attribution.confidence, Confidence::Inherited);
    // The FIN that follows does not wait either.
    lab.deltas(vec![delta(flow(1, 1), Standing::Inherited, Some(MASTER), 1)]);
    assert_eq!(lab.owners(), [(Some(10), Confidence::Exact, 101)]);
}

#[test]
fn a_close_by_another_process_wins_against_inheritance() {
    let mut lab = Lab::new();
    lab.deltas(vec![delta(flow(1, 1), Standing::Inherited, Some(MASTER), 100)]);
    lab.claims(vec![Claim { closed: true, ..claim(1, WORKER, Method::Release, 1.5, 1.5) }]);
    assert_eq!(lab.only_flow().attribution, exact(WORKER, Method::Release));
}

/// L1: io_uring's worker, or the collector of sockets in flight.
#[test]
fn a_close_by_the_kernel_says_nothing() {
    let mut lab = Lab::new();
    let closed =
        |socket| Claim { closed: true, ..claim(socket, ProcessId::KERNEL, Method::Release, 1.5, 1.5) };
    lab.deltas(vec![delta(flow(1, 1), Standing::Inherited, Some(MASTER), 100)]);
    lab.claims(vec![closed(1)]);
    let attribution = &lab.only_flow().attribution;
    assert_eq!((attribution.owner, attribution.confidence), (Some(MASTER), Confidence::Inherited));
    let mut lab = Lab::new();
    lab.deltas(vec![delta(flow(2, 2), Standing::Unclaimed, None, 10)]);
    lab.claims(vec![closed(2)]);
    assert_eq!(lab.owners(), [(None, Confidence::Unknown, 10)]);
}

#[test]
fn a_use_wins_against_create_seed_and_release_whatever_the_order() {
    for weak in [Method::Create, Method::Seed, Method::Release] {
        let mut lab = Lab::new();
        lab.claims(vec![claim(1, WORKER, Method::Bind, 0.1, 0.1), claim(1, OTHER, weak, 0.9, 0.9)]);
        lab.deltas(vec![delta(flow(1, 1), Standing::Unclaimed, None, 100)]);
        assert_eq!(lab.only_flow().attribution, exact(WORKER, Method::Bind), "{weak:?}");
    }
}

#[test]
fn of_equal_claims_the_latest_wins() {
    let mut lab = Lab::new();
    lab.claims(vec![claim(1, WORKER, Method::Send, 0.6, 0.6), claim(1, OTHER, Method::Transfer, 0.5, 0.5)]);
    lab.deltas(vec![delta(flow(1, 1), Standing::Inherited, Some(MASTER), 100)]);
    assert_eq!(lab.only_flow().attribution, exact(WORKER, Method::Send));
}

#[test]
fn handshake_folds_into_the_connection_of_the_same_batch_in_any_order() {
    for flip in [false, true] {
        let mut lab = Lab::new();
        let mut deltas = vec![
            delta(flow(5, 1), Standing::Listener, Some(MASTER), 172),
            delta(flow(1, 1), Standing::Firm, Some(WORKER), 100),
        ];
        if flip {
            deltas.reverse();
        }
        let row = lab.deltas(deltas).only_flow();
        assert_eq!((row.id, row.total.rx_bytes), (flow(1, 1), 272));
        assert_eq!(lab.owners(), [(Some(11), Confidence::Exact, 272)]);
    }
}

#[test]
fn handshake_waits_for_its_connection_and_for_the_owner_of_it() {
    let mut lab = Lab::new();
    lab.deltas(vec![delta(flow(5, 1), Standing::Listener, Some(MASTER), 172)]).wait(2);
    assert_eq!(lab.owners(), [(None, Confidence::Pending, 172)]);
    lab.deltas(vec![delta(flow(1, 1), Standing::Inherited, Some(MASTER), 100)]).wait(3);
    assert_eq!(
        lab.owners(),
        [(None, Confidence::Pending, 272)],
        "its own deadline has passed, the child's has not"
    );
    lab.claims(vec![claim(1, WORKER, Method::Read, 7.0, 7.0)]);
    assert_eq!(lab.owners(), [(Some(11), Confidence::Exact, 272)]);
    assert_eq!(lab.only_flow().id, flow(1, 1));
}

#[test]
fn handshake_without_connection_stays_with_the_listener() {
    let mut lab = Lab::new();
    lab.deltas(vec![delta(flow(5, 1), Standing::Listener, Some(MASTER), 60)]).wait(5);
    let row = lab.only_flow();
    assert_eq!((row.id, row.attribution), (flow(5, 1), exact(MASTER, Method::Listener)));
}

#[test]
fn handshake_does_not_fold_across_network_namespaces_or_unknown_ones() {
    let child = delta(flow(1, 1), Standing::Firm, Some(WORKER), 100);
    for netns in [0, 8] {
        let mut lab = Lab::new();
        let mut listener = delta(flow(5, 1), Standing::Listener, Some(MASTER), 60);
        listener.flow.netns = netns;
        lab.deltas(vec![listener, child.clone()]).wait(5);
        assert_eq!(lab.owners().iter().map(|row| row.2).sum::<u64>(), 160);
        assert!(lab.owners().contains(&(Some(10), Confidence::Exact, 60)), "{netns}");
    }
}

#[test]
fn the_answer_of_a_listener_behind_nat_folds_and_another_connection_does_not() {
    let part = |local: u16, rx: u64, tx: u64| {
        let mut part = delta(flow(5, 1), Standing::Listener, Some(MASTER), rx);
        part.flow.local = end(1, local);
        part.counters.rx_skbs = u64::from(rx > 0);
        (part.counters.tx_bytes, part.counters.tx_skbs) = (tx, u64::from(tx > 0));
        part
    };
    // A SYN redirected from port 8 to 80, whose answer leaves from 8; a whole handshake of the same peer with port 81.
    let handshakes = vec![part(80, 60, 0), part(8, 0, 50), part(81, 7, 7)];
    let child = delta(flow(1, 1), Standing::Firm, Some(WORKER), 100);
    let mut lab = Lab::new();
    let snapshot = lab.deltas(handshakes).deltas(vec![child]).shot();
    let moved = |pid: Option<u32>| {
        let row = snapshot.processes.iter().find(|row| row.id.map(|id| id.pid) == pid);
        row.map_or((0, 0), |row| (row.total.rx_bytes, row.total.tx_bytes))
    };
    assert_eq!(moved(Some(11)), (160, 50));
    assert_eq!(moved(None), (7, 7));
    lab.wait(5);
    assert!(lab.owners().contains(&(Some(10), Confidence::Exact, 7)), "no connection came of it");
}

#[test]
fn unclaimed_bytes_go_to_the_only_holder() {
    for method in [Method::Seed, Method::Create, Method::Release, Method::Transfer] {
        let mut lab = Lab::new();
        lab.claims(vec![claim(1, WORKER, method, 0.0, 0.0)]);
        lab.deltas(vec![delta(flow(1, 1), Standing::Unclaimed, None, 100)]);
        assert_eq!(lab.only_flow().attribution, exact(WORKER, method));
    }
}

#[test]
fn unclaimed_bytes_of_a_socket_with_several_holders_are_ambiguous() {
    let mut lab = Lab::new();
    lab.claims(vec![claim(1, WORKER, Method::Seed, 0.0, 0.0), claim(1, MASTER, Method::Seed, 0.0, 0.0)]);
    lab.deltas(vec![delta(flow(1, 1), Standing::Unclaimed, None, 100)]);
    let row = lab.only_flow().attribution;
    assert_eq!((row.owner, row.confidence), (None, Confidence::Ambiguous));
    assert!(row.reason.unwrap().starts_with("2 processes"));
}

#[test]
fn unclaimed_bytes_wait_then_move_once_or_become_unknown() {
    let mut lab = Lab::new();
    lab.deltas(vec![delta(flow(1, 1), Standing::Unclaimed, None, 100)]);
    lab.deltas(vec![delta(flow(2, 2), Standing::Unclaimed, None, 7)]);
    lab.claims(vec![claim(1, WORKER, Method::Connect, 2.5, 2.5)]).wait(5);
    assert_eq!(lab.owners(), [(Some(11), Confidence::Exact, 100), (None, Confidence::Unknown, 7)]);
    lab.claims(vec![claim(2, WORKER, Method::Connect, 8.5, 8.5)]);
    assert_eq!(lab.owners(), [(Some(11), Confidence::Exact, 100), (None, Confidence::Unknown, 7)]);
}

#[test]
fn bytes_without_a_socket_are_unknown_at_once_and_cannot_be_claimed() {
    let mut lab = Lab::new();
    lab.claims(vec![claim(0, WORKER, Method::Connect, 0.5, 0.5)]);
    lab.deltas(vec![delta(flow(0, 1), Standing::Unclaimed, None, 100)]);
    assert_eq!(lab.owners(), [(None, Confidence::Unknown, 100)]);
}

#[test]
fn ambiguous_bytes_wait_for_a_use() {
    let mut lab = Lab::new();
    lab.claims(vec![claim(1, WORKER, Method::Seed, 0.0, 0.0), claim(1, MASTER, Method::Seed, 0.0, 0.0)]);
    lab.deltas(vec![delta(flow(1, 1), Standing::Ambiguous, None, 100)]);
    lab.deltas(vec![delta(flow(2, 2), Standing::Ambiguous, Some(MASTER), 7)]);
    assert_eq!(lab.owners(), [(None, Confidence::Pending, 107)]);
    lab.claims(vec![claim(1, WORKER, Method::Transfer, 3.5, 3.5)]).wait(5);
    assert_eq!(lab.owners(), [(Some(11), Confidence::Exact, 100), (None, Confidence::Ambiguous, 7)]);
}

#[test]
fn use_in_turn_is_shared_and_names_the_others() {
    let mut lab = Lab::new();
    lab.claims(vec![
        claim(1, WORKER, Method::Transfer, 0.1, 0.8),
        claim(1, OTHER, Method::Transfer, 0.2, 0.7),
    ]);
    lab.deltas(vec![delta(flow(1, 1), Standing::Firm, Some(WORKER), 100)]);
    let row = lab.only_flow().attribution;
    assert_eq!((row.owner, row.confidence), (Some(WORKER), Confidence::Shared));
    assert_eq!(row.reason.as_deref(), Some("also used by pid 12"));
}

#[test]
fn sharing_ends_with_the_other_process() {
    let mut lab = Lab::new();
    let in_turn = vec![
        claim(1, WORKER, Method::Transfer, 0.1, 0.5),
        claim(1, OTHER, Method::Transfer, 0.2, 0.4),
        claim(2, WORKER, Method::Transfer, 0.1, 0.5),
        claim(2, OTHER, Method::Transfer, 0.2, 0.4),
        claim(2, MASTER, Method::Transfer, 0.1, 0.4),
    ];
    lab.claims(in_turn);
    assert_eq!(lab.table.sharers().iter().copied().collect::<Vec<_>>(), [MASTER, WORKER, OTHER]);
    lab.step(Batch { gone: vec![OTHER], ..Batch::default() });
    let bytes = |socket| delta(flow(socket, 1), Standing::Firm, Some(WORKER), 100);
    let snapshot = lab.deltas(vec![bytes(1), bytes(2)]).shot();
    let worth: Vec<_> = snapshot.flows.iter().map(|row| row.attribution.confidence).collect();
    assert_eq!(worth, [Confidence::Exact, Confidence::Shared], "two are left of the second socket's three");
    assert_eq!(snapshot.flows[1].attribution.reason.as_deref(), Some("also used by pid 10"));
    // A late claim of the dead one, drained after its end, does not bring it back.
    let late =
        vec![claim(1, OTHER, Method::Transfer, 2.5, 2.6), claim(1, WORKER, Method::Transfer, 2.4, 2.7)];
    lab.claims(late);
    assert_eq!(lab.deltas(vec![bytes(1)]).shot().flows[0].attribution.confidence, Confidence::Exact);
}

#[test]
fn what_was_only_made_is_its_first_users() {
    let mut lab = Lab::new();
    let made = |socket| delta(flow(socket, 1), Standing::Made, Some(MASTER), 100);
    lab.step(Batch {
        deltas: vec![made(1)],
        claims: vec![
            claim(1, MASTER, Method::Bind, 0.1, 0.1),
            claim(1, OTHER, Method::Message, 0.5, 0.9),
            claim(1, WORKER, Method::Message, 0.4, 0.4),
        ],
        ..Batch::default()
    });
    assert_eq!(lab.owners(), [(Some(11), Confidence::Exact, 100)], "in the same batch, nobody saw it wait");
    lab.deltas(vec![made(2)]);
    assert_eq!(lab.owners()[1], (None, Confidence::Pending, 100));
    lab.claims(vec![claim(2, WORKER, Method::Transfer, 2.5, 2.5)]);
    assert_eq!(lab.owners()[0], (Some(11), Confidence::Exact, 200));
}

#[test]
fn what_was_only_made_and_never_used_is_its_makers() {
    let mut lab = Lab::new();
    let claims = vec![claim(1, MASTER, Method::Bind, 0.1, 0.1)];
    let made = delta(flow(1, 1), Standing::Made, Some(MASTER), 100);
    lab.step(Batch { deltas: vec![made.clone()], claims, ..Batch::default() });
    assert_eq!(lab.owners(), [(None, Confidence::Pending, 100)]);
    lab.wait(5);
    assert_eq!(lab.only_flow().attribution, exact(MASTER, Method::Bind));
    assert_eq!(lab.deltas(vec![made]).owners(), [(Some(10), Confidence::Exact, 200)], "once is enough");
}

#[test]
fn use_in_turn_is_found_across_batches() {
    let mut lab = Lab::new();
    lab.claims(vec![claim(1, WORKER, Method::Transfer, 0.1, 0.1)]);
    lab.claims(vec![claim(1, OTHER, Method::Transfer, 1.1, 1.1)]);
    lab.deltas(vec![delta(flow(1, 1), Standing::Firm, Some(OTHER), 1)]);
    assert_eq!(lab.only_flow().attribution.confidence, Confidence::Exact, "a hand-over is not sharing");
    lab.claims(vec![claim(1, WORKER, Method::Transfer, 3.1, 3.1)]);
    lab.deltas(vec![delta(flow(1, 1), Standing::Firm, Some(WORKER), 1)]);
    let snapshot = lab.shot();
    let confidence: Vec<_> = snapshot.flows.iter().map(|row| row.attribution.confidence).collect();
    assert_eq!(
        confidence,
        [Confidence::Exact, Confidence::Shared],
        "earlier bytes keep what they were worth"
    );
}

#[test]
fn unplaced_bytes_settle_at_once_and_have_no_flow() {
    let mut lab = Lab::new();
    let unplaced = |owner, standing| Unplaced { owner, standing, counters: rx(10) };
    let batch = Batch {
        unplaced: vec![
            unplaced(Some(WORKER), Standing::Firm),
            unplaced(Some(MASTER), Standing::Inherited),
            unplaced(None, Standing::Unclaimed),
            unplaced(None, Standing::Kernel),
        ],
        ..Batch::default()
    };
    let snapshot = lab.step(batch).shot();
    assert!(snapshot.flows.is_empty());
    assert_eq!(snapshot.ledger.rx.overflow, 40);
    assert_eq!(
        (snapshot.ledger.rx.attributed, snapshot.ledger.rx.kernel, snapshot.ledger.rx.unknown),
        (10, 10, 20)
    );
}

#[test]
fn the_latest_sample_of_a_connection_is_in_every_row_of_its_socket() {
    let health = |state, acked_bytes| TcpHealth {
        state,
        srtt: Duration::from_micros(250),
        cwnd: 10,
        retransmits: 0,
        acked_bytes,
        received_bytes: 0,
    };
    let sampled = |owner, tcp| Delta { tcp, ..delta(flow(1, 1), Standing::Firm, Some(owner), 1) };
    let mut lab = Lab::new();
    lab.deltas(vec![sampled(WORKER, None)]);
    assert_eq!(lab.only_flow().tcp, None);
    let late = Some(health(TcpState::FinWait1, 20));
    // Rows of one drain come in any order.
    lab.deltas(vec![sampled(WORKER, late), sampled(OTHER, Some(health(TcpState::Established, 10)))]);
    let of = |snapshot: &Snapshot| snapshot.flows.iter().map(|row| row.tcp).collect::<Vec<_>>();
    assert_eq!(of(&lab.shot()), [late, late]);
    lab.deltas(vec![sampled(WORKER, None)]);
    assert_eq!(of(&lab.shot()), [late, late], "no sample is no news");
}

#[test]
fn what_packet_sockets_send_is_nobody_elses_and_on_no_interface() {
    let mut lab = Lab::new();
    let id = FlowId { protocol: Protocol::PACKET, ifindex: 0, ..flow(9, 0) };
    let counters =
        Counters { tx_bytes: 60, tx_packets: 1, tx_skb_bytes: 60, tx_skbs: 1, ..Counters::default() };
    let sent = Delta { counters, ..delta(id, Standing::Firm, Some(WORKER), 0) };
    let snapshot = lab.deltas(vec![sent, delta(flow(1, 1), Standing::Firm, Some(OTHER), 10)]).shot();
    let tx = snapshot.ledger.tx;
    assert_eq!((tx.counted, tx.attributed, tx.injected), (60, 60, 60));
    assert_eq!((snapshot.ledger.rx.injected, snapshot.ledger.interfaces.len()), (0, 1));
    assert_eq!(snapshot.ledger.interfaces[0].ifindex, 2);
}

#[test]
fn names_arrive_before_or_after_the_bytes_and_are_never_erased() {
    let mut lab = Lab::new();
    lab.step(Batch { processes: vec![named(WORKER, "worker")], ..Batch::default() });
    assert!(lab.shot().processes.is_empty(), "no bytes, no row");
    lab.deltas(vec![
        delta(flow(1, 1), Standing::Firm, Some(WORKER), 1),
        delta(flow(2, 2), Standing::Firm, Some(MASTER), 1),
    ]);
    let snapshot = lab.wait(50).shot();
    assert_eq!((&*snapshot.flows[0].process, snapshot.flows[0].uid), ("worker", Some(11)));
    assert_eq!((&*snapshot.flows[1].process, snapshot.flows[1].uid), ("", Some(1000)));
    let empty = ProcessSeen { uid: None, ..named(WORKER, "") };
    lab.step(Batch { processes: vec![empty, named(MASTER, "master")], ..Batch::default() });
    let snapshot = lab.shot();
    assert_eq!((&*snapshot.flows[0].process, snapshot.flows[0].uid), ("worker", Some(11)));
    assert_eq!((&*snapshot.flows[1].process, snapshot.flows[1].uid), ("master", Some(10)));
    assert_eq!(&*snapshot.processes[1].process, "master");
}

#[test]
fn an_older_name_does_not_undo_a_newer_one() {
    let mut lab = Lab::new();
    lab.deltas(vec![delta(flow(1, 1), Standing::Firm, Some(WORKER), 1)]);
    let as_of = |at, comm| ProcessSeen { alive: Some(Mono(at)), ..named(WORKER, comm) };
    let mut shown = |processes| {
        lab.step(Batch { processes, ..Batch::default() });
        lab.shot().processes[0].process.to_string()
    };
    assert_eq!(shown(vec![as_of(20, "new"), as_of(10, "old")]), "new");
    assert_eq!(shown(vec![as_of(19, "old")]), "new");
    assert_eq!(shown(vec![as_of(20, "same moment")]), "same moment");
    assert_eq!(shown(vec![named(WORKER, "without a time")]), "without a time");
}

#[test]
fn interface_names_reach_idle_rows() {
    let mut lab = Lab::new();
    lab.deltas(vec![delta(flow(1, 1), Standing::Firm, Some(WORKER), 1)]).wait(45);
    lab.shot();
    let seen = InterfaceSeen { netns: 7, ifindex: 2, name: "eth0".into() };
    assert_eq!(
        &*lab.step(Batch { interfaces: vec![seen], ..Batch::default() }).only_flow().interface,
        "eth0"
    );
}

#[test]
fn names_without_bytes_are_bounded_oldest_first() {
    let mut lab = Lab::with(TableConfig { max_names: 2, ..TableConfig::default() });
    let processes = vec![named(MASTER, "master"), named(WORKER, "worker"), named(OTHER, "other")];
    lab.step(Batch { processes, ..Batch::default() });
    let owned = |socket, id| delta(flow(socket, 1), Standing::Firm, Some(id), 1);
    let snapshot = lab.deltas(vec![owned(1, MASTER), owned(2, WORKER), owned(3, OTHER)]).shot();
    let names: Vec<_> = snapshot.processes.iter().map(|row| row.process.to_string()).collect();
    assert_eq!(names, ["", "worker", "other"]);
}

#[test]
fn idle_flows_leave_and_their_bytes_stay() {
    let mut lab = Lab::new();
    lab.deltas(vec![delta(flow(1, 1), Standing::Firm, Some(WORKER), 100)]);
    lab.shot();
    assert_eq!(lab.wait(59).shot().flows.len(), 1);
    assert_eq!(lab.shot().processes[0].flows, 1);
    let snapshot = lab.wait(1).shot();
    assert!(snapshot.flows.is_empty());
    assert_eq!((snapshot.processes[0].flows, snapshot.processes[0].total), (0, rx(100)));
}

#[test]
fn the_latest_of_the_idle_flows_are_kept_where_asked_for() {
    let mut lab = Lab::with(TableConfig { keep_ended: 2, ..TableConfig::default() });
    for socket in 1..=4 {
        lab.deltas(vec![delta(flow(socket, 1), Standing::Firm, Some(WORKER), 100)]);
    }
    lab.shot();
    let sockets =
        |lab: &mut Lab| -> Vec<u64> { lab.shot().flows.iter().map(|row| row.id.socket.0).collect() };
    lab.wait(300);
    assert_eq!(sockets(&mut lab), [3, 4]);
    lab.deltas(vec![delta(flow(3, 1), Standing::Firm, Some(WORKER), 100)]);
    assert_eq!(lab.shot().flows[0].total.rx_bytes, 200, "one that goes on is still itself");
}

#[test]
fn a_closed_socket_shows_on_its_idle_flows_until_they_are_cleared() {
    let mut lab = Lab::with(TableConfig { keep_ended: 100, ..TableConfig::default() });
    let bytes = |socket| delta(flow(socket, 1), Standing::Firm, Some(WORKER), 100);
    lab.step(Batch { processes: vec![named(WORKER, "worker")], ..Batch::default() });
    lab.deltas(vec![bytes(1), bytes(2)]);
    assert!(lab.shot().flows.iter().all(|row| row.closed.is_none()));
    let closed = Claim { closed: true, ..claim(1, WORKER, Method::Release, 1.0, 2.0) };
    lab.claims(vec![closed]);
    let snapshot = lab.shot();
    assert_eq!(snapshot.flows.iter().map(|row| row.closed).collect::<Vec<_>>(), [Some(at(3.0)), None]);
    lab.table.clear();
    let left = lab.shot().flows;
    assert_eq!(left.iter().map(|row| row.id.socket.0).collect::<Vec<_>>(), [2], "2 still has rates");
    lab.wait(50).shot();
    let ended = ProcessSeen { exited: Some(at(40.0)), ..named(WORKER, "worker") };
    lab.step(Batch { processes: vec![ended], ..Batch::default() });
    assert_eq!(lab.shot().processes[0].exited, Some(at(40.0)), "shown until cleared");
    lab.table.clear();
    let snapshot = lab.shot();
    assert!(snapshot.flows.is_empty());
    assert_eq!((&*snapshot.processes[0].process, snapshot.processes[0].total.rx_bytes), ("(retired)", 200));
}

/// D5: a connection of an hour was "first seen" when counting began.
#[test]
fn a_socket_that_was_found_open_is_older_than_its_flow() {
    let mut lab = Lab::new();
    let bytes = |socket| delta(flow(socket, 1), Standing::Firm, Some(WORKER), 100);
    let claims = vec![claim(1, WORKER, Method::Seed, 0.0, 0.0), claim(2, WORKER, Method::Connect, 0.5, 0.5)];
    lab.step(Batch { claims, deltas: vec![bytes(1), bytes(2)], ..Batch::default() });
    lab.claims(vec![claim(1, WORKER, Method::Transfer, 1.5, 1.5)]);
    lab.deltas(vec![bytes(1)]);
    assert_eq!(lab.shot().flows.iter().map(|row| row.predates).collect::<Vec<_>>(), [true, false]);
}

/// D3: what a process holds were also its connections of the last minute that are over.
#[test]
fn a_process_holds_the_flows_of_open_sockets() {
    let mut lab = Lab::new();
    let bytes = |socket| delta(flow(socket, 1), Standing::Firm, Some(WORKER), 100);
    let close = |socket| Claim { closed: true, ..claim(socket, WORKER, Method::Release, 1.0, 1.0) };
    let count = |lab: &mut Lab| {
        let snapshot = lab.shot();
        (snapshot.processes[0].flows, snapshot.flows.len())
    };
    lab.deltas(vec![bytes(1), bytes(2), bytes(3)]);
    assert_eq!(count(&mut lab), (3, 3));
    // Closed before it was seen, with its bytes, and while it was idle.
    lab.step(Batch {
        deltas: vec![bytes(2), bytes(4)],
        claims: vec![close(2), close(4)],
        ..Batch::default()
    });
    assert_eq!(count(&mut lab), (2, 4));
    lab.wait(45).claims(vec![close(3)]);
    assert_eq!(count(&mut lab), (1, 4));
    // The last words of a connection come after its close.
    lab.deltas(vec![bytes(3), bytes(1)]);
    assert_eq!(count(&mut lab), (1, 4));
    lab.wait(59);
    assert_eq!(count(&mut lab), (1, 2), "the others were idle for a minute");
    lab.wait(2);
    assert_eq!(count(&mut lab), (0, 0));
}

#[test]
fn no_flow_leaves_before_a_snapshot_showed_it() {
    let mut lab = Lab::new();
    lab.deltas(vec![delta(flow(1, 1), Standing::Firm, Some(WORKER), 100)]).wait(100);
    assert_eq!(lab.shot().flows.len(), 1);
    assert_eq!(lab.wait(1).shot().flows.len(), 0);
}

#[test]
fn beyond_the_bound_the_flow_idle_longest_leaves() {
    let mut lab = Lab::with(TableConfig { max_flows: 2, ..TableConfig::default() });
    for socket in [1, 2, 1, 3] {
        lab.deltas(vec![delta(flow(socket, 1), Standing::Firm, Some(WORKER), 100)]);
    }
    let sockets: Vec<_> = lab.shot().flows.iter().map(|row| row.id.socket.0).collect();
    assert_eq!(sockets, [1, 3]);
    assert_eq!(lab.owners(), [(Some(11), Confidence::Exact, 400)]);
}

#[test]
fn a_flood_of_handshakes_does_not_cost_a_connection_its_owner() {
    let mut lab = Lab::with(TableConfig { max_flows: 10, ..TableConfig::default() });
    lab.deltas(vec![delta(flow(1, 1), Standing::Inherited, Some(MASTER), 100)]);
    let flood = (100..200).map(|peer| delta(flow(5, peer), Standing::Listener, Some(OTHER), 60)).collect();
    lab.deltas(flood).claims(vec![claim(1, WORKER, Method::Read, 2.5, 2.5)]);
    let snapshot = lab.wait(5).shot();
    assert!(snapshot.flows.len() <= 10);
    assert!(lab.owners().contains(&(Some(11), Confidence::Exact, 100)));
    assert!(lab.owners().contains(&(Some(12), Confidence::Exact, 6_000)));
}

#[test]
fn processes_over_the_bound_fold_into_retired_without_losing_a_byte() {
    let mut lab = Lab::with(TableConfig { max_processes: 2, max_flows: 1, ..TableConfig::default() });
    for pid in 1..=5_u32 {
        let id = ProcessId { pid, generation: 0 };
        lab.deltas(vec![delta(flow(u64::from(pid), 1), Standing::Firm, Some(id), 100)]);
    }
    let snapshot = lab.shot();
    let retired = snapshot.processes.iter().find(|row| row.id.is_none()).unwrap();
    assert_eq!((&*retired.process, retired.confidence), ("(retired)", Confidence::Exact));
    assert_eq!(snapshot.ledger.rx.attributed, 500);
    let intervals: Counters = snapshot.processes.iter().map(|row| row.interval).sum();
    assert_eq!(intervals, snapshot.totals.interval);
}

#[test]
fn ended_processes_over_their_bound_fold_those_that_ended_first() {
    let mut lab = Lab::with(TableConfig { max_exited: 64, ..TableConfig::default() });
    let id = |pid| ProcessId { pid, generation: 0 };
    for pid in 1..=200_u32 {
        let counted = delta(flow(u64::from(pid), 1), Standing::Firm, Some(id(pid)), 100);
        // Every second one lives on.
        let exited = (pid % 2 == 0).then_some(at(f64::from(pid)));
        let seen = ProcessSeen { exited, ..named(id(pid), "brief") };
        lab.step(Batch { deltas: vec![counted], processes: vec![seen], ..Batch::default() });
        lab.shot();
    }
    for _ in 0..100 {
        lab.wait(1).shot();
    }
    let snapshot = lab.shot();
    let pids: Vec<u32> = snapshot.processes.iter().filter_map(|row| Some(row.id?.pid)).collect();
    assert!((1..=200).step_by(2).all(|pid| pids.contains(&pid)), "who lives stays: {pids:?}");
    let ended: Vec<u32> = pids.into_iter().filter(|pid| pid % 2 == 0).collect();
    assert!((32..=64).contains(&ended.len()) && ended.iter().all(|pid| *pid > 72), "{ended:?}");
    assert_eq!(snapshot.ledger.rx.attributed, 200 * 100, "every byte");
}

#[test]
fn claims_are_forgotten_but_seeds_stay_until_close() {
    let mut lab = Lab::new();
    lab.claims(vec![claim(1, WORKER, Method::Seed, 0.5, 0.5), claim(2, WORKER, Method::Create, 0.5, 0.5)]);
    lab.wait(100);
    assert_eq!(lab.table.sockets.len(), 1);
    lab.deltas(vec![delta(flow(1, 1), Standing::Unclaimed, None, 100)]);
    assert_eq!(lab.only_flow().attribution, exact(WORKER, Method::Seed));
    lab.claims(vec![Claim { closed: true, ..claim(1, WORKER, Method::Release, 101.5, 101.5) }]);
    assert_eq!(lab.wait(200).table.sockets.len(), 0);
}

#[test]
fn claims_over_the_bound_are_forgotten_seeds_last() {
    let mut lab = Lab::with(TableConfig { max_sockets: 16, ..TableConfig::default() });
    let claims =
        (1..=40).map(|n| claim(n, WORKER, if n < 10 { Method::Seed } else { Method::Create }, 0.1, 0.1));
    lab.claims(claims.collect());
    assert!(lab.table.sockets.len() <= 16);
    assert!((1..10).all(|n| lab.table.sockets.get(SocketId(n)).is_some()));
}

#[test]
fn claims_of_a_held_flow_are_kept() {
    let mut lab = Lab::new();
    lab.step(Batch {
        deltas: vec![delta(flow(1, 1), Standing::Firm, Some(WORKER), 1)],
        claims: vec![claim(1, WORKER, Method::Transfer, 0.5, 0.5)],
        ..Batch::default()
    });
    lab.wait(40).deltas(vec![delta(flow(1, 1), Standing::Inherited, Some(MASTER), 1)]);
    assert_eq!(lab.owners(), [(Some(11), Confidence::Exact, 2)]);
}

#[test]
fn intervals_restart_at_each_snapshot_and_idle_rows_are_the_same_arc() {
    let mut lab = Lab::new();
    lab.deltas(vec![delta(flow(1, 1), Standing::Firm, Some(WORKER), 100)]);
    assert_eq!(lab.shot().totals.interval, rx(100));
    let second = lab.wait(1).shot();
    assert_eq!(second.flows[0].interval, Counters::default());
    assert_eq!(second.processes[0].interval, Counters::default());
    assert_eq!(second.totals.interval, Counters::default());
    assert_eq!((second.sequence, second.interval), (2, Duration::from_secs(1)));
    let (third, fourth) = (lab.wait(45).shot(), lab.wait(1).shot());
    assert_eq!(third.flows[0].windows, Windows::default());
    assert!(Arc::ptr_eq(&third.flows[0], &fourth.flows[0]));
    assert!(Arc::ptr_eq(&third.processes[0], &fourth.processes[0]));
}

#[test]
fn rates_are_averages_over_2_10_and_40_seconds_and_the_peak_stays() {
    let mut lab = Lab::new();
    for _ in 0..50 {
        lab.deltas(vec![delta(flow(1, 1), Standing::Firm, Some(WORKER), 1_000)]);
    }
    let row = lab.only_flow();
    assert_eq!(row.windows.rx, [8_000; 3]);
    let row = lab.wait(4).only_flow();
    assert_eq!(row.windows.rx, [0, 6 * 800, 36 * 200]);
    assert_eq!((row.peak.rx, row.peak.tx, row.peak.total), (8_000, 0, 8_000));
}

#[test]
fn rates_soon_after_the_start_are_over_the_time_that_has_passed() {
    let mut lab = Lab::new();
    lab.deltas(vec![delta(flow(1, 1), Standing::Firm, Some(WORKER), 1_000)]);
    let row = lab.only_flow();
    assert_eq!((row.windows.rx, row.peak.rx), ([8_000; 3], 8_000), "no peak is below the rate beside it");
    let row = lab.wait(5).only_flow();
    assert_eq!((row.windows.rx[0], row.peak.rx), (0, 4_000), "a short burst is no high rate for ever");
}

#[test]
fn settled_bytes_stand_in_the_windows_where_they_moved() {
    let mut lab = Lab::new();
    lab.deltas(vec![delta(flow(1, 1), Standing::Inherited, Some(MASTER), 1_000)]).wait(5);
    let snapshot = lab.shot();
    assert_eq!(snapshot.processes.len(), 1);
    assert_eq!(snapshot.processes[0].windows, snapshot.totals.windows);
    assert_eq!(snapshot.processes[0].windows.rx[0], 0);
    assert_eq!(snapshot.processes[0].windows.rx[1], 8_000 / 6);
}

#[test]
fn the_pending_interval_holds_only_what_still_waits() {
    let mut lab = Lab::new();
    lab.deltas(vec![
        delta(flow(1, 1), Standing::Inherited, Some(MASTER), 100),
        delta(flow(2, 2), Standing::Inherited, Some(MASTER), 7),
    ]);
    lab.claims(vec![claim(1, WORKER, Method::Read, 1.5, 1.5)]);
    let snapshot = lab.shot();
    let intervals: Vec<_> = snapshot.processes.iter().map(|row| row.interval.rx_bytes).collect();
    assert_eq!(intervals, [7, 100]);
}

#[test]
fn the_last_snapshot_keeps_what_is_pending() {
    let mut lab = Lab::new();
    lab.deltas(vec![delta(flow(1, 1), Standing::Inherited, Some(MASTER), 100)]);
    let snapshot = cut(&mut lab.table, at(1.0), Wall(5), true);
    assert!(snapshot.last);
    assert_eq!(snapshot.wall, Wall(101_000_000_005));
    assert_eq!(snapshot.ledger.rx.pending, 100);
}
