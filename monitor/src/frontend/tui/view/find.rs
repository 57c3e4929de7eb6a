//! The filter line: the line in which a filter is typed, over the last line of the table; below it, in place of the footer,
//! what is wrong and where, or what can be asked.

use super::super::find::{Find, askable};
use super::{Ctx, Pen};
use crate::query::filter::FilterError;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use unicode_width::UnicodeWidthStr;

/// ` / ` before the text.
const BEFORE: u16 = 3;

/// Draws both lines at the bottom of the screen.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, find: &Find, ctx: &Ctx<'_>) {
    let theme = ctx.theme;
    let lines = Rect { y: area.bottom().saturating_sub(2).max(area.y), height: area.height.min(2), ..area };
    for position in lines.intersection(buffer.area).positions() {
        buffer[position].reset();
    }
    buffer.set_style(lines.intersection(buffer.area), theme.paper);
    let (before, behind) = find.line.parts();
    let (before, behind) = (ctx.glyphs.escape(&before), ctx.glyphs.escape(&behind));
    let room = usize::from(area.width.saturating_sub(BEFORE + 1));
    // What is before the cursor gives way at its beginning.
    let skipped = skipped(&before, room);
    let mut pen = Pen::new(buffer, lines, 0);
    pen.put(" / ", theme.key);
    pen.put(&before[skipped..], theme.strong);
    let mut rest = behind.chars();
    let under = rest.next().unwrap_or(' ').to_string();
    pen.put(&under, theme.strong.add_modifier(Modifier::REVERSED));
    pen.put(rest.as_str(), theme.strong);

    let mut pen = Pen::new(buffer, lines, 1);
    match &find.wrong {
        Some(wrong) => complain(&mut pen, find, wrong, skipped, ctx),
        None if find.candidates.is_empty() => {
            pen.skip(1);
            let hints = [("Enter", "look"), ("Tab", "complete"), ("Up", "earlier"), ("Esc", "back")];
            for (key, word) in hints {
                pen.put_whole(&[
                    (key, theme.key),
                    (" ", theme.plain),
                    (word, theme.dim),
                    ("  ", theme.plain),
                ]);
            }
            let all: Vec<String> = askable().collect();
            pen.put(&ctx.glyphs.fit(&all.join(" "), pen.room()), theme.dim);
        }
        None => {
            pen.skip(BEFORE);
            pen.put(&ctx.glyphs.fit(&find.candidates.join("  "), pen.room()), theme.key);
        }
    }
}

/// A caret under the character that is wrong, with the words on the side where there is room.
fn complain(pen: &mut Pen<'_>, find: &Find, wrong: &FilterError, skipped: usize, ctx: &Ctx<'_>) {
    let text = find.line.text();
    let text = text.trim();
    let at = wrong.at().min(text.len());
    let shown = ctx.glyphs.escape(text.get(..at).unwrap_or(text)).into_owned();
    let column = shown.get(skipped..).unwrap_or_default().width();
    let column = u16::try_from(column).unwrap_or(u16::MAX).saturating_add(BEFORE);
    let what = ctx.glyphs.escape(wrong.what()).into_owned();
    let wide = u16::try_from(what.width()).unwrap_or(u16::MAX);
    if column.saturating_add(wide).saturating_add(3) > pen.room() && column > wide + 1 {
        pen.skip(column - wide - 1);
        pen.put(&what, ctx.theme.error);
        pen.put(" ^", ctx.theme.error);
    } else {
        pen.skip(column);
        pen.put("^ ", ctx.theme.error);
        pen.put(&ctx.glyphs.fit(&what, pen.room()), ctx.theme.error);
    }
}

/// How many bytes at the beginning are not shown, so that the end is.
fn skipped(text: &str, room: usize) -> usize {
    let mut from = 0;
    for (at, c) in text.char_indices() {
        if text[from..].width() <= room {
            break;
        }
        from = at + c.len_utf8();
    }
    from
}
