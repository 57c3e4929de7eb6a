//! A row a line: the columns of the query, bars behind them.

use super::{Ctx, Pen};
use crate::query::{Align, Column, ColumnId, Placed, Role, Row, Window, columns, place};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Room for the mark of the selected row.
pub(super) const MARK: u16 = 1;
/// The bars' logarithmic scale, as iftoprs has it: from 10 b/s to 1 Gb/s, or to the peak where that is higher.
const SCALE_FROM: f64 = 10.0;
const SCALE_TO: f64 = 1e9;

/// ```text
///      PID PROCESS          UID       RX 2s      10s    TX 2s      10s FLOWS
/// ▸   2817 nginx            33      212Mb/s  197Mb/s  8.1Mb/s  7.8Mb/s 2.82k
///        - kernel           -       1.2kb/s  1.1kb/s  2.2kb/s  2.1kb/s     3
/// ```
pub(super) fn draw(buffer: &mut Buffer, titles: Rect, rows: Rect, ctx: &Ctx<'_>) {
    let columns = columns(ctx.state.view());
    let placed = place(columns, titles.width.saturating_sub(MARK + 1), ctx.state.notation.units);
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
        mark(&mut pen, selected, ctx);
        for placed in &placed {
            pen.skip(1);
            cell(&mut pen, *placed, *row, selected, ctx);
        }
        let [rx, tx] = [row.windows().rx, row.windows().tx].map(|rates| rates[Window::Two.index()]);
        bar(buffer, line_of(rows, line), rx.saturating_add(tx), ctx);
    }
}

/// Says why there is no row.
pub(super) fn nothing(buffer: &mut Buffer, rows: Rect, ctx: &Ctx<'_>) {
    let text = if ctx.is_loading() { "waiting for the first numbers" } else { "no traffic yet" };
    let mut pen = Pen::new(buffer, rows, rows.height / 2);
    pen.skip(rows.width.saturating_sub(u16::try_from(text.len()).unwrap_or(0)) / 2);
    pen.put(text, ctx.theme.dim);
}

/// Marks the selected row: colour alone would not do.
pub(super) fn mark(pen: &mut Pen<'_>, selected: bool, ctx: &Ctx<'_>) {
    let mark = if selected { ctx.glyphs.selected } else { "" };
    pen.put_left(mark, MARK, ctx.theme.selected);
}

/// One line of an area.
pub(super) fn line_of(area: Rect, line: u16) -> Rect {
    Rect { y: area.y.saturating_add(line), height: 1, ..area }
}

fn cell(pen: &mut Pen<'_>, placed: Placed, row: Row<'_>, selected: bool, ctx: &Ctx<'_>) {
    let Placed { column, width } = placed;
    let text = column.cell(row, &ctx.format());
    let indent = if column.id == ColumnId::Process { 2 * usize::from(row.depth()) } else { 0 };
    let text = format!("{:indent$}{}", "", ctx.glyphs.escape(&text));
    let text = match column.id {
        ColumnId::Local | ColumnId::Remote | ColumnId::Exe | ColumnId::Group => {
            ctx.glyphs.fit_middle(&text, width)
        }
        _ => ctx.glyphs.fit(&text, width),
    };
    write(pen, &text, column.align, width, style(column, row, selected, ctx));
}

fn style(column: &Column, row: Row<'_>, selected: bool, ctx: &Ctx<'_>) -> Style {
    let theme = ctx.theme;
    let style = match column.role {
        _ if row.is_idle() => theme.dim,
        Role::Plain => theme.plain,
        Role::Rx => theme.rx,
        Role::Tx => theme.tx,
    };
    if selected { style.patch(theme.selected) } else { style }
}

fn write(pen: &mut Pen<'_>, text: &str, align: Align, width: u16, style: Style) {
    match align {
        Align::Left => pen.put_left(text, width, style),
        Align::Right => pen.put_right(text, width, style),
    }
}

/// Paints a rate, bits/s, behind a line.
pub(super) fn bar(buffer: &mut Buffer, line: Rect, rate: u64, ctx: &Ctx<'_>) {
    if !ctx.state.bars {
        return;
    }
    let line = line.intersection(buffer.area);
    let width = length(rate, ctx.snapshot.totals.peak.total, line.width);
    buffer.set_style(Rect { width, ..line }, ctx.theme.bar);
}

/// How much of `width` columns a rate fills.
pub(super) fn length(rate: u64, peak: u64, width: u16) -> u16 {
    let to = SCALE_TO.max(peak as f64);
    let part = (rate as f64 / SCALE_FROM).max(1.0).log10() / (to / SCALE_FROM).log10();
    // In 0..=width by the clamp.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=width")]
    let columns = (part * f64::from(width)).round().clamp(0.0, f64::from(width)) as u16;
    columns
}
