//! The rows of one view over one snapshot: filtered and grouped once, then sorted as often as is asked.
//!
//! A frontend keeps a [`Listing`] as long as it shows the same snapshot in the same [`Scope`]; filtering and grouping cost
//! a pass over the snapshot, selecting a page costs a pass over the rows and a sort of the page.

use super::filter::Filter;
use super::filtered::Filtered;
use super::group::{self, GroupKey, GroupRow, Sums};
use super::tree::Tree;
use super::view_kind::ViewKind;
use super::{Query, Row, RowId, SortValue, View};
use crate::model::{FlowRow, ProcessRow, Snapshot};
use ipnet::IpNet;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// How large a remote network is, in bits of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Prefixes {
    /// Of IPv4 addresses, at most 32.
    pub v4: u8,
    /// Of IPv6 addresses, at most 128.
    pub v6: u8,
}

impl Default for Prefixes {
    fn default() -> Self {
        Self { v4: 24, v6: 64 }
    }
}

impl Prefixes {
    /// The network of an address.
    pub(crate) fn net(self, addr: IpAddr) -> IpNet {
        let prefix = if addr.is_ipv4() { self.v4.min(32) } else { self.v6.min(128) };
        IpNet::new(addr, prefix).map_or_else(|_| IpNet::from(addr), |net| net.trunc())
    }
}

/// Which rows there are; their order is a [`Query`].
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Scope {
    /// Which list.
    pub view: ViewKind,
    /// What is shown and totalled; everything where `None`.
    pub filter: Option<Arc<Filter>>,
    /// How large a remote network is.
    pub prefixes: Prefixes,
}

impl Scope {
    /// Everything, in a view.
    #[cfg(test)]
    pub(crate) fn of(view: ViewKind) -> Self {
        Self { view, ..Self::default() }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    snapshot: Arc<Snapshot>,
    scope: Scope,
    rows: Rows,
    sums: Sums,
    #[cfg(test)]
    rest: Option<GroupRow>,
}

#[derive(Clone, Debug)]
enum Rows {
    Processes(Vec<Arc<ProcessRow>>),
    Flows(Vec<Arc<FlowRow>>),
    Groups(Vec<GroupRow>),
    Tree(Tree),
}

impl Listing {
    /// Filters and groups.
    pub(crate) fn new(snapshot: Arc<Snapshot>, scope: Scope) -> Self {
        let Scope { view, prefixes, .. } = scope;
        let rules = scope.filter.as_deref();
        let filtered = Filtered::new(&snapshot, view, rules);
        let mut rest = filtered.rest.map(|sums| {
            let mut row = GroupRow::new(view, GroupKey::Ended, None);
            row.sums = sums;
            row
        });
        let mut rows = match view {
            ViewKind::Processes => Rows::Processes(filtered.processes),
            ViewKind::Flows => Rows::Flows(filtered.flows),
            ViewKind::Tree => Rows::Tree(Tree::new(&filtered.processes)),
            ViewKind::Users
            | ViewKind::Units
            | ViewKind::Slices
            | ViewKind::Containers
            | ViewKind::Pods
            | ViewKind::Packages => Rows::Groups(group::by_process(view, &filtered.processes)),
            ViewKind::Hosts
            | ViewKind::Networks
            | ViewKind::Services
            | ViewKind::Ports
            | ViewKind::Protocols
            | ViewKind::Interfaces
            | ViewKind::Namespaces => {
                let mut groups = group::by_flow(view, &filtered.flows, prefixes);
                groups.extend(rest.take());
                Rows::Groups(groups)
            }
        };
        if let Some(rules) = rules {
            rows.retain(rules);
            rest = rest.filter(|rest| rules.admits(&rest.sums));
        }
        let mut sums = rows.sums();
        if let Some(rest) = &rest {
            sums.add(&rest.sums);
        }
        Self {
            snapshot,
            scope,
            rows,
            sums,
            #[cfg(test)]
            rest,
        }
    }

    /// Whether it shows this snapshot in this scope.
    pub(crate) fn shows(&self, snapshot: &Arc<Snapshot>, scope: &Scope) -> bool {
        Arc::ptr_eq(&self.snapshot, snapshot) && self.scope == *scope
    }

    /// What it was made of.
    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }

    /// What it was made of.
    pub(crate) fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The sums of all its rows, and in the view of flows of what flows moved that are no longer held, which other views have
    /// as a row: without a filter, those of everything.
    pub(crate) fn sums(&self) -> &Sums {
        &self.sums
    }

    /// What is in the sums and in no row.
    #[cfg(test)]
    pub(crate) fn rest(&self) -> Option<&GroupRow> {
        self.rest.as_ref()
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        match &self.rows {
            Rows::Processes(rows) => rows.len(),
            Rows::Flows(rows) => rows.len(),
            Rows::Groups(rows) => rows.len(),
            Rows::Tree(tree) => tree.len(),
        }
    }

    /// How many rows are of a thing of the view's kind: the bytes of no process, of no container and the like have a row
    /// and are none.
    pub(crate) fn things(&self) -> usize {
        self.all().filter(|row| row.is_thing()).count()
    }

    fn row(&self, index: usize) -> Row<'_> {
        self.rows.row(index)
    }

    /// All of them, in no particular order: that of first appearance.
    pub(crate) fn all(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.len()).map(|index| self.row(index))
    }

    /// The row of that identity.
    pub(crate) fn find(&self, id: &RowId) -> Option<Row<'_>> {
        self.all().find(|row| row.is(id))
    }

    /// The rows in the query's order; equal ones in the order of what they are, so that rows do not dance. In a tree
    /// the order is that of siblings.
    pub(crate) fn select(&self, query: &Query) -> View<'_> {
        let total = self.len();
        let limit = query.limit.unwrap_or(total).min(total);
        if let Rows::Tree(tree) = &self.rows {
            let order =
                |a: &GroupRow, b: &GroupRow| query.compare(Row::Group(a), Row::Group(b), &self.snapshot);
            return View { rows: tree.rows(limit, order).into_iter().map(Row::Group).collect(), total };
        }
        let mut keyed: Vec<(SortValue<'_>, Row<'_>)> =
            self.all().map(|row| (query.sort.value(row, &self.snapshot), row)).collect();
        let order = |a: &(SortValue<'_>, Row<'_>), b: &(SortValue<'_>, Row<'_>)| {
            query.compare_keyed((&a.0, a.1), (&b.0, b.1))
        };
        if limit < total {
            if limit > 0 {
                keyed.select_nth_unstable_by(limit - 1, order);
            }
            keyed.truncate(limit);
        }
        keyed.sort_unstable_by(order);
        View { rows: keyed.into_iter().map(|(_, row)| row).collect(), total }
    }

    /// Where a row stands in the query's order, found without sorting (but in a tree).
    pub(crate) fn rank(&self, query: &Query, id: &RowId) -> Option<usize> {
        if let Rows::Tree(_) = &self.rows {
            let all = self.select(&Query { limit: None, ..*query });
            return all.rows.iter().position(|row| row.is(id));
        }
        let found = self.find(id)?;
        let key = query.sort.value(found, &self.snapshot);
        let before = |row: &Row<'_>| {
            query.compare_keyed((&query.sort.value(*row, &self.snapshot), *row), (&key, found)).is_lt()
        };
        Some(self.all().filter(before).count())
    }

    /// The rows in an order that was frozen earlier; rows that are newer than it follow in the query's order (in a tree,
    /// after their siblings).
    pub(crate) fn select_frozen(&self, query: &Query, order: &[RowId]) -> View<'_> {
        let place: HashMap<&RowId, usize> = order.iter().enumerate().map(|(place, id)| (id, place)).collect();
        let place = |row: Row<'_>| place.get(&row.id()).copied().unwrap_or(usize::MAX);
        let limit = query.limit.unwrap_or(usize::MAX);
        if let Rows::Tree(tree) = &self.rows {
            let order = |a: &GroupRow, b: &GroupRow| {
                let (a, b) = (Row::Group(a), Row::Group(b));
                place(a).cmp(&place(b)).then_with(|| query.compare(a, b, &self.snapshot))
            };
            let rows = tree.rows(limit.min(tree.len()), order).into_iter().map(Row::Group).collect();
            return View { rows, total: tree.len() };
        }
        let sorted = self.select(&Query { limit: None, ..*query });
        let mut rows: Vec<(usize, Row<'_>)> = sorted.rows.into_iter().map(|row| (place(row), row)).collect();
        rows.sort_by_key(|(place, _)| *place);
        rows.truncate(limit);
        View { rows: rows.into_iter().map(|(_, row)| row).collect(), total: sorted.total }
    }
}

impl Rows {
    fn row(&self, index: usize) -> Row<'_> {
        match self {
            Self::Processes(rows) => Row::Process(&rows[index]),
            Self::Flows(rows) => Row::Flow(&rows[index]),
            Self::Groups(rows) => Row::Group(&rows[index]),
            Self::Tree(tree) => Row::Group(tree.row(index)),
        }
    }

    /// Keeps what the filter admits of whole rows.
    fn retain(&mut self, filter: &Filter) {
        match self {
            Self::Processes(rows) => rows.retain(|row| filter.admits(&Sums::of_process(row))),
            Self::Flows(rows) => rows.retain(|row| filter.admits(&Sums::of_flow(row))),
            Self::Groups(rows) => rows.retain(|row| filter.admits(&row.sums)),
            Self::Tree(tree) => tree.retain(|row| filter.admits(&row.sums)),
        }
    }

    fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        match self {
            Self::Processes(rows) => rows.iter().for_each(|row| sums.add(&Sums::of_process(row))),
            Self::Flows(rows) => rows.iter().for_each(|row| sums.add(&Sums::of_flow(row))),
            Self::Groups(rows) => rows.iter().for_each(|row| sums.add(&row.sums)),
            Self::Tree(tree) => sums = tree.sums(),
        }
        sums
    }
}

impl Query {
    fn compare(&self, a: Row<'_>, b: Row<'_>, snapshot: &Snapshot) -> Ordering {
        let value = |row| self.sort.value(row, snapshot);
        self.compare_keyed((&value(a), a), (&value(b), b))
    }

    fn compare_keyed(&self, a: (&SortValue<'_>, Row<'_>), b: (&SortValue<'_>, Row<'_>)) -> Ordering {
        let by_key = if self.descending { b.0.cmp(a.0) } else { a.0.cmp(b.0) };
        by_key.then_with(|| a.1.compare_ids(b.1))
    }
}
