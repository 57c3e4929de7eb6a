//! What is over the table: where it is and what it looks like.

use super::super::popup::{Popup, theme_at, themes};
use super::super::state::State;
use super::{Ctx, Pen, Spot, find, help, tooltip};
use crate::query::ViewKind;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::symbols::border;
use ratatui::widgets::{Block, Clear, Widget};
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
        Some(Popup::Themes(_) | Popup::Views(_) | Popup::Interfaces(..)) => chooser(buffer, area, ctx),
    }
}

/// The list that is open: its marked line, how many lines it has.
fn list(state: &State) -> Option<(usize, usize)> {
    match &state.popup {
        Some(Popup::Themes(list)) => Some((list.index, themes(&state.catalog))),
        Some(Popup::Views(list)) => Some((list.index, ViewKind::ALL.len())),
        Some(Popup::Interfaces(list, names)) => Some((list.index, names.len())),
        _ => None,
    }
}

/// Where the lines of a chooser are, and the first that is shown. At the right, so that the table shows the theme.
fn place(area: Rect, (index, count): (usize, usize)) -> (Rect, usize) {
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
    let (outer, first) = place(area, list(state)?);
    let inner = outer.inner(ratatui::layout::Margin::new(1, 1));
    let line = first + usize::from(at.y.saturating_sub(inner.y));
    inner.contains(at).then_some(Spot::Line(line))
}

fn chooser(buffer: &mut Buffer, area: Rect, ctx: &Ctx<'_>) {
    let Some((index, count)) = list(ctx.state) else { return };
    let (outer, first) = place(area, (index, count));
    let title = match &ctx.state.popup {
        Some(Popup::Themes(_)) => format!(" theme {}/{count} ", index + 1),
        Some(Popup::Views(_)) => " view ".to_owned(),
        _ => " interface ".to_owned(),
    };
    let inner = open(buffer, outer, &title, ctx);
    for (line, at) in (0u16..inner.height).zip(first..count) {
        let name = match &ctx.state.popup {
            Some(Popup::Views(_)) => ViewKind::ALL.get(at).map_or("", |view| view.title()),
            Some(Popup::Interfaces(_, names)) => names.get(at).map_or("", String::as_str),
            _ => theme_at(&ctx.state.catalog, at),
        };
        let mut pen = Pen::new(buffer, inner, line);
        let marked = at == index;
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

/// Clears a place and draws a box around it; gives what is inside.
pub(super) fn open(buffer: &mut Buffer, outer: Rect, title: &str, ctx: &Ctx<'_>) -> Rect {
    Clear.render(outer, buffer);
    buffer.set_style(outer.intersection(buffer.area), ctx.theme.paper);
    let block =
        block(ctx).title(title.to_owned()).border_style(ctx.theme.border).title_style(ctx.theme.strong);
    let inner = block.inner(outer);
    block.render(outer, buffer);
    inner
}

/// A box that this terminal can draw.
pub(super) fn block(ctx: &Ctx<'_>) -> Block<'static> {
    let block = Block::bordered();
    if ctx.glyphs.ascii { block.border_set(ASCII) } else { block }
}

const ASCII: border::Set<'static> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};
