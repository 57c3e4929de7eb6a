//! The tooltip, more about one row: the columns that there is no room for, rates, totals and a sparkline.

use super::detail::since;
use super::frame::open;
use super::graph::{sparkline, two_minutes};
use super::{Ctx, Pen};
use crate::query::{Row, RowId, columns};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// The most room that it takes, inside.
const WIDTH: u16 = 66;
/// Room for the names.
const NAMES: u16 = 11;

/// Draws it beside a place, or in the middle.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, row: &RowId, at: Option<(u16, u16)>, ctx: &Ctx<'_>) {
    let width = WIDTH.min(area.width.saturating_sub(2));
    let view = ctx.state.select(usize::MAX);
    let found = view.rows.into_iter().find(|other| other.is(row));
    let lines = found.map_or_else(
        || vec![("gone".to_owned(), "the row is not there any more".to_owned(), ctx.theme.dim)],
        |row| lines(row, usize::from(width.saturating_sub(NAMES + 2)), ctx),
    );
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).min(area.height.saturating_sub(2));
    let (x, y) = at.map_or(
        (
            area.x + area.width.saturating_sub(width + 2) / 2,
            area.y + area.height.saturating_sub(height + 2) / 2,
        ),
        |(x, y)| (x.saturating_add(1), y.saturating_add(1)),
    );
    // Inside the screen, wherever it was asked for.
    let x = x.min(area.right().saturating_sub(width + 2)).max(area.x);
    let y = y.min(area.bottom().saturating_sub(height + 2)).max(area.y);
    let outer = Rect { x, y, width: width + 2, height: height + 2 }.intersection(area);
    let inner = open(buffer, outer, " row ", ctx);
    for (line, (name, value, style)) in (0u16..inner.height).zip(&lines) {
        let mut pen = Pen::new(buffer, inner, line);
        pen.skip(1);
        pen.put_left(name, NAMES, ctx.theme.dim);
        let room = pen.room().saturating_sub(1);
        let value = ctx.glyphs.escape(value);
        pen.put(&ctx.glyphs.fit(&value, room), *style);
    }
}

/// What is said of a row, with room for so many columns of what was.
fn lines(row: Row<'_>, room: usize, ctx: &Ctx<'_>) -> Vec<(String, String, Style)> {
    let theme = ctx.theme;
    let mut lines = Vec::new();
    for column in columns(ctx.state.view).iter().filter(|column| column.role == crate::query::Role::Plain) {
        let value = column.cell(row, &ctx.state.format());
        if value != "-" {
            lines.push((column.name.to_owned(), value.into_owned(), theme.plain));
        }
    }
    if let Some(reason) = row.reason() {
        lines.push(("why".to_owned(), format!("{}: {reason}", row.confidence().name()), theme.warning));
    }
    let (total, units) = (row.total(), ctx.state.notation().units);
    let peak = row.peak();
    let windows = row.windows();
    let directions = [
        ("rx", windows.rx, peak.map(|peak| peak.rx), total.rx_bytes, total.rx_packets, theme.rx),
        ("tx", windows.tx, peak.map(|peak| peak.tx), total.tx_bytes, total.tx_packets, theme.tx),
    ];
    for (name, rates, peak, moved, packets, style) in directions {
        let [two, ten, forty] = rates.map(|value| units.rate(value));
        let peak = peak.map_or_else(String::new, |peak| format!("peak {}  ", units.rate(peak)));
        lines.push((name.to_owned(), format!("2s {two}  10s {ten}  40s {forty}"), style));
        let total = format!("{peak}total {} in {packets} packets", units.bytes(moved));
        lines.push((String::new(), total, style));
    }
    let by_processes = ctx.state.tip.as_ref().is_some_and(|tip| tip.by_processes);
    lines.push(("since".to_owned(), since(row.flow(), by_processes, ctx.snapshot), theme.plain));
    if let Some(tip) = ctx.state.tip.as_ref().filter(|tip| !tip.points.is_empty()) {
        let (rx, tx) = two_minutes(&tip.points, ctx.snapshot.at, room);
        lines.push(("2 min rx".to_owned(), sparkline(&rx, ctx), theme.rx));
        lines.push(("2 min tx".to_owned(), sparkline(&tx, ctx), theme.tx));
    }
    lines
}
