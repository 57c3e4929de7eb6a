//! The help: every binding, what the mouse does and what the signs mean, in a box over the middle of the screen.

use super::super::keymap::BINDINGS;
use super::super::popup::Help;
use super::frame::open;
use super::{Ctx, Pen};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr;

/// What the mouse does, and signs in the table that need a word.
pub(in super::super) const LEGEND: &[(&str, &str)] = &[
    ("click", "select a row, sort by a title, do a hint"),
    ("double click", "open the row"),
    ("right click", "more about the row, beside it"),
    ("middle click", "pin the row to the top"),
    ("wheel", "move; in the chooser, next theme"),
    ("name ~", "owner inherited or shared, not exact"),
    ("! before a row", "it moves more than --alert says"),
    ("- unknown", "nobody was seen to own these bytes"),
];

/// Room for the keys.
const KEYS: u16 = 13;
/// The width of a column inside.
const WIDTH: u16 = 52;
/// The width of a column where two are wanted.
const NARROW: u16 = 38;

/// ```text
/// ┌ keys ───────────────────────────────┐
/// │ Tab          next view              │
/// │ …                                   │
/// └─────────────────────────────────────┘
/// ```
pub(super) fn draw(buffer: &mut Buffer, area: Rect, help: &Help, ctx: &Ctx<'_>) {
    // The last line tells which keys work here.
    let area = Rect { height: area.height.saturating_sub(1), ..area };
    let lines = lines(&help.search.text());
    let room = area.height.saturating_sub(2);
    let count = u16::try_from(lines.len()).unwrap_or(u16::MAX).max(1);
    // Two columns of lines where one would not fit.
    let columns = if count > room && area.width >= 2 * NARROW + 2 { 2 } else { 1 };
    let height = count.div_ceil(columns).min(room);
    let each =
        if columns == 2 { WIDTH.min((area.width - 2) / 2) } else { WIDTH.min(area.width.saturating_sub(2)) };
    let width = each * columns;
    let outer = Rect {
        x: area.x + (area.width.saturating_sub(width + 2)) / 2,
        y: area.y + (area.height.saturating_sub(height + 2)) / 2,
        width: width + 2,
        height: height + 2,
    }
    .intersection(area);
    let (before, behind) = help.search.parts();
    let title = match (help.typing, help.search.is_empty()) {
        (true, _) => format!(" keys /{before}{}{behind} ", if ctx.glyphs.ascii { "_" } else { "▏" }),
        (false, false) => format!(" keys /{before}{behind} (Esc for all) "),
        (false, true) if count > height * columns => " keys (j k for more, / to search) ".to_owned(),
        (false, true) => " keys (/ to search) ".to_owned(),
    };
    let title = ctx.glyphs.escape(&title).into_owned();
    let inner = open(buffer, outer, &title, ctx);
    let visible = usize::from(height * columns);
    let first = help.offset.min(lines.len().saturating_sub(visible));
    for (place, (keys, meaning)) in (0u16..).zip(lines.iter().skip(first).take(visible)) {
        let column = place / height.max(1);
        let part = Rect { x: inner.x + column * each, width: each.min(inner.width), ..inner };
        let mut pen = Pen::new(buffer, part, place % height.max(1));
        pen.skip(1);
        let room = KEYS.max(u16::try_from(keys.width()).unwrap_or(KEYS));
        pen.put_left(keys, room, ctx.theme.key);
        pen.skip(1);
        let room = pen.room();
        pen.put(&ctx.glyphs.fit(meaning, room), ctx.theme.plain);
    }
    if lines.is_empty() {
        Pen::new(buffer, inner, 0).put(" nothing of that name", ctx.theme.dim);
    }
}

/// The lines that have what is searched for.
fn lines(search: &str) -> Vec<(String, &'static str)> {
    let wanted = search.to_lowercase();
    let every = BINDINGS
        .iter()
        .map(|binding| (binding.spelled(), binding.help))
        .chain(LEGEND.iter().map(|(sign, meaning)| ((*sign).to_owned(), *meaning)));
    every
        .filter(|(keys, meaning)| {
            wanted.is_empty()
                || meaning.to_lowercase().contains(&wanted)
                || keys.to_lowercase().contains(&wanted)
        })
        .collect()
}
