//! The mouse: what is under it, and what a click there asks for.
//!
//! A click selects or sorts, a second one in the same place opens, the right button tells more, the middle one pins, the
//! wheel scrolls.

use super::keymap::Action;
use super::popup::{self, Popup};
use super::state::{Effect, State, update};
use super::view::{Spot, spot};
use crate::model::Snapshot;
use crate::query::{SortKey, ViewKind};
use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Rect;
use std::sync::Arc;
use std::time::Duration;

/// Two clicks within this are a double one.
const DOUBLE: Duration = Duration::from_millis(400);
/// Rows that one notch of the wheel moves.
const NOTCH: usize = 3;

/// The latest click, for double ones.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mouse {
    last: Option<(u16, u16, Duration)>,
}

impl Mouse {
    /// Takes an event of the mouse at a time (of any clock that does not go back), given what the screen shows.
    pub(super) fn take(
        &mut self,
        state: &mut State,
        event: MouseEvent,
        at: Duration,
        area: Rect,
        snapshot: &Arc<Snapshot>,
    ) -> Option<Effect> {
        let place = (event.column, event.row);
        match event.kind {
            MouseEventKind::ScrollDown => self.scroll(state, true, snapshot),
            MouseEventKind::ScrollUp => self.scroll(state, false, snapshot),
            MouseEventKind::Down(button) => {
                let double = button == MouseButton::Left
                    && self
                        .last
                        .is_some_and(|(x, y, then)| (x, y) == place && at.saturating_sub(then) <= DOUBLE);
                self.last = (button == MouseButton::Left && !double).then_some((place.0, place.1, at));
                return click(state, button, double, place, area, snapshot);
            }
            _ => {}
        }
        None
    }

    fn scroll(&mut self, state: &mut State, down: bool, snapshot: &Arc<Snapshot>) {
        self.last = None;
        let by: isize = if down { 1 } else { -1 };
        let count = popup::themes(&state.catalog);
        match &mut state.popup {
            // Every notch shows the next theme.
            Some(Popup::Themes(list)) => {
                let next = (list.index + count).saturating_add_signed(by);
                list.index = next % count.max(1);
            }
            Some(Popup::Interfaces(list, names)) => list.step(by, names.len()),
            Some(Popup::Views(list)) => list.step(by, ViewKind::ALL.len()),
            Some(Popup::Find(_)) => {}
            Some(Popup::Help(help)) => help.offset = help.offset.saturating_add_signed(by),
            None if state.health.is_some() => {
                let action = if down { Action::Down } else { Action::Up };
                // Moving has no effect outside.
                let _ = update(state, action, snapshot);
            }
            Some(Popup::Tooltip(..)) | None => {
                state.popup = None;
                let index = state.cursor().index;
                let index = if down { index.saturating_add(NOTCH) } else { index.saturating_sub(NOTCH) };
                state.go_to(snapshot, index);
            }
        }
    }
}

fn click(
    state: &mut State,
    button: MouseButton,
    double: bool,
    place: (u16, u16),
    area: Rect,
    snapshot: &Arc<Snapshot>,
) -> Option<Effect> {
    state.message = None;
    let found = spot(area, state, snapshot, place);
    if let Some(popup) = &mut state.popup {
        match (found, popup, button) {
            (Some(Spot::Line(line)), Popup::Themes(list), MouseButton::Left)
                if line < popup::themes(&state.catalog) =>
            {
                list.index = line;
                if double {
                    popup::theme_at(&state.catalog, line).clone_into(&mut state.settings.theme);
                    state.popup = None;
                }
            }
            (Some(Spot::Line(line)), Popup::Interfaces(list, names), MouseButton::Left)
                if line < names.len() =>
            {
                list.index = line;
                if double {
                    let chosen = names.get(line).filter(|_| line > 0).cloned();
                    state.popup = None;
                    return popup::choose_interface(state, chosen, &snapshot.health);
                }
            }
            (Some(Spot::Line(line)), Popup::Views(list), MouseButton::Left) if line < ViewKind::ALL.len() => {
                list.index = line;
                if double {
                    state.view = ViewKind::ALL[line];
                    state.popup = None;
                }
            }
            (Some(Spot::Line(_)), ..) => {}
            // Beside it.
            _ => state.popup = None,
        }
        return None;
    }
    match (found?, button) {
        (Spot::Row(index), MouseButton::Left) => {
            state.go_to(snapshot, index);
            if double {
                return update(state, Action::Open, snapshot);
            }
        }
        (Spot::Row(index), MouseButton::Middle) => {
            state.go_to(snapshot, index);
            return update(state, Action::Pin, snapshot);
        }
        (Spot::Row(index), MouseButton::Right) if state.settings.tooltips => {
            state.go_to(snapshot, index);
            popup::open_tooltip(state, Some(place));
        }
        (Spot::Tab(view), MouseButton::Left) => state.view = view,
        (Spot::Title(id), MouseButton::Left) => state.order_by_column(SortKey::Column(id)),
        (Spot::Hint(action), MouseButton::Left) => return update(state, action, snapshot),
        _ => {}
    }
    None
}
