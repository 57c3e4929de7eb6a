//! Popups: what can be open over the table (the help, a chooser, the line of a filter, the tooltip), and how its own place
//! moves. Data only: keys are `input`'s, drawing is `view::popup`'s.

use super::find::Find;
use super::keymap::{Action, BINDINGS};
use super::line::Line;
use crate::config::Catalog;
use crate::query::{RowId, ViewKind};

/// The theme that follows the background.
pub(super) const AUTO: &str = "auto";

/// Lines that a page key moves in a list.
const PAGE: usize = 10;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Popup {
    /// The keys.
    Help(Help),
    /// A list that one line is chosen from.
    Choose(Chooser),
    /// A filter that is typed.
    Find(Find),
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

impl Help {
    /// Moves as an action says.
    pub(super) fn go(&mut self, action: Action) {
        self.offset = moved(self.offset, action, BINDINGS.len() + 1);
    }
}

/// What a chooser is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// The themes; what is marked is shown.
    Theme,
    /// All views.
    View,
    /// The interfaces, after the line for all that is counted.
    Interface,
}

impl Choice {
    /// The action that opens the chooser, and closes it again.
    pub(super) fn opened_by(self) -> Action {
        match self {
            Self::Theme => Action::Themes,
            Self::View => Action::Views,
            Self::Interface => Action::Interfaces,
        }
    }
}

/// A list, and its marked line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chooser {
    pub(super) choice: Choice,
    /// The lines, raw.
    pub(super) items: Vec<String>,
    /// The marked line.
    pub(super) index: usize,
}

impl Chooser {
    /// The themes, at the one of this name.
    pub(super) fn of_themes(catalog: &Catalog, shown: &str) -> Self {
        let names = catalog.themes().iter().map(|theme| theme.name.clone());
        let items: Vec<String> = std::iter::once(AUTO.to_owned()).chain(names).collect();
        let shown = catalog.find(shown).ok().map_or(AUTO, |theme| &theme.name);
        let index = items.iter().position(|name| name == shown).unwrap_or(0);
        Self { choice: Choice::Theme, items, index }
    }

    /// All views, at one.
    pub(super) fn of_views(shown: ViewKind) -> Self {
        let items = ViewKind::ALL.iter().map(|view| view.title().to_owned()).collect();
        let index = ViewKind::ALL.iter().position(|view| *view == shown).unwrap_or(0);
        Self { choice: Choice::View, items, index }
    }

    /// Interfaces, of which the first line stands for all that is counted, at the one that is looked at.
    pub(super) fn of_interfaces(all: &str, mut names: Vec<String>, shown: Option<&String>) -> Self {
        names.retain(|name| !name.is_empty());
        names.sort();
        names.dedup();
        names.insert(0, all.to_owned());
        let index = names.iter().position(|name| Some(name) == shown).unwrap_or(0);
        Self { choice: Choice::Interface, items: names, index }
    }

    /// The marked line.
    pub(super) fn marked(&self) -> &str {
        self.items.get(self.index).map_or("", String::as_str)
    }

    /// Moves as an action says.
    pub(super) fn go(&mut self, action: Action) {
        self.index = moved(self.index, action, self.items.len());
    }

    /// Moves by a notch of the wheel. Every notch shows the next theme, so they go round.
    pub(super) fn scroll(&mut self, down: bool) {
        let count = self.items.len().max(1);
        self.index = match (self.choice, down) {
            (Choice::Theme, true) => (self.index + 1) % count,
            (Choice::Theme, false) => (self.index + count - 1) % count,
            (Choice::View | Choice::Interface, true) => (self.index + 1).min(count - 1),
            (Choice::View | Choice::Interface, false) => self.index.saturating_sub(1),
        };
    }
}

/// A place among `count` lines, after an action; others than movements leave it where it is.
fn moved(index: usize, action: Action, count: usize) -> usize {
    let Some(motion) = action.motion() else { return index };
    motion.from(index, PAGE).min(count.saturating_sub(1))
}
