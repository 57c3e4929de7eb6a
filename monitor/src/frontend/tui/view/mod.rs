//! Drawing. It reads the state and the snapshot and writes cells; it changes neither, formats only what is on the
//! screen, and cannot fail at any size.

mod bar;
mod crumbs;
mod detail;
mod find;
mod footer;
mod frame;
mod graph;
mod header;
mod health;
mod help;
mod ledger;
mod page;
mod pairs;
mod pen;
mod popup;
mod sockets;
mod table;
mod tooltip;

#[cfg(test)]
pub(super) use help::LEGEND;

use super::keymap::Action;
use super::nav;
use super::state::State;
use super::style::Glyphs;
use super::theme::Theme;
use crate::model::Snapshot;
use crate::query::{Field, ViewKind};
use pen::Pen;
use ratatui::Frame;
use ratatui::layout::{Margin, Position, Rect};
use ratatui::widgets::Widget;

/// Narrower than this there is no room for a name and two rates.
const LEAST_WIDTH: u16 = 28;
/// Lower than this there is no room for the header, the titles, two rows and the footer.
const LEAST_HEIGHT: u16 = 5;
/// Lines that degradations may take.
const MOST_WARNINGS: u16 = 2;
/// Lower than this there is no graph.
const GRAPH_FROM: u16 = 30;

/// What a frame is drawn from.
pub(super) struct Ctx<'c> {
    pub(super) state: &'c State,
    pub(super) snapshot: &'c Snapshot,
    pub(super) theme: &'c Theme,
    pub(super) glyphs: &'c Glyphs,
}

impl Ctx<'_> {
    /// There are no numbers yet.
    fn is_loading(&self) -> bool {
        self.snapshot.sequence == 0 || self.snapshot.health.loading
    }
}

/// Where everything is.
///
/// ```text
///  monitor  ebpf·T4  all sockets  up 00:12:31                  ● live   header
///  ! what: why (fix: …)                                                warnings, 0 to 2
///  rx  318Mb/s   10s  300Mb/s   40s  288Mb/s   peak …   total …         totals, 0 or 2
///  tx …
///  Processes › nginx[2817]                         / port:443           crumbs, 0 or 1: what was opened or is looked for
///  process  nginx, pid 2817, started …                                  panel: what is told of what was opened, or the
///                                                                       ledger of the interface that is selected
///  [Processes]  Flows                                  sort 2s ▼        tabs, 0 or 1
///      PID PROCESS                UID       RX 2s …                     titles
///  ▸  2817 nginx                  33      212Mb/s …                     rows
///  …
///  Tab view  1-3 sort  …  q quit                                        footer
/// ```
struct Arranged {
    header: Rect,
    warnings: Rect,
    totals: Rect,
    graph: Rect,
    crumbs: Rect,
    panel: Rect,
    tabs: Rect,
    /// The border around titles and rows.
    frame: Option<Rect>,
    titles: Rect,
    rows: Rect,
    footer: Rect,
    /// More room for the panel, or less, can be had.
    zooms: bool,
}

/// Divides the screen; `None` where it is too small. When height runs short the graph leaves first, then the totals,
/// then the warnings, then the tabs, then the border.
fn arrange(area: Rect, state: &State, snapshot: &Snapshot) -> Option<Arranged> {
    let settings = &state.settings;
    if area.width < LEAST_WIDTH || area.height < LEAST_HEIGHT {
        return None;
    }
    let header = u16::from(settings.header);
    // Header, titles, two rows and footer are always there.
    let mut spare = area.height - LEAST_HEIGHT + 1 - header;
    let mut grant = |wanted: u16| {
        let granted = if wanted <= spare { wanted } else { 0 };
        spare -= granted;
        granted
    };
    let border = grant(if settings.border && area.width > LEAST_WIDTH + 2 { 2 } else { 0 });
    // A page of text has no use for what is about tables.
    let is_table = state.health.is_none();
    let is_root = state.path.is_empty();
    let crumbs = grant(u16::from(is_table && (!is_root || state.is_filtered())));
    let tabs = grant(u16::from(is_table));
    let degradations = u16::try_from(snapshot.health.degraded.len()).unwrap_or(u16::MAX);
    let warnings = grant(degradations.min(MOST_WARNINGS));
    let totals = grant(if settings.totals && is_table && is_root { 2 } else { 0 });
    let graph = match area.height {
        // It is of everything.
        _ if !settings.graph || !is_table || !is_root || state.is_filtered() => 0,
        45.. => grant(6),
        GRAPH_FROM.. => grant(4),
        _ => 0,
    };
    // Of what was opened its own line is enough of a table; else a third of the screen is the table's.
    let is_all = nav::views(&state.path).len() == 1;
    let third = spare.saturating_sub((area.height / 3).saturating_sub(2));
    let wanted = if is_table { detail::height(area.width, state, snapshot) } else { 0 };
    let panel = wanted.min(if state.zoomed || is_all { spare } else { third });
    let zooms = is_table && !is_root && !is_all && wanted > third;
    let rows = area.height - 2 - header - tabs - warnings - totals - graph - border - crumbs - panel;
    let mut y = area.y;
    let mut next = |height: u16| {
        let rect = Rect { y, height, ..area };
        y += height;
        rect
    };
    let (header, warnings, totals, graph) = (next(header), next(warnings), next(totals), next(graph));
    let (crumbs, panel, tabs) = (next(crumbs), next(panel), next(tabs));
    let frame = next(rows + 1 + border);
    let inner = if border > 0 { frame.inner(Margin::new(1, 1)) } else { frame };
    Some(Arranged {
        header,
        warnings,
        totals,
        graph,
        crumbs,
        panel,
        tabs,
        frame: (border > 0).then_some(frame),
        titles: Rect { height: 1, ..inner },
        rows: Rect { y: inner.y + 1, height: rows, ..inner },
        footer: next(1),
        zooms,
    })
}

/// How many rows of the table the screen has room for, at least one.
pub(super) fn page(area: Rect, state: &State, snapshot: &Snapshot) -> usize {
    arrange(area, state, snapshot)
        .map_or(1, |arranged| usize::from(arranged.rows.height / state.row_height()).max(1))
}

/// What is at a place on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    /// A row, counted from the top of the list.
    Row(usize),
    /// The title of a column.
    Title(Field),
    /// A tab.
    Tab(ViewKind),
    /// A hint in the footer.
    Hint(Action),
    /// A line of what is open, counted from the top of its list.
    Line(usize),
}

/// What is at a place on the screen.
pub(super) fn spot(area: Rect, state: &State, snapshot: &Snapshot, place: (u16, u16)) -> Option<Spot> {
    let at = arrange(area, state, snapshot)?;
    let place = Position::from(place);
    if state.popup.is_some() {
        // Nothing under it may be clicked.
        return popup::line_at(area, state, place);
    }
    if state.health.is_none() && at.rows.contains(place) {
        let index = state.cursor().offset + usize::from((place.y - at.rows.y) / state.row_height());
        return (index < state.listing().len()).then_some(Spot::Row(index));
    }
    if state.health.is_none() && at.titles.contains(place) && !state.is_paired() {
        return table::title_at(at.titles, state, place.x).map(Spot::Title);
    }
    if at.tabs.contains(place) {
        return crumbs::tab_at(at.tabs, state, place.x).map(Spot::Tab);
    }
    if at.footer.contains(place) {
        return footer::hint_at(at.footer, at.zooms, state, place.x).map(Spot::Hint);
    }
    None
}

/// How many lines the page of text has that is shown in place of the table, 0 where there is none.
pub(super) fn text_lines(area: Rect, ctx: &Ctx<'_>) -> usize {
    if ctx.state.health.is_some() { health::len(area.width, ctx) } else { 0 }
}

/// Draws one frame.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, ctx: &Ctx<'_>) {
    let area = area.intersection(frame.area());
    let buffer = frame.buffer_mut();
    buffer.set_style(area, ctx.theme.paper);
    let Some(at) = arrange(area, ctx.state, ctx.snapshot) else {
        let text = ctx.glyphs.fit("terminal too small", area.width);
        Pen::new(buffer, area, 0).put(&text, ctx.theme.strong);
        return;
    };
    header::header(buffer, at.header, ctx);
    header::warnings(buffer, at.warnings, ctx);
    header::totals(buffer, at.totals, ctx);
    graph::draw(buffer, at.graph, ctx);
    crumbs::draw(buffer, at.crumbs, ctx);
    detail::draw(buffer, at.panel, ctx);
    crumbs::tabs(buffer, at.tabs, ctx);
    if let Some(frame) = at.frame {
        frame::block(ctx).border_style(ctx.theme.border).render(frame, buffer);
    }
    if let Some(offset) = ctx.state.health {
        health::draw(buffer, at.titles, at.rows, offset, ctx);
    } else if ctx.state.is_paired() {
        pairs::draw(buffer, at.titles, at.rows, ctx);
    } else {
        table::draw(buffer, at.titles, at.rows, ctx);
    }
    footer::draw(buffer, at.footer, at.zooms, ctx);
    popup::draw(buffer, area, ctx);
}
