//! Update: what each action does to the state, given what the screen shows. What must happen outside comes back as an
//! [`Effect`]. Which key or click asked for it is of no concern here.

use super::effect::Effect;
use super::export;
use super::find::Find;
use super::keymap::{Action, Display, Reach, key_of};
use super::nav;
use super::popup::{Choice, Chooser, Help, Popup};
use super::state::{Phase, State};
use crate::config::{Prefix, Scale};
use crate::model::{Backend, Health, Snapshot};
use crate::query::{Row, SortKey, ViewKind, Window};
use clap::ValueEnum;
use std::sync::Arc;

/// Does what the user asked for.
pub(super) fn update(state: &mut State, action: Action, snapshot: &Arc<Snapshot>) -> Option<Effect> {
    state.look(snapshot);
    if state.health.is_some() && action.reach() == Reach::Table {
        return None;
    }
    match action {
        Action::NextView => state.turn(true),
        Action::PreviousView => state.turn(false),
        Action::View(place) => {
            if let Some(view) = state.views().get(usize::from(place)) {
                state.view = *view;
            }
        }
        Action::Move(motion) => state.go(snapshot, motion),
        Action::Sort(window) => state.order_by(SortKey::Rate(window), true),
        Action::PreviousColumn => state.order_beside(false),
        Action::NextColumn => state.order_beside(true),
        Action::Reverse => state.order_by(state.sort, !state.descending),
        Action::Freeze => state.freeze(),
        Action::Pause => {
            state.phase = if state.phase == Phase::Paused { Phase::Live } else { Phase::Paused };
        }
        Action::Refresh => return Some(Effect::Interval(state.refresh())),
        Action::Zoom => state.zoomed = !state.zoomed,
        Action::Themes => {
            let chooser = Chooser::of_themes(&state.catalog, &state.settings.theme);
            state.popup = Some(Popup::Choose(chooser));
        }
        Action::Interfaces => state.popup = Some(Popup::Choose(interfaces(state, snapshot))),
        Action::Views => state.popup = Some(Popup::Choose(Chooser::of_views(state.view))),
        Action::Open => state.open(),
        Action::Tooltip => tooltip(state, None),
        Action::Find => state.popup = Some(Popup::Find(Find::of(&state.filter_text))),
        Action::FindNothing => state.look_for(None, String::new()),
        Action::Clear => return Some(Effect::Clear),
        Action::Help => {
            let is_open = matches!(state.popup, Some(Popup::Help(_)));
            state.popup = (!is_open).then(|| Popup::Help(Help::default()));
        }
        Action::Pin => {
            if let Some(id) = state.selected().map(Row::id) {
                state.pins.toggle(id);
            }
        }
        Action::Copy => return state.selected().map(|row| Effect::Copy(export::line(state, row))),
        Action::Export => return Some(Effect::Export),
        Action::Save => return Some(Effect::Save),
        Action::Redraw => return Some(Effect::Repaint),
        Action::Suspend => return Some(Effect::Suspend),
        Action::Health => return Some(health(state, state.health.is_none())),
        Action::Back if state.health.is_some() => return Some(health(state, false)),
        Action::Back => state.back(),
        Action::Quit => return Some(Effect::Quit),
        Action::Mouse => return Some(mouse(state)),
        Action::Display(display) => return change(state, display),
    }
    None
}

/// Changes how things look; what cannot be seen at once is said.
fn change(state: &mut State, display: Display) -> Option<Effect> {
    let settings = &mut state.settings;
    let said = match display {
        Display::LineMode | Display::Owners if state.view != ViewKind::Flows => {
            let place = nav::TABS.iter().position(|view| *view == ViewKind::Flows).unwrap_or_default();
            let key = key_of(Action::Display(display));
            Some(format!("{key} is for flows: F{} shows them", place + 1))
        }
        Display::LineMode => {
            settings.lines = next(settings.lines);
            None
        }
        Display::Owners => toggle(&mut settings.owners),
        Display::Bars => {
            settings.bars = next(settings.bars);
            Some(format!("bars: {}", name(&settings.bars)))
        }
        Display::Scale => {
            settings.bar_scale = next(settings.bar_scale);
            let scale = if settings.bar_scale == Scale::Log { "logarithmic" } else { "linear" };
            Some(format!("bars: {scale}"))
        }
        Display::BarWindow => {
            let place = (settings.bar_window.index() + 1) % Window::ALL.len();
            settings.bar_window = Window::ALL[place];
            Some(format!("bars: average of {} s", settings.bar_window.seconds()))
        }
        Display::Prefix => {
            settings.prefix = next(settings.prefix);
            Some(format!("1 k is {}", if settings.prefix == Prefix::Si { 1000 } else { 1024 }))
        }
        Display::Unit => {
            settings.unit = next(settings.unit);
            None
        }
        Display::Hosts => {
            settings.hosts = !settings.hosts;
            return Some(Effect::NameHosts(settings.hosts));
        }
        Display::Tooltips => {
            settings.tooltips = !settings.tooltips;
            Some(format!("tooltips: {}", if settings.tooltips { "right click" } else { "off" }))
        }
        Display::Services => toggle(&mut settings.services),
        Display::Ports => toggle(&mut settings.ports),
        Display::Header => toggle(&mut settings.header),
        Display::Totals => toggle(&mut settings.totals),
        Display::Graph => toggle(&mut settings.graph),
        Display::Border => toggle(&mut settings.border),
    };
    if let Some(said) = said {
        state.say(said);
    }
    None
}

/// Turns a switch, which is seen at once.
fn toggle(switch: &mut bool) -> Option<String> {
    *switch = !*switch;
    None
}

/// The value after this one; after the last, the first.
fn next<T: ValueEnum + PartialEq>(value: T) -> T {
    let every = T::value_variants();
    let place = every.iter().position(|other| *other == value).unwrap_or_default();
    every.get((place + 1) % every.len()).cloned().unwrap_or(value)
}

/// What a value is called in options and settings.
fn name<T: ValueEnum>(value: &T) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn mouse(state: &mut State) -> Effect {
    state.settings.mouse = !state.settings.mouse;
    let key = key_of(Action::Mouse);
    state.say(if state.settings.mouse {
        format!("the mouse clicks here; {key} gives it back to the terminal")
    } else {
        format!("the mouse selects text; {key} takes it back")
    });
    Effect::Mouse(state.settings.mouse)
}

/// Opens the health page, or closes it; programs are measured while it is open.
fn health(state: &mut State, open: bool) -> Effect {
    state.health = open.then_some(0);
    Effect::Measure(open)
}

/// Opens the tooltip of the selected row, at a place on the screen or beside the row.
pub(super) fn tooltip(state: &mut State, at: Option<(u16, u16)>) {
    state.popup = state.selected().map(|row| Popup::Tooltip(row.id(), at));
}

/// The first line of the interface chooser, by where the numbers come from: what is counted where no interface is named.
fn all_interfaces(backend: Backend) -> &'static str {
    match backend {
        Backend::Ebpf => "all sockets",
        Backend::Pcap => "the default interface",
        Backend::File => "all interfaces",
    }
}

/// The interfaces of this host, those that are counted, and those that moved something.
fn interfaces(state: &State, snapshot: &Snapshot) -> Chooser {
    let health = &snapshot.health;
    let moved = snapshot.ledger.interfaces.iter().filter(|interface| interface.ifindex != 0);
    let mut names: Vec<String> = moved.map(|interface| interface.name.to_string()).collect();
    if health.backend != Backend::File {
        names.extend((state.interfaces)());
    }
    names.extend(health.interfaces.iter().chain(&state.settings.interface).cloned());
    let shown = state.interface.as_ref().or(health.interfaces.first());
    Chooser::of_interfaces(all_interfaces(health.backend), names, shown)
}

/// Takes the marked line of the chooser that is open, and closes it.
pub(super) fn choose(state: &mut State, health: &Health) -> Option<Effect> {
    let Some(Popup::Choose(chooser)) = state.popup.take_if(|popup| matches!(popup, Popup::Choose(_))) else {
        return None;
    };
    match chooser.choice {
        Choice::Theme => {
            chooser.marked().clone_into(&mut state.settings.theme);
            state.say(format!("{} keeps the theme", key_of(Action::Save)));
        }
        Choice::View => state.view = ViewKind::ALL.get(chooser.index).copied().unwrap_or(state.view),
        Choice::Interface => {
            let chosen = (chooser.index > 0).then(|| chooser.marked().to_owned());
            return choose_interface(state, chosen, health);
        }
    }
    None
}

/// Shows what passes that interface; everything with `None`. What is not counted has to be counted first, from zero. Kept as
/// what the next start counts.
fn choose_interface(state: &mut State, chosen: Option<String>, health: &Health) -> Option<Effect> {
    state.settings.interface = chosen.iter().cloned().collect();
    let counted = &health.interfaces;
    let is_counted = counted.is_empty() || chosen.as_ref().is_some_and(|name| counted.contains(name));
    if is_counted || health.backend == Backend::File {
        // The only one that is counted needs no limit.
        state.limit_to(chosen.filter(|_| counted.len() != 1));
        return None;
    }
    state.limit_to(None);
    let name = chosen.unwrap_or_else(|| all_interfaces(health.backend).to_owned());
    state.say(format!("{name}: it was not counted until now, so the totals begin anew"));
    Some(Effect::Watch(state.settings.interface.clone()))
}
