//! Input: keys and pasted text. They go to what is open over the table, else through the table of keys to `update`.

use super::effect::Effect;
use super::keymap::{Action, Reach, action};
use super::popup::{Help, Popup};
use super::state::State;
use super::update::{choose, update};
use crate::model::Snapshot;
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::sync::Arc;

/// Takes a key.
pub(super) fn press(state: &mut State, key: &KeyEvent, snapshot: &Arc<Snapshot>) -> Option<Effect> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::ALT) {
        // Esc and a key that came together: a fast hand, or a slow line.
        let (escape, mut key) = (KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE), *key);
        key.modifiers.remove(KeyModifiers::ALT);
        let first = press(state, &escape, snapshot);
        return first.or_else(|| press(state, &key, snapshot));
    }
    state.message = None;
    let asked = action(key);
    match &mut state.popup {
        None => asked.and_then(|action| update(state, action, snapshot)),
        Some(Popup::Find(_)) => type_filter(state, key, snapshot),
        Some(Popup::Help(help)) if help.typing => type_search(state, key, snapshot),
        Some(Popup::Help(_) | Popup::Choose(_) | Popup::Tooltip(..)) => match asked {
            Some(action) if action.reach() == Reach::Everywhere => update(state, action, snapshot),
            _ => press_popup(state, key, asked, snapshot),
        },
    }
}

/// A key for what is open and takes no text.
fn press_popup(
    state: &mut State,
    key: &KeyEvent,
    asked: Option<Action>,
    snapshot: &Arc<Snapshot>,
) -> Option<Effect> {
    match &mut state.popup {
        Some(Popup::Help(help)) => {
            if press_help(help, key, asked) {
                state.popup = None;
            }
        }
        Some(Popup::Choose(_)) if key.code == KeyCode::Enter => return choose(state, &snapshot.health),
        Some(Popup::Choose(chooser)) => match asked {
            Some(action) if action == Action::Back || action == chooser.choice.opened_by() => {
                state.popup = None;
            }
            Some(action) => chooser.go(action),
            None => {}
        },
        Some(Popup::Tooltip(..)) => {
            state.popup = None;
            let action = asked.filter(|action| !matches!(action, Action::Back | Action::Open));
            return action.and_then(|action| update(state, action, snapshot));
        }
        Some(Popup::Find(_)) | None => {}
    }
    None
}

/// Takes a key that is not typed into the search; `true` when it closes the help.
fn press_help(help: &mut Help, key: &KeyEvent, asked: Option<Action>) -> bool {
    if key.code == KeyCode::Char('/') {
        help.typing = true;
        return false;
    }
    match asked {
        Some(Action::Back) if !help.search.is_empty() => *help = Help::default(),
        Some(Action::Back | Action::Help) => return true,
        Some(action) => help.go(action),
        None => {}
    }
    false
}

fn type_search(state: &mut State, key: &KeyEvent, snapshot: &Arc<Snapshot>) -> Option<Effect> {
    let Some(Popup::Help(help)) = &mut state.popup else { return None };
    if help.search.press(key) {
        help.offset = 0;
        return None;
    }
    match key.code {
        KeyCode::Enter => help.typing = false,
        KeyCode::Esc => *help = Help::default(),
        _ => return through_the_text(state, key, snapshot),
    }
    None
}

fn type_filter(state: &mut State, key: &KeyEvent, snapshot: &Arc<Snapshot>) -> Option<Effect> {
    let Some(Popup::Find(find)) = &mut state.popup else { return None };
    match key.code {
        KeyCode::Enter => {
            if let Some((filter, text)) = find.wanted() {
                state.popup = None;
                state.look_for_typed(filter, text);
            }
        }
        KeyCode::Esc => state.popup = None,
        KeyCode::Tab => find.complete(),
        KeyCode::Up => find.recall(&state.filters, true),
        KeyCode::Down => find.recall(&state.filters, false),
        _ if find.line.press(key) => find.changed(),
        _ => return through_the_text(state, key, snapshot),
    }
    None
}

/// Ctrl-C, Ctrl-L and Ctrl-Z are no text.
fn through_the_text(state: &mut State, key: &KeyEvent, snapshot: &Arc<Snapshot>) -> Option<Effect> {
    let action = action(key).filter(|action| action.reach() == Reach::Everywhere)?;
    update(state, action, snapshot)
}

/// Takes text that was pasted: into the line that is being typed. Elsewhere it would be keys, which nobody has pressed.
pub(super) fn paste(state: &mut State, text: &str) {
    state.message = None;
    let has_room = match &mut state.popup {
        Some(Popup::Find(find)) => find.paste(text),
        Some(Popup::Help(help)) if help.typing => {
            help.offset = 0;
            help.search.paste(text)
        }
        Some(Popup::Help(_) | Popup::Choose(_) | Popup::Tooltip(..)) | None => {
            return state.complain("pasted text presses no keys; / opens the filter, which takes it");
        }
    };
    if !has_room {
        state.complain("the pasted text is longer than the line can be: its end is missing");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontend::tui::find::Find;

    #[test]
    fn pasted_text_goes_into_the_line_and_nowhere_else() {
        let mut state = State::default();
        let before = state.kept();
        paste(&mut state, "proc:nginx\nWeq");
        assert!(
            state.message.take().is_some_and(|message| message.is_error && message.text.contains("pasted"))
        );
        assert_eq!((state.popup.clone(), state.kept()), (None, before.clone()));
        state.popup = Some(Popup::Find(Find::default()));
        paste(&mut state, "proc:nginx\nWeq\n");
        let Some(Popup::Find(find)) = &state.popup else { panic!("the line is closed") };
        assert_eq!((find.line.text().as_str(), state.message.as_ref()), ("proc:nginx Weq", None));
        paste(&mut state, &"x".repeat(10_000));
        assert!(state.message.take().is_some_and(|message| message.text.contains("longer")));
        state.popup = Some(Popup::Help(Help::default()));
        let Some(Popup::Help(help)) = &mut state.popup else { panic!("no help") };
        help.typing = true;
        paste(&mut state, "sort\n");
        let Some(Popup::Help(help)) = &state.popup else { panic!("no help") };
        assert_eq!(help.search.text(), "sort");
        assert_eq!(state.kept(), before);
    }
}
