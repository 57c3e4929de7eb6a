//! The table, a row a line: the columns of the query, bars behind them.

use super::super::alert;
use super::super::state::State;
use super::bar::bar;
use super::{Ctx, Pen};
use crate::query::{Align, Column, Field, Placed, Role, Row, ViewKind, columns, place};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

/// Room for the mark of the selected row.
pub(super) const MARK: u16 = 1;

/// How a row is marked.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    pub(super) selected: bool,
    pub(super) pinned: bool,
    /// It moves more than `alert` says.
    pub(super) alarms: bool,
}

impl Mark {
    /// Of a row of the list.
    pub(super) fn new(row: Row<'_>, selected: bool, ctx: &Ctx<'_>) -> Self {
        let state = ctx.state;
        Self { selected, pinned: state.pins.contains(&row.id()), alarms: alert::alarms(&state.settings, row) }
    }

    /// The style that a row's own gives way to.
    pub(super) fn over(self, style: Style, ctx: &Ctx<'_>) -> Style {
        if self.selected { style.patch(ctx.theme.selected) } else { style }
    }
}

/// ```text
///      PID PROCESS          UID       RX 2s      10s    TX 2s      10s FLOWS
/// ▸   2817 nginx            33      212Mb/s  197Mb/s  8.1Mb/s  7.8Mb/s 2.82k
///        - kernel           -       1.2kb/s  1.1kb/s  2.2kb/s  2.1kb/s     3
/// ```
pub(super) fn draw(buffer: &mut Buffer, titles: Rect, rows: Rect, ctx: &Ctx<'_>) {
    let placed = place(shown(ctx.state), titles.width.saturating_sub(MARK + 1), ctx.state.notation().units);
    let mut pen = Pen::new(buffer, titles, 0);
    pen.skip(MARK);
    for Placed { column, width } in &placed {
        pen.skip(1);
        write(&mut pen, column.title, column.align, *width, ctx.theme.titles);
    }
    let cursor = ctx.state.cursor();
    let height = usize::from(rows.height);
    let view = ctx.state.select(cursor.offset.saturating_add(height));
    if view.total == 0 {
        nothing(buffer, rows, ctx);
    }
    for (line, (index, row)) in (0u16..).zip(view.rows.iter().enumerate().skip(cursor.offset).take(height)) {
        let selected = index == cursor.index;
        let mut pen = Pen::new(buffer, rows, line);
        let marked = Mark::new(*row, selected, ctx);
        let mut above: Vec<Rect> = mark(&mut pen, marked, ctx).into_iter().collect();
        for (place, placed) in placed.iter().enumerate() {
            pen.skip(u16::from(place > 0));
            if is_above(placed.column.id, *row, ctx.state) {
                above.push(pen.ahead(placed.width));
            }
            cell(&mut pen, *placed, *row, marked, ctx);
        }
        let [rx, tx] =
            [row.windows().rx, row.windows().tx].map(|rates| rates[ctx.state.settings.bar_window.index()]);
        bar(buffer, line_of(rows, line), rx.saturating_add(tx), ctx);
        select_line(buffer, line_of(rows, line), selected, ctx);
        alert(buffer, &above, ctx);
    }
}

/// Says why there is no row.
pub(super) fn nothing(buffer: &mut Buffer, rows: Rect, ctx: &Ctx<'_>) {
    let text = match ctx.state.is_filtered() {
        _ if ctx.is_loading() => "waiting for the first numbers",
        true => "nothing passes the filter",
        false if !ctx.state.path.is_empty() => "nothing of it is held any more",
        false => "no traffic yet",
    };
    let mut pen = Pen::new(buffer, rows, rows.height / 2);
    pen.skip(rows.width.saturating_sub(u16::try_from(text.len()).unwrap_or(0)) / 2);
    pen.put(text, ctx.theme.dim);
}

/// The columns of the view, but for those that are not wanted.
fn shown(state: &State) -> impl Iterator<Item = &'static Column> + use<> {
    let hides = state.view == ViewKind::Flows && !state.settings.owners;
    let of_owner = |id| matches!(id, Field::Pid | Field::Process | Field::Owner);
    columns(state.view).iter().filter(move |column| !(hides && of_owner(column.id)))
}

/// The column whose title is at a column of the screen.
pub(super) fn title_at(titles: Rect, state: &State, x: u16) -> Option<Field> {
    let mut end = titles.x + MARK;
    let placed = place(shown(state), titles.width.saturating_sub(MARK + 1), state.notation().units);
    let found = placed.iter().find(|placed| {
        end += placed.width + 1;
        x < end
    });
    found.filter(|_| x >= titles.x).map(|placed| placed.column.id)
}

/// Marks the selected row, else a pinned one, and behind that one that moves too much: colour alone would not do. Gives
/// where the latter is.
pub(super) fn mark(pen: &mut Pen<'_>, marked: Mark, ctx: &Ctx<'_>) -> Option<Rect> {
    let (mark, style) = match (marked.selected, marked.pinned) {
        (true, _) => (ctx.glyphs.selected, ctx.theme.selected),
        (false, true) => (ctx.glyphs.pinned, ctx.theme.pinned),
        (false, false) => ("", ctx.theme.plain),
    };
    pen.put_left(mark, MARK, style);
    let place = marked.alarms.then(|| pen.ahead(1));
    pen.put_left(if marked.alarms { ctx.glyphs.alarm } else { "" }, 1, ctx.theme.warning);
    place
}

/// Paints the line of the selected row where its bar is not.
pub(super) fn select_line(buffer: &mut Buffer, line: Rect, selected: bool, ctx: &Ctx<'_>) {
    let (Some(colour), true) = (ctx.theme.selected.bg, selected) else { return };
    for place in line.intersection(buffer.area).positions() {
        let cell = &mut buffer[place];
        if cell.bg == ctx.theme.paper.bg.unwrap_or_default() {
            cell.bg = colour;
        }
    }
}

/// Whether a cell is a rate above what `alert` says.
fn is_above(column: Field, row: Row<'_>, state: &State) -> bool {
    let rate = if let Field::Rx(window) = column {
        row.windows().rx[window.index()]
    } else if let Field::Tx(window) = column {
        row.windows().tx[window.index()]
    } else {
        return false;
    };
    state.settings.alert.0.is_some_and(|limit| rate > limit)
}

/// Paints rates that are above what `alert` says, and the mark of their row, whatever is behind them.
pub(super) fn alert(buffer: &mut Buffer, places: &[Rect], ctx: &Ctx<'_>) {
    // A bar may end in the middle of a number.
    let paper = ctx.theme.paper.bg.unwrap_or_default();
    for place in places {
        buffer.set_style(*place, ctx.theme.warning.bg(paper).add_modifier(Modifier::REVERSED));
    }
}

/// One line of an area.
pub(super) fn line_of(area: Rect, line: u16) -> Rect {
    Rect { y: area.y.saturating_add(line), height: 1, ..area }
}

fn cell(pen: &mut Pen<'_>, placed: Placed, row: Row<'_>, marked: Mark, ctx: &Ctx<'_>) {
    let Placed { column, width } = placed;
    let text = column.cell(row, &ctx.state.format());
    let names = matches!(column.id, Field::Process | Field::Group | Field::Local);
    let over = if names && row.has_exited() { ctx.glyphs.ended } else { "" };
    let indent = if column.id == Field::Process { 2 * usize::from(row.depth()) } else { 0 };
    let text = format!("{:indent$}{}{over}", "", ctx.glyphs.escape(&text));
    let text = match column.id {
        Field::Local | Field::Remote | Field::Exe | Field::Group => ctx.glyphs.fit_middle(&text, width),
        _ => ctx.glyphs.fit(&text, width),
    };
    write(pen, &text, column.align, width, marked.over(style(column, row, ctx), ctx));
}

fn style(column: &Column, row: Row<'_>, ctx: &Ctx<'_>) -> Style {
    let theme = ctx.theme;
    match column.role {
        _ if row.is_idle() || row.has_exited() => theme.dim,
        Role::Plain => theme.plain,
        Role::Rx => theme.rx,
        Role::Tx => theme.tx,
    }
}

fn write(pen: &mut Pen<'_>, text: &str, align: Align, width: u16, style: Style) {
    match align {
        Align::Left => pen.put_left(text, width, style),
        Align::Right => pen.put_right(text, width, style),
    }
}
