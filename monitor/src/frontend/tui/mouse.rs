//! The mouse: what is under it, and what a click there asks for.
//!
//! A click selects or sorts, a second one in the same place opens, the right button tells more, the middle one pins, the
//! wheel scrolls.

use super::effect::Effect;
use super::keymap::{Action, Motion};
use super::popup::Popup;
use super::state::State;
use super::update::{choose, tooltip, update};
use super::view::{Spot, spot};
use crate::model::Snapshot;
use crate::query::SortKey;
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
        match &mut state.popup {
            Some(Popup::Choose(chooser)) => chooser.scroll(down),
            Some(Popup::Find(_)) => {}
            Some(Popup::Help(help)) => {
                help.offset = help.offset.saturating_add_signed(if down { 1 } else { -1 });
            }
            None if state.health.is_some() => {
                state.go(snapshot, if down { Motion::Down } else { Motion::Up });
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
            (Some(Spot::Line(line)), Popup::Choose(chooser), MouseButton::Left)
                if line < chooser.items.len() =>
            {
                chooser.index = line;
                return double.then(|| choose(state, &snapshot.health)).flatten();
            }
            (Some(Spot::Line(_)), ..) => {}
            // Beside it.
            (Some(Spot::Row(_) | Spot::Title(_) | Spot::Tab(_) | Spot::Hint(_)) | None, ..) => {
                state.popup = None;
            }
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
        (Spot::Row(index), MouseButton::Right) => {
            if state.settings.tooltips {
                state.go_to(snapshot, index);
                tooltip(state, Some(place));
            }
        }
        (Spot::Tab(view), MouseButton::Left) => state.view = view,
        (Spot::Title(id), MouseButton::Left) => state.order_by_column(SortKey::Column(id)),
        (Spot::Hint(action), MouseButton::Left) => return update(state, action, snapshot),
        (Spot::Tab(_) | Spot::Title(_) | Spot::Hint(_), MouseButton::Middle | MouseButton::Right)
        | (Spot::Line(_), _) => {}
    }
    None
}
