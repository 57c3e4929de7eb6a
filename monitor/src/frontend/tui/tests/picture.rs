//! A drawn screen as text that a person can compare: its symbols, below them one letter a cell for its style, and what the
//! letters stand for.
//!
//! A style's letter comes from its colour, so that one style more on a screen does not change the letters of the others.

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier, Style};
use std::collections::HashMap;
use std::fmt::Write as _;
use unicode_width::UnicodeWidthStr;

/// The letter of cells without any style.
const PLAIN: char = '.';
/// Letters for styles whose own is taken.
const SPARE: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// The symbols, a line a row; a wide one stands for both of its cells.
pub(super) fn symbols(buffer: &Buffer) -> Vec<String> {
    let row = |cells: &[Cell]| {
        let (mut line, mut hidden) = (String::new(), 0);
        for cell in cells {
            if hidden == 0 {
                line.push_str(cell.symbol());
                hidden = cell.symbol().width().max(1);
            }
            hidden -= 1;
        }
        line.trim_end().to_owned()
    };
    rows(buffer).map(row).collect()
}

/// Symbols, styles, and the legend of the styles. What is left out at the end of a line is blank, or plain.
pub(super) fn picture(buffer: &Buffer) -> String {
    let mut legend = Legend::default();
    let row = |cells: &[Cell]| {
        let line: String = cells.iter().map(|cell| legend.letter(cell)).collect();
        line.trim_end_matches(PLAIN).to_owned()
    };
    let styles: Vec<String> = rows(buffer).map(row).collect();
    let (width, height) = (buffer.area.width, buffer.area.height);
    let mut text =
        format!("{width}x{height}\n{}\n---\n{}\n---\n", symbols(buffer).join("\n"), styles.join("\n"));
    for (letter, style) in legend.sorted() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{letter} {}", words(style));
    }
    text
}

fn rows(buffer: &Buffer) -> impl Iterator<Item = &[Cell]> {
    buffer.content.chunks(usize::from(buffer.area.width).max(1))
}

#[derive(Default)]
struct Legend {
    letters: HashMap<Style, char>,
}

impl Legend {
    fn letter(&mut self, cell: &Cell) -> char {
        let style = cell.style();
        if let Some(letter) = self.letters.get(&style) {
            return *letter;
        }
        let free = |letter: &char| !self.letters.values().any(|taken| taken == letter);
        let letter =
            std::iter::once(own(style)).chain(SPARE.chars()).find(free).expect("a letter for each style");
        self.letters.insert(style, letter);
        letter
    }

    fn sorted(&self) -> Vec<(char, Style)> {
        let mut all: Vec<_> = self.letters.iter().map(|(style, letter)| (*letter, *style)).collect();
        all.retain(|(letter, _)| *letter != PLAIN);
        all.sort_unstable_by_key(|(letter, _)| *letter);
        all
    }
}

/// The letter that a style would like: of its colour, of what else it is where it has none, a capital where it is bold.
fn own(style: Style) -> char {
    let name = match style.fg {
        Some(Color::Reset) | None => words(Style { bg: None, ..style }),
        Some(colour) => colour.to_string().to_ascii_lowercase(),
    };
    let letter = name.chars().find(char::is_ascii_alphabetic).unwrap_or(PLAIN);
    if style.add_modifier.contains(Modifier::BOLD) { letter.to_ascii_uppercase() } else { letter }
}

/// `white on blue, bold`
fn words(style: Style) -> String {
    let colour = |colour: Option<Color>| {
        colour.filter(|colour| *colour != Color::Reset).map(|colour| colour.to_string().to_ascii_lowercase())
    };
    let mut words = colour(style.fg).unwrap_or_default();
    if let Some(ground) = colour(style.bg) {
        words = format!("{words} on {ground}").trim_start().to_owned();
    }
    for (name, _) in style.add_modifier.iter_names() {
        let separator = if words.is_empty() { "" } else { ", " };
        words = format!("{words}{separator}{}", name.to_ascii_lowercase());
    }
    words
}

#[test]
fn a_picture_tells_every_cell_apart() {
    let mut buffer = Buffer::with_lines([" 日本 x", "plain "]);
    let green = Style::new().fg(Color::Green);
    buffer.set_style(ratatui::layout::Rect::new(1, 0, 2, 1), green);
    buffer.set_style(ratatui::layout::Rect::new(3, 0, 2, 1), green.bg(Color::Blue));
    buffer.set_style(ratatui::layout::Rect::new(0, 1, 1, 1), green.add_modifier(Modifier::BOLD));
    buffer.set_style(ratatui::layout::Rect::new(5, 1, 1, 1), Style::new().add_modifier(Modifier::DIM));
    let expected = "7x2\n 日本 x\nplain\n---\n.gg00\nG....d\n---\n\
        0 green on blue\nG green, bold\nd dim\ng green\n";
    assert_eq!(picture(&buffer), expected);
}
