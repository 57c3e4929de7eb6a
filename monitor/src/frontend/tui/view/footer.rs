//! The last line: keys that do something here, from the table of bindings.

use super::super::keymap::{Action, BINDINGS, Binding};
use super::super::state::State;
use super::{Ctx, Pen};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// ` Tab view  1-3 sort  r rev  o freeze  P pause  t lines  b bars  ? help  q quit`
///
/// Where width runs short the later ones leave, but for help and quit: they are the way to everything else.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, ctx: &Ctx<'_>) {
    let mut pen = Pen::new(buffer, area, 0);
    if let Some(message) = &ctx.state.message {
        let style = if message.is_error { ctx.theme.error } else { ctx.theme.strong };
        let text = ctx.glyphs.escape(&message.text);
        pen.skip(1);
        pen.put(&ctx.glyphs.fit(&text, area.width.saturating_sub(2)), style);
        return;
    }
    for binding in shown(area.width, ctx.state) {
        let Some((keys, word)) = binding.hint else { continue };
        pen.skip(1);
        pen.put_whole(&[(keys, ctx.theme.key), (" ", ctx.theme.plain), (word, ctx.theme.dim)]);
        pen.skip(1);
    }
}

/// What the hint at a column of the screen does.
pub(super) fn hint_at(area: Rect, state: &State, x: u16) -> Option<Action> {
    if state.message.is_some() {
        return None;
    }
    let mut end = usize::from(area.x);
    let found = shown(area.width, state).into_iter().find(|binding| {
        let start = end;
        end += room(binding);
        (start..end).contains(&usize::from(x))
    });
    found.map(|binding| binding.action)
}

/// The hints that there is room for.
fn shown(width: u16, state: &State) -> Vec<&'static Binding> {
    let mut spare = usize::from(width);
    for binding in hints(state).filter(|binding| is_fixed(binding)) {
        spare = spare.saturating_sub(room(binding));
    }
    let mut full = false;
    hints(state)
        .filter(|binding| {
            if is_fixed(binding) {
                return true;
            }
            // The space after the last hint may fall off the edge.
            full = full || room(binding) > spare + 1;
            if !full {
                spare = spare.saturating_sub(room(binding));
            }
            !full
        })
        .collect()
}

fn hints(state: &State) -> impl Iterator<Item = &'static Binding> + use<> {
    let (view, covered) = (state.view, state.popup.is_some());
    // A page of text has no rows to open or to sort.
    let is_text = state.health.is_some();
    let is_opened = !state.path.is_empty();
    let goes_back = !state.path.is_empty() || state.health.is_some();
    BINDINGS.iter().filter(move |binding| {
        binding.hint.is_some()
            && (binding.action != Action::Back || goes_back)
            && (binding.action != Action::Zoom || is_opened)
            && binding.works_in(view)
            && (!covered || is_fixed(binding))
            && (!is_text || is_fixed(binding) || matches!(binding.action, Action::Back | Action::Pause))
    })
}

fn is_fixed(binding: &Binding) -> bool {
    matches!(binding.action, Action::Help | Action::Quit)
}

/// Columns that a hint takes, with a space on either side.
fn room(binding: &Binding) -> usize {
    binding.hint.map_or(0, |(keys, word)| keys.len() + word.len() + 3)
}
