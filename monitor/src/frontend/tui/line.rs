//! A line that is being typed: the keys of iftop's and iftoprs' editors.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// The longest line.
const MOST: usize = 500;

/// Text and a place in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    text: Vec<char>,
    /// Characters before the cursor.
    at: usize,
}

impl Line {
    /// The text.
    pub(super) fn text(&self) -> String {
        self.text.iter().collect()
    }

    /// Nothing was typed.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// What is before the cursor, and what is behind.
    pub(super) fn parts(&self) -> (String, String) {
        let (before, behind) = self.text.split_at(self.at.min(self.text.len()));
        (before.iter().collect(), behind.iter().collect())
    }

    /// Puts text before the cursor.
    pub(super) fn insert(&mut self, text: &str) {
        for c in text.chars().take(MOST.saturating_sub(self.text.len())) {
            self.text.insert(self.at, c);
            self.at += 1;
        }
    }

    /// Puts pasted text before the cursor, on one line: its ends of lines, tabs and other control characters are spaces, those
    /// at its end nothing. `false` where not all of it has room.
    pub(super) fn paste(&mut self, text: &str) -> bool {
        let text =
            text.trim_end_matches(char::is_control).replace("\r\n", "\n").replace(char::is_control, " ");
        let has_room = text.chars().count() <= MOST - self.text.len();
        self.insert(&text);
        has_room
    }

    /// Other text, with the cursor behind it.
    pub(super) fn set(&mut self, text: &str) {
        self.text = text.chars().take(MOST).collect();
        self.at = self.text.len();
    }

    /// Takes a key; `false` where it is none of an editor's.
    pub(super) fn press(&mut self, key: &KeyEvent) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match (key.code, control) {
            (KeyCode::Char('a'), true) | (KeyCode::Home, _) => self.at = 0,
            (KeyCode::Char('e'), true) | (KeyCode::End, _) => self.at = self.text.len(),
            (KeyCode::Char('b'), true) | (KeyCode::Left, _) => self.at = self.at.saturating_sub(1),
            (KeyCode::Char('f'), true) | (KeyCode::Right, _) => self.at = (self.at + 1).min(self.text.len()),
            (KeyCode::Char('u'), true) => {
                self.text.drain(..self.at);
                self.at = 0;
            }
            (KeyCode::Char('k'), true) => self.text.truncate(self.at),
            (KeyCode::Char('w'), true) => {
                let before = &self.text[..self.at];
                let spaces = before.iter().rev().take_while(|c| c.is_whitespace()).count();
                let word = before.iter().rev().skip(spaces).take_while(|c| !c.is_whitespace()).count();
                let from = self.at - spaces - word;
                self.text.drain(from..self.at);
                self.at = from;
            }
            (KeyCode::Backspace, _) | (KeyCode::Char('h'), true) => {
                if self.at > 0 {
                    self.at -= 1;
                    self.text.remove(self.at);
                }
            }
            (KeyCode::Delete, _) => {
                if self.at < self.text.len() {
                    self.text.remove(self.at);
                }
            }
            (KeyCode::Char(c), false) if !key.modifiers.contains(KeyModifiers::ALT) && !c.is_control() => {
                if self.text.len() < MOST {
                    self.text.insert(self.at, c);
                    self.at += 1;
                }
            }
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[(KeyCode, bool)]) -> Line {
        let mut line = Line::default();
        line.set("one two  three");
        for (code, control) in keys {
            let modifiers = if *control { KeyModifiers::CONTROL } else { KeyModifiers::NONE };
            assert!(line.press(&KeyEvent::new(*code, modifiers)));
        }
        line
    }

    #[test]
    fn it_edits_as_the_ancestors_do() {
        use KeyCode::{Backspace, Char, Delete, End, Home, Left, Right};
        for (keys, before, behind) in [
            (vec![(Char('x'), false)], "one two  threex", ""),
            (vec![(Char('a'), true), (Char('é'), false)], "é", "one two  three"),
            (vec![(Home, false), (Right, false), (Delete, false)], "o", "e two  three"),
            (vec![(Home, false), (End, false), (Backspace, false)], "one two  thre", ""),
            (vec![(Char('w'), true)], "one two  ", ""),
            (vec![(Char('w'), true), (Char('w'), true)], "one ", ""),
            (vec![(Left, false), (Left, false), (Char('u'), true)], "", "ee"),
            (vec![(Left, false), (Char('k'), true), (Char('e'), true)], "one two  thre", ""),
            (vec![(Home, false), (Backspace, false), (Left, false)], "", "one two  three"),
            (vec![(Delete, false), (Right, false)], "one two  three", ""),
        ] {
            assert_eq!(typed(&keys).parts(), (before.to_owned(), behind.to_owned()), "{keys:?}");
        }
    }

    #[test]
    fn pasted_text_is_one_line_and_has_an_end() {
        let mut line = typed(&[(KeyCode::Left, false)]);
        assert!(line.paste("a\r\nb\tc\x1bd\n\n"));
        assert_eq!(line.parts(), ("one two  threa b c d".to_owned(), "e".to_owned()));
        assert!(!line.paste(&"x".repeat(MOST)));
        assert_eq!(line.text().chars().count(), MOST);
    }

    #[test]
    fn it_leaves_other_keys_and_has_an_end() {
        let mut line = Line::default();
        for code in [KeyCode::Enter, KeyCode::Esc, KeyCode::Tab, KeyCode::Up, KeyCode::F(1)] {
            assert!(!line.press(&KeyEvent::new(code, KeyModifiers::NONE)));
        }
        assert!(!line.press(&KeyEvent::new(KeyCode::Char('q'), KeyModifiers::ALT)));
        assert!(!line.press(&KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
        for _ in 0..2 * MOST {
            line.press(&KeyEvent::new(KeyCode::Char('x'), KeyModifiers::NONE));
        }
        assert_eq!(line.text().len(), MOST);
        assert!(!line.is_empty());
    }
}
