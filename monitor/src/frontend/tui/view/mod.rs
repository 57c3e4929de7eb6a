//! Drawing. It reads the state and the snapshot and writes cells; it changes neither, formats only what is on the
//! screen, and cannot fail at any size.

mod footer;
mod header;
mod health;
mod help;
mod page;
mod pairs;
mod pen;
mod table;

use super::state::State;
use super::style::{Glyphs, Theme};
use crate::model::Snapshot;
use crate::query::Format;
use pen::Pen;
use ratatui::Frame;
use ratatui::layout::Rect;

/// Narrower than this there is no room for a name and two rates.
const LEAST_WIDTH: u16 = 28;
/// Lower than this there is no room for the header, the titles, two rows and the footer.
const LEAST_HEIGHT: u16 = 5;
/// Lines that degradations may take.
const MOST_WARNINGS: u16 = 2;

/// What a frame is drawn from.
pub(super) struct Ctx<'c> {
    pub(super) state: &'c State,
    pub(super) snapshot: &'c Snapshot,
    pub(super) theme: &'c Theme,
    pub(super) glyphs: &'c Glyphs,
}

impl<'c> Ctx<'c> {
    /// How cells are written.
    fn format(&self) -> Format<'c> {
        Format::new(self.state.notation, &self.snapshot.names)
    }

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
    tabs: Rect,
    titles: Rect,
    rows: Rect,
    footer: Rect,
}

/// Divides the screen; `None` where it is too small. When height runs short the totals leave first, then the warnings,
/// then the tabs.
fn arrange(area: Rect, degradations: usize) -> Option<Arranged> {
    if area.width < LEAST_WIDTH || area.height < LEAST_HEIGHT {
        return None;
    }
    // Header, titles, two rows and footer are always there.
    let mut spare = area.height - LEAST_HEIGHT;
    let mut grant = |wanted: u16| {
        let granted = if wanted <= spare { wanted } else { 0 };
        spare -= granted;
        granted
    };
    let tabs = grant(1);
    let warnings = grant(u16::try_from(degradations).unwrap_or(u16::MAX).min(MOST_WARNINGS));
    let totals = grant(2);
    let rows = area.height - 3 - tabs - warnings - totals;
    let mut y = area.y;
    let mut next = |height: u16| {
        let rect = Rect { y, height, ..area };
        y += height;
        rect
    };
    Some(Arranged {
        header: next(1),
        warnings: next(warnings),
        totals: next(totals),
        tabs: next(tabs),
        titles: next(1),
        rows: next(rows),
        footer: next(1),
    })
}

/// How many rows of the table the screen has room for, at least one.
pub(super) fn page(area: Rect, state: &State, snapshot: &Snapshot) -> usize {
    arrange(area, snapshot.health.degraded.len())
        .map_or(1, |arranged| usize::from(arranged.rows.height / state.row_height()).max(1))
}

/// How many lines the page of text has that is shown in place of the table, 0 where there is none.
pub(super) fn text_lines(area: Rect, ctx: &Ctx<'_>) -> usize {
    if ctx.state.health.is_some() { health::len(area.width, ctx) } else { 0 }
}

/// Draws one frame.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, ctx: &Ctx<'_>) {
    let area = area.intersection(frame.area());
    let buffer = frame.buffer_mut();
    let Some(at) = arrange(area, ctx.snapshot.health.degraded.len()) else {
        let text = ctx.glyphs.fit("terminal too small", area.width);
        Pen::new(buffer, area, 0).put(&text, ctx.theme.strong);
        return;
    };
    header::header(buffer, at.header, ctx);
    header::warnings(buffer, at.warnings, ctx);
    header::totals(buffer, at.totals, ctx);
    header::tabs(buffer, at.tabs, ctx);
    if let Some(offset) = ctx.state.health {
        health::draw(buffer, at.titles, at.rows, offset, ctx);
    } else if ctx.state.row_height() == 2 {
        pairs::draw(buffer, at.titles, at.rows, ctx);
    } else {
        table::draw(buffer, at.titles, at.rows, ctx);
    }
    footer::draw(buffer, at.footer, ctx);
    if let Some(offset) = ctx.state.help {
        help::draw(buffer, area, offset, ctx);
    }
}
