//! The footer: keys that do something here, from the table of bindings, or of what is open over the table.

use super::super::keymap::{Action, BINDINGS, Reach};
use super::super::nav;
use super::super::popup::Popup;
use super::super::state::State;
use super::{Ctx, Pen};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// ` Tab view  1-3 sort  r rev  o freeze  P pause  t lines  b bars  ? help  q quit`
///
/// Where width runs short the later ones leave, but for help and quit: they are the way to everything else.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, zooms: bool, ctx: &Ctx<'_>) {
    let mut pen = Pen::new(buffer, area, 0);
    if let Some(message) = &ctx.state.message {
        let style = if message.is_error { ctx.theme.error } else { ctx.theme.strong };
        let text = ctx.glyphs.escape(&message.text);
        pen.skip(1);
        pen.put(&ctx.glyphs.fit(&text, area.width.saturating_sub(2)), style);
        return;
    }
    for Hint { keys, word, .. } in shown(area.width, zooms, ctx.state) {
        pen.skip(1);
        pen.put_whole(&[(keys, ctx.theme.key), (" ", ctx.theme.plain), (word, ctx.theme.dim)]);
        pen.skip(1);
    }
}

/// What the hint at a column of the screen does.
pub(super) fn hint_at(area: Rect, zooms: bool, state: &State, x: u16) -> Option<Action> {
    if state.message.is_some() {
        return None;
    }
    let mut end = usize::from(area.x);
    let found = shown(area.width, zooms, state).into_iter().find(|hint| {
        let start = end;
        end += hint.room();
        (start..end).contains(&usize::from(x))
    });
    found.and_then(|hint| hint.action)
}

/// Keys and what they do.
#[derive(Clone, Copy)]
struct Hint {
    keys: &'static str,
    word: &'static str,
    /// What a click does; nothing where something is open over the table, for a click beside that closes it.
    action: Option<Action>,
}

impl Hint {
    /// Columns that it takes, with a space on either side.
    fn room(self) -> usize {
        self.keys.len() + self.word.len() + 3
    }

    fn is_fixed(self) -> bool {
        matches!(self.action, Some(Action::Help | Action::Quit))
    }
}

/// The hints that there is room for.
fn shown(width: u16, zooms: bool, state: &State) -> Vec<Hint> {
    let every = match over_the_table(state) {
        Some(hints) => hints.iter().map(|(keys, word)| Hint { keys, word, action: None }).collect(),
        None => hints(zooms, state),
    };
    let mut spare = usize::from(width);
    for hint in every.iter().filter(|hint| hint.is_fixed()) {
        spare = spare.saturating_sub(hint.room());
    }
    let mut full = false;
    let fits = |hint: &Hint| {
        if hint.is_fixed() {
            return true;
        }
        // The space after the last hint may fall off the edge.
        full = full || hint.room() > spare + 1;
        if !full {
            spare = spare.saturating_sub(hint.room());
        }
        !full
    };
    every.into_iter().filter(fits).collect()
}

/// What the keys do while something is open over the table; the line of a filter draws its own.
fn over_the_table(state: &State) -> Option<&'static [(&'static str, &'static str)]> {
    Some(match state.popup.as_ref()? {
        Popup::Help(help) if help.typing => &[("Enter", "keep"), ("Esc", "all keys")],
        // Whether there is more to move to is said in its title.
        Popup::Help(_) => &[("/", "search"), ("Esc", "back"), ("q", "quit")],
        Popup::Choose(_) => &[("j k", "move"), ("Enter", "keep"), ("Esc", "back"), ("q", "quit")],
        Popup::Tooltip(..) => &[("Esc", "back"), ("?", "help"), ("q", "quit")],
        Popup::Find(_) => &[],
    })
}

fn hints(zooms: bool, state: &State) -> Vec<Hint> {
    // A page of text has no rows to open or to sort.
    let is_text = state.health.is_some();
    let goes_back = is_text || !state.path.is_empty();
    // Of a flow that was opened there is nothing but itself.
    let is_all = nav::views(&state.path).len() == 1;
    let works = |action: Action| match action {
        Action::Back => goes_back,
        _ if is_text => action.reach() != Reach::Table,
        Action::Open | Action::NextView => !is_all,
        Action::Zoom => zooms,
        _ => true,
    };
    let bindings = BINDINGS.iter().filter(|binding| works(binding.action) && binding.works_in(state.view));
    bindings
        .filter_map(|binding| {
            let (keys, word) = binding.hint?;
            Some(Hint { keys, word, action: Some(binding.action) })
        })
        .collect()
}
