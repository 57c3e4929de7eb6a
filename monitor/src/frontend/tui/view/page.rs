//! Pages of text: lines of styled pieces that are scrolled, where there is no table.

use super::{Ctx, Pen};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use std::borrow::Cow;
use unicode_width::UnicodeWidthStr;

/// One line: pieces after each other.
pub(super) type Line = Vec<(Cow<'static, str>, Style)>;

/// Text that is being put together.
pub(super) struct Text<'c> {
    ctx: &'c Ctx<'c>,
    width: usize,
    lines: Vec<Line>,
}

impl<'c> Text<'c> {
    /// Empty, for a page of that width.
    pub(super) fn new(ctx: &'c Ctx<'c>, width: u16) -> Self {
        Self { ctx, width: usize::from(width), lines: Vec::new() }
    }

    /// The lines.
    pub(super) fn into_lines(self) -> Vec<Line> {
        self.lines
    }

    /// A heading, after an empty line where it is not the first.
    pub(super) fn heading(&mut self, text: impl Into<Cow<'static, str>>) {
        if !self.lines.is_empty() {
            self.lines.push(Line::new());
        }
        self.lines.push(vec![(" ".into(), Style::new()), (text.into(), self.ctx.theme.titles)]);
    }

    /// ` label    words that go on below themselves where they do not fit`
    pub(super) fn entry(&mut self, label: &str, room: usize, words: &[(&str, Style)]) {
        let theme = self.ctx.theme;
        let label = format!(" {label:<room$} ");
        let indent = label.width();
        let mut line: Line = vec![(label.into(), theme.dim)];
        let mut used = indent;
        for (text, style) in words {
            for word in text.split_inclusive(' ') {
                // What must stay together was joined by spaces that do not break.
                let word = word.replace('\u{a0}', " ");
                let wide = word.trim_end().width();
                if used + wide >= self.width && used > indent {
                    self.lines
                        .push(std::mem::replace(&mut line, vec![(" ".repeat(indent).into(), theme.plain)]));
                    used = indent;
                }
                used += word.width();
                match line.last_mut() {
                    Some((last, known)) if known == style => last.to_mut().push_str(&word),
                    _ => line.push((word.into(), *style)),
                }
            }
        }
        self.lines.push(line);
    }
}

/// Draws lines from `offset` on, but no further down than the last of them needs; a mark where there are more.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, lines: &[Line], offset: usize, ctx: &Ctx<'_>) {
    let height = usize::from(area.height);
    let offset = offset.min(lines.len().saturating_sub(height));
    for (at, line) in (0u16..).zip(lines.iter().skip(offset).take(height)) {
        let mut pen = Pen::new(buffer, area, at);
        for (text, style) in line {
            pen.put(text, *style);
        }
    }
    let below = lines.len().saturating_sub(offset + height);
    if below > 0 && area.height > 0 {
        let text = format!(" {} {below} more ", ctx.glyphs.descending);
        let width = u16::try_from(text.width()).unwrap_or(u16::MAX).min(area.width);
        let corner = Rect { x: area.right() - width, y: area.bottom() - 1, width, height: 1 };
        Pen::new(buffer, corner, 0).put(&text, ctx.theme.warning);
    }
}
