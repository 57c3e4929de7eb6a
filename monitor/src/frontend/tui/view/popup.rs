//! Popups, what is over the table: where it is and what it looks like.

use super::super::popup::{Choice, Chooser, Popup};
use super::super::state::State;
use super::frame::open;
use super::{Ctx, Pen, Spot, find, help, tooltip};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use unicode_width::UnicodeWidthStr;

/// The width of a chooser inside.
const WIDTH: u16 = 34;
/// The most lines of a chooser.
const LINES: u16 = 20;

/// Draws what is open.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, ctx: &Ctx<'_>) {
    match &ctx.state.popup {
        None => {}
        Some(Popup::Find(line)) => find::draw(buffer, area, line, ctx),
        Some(Popup::Help(open)) => help::draw(buffer, area, open, ctx),
        Some(Popup::Tooltip(row, at)) => tooltip::draw(buffer, area, row, *at, ctx),
        Some(Popup::Choose(chooser)) => draw_chooser(buffer, area, chooser, ctx),
    }
}

/// The chooser that is open.
fn chooser(state: &State) -> Option<&Chooser> {
    match &state.popup {
        Some(Popup::Choose(chooser)) => Some(chooser),
        Some(Popup::Find(_) | Popup::Help(_) | Popup::Tooltip(..)) | None => None,
    }
}

/// Where the lines of a chooser are, and the first that is shown. At the right, so that the table shows the theme.
fn place(area: Rect, chooser: &Chooser) -> (Rect, usize) {
    let (index, count) = (chooser.index, chooser.items.len());
    let lines = u16::try_from(count).unwrap_or(u16::MAX).min(LINES).min(area.height.saturating_sub(2));
    let width = WIDTH.min(area.width.saturating_sub(2));
    let outer = Rect {
        x: area.right().saturating_sub(width + 3).max(area.x),
        y: area.y + (area.height.saturating_sub(lines + 2)) / 2,
        width: width + 2,
        height: lines + 2,
    };
    let visible = usize::from(lines).max(1);
    // The marked line is in the middle where it can be.
    let first = index.saturating_sub(visible / 2).min(count.saturating_sub(visible));
    (outer.intersection(area), first)
}

/// The line of an open list at a place.
pub(super) fn line_at(area: Rect, state: &State, at: Position) -> Option<Spot> {
    let (outer, first) = place(area, chooser(state)?);
    let inner = outer.inner(ratatui::layout::Margin::new(1, 1));
    let line = first + usize::from(at.y.saturating_sub(inner.y));
    inner.contains(at).then_some(Spot::Line(line))
}

fn draw_chooser(buffer: &mut Buffer, area: Rect, chooser: &Chooser, ctx: &Ctx<'_>) {
    let (outer, first) = place(area, chooser);
    let title = match chooser.choice {
        Choice::Theme => format!(" theme {}/{} ", chooser.index + 1, chooser.items.len()),
        Choice::View => " view ".to_owned(),
        Choice::Interface => " interface ".to_owned(),
    };
    let inner = open(buffer, outer, &title, ctx);
    let items = chooser.items.iter().enumerate().skip(first);
    for (line, (at, name)) in (0u16..inner.height).zip(items) {
        let mut pen = Pen::new(buffer, inner, line);
        let marked = at == chooser.index;
        pen.put_left(if marked { ctx.glyphs.selected } else { "" }, 2, ctx.theme.key);
        let style = if marked { ctx.theme.selected } else { ctx.theme.plain };
        let room = pen.room();
        let name = ctx.glyphs.escape(name);
        pen.put_left(&ctx.glyphs.fit(&name, room), room, ctx.theme.plain.patch(style));
    }
    let hint = " Enter keep  Esc back ";
    if usize::from(outer.width) > hint.width() + 2 {
        let bottom = Rect { y: outer.bottom().saturating_sub(1), height: 1, ..outer };
        let mut pen = Pen::new(buffer, bottom, 0);
        pen.skip(1);
        pen.put(hint, ctx.theme.dim);
    }
}
