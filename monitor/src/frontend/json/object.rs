//! The object: field for field what the schema names, in its order.

use super::group::Group;
use super::number::{Counted, date, date_of, optional_date};
use super::{identity, ledger};
use crate::model::{
    Attribution, Confidence, Endpoint, FlowRow, Health, Names, OwnCost, ProcessId, ProcessRow, Protocol,
    Snapshot,
};
use crate::query::{Choice, Listing, Query, Row, ViewKind, default_reason};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// Version of the schema: a change that could break a reader raises it.
const SCHEMA: u32 = 1;

/// One tick.
#[derive(Serialize)]
pub(super) struct Object<'s> {
    schema: u32,
    #[serde(serialize_with = "date")]
    time: i64,
    backend: &'static str,
    tier: &'s str,
    scope: Option<&'s str>,
    interval_ns: u64,
    degraded: Vec<Degraded<'s>>,
    own: Option<Own>,
    ledger: ledger::Ledger<'s>,
    /// Where there is one, what follows is of what it shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<String>,
    totals: Counted,
    processes: Vec<Process<'s>>,
    flows: Vec<Flow<'s>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    view: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<Group<'s>>>,
}

#[derive(Serialize)]
struct Degraded<'s> {
    what: &'s str,
    why: &'s str,
    fix: &'s str,
}

/// What `monitor` itself costs.
#[derive(Serialize)]
struct Own {
    cpu_ns: u64,
    memory: Option<u64>,
    kernel_memory: u64,
}

impl Own {
    /// Nothing where it is not measured, as of a recording, which would not come out the same each time.
    fn new(own: &OwnCost, health: &Health) -> Option<Self> {
        (*own != OwnCost::default()).then(|| Self {
            cpu_ns: nanoseconds(own.cpu),
            memory: own.memory,
            kernel_memory: health.table_memory(),
        })
    }
}

#[derive(Serialize)]
struct Process<'s> {
    pid: Option<u32>,
    #[serde(serialize_with = "optional_date")]
    start: Option<i64>,
    #[serde(rename = "process")]
    name: Option<&'s str>,
    exe: Option<&'s str>,
    uid: Option<u32>,
    #[serde(flatten)]
    identity: identity::Fields<'s>,
    #[serde(serialize_with = "optional_date")]
    exited: Option<i64>,
    #[serde(flatten)]
    counted: Counted,
    attribution: Evidence<'s>,
}

#[derive(Serialize)]
struct Flow<'s> {
    proto: String,
    local: End<'s>,
    remote: End<'s>,
    pid: Option<u32>,
    process: Option<&'s str>,
    uid: Option<u32>,
    interface: Option<&'s str>,
    netns: Option<u64>,
    socket: Option<u64>,
    tcp: Option<Tcp>,
    #[serde(flatten)]
    counted: Counted,
    attribution: Evidence<'s>,
}

/// How a TCP connection fares.
#[derive(Serialize)]
struct Tcp {
    state: &'static str,
    srtt_us: u64,
    cwnd: u32,
    retransmits: u32,
    acked_bytes: u64,
    received_bytes: u64,
}

#[derive(Serialize)]
struct End<'s> {
    addr: Option<String>,
    port: Option<u16>,
    name: Option<&'s str>,
    service: Option<&'s str>,
}

/// Whose it is and how sure that is. A process row has no method: it sums flows that were found in several ways.
#[derive(Serialize)]
struct Evidence<'s> {
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'static str>,
    confidence: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'s str>,
}

/// What an object lists.
#[derive(Debug)]
pub(super) struct Lists {
    processes: Listing,
    flows: Listing,
    /// The rows of the view that was asked for, where it is neither of these.
    groups: Option<Listing>,
}

impl Lists {
    /// Filters and groups.
    pub(super) fn new(snapshot: &Arc<Snapshot>, choice: &Choice) -> Self {
        let listing = |view| Listing::new(Arc::clone(snapshot), choice.scope(view));
        let is_group = |view: &ViewKind| !matches!(view, ViewKind::Processes | ViewKind::Flows);
        Self {
            processes: listing(ViewKind::Processes),
            flows: listing(ViewKind::Flows),
            groups: choice.view.filter(is_group).map(listing),
        }
    }

    /// The rows to list, in the order that was asked for; without one, in that of first appearance.
    fn rows<'l>(listing: &'l Listing, choice: &Choice, everything: bool) -> Vec<Row<'l>> {
        let view = listing.scope().view;
        let is_group = !matches!(view, ViewKind::Processes | ViewKind::Flows);
        let mut rows: Vec<Row<'l>> = if choice.has_order() || choice.lines.is_some() || is_group {
            listing.select(&Query { limit: None, ..choice.query(view) }).rows
        } else {
            listing.all().collect()
        };
        rows.retain(|row| everything || !row.interval().is_zero());
        rows.truncate(choice.lines.unwrap_or(usize::MAX));
        rows
    }
}

impl<'s> Object<'s> {
    /// Lists what moved in the interval, or everything that is held.
    pub(super) fn new(snapshot: &'s Snapshot, lists: &'s Lists, choice: &Choice, everything: bool) -> Self {
        let Snapshot { health, ledger, totals, interval, .. } = snapshot;
        let rows = |listing: &'s Listing| Lists::rows(listing, choice, everything);
        let filter = choice.filter.as_ref().map(ToString::to_string);
        let shown = lists.processes.sums();
        let (total, moved) = match filter {
            Some(_) => (&shown.total, &shown.interval),
            None => (&totals.total, &totals.interval),
        };
        Self {
            schema: SCHEMA,
            time: snapshot.wall.0,
            backend: health.backend.name(),
            tier: &health.tier,
            scope: Some(health.scope.as_str()).filter(|scope| !scope.is_empty()),
            interval_ns: nanoseconds(*interval),
            degraded: health
                .degraded
                .iter()
                .map(|d| Degraded { what: &d.what, why: &d.why, fix: &d.fix })
                .collect(),
            own: Own::new(&snapshot.own, health),
            ledger: ledger::Ledger::new(ledger, (!everything).then_some(snapshot.sequence)),
            filter,
            totals: Counted::new(total, moved, *interval),
            processes: rows(&lists.processes)
                .iter()
                .filter_map(|row| row.process())
                .map(|row| Process::new(row, snapshot))
                .collect(),
            flows: rows(&lists.flows)
                .iter()
                .filter_map(|row| row.flow())
                .map(|row| Flow::new(row, *interval, &snapshot.names))
                .collect(),
            view: choice.view.map(ViewKind::name),
            groups: lists.groups.as_ref().map(|groups| {
                rows(groups)
                    .iter()
                    .filter_map(|row| row.group())
                    .map(|row| Group::new(row, snapshot))
                    .collect()
            }),
        }
    }
}

impl<'s> Process<'s> {
    fn new(row: &'s ProcessRow, snapshot: &Snapshot) -> Self {
        Self {
            pid: row.id.map(|id| id.pid),
            start: row.start.map(|start| date_of(start, snapshot.boot_wall)),
            name: named(row.id, &row.process),
            exe: row.exe.as_deref(),
            uid: row.uid,
            identity: identity::Fields::new(&row.identity),
            exited: row.exited.map(|exited| date_of(exited, snapshot.boot_wall)),
            counted: Counted::new(&row.total, &row.interval, snapshot.interval),
            attribution: Evidence {
                method: None,
                confidence: row.confidence.name(),
                reason: default_reason(row.confidence),
            },
        }
    }
}

impl<'s> Flow<'s> {
    fn new(row: &'s FlowRow, interval: Duration, names: &'s Names) -> Self {
        let Attribution { owner, method, confidence, reason } = &row.attribution;
        let reason = match confidence {
            Confidence::Exact => None,
            _ => reason.as_deref().or(default_reason(*confidence)),
        };
        Self {
            proto: row.id.protocol.to_string(),
            local: End::new(row.id.local_end(), row.id.protocol, names),
            remote: End::new(row.id.remote_end(), row.id.protocol, names),
            pid: owner.map(|id| id.pid),
            process: named(*owner, &row.process),
            uid: row.uid,
            interface: Some(&*row.interface).filter(|name| !name.is_empty()),
            netns: Some(row.id.netns).filter(|cookie| *cookie != 0),
            socket: row.id.socket.cookie(),
            tcp: Tcp::new(row),
            counted: Counted::new(&row.total, &row.interval, interval),
            attribution: Evidence { method: Some(method.name()), confidence: confidence.name(), reason },
        }
    }
}

impl Tcp {
    fn new(row: &FlowRow) -> Option<Self> {
        let tcp = row.tcp?;
        Some(Self {
            state: row.state().unwrap_or(tcp.state).name(),
            srtt_us: u64::try_from(tcp.srtt.as_micros()).unwrap_or(u64::MAX),
            cwnd: tcp.cwnd,
            retransmits: tcp.retransmits,
            acked_bytes: tcp.acked_bytes,
            received_bytes: tcp.received_bytes,
        })
    }
}

impl<'s> End<'s> {
    fn new(end: Option<Endpoint>, protocol: Protocol, names: &'s Names) -> Self {
        let port = end.and_then(|end| end.port);
        Self {
            addr: end.map(|end| end.addr.to_string()),
            port,
            name: end.and_then(|end| names.host(end.addr)),
            service: port.and_then(|port| names.service(protocol, port)),
        }
    }
}

fn named(owner: Option<ProcessId>, name: &str) -> Option<&str> {
    match owner? {
        ProcessId::KERNEL => Some("kernel"),
        _ => Some(name).filter(|name| !name.is_empty()),
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
