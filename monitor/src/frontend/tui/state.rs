//! What the user has chosen, and how an action changes it.
//!
//! Pure: no terminal, no clock, no channel. What must happen outside comes back as an [`Effect`].

use super::keymap::{Action, BINDINGS};
use crate::model::Snapshot;
use crate::query::{Listing, Notation, Query, RowId, Scope, SortKey, View, ViewKind};
use std::collections::HashMap;
use std::sync::Arc;

/// The views that Tab goes through.
pub(super) const TABS: [ViewKind; 2] = [ViewKind::Processes, ViewKind::Flows];

/// What `update` cannot do itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Stop the engine and leave.
    Quit,
    /// Paint every cell again.
    Repaint,
    /// Have the engine count what counting costs, or no longer.
    Measure(bool),
}

/// What the screen follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// The latest snapshot.
    #[default]
    Live,
    /// The one that was shown when the user asked for a pause.
    Paused,
    /// Stop was asked for and the engine is still at it.
    Stopping,
}

/// How a flow is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Lines {
    /// iftop's two lines: sent over received.
    #[default]
    Two,
    /// One line of columns.
    One,
}

/// Where the user is in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The selected row, counted from the top.
    pub(super) index: usize,
    /// The first row on the screen.
    pub(super) offset: usize,
    /// The row that the selection sticks to wherever it moves; at the top it sticks to the place instead, because who
    /// has not moved wants to see the greatest.
    row: Option<RowId>,
}

/// The state of the screen.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// Which rows there are.
    pub(super) scope: Scope,
    pub(super) notation: Notation,
    pub(super) sort: SortKey,
    pub(super) descending: bool,
    pub(super) lines: Lines,
    pub(super) bars: bool,
    pub(super) phase: Phase,
    /// The help is open: how many of its lines are above the first that is shown. Drawing stops at its end.
    pub(super) help: Option<u16>,
    /// The health page is open: how many of its lines are above the first that is shown.
    pub(super) health: Option<usize>,
    /// The order of the rows of each view that was looked at since it was frozen.
    frozen: Option<HashMap<ViewKind, Vec<RowId>>>,
    cursors: HashMap<ViewKind, Cursor>,
    /// The rows of the snapshot that is shown.
    listing: Arc<Listing>,
    /// Rows on the screen at the latest `settle`.
    page: usize,
}

impl Default for State {
    fn default() -> Self {
        let Query { sort, descending, .. } = Query::default();
        Self {
            scope: Scope::default(),
            notation: Notation::default(),
            sort,
            descending,
            lines: Lines::default(),
            bars: true,
            phase: Phase::default(),
            help: None,
            health: None,
            frozen: None,
            cursors: HashMap::new(),
            listing: Arc::new(Listing::new(Arc::default(), Scope::default())),
            page: 1,
        }
    }
}

impl State {
    /// The view that is shown.
    pub(super) fn view(&self) -> ViewKind {
        self.scope.view
    }

    /// The rows of the view that is shown.
    pub(super) fn listing(&self) -> &Listing {
        &self.listing
    }

    /// Where the user is in the view that is shown.
    pub(super) fn cursor(&self) -> Cursor {
        self.cursors.get(&self.view()).cloned().unwrap_or_default()
    }

    /// The order does not follow the rates.
    pub(super) fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// Terminal lines a row takes.
    pub(super) fn row_height(&self) -> u16 {
        if self.view() == ViewKind::Flows && self.lines == Lines::Two { 2 } else { 1 }
    }

    /// The first `limit` rows of the view that is shown.
    pub(super) fn select(&self, limit: usize) -> View<'_> {
        let query = Query { limit: Some(limit), ..self.query() };
        match self.frozen.as_ref().and_then(|orders| orders.get(&self.view())) {
            Some(order) => self.listing.select_frozen(&query, order),
            None => self.listing.select(&query),
        }
    }

    /// Makes the cursor fit the rows that there are and the `page` of rows that the screen has room for. To be called
    /// before drawing whenever one of the three may have changed.
    pub(super) fn settle(&mut self, snapshot: &Arc<Snapshot>, page: usize) {
        self.look(snapshot);
        self.page = page.max(1);
        let total = self.listing.len();
        let mut cursor = self.cursor();
        if let Some(place) = cursor.row.as_ref().and_then(|row| self.place(row)) {
            cursor.index = place;
        }
        cursor.index = cursor.index.min(total.saturating_sub(1));
        let last = total.saturating_sub(self.page);
        let lowest = (cursor.index + 1).saturating_sub(self.page);
        cursor.offset = cursor.offset.min(last).clamp(lowest, cursor.index);
        self.cursors.insert(self.view(), cursor);
    }

    /// Filters and groups what is to be shown, unless that was done.
    fn look(&mut self, snapshot: &Arc<Snapshot>) {
        if !self.listing.shows(snapshot, &self.scope) {
            self.listing = Arc::new(Listing::new(Arc::clone(snapshot), self.scope.clone()));
        }
        // A view that is opened while the order is frozen freezes as it is then.
        let view = self.view();
        if self.frozen.as_ref().is_some_and(|orders| !orders.contains_key(&view)) {
            let order = self.order();
            self.frozen.get_or_insert_default().insert(view, order);
        }
    }

    fn order(&self) -> Vec<RowId> {
        self.listing.select(&self.query()).rows.iter().map(|row| row.id()).collect()
    }

    fn query(&self) -> Query {
        Query { sort: self.sort, descending: self.descending, limit: None }
    }

    fn place(&self, row: &RowId) -> Option<usize> {
        match &self.frozen {
            Some(_) => self.select(usize::MAX).rows.iter().position(|other| other.is(row)),
            None => self.listing.rank(&self.query(), row),
        }
    }

    fn go_to(&mut self, snapshot: &Arc<Snapshot>, index: usize) {
        let index = index.min(self.listing.len().saturating_sub(1));
        let row = match index {
            0 => None,
            _ => self.select(index + 1).rows.get(index).map(|row| row.id()),
        };
        let cursor = self.cursors.entry(self.view()).or_default();
        (cursor.index, cursor.row) = (index, row);
        self.settle(snapshot, self.page);
    }

    fn turn(&mut self, steps: usize) {
        let here = TABS.iter().position(|view| *view == self.view());
        self.scope.view = TABS[here.map_or(0, |here| (here + steps) % TABS.len())];
    }

    fn freeze(&mut self) {
        self.frozen = match self.frozen {
            Some(_) => None,
            None => Some(HashMap::from([(self.view(), self.order())])),
        };
    }

    fn scroll_help(&mut self, offset: u16, action: Action) {
        let last = u16::try_from(BINDINGS.len()).unwrap_or(u16::MAX);
        let offset = match action {
            Action::Up => offset.saturating_sub(1),
            Action::Down => offset.saturating_add(1),
            Action::PageUp => offset.saturating_sub(5),
            Action::PageDown => offset.saturating_add(5),
            Action::First => 0,
            Action::Last => last,
            _ => offset,
        };
        self.help = Some(offset.min(last));
    }

    fn scroll_health(&mut self, offset: usize, action: Action) {
        let page = self.page;
        // Drawing stops at the end, and `settle` brings the offset back to where it stopped.
        self.health = Some(match action {
            Action::Up => offset.saturating_sub(1),
            Action::Down => offset.saturating_add(1),
            Action::PageUp => offset.saturating_sub(page),
            Action::PageDown => offset.saturating_add(page),
            Action::First => 0,
            Action::Last => usize::MAX,
            _ => offset,
        });
    }

    /// Keeps the scrolled page within its `lines`, of which the screen has room for `page`.
    pub(super) fn settle_text(&mut self, lines: usize, page: usize) {
        if let Some(offset) = &mut self.health {
            *offset = (*offset).min(lines.saturating_sub(page));
        }
    }

    /// An order that was asked for must show, so it thaws a frozen one.
    fn order_by(&mut self, sort: SortKey, descending: bool) {
        (self.sort, self.descending) = (sort, descending);
        self.frozen = None;
    }
}

/// Does what the user asked for, given what the screen shows.
pub(super) fn update(state: &mut State, action: Action, snapshot: &Arc<Snapshot>) -> Option<Effect> {
    if let (Some(offset), false) =
        (state.help, matches!(action, Action::Help | Action::Back | Action::Quit | Action::Redraw))
    {
        // What cannot be seen must not change: keys that move move the help.
        state.scroll_help(offset, action);
        return None;
    }
    if let Some(offset) = state.health {
        match action {
            Action::Up | Action::Down | Action::PageUp | Action::PageDown | Action::First | Action::Last => {
                state.scroll_health(offset, action);
                return None;
            }
            Action::Back | Action::Health => {
                state.health = None;
                return Some(Effect::Measure(false));
            }
            Action::Pause | Action::Help | Action::Redraw | Action::Quit => {}
            // What cannot be seen must not change.
            _ => return None,
        }
    }
    state.look(snapshot);
    let (index, page) = (state.cursor().index, state.page);
    match action {
        Action::NextView => state.turn(1),
        Action::PreviousView => state.turn(TABS.len() - 1),
        Action::Up => state.go_to(snapshot, index.saturating_sub(1)),
        Action::Down => state.go_to(snapshot, index + 1),
        Action::PageUp => state.go_to(snapshot, index.saturating_sub(page)),
        Action::PageDown => state.go_to(snapshot, index.saturating_add(page)),
        Action::First => state.go_to(snapshot, 0),
        Action::Last => state.go_to(snapshot, usize::MAX),
        Action::Sort(window) => state.order_by(SortKey::Rate(window), true),
        Action::Reverse => state.order_by(state.sort, !state.descending),
        Action::Freeze => state.freeze(),
        Action::Pause => {
            state.phase = if state.phase == Phase::Paused { Phase::Live } else { Phase::Paused };
        }
        Action::LineMode if state.view() == ViewKind::Flows => {
            state.lines = if state.lines == Lines::Two { Lines::One } else { Lines::Two };
        }
        // It says so in the help; in other views a row is one line anyway.
        Action::LineMode => {}
        Action::Bars => state.bars = !state.bars,
        Action::Redraw => return Some(Effect::Repaint),
        Action::Help => state.help = if state.help.is_some() { None } else { Some(0) },
        Action::Health => {
            state.health = Some(0);
            return Some(Effect::Measure(true));
        }
        Action::Back => state.help = None,
        Action::Quit => return Some(Effect::Quit),
    }
    None
}
