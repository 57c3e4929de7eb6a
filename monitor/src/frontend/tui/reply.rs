//! What the terminal answers when it is asked for its background (OSC 11), told from what a person types.
//!
//! The answer comes among the keys and as keys: `ESC ] 1 1 ; r g b : …`. It may come late over a slow line, so nobody
//! waits for it: the keys that could be its beginning are held for a moment, and are keys again where they are not.

use crate::config::Ground;
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// The question. BEL ends it, which terminals know that know no ST.
pub(super) const QUESTION: &str = "\x1b]11;?\x07";
/// What an answer begins with, after `ESC ]`.
const OPENING: &str = "11;rgb";
/// The longest answer: `11;rgba:` and four times four digits with slashes.
const MOST: usize = 32;

/// What became of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// These keys are a person's.
    Keys(Vec<KeyEvent>),
    /// The key may belong to an answer; ask again with the next, or take it back with [`Replies::give_up`].
    Nothing,
    /// The background.
    Background(Ground),
}

/// Listens for the answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Replies {
    held: Vec<KeyEvent>,
}

impl Replies {
    /// Whether keys are held back.
    pub(super) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// The keys that were held: no answer came of them.
    pub(super) fn give_up(&mut self) -> Vec<KeyEvent> {
        std::mem::take(&mut self.held)
    }

    /// Takes a key.
    pub(super) fn take(&mut self, key: KeyEvent) -> Heard {
        if key.kind == KeyEventKind::Release {
            return Heard::Keys(vec![key]);
        }
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        if self.held.is_empty() {
            if alt && key.code == KeyCode::Char(']') {
                self.held.push(key);
                return Heard::Nothing;
            }
            return Heard::Keys(vec![key]);
        }
        let bell = key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('g');
        let string_end = alt && key.code == KeyCode::Char('\\');
        let body: String = self.held[1..].iter().filter_map(letter).collect();
        if bell || string_end {
            return match ground(&body) {
                Some(ground) => {
                    self.held.clear();
                    Heard::Background(ground)
                }
                None => self.not_an_answer(key),
            };
        }
        let next = letter(&key).map(|letter| format!("{body}{letter}"));
        match next.filter(|next| fits(next)) {
            Some(_) => {
                self.held.push(key);
                Heard::Nothing
            }
            None => self.not_an_answer(key),
        }
    }

    fn not_an_answer(&mut self, key: KeyEvent) -> Heard {
        let mut keys = self.give_up();
        keys.push(key);
        Heard::Keys(keys)
    }
}

fn letter(key: &KeyEvent) -> Option<char> {
    match key.code {
        KeyCode::Char(c) if (key.modifiers - KeyModifiers::SHIFT).is_empty() => Some(c),
        _ => None,
    }
}

/// Whether an answer could begin like this.
fn fits(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(OPENING) else { return OPENING.starts_with(text) };
    text.len() <= MOST && rest.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, ':' | '/' | 'a'))
}

/// The background that `11;rgb:1e1e/1e1e/2e2e` names: light where it is nearer to white, as the eye has it.
fn ground(answer: &str) -> Option<Ground> {
    let (_, colour) = answer.strip_prefix(OPENING)?.split_once(':')?;
    let mut channels = colour.split('/').map(|digits| {
        let most = u32::checked_pow(16, u32::try_from(digits.len()).ok()?)?.checked_sub(1)?;
        let value = u32::from_str_radix(digits, 16).ok()?;
        (digits.len() <= 4 && most > 0).then(|| f64::from(value) / f64::from(most))
    });
    let mut next = || channels.next().flatten();
    let (red, green, blue) = (next()?, next()?, next()?);
    let light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5;
    Some(if light { Ground::Light } else { Ground::Dark })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys that crossterm makes of these bytes.
    fn keys(bytes: &str) -> Vec<KeyEvent> {
        let mut keys = Vec::new();
        let mut modifiers = KeyModifiers::NONE;
        for c in bytes.chars() {
            match c {
                '\x1b' => modifiers = KeyModifiers::ALT,
                '\x07' => keys.push(KeyEvent::new(KeyCode::Char('g'), KeyModifiers::CONTROL)),
                c => keys.push(KeyEvent::new(
                    KeyCode::Char(c),
                    std::mem::replace(&mut modifiers, KeyModifiers::NONE),
                )),
            }
        }
        keys
    }

    fn hear(bytes: &str) -> (Vec<KeyEvent>, Option<Ground>) {
        let mut replies = Replies::default();
        let (mut typed, mut found) = (Vec::new(), None);
        for key in keys(bytes) {
            match replies.take(key) {
                Heard::Keys(keys) => typed.extend(keys),
                Heard::Nothing => assert!(replies.holds()),
                Heard::Background(ground) => found = Some(ground),
            }
        }
        typed.extend(replies.give_up());
        (typed, found)
    }

    #[test]
    fn answers_are_understood_and_are_no_keys() {
        for (answer, ground) in [
            ("\x1b]11;rgb:ffff/ffff/ffff\x07", Ground::Light),
            ("\x1b]11;rgb:fdfd/f6f6/e3e3\x1b\\", Ground::Light),
            ("\x1b]11;rgb:1e1e/1E1e/2e2e\x1b\\", Ground::Dark),
            ("\x1b]11;rgb:00/00/ff\x07", Ground::Dark),
            ("\x1b]11;rgba:0000/0000/0000/ffff\x07", Ground::Dark),
        ] {
            assert_eq!(hear(answer), (vec![], Some(ground)), "{answer:?}");
        }
    }

    #[test]
    fn what_a_person_types_around_an_answer_stays() {
        let (typed, ground) = hear("jq\x1b]11;rgb:ffff/ffff/ffff\x07P");
        assert_eq!((typed, ground), (keys("jqP"), Some(Ground::Light)));
    }

    #[test]
    fn what_only_looks_like_an_answer_is_typed() {
        for bytes in [
            "11;rgb:ffff/ffff/ffff\x07",
            "\x1b]",
            "\x1b]1",
            "\x1b]q",
            "\x1b]11;rgb:zz",
            "\x1b]11;rgb:\x07",
            "\x1b]11;rgb:ffff/ffff\x07",
            "\x1b]12;rgb:ffff/ffff/ffff\x07",
            "\x1b]11;rgb:0000000000000000000000000000000000000000000000",
        ] {
            assert_eq!(hear(bytes), (keys(bytes), None), "{bytes:?}");
        }
    }
}
