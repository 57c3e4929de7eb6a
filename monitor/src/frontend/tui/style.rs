//! Glyphs and their ASCII stand-ins, and text that fits. Colours are `theme`'s.

use crate::frontend::{escape, escape_ascii};
use std::borrow::Cow;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The signs that not every terminal has, and whether it has them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Glyphs {
    pub(super) ascii: bool,
    pub(super) selected: &'static str,
    pub(super) pinned: &'static str,
    /// Before a row that moves more than `alert` says.
    pub(super) alarm: &'static str,
    pub(super) live: &'static str,
    pub(super) paused: &'static str,
    pub(super) descending: &'static str,
    pub(super) ascending: &'static str,
    pub(super) dot: &'static str,
    /// Behind the name of what is over.
    pub(super) ended: &'static str,
    pub(super) more: &'static str,
}

impl Glyphs {
    /// For a terminal that speaks UTF-8, or one that does not.
    pub(super) fn new(ascii: bool) -> Self {
        if ascii {
            return Self {
                ascii,
                selected: ">",
                pinned: "+",
                alarm: "!",
                live: "*",
                paused: "=",
                descending: "v",
                ascending: "^",
                dot: "/",
                ended: " x",
                more: "~",
            };
        }
        Self {
            ascii,
            selected: "▸",
            pinned: "◆",
            alarm: "!",
            live: "●",
            paused: "‖",
            descending: "▼",
            ascending: "▲",
            dot: "·",
            ended: " ✝",
            more: "…",
        }
    }

    /// Text from outside, made safe for this terminal.
    pub(super) fn escape<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.ascii { escape_ascii(text) } else { escape(text) }
    }

    /// Text that fits into `width` columns: its end gives way to a mark.
    pub(super) fn fit<'t>(&self, text: &'t str, width: u16) -> Cow<'t, str> {
        let width = usize::from(width);
        if text.width() <= width {
            return Cow::Borrowed(text);
        }
        let Some(room) = width.checked_sub(self.more.width()) else { return Cow::Borrowed("") };
        Cow::Owned(format!("{}{}", head(text, room), self.more))
    }

    /// Like [`Glyphs::fit`], but the middle gives way, for text whose end tells the most: an address and its port.
    pub(super) fn fit_middle<'t>(&self, text: &'t str, width: u16) -> Cow<'t, str> {
        self.fit_around(text, width, u16::MAX)
    }

    /// Like [`Glyphs::fit_middle`], with an end of at most so many columns.
    pub(super) fn fit_around<'t>(&self, text: &'t str, width: u16, end: u16) -> Cow<'t, str> {
        let room = usize::from(width);
        if text.width() <= room {
            return Cow::Borrowed(text);
        }
        let Some(room) = room.checked_sub(self.more.width()) else { return Cow::Borrowed("") };
        let end = usize::from(end).min(room / 2);
        let tail: String = text.chars().rev().take(end).collect();
        let tail: String = tail.chars().rev().collect();
        let tail = if tail.width() > end { String::new() } else { tail };
        Cow::Owned(format!("{}{}{tail}", head(text, room - tail.width()), self.more))
    }
}

/// The longest beginning that is at most `room` columns wide.
fn head(text: &str, room: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > room {
            return &text[..at];
        }
    }
    text
}
