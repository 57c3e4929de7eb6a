//! Filter line: text that is being typed, its history, completion of what can be asked, and what is wrong with it where.
//! Which keys do what is `input`'s.

use super::line::Line;
use crate::query::filter::{FIELDS, Filter, FilterError, Quantity};
use std::sync::Arc;

/// Filters that are remembered.
const REMEMBERED: usize = 100;

/// A filter while it is typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Find {
    pub(super) line: Line,
    /// What was wrong when it was last tried.
    pub(super) wrong: Option<FilterError>,
    /// What could be meant by the word at the cursor, where Tab left more than one.
    pub(super) candidates: Vec<String>,
    /// How many filters back in the history; 0 is the one that is being typed, which is kept aside meanwhile.
    back: usize,
    typed: String,
}

/// What was typed, as a filter; nothing asks for everything.
fn parsed(text: &str) -> Result<Option<Arc<Filter>>, FilterError> {
    if text.is_empty() { Ok(None) } else { Filter::parse(text).map(Arc::new).map(Some) }
}

/// Adds a filter to those that were typed: the latest last, each once.
pub(super) fn remember(filters: &mut Vec<String>, text: &str) {
    if text.is_empty() {
        return;
    }
    filters.retain(|other| other != text);
    if filters.len() == REMEMBERED {
        filters.remove(0);
    }
    filters.push(text.to_owned());
}

impl Find {
    /// Begins with the text of the filter that is in force.
    pub(super) fn of(text: &str) -> Self {
        let mut find = Self::default();
        find.line.set(text);
        find
    }

    /// What was typed, with its filter; `None` where it is wrong, which is kept to be shown.
    pub(super) fn wanted(&mut self) -> Option<(Option<Arc<Filter>>, String)> {
        let text = self.line.text().trim().to_owned();
        match parsed(&text) {
            Ok(filter) => Some((filter, text)),
            Err(wrong) => {
                self.wrong = Some(wrong);
                None
            }
        }
    }

    /// Forgets what was said of the text before it changed.
    pub(super) fn changed(&mut self) {
        self.wrong = None;
        self.candidates.clear();
    }

    /// Puts pasted text at the cursor; `false` where not all of it has room.
    pub(super) fn paste(&mut self, text: &str) -> bool {
        self.changed();
        self.line.paste(text)
    }

    /// Goes through the filters that were typed.
    pub(super) fn recall(&mut self, filters: &[String], older: bool) {
        if self.back == 0 {
            self.typed = self.line.text();
        }
        let back = if older { (self.back + 1).min(filters.len()) } else { self.back.saturating_sub(1) };
        if back == self.back {
            return;
        }
        self.back = back;
        let text = match back {
            0 => &self.typed,
            back => &filters[filters.len() - back],
        };
        let text = text.clone();
        self.line.set(&text);
        self.changed();
    }

    /// Completes the word at the cursor as far as it is clear.
    pub(super) fn complete(&mut self) {
        let (before, _) = self.line.parts();
        let start = before.rfind([' ', '(', ')', '!', '|', '&']).map_or(0, |at| at + 1);
        let word = &before[start..];
        self.candidates = askable().filter(|name| name.starts_with(word)).collect();
        let Some(first) = self.candidates.first() else { return };
        let shared = self.candidates.iter().fold(first.as_str(), |shared, other| common(shared, other));
        self.line.insert(&shared[word.len()..]);
        if self.candidates.len() == 1 {
            self.candidates.clear();
        }
    }
}

/// What a filter can ask about, with the sign that follows.
pub(super) fn askable() -> impl Iterator<Item = String> {
    let fields = FIELDS.iter().map(|field| format!("{}:", field.name));
    fields.chain(Quantity::ALL.into_iter().map(|quantity| format!("{}>", quantity.name())))
}

/// The longest beginning of both.
fn common<'t>(one: &'t str, other: &str) -> &'t str {
    let same = one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    &one[..same]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Find {
        Find::of(text)
    }

    #[test]
    fn keys_are_completed_as_far_as_they_are_clear() {
        for (text, completed, candidates) in [
            ("us", "user:", 0),
            ("port:443 and conta", "port:443 and container:", 0),
            ("(ra", "(rate>", 0),
            ("a||contai", "a||container:", 0),
            ("po", "po", 2),
            ("nothing", "nothing", 0),
        ] {
            let mut find = typed(text);
            find.complete();
            assert_eq!((find.line.text().as_str(), find.candidates.len()), (completed, candidates), "{text}");
        }
        let mut find = typed("");
        find.complete();
        assert_eq!(find.candidates.len(), FIELDS.len() + 4, "Tab at the beginning tells everything");
    }

    #[test]
    fn the_history_goes_back_and_returns_to_what_was_being_typed() {
        let mut filters = Vec::new();
        for text in ["one", "two", "", "one"] {
            remember(&mut filters, text);
        }
        assert_eq!(filters, ["two", "one"]);
        let mut find = typed("th");
        let mut seen = Vec::new();
        for older in [true, true, true, false, false, false] {
            find.recall(&filters, older);
            seen.push(find.line.text());
        }
        assert_eq!(seen, ["one", "two", "two", "one", "th", "th"]);
    }
}
