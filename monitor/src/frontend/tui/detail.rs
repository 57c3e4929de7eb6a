//! Details, what is told of the thing that was opened: gathered once for a snapshot, drawn by `view::detail`.

use super::history::History;
use super::nav::{self, Limits, Opened};
use super::trace::{Point, mark};
use crate::model::{Confidence, FlowRow, Method, Mono, ProcessRow, Snapshot, TcpHealth, TcpState};
use crate::query::filter::Filter;
use crate::query::{GroupRow, Listing, Row, RowId, Scope, Sums, ViewKind};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// The row itself.
#[derive(Clone, Debug)]
pub(super) enum Subject {
    Process(Arc<ProcessRow>),
    Flow(Arc<FlowRow>),
    Group(Box<GroupRow>),
    /// It is not listed any more.
    Gone,
}

/// How the TCP connections among its flows fare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tcp {
    /// Connections that were sampled.
    pub(super) sampled: usize,
    /// The least, the middle and the greatest round-trip time of those that live; of all where none does.
    pub(super) srtt: [Duration; 3],
    /// Segments sent again, those of closed connections included.
    pub(super) retransmits: u64,
    /// Payload that the peers have acknowledged, bytes, that of closed connections included.
    pub(super) acked: u64,
    /// Those that live by state; the closed ones where none does.
    pub(super) states: BTreeMap<&'static str, usize>,
}

/// All that is told of what was opened.
#[derive(Clone, Debug)]
pub(super) struct Detail {
    pub(super) subject: Subject,
    /// Rates of the last two minutes.
    pub(super) points: Vec<Point>,
    /// What moved.
    pub(super) sums: Sums,
    /// That is of processes, and so since counting began; else of flows, since each was first seen.
    pub(super) by_processes: bool,
    pub(super) processes: usize,
    pub(super) flows: usize,
    /// Flows whose socket was closed; the others are in `flows`.
    pub(super) closed: usize,
    /// Remote addresses.
    pub(super) peers: usize,
    /// This host's ports.
    pub(super) ports: usize,
    /// How the owners of its flows are known, and of how many flows.
    pub(super) owners: BTreeMap<(Confidence, Method), usize>,
    pub(super) tcp: Tcp,
}

impl Detail {
    /// Gathers what is told of the last thing in the path; `None` where nothing was opened.
    pub(super) fn new(
        snapshot: &Arc<Snapshot>,
        path: &[Opened],
        limits: Limits<'_>,
        history: &History,
    ) -> Option<Self> {
        let (opened, above) = path.split_last()?;
        let listing = |view, path| listing(snapshot, view, path, None, limits);
        let subject = match &opened.id {
            RowId::Process(..) => snapshot
                .processes
                .iter()
                .find(|row| Row::Process(row).is(&opened.id))
                .map_or(Subject::Gone, |row| Subject::Process(Arc::clone(row))),
            RowId::Flow(..) => snapshot
                .flows
                .iter()
                .find(|row| Row::Flow(row).is(&opened.id))
                .map_or(Subject::Gone, |row| Subject::Flow(Arc::clone(row))),
            RowId::Group(view, _) => listing(*view, above)
                .find(&opened.id)
                .and_then(Row::group)
                .map_or(Subject::Gone, |row| Subject::Group(Box::new(row.clone()))),
        };
        let (flows, processes) = (listing(ViewKind::Flows, path), listing(ViewKind::Processes, path));
        let by_processes = is_of_processes(path, None, limits);
        let traced = if by_processes { &processes } else { &flows };
        let mut detail = Self {
            subject,
            points: of_rows(traced, history),
            by_processes,
            sums: *traced.sums(),
            processes: processes.all().filter(|row| row.owner().is_some()).count(),
            flows: 0,
            closed: 0,
            peers: 0,
            ports: 0,
            owners: BTreeMap::new(),
            tcp: Tcp::default(),
        };
        detail.look_at_flows(flows.all().filter_map(Row::flow));
        Some(detail)
    }

    fn look_at_flows<'s>(&mut self, flows: impl Iterator<Item = &'s FlowRow>) {
        let (mut peers, mut ports, mut samples) = (HashSet::new(), HashSet::new(), Vec::new());
        for flow in flows {
            peers.extend(flow.id.remote_end().map(|end| end.addr));
            ports.extend(flow.id.local_end().and_then(|end| end.port).map(|port| (flow.id.protocol, port)));
            let attribution = &flow.attribution;
            *self.owners.entry((attribution.confidence, attribution.method)).or_default() += 1;
            samples.extend(flow.tcp.map(|tcp| TcpHealth { state: flow.state().unwrap_or(tcp.state), ..tcp }));
            *if flow.closed.is_some() { &mut self.closed } else { &mut self.flows } += 1;
        }
        (self.peers, self.ports) = (peers.len(), ports.len());
        self.tcp = Tcp::of(&samples);
    }
}

fn listing(
    snapshot: &Arc<Snapshot>,
    view: ViewKind,
    path: &[Opened],
    wanted: Option<&Filter>,
    limits: Limits<'_>,
) -> Listing {
    let filter = nav::filter(path, wanted, limits);
    Listing::new(Arc::clone(snapshot), Scope { view, filter, prefixes: limits.prefixes })
}

/// Process rows remember what their ended flows moved, so sums and graphs are theirs where they can be.
fn is_of_processes(path: &[Opened], wanted: Option<&Filter>, limits: Limits<'_>) -> bool {
    let of_processes = |opened: &Opened| match &opened.id {
        RowId::Process(..) => true,
        RowId::Flow(..) => false,
        RowId::Group(view, _) => view.spec().of_processes,
    };
    wanted.is_none() && limits.interface.is_none() && path.iter().all(of_processes)
}

fn of_rows(listing: &Listing, history: &History) -> Vec<Point> {
    let marks: HashSet<u64> = listing.all().map(|row| mark(&row.id())).collect();
    history.of(&marks, listing.snapshot().at)
}

/// What is told of a row in the tooltip beside its own numbers.
#[derive(Clone, Debug)]
pub(super) struct Tip {
    row: RowId,
    /// The time of the snapshot that it is of.
    at: Mono,
    /// It is of processes, as in [`Detail`].
    pub(super) by_processes: bool,
    /// Rates of the last two minutes, of what a filter lets through.
    pub(super) points: Vec<Point>,
}

impl Tip {
    /// Gathers what is told of a row of a view, of what the path, a filter and the limits let through.
    pub(super) fn new(
        snapshot: &Arc<Snapshot>,
        row: RowId,
        view: ViewKind,
        path: &[Opened],
        (wanted, limits): (Option<&Filter>, Limits<'_>),
        history: &History,
    ) -> Self {
        let opened = Opened { id: row.clone(), name: String::new(), view, cursors: HashMap::new() };
        let path: Vec<Opened> = path.iter().cloned().chain([opened]).collect();
        let by_processes = is_of_processes(&path, wanted, limits);
        let view = if by_processes { ViewKind::Processes } else { ViewKind::Flows };
        let points = of_rows(&listing(snapshot, view, &path, wanted, limits), history);
        Self { row, at: snapshot.at, by_processes, points }
    }

    /// Whether it is of that row at that time.
    pub(super) fn is_of(&self, row: &RowId, at: Mono) -> bool {
        self.row == *row && self.at == at
    }
}

impl Tcp {
    fn of(samples: &[TcpHealth]) -> Self {
        let lives = |sample: &&TcpHealth| sample.state != TcpState::Closed;
        let any = samples.iter().any(|sample| lives(&sample));
        let current = || samples.iter().filter(|sample| !any || lives(sample));
        let mut times: Vec<Duration> = current().map(|sample| sample.srtt).collect();
        times.sort_unstable();
        let at = |place: usize| times.get(place).copied().unwrap_or_default();
        let mut states = BTreeMap::new();
        for sample in current() {
            *states.entry(sample.state.name()).or_default() += 1;
        }
        Self {
            sampled: samples.len(),
            srtt: [at(0), at(times.len() / 2), at(times.len().saturating_sub(1))],
            retransmits: samples.iter().map(|sample| u64::from(sample.retransmits)).sum(),
            acked: samples.iter().map(|sample| sample.acked_bytes).sum(),
            states,
        }
    }
}
