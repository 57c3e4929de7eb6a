//! The header, what is above the table: where the numbers come from, what is missing, how much there is, which list this
//! is.

use super::super::state::Phase;
use super::super::style::Glyphs;
use super::health::hundredths;
use super::{Ctx, Pen};
use crate::model::Ledger;
use crate::query::{clock, count};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

/// Less of what is missing than this tells nothing.
const LEAST_WHAT: u16 = 12;
/// The scope is not made shorter than this for what stands behind it, and not shorter than the other for the source.
const SCOPE: u16 = 32;
const LEAST_SCOPE: u16 = 16;
/// What stays of the end of a scope that is made shorter.
const SCOPE_END: u16 = 10;

const UP: &str = "  up ";
const OWNER_KNOWN: &str = "  owner known ";

/// ` monitor  ebpf·T4  all sockets  up 00:12:31  owner known 99.98 %            ● live`
pub(super) fn header(buffer: &mut Buffer, area: Rect, ctx: &Ctx<'_>) {
    let (theme, snapshot) = (ctx.theme, ctx.snapshot);
    let (status, style) = status(ctx);
    let alarms = alarms(ctx);
    let mut pen = Pen::new(buffer, area, 0);
    let width = u16::try_from(alarms.width() + status.width()).unwrap_or(u16::MAX);
    // One column stays free on either side of it.
    let corner = pen.reserve(width.saturating_add(2));
    pen.skip(1);
    pen.put("monitor", theme.header);
    if ctx.is_loading() {
        let text = format!("  loading kernel programs{}", if ctx.glyphs.more == "…" { "…" } else { "..." });
        pen.put_whole(&[(&text, theme.warning)]);
    } else {
        let health = &snapshot.health;
        let source = match &*health.tier {
            "" => health.backend.name().to_owned(),
            tier => format!("{}{}{}", health.backend.name(), ctx.glyphs.dot, ctx.glyphs.escape(tier)),
        };
        let covers = health.covers(ctx.state.interface.as_deref());
        let covers = ctx.glyphs.escape(&covers);
        let (source_width, covers_width) = (columns(&source) + 2, columns(&covers) + 2);
        if source_width + covers_width.min(LEAST_SCOPE + 2) <= pen.room() {
            pen.put_whole(&[("  ", theme.plain), (&source, theme.key)]);
        }
        let (up, known) = (clock(snapshot.elapsed), owner_known(&snapshot.ledger));
        let covers = scope(&covers, &up, known.as_deref(), pen.room(), ctx.glyphs);
        let _ = pen.put_whole(&[("  ", theme.plain), (&covers, theme.plain)])
            && pen.put_whole(&[(UP, theme.dim), (&up, theme.plain)])
            && coverage(&mut pen, known.as_deref(), ctx)
            && own_cost(&mut pen, ctx);
    }
    let mut pen = Pen::new(buffer, corner, 0);
    pen.skip(1);
    pen.put(&alarms, theme.warning);
    pen.put(&status, style);
}

/// What is covered, in a room with what stands behind it. It is never left out: without it the numbers of one container look
/// like those of the host. Where it must be made shorter it leaves room for the others as long as it says enough itself.
fn scope(covers: &str, up: &str, known: Option<&str>, room: u16, glyphs: &Glyphs) -> String {
    let room = room.saturating_sub(2);
    let up = columns(UP) + columns(up);
    if columns(covers) + up <= room {
        return covers.to_owned();
    }
    let known = known.map_or(0, |known| columns(OWNER_KNOWN) + columns(known));
    shortened(covers, room.saturating_sub(up + known).max(SCOPE).min(room), glyphs)
}

/// A scope in fewer columns: of a path its beginning gives way first, because its end says which.
fn shortened(covers: &str, room: u16, glyphs: &Glyphs) -> String {
    let mut shorter = covers.to_owned();
    let (kind, path) = covers.split_at(covers.find('/').unwrap_or(covers.len()));
    for (at, _) in path.match_indices('/').skip(1) {
        let next = format!("{kind}{}{}", glyphs.more, &path[at..]);
        // A name that ends a long path may say nothing by itself.
        if columns(&shorter) <= room || columns(&next) < room / 2 {
            break;
        }
        shorter = next;
    }
    glyphs.fit_around(&shorter, room, SCOPE_END).into_owned()
}

fn columns(text: &str) -> u16 {
    u16::try_from(text.width()).unwrap_or(u16::MAX)
}

/// `! 2 above 100Mb/s  `, where there are such.
fn alarms(ctx: &Ctx<'_>) -> String {
    match (ctx.state.alarming, ctx.state.settings.alert.0) {
        (rows @ 1.., Some(limit)) => {
            let (rows, limit) = (count(rows as u64), ctx.state.notation().units.rate(limit));
            format!("{} {rows} above {limit}  ", ctx.glyphs.alarm)
        }
        _ => String::new(),
    }
}

fn status(ctx: &Ctx<'_>) -> (String, Style) {
    let (theme, glyphs) = (ctx.theme, ctx.glyphs);
    match ctx.state.phase {
        Phase::Stopping => ("stopping".into(), theme.warning),
        Phase::Paused => (format!("{} paused", glyphs.paused), theme.warning),
        Phase::Live if ctx.is_loading() => (String::new(), theme.plain),
        Phase::Live => (format!("{} live", glyphs.live), theme.rx),
    }
}

/// How much of the traffic has an owner.
fn coverage(pen: &mut Pen<'_>, known: Option<&str>, ctx: &Ctx<'_>) -> bool {
    let theme = ctx.theme;
    let Some(known) = known else { return true };
    let lost = ctx.snapshot.health.overflowed_packets;
    pen.put_whole(&[(OWNER_KNOWN, theme.dim), (known, theme.plain)])
        && (lost == 0 || pen.put_whole(&[(&format!("  {} without detail", count(lost)), theme.warning)]))
}

/// How much of what was counted is a process's or the kernel's.
fn owner_known(Ledger { rx, tx, .. }: &Ledger) -> Option<String> {
    percent(rx.attributed + rx.kernel + tx.attributed + tx.kernel, rx.counted + tx.counted)
}

/// `own cost 0.31 % cpu 66.4MB`, the kernel's tables with it, where there is room.
fn own_cost(pen: &mut Pen<'_>, ctx: &Ctx<'_>) -> bool {
    let (theme, own) = (ctx.theme, &ctx.snapshot.own);
    let (Some(share), Some(memory)) = (own.cpu_share(), own.memory) else { return true };
    let all = memory + ctx.snapshot.health.table_memory();
    let cost = format!("{} cpu {}", hundredths(share), ctx.state.notation().units.bytes(all));
    pen.put_whole(&[("  own cost ", theme.dim), (&cost, theme.plain)])
}

/// Two decimals, rounded down: only all is `100.00 %`.
fn percent(part: u64, whole: u64) -> Option<String> {
    let hundredths = (u128::from(part) * 10_000).checked_div(u128::from(whole))?;
    Some(format!("{}.{:02} %", hundredths / 100, hundredths % 100))
}

/// ` ! owners by receive only: the kernel's words (fix: sudo …)`, one line each, `+N more` at the end of the last.
pub(super) fn warnings(buffer: &mut Buffer, area: Rect, ctx: &Ctx<'_>) {
    let degraded = &ctx.snapshot.health.degraded;
    let shown = usize::from(area.height);
    for (line, missing) in (0u16..).zip(degraded.iter().take(shown)) {
        let mut pen = Pen::new(buffer, area, line);
        let more = degraded.len() - shown;
        let is_last = line + 1 == area.height;
        let more = if more > 0 && is_last { format!(" +{more} more ") } else { " ".into() };
        let corner = pen.reserve(u16::try_from(more.width()).unwrap_or(u16::MAX));
        let [what, why, fix] =
            [&missing.what, &missing.why, &missing.fix].map(|text| ctx.glyphs.escape(text));
        let room = pen.room().saturating_sub(3);
        let text = warning(&what, &why, &fix, room, ctx);
        pen.put(" ! ", ctx.theme.warning);
        pen.put(&ctx.glyphs.fit(&text, room), ctx.theme.plain);
        Pen::new(buffer, corner, 0).put(&more, ctx.theme.warning);
    }
}

/// Where room is short the fix is worth more than the kernel's words, and its end more than the end of what is missing.
fn warning(what: &str, why: &str, fix: &str, room: u16, ctx: &Ctx<'_>) -> String {
    let whole = format!("{what}: {why} (fix: {fix})");
    if whole.width() <= usize::from(room) {
        return whole;
    }
    let fix = format!(" (fix: {fix})");
    let rest = room.saturating_sub(u16::try_from(fix.width()).unwrap_or(u16::MAX));
    if rest < LEAST_WHAT { format!("{what}{fix}") } else { format!("{}{fix}", ctx.glyphs.fit(what, rest)) }
}

/// ` rx  318Mb/s   10s  300Mb/s   40s  288Mb/s   peak  402Mb/s   total 11.8GB`
pub(super) fn totals(buffer: &mut Buffer, area: Rect, ctx: &Ctx<'_>) {
    let totals = &ctx.snapshot.totals;
    let filtered = ctx.state.is_filtered().then(|| ctx.state.listing().sums());
    let (windows, total) =
        filtered.map_or((&totals.windows, &totals.total), |sums| (&sums.windows, &sums.total));
    let (theme, units) = (ctx.theme, ctx.state.notation().units);
    let rate_width = usize::from(units.rate_width());
    let lines = [
        ("rx", theme.rx, windows.rx, totals.peak.rx, total.rx_bytes),
        ("tx", theme.tx, windows.tx, totals.peak.tx, total.tx_bytes),
    ];
    for (line, (name, style, rates, peak, total)) in (0u16..).zip(lines) {
        let mut pen = Pen::new(buffer, area, line);
        let [now, ten, forty] = rates.map(|value| format!("{:>rate_width$}", units.rate(value)));
        let peak = format!("{:>rate_width$}", units.rate(peak));
        // The peak of what a filter lets through was never measured.
        let peak = match filtered {
            Some(_) => [("   filtered     ", theme.warning), ("", style)],
            None => [("   peak ", theme.dim), (&*peak, style)],
        };
        let total = format!("{:>1$}", units.bytes(total), usize::from(units.total_width()));
        let strong = style.patch(theme.strong);
        pen.put(&format!(" {name} "), strong);
        let _ = pen.put_whole(&[(&now, strong)])
            && pen.put_whole(&[("   10s ", theme.dim), (&ten, style)])
            && pen.put_whole(&[("   40s ", theme.dim), (&forty, style)])
            && pen.put_whole(&peak)
            && pen.put_whole(&[("   total ", theme.dim), (&total, style)]);
    }
}
