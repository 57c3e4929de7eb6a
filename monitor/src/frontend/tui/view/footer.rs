//! The last line: keys that do something here, from the table of bindings.

use super::super::keymap::{Action, BINDINGS, Binding};
use super::{Ctx, Pen};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// ` Tab view  1-3 sort  r rev  o freeze  P pause  t lines  b bars  ? help  q quit`
pub(super) fn draw(buffer: &mut Buffer, area: Rect, ctx: &Ctx<'_>) {
    let hints: Vec<&Binding> = hints(ctx).collect();
    let mut pen = Pen::new(buffer, area, 0);
    let mut skip = skipped(&hints, area.width);
    for binding in hints {
        let Some((keys, word)) = binding.hint else { continue };
        // Help and quit are the way to everything else.
        if skip > 0 && !matches!(binding.action, Action::Help | Action::Quit) {
            skip -= 1;
            continue;
        }
        pen.skip(1);
        let fits = pen.put_whole(&[(keys, ctx.theme.key), (" ", ctx.theme.plain), (word, ctx.theme.dim)]);
        if !fits {
            break;
        }
        pen.skip(1);
    }
}

fn hints<'c>(ctx: &'c Ctx<'_>) -> impl Iterator<Item = &'static Binding> + use<'c> {
    let (view, help) = (ctx.state.view, ctx.state.help);
    BINDINGS.iter().filter(move |binding| {
        let works = !help || matches!(binding.action, Action::Help | Action::Quit);
        binding.hint.is_some() && binding.works_in(view) && works
    })
}

/// How many hints must go so that the rest fit.
fn skipped(hints: &[&Binding], width: u16) -> usize {
    let room = |binding: &&Binding| binding.hint.map_or(0, |(keys, word)| keys.len() + word.len() + 3);
    let is_fixed = |binding: &&&Binding| matches!(binding.action, Action::Help | Action::Quit);
    // The last hint needs no space after it.
    let mut needed: usize = hints.iter().map(room).sum::<usize>().saturating_sub(1);
    let mut gone = 0;
    for binding in hints.iter().filter(|binding| !is_fixed(binding)) {
        if needed <= usize::from(width) {
            break;
        }
        needed -= room(binding);
        gone += 1;
    }
    gone
}
