//! What is told of the thing that was opened: gathered once for a snapshot, drawn by `view::detail`.

use super::path::{self, Limits, Opened};
use super::trace::{Point, Trace, mark};
use crate::model::{Confidence, FlowRow, Method, ProcessRow, Snapshot, TcpHealth, TcpState};
use crate::query::{GroupRow, Listing, Row, RowId, Scope, Sums, ViewKind};
use std::collections::{BTreeMap, HashSet};
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

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Detail {
    pub(super) subject: Subject,
    /// Rates of the last two minutes.
    pub(super) points: Vec<Point>,
    /// What moved.
    pub(super) sums: Sums,
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
        trace: &Trace,
    ) -> Option<Self> {
        let (opened, above) = path.split_last()?;
        let listing = |view, path: &[Opened]| {
            let filter = path::filter(path, None, limits);
            Listing::new(Arc::clone(snapshot), Scope { view, filter, prefixes: limits.prefixes })
        };
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
        let flows = listing(ViewKind::Flows, path);
        // Process rows remember what their ended flows moved, so the graph is theirs where it can be.
        let by_processes = path.iter().all(|opened| match &opened.id {
            RowId::Process(..) => true,
            RowId::Flow(..) => false,
            RowId::Group(view, _) => view.spec().of_processes,
        });
        let processes = listing(ViewKind::Processes, path);
        let traced = if by_processes { &processes } else { &flows };
        let marks: HashSet<u64> = traced.all().map(|row| mark(&row.id())).collect();
        let mut detail = Self {
            subject,
            points: trace.of(&marks, snapshot.at),
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
