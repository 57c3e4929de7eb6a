//! Query arguments, what the user asked for on the command line about what is shown: the same for every frontend.

use super::column::Align;
use super::field::Field;
use super::filter::Filter;
use super::format::Notation;
use super::listing::{Prefixes, Scope};
use super::view::columns;
use super::view_kind::ViewKind;
use super::{Query, SortKey, Window};
use std::sync::Arc;

/// What is shown, in which order, and how it is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Choice {
    /// The view; a frontend's own choice where `None`.
    pub view: Option<ViewKind>,
    /// What is shown and totalled.
    pub filter: Option<Arc<Filter>>,
    /// How large a remote network is.
    pub prefixes: Prefixes,
    /// What rows are ordered by: a name that [`SortKey::named`] knows in the view.
    pub sort: Option<String>,
    /// The other way round.
    pub reverse: bool,
    /// At most so many rows a list.
    pub lines: Option<usize>,
    /// Units and names.
    pub notation: Notation,
}

impl Choice {
    /// The views that text and JSON show: the one that was asked for, or processes and flows.
    pub(crate) fn views(&self) -> Vec<ViewKind> {
        self.view.map_or_else(|| vec![ViewKind::Processes, ViewKind::Flows], |view| vec![view])
    }

    /// Which rows of a view there are.
    pub(crate) fn scope(&self, view: ViewKind) -> Scope {
        Scope { view, filter: self.filter.clone(), prefixes: self.prefixes }
    }

    /// In which order the rows of a view are, and how many.
    pub(crate) fn query(&self, view: ViewKind) -> Query {
        let named = self.sort.as_deref().and_then(|name| SortKey::named(view, name));
        let Query { sort, descending, .. } = Query::default();
        let (sort, descending) = named.unwrap_or((sort, descending));
        Query { sort, descending: descending != self.reverse, limit: self.lines }
    }

    /// The order was asked for.
    pub(crate) fn has_order(&self) -> bool {
        self.sort.is_some() || self.reverse
    }
}

impl SortKey {
    /// What a name means in a view, and whether the greatest come first: `2s`, `10s`, `40s`, `source`, `destination` as in
    /// iftop, or the name of a column. Names come in their order, amounts greatest first.
    pub(crate) fn named(view: ViewKind, name: &str) -> Option<(Self, bool)> {
        let window = Window::ALL.into_iter().find(|window| name == format!("{}s", window.seconds()));
        if let Some(window) = window {
            return Some((Self::Rate(window), true));
        }
        let wanted = |id: Field, column: &str| match name {
            "source" => id == Field::Local,
            "destination" => id == Field::Remote,
            "name" if id == Field::Group => true,
            // Its name before it held containers, which settings may have.
            "unit" if id == Field::Workload => true,
            name => column == name,
        };
        let column = columns(view).iter().find(|column| wanted(column.id, column.name))?;
        Some((Self::Column(column.id), column.align == Align::Right))
    }

    /// The name of what is sorted by, for the screen.
    pub(crate) fn title(self) -> String {
        match self {
            Self::Rate(window) => format!("{}s", window.seconds()),
            Self::Column(id) => ViewKind::ALL
                .iter()
                .flat_map(|view| columns(*view))
                .find(|column| column.id == id)
                .map_or_else(String::new, |column| column.name.replace('_', " ")),
        }
    }

    /// Every name that [`SortKey::named`] knows in a view.
    pub(crate) fn names(view: ViewKind) -> Vec<String> {
        let windows = Window::ALL.iter().map(|window| format!("{}s", window.seconds()));
        let ends = ["source", "destination"].map(str::to_owned).into_iter();
        let columns = columns(view).iter().map(|column| column.name.to_owned());
        windows.chain(ends.filter(|_| view == ViewKind::Flows)).chain(columns).collect()
    }
}
