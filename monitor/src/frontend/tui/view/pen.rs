//! A pen, writing along one line: text goes where the last one ended and never past the end of the line.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

/// Writes one line of an area, from the left.
pub(super) struct Pen<'b> {
    buffer: &'b mut Buffer,
    x: u16,
    y: u16,
    end: u16,
}

impl<'b> Pen<'b> {
    /// Starts at the left of the area's line `line`, from 0. There is nothing to write on where there is no such line.
    pub(super) fn new(buffer: &'b mut Buffer, area: Rect, line: u16) -> Self {
        let area = area.intersection(buffer.area);
        let end = if line < area.height { area.right() } else { area.left() };
        Self { x: area.left(), y: area.y.saturating_add(line), end, buffer }
    }

    /// Columns that are left.
    pub(super) fn room(&self) -> u16 {
        self.end - self.x
    }

    /// Writes text; what does not fit is cut off.
    pub(super) fn put(&mut self, text: &str, style: Style) {
        let room = self.room();
        if room > 0 {
            (self.x, _) = self.buffer.set_stringn(self.x, self.y, text, usize::from(room), style);
        }
    }

    /// Writes text with something before it, or nothing at all where that does not fit. Returns whether it did.
    pub(super) fn put_whole(&mut self, parts: &[(&str, Style)]) -> bool {
        let width: usize = parts.iter().map(|(text, _)| text.width()).sum();
        let fits = width <= usize::from(self.room());
        if fits {
            for (text, style) in parts {
                self.put(text, *style);
            }
        }
        fits
    }

    /// The next columns, where something is going to be written.
    pub(super) fn ahead(&self, columns: u16) -> Rect {
        Rect { x: self.x, y: self.y, width: columns.min(self.room()), height: 1 }
    }

    /// Goes right.
    pub(super) fn skip(&mut self, columns: u16) {
        self.x += columns.min(self.room());
    }

    /// Writes text at the right end of a room of `width` columns.
    pub(super) fn put_right(&mut self, text: &str, width: u16, style: Style) {
        let used = u16::try_from(text.width()).unwrap_or(u16::MAX);
        self.skip(width.saturating_sub(used));
        self.put(text, style);
    }

    /// Writes text at the left end of a room of `width` columns.
    pub(super) fn put_left(&mut self, text: &str, width: u16, style: Style) {
        let used = u16::try_from(text.width()).unwrap_or(u16::MAX);
        self.put(text, style);
        self.skip(width.saturating_sub(used));
    }

    /// Keeps `width` columns at the right end free of what follows, and returns a pen for them.
    pub(super) fn reserve(&mut self, width: u16) -> Rect {
        let width = width.min(self.room());
        self.end -= width;
        Rect { x: self.end, y: self.y, width, height: 1 }
    }
}
