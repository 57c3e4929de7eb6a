//! The help: every binding, and what the signs mean, in a box over the middle of the screen.

use super::super::keymap::{BINDINGS, Binding};
use super::{Ctx, Pen};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::symbols::border;
use ratatui::widgets::{Block, Clear, Widget};
use unicode_width::UnicodeWidthStr;

/// Signs in the table that need a word.
const LEGEND: &[(&str, &str)] = &[
    ("name ~", "owner inherited or shared, not exact"),
    ("- unknown", "nobody was seen to own these bytes"),
];

/// Room for the keys.
const KEYS: u16 = 13;
/// The width of the box inside.
const WIDTH: u16 = 52;

/// ```text
/// ┌ keys ───────────────────────────────┐
/// │ Tab          next view              │
/// │ …                                   │
/// └─────────────────────────────────────┘
/// ```
pub(super) fn draw(buffer: &mut Buffer, area: Rect, offset: u16, ctx: &Ctx<'_>) {
    let lines: Vec<(String, &str)> = BINDINGS
        .iter()
        .map(|binding: &Binding| (binding.spelled(), binding.help))
        .chain(LEGEND.iter().map(|(sign, meaning)| ((*sign).to_owned(), *meaning)))
        .collect();
    let room = area.height.saturating_sub(2);
    let count = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    // Two columns of lines where one would not fit.
    let columns = if count > room && area.width >= 2 * WIDTH + 2 { 2 } else { 1 };
    let height = count.div_ceil(columns).min(room);
    let width = (WIDTH * columns).min(area.width.saturating_sub(2));
    let outer = Rect {
        x: area.x + (area.width - width - 2) / 2,
        y: area.y + (area.height - height - 2) / 2,
        width: width + 2,
        height: height + 2,
    };
    Clear.render(outer, buffer);
    let title = if count > height * columns { " keys (j k for more) " } else { " keys " };
    let block = Block::bordered().title(title).border_style(ctx.theme.dim).title_style(ctx.theme.strong);
    let block = if ctx.glyphs.more == "…" { block } else { block.border_set(ASCII) };
    let inner = block.inner(outer);
    block.render(outer, buffer);
    let each = width / columns;
    let first = if columns == 1 { offset.min(count.saturating_sub(height)) } else { 0 };
    for (place, (keys, meaning)) in (0u16..).zip(lines.iter().skip(usize::from(first))) {
        let column = place / height.max(1);
        if column >= columns {
            break;
        }
        let part = Rect { x: inner.x + column * each, width: each, ..inner };
        let mut pen = Pen::new(buffer, part, place % height);
        pen.skip(1);
        let room = KEYS.max(u16::try_from(keys.width()).unwrap_or(KEYS));
        pen.put_left(keys, room, ctx.theme.key);
        pen.skip(1);
        let room = pen.room();
        pen.put(&ctx.glyphs.fit(meaning, room), ctx.theme.plain);
    }
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
