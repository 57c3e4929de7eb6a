//! What only changes how things look.

use super::keymap::Action;
use super::state::{Effect, State};
use crate::config::{BarStyle, Lines, Prefix, Scale, Settings, Unit};
use crate::query::{Listing, Row, ViewKind, Window};

/// A row moves more than it may without a mark.
pub(super) fn alarms(settings: &Settings, row: Row<'_>) -> bool {
    settings.alert.0.is_some_and(|limit| row.exceeds(limit))
}

/// How many rows do.
pub(super) fn alarming(settings: &Settings, listing: &Listing) -> usize {
    settings.alert.0.map_or(0, |_| listing.all().filter(|row| alarms(settings, *row)).count())
}

/// Does it; other actions do nothing.
pub(super) fn change(state: &mut State, action: Action) -> Option<Effect> {
    let settings = &mut state.settings;
    match action {
        Action::LineMode if state.view == ViewKind::Flows => {
            settings.lines = match settings.lines {
                Lines::Two => Lines::One,
                Lines::One => Lines::Sent,
                Lines::Sent => Lines::Received,
                Lines::Received => Lines::Two,
            };
        }
        Action::Bars => {
            settings.bars = match settings.bars {
                BarStyle::Gradient => BarStyle::Solid,
                BarStyle::Solid => BarStyle::Thin,
                BarStyle::Thin => BarStyle::Ascii,
                BarStyle::Ascii => BarStyle::Off,
                BarStyle::Off => BarStyle::Gradient,
            };
            state.say(format!("bars: {}", format!("{:?}", state.settings.bars).to_lowercase()));
        }
        Action::Scale => {
            settings.bar_scale = if settings.bar_scale == Scale::Log { Scale::Linear } else { Scale::Log };
            state.say(if state.settings.bar_scale == Scale::Log {
                "bars: logarithmic"
            } else {
                "bars: linear"
            });
        }
        Action::BarWindow => {
            let next = (settings.bar_window.index() + 1) % Window::ALL.len();
            settings.bar_window = Window::ALL[next];
            state.say(format!("bars: average of {} s", state.settings.bar_window.seconds()));
        }
        Action::Unit => settings.unit = if settings.unit == Unit::Bits { Unit::Bytes } else { Unit::Bits },
        Action::Prefix => {
            settings.prefix = if settings.prefix == Prefix::Si { Prefix::Iec } else { Prefix::Si };
            state.say(if state.settings.prefix == Prefix::Si { "1 k is 1000" } else { "1 k is 1024" });
        }
        Action::Hosts => {
            settings.hosts = !settings.hosts;
            return Some(Effect::NameHosts(settings.hosts));
        }
        Action::Services => settings.services = !settings.services,
        Action::Ports => settings.ports = !settings.ports,
        Action::Header => settings.header = !settings.header,
        Action::Totals => settings.totals = !settings.totals,
        Action::Graph => settings.graph = !settings.graph,
        Action::Border => settings.border = !settings.border,
        Action::Tooltips => {
            settings.tooltips = !settings.tooltips;
            let tooltips = if settings.tooltips { "tooltips: right click" } else { "tooltips: off" };
            state.say(tooltips);
        }
        Action::LineMode => state.say("t is for flows: F2 shows them"),
        _ => {}
    }
    None
}
