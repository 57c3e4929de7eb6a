//! The object: field for field what the schema names, in its order.

use super::entry::Entries;
use super::ledger;
use super::member::{FLOW, GROUP, PROCESS};
use super::number::{Counted, date};
use crate::model::{Health, OwnCost, Snapshot, nanoseconds};
use crate::query::{Choice, Listing, Query, Row, ViewKind};
use serde::Serialize;
use std::sync::Arc;

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
    processes: Entries<'s>,
    flows: Entries<'s>,
    #[serde(skip_serializing_if = "Option::is_none")]
    view: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Entries<'s>>,
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
        let entries = |members, listing: &'s Listing| {
            let rows = Lists::rows(listing, choice, everything);
            Entries { members, rows, snapshot }
        };
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
            processes: entries(&PROCESS, &lists.processes),
            flows: entries(&FLOW, &lists.flows),
            view: choice.view.map(ViewKind::name),
            groups: lists.groups.as_ref().map(|groups| entries(&GROUP, groups)),
        }
    }
}
