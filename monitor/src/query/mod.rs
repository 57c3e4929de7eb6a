//! What a frontend shows of a snapshot: which rows, in which order, as which cells.
//!
//! Pure: it reads a [`Snapshot`] and a [`Query`] and borrows rows from the snapshot. It formats nothing but what it is
//! asked to ([`Column::cell`]), escapes nothing (names come out raw; a frontend that draws them escapes them), does
//! no I/O, knows no terminal and cannot fail.

mod column;
#[cfg(test)]
pub(crate) mod fixture;
mod number;
#[cfg(test)]
mod tests;

pub use column::{Align, Column, ColumnId, Key, Placed, Role, columns, place};
pub use number::{COUNT_WIDTH, RATE_WIDTH, TOTAL_WIDTH, bytes, clock, count, rate};

use crate::model::{Confidence, FlowId, FlowRow, ProcessId, ProcessRow, Snapshot, WINDOW_SECONDS, Windows};
use std::cmp::Ordering;
use std::collections::HashMap;

/// A list that a user can look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ViewKind {
    /// One row a process.
    #[default]
    Processes,
    /// One row a flow and owner.
    Flows,
}

impl ViewKind {
    /// Every view, in the order of the tabs.
    pub const ALL: [Self; 2] = [Self::Processes, Self::Flows];

    /// The name on its tab.
    pub fn title(self) -> &'static str {
        match self {
            Self::Processes => "Processes",
            Self::Flows => "Flows",
        }
    }
}

/// One of the averaging windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Window {
    /// 2 s.
    #[default]
    Two,
    /// 10 s.
    Ten,
    /// 40 s.
    Forty,
}

impl Window {
    /// All, shortest first.
    pub const ALL: [Self; 3] = [Self::Two, Self::Ten, Self::Forty];

    /// Its place in the arrays of [`Windows`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Its length in seconds.
    pub fn seconds(self) -> u64 {
        WINDOW_SECONDS[self.index()]
    }
}

/// What rows are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SortKey {
    /// The rate of both directions together over one window.
    Rate(Window),
    /// A column.
    Column(ColumnId),
}

/// What to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// Which list.
    pub view: ViewKind,
    /// Ordered by what.
    pub sort: SortKey,
    /// Greatest first.
    pub descending: bool,
    /// At most this many rows; all where `None`. What is beyond it is not sorted.
    pub limit: Option<usize>,
}

impl Default for Query {
    fn default() -> Self {
        Self { view: ViewKind::Processes, sort: SortKey::Rate(Window::Two), descending: true, limit: None }
    }
}

/// The rows that a query selected.
#[derive(Clone, Debug)]
pub struct View<'s> {
    /// The first of them, in order, as many as the limit allows.
    pub rows: Vec<Row<'s>>,
    /// How many there are without the limit.
    pub total: usize,
}

/// One row of any view.
#[derive(Clone, Copy, Debug)]
pub enum Row<'s> {
    /// Of the processes view.
    Process(&'s ProcessRow),
    /// Of the flows view.
    Flow(&'s FlowRow),
}

/// What a row is, from one snapshot to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowId {
    /// A process, or the bytes of none by what they are worth.
    Process(Option<ProcessId>, Option<Confidence>),
    /// A flow under one owner.
    Flow(FlowId, Option<ProcessId>, Option<Confidence>),
}

impl<'s> Row<'s> {
    /// What it is, from one snapshot to the next.
    pub fn id(self) -> RowId {
        // A known owner is identity enough: an inherited flow that turns exact is still the same row.
        match self {
            Self::Process(row) => RowId::Process(row.id, row.id.is_none().then_some(row.confidence)),
            Self::Flow(row) => {
                let owner = row.attribution.owner;
                RowId::Flow(row.id, owner, owner.is_none().then_some(row.attribution.confidence))
            }
        }
    }

    /// The owner, where there is one.
    pub fn owner(self) -> Option<ProcessId> {
        match self {
            Self::Process(row) => row.id,
            Self::Flow(row) => row.attribution.owner,
        }
    }

    /// What the owner is worth.
    pub fn confidence(self) -> Confidence {
        match self {
            Self::Process(row) => row.confidence,
            Self::Flow(row) => row.attribution.confidence,
        }
    }

    /// The name of the owner: its comm (raw), `kernel`, or what the bytes of no process are called.
    pub fn name(self) -> &'s str {
        let name: &'s str = match self {
            Self::Process(row) => &row.process,
            Self::Flow(row) => &row.process,
        };
        match self.owner() {
            Some(ProcessId::KERNEL) => "kernel",
            Some(_) if name.is_empty() => "?",
            Some(_) => name,
            None => self.confidence().name(),
        }
    }

    /// Why the owner is not exact; `None` where it is.
    pub fn reason(self) -> Option<&'s str> {
        match self {
            Self::Flow(FlowRow { attribution, .. }) if attribution.reason.is_some() => {
                attribution.reason.as_deref()
            }
            _ => default_reason(self.confidence()),
        }
    }

    /// Average rates, bits/s.
    pub fn windows(self) -> &'s Windows {
        match self {
            Self::Process(row) => &row.windows,
            Self::Flow(row) => &row.windows,
        }
    }

    /// Nothing moved for the longest window.
    pub fn is_idle(self) -> bool {
        *self.windows() == Windows::default()
    }
}

/// Why an owner of this worth is not exact, where the row itself does not say; `None` where it is exact.
pub fn default_reason(confidence: Confidence) -> Option<&'static str> {
    Some(match confidence {
        Confidence::Exact => return None,
        Confidence::Inherited => "owner of the listener",
        Confidence::Shared => "last of several users",
        Confidence::Ambiguous => "several candidates",
        Confidence::Pending => "not yet settled",
        Confidence::Unknown => "no owner seen",
    })
}

/// How many rows a view has.
pub fn len(snapshot: &Snapshot, view: ViewKind) -> usize {
    match view {
        ViewKind::Processes => snapshot.processes.len(),
        ViewKind::Flows => snapshot.flows.len(),
    }
}

fn row(snapshot: &Snapshot, view: ViewKind, index: usize) -> Row<'_> {
    match view {
        ViewKind::Processes => Row::Process(&snapshot.processes[index]),
        ViewKind::Flows => Row::Flow(&snapshot.flows[index]),
    }
}

fn all(snapshot: &Snapshot, view: ViewKind) -> impl Iterator<Item = Row<'_>> {
    (0..len(snapshot, view)).map(move |index| row(snapshot, view, index))
}

/// The rows of the query in its order; equal ones in the order of what they are, so that rows do not dance.
pub fn select<'s>(snapshot: &'s Snapshot, query: &Query) -> View<'s> {
    let mut keyed: Vec<(Key<'s>, Row<'s>)> =
        all(snapshot, query.view).map(|row| (query.sort.key(row), row)).collect();
    let total = keyed.len();
    let order =
        |a: &(Key<'s>, Row<'s>), b: &(Key<'s>, Row<'s>)| compare((&a.0, a.1), (&b.0, b.1), query.descending);
    let limit = query.limit.unwrap_or(total).min(total);
    if limit < total {
        if limit > 0 {
            keyed.select_nth_unstable_by(limit - 1, order);
        }
        keyed.truncate(limit);
    }
    keyed.sort_unstable_by(order);
    View { rows: keyed.into_iter().map(|(_, row)| row).collect(), total }
}

/// Where a row stands in the query's order, found without sorting.
pub fn rank(snapshot: &Snapshot, query: &Query, id: RowId) -> Option<usize> {
    let found = all(snapshot, query.view).find(|row| row.id() == id)?;
    let key = query.sort.key(found);
    let before =
        |row: &Row<'_>| compare((&query.sort.key(*row), *row), (&key, found), query.descending).is_lt();
    Some(all(snapshot, query.view).filter(before).count())
}

/// The rows in an order that was frozen earlier; rows that are newer than it follow in the query's order.
pub fn select_frozen<'s>(snapshot: &'s Snapshot, query: &Query, order: &[RowId]) -> View<'s> {
    let sorted = select(snapshot, &Query { limit: None, ..*query });
    let mut place: HashMap<RowId, usize> = order.iter().enumerate().map(|(place, id)| (*id, place)).collect();
    let mut rows: Vec<(usize, Row<'s>)> =
        sorted.rows.into_iter().map(|row| (place.remove(&row.id()).unwrap_or(usize::MAX), row)).collect();
    rows.sort_by_key(|(place, _)| *place);
    rows.truncate(query.limit.unwrap_or(usize::MAX));
    View { rows: rows.into_iter().map(|(_, row)| row).collect(), total: sorted.total }
}

fn compare(a: (&Key<'_>, Row<'_>), b: (&Key<'_>, Row<'_>), descending: bool) -> Ordering {
    let by_key = if descending { b.0.cmp(a.0) } else { a.0.cmp(b.0) };
    by_key.then_with(|| compare_ids(a.1, b.1))
}

fn compare_ids(a: Row<'_>, b: Row<'_>) -> Ordering {
    match (a, b) {
        (Row::Process(a), Row::Process(b)) => (a.id, a.confidence).cmp(&(b.id, b.confidence)),
        (Row::Flow(a), Row::Flow(b)) => flow_order(a).cmp(&flow_order(b)),
        (Row::Process(_), Row::Flow(_)) => Ordering::Less,
        (Row::Flow(_), Row::Process(_)) => Ordering::Greater,
    }
}

fn flow_order(row: &FlowRow) -> impl Ord {
    let FlowId { socket, protocol, local, remote, netns, ifindex } = row.id;
    let owner = (row.attribution.owner, row.attribution.confidence);
    (socket, protocol, local, remote, netns, ifindex, owner)
}
