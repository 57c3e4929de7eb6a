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
    /// The view at that place, from 0.
    View(u8),
    Move(Motion),
    Sort(Window),
    PreviousColumn,
    NextColumn,
    Reverse,
    Freeze,
    Pause,
    Refresh,
    Display(Display),
    Tooltip,
    Open,
    Mouse,
    Themes,
    Interfaces,
    Pin,
    Copy,
    Export,
    Save,
    Redraw,
    Suspend,
    Help,
    Health,
    Views,
    Zoom,
    Find,
    FindNothing,
    Clear,
    Back,
    Quit,
}

/// A step through lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Motion {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
}

impl Motion {
    /// The line that it leads to, with pages of so many lines; whether there is one is the caller's business.
    pub(super) fn from(self, index: usize, page: usize) -> usize {
        match self {
            Self::Up => index.saturating_sub(1),
            Self::Down => index.saturating_add(1),
            Self::PageUp => index.saturating_sub(page),
            Self::PageDown => index.saturating_add(page),
            Self::First => 0,
            Self::Last => usize::MAX,
        }
    }
}

/// Something that changes only how things look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Display {
    LineMode,
    Bars,
    Scale,
    BarWindow,
    Hosts,
    Services,
    Ports,
    Owners,
    Unit,
    Prefix,
    Header,
    Totals,
    Graph,
    Border,
    Tooltips,
}

/// Where an action does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Everywhere, also while something is open over the table.
    Everywhere,
    /// On a page of text, too.
    AnyPage,
    /// On a page with a table.
    Table,
}

impl Action {
    /// The step that it is, if it is one.
    pub(super) fn motion(self) -> Option<Motion> {
        if let Self::Move(motion) = self { Some(motion) } else { None }
    }

    /// Where it does something. What cannot be seen must not change, so most need the table.
    pub(super) fn reach(self) -> Reach {
        match self {
            Self::Quit | Self::Redraw | Self::Suspend => Reach::Everywhere,
            Self::Move(_) | Self::Pause | Self::Help | Self::Health | Self::Back => Reach::AnyPage,
            Self::NextView
            | Self::PreviousView
            | Self::View(_)
            | Self::Sort(_)
            | Self::PreviousColumn
            | Self::NextColumn
            | Self::Reverse
            | Self::Freeze
            | Self::Refresh
            | Self::Display(_)
            | Self::Tooltip
            | Self::Open
            | Self::Mouse
            | Self::Themes
            | Self::Interfaces
            | Self::Pin
            | Self::Copy
            | Self::Export
            | Self::Save
            | Self::Views
            | Self::Zoom
            | Self::Find
            | Self::FindNothing
            | Self::Clear => Reach::Table,
        }
    }
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
    hinted(&[key(KeyCode::Enter)], Action::Open, "open the row", ("Enter", "open")),
    hinted(&[key(KeyCode::Esc)], Action::Back, "back, close, or clear the filter", ("Esc", "back")),
    hinted(&[letter('z')], Action::Zoom, "what was opened: more room, or less", ("z", "zoom")),
    hinted(&[key(KeyCode::Tab)], Action::NextView, "next view", ("Tab", "view")),
    hinted(
        &[letter('/'), letter('l')],
        Action::Find,
        "filter rows and totals; Tab completes",
        ("/", "filter"),
    ),
    bind(&[key(KeyCode::BackTab)], Action::PreviousView, "previous view"),
    bind(FUNCTION, Action::View(0), "a view, by its place"),
    bind(&[letter('k'), key(KeyCode::Up)], Action::Move(Motion::Up), "up"),
    bind(&[letter('j'), key(KeyCode::Down)], Action::Move(Motion::Down), "down"),
    bind(&[key(KeyCode::PageUp), control('u')], Action::Move(Motion::PageUp), "page up"),
    bind(&[key(KeyCode::PageDown), control('d')], Action::Move(Motion::PageDown), "page down"),
    bind(&[key(KeyCode::Home)], Action::Move(Motion::First), "first row, and stay there"),
    bind(&[letter('G'), key(KeyCode::End)], Action::Move(Motion::Last), "last row"),
    hinted(&[letter('1')], Action::Sort(Window::Two), "sort by the 2 s rate", ("1-3", "sort")),
    bind(&[letter('2')], Action::Sort(Window::Ten), "sort by the 10 s rate"),
    bind(&[letter('3')], Action::Sort(Window::Forty), "sort by the 40 s rate"),
    bind(&[letter('<'), key(KeyCode::Left)], Action::PreviousColumn, "sort by the column to the left"),
    bind(&[letter('>'), key(KeyCode::Right)], Action::NextColumn, "sort by the column to the right"),
    hinted(&[letter('r')], Action::Reverse, "reverse the order", ("r", "rev")),
    hinted(&[letter('o')], Action::Freeze, "freeze the order", ("o", "freeze")),
    hinted(&[letter('P'), letter(' ')], Action::Pause, "pause the screen; counting goes on", ("P", "pause")),
    bind(&[letter('f')], Action::Refresh, "refresh every 0.5, 1, 2, 5, 10 s"),
    Binding {
        keys: &[letter('t')],
        action: Action::Display(Display::LineMode),
        help: "flows: two lines, one, sent, received",
        hint: Some(("t", "lines")),
        only: Some(ViewKind::Flows),
    },
    hinted(&[letter('b')], Action::Display(Display::Bars), "bar style, or no bars", ("b", "bars")),
    bind(&[letter('L')], Action::Display(Display::Scale), "bars: logarithmic or linear"),
    bind(&[letter('w')], Action::Display(Display::BarWindow), "bars: average of 2, 10, 40 s"),
    bind(&[letter('n')], Action::Display(Display::Hosts), "host names or addresses"),
    bind(&[letter('N')], Action::Display(Display::Services), "service names or port numbers"),
    bind(&[letter('p')], Action::Display(Display::Ports), "ports on or off"),
    Binding {
        keys: &[letter('Z')],
        action: Action::Display(Display::Owners),
        help: "flows: whose they are, on or off",
        hint: None,
        only: Some(ViewKind::Flows),
    },
    bind(&[letter('B')], Action::Display(Display::Unit), "rates in bits or bytes"),
    bind(&[letter('u')], Action::Display(Display::Prefix), "units in steps of 1000 or 1024"),
    bind(&[letter('g')], Action::Display(Display::Header), "first line on or off"),
    bind(&[letter('U')], Action::Display(Display::Totals), "totals on or off"),
    bind(&[letter('v')], Action::Display(Display::Graph), "graph on or off"),
    bind(&[letter('x')], Action::Display(Display::Border), "border on or off"),
    bind(&[letter('0')], Action::FindNothing, "no filter"),
    bind(&[letter('V')], Action::Views, "choose a view, or what to group by"),
    bind(&[letter('X')], Action::Clear, "clear what has ended"),
    bind(&[letter('d')], Action::Tooltip, "more about the row"),
    bind(&[letter('T')], Action::Display(Display::Tooltips), "tooltips of the mouse on or off"),
    bind(&[letter('M')], Action::Mouse, "mouse: ours or the terminal's"),
    bind(&[letter('F')], Action::Pin, "pin the row to the top"),
    bind(&[letter('y')], Action::Copy, "copy the row to the clipboard"),
    bind(&[letter('e')], Action::Export, "write what is shown to a file"),
    bind(&[letter('i')], Action::Interfaces, "choose an interface"),
    bind(&[letter('c')], Action::Themes, "choose a theme"),
    bind(&[letter('W')], Action::Save, "write the settings file"),
    bind(&[control('l')], Action::Redraw, "redraw the screen"),
    bind(&[control('z')], Action::Suspend, "back to the shell; fg returns"),
    hinted(&[letter('?'), letter('h')], Action::Help, "this help; / searches in it", ("?", "help")),
    bind(&[letter('H')], Action::Health, "health: programs, ledger, own cost"),
    hinted(&[letter('q'), control('c')], Action::Quit, "quit", ("q", "quit")),
];

/// The keys of the views.
const FUNCTION: &[Key] = &[
    key(KeyCode::F(1)),
    key(KeyCode::F(2)),
    key(KeyCode::F(3)),
    key(KeyCode::F(4)),
    key(KeyCode::F(5)),
    key(KeyCode::F(6)),
    key(KeyCode::F(7)),
    key(KeyCode::F(8)),
    key(KeyCode::F(9)),
    key(KeyCode::F(10)),
];

/// What a key asks for, if anything.
pub(super) fn action(event: &KeyEvent) -> Option<Action> {
    // Windows and kitty also report releases.
    if event.kind == KeyEventKind::Release || event.modifiers.contains(KeyModifiers::ALT) {
        return None;
    }
    let pressed = Key { code: event.code, control: event.modifiers.contains(KeyModifiers::CONTROL) };
    let binding = BINDINGS.iter().find(|binding| binding.keys.contains(&pressed))?;
    Some(match (binding.action, event.code) {
        (Action::View(_), KeyCode::F(number)) => Action::View(number.saturating_sub(1)),
        (action, _) => action,
    })
}

/// The first key of an action, as the help spells it.
pub(super) fn key_of(action: Action) -> String {
    let binding = BINDINGS.iter().find(|binding| binding.action == action);
    binding.and_then(|binding| binding.keys.first()).map_or_else(String::new, |key| key.spelled())
}

impl Binding {
    /// The keys as the help spells them.
    pub(super) fn spelled(&self) -> String {
        if self.keys == FUNCTION {
            return "F1-F10".into();
        }
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
            KeyCode::F(number) => format!("F{number}"),
            other => format!("{other:?}"),
        };
        if self.control { format!("Ctrl-{}", name.to_uppercase()) } else { name }
    }
}
