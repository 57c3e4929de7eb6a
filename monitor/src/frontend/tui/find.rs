//! The line in which a filter is typed: history, completion of what can be asked, and what is wrong with it where.

use super::keymap::{Action, action};
use super::line::Line;
use super::popup::Popup;
use super::state::{Effect, State, update};
use crate::model::Snapshot;
use crate::query::filter::{FIELDS, Filter, FilterError, Quantity};
use crossterm::event::{KeyCode, KeyEvent};
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

/// Looks for what the command line asked for, as if it had been typed.
pub(super) fn begin(state: &mut State, filter: Option<Arc<Filter>>) {
    let text = filter.as_ref().map(ToString::to_string).unwrap_or_default();
    remember(&mut state.filters, &text);
    state.look_for(filter, text);
}

/// Begins with the filter that is in force.
pub(super) fn open(state: &mut State) {
    let mut find = Find::default();
    find.line.set(&state.filter_text);
    state.popup = Some(Popup::Find(find));
}

/// Takes a key.
pub(super) fn press(state: &mut State, key: &KeyEvent, snapshot: &Arc<Snapshot>) -> Option<Effect> {
    let Some(Popup::Find(find)) = &mut state.popup else { return None };
    match key.code {
        KeyCode::Enter => enter(state),
        KeyCode::Esc => state.popup = None,
        KeyCode::Tab => find.complete(),
        KeyCode::Up => find.recall(&state.filters, true),
        KeyCode::Down => find.recall(&state.filters, false),
        _ if find.line.press(key) => {
            find.wrong = None;
            find.candidates.clear();
        }
        _ => {
            // Ctrl-C, Ctrl-L and Ctrl-Z are no text.
            let asked = action(key)?;
            if matches!(asked, Action::Quit | Action::Redraw | Action::Suspend) {
                return update(state, asked, snapshot);
            }
        }
    }
    None
}

fn enter(state: &mut State) {
    let Some(Popup::Find(find)) = &mut state.popup else { return };
    let text = find.line.text().trim().to_owned();
    match wanted(&text) {
        Ok(filter) => {
            state.popup = None;
            remember(&mut state.filters, &text);
            state.look_for(filter, text);
        }
        Err(wrong) => find.wrong = Some(wrong),
    }
}

/// What was typed, as a filter; nothing asks for everything.
fn wanted(text: &str) -> Result<Option<Arc<Filter>>, FilterError> {
    if text.is_empty() { Ok(None) } else { Filter::parse(text).map(Arc::new).map(Some) }
}

/// The latest last, each once.
fn remember(filters: &mut Vec<String>, text: &str) {
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
    /// Puts pasted text at the cursor; `false` where not all of it has room.
    pub(super) fn paste(&mut self, text: &str) -> bool {
        self.wrong = None;
        self.candidates.clear();
        self.line.paste(text)
    }

    fn recall(&mut self, filters: &[String], older: bool) {
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
        self.wrong = None;
        self.candidates.clear();
    }

    fn complete(&mut self) {
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
    use crate::frontend::tui::popup;

    fn typed(text: &str) -> Find {
        let mut find = Find::default();
        find.line.set(text);
        find
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
    fn pasted_text_goes_into_the_line_and_nowhere_else() {
        let mut state = State::default();
        let before = state.kept();
        popup::paste(&mut state, "proc:nginx\nWeq");
        assert!(
            state.message.take().is_some_and(|message| message.is_error && message.text.contains("pasted"))
        );
        assert_eq!((state.popup.clone(), state.kept()), (None, before.clone()));
        open(&mut state);
        popup::paste(&mut state, "proc:nginx\nWeq\n");
        let Some(Popup::Find(find)) = &state.popup else { panic!("the line is closed") };
        assert_eq!((find.line.text().as_str(), state.message.as_ref()), ("proc:nginx Weq", None));
        popup::paste(&mut state, &"x".repeat(10_000));
        assert!(state.message.take().is_some_and(|message| message.text.contains("longer")));
        popup::open_help(&mut state);
        let Some(Popup::Help(help)) = &mut state.popup else { panic!("no help") };
        help.typing = true;
        popup::paste(&mut state, "sort\n");
        let Some(Popup::Help(help)) = &state.popup else { panic!("no help") };
        assert_eq!(help.search.text(), "sort");
        assert_eq!(state.kept(), before);
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
