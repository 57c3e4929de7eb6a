//! What the user has chosen, and how an action changes it.
//!
//! Pure: no terminal, no clock, no channel. What must happen outside comes back as an [`Effect`].

use super::keymap::{Action, BINDINGS};
use crate::model::Snapshot;
use crate::query::{Query, RowId, SortKey, View, ViewKind, len, rank, select, select_frozen};

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    pub(super) view: ViewKind,
    pub(super) sort: SortKey,
    pub(super) descending: bool,
    pub(super) lines: Lines,
    pub(super) bars: bool,
    pub(super) phase: Phase,
    /// The help is open: how many of its lines are above the first that is shown. Drawing stops at its end.
    pub(super) help: Option<u16>,
    /// The health page is open: how many of its lines are above the first that is shown.
    pub(super) health: Option<usize>,
    /// The order of the rows of each view since it was frozen.
    frozen: Option<[Vec<RowId>; ViewKind::ALL.len()]>,
    cursors: [Cursor; ViewKind::ALL.len()],
    /// Rows on the screen at the latest `settle`.
    page: usize,
}

impl Default for State {
    fn default() -> Self {
        let Query { view, sort, descending, .. } = Query::default();
        Self {
            view,
            sort,
            descending,
            lines: Lines::default(),
            bars: true,
            phase: Phase::default(),
            help: None,
            health: None,
            frozen: None,
            cursors: <[Cursor; ViewKind::ALL.len()]>::default(),
            page: 1,
        }
    }
}

impl State {
    /// Where the user is in the view that is shown.
    pub(super) fn cursor(&self) -> Cursor {
        self.cursors[self.view as usize]
    }

    /// The order does not follow the rates.
    pub(super) fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// Terminal lines a row takes.
    pub(super) fn row_height(&self) -> u16 {
        if self.view == ViewKind::Flows && self.lines == Lines::Two { 2 } else { 1 }
    }

    /// The first `limit` rows of the view that is shown.
    pub(super) fn select<'s>(&self, snapshot: &'s Snapshot, limit: usize) -> View<'s> {
        let query = Query { limit: Some(limit), ..self.query(self.view) };
        match &self.frozen {
            Some(orders) => select_frozen(snapshot, &query, &orders[self.view as usize]),
            None => select(snapshot, &query),
        }
    }

    /// Makes the cursor fit the rows that there are and the `page` of rows that the screen has room for. To be called
    /// before drawing whenever one of the three may have changed.
    pub(super) fn settle(&mut self, snapshot: &Snapshot, page: usize) {
        self.page = page.max(1);
        let total = len(snapshot, self.view);
        let mut cursor = self.cursor();
        if let Some(place) = cursor.row.and_then(|row| self.place(snapshot, row)) {
            cursor.index = place;
        }
        cursor.index = cursor.index.min(total.saturating_sub(1));
        let last = total.saturating_sub(self.page);
        let lowest = (cursor.index + 1).saturating_sub(self.page);
        cursor.offset = cursor.offset.min(last).clamp(lowest, cursor.index);
        self.cursors[self.view as usize] = cursor;
    }

    fn query(&self, view: ViewKind) -> Query {
        Query { view, sort: self.sort, descending: self.descending, limit: None }
    }

    fn place(&self, snapshot: &Snapshot, row: RowId) -> Option<usize> {
        match &self.frozen {
            Some(_) => self.select(snapshot, usize::MAX).rows.iter().position(|other| other.id() == row),
            None => rank(snapshot, &self.query(self.view), row),
        }
    }

    fn go_to(&mut self, snapshot: &Snapshot, index: usize) {
        let index = index.min(len(snapshot, self.view).saturating_sub(1));
        let row = match index {
            0 => None,
            _ => self.select(snapshot, index + 1).rows.get(index).map(|row| row.id()),
        };
        let cursor = &mut self.cursors[self.view as usize];
        (cursor.index, cursor.row) = (index, row);
        self.settle(snapshot, self.page);
    }

    fn turn(&mut self, steps: usize) {
        let count = ViewKind::ALL.len();
        self.view = ViewKind::ALL[(self.view as usize + steps) % count];
    }

    fn freeze(&mut self, snapshot: &Snapshot) {
        let order = |view| select(snapshot, &self.query(view)).rows.iter().map(|row| row.id()).collect();
        self.frozen = match self.frozen {
            Some(_) => None,
            None => Some(ViewKind::ALL.map(order)),
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
pub(super) fn update(state: &mut State, action: Action, snapshot: &Snapshot) -> Option<Effect> {
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
    let (index, page) = (state.cursor().index, state.page);
    match action {
        Action::NextView => state.turn(1),
        Action::PreviousView => state.turn(ViewKind::ALL.len() - 1),
        Action::Up => state.go_to(snapshot, index.saturating_sub(1)),
        Action::Down => state.go_to(snapshot, index + 1),
        Action::PageUp => state.go_to(snapshot, index.saturating_sub(page)),
        Action::PageDown => state.go_to(snapshot, index.saturating_add(page)),
        Action::First => state.go_to(snapshot, 0),
        Action::Last => state.go_to(snapshot, usize::MAX),
        Action::Sort(window) => state.order_by(SortKey::Rate(window), true),
        Action::Reverse => state.order_by(state.sort, !state.descending),
        Action::Freeze => state.freeze(snapshot),
        Action::Pause => {
            state.phase = if state.phase == Phase::Paused { Phase::Live } else { Phase::Paused };
        }
        Action::LineMode if state.view == ViewKind::Flows => {
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
