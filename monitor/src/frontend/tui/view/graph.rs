//! The graph of all traffic: received upwards, sent below it, the latest at the right; and sparklines of rows.

use super::super::history::columns;
use super::super::trace::{Point, SPAN};
use super::{Ctx, Pen};
use crate::model::Mono;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

const STEPS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const ASCII: [&str; 9] = [" ", ".", ".", ":", ":", "|", "|", "#", "#"];
/// Room for the direction and its maximum.
const LABEL: u16 = 13;

/// ```text
///  rx  318Mb/s ▁▁▂▃▅▇█▇▅▃▂▁
///  tx 41.2Mb/s ▁▁▁▂▂▃▂▂▁▁▁▁
/// ```
pub(super) fn draw(buffer: &mut Buffer, area: Rect, ctx: &Ctx<'_>) {
    if area.height < 2 {
        return;
    }
    let (points, step) = (ctx.state.history.totals(), ctx.state.settings.interval);
    let (rx, tx) = columns(points, ctx.snapshot.at, step, usize::from(room(area)));
    plot(buffer, area, &rx, &tx, ctx);
}

/// Columns of time that there is room for.
pub(super) fn room(area: Rect) -> u16 {
    area.width.saturating_sub(LABEL + 2)
}

/// Rates of the last two minutes in that many columns, received and sent, the oldest first.
pub(super) fn two_minutes(points: &[Point], until: Mono, count: usize) -> (Vec<u64>, Vec<u64>) {
    columns(points, until, SPAN / u32::try_from(count.max(1)).unwrap_or(u32::MAX), count)
}

/// Draws rates, the oldest first, so that the latest is at the right.
pub(super) fn plot(buffer: &mut Buffer, area: Rect, rx: &[u64], tx: &[u64], ctx: &Ctx<'_>) {
    let each = area.height / 2;
    if each == 0 {
        return;
    }
    let units = ctx.state.notation().units;
    for (part, (name, rates, style)) in (0u16..).zip([("rx", rx, ctx.theme.rx), ("tx", tx, ctx.theme.tx)]) {
        let part = Rect { y: area.y + part * each, height: each, ..area };
        let latest_first: Vec<u64> = rates.iter().rev().copied().collect();
        let most = latest_first.iter().copied().max().unwrap_or(0);
        let mut pen = Pen::new(buffer, part, 0);
        pen.put(&format!(" {name} "), style);
        pen.put_left(&format!("<{}", units.rate(most)), LABEL - 4, ctx.theme.dim);
        let plot = Rect { x: part.x + LABEL, width: part.width.saturating_sub(LABEL + 1), ..part };
        draw_columns(buffer, plot, &latest_first, most, style, ctx);
    }
}

/// Columns from the right, the latest first.
fn draw_columns(
    buffer: &mut Buffer,
    plot: Rect,
    latest_first: &[u64],
    most: u64,
    style: Style,
    ctx: &Ctx<'_>,
) {
    let steps = if ctx.glyphs.ascii { ASCII } else { STEPS };
    let plot = plot.intersection(buffer.area);
    for (x, value) in plot.columns().rev().zip(latest_first) {
        let mut eighths = height(*value, most, plot.height);
        for place in x.positions().collect::<Vec<_>>().into_iter().rev() {
            let here = eighths.min(8);
            eighths -= here;
            if here > 0 {
                buffer[place].set_symbol(steps[usize::from(here)]).set_style(style);
            }
        }
    }
}

/// How many eighths of lines a value fills; something that is not nothing fills one at least.
fn height(value: u64, most: u64, lines: u16) -> u16 {
    let eighths = u128::from(value) * u128::from(lines) * 8 / u128::from(most.max(1));
    u16::try_from(eighths).unwrap_or(u16::MAX).max(u16::from(value > 0)).min(lines * 8)
}

/// A line of columns for rates, the oldest first.
pub(super) fn sparkline(rates: &[u64], ctx: &Ctx<'_>) -> String {
    let steps = if ctx.glyphs.ascii { ASCII } else { STEPS };
    let most = rates.iter().copied().max().unwrap_or(0);
    rates.iter().map(|value| steps[usize::from(height(*value, most, 1))]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights() {
        assert_eq!(height(0, 0, 2), 0);
        assert_eq!(height(1, 1_000_000, 2), 1, "a little is not nothing");
        assert_eq!(height(50, 100, 2), 8);
        assert_eq!(height(100, 100, 2), 16);
        assert_eq!(height(u64::MAX, 1, 2), 16);
    }
}
