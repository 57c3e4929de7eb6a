//! The keys: one table drives what they do, the hints in the footer and the help.
//!
//! Digits sort and letters act as in iftop and iftoprs. Nothing here knows what an action does.

use crate::query::{ViewKind, Window};
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What a key can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    NextView,
    PreviousView,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Sort(Window),
    Reverse,
    Freeze,
    Pause,
    LineMode,
    Bars,
    Redraw,
    Help,
    Health,
    Back,
    Quit,
}

/// One line of the table.
pub(super) struct Binding {
    /// The keys, in order of preference.
    pub(super) keys: &'static [Key],
    /// What they do.
    pub(super) action: Action,
    /// What that is called in the help.
    pub(super) help: &'static str,
    /// Keys and word in the footer, where there is room.
    pub(super) hint: Option<(&'static str, &'static str)>,
    /// The only view where they do something; all where `None`.
    pub(super) only: Option<ViewKind>,
}

/// A key with Control or without; Shift is part of the character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) code: KeyCode,
    pub(super) control: bool,
}

const fn key(code: KeyCode) -> Key {
    Key { code, control: false }
}

const fn letter(c: char) -> Key {
    key(KeyCode::Char(c))
}

const fn control(c: char) -> Key {
    Key { code: KeyCode::Char(c), control: true }
}

const fn bind(keys: &'static [Key], action: Action, help: &'static str) -> Binding {
    Binding { keys, action, help, hint: None, only: None }
}

const fn hinted(
    keys: &'static [Key],
    action: Action,
    help: &'static str,
    hint: (&'static str, &'static str),
) -> Binding {
    Binding { keys, action, help, hint: Some(hint), only: None }
}

/// Every key, in the order of the help and of the footer.
pub(super) static BINDINGS: &[Binding] = &[
    hinted(&[key(KeyCode::Tab)], Action::NextView, "next view", ("Tab", "view")),
    bind(&[key(KeyCode::BackTab)], Action::PreviousView, "previous view"),
    bind(&[letter('k'), key(KeyCode::Up)], Action::Up, "up"),
    bind(&[letter('j'), key(KeyCode::Down)], Action::Down, "down"),
    bind(&[key(KeyCode::PageUp), control('u')], Action::PageUp, "page up"),
    bind(&[key(KeyCode::PageDown), control('d')], Action::PageDown, "page down"),
    bind(&[letter('g'), key(KeyCode::Home)], Action::First, "first row, and stay there"),
    bind(&[letter('G'), key(KeyCode::End)], Action::Last, "last row"),
    hinted(&[letter('1')], Action::Sort(Window::Two), "sort by the 2 s rate", ("1-3", "sort")),
    bind(&[letter('2')], Action::Sort(Window::Ten), "sort by the 10 s rate"),
    bind(&[letter('3')], Action::Sort(Window::Forty), "sort by the 40 s rate"),
    hinted(&[letter('r')], Action::Reverse, "reverse the order", ("r", "rev")),
    hinted(&[letter('o')], Action::Freeze, "freeze the order", ("o", "freeze")),
    hinted(&[letter('P'), letter(' ')], Action::Pause, "pause the screen; counting goes on", ("P", "pause")),
    Binding {
        keys: &[letter('t')],
        action: Action::LineMode,
        help: "flows on two lines or one",
        hint: Some(("t", "lines")),
        only: Some(ViewKind::Flows),
    },
    hinted(&[letter('b')], Action::Bars, "bars on or off", ("b", "bars")),
    bind(&[control('l')], Action::Redraw, "redraw the screen"),
    hinted(&[letter('?'), letter('h')], Action::Help, "this help", ("?", "help")),
    bind(&[letter('H')], Action::Health, "health: programs, ledger, own cost"),
    bind(&[key(KeyCode::Esc)], Action::Back, "close the help"),
    hinted(&[letter('q'), control('c')], Action::Quit, "quit", ("q", "quit")),
];

/// What a key asks for, if anything.
pub(super) fn action(event: &KeyEvent) -> Option<Action> {
    // Windows and kitty also report releases.
    if event.kind == KeyEventKind::Release || event.modifiers.contains(KeyModifiers::ALT) {
        return None;
    }
    let pressed = Key { code: event.code, control: event.modifiers.contains(KeyModifiers::CONTROL) };
    BINDINGS.iter().find(|binding| binding.keys.contains(&pressed)).map(|binding| binding.action)
}

impl Binding {
    /// The keys as the help spells them.
    pub(super) fn spelled(&self) -> String {
        self.keys.iter().map(|key| key.spelled()).collect::<Vec<_>>().join(" ")
    }

    /// Whether the keys do something in this view.
    pub(super) fn works_in(&self, view: ViewKind) -> bool {
        self.only.is_none_or(|only| only == view)
    }
}

impl Key {
    fn spelled(self) -> String {
        let name = match self.code {
            KeyCode::Char(' ') => "Space".into(),
            KeyCode::Char(c) => c.to_string(),
            KeyCode::BackTab => "Shift-Tab".into(),
            KeyCode::PageUp => "PgUp".into(),
            KeyCode::PageDown => "PgDn".into(),
            other => format!("{other:?}"),
        };
        if self.control { format!("Ctrl-{}", name.to_uppercase()) } else { name }
    }
}
