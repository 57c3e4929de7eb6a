//! The last line: keys that do something here, from the table of bindings.

use super::super::keymap::{Action, BINDINGS, Binding};
use super::{Ctx, Pen};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// ` Tab view  1-3 sort  r rev  o freeze  P pause  t lines  b bars  ? help  q quit`
///
/// Where width runs short the later ones leave, but for help and quit: they are the way to everything else.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, ctx: &Ctx<'_>) {
    let mut pen = Pen::new(buffer, area, 0);
    let mut spare = usize::from(area.width);
    for binding in hints(ctx).filter(|binding| is_fixed(binding)) {
        spare = spare.saturating_sub(room(binding));
    }
    let mut full = false;
    for binding in hints(ctx) {
        let Some((keys, word)) = binding.hint else { continue };
        if !is_fixed(binding) {
            // The space after the last hint may fall off the edge.
            full = full || room(binding) > spare + 1;
            if full {
                continue;
            }
            spare = spare.saturating_sub(room(binding));
        }
        pen.skip(1);
        pen.put_whole(&[(keys, ctx.theme.key), (" ", ctx.theme.plain), (word, ctx.theme.dim)]);
        pen.skip(1);
    }
}

fn hints<'c>(ctx: &'c Ctx<'_>) -> impl Iterator<Item = &'static Binding> + use<'c> {
    let (view, help) = (ctx.state.view(), ctx.state.help.is_some());
    BINDINGS.iter().filter(move |binding| {
        binding.hint.is_some() && binding.works_in(view) && (!help || is_fixed(binding))
    })
}

fn is_fixed(binding: &Binding) -> bool {
    matches!(binding.action, Action::Help | Action::Quit)
}

/// Columns that a hint takes, with a space on either side.
fn room(binding: &Binding) -> usize {
    binding.hint.map_or(0, |(keys, word)| keys.len() + word.len() + 3)
}
