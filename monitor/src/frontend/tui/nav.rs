//! Navigation: a tab, what was opened one after another from there, and the place in each list. What was opened narrows
//! what is listed. Moving is `state`'s.

use crate::query::filter::{Expr, Field, Filter, Value};
use crate::query::{Format, Prefixes, Row, RowId, ViewKind};
use std::collections::HashMap;
use std::sync::Arc;

/// The views that have a tab; the others are in the chooser.
pub(super) const TABS: [ViewKind; 8] = [
    ViewKind::Processes,
    ViewKind::Flows,
    ViewKind::Hosts,
    ViewKind::Containers,
    ViewKind::Units,
    ViewKind::Users,
    ViewKind::Interfaces,
    ViewKind::Packages,
];
/// A shorter title for a narrow screen.
pub(super) fn short(view: ViewKind) -> &'static str {
    match view {
        ViewKind::Containers => "Cont.",
        ViewKind::Interfaces => "Ifaces",
        ViewKind::Packages => "Pkgs",
        view => view.title(),
    }
}

/// What there is of a process.
const OF_PROCESS: [ViewKind; 6] = [
    ViewKind::Flows,
    ViewKind::Hosts,
    ViewKind::Services,
    ViewKind::Ports,
    ViewKind::Interfaces,
    ViewKind::Networks,
];
/// What there is of a group, but for the group itself.
const OF_GROUP: [ViewKind; 8] = [
    ViewKind::Processes,
    ViewKind::Flows,
    ViewKind::Hosts,
    ViewKind::Services,
    ViewKind::Ports,
    ViewKind::Users,
    ViewKind::Units,
    ViewKind::Interfaces,
];

/// Where the user is in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The selected row, counted from the top.
    pub(super) index: usize,
    /// The first row on the screen.
    pub(super) offset: usize,
    /// The row that the selection sticks to wherever it moves; at the top it sticks to the place instead, because who
    /// has not moved wants to see the greatest.
    pub(super) row: Option<RowId>,
}

/// Something that was opened, and what to go back to.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    /// What it is.
    pub(super) id: RowId,
    /// What it was called, raw.
    pub(super) name: String,
    /// The view that it is a row of.
    pub(super) view: ViewKind,
    /// Where the user was in every view there.
    pub(super) cursors: HashMap<ViewKind, Cursor>,
}

impl Opened {
    /// A row of a view, as it is opened.
    pub(super) fn new(
        row: Row<'_>,
        view: ViewKind,
        cursors: HashMap<ViewKind, Cursor>,
        format: &Format<'_>,
    ) -> Self {
        Self { id: row.id(), name: name(row, format), view, cursors }
    }
}

/// What a row is called in the path.
fn name(row: Row<'_>, format: &Format<'_>) -> String {
    match row {
        Row::Group(group) => group.label(format).into_owned(),
        Row::Process(_) => match row.owner() {
            Some(owner) if owner.pid != 0 => format!("{}[{}]", row.name(), owner.pid),
            _ => row.name().to_owned(),
        },
        Row::Flow(flow) => {
            let end =
                |end: Option<_>| end.map_or_else(|| "-".to_owned(), |end| format.end(flow.id.protocol, end));
            format!("{} {}", flow.id.protocol, end(flow.id.remote_end()))
        }
    }
}

/// The views of what was opened last; the tabs where nothing was. The first is the one that it opens with.
pub(super) fn views(path: &[Opened]) -> Vec<ViewKind> {
    match path.last().map(|opened| &opened.id) {
        None => TABS.to_vec(),
        Some(RowId::Process(..)) => OF_PROCESS.to_vec(),
        // Its own line.
        Some(RowId::Flow(..)) => vec![ViewKind::Flows],
        Some(RowId::Group(view, _)) => {
            let mut views: Vec<_> = OF_GROUP.into_iter().filter(|other| other != view).collect();
            if !view.spec().of_processes {
                // Of a host one wants to see the flows first.
                views.swap(0, 1);
            }
            views
        }
    }
}

/// What narrows every list, whatever was opened and is looked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits<'s> {
    /// How large a remote network is.
    pub(super) prefixes: Prefixes,
    /// The only interface that counts, by its name.
    pub(super) interface: Option<&'s str>,
}

/// What the user looks for, what was opened and the limits, together.
pub(super) fn filter(path: &[Opened], wanted: Option<&Filter>, limits: Limits<'_>) -> Option<Arc<Filter>> {
    let of = |opened: &Opened| Expr::Of(opened.id.clone(), limits.prefixes);
    let mut parts: Vec<Expr> = path.iter().map(of).collect();
    let on = |name: &str| Expr::Is(Field::Interface, vec![Value::Word(name.into())]);
    parts.extend(limits.interface.map(on));
    match wanted.map(Filter::expr) {
        Some(Expr::And(all)) => parts.extend(all.iter().cloned()),
        Some(one) => parts.push(one.clone()),
        None => {}
    }
    match parts.len() {
        0 => None,
        1 => parts.pop().map(|one| Arc::new(Filter::new(one))),
        _ => Some(Arc::new(Filter::new(Expr::And(parts)))),
    }
}
