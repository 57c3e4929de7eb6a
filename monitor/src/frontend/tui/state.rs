//! State: what the user has chosen, what is shown, and the small steps from one to the next.
//!
//! Pure: no terminal, no clock, no channel. Which action takes which step is `update`'s.

use super::alert;
use super::detail::{Detail, Tip};
use super::find;
use super::history::History;
use super::keymap::Motion;
use super::nav::{self, Cursor, Limits, Opened};
use super::pins::Pins;
use super::popup::{Choice, Popup};
use crate::config::{Catalog, Ground, Lines, Settings};
use crate::model::Snapshot;
use crate::query::filter::Filter;
use crate::query::{
    Align, Field, Format, GroupKey, Listing, Notation, Prefixes, Query, Row, RowId, Scope, SortKey, View,
    ViewKind, columns,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

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

/// A sentence for the user, until the next key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) text: String,
    pub(super) is_error: bool,
}

/// The state of the screen.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// What can be kept; view, order and direction are below.
    pub(super) settings: Settings,
    pub(super) view: ViewKind,
    pub(super) sort: SortKey,
    pub(super) descending: bool,
    pub(super) phase: Phase,
    /// What is over the table.
    pub(super) popup: Option<Popup>,
    pub(super) message: Option<Message>,
    /// All themes.
    pub(super) catalog: Arc<Catalog>,
    /// The terminal's background, once it is known.
    pub(super) ground: Option<Ground>,
    pub(super) history: History,
    pub(super) pins: Pins,
    /// What was opened one after another, from a tab on.
    pub(super) path: Vec<Opened>,
    /// What is looked for, and how it was typed.
    pub(super) filter: Option<Arc<Filter>>,
    pub(super) filter_text: String,
    /// The names of this host's interfaces.
    pub(super) interfaces: fn() -> Vec<String>,
    /// The only interface that is looked at, where one was chosen.
    pub(super) interface: Option<String>,
    /// Filters that were typed, the latest last.
    pub(super) filters: Vec<String>,
    /// How large a remote network is.
    pub(super) prefixes: Prefixes,
    /// What is told of what was opened last.
    pub(super) detail: Option<Arc<Detail>>,
    /// What the tooltip tells.
    pub(super) tip: Option<Tip>,
    /// What was opened has the screen, and its table two rows.
    pub(super) zoomed: bool,
    /// The health page is open: how many of its lines are above the first that is shown.
    pub(super) health: Option<usize>,
    /// The order of the rows of each view that was looked at since it was frozen.
    pub(super) frozen: Option<HashMap<ViewKind, Vec<RowId>>>,
    pub(super) cursors: HashMap<ViewKind, Cursor>,
    /// The rows of the snapshot that is shown.
    listing: Arc<Listing>,
    /// How many of them move more than `settings.alert`.
    pub(super) alarming: usize,
    /// Rows on the screen at the latest `settle`.
    page: usize,
}

impl Default for State {
    fn default() -> Self {
        Self::new(Settings::default(), Arc::new(Catalog::built_in()))
    }
}

impl State {
    /// Begins with these settings.
    pub(super) fn new(settings: Settings, catalog: Arc<Catalog>) -> Self {
        Self {
            view: settings.view,
            sort: settings.sort,
            descending: !settings.reverse,
            settings,
            phase: Phase::default(),
            popup: None,
            message: None,
            catalog,
            ground: None,
            history: History::default(),
            pins: Pins::default(),
            path: Vec::new(),
            filter: None,
            filter_text: String::new(),
            interfaces: Vec::new,
            interface: None,
            filters: Vec::new(),
            prefixes: Prefixes::default(),
            detail: None,
            tip: None,
            zoomed: false,
            health: None,
            frozen: None,
            cursors: HashMap::new(),
            listing: Arc::new(Listing::new(Arc::default(), Scope::default())),
            alarming: 0,
            page: 1,
        }
    }

    /// What would be kept if it were asked for now.
    pub(super) fn kept(&self) -> Settings {
        let view = self.path.first().map_or(self.view, |opened| opened.view);
        Settings { view, sort: self.sort, reverse: !self.descending, ..self.settings.clone() }
    }

    /// The name of the theme that is shown: the chosen one, or the one that is looked at in the chooser.
    pub(super) fn theme(&self) -> &str {
        match &self.popup {
            Some(Popup::Choose(chooser)) if chooser.choice == Choice::Theme => chooser.marked(),
            Some(Popup::Choose(_) | Popup::Help(_) | Popup::Find(_) | Popup::Tooltip(..)) | None => {
                &self.settings.theme
            }
        }
    }

    /// Tells the user something.
    pub(super) fn say(&mut self, text: impl Into<String>) {
        self.message = Some(Message { text: text.into(), is_error: false });
    }

    /// Tells the user what went wrong.
    pub(super) fn complain(&mut self, text: impl Into<String>) {
        self.message = Some(Message { text: text.into(), is_error: true });
    }

    /// Where the user is in the view that is shown.
    pub(super) fn cursor(&self) -> Cursor {
        self.cursors.get(&self.view).cloned().unwrap_or_default()
    }

    /// The rows of the view that is shown.
    pub(super) fn listing(&self) -> &Listing {
        &self.listing
    }

    /// How cells are written, with the names of the snapshot that is shown.
    pub(super) fn format(&self) -> Format<'_> {
        Format::new(self.notation(), self.listing.snapshot())
    }

    /// How cells are written.
    pub(super) fn notation(&self) -> Notation {
        let Settings { hosts, services, ports, .. } = self.settings;
        Notation { units: self.settings.units(), hosts, services, ports }
    }

    /// Not everything is listed, nor in the totals.
    pub(super) fn is_filtered(&self) -> bool {
        self.filter.is_some() || self.interface.is_some()
    }

    /// The order does not follow the rates.
    pub(super) fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// Flows are drawn as iftop does.
    pub(super) fn is_paired(&self) -> bool {
        self.view == ViewKind::Flows && self.settings.lines != Lines::One
    }

    /// Terminal lines a row takes.
    pub(super) fn row_height(&self) -> u16 {
        if self.view == ViewKind::Flows && self.settings.lines == Lines::Two { 2 } else { 1 }
    }

    /// The first `limit` rows of the view that is shown, the pinned ones before the others.
    pub(super) fn select(&self, limit: usize) -> View<'_> {
        // A pinned row may come from below the limit.
        let limit_of_all = if self.pins.is_empty() { limit } else { usize::MAX };
        let query = Query { limit: Some(limit_of_all), ..self.query() };
        let mut view = match self.frozen.as_ref().and_then(|orders| orders.get(&self.view)) {
            Some(order) => self.listing.select_frozen(&query, order),
            None => self.listing.select(&query),
        };
        self.pins.lift(&mut view.rows);
        view.rows.truncate(limit);
        view
    }

    /// The row that is selected.
    pub(super) fn selected(&self) -> Option<Row<'_>> {
        let index = self.cursor().index;
        self.select(index.saturating_add(1)).rows.get(index).copied()
    }

    /// Makes the cursor fit the rows that there are and the `page` of rows that the screen has room for. To be called
    /// before drawing whenever one of the three may have changed.
    pub(super) fn settle(&mut self, snapshot: &Arc<Snapshot>, page: usize) {
        self.look(snapshot);
        self.look_closer(snapshot);
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
        self.cursors.insert(self.view, cursor);
    }

    /// Filters and groups what is to be shown, unless that was done.
    pub(super) fn look(&mut self, snapshot: &Arc<Snapshot>) {
        let limits = self.limits();
        let filter = nav::filter(&self.path, self.filter.as_deref(), limits);
        let scope = Scope { view: self.view, filter, prefixes: self.prefixes };
        if !self.listing.shows(snapshot, &scope) {
            self.listing = Arc::new(Listing::new(Arc::clone(snapshot), scope));
            self.alarming = alert::alarming(&self.settings, &self.listing);
            let detail = Detail::new(snapshot, &self.path, self.limits(), &self.history);
            self.detail = detail.map(Arc::new);
        }
        // A view that is opened while the order is frozen freezes as it is then.
        if self.frozen.as_ref().is_some_and(|orders| !orders.contains_key(&self.view)) {
            let order = self.order();
            self.frozen.get_or_insert_default().insert(self.view, order);
        }
    }

    fn order(&self) -> Vec<RowId> {
        self.listing.select(&self.query()).rows.iter().map(|row| row.id()).collect()
    }

    fn query(&self) -> Query {
        Query { sort: self.sort, descending: self.descending, limit: None }
    }

    fn place(&self, row: &RowId) -> Option<usize> {
        if self.frozen.is_some() || !self.pins.is_empty() {
            return self.select(usize::MAX).rows.iter().position(|other| other.is(row));
        }
        self.listing.rank(&self.query(), row)
    }

    /// Selects the row at a place.
    pub(super) fn go_to(&mut self, snapshot: &Arc<Snapshot>, index: usize) {
        self.look(snapshot);
        let index = index.min(self.listing.len().saturating_sub(1));
        let row = match index {
            0 => None,
            _ => self.select(index + 1).rows.get(index).map(|row| row.id()),
        };
        let cursor = self.cursors.entry(self.view).or_default();
        (cursor.index, cursor.row) = (index, row);
        self.settle(snapshot, self.page);
    }

    /// Keeps the order as it is, or lets it follow the rates again.
    pub(super) fn freeze(&mut self) {
        self.frozen = match self.frozen {
            Some(_) => None,
            None => Some(HashMap::from([(self.view, self.order())])),
        };
    }

    /// Moves through the table, or through the page of text that is in its place.
    pub(super) fn go(&mut self, snapshot: &Arc<Snapshot>, motion: Motion) {
        let page = self.page;
        match &mut self.health {
            // Drawing stops at the end, and `settle_text` brings the offset back to where it stopped.
            Some(offset) => *offset = motion.from(*offset, page),
            None => self.go_to(snapshot, motion.from(self.cursor().index, page)),
        }
    }

    /// Keeps the scrolled page within its `lines`, of which the screen has room for `page`.
    pub(super) fn settle_text(&mut self, lines: usize, page: usize) {
        if let Some(offset) = &mut self.health {
            *offset = (*offset).min(lines.saturating_sub(page));
        }
    }

    /// An order that was asked for must show, so it thaws a frozen one.
    pub(super) fn order_by(&mut self, sort: SortKey, descending: bool) {
        (self.sort, self.descending) = (sort, descending);
        self.frozen = None;
    }

    /// The order by a column; asked for again, the other way round. Numbers begin with the greatest, words with A.
    pub(super) fn order_by_column(&mut self, sort: SortKey) {
        let descending = match sort {
            _ if sort == self.sort => !self.descending,
            SortKey::Rate(_) => true,
            SortKey::Column(id) => columns(self.view)
                .iter()
                .find(|column| column.id == id)
                .is_none_or(|column| column.align == Align::Right),
        };
        self.order_by(sort, descending);
    }

    /// The order by the column beside the one that rows are ordered by.
    pub(super) fn order_beside(&mut self, right: bool) {
        let every = columns(self.view);
        let here = every.iter().position(|column| SortKey::Column(column.id) == self.sort);
        let of = |id| every.iter().position(|column| column.id == id).unwrap_or(0);
        let next = match (here, right) {
            // As in iftop: by source, by destination.
            (None, false) if self.view == ViewKind::Flows => of(Field::Local),
            (None, true) if self.view == ViewKind::Flows => of(Field::Remote),
            (None, true) => 0,
            (None, false) => every.len() - 1,
            (Some(here), true) => (here + 1) % every.len(),
            (Some(here), false) => (here + every.len() - 1) % every.len(),
        };
        self.order_by_column(SortKey::Column(every[next].id));
    }

    /// How often the screen is refreshed, next.
    pub(super) fn refresh(&mut self) -> Duration {
        const STEPS: [u64; 5] = [500, 1000, 2000, 5000, 10_000];
        let next = STEPS.into_iter().map(Duration::from_millis).find(|step| *step > self.settings.interval);
        self.settings.interval = next.unwrap_or(Duration::from_millis(STEPS[0]));
        self.say(format!("refresh every {} s", self.settings.interval.as_secs_f64()));
        self.settings.interval
    }

    /// What narrows every list.
    pub(super) fn limits(&self) -> Limits<'_> {
        Limits { prefixes: self.prefixes, interface: self.interface.as_deref() }
    }

    /// The views that Tab goes through, with the one that is shown.
    pub(super) fn views(&self) -> Vec<ViewKind> {
        let mut views = nav::views(&self.path);
        if !views.contains(&self.view) {
            views.push(self.view);
        }
        views
    }

    /// What is told of what was opened last.
    pub(super) fn detail(&self) -> Option<&Detail> {
        self.detail.as_deref()
    }

    /// Shows the next view, or the one before.
    pub(super) fn turn(&mut self, forward: bool) {
        let views = self.views();
        let here = views.iter().position(|view| *view == self.view).unwrap_or(0);
        let step = if forward { 1 } else { views.len() - 1 };
        self.view = views[(here + step) % views.len()];
    }

    /// Opens the selected row: what is listed then is part of it.
    pub(super) fn open(&mut self) {
        let Some(row) = self.selected() else { return };
        let id = row.id();
        if matches!(id, RowId::Group(_, GroupKey::Ended)) {
            return self.say("flows that have ended are no longer told apart");
        }
        if self.path.last().is_some_and(|opened| opened.id == id) {
            return;
        }
        let opened = Opened::new(row, self.view, self.cursors.clone(), &self.format());
        self.path.push(opened);
        self.cursors.clear();
        self.view = nav::views(&self.path)[0];
        self.refreeze();
    }

    /// Goes back to where the last thing was opened, or to everything where nothing was. What is on top goes first.
    pub(super) fn back(&mut self) {
        if self.popup.take().is_some() {
            return;
        }
        if let Some(opened) = self.path.pop() {
            (self.view, self.cursors) = (opened.view, opened.cursors);
            self.refreeze();
        } else if self.filter.is_some() {
            self.look_for(None, String::new());
        }
    }

    /// Looks for what was typed, and remembers it.
    pub(super) fn look_for_typed(&mut self, filter: Option<Arc<Filter>>, text: String) {
        find::remember(&mut self.filters, &text);
        self.look_for(filter, text);
    }

    /// Shows what the filter lets through, and totals it.
    pub(super) fn look_for(&mut self, filter: Option<Arc<Filter>>, text: String) {
        (self.filter, self.filter_text) = (filter, text);
        self.refreeze();
    }

    /// Lists and totals what passes that interface; everything with `None`.
    pub(super) fn limit_to(&mut self, interface: Option<String>) {
        self.interface = interface;
        self.refreeze();
    }

    /// Other rows have other places.
    fn refreeze(&mut self) {
        if let Some(orders) = &mut self.frozen {
            orders.clear();
        }
    }

    /// Gathers what the tooltip tells, while there is one and unless that was done.
    fn look_closer(&mut self, snapshot: &Arc<Snapshot>) {
        let row = match &self.popup {
            Some(Popup::Tooltip(row, _)) => row.clone(),
            Some(Popup::Choose(_) | Popup::Help(_) | Popup::Find(_)) | None => {
                self.tip = None;
                return;
            }
        };
        if !self.tip.as_ref().is_some_and(|tip| tip.is_of(&row, snapshot.at)) {
            let wanted = self.filter.as_deref();
            let tip = Tip::new(snapshot, row, self.view, &self.path, (wanted, self.limits()), &self.history);
            self.tip = Some(tip);
        }
    }
}
