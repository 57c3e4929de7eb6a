//! Breadcrumbs, where the user is: what was opened, what is looked for, which of the lists this is.

use super::super::nav;
use super::super::state::State;
use super::{Ctx, Pen};
use crate::query::{ViewKind, count};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr;

/// ` Processes › nginx[2817] › tcp 10.0.0.1:443                         / port:443 `
pub(super) fn draw(buffer: &mut Buffer, area: Rect, ctx: &Ctx<'_>) {
    let (state, theme, glyphs) = (ctx.state, ctx.theme, ctx.glyphs);
    let mut pen = Pen::new(buffer, area, 0);
    let mut wanted = match &state.interface {
        Some(name) => format!(" on {} ", glyphs.escape(name)),
        None => String::new(),
    };
    if state.filter.is_some() {
        wanted = format!("{wanted} / {} ", glyphs.escape(&state.filter_text));
    }
    let wanted = glyphs.fit(&wanted, area.width / 2).into_owned();
    let corner = pen.reserve(u16::try_from(wanted.width()).unwrap_or(u16::MAX));
    let sign = if glyphs.ascii { " > " } else { " › " };
    let root = state.path.first().map_or(state.view, |opened| opened.view).title();
    let names: Vec<String> =
        state.path.iter().map(|opened| glyphs.escape(&opened.name).into_owned()).collect();
    let mut parts: Vec<&str> = std::iter::once(root).chain(names.iter().map(String::as_str)).collect();
    // Where they do not fit, the first but the root give way: the last is what this is about.
    let width = |parts: &[&str]| parts.iter().map(|part| part.width() + 3).sum::<usize>();
    while parts.len() > 2 && width(&parts) > usize::from(pen.room()) {
        parts[1] = glyphs.more;
        if parts.len() > 3 && parts[2] != glyphs.more {
            parts.remove(2);
        } else {
            break;
        }
    }
    pen.skip(1);
    let last = parts.len() - 1;
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            pen.put(sign, theme.dim);
        }
        let left = pen.room();
        pen.put(&glyphs.fit_middle(part, left), if place == last { theme.strong } else { theme.key });
    }
    Pen::new(buffer, corner, 0).put(&wanted, theme.warning);
}

/// `[Processes 41] Flows  Hosts  Containers                     sort 2s ▼ `
pub(super) fn tabs(buffer: &mut Buffer, area: Rect, ctx: &Ctx<'_>) {
    let (state, theme) = (ctx.state, ctx.theme);
    let mut pen = Pen::new(buffer, area, 0);
    let arrow = if state.descending { ctx.glyphs.descending } else { ctx.glyphs.ascending };
    let order = order(state, arrow);
    let style = if state.is_frozen() { theme.warning } else { theme.plain };
    let corner = pen.reserve(u16::try_from(order.width()).unwrap_or(u16::MAX));
    for (view, title) in titles(pen.room(), state) {
        let (open, close, style) =
            if view == state.view { ("[", "]", theme.strong) } else { (" ", " ", theme.dim) };
        pen.put_whole(&[(open, style), (&title, style), (close, style)]);
    }
    Pen::new(buffer, corner, 0).put(&order, style);
}

fn order(state: &State, arrow: &str) -> String {
    let order = if state.is_frozen() { "frozen" } else { "sort" };
    format!(" {order} {} {arrow} ", state.sort.title())
}

/// The tabs that fit, and what stands on them: whole titles where they can, short ones where not; the one that is shown
/// is always among them.
fn titles(width: u16, state: &State) -> Vec<(ViewKind, String)> {
    let views = state.views();
    let shown = views.iter().position(|view| *view == state.view).unwrap_or(0);
    let things = count(state.listing().things() as u64);
    let written = |title: fn(ViewKind) -> &'static str| -> Vec<(ViewKind, String)> {
        let one = |view: &ViewKind| match title(*view) {
            title if *view == state.view => (*view, format!("{title} {things}")),
            title => (*view, title.to_owned()),
        };
        views.iter().map(one).collect()
    };
    let fits = |titles: &[(ViewKind, String)]| {
        titles.iter().map(|(_, title)| title.width() + 2).sum::<usize>() <= usize::from(width)
    };
    let mut titles = written(ViewKind::title);
    if !fits(&titles) {
        titles = written(nav::short);
    }
    while !fits(&titles) && titles.len() > shown + 1 {
        titles.pop();
    }
    let mut first = 0;
    while !fits(&titles[first..]) && first < shown {
        first += 1;
    }
    titles.drain(..first);
    titles
}

/// The view whose tab is at a column of the screen.
pub(super) fn tab_at(area: Rect, state: &State, x: u16) -> Option<ViewKind> {
    // Every arrow is one column wide.
    let order = u16::try_from(order(state, "v").width()).unwrap_or(u16::MAX);
    let mut end = usize::from(area.x);
    let found = titles(area.width.saturating_sub(order), state).into_iter().find(|(_, title)| {
        let start = end;
        end += title.width() + 2;
        (start..end).contains(&usize::from(x))
    });
    found.map(|(view, _)| view)
}
