//! Terminal replies: what the terminal answers when it is asked for its background (OSC 11), told from what a person types.
//!
//! The answer comes among the keys and as keys, `ESC ] 1 1 ; r g b : …`, in as many pieces as the line makes of it, and late
//! over a slow one. So nobody waits for it; and what has begun like a sequence of the terminal's is swallowed up to its end and
//! never becomes keys again, whatever it turns out to be: answers that others asked for, reports of the mouse. Where a piece
//! ends with the first ESC, the reader of events takes that for the key Esc. Within a second of the question it is kept back
//! for a second; later it is a key at once, and only what follows it is swallowed.

use crate::config::Ground;
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::time::Duration;

/// The question. BEL ends it, which terminals know that know no ST.
pub(super) const QUESTION: &str = "\x1b]11;?\x07";
/// How long after the question an Esc may be the beginning of the answer.
const ASKED: Duration = Duration::from_secs(1);
/// How long it is kept back then.
const KEPT: Duration = Duration::from_secs(1);
/// A pause in a sequence that is too long: what comes then is a person's.
const PAUSE: Duration = Duration::from_secs(10);
/// The same in pasted text, which comes as fast as the line allows.
const PASTE_PAUSE: Duration = Duration::from_secs(1);
/// What an answer to the question begins with, after `ESC ]`.
const OPENING: &str = "11;rgb";
/// The longest answer to the question: `11;rgba:` and four times four digits with slashes.
const MOST_ANSWER: usize = 32;
/// The longest sequence with text in it, such as a clipboard.
const MOST_TEXT: usize = 1 << 17;
/// The longest one without.
const MOST_CONTROL: usize = 64;

/// What became of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// These keys are a person's; none where the key is the terminal's, or may be.
    Keys(Vec<KeyEvent>),
    /// The background.
    Background(Ground),
}

/// Where in a sequence of the terminal's we are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Within {
    /// In none.
    #[default]
    Nothing,
    /// Behind a lone Esc, and whether it is kept back.
    Escape { kept: bool },
    /// In `ESC ] number ; text`, which BEL or ST ends (OSC).
    Text(Text),
    /// In `ESC [ parameters final` (CSI).
    Control(String),
    /// In text that was pasted.
    Paste,
}

/// A sequence with text, as far as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Text {
    /// Its beginning, without what begins every one.
    body: String,
    /// Characters in it.
    length: usize,
    /// The latest was an ESC: half of an ST.
    escape: bool,
}

/// What became of a key in a sequence with text.
enum Next {
    /// It belongs to it.
    More,
    /// It ends it.
    End,
    /// It is no part of one: the sequence is over, or was none.
    Over,
}

impl Text {
    fn take(&mut self, key: &KeyEvent) -> Next {
        let string_end = key.code == KeyCode::Char('\\')
            && (key.modifiers == KeyModifiers::ALT || self.escape && key.modifiers.is_empty());
        let bell = key.code == KeyCode::Char('g') && key.modifiers == KeyModifiers::CONTROL;
        if string_end || bell {
            return Next::End;
        }
        if self.escape {
            return Next::Over;
        }
        if key.code == KeyCode::Esc && key.modifiers.is_empty() {
            self.escape = true;
            return Next::More;
        }
        match letter(key) {
            Some(c) if self.fits(c) => {
                if self.length < MOST_ANSWER {
                    self.body.push(c);
                }
                self.length += 1;
                Next::More
            }
            _ => Next::Over,
        }
    }

    /// Whether it can go on with that: a number, then text; and of an answer to the question, only what such a one has, for a
    /// key that was pressed after a broken one should be heard.
    fn fits(&self, c: char) -> bool {
        match self.body.split_once(';') {
            None => c.is_ascii_digit() || c == ';' && !self.body.is_empty(),
            Some(("11", _)) => {
                self.length < MOST_ANSWER && (c.is_ascii_hexdigit() || matches!(c, 'r' | 'g' | ':' | '/'))
            }
            Some(_) => self.length < MOST_TEXT,
        }
    }
}

/// Listens for the answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Replies {
    /// When the terminal was asked, until it has answered.
    asked: Option<Duration>,
    within: Within,
    /// When the latest key came.
    latest: Duration,
}

impl Replies {
    /// Notes that the terminal is asked now.
    pub(super) fn ask(&mut self, now: Duration) {
        self.asked = Some(now);
    }

    /// Until when a key is kept back.
    pub(super) fn kept_until(&self) -> Option<Duration> {
        (self.within == Within::Escape { kept: true }).then(|| self.latest + KEPT)
    }

    /// The key that was kept back: nothing came after it. What comes still may be the rest of an answer.
    pub(super) fn give_up(&mut self) -> Option<KeyEvent> {
        self.kept_until()?;
        self.within = Within::Escape { kept: false };
        Some(KeyCode::Esc.into())
    }

    /// Takes a key.
    pub(super) fn take(&mut self, key: KeyEvent, now: Duration) -> Heard {
        if key.kind == KeyEventKind::Release {
            return Heard::Keys(vec![key]);
        }
        let pause = now.saturating_sub(std::mem::replace(&mut self.latest, now));
        match std::mem::take(&mut self.within) {
            Within::Escape { kept } => match letter(&key).filter(|_| pause <= PAUSE) {
                Some(']') => self.go_on(Within::Text(Text::default())),
                Some('[') => self.go_on(Within::Control(String::new())),
                _ => {
                    let mut keys = if kept { vec![KeyEvent::from(KeyCode::Esc)] } else { Vec::new() };
                    keys.extend(self.first(key, now));
                    Heard::Keys(keys)
                }
            },
            Within::Text(mut text) if pause <= PAUSE => match text.take(&key) {
                Next::More => self.go_on(Within::Text(text)),
                Next::End => self.answered(&text.body),
                Next::Over => Heard::Keys(self.first(key, now)),
            },
            Within::Control(body) if pause <= PAUSE => match letter(&key) {
                Some(c @ ' '..='?') if body.len() < MOST_CONTROL => {
                    self.go_on(Within::Control(format!("{body}{c}")))
                }
                Some('~') if body == "200" => self.go_on(Within::Paste),
                Some('@'..='~') => self.go_on(Within::Nothing),
                _ => Heard::Keys(self.first(key, now)),
            },
            Within::Paste if pause <= PASTE_PAUSE => self.go_on(Within::Paste),
            Within::Nothing | Within::Text(_) | Within::Control(_) | Within::Paste => {
                Heard::Keys(self.first(key, now))
            }
        }
    }

    fn answered(&mut self, body: &str) -> Heard {
        match ground(body) {
            Some(ground) => {
                self.asked = None;
                Heard::Background(ground)
            }
            None => Heard::Keys(Vec::new()),
        }
    }

    fn go_on(&mut self, within: Within) -> Heard {
        self.within = within;
        Heard::Keys(Vec::new())
    }

    /// A key outside of any sequence: what begins one, or a person's.
    fn first(&mut self, key: KeyEvent, now: Duration) -> Vec<KeyEvent> {
        if key.modifiers.contains(KeyModifiers::ALT) && key.code == KeyCode::Char(']') {
            self.within = Within::Text(Text::default());
            return Vec::new();
        }
        if key.code == KeyCode::Esc && key.modifiers.is_empty() {
            let kept = self.asked.is_some_and(|asked| now.saturating_sub(asked) <= ASKED);
            self.within = Within::Escape { kept };
            return if kept { Vec::new() } else { vec![key] };
        }
        vec![key]
    }
}

fn letter(key: &KeyEvent) -> Option<char> {
    match key.code {
        KeyCode::Char(c) if (key.modifiers - KeyModifiers::SHIFT).is_empty() => Some(c),
        _ => None,
    }
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
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    /// The keys that crossterm 0.29 makes of these pieces, each of which it reads at once: an ESC at the end of one is Esc, a
    /// CSI that began with its ESC is waited for and is no key, and other bytes behind an ESC have Alt.
    fn keys(pieces: &[&str]) -> Vec<Vec<KeyEvent>> {
        let mut rest = String::new();
        pieces
            .iter()
            .map(|piece| {
                rest.push_str(piece);
                let mut keys = Vec::new();
                while !rest.is_empty() {
                    let (length, key) = next(&rest);
                    let Some(length) = length else { break };
                    keys.extend(key);
                    rest.drain(..length);
                }
                keys
            })
            .collect()
    }

    /// How long the first event of these bytes is, if it is whole, and which key it is.
    fn next(bytes: &str) -> (Option<usize>, Option<KeyEvent>) {
        let (alt, body) = match bytes.strip_prefix('\x1b') {
            Some("") => return (Some(1), Some(KeyCode::Esc.into())),
            Some(csi) if csi.starts_with('[') => {
                let end = csi[1..].find(|c| matches!(c, '@'..='~'));
                return (end.map(|end| end + 3), None);
            }
            Some(body) => (KeyModifiers::ALT, body),
            None => (KeyModifiers::NONE, bytes),
        };
        let c = body.chars().next().unwrap();
        let key = match c {
            '\x07' => KeyEvent::new(KeyCode::Char('g'), KeyModifiers::CONTROL | alt),
            c if c.is_uppercase() => KeyEvent::new(KeyCode::Char(c), KeyModifiers::SHIFT | alt),
            c => KeyEvent::new(KeyCode::Char(c), alt),
        };
        (Some(bytes.len() - body.len() + c.len_utf8()), Some(key))
    }

    /// What becomes of pieces that come at these times, to one who asked at zero.
    fn hear(pieces: &[(&str, Duration)]) -> (Vec<KeyEvent>, Option<Ground>) {
        let mut replies = Replies::default();
        replies.ask(Duration::ZERO);
        let (mut typed, mut found) = (Vec::new(), None);
        let texts: Vec<&str> = pieces.iter().map(|(text, _)| *text).collect();
        for (keys, (_, at)) in keys(&texts).into_iter().zip(pieces) {
            if replies.kept_until().is_some_and(|until| until < *at) {
                typed.extend(replies.give_up());
            }
            for key in keys {
                match replies.take(key, *at) {
                    Heard::Keys(keys) => typed.extend(keys),
                    Heard::Background(ground) => found = Some(ground),
                }
            }
        }
        (typed, found)
    }

    /// What terminals send by themselves, with the background that it tells.
    const SEQUENCES: [(&str, Option<Ground>); 11] = [
        ("\x1b]11;rgb:ffff/ffff/ffff\x07", Some(Ground::Light)),
        ("\x1b]11;rgb:fdfd/f6f6/e3e3\x1b\\", Some(Ground::Light)),
        ("\x1b]11;rgb:1e1e/1E1e/2e2e\x1b\\", Some(Ground::Dark)),
        ("\x1b]11;rgb:00/00/ff\x07", Some(Ground::Dark)),
        ("\x1b]11;rgba:0000/0000/0000/ffff\x07", Some(Ground::Dark)),
        // The foreground, a clipboard, a palette: somebody else asked.
        ("\x1b]10;rgb:eeee/eeee/eeee\x1b\\", None),
        ("\x1b]52;c;V0VxZQ==\x07", None),
        ("\x1b]4;1;rgb:cdcd/0000/0000\x1b\\", None),
        // What kind of terminal it is, where its cursor is, a click.
        ("\x1b[?62;1;4c", None),
        ("\x1b[12;40R", None),
        ("\x1b[<0;12;5M", None),
    ];

    #[test]
    fn no_sequence_becomes_keys_however_it_is_split_and_how_late_its_pieces_come() {
        let typed = || keys(&["qP"]).concat();
        for (sequence, ground) in SEQUENCES {
            for first in 1..=sequence.len() {
                for second in first..=sequence.len() {
                    for (arrival, gap) in
                        [(0, 0), (0, 300), (999, 20), (999, 500), (300, 5_000), (20_000, 500)]
                    {
                        let at = [arrival, arrival + gap, arrival + 2 * gap, arrival + 2 * gap + 1]
                            .map(|at| at * MS);
                        let pieces =
                            [&sequence[..first], &sequence[first..second], &sequence[second..], "qP"];
                        let pieces: Vec<_> = pieces.into_iter().zip(at).collect();
                        let (mut keys, found) = hear(&pieces);
                        // Late, and before a pause, a lone ESC is the key, for nobody can tell.
                        if (arrival > 1000 || gap > 500)
                            && keys.first().is_some_and(|key| key.code == KeyCode::Esc)
                        {
                            keys.remove(0);
                        }
                        assert_eq!((keys, found), (typed(), ground), "{pieces:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_a_person_types_around_an_answer_stays() {
        let (typed, ground) = hear(&[("jq\x1b]11;rgb:ffff/ffff/ffff\x07P", 5 * MS)]);
        assert_eq!((typed, ground), (keys(&["jqP"]).concat(), Some(Ground::Light)));
    }

    #[test]
    fn an_esc_is_kept_back_for_the_next_key_and_only_soon_after_the_question() {
        let at = |times: [u32; 3]| {
            let pieces: Vec<_> = ["\x1b", "j", "\x1b"].into_iter().zip(times.map(|at| at * MS)).collect();
            hear(&pieces).0
        };
        assert_eq!(at([10, 20, 2000]), keys(&["\x1b", "j", "\x1b"]).concat(), "given with the next");
        assert_eq!(at([10, 20, 30]), keys(&["\x1b", "j"]).concat(), "kept back still");
        assert_eq!(at([1500, 1600, 1700]), keys(&["\x1b", "j", "\x1b"]).concat());
        let mut replies = Replies::default();
        replies.ask(MS);
        let escape = KeyEvent::from(KeyCode::Esc);
        assert_eq!(replies.take(escape, 10 * MS), Heard::Keys(vec![]));
        assert_eq!((replies.kept_until(), replies.give_up()), (Some(1010 * MS), Some(escape)));
        assert_eq!((replies.kept_until(), replies.give_up()), (None, None), "given once");
        assert_eq!(
            replies.take(KeyEvent::from(KeyCode::Char(']')), 5_000 * MS),
            Heard::Keys(vec![]),
            "its rest is none"
        );
        // Once it has answered, nothing is.
        let (typed, _) = hear(&[("\x1b]11;rgb:00/00/00\x07", 5 * MS), ("\x1b", 10 * MS)]);
        assert_eq!(typed, keys(&["\x1b"]).concat());
    }

    #[test]
    fn a_sequence_that_breaks_off_does_not_take_the_keys_for_long() {
        for (broken, typed, heard) in [
            ("\x1b]", "q", "q"),
            ("\x1b]11;rgb:1e1e/1e", "q", "q"),
            ("\x1b]11;rgb:000000000000000000000000", "ee", "e"),
            ("\x1b]52;c;abc", "qqq\x07q", "q"),
            ("\x1b]0;title", "\x1b]11;rgb:00/00/00\x07q", "q"),
        ] {
            let (keys_of, _) = hear(&[(broken, 5 * MS), (typed, 10 * MS)]);
            assert_eq!(keys_of, keys(&[heard]).concat(), "{broken:?}");
            let (keys_of, _) = hear(&[(broken, 5 * MS), ("qe", 11_000 * MS)]);
            assert_eq!(keys_of, keys(&["qe"]).concat(), "{broken:?}, after a pause");
        }
        let mut replies = Replies::default();
        for key in keys(&["\x1b]52;c;abc"]).concat() {
            assert_eq!(replies.take(key, MS), Heard::Keys(vec![]));
        }
        let enter = KeyEvent::from(KeyCode::Enter);
        assert_eq!(replies.take(enter, MS), Heard::Keys(vec![enter]));
        let long = format!("\x1b]52;c;{}", "e".repeat(MOST_TEXT + 10));
        assert!(hear(&[(&long, MS)]).0.len() < 20);
    }

    #[test]
    fn text_that_is_pasted_behind_a_lone_esc_presses_nothing() {
        let pieces = [("\x1b", 0), ("[200~We", 20), ("qW", 30), ("\x1b[201~", 40), ("q", 2000)];
        let (typed, _) = hear(&pieces.map(|(text, at)| (text, at * MS)));
        assert_eq!(typed, keys(&["q"]).concat());
    }

    proptest! {
        /// Whatever a person types that does not begin as a sequence does is heard, all of it and in its order.
        #[test]
        fn keys_are_heard(
            typed in "[ -Z\\^-~]{0,30}",
            pauses in prop::collection::vec(0_u32..3_000, 30),
        ) {
            let mut at = Duration::ZERO;
            let pieces: Vec<String> = typed.chars().map(String::from).collect();
            let pieces: Vec<(&str, Duration)> = pieces
                .iter()
                .zip(pauses)
                .map(|(piece, pause)| {
                    at += pause * MS;
                    (piece.as_str(), at)
                })
                .collect();
            prop_assert_eq!(hear(&pieces).0, keys(&[&typed]).concat());
        }

        /// No bytes make it panic, and none of them makes more keys than there are.
        #[test]
        fn any_bytes_are_taken(pieces in prop::collection::vec("[\x07\x1b\\[\\];\\\\a-z0-9~:/]{0,12}", 0..8)) {
            let pieces: Vec<(&str, Duration)> = pieces.iter().map(|piece| (piece.as_str(), MS)).collect();
            let texts: Vec<&str> = pieces.iter().map(|(text, _)| *text).collect();
            prop_assert!(hear(&pieces).0.len() <= keys(&texts).concat().len());
        }
    }
}
