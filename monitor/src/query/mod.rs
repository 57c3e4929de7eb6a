//! What a frontend shows of a snapshot: which rows, in which order, as which cells.
//!
//! A [`Scope`] (view, filter) over a snapshot is a [`Listing`]; a [`Query`] (order, limit) over that is a [`View`]; the
//! [`columns`] of the view and a [`Format`] (units, names) make cells of its rows.
//!
//! Pure: it formats nothing but what it is asked to ([`Column::cell`]), escapes nothing (names come out raw; a frontend
//! that draws them escapes them), does no I/O and knows no terminal. Only parsing a filter can fail.

#![warn(clippy::wildcard_enum_match_arm)]

mod amount;
mod choice;
mod column;
mod field;
pub(crate) mod filter;
mod filtered;
#[cfg(test)]
pub(crate) mod fixture;
mod format;
mod group;
mod listing;
mod number;
mod slot;
#[cfg(test)]
mod tests;
mod tree;
mod value;
mod view;
mod view_kind;

pub(crate) use amount::{AmountError, Measure, amount};
pub(crate) use choice::Choice;
pub(crate) use column::{Align, Column, Placed, Role, place};
pub(crate) use field::{End, Field};
pub(crate) use format::{Format, Notation};
pub(crate) use group::{GroupKey, GroupRow, Sums};
pub(crate) use listing::{Listing, Prefixes, Scope};
pub(crate) use number::{Units, clock, count, latency};
#[cfg(test)]
pub(crate) use value::Kind;
pub(crate) use value::{SortValue, Value};
pub(crate) use view::{columns, rounded};
pub(crate) use view_kind::ViewKind;

use crate::model::{
    Confidence, Counters, FlowId, FlowRow, Peak, ProcessId, ProcessRow, WINDOW_SECONDS, Windows,
};
use std::cmp::Ordering;

/// One of the averaging windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Window {
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
    pub(crate) const ALL: [Self; 3] = [Self::Two, Self::Ten, Self::Forty];

    /// Its place in the arrays of [`Windows`].
    pub(crate) fn index(self) -> usize {
        self as usize
    }

    /// Its length in seconds.
    pub(crate) fn seconds(self) -> u64 {
        WINDOW_SECONDS[self.index()]
    }
}

/// What rows are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SortKey {
    /// The rate of both directions together over one window.
    Rate(Window),
    /// A column.
    Column(Field),
}

/// In which order rows are shown, and how many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    /// Ordered by what.
    pub sort: SortKey,
    /// Greatest first.
    pub descending: bool,
    /// At most this many rows; all where `None`. What is beyond it is not sorted.
    pub limit: Option<usize>,
}

impl Default for Query {
    fn default() -> Self {
        Self { sort: SortKey::Rate(Window::Two), descending: true, limit: None }
    }
}

/// The rows that a query selected.
#[derive(Clone, Debug)]
pub(crate) struct View<'s> {
    /// The first of them, in order, as many as the limit allows.
    pub rows: Vec<Row<'s>>,
    /// How many there are without the limit.
    pub total: usize,
}

/// One row of any view.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Row<'s> {
    /// Of the processes view.
    Process(&'s ProcessRow),
    /// Of the flows view.
    Flow(&'s FlowRow),
    /// Of any other view.
    Group(&'s GroupRow),
}

/// What a row is, from one snapshot to the next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RowId {
    /// A process, or the bytes of none by what they are worth.
    Process(Option<ProcessId>, Option<Confidence>),
    /// A flow under one owner.
    Flow(FlowId, Option<ProcessId>, Option<Confidence>),
    /// A group of a view.
    Group(ViewKind, GroupKey),
}

impl<'s> Row<'s> {
    /// What it is, from one snapshot to the next.
    pub(crate) fn id(self) -> RowId {
        // A known owner is identity enough: an inherited flow that turns exact is still the same row.
        match self {
            Self::Process(row) => RowId::Process(row.id, row.id.is_none().then_some(row.confidence)),
            Self::Flow(row) => {
                let owner = row.attribution.owner;
                RowId::Flow(row.id, owner, owner.is_none().then_some(row.attribution.confidence))
            }
            Self::Group(row) => RowId::Group(row.view, row.key.clone()),
        }
    }

    /// Whether it is that row.
    pub(crate) fn is(self, id: &RowId) -> bool {
        match (self, id) {
            // Without copying the key.
            (Self::Group(row), RowId::Group(view, key)) => row.view == *view && row.key == *key,
            (Self::Group(_), _) | (_, RowId::Group(..)) => false,
            (row, id) => row.id() == *id,
        }
    }

    /// The flow, where it is one.
    pub(crate) fn flow(self) -> Option<&'s FlowRow> {
        match self {
            Self::Flow(row) => Some(row),
            Self::Process(_) | Self::Group(_) => None,
        }
    }

    /// The group, where it is one.
    pub(crate) fn group(self) -> Option<&'s GroupRow> {
        match self {
            Self::Group(row) => Some(row),
            Self::Process(_) | Self::Flow(_) => None,
        }
    }

    /// The owner, where there is one; of a subtree its root.
    pub(crate) fn owner(self) -> Option<ProcessId> {
        match self {
            Self::Process(row) => row.id,
            Self::Flow(row) => row.attribution.owner,
            Self::Group(row) => match row.key {
                GroupKey::Process(id) => Some(id),
                GroupKey::Kernel => Some(ProcessId::KERNEL),
                GroupKey::User(_)
                | GroupKey::Name(_)
                | GroupKey::Container(_)
                | GroupKey::Pod(_)
                | GroupKey::Host(_)
                | GroupKey::Net(_)
                | GroupKey::Port(..)
                | GroupKey::Protocol(_)
                | GroupKey::Interface(..)
                | GroupKey::Netns(_)
                | GroupKey::Without
                | GroupKey::Unread
                | GroupKey::Retired
                | GroupKey::Nobody(_)
                | GroupKey::Ended => None,
            },
        }
    }

    /// What the owner is worth. A group has several, each in its own flow.
    pub(crate) fn confidence(self) -> Confidence {
        match self {
            Self::Process(row) => row.confidence,
            Self::Flow(row) => row.attribution.confidence,
            Self::Group(GroupRow { key: GroupKey::Nobody(confidence), .. }) => *confidence,
            Self::Group(_) => Confidence::Exact,
        }
    }

    /// The name of the owner: its comm (raw), `kernel`, or what the bytes of no process are called. A group's own name is
    /// [`GroupRow::label`].
    pub(crate) fn name(self) -> &'s str {
        let name: &'s str = match self {
            Self::Process(row) => &row.process,
            Self::Flow(row) => &row.process,
            Self::Group(row) => row.name.as_deref().unwrap_or_default(),
        };
        match (self.owner(), self) {
            (Some(ProcessId::KERNEL), _) => "kernel",
            (Some(_), _) if name.is_empty() => "?",
            (Some(_), _) | (None, Self::Group(_)) => name,
            // The bytes of processes that are no longer listed had an owner.
            (None, _) if self.confidence() == Confidence::Exact => name,
            (None, _) => self.confidence().name(),
        }
    }

    /// Why the owner is not exact; `None` where it is.
    pub(crate) fn reason(self) -> Option<&'s str> {
        let default = default_reason(self.confidence())?;
        let own = self.flow().and_then(|flow| flow.attribution.reason.as_deref());
        Some(own.unwrap_or(default))
    }

    /// Average rates, bits/s.
    pub(crate) fn windows(self) -> &'s Windows {
        match self {
            Self::Process(row) => &row.windows,
            Self::Flow(row) => &row.windows,
            Self::Group(row) => &row.sums.windows,
        }
    }

    /// Whether it is a thing of its view's kind: the bytes of no process are a row and no process.
    pub(super) fn is_thing(self) -> bool {
        match self {
            Self::Process(row) => row.id.is_some(),
            Self::Flow(_) => true,
            Self::Group(row) => row.key.is_thing(),
        }
    }

    /// Highest rates since start; nobody measures those of a group, or of a part of a process.
    pub(crate) fn peak(self) -> Option<&'s Peak> {
        match self {
            Self::Process(row) => row.peak.as_ref(),
            Self::Flow(row) => Some(&row.peak),
            Self::Group(_) => None,
        }
    }

    /// Since start; of a flow, since it was first seen.
    pub(crate) fn total(self) -> &'s Counters {
        match self {
            Self::Process(row) => &row.total,
            Self::Flow(row) => &row.total,
            Self::Group(row) => &row.sums.total,
        }
    }

    /// In the snapshot's interval.
    pub(crate) fn interval(self) -> &'s Counters {
        match self {
            Self::Process(row) => &row.interval,
            Self::Flow(row) => &row.interval,
            Self::Group(row) => &row.sums.interval,
        }
    }

    /// It is over: all of its processes have ended, or its socket was closed.
    pub(crate) fn has_exited(self) -> bool {
        match self {
            Self::Process(row) => row.exited.is_some(),
            Self::Flow(row) => row.closed.is_some(),
            Self::Group(row) => row.exited.is_some(),
        }
    }

    /// How many rows are above it in the tree.
    pub(crate) fn depth(self) -> u16 {
        self.group().map_or(0, |group| group.depth)
    }

    /// More than that, bits/s, moves one way: the average over the shortest window.
    pub(crate) fn exceeds(self, limit: u64) -> bool {
        let Windows { rx, tx } = self.windows();
        rx[Window::Two.index()].max(tx[Window::Two.index()]) > limit
    }

    /// Nothing moved for the longest window.
    pub(crate) fn is_idle(self) -> bool {
        *self.windows() == Windows::default()
    }
}

/// Why an owner of this worth is not exact, where the row itself does not say; `None` where it is exact.
pub(crate) fn default_reason(confidence: Confidence) -> Option<&'static str> {
    Some(match confidence {
        Confidence::Exact => return None,
        Confidence::Inherited => "owner of the listener",
        Confidence::Shared => "last of several users",
        Confidence::Ambiguous => "several candidates",
        Confidence::Pending => "not yet settled",
        Confidence::Unknown => "no owner seen",
    })
}

impl Row<'_> {
    fn compare_ids(self, other: Self) -> Ordering {
        let rank = |row: &Row<'_>| match row {
            Row::Process(_) => 0,
            Row::Flow(_) => 1,
            Row::Group(_) => 2,
        };
        match (self, other) {
            (Self::Process(a), Self::Process(b)) => (a.id, a.confidence).cmp(&(b.id, b.confidence)),
            (Self::Flow(a), Self::Flow(b)) => flow_order(a).cmp(&flow_order(b)),
            (Self::Group(a), Self::Group(b)) => a.key.cmp(&b.key),
            (a, b) => rank(&a).cmp(&rank(&b)),
        }
    }
}

fn flow_order(row: &FlowRow) -> impl Ord {
    let FlowId { socket, protocol, local, remote, netns, ifindex } = row.id;
    let owner = (row.attribution.owner, row.attribution.confidence);
    (socket, protocol, local, remote, netns, ifindex, owner)
}
