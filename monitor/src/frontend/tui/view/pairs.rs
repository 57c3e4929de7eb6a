//! Flow pairs, flows as iftop shows them: sent on the first line, received on the second, the owner under this host's end.

use super::bar::bar;
use super::table::{MARK, Mark, alert, line_of, mark, nothing, select_line};
use super::{Ctx, Pen};
use crate::config::Lines;
use crate::model::{Confidence, Endpoint, FlowRow, ProcessId};
use crate::query::{Row, Units, Window, count, latency};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

/// The longest end: `[v6]:port`.
const END_MOST: u16 = 47;
/// The shortest that still tells something.
const END_LEAST: u16 = 21;
/// ` => `
const ARROW: u16 = 4;

/// The room of each part of a pair of lines.
struct Room {
    end: u16,
    windows: usize,
    total: bool,
    units: Units,
}

impl Room {
    fn new(width: u16, units: Units) -> Self {
        let rates = |windows: u16| windows * (units.rate_width() + 1);
        let total_width = units.total_width();
        let least = MARK + 1 + 2 * END_LEAST + ARROW + 2;
        let windows = [3, 2].into_iter().find(|windows| width >= least + rates(*windows)).unwrap_or(1);
        let total = width > least + rates(3) + total_width;
        // The last column of the screen stays free, as in the table.
        let used = MARK + 1 + ARROW + 1 + 1 + rates(windows) + if total { total_width + 1 } else { 0 };
        let end = (width.saturating_sub(used) / 2).min(END_MOST);
        Self { end, windows: usize::from(windows), total, units }
    }
}

/// ```text
///   LOCAL  PROCESS             REMOTE                       2s      10s      40s
/// ▸ 10.0.0.5:443            => 93.184.216.34:52211     8.1Mb/s  7.9Mb/s  7.7Mb/s
///   nginx[2817]             <= tcp eth0                212Mb/s  198Mb/s  190Mb/s
/// ```
pub(super) fn draw(buffer: &mut Buffer, titles: Rect, rows: Rect, ctx: &Ctx<'_>) {
    let room = Room::new(titles.width, ctx.state.notation().units);
    title(&mut Pen::new(buffer, titles, 0), &room, ctx);
    let cursor = ctx.state.cursor();
    let lines = ctx.state.settings.lines;
    let each = ctx.state.row_height();
    let height = usize::from(rows.height.div_ceil(each));
    let view = ctx.state.select(cursor.offset.saturating_add(height));
    if view.total == 0 {
        nothing(buffer, rows, ctx);
    }
    let window = ctx.state.settings.bar_window.index();
    let visible = view.rows.iter().enumerate().skip(cursor.offset).take(height);
    for (line, (index, row)) in (0u16..).step_by(usize::from(each)).zip(visible) {
        let Row::Flow(flow) = *row else { continue };
        let mark = Mark::new(*row, index == cursor.index, ctx);
        let mut next = line;
        for direction in [Direction::Sent, Direction::Received] {
            if lines == Lines::Two || lines == direction.alone() {
                if next < rows.height {
                    let first = next == line;
                    let above = one(buffer, rows, next, flow, direction, first, mark, &room, ctx);
                    let rates = if direction == Direction::Sent { flow.windows.tx } else { flow.windows.rx };
                    bar(buffer, line_of(rows, next), rates[window], ctx);
                    select_line(buffer, line_of(rows, next), mark.selected, ctx);
                    alert(buffer, &above, ctx);
                }
                next += 1;
            }
        }
    }
}

/// What a line is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Sent,
    Received,
}

impl Direction {
    /// How flows are drawn where there is no other line.
    fn alone(self) -> Lines {
        match self {
            Self::Sent => Lines::Sent,
            Self::Received => Lines::Received,
        }
    }
}

fn title(pen: &mut Pen<'_>, room: &Room, ctx: &Ctx<'_>) {
    let style = ctx.theme.titles;
    pen.skip(MARK + 1);
    let both = ctx.state.settings.owners && ctx.state.settings.lines == Lines::Two;
    let title = if both { "LOCAL / PROCESS" } else { "LOCAL" };
    pen.put_left(&ctx.glyphs.fit(title, room.end), room.end, style);
    pen.skip(ARROW);
    pen.put_left(&ctx.glyphs.fit("REMOTE", room.end), room.end, style);
    pen.skip(1);
    for window in &Window::ALL[..room.windows] {
        pen.put_right(&format!("{}s", window.seconds()), room.units.rate_width() + 1, style);
    }
    if room.total {
        pen.put_right("TOTAL", room.units.total_width() + 1, style);
    }
}

/// Draws a line. Gives the rates on it that are above what `alert` says.
#[expect(clippy::too_many_arguments, reason = "one call, and a struct of them would be read nowhere else")]
fn one(
    buffer: &mut Buffer,
    rows: Rect,
    line: u16,
    flow: &FlowRow,
    direction: Direction,
    first: bool,
    marked: Mark,
    room: &Room,
    ctx: &Ctx<'_>,
) -> Vec<Rect> {
    let (theme, glyphs) = (ctx.theme, ctx.glyphs);
    let idle = Row::Flow(flow).is_idle() || flow.closed.is_some();
    let accent = |style: Style| marked.over(if idle { theme.dim } else { style }, ctx);
    let (plain, way, arrow, rates, total) = match direction {
        Direction::Sent => {
            (accent(theme.plain), accent(theme.tx), " => ", flow.windows.tx, flow.total.tx_bytes)
        }
        Direction::Received => {
            (accent(theme.plain), accent(theme.rx), " <= ", flow.windows.rx, flow.total.rx_bytes)
        }
    };
    let end = |end: String| glyphs.fit_middle(&end, room.end).into_owned();
    let mut pen = Pen::new(buffer, rows, line);
    let mut above = Vec::new();
    if first {
        above.extend(mark(&mut pen, marked, ctx));
        pen.put_left(&end(end_text(flow, flow.id.local_end(), ctx)), room.end, plain);
        pen.put(arrow, way);
        pen.put_left(&end(end_text(flow, flow.id.remote_end(), ctx)), room.end, plain);
    } else {
        pen.skip(MARK + 1);
        let owner = if ctx.state.settings.owners { owner(flow, room.end, ctx) } else { String::new() };
        pen.put_left(&owner, room.end, plain);
        pen.put(arrow, way);
        let how = how(flow, ctx);
        pen.put_left(&glyphs.fit(&how, room.end), room.end, accent(theme.dim));
    }
    pen.skip(1);
    above.extend(numbers(&mut pen, rates, total, room, way, ctx.state.settings.alert.0));
    above
}

/// `-` where the protocol has no addresses.
fn end_text(flow: &FlowRow, end: Option<Endpoint>, ctx: &Ctx<'_>) -> String {
    let text = end.map(|end| ctx.state.format().end(flow.id.protocol, end));
    text.map_or_else(|| "-".to_owned(), |text| ctx.glyphs.escape(&text).into_owned())
}

fn numbers(
    pen: &mut Pen<'_>,
    rates: [u64; 3],
    total: u64,
    room: &Room,
    style: Style,
    limit: Option<u64>,
) -> Vec<Rect> {
    let mut above = Vec::new();
    for value in &rates[..room.windows] {
        if limit.is_some_and(|limit| *value > limit) {
            let Rect { x, width, .. } = pen.ahead(room.units.rate_width() + 1);
            above.push(Rect { x: x + 1, width: width.saturating_sub(1), ..pen.ahead(0) });
        }
        pen.put_right(&room.units.rate(*value), room.units.rate_width() + 1, style);
    }
    if room.total {
        pen.put_right(&room.units.bytes(total), room.units.total_width() + 1, style);
    }
    above
}

/// `nginx[2817]`, or why nobody is named; the name gives way before the pid does.
fn owner(flow: &FlowRow, width: u16, ctx: &Ctx<'_>) -> String {
    let row = Row::Flow(flow);
    let name = ctx.glyphs.escape(row.name());
    match row.owner() {
        Some(owner) if owner != ProcessId::KERNEL => {
            let pid = format!("[{}]", owner.pid);
            let room = width.saturating_sub(u16::try_from(pid.width()).unwrap_or(u16::MAX));
            format!("{}{pid}", ctx.glyphs.fit(&name, room))
        }
        Some(_) => ctx.glyphs.fit(&name, width).into_owned(),
        None => {
            let reason = ctx.glyphs.escape(row.reason().unwrap_or_default());
            ctx.glyphs.fit(&format!("{name}: {reason}"), width).into_owned()
        }
    }
}

/// `tcp eth0`, and what the owner is worth where it is named but not exact.
fn how(flow: &FlowRow, ctx: &Ctx<'_>) -> String {
    let mut how = format!("{} {}", flow.id.protocol, ctx.glyphs.escape(&flow.interface));
    if let confidence @ (Confidence::Inherited | Confidence::Shared) = flow.attribution.confidence {
        how = format!("{how} {}", confidence.name());
    }
    if flow.closed.is_some() {
        return format!("{how} closed{}", ctx.glyphs.ended);
    }
    match &flow.tcp {
        Some(tcp) if tcp.retransmits > 0 => {
            format!("{how} rtt {} retr {}", latency(tcp.srtt), count(tcp.retransmits.into()))
        }
        Some(tcp) => format!("{how} rtt {}", latency(tcp.srtt)),
        None => how,
    }
}
