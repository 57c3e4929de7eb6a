//! What is over the table: the help, the choosers, the tooltip. Which keys they take and what comes of it; drawing is
//! `view::popup`'s.

use super::find::{self, Find};
use super::keymap::{Action, BINDINGS, action};
use super::line::Line;
use super::state::{Effect, State, update};
use crate::config::Catalog;
use crate::model::{Backend, Health, Snapshot};
use crate::query::{RowId, ViewKind};
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::sync::Arc;

/// What follows the theme's background.
pub(super) const AUTO: &str = "auto";
/// The first line of the interface chooser, by where the numbers come from: what is counted where no interface is named.
pub(super) fn by_itself(backend: Backend) -> &'static str {
    match backend {
        Backend::Ebpf => "all sockets",
        Backend::Pcap => "the default interface",
        Backend::File => "all interfaces",
    }
}

/// Lines that a page key moves in a list.
const PAGE: usize = 10;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Popup {
    /// The keys.
    Help(Help),
    /// The themes; what is marked is shown.
    Themes(List),
    /// The interfaces.
    Interfaces(List, Vec<String>),
    /// A filter that is typed.
    Find(Find),
    /// All views.
    Views(List),
    /// More about a row, at a place on the screen or beside the row.
    Tooltip(RowId, Option<(u16, u16)>),
}

/// Where the user is in the help.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Help {
    /// Lines above the first that is shown. Drawing stops at its end.
    pub(super) offset: usize,
    /// What is searched for.
    pub(super) search: Line,
    /// Keys go into the search.
    pub(super) typing: bool,
}

/// Where the user is in a chooser.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct List {
    /// The marked line.
    pub(super) index: usize,
}

impl List {
    /// Moves by that many lines, within `count`.
    pub(super) fn step(&mut self, by: isize, count: usize) {
        self.index = self.index.saturating_add_signed(by).min(count.saturating_sub(1));
    }
}

/// The name at a place of the theme chooser: `auto`, then all themes.
pub(super) fn theme_at(catalog: &Catalog, index: usize) -> &str {
    index.checked_sub(1).and_then(|index| catalog.themes().get(index)).map_or(AUTO, |theme| &theme.name)
}

/// Lines of the theme chooser.
pub(super) fn themes(catalog: &Catalog) -> usize {
    catalog.themes().len() + 1
}

/// Opens the theme chooser at the theme that is shown.
pub(super) fn open_themes(state: &mut State) {
    let shown = state.catalog.find(&state.settings.theme).ok().map(|theme| theme.name.clone());
    let index = shown.and_then(|name| state.catalog.themes().iter().position(|theme| theme.name == name));
    state.popup = Some(Popup::Themes(List { index: index.map_or(0, |index| index + 1) }));
}

/// Opens the interface chooser: those of this host, and those that moved something.
pub(super) fn open_interfaces(state: &mut State, snapshot: &Snapshot) {
    let mut names: Vec<String> =
        snapshot.ledger.interfaces.iter().map(|interface| interface.name.to_string()).collect();
    let health = &snapshot.health;
    if health.backend != Backend::File {
        names.extend((state.interfaces)());
    }
    names.extend(health.interfaces.iter().chain(&state.settings.interface).cloned());
    names.retain(|name| !name.is_empty());
    names.sort();
    names.dedup();
    names.insert(0, by_itself(health.backend).to_owned());
    let chosen = state.interface.as_ref().or(health.interfaces.first());
    let index = names.iter().position(|name| Some(name) == chosen).unwrap_or(0);
    state.popup = Some(Popup::Interfaces(List { index }, names));
}

/// Opens the chooser of views at the one that is shown.
pub(super) fn open_views(state: &mut State) {
    let index = ViewKind::ALL.iter().position(|view| *view == state.view).unwrap_or(0);
    state.popup = Some(Popup::Views(List { index }));
}

/// Opens the tooltip of the selected row.
pub(super) fn open_tooltip(state: &mut State, at: Option<(u16, u16)>) {
    state.popup = state.selected().map(|row| Popup::Tooltip(row.id(), at));
}

/// Opens the help, or closes it.
pub(super) fn open_help(state: &mut State) {
    state.popup = match state.popup {
        Some(Popup::Help(_)) => None,
        _ => Some(Popup::Help(Help::default())),
    };
}

/// Takes a key: it goes to what is open, else to the table of bindings.
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
    let Some(popup) = &mut state.popup else {
        return action(key).and_then(|action| update(state, action, snapshot));
    };
    if matches!(popup, Popup::Find(_)) {
        return find::press(state, key, snapshot);
    }
    if let Popup::Help(help) = popup
        && help.typing
    {
        return type_search(state, key, snapshot);
    }
    let asked = action(key);
    // What ends or repaints the program does so everywhere.
    if let Some(action @ (Action::Quit | Action::Redraw | Action::Suspend)) = asked {
        return update(state, action, snapshot);
    }
    match popup {
        Popup::Help(help) => {
            if help.press(key, asked) {
                state.popup = None;
            }
            None
        }
        Popup::Themes(list) => {
            list.step(steps(asked), themes(&state.catalog));
            let index = list.index;
            if key.code == KeyCode::Enter {
                theme_at(&state.catalog, index).clone_into(&mut state.settings.theme);
                state.popup = None;
                state.say("W keeps the theme");
            } else if matches!(asked, Some(Action::Back | Action::Themes)) {
                state.popup = None;
            }
            None
        }
        // It took its keys above.
        Popup::Find(_) => None,
        Popup::Views(list) => {
            list.step(steps(asked), ViewKind::ALL.len());
            let index = list.index;
            if key.code == KeyCode::Enter {
                state.view = ViewKind::ALL[index];
                state.popup = None;
            } else if matches!(asked, Some(Action::Back | Action::Views)) {
                state.popup = None;
            }
            None
        }
        Popup::Interfaces(list, names) => {
            list.step(steps(asked), names.len());
            if key.code == KeyCode::Enter {
                let chosen = names.get(list.index).filter(|_| list.index > 0).cloned();
                state.popup = None;
                return choose_interface(state, chosen, &snapshot.health);
            }
            if matches!(asked, Some(Action::Back | Action::Interfaces)) {
                state.popup = None;
            }
            None
        }
        Popup::Tooltip(..) => {
            state.popup = None;
            let closes = matches!(asked, Some(Action::Back | Action::Open) | None);
            asked.filter(|_| !closes).and_then(|action| update(state, action, snapshot))
        }
    }
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
        Some(
            Popup::Help(_) | Popup::Themes(_) | Popup::Interfaces(..) | Popup::Views(_) | Popup::Tooltip(..),
        )
        | None => return state.complain("pasted text presses no keys; / opens the filter, which takes it"),
    };
    if !has_room {
        state.complain("the pasted text is longer than the line can be: its end is missing");
    }
}

impl Help {
    /// Takes a key that is not typed into the search; `true` when it closes the help.
    fn press(&mut self, key: &KeyEvent, asked: Option<Action>) -> bool {
        if key.code == KeyCode::Char('/') {
            self.typing = true;
        } else if asked == Some(Action::Back) && !self.search.is_empty() {
            *self = Self::default();
        } else if matches!(asked, Some(Action::Back | Action::Help)) {
            return true;
        } else {
            let mut list = List { index: self.offset };
            list.step(steps(asked), BINDINGS.len() + 1);
            self.offset = list.index;
        }
        false
    }
}

/// Shows what passes that interface; everything with `None`. What is not counted has to be counted first, from zero. Kept as
/// what the next start counts.
pub(super) fn choose_interface(state: &mut State, chosen: Option<String>, health: &Health) -> Option<Effect> {
    state.settings.interface = chosen.iter().cloned().collect();
    let counted = &health.interfaces;
    let is_counted = counted.is_empty() || chosen.as_ref().is_some_and(|name| counted.contains(name));
    if is_counted || health.backend == Backend::File {
        // The only one that is counted needs no limit.
        state.limit_to(chosen.filter(|_| counted.len() != 1));
        return None;
    }
    state.limit_to(None);
    let name = chosen.unwrap_or_else(|| by_itself(health.backend).to_owned());
    state.say(format!("{name}: it was not counted until now, so the totals begin anew"));
    Some(Effect::Watch(state.settings.interface.clone()))
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

/// How far a key moves in a list.
fn steps(action: Option<Action>) -> isize {
    let page = isize::try_from(PAGE).unwrap_or(isize::MAX);
    match action {
        Some(Action::Up) => -1,
        Some(Action::Down) => 1,
        Some(Action::PageUp) => -page,
        Some(Action::PageDown) => page,
        Some(Action::First) => isize::MIN,
        Some(Action::Last) => isize::MAX,
        _ => 0,
    }
}
