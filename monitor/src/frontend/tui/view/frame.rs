//! Boxes: a cleared place with a border around it, as this terminal can draw it.

use super::Ctx;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::symbols::border;
use ratatui::widgets::{Block, Clear, Widget};

/// Clears a place and draws a box around it; gives what is inside.
pub(super) fn open(buffer: &mut Buffer, outer: Rect, title: &str, ctx: &Ctx<'_>) -> Rect {
    Clear.render(outer, buffer);
    buffer.set_style(outer.intersection(buffer.area), ctx.theme.paper);
    let block =
        block(ctx).title(title.to_owned()).border_style(ctx.theme.border).title_style(ctx.theme.strong);
    let inner = block.inner(outer);
    block.render(outer, buffer);
    inner
}

/// A box that this terminal can draw.
pub(super) fn block(ctx: &Ctx<'_>) -> Block<'static> {
    let block = Block::bordered();
    if ctx.glyphs.ascii { block.border_set(ASCII) } else { block }
}

const ASCII: border::Set<'static> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};
