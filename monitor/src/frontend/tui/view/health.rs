//! The health page: where the numbers come from and what they are worth, what is missing and how to get it, what the
//! program costs, and the ledger to the byte.

use super::ledger::{self, grouped};
use super::page::{Line, Text, draw as draw_lines};
use super::{Ctx, Pen};
use crate::model::{Backend, Health, Loaded, MapHealth, ProgramHealth, ProgramRuns, TIERS};
use crate::query::{clock, count};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::time::Duration;

/// Room for the words before a value.
const LABEL: usize = 10;
/// Room for the name of a program or a map.
const NAME: usize = 21;

/// Draws the page, scrolled by `offset` lines.
pub(super) fn draw(buffer: &mut Buffer, titles: Rect, rows: Rect, offset: usize, ctx: &Ctx<'_>) {
    let mut pen = Pen::new(buffer, titles, 0);
    pen.skip(1);
    pen.put("HEALTH", ctx.theme.titles);
    draw_lines(buffer, rows, &lines(rows.width, ctx), offset, ctx);
}

/// How many lines the page has at that width.
pub(super) fn len(width: u16, ctx: &Ctx<'_>) -> usize {
    lines(width, ctx).len()
}

fn lines(width: u16, ctx: &Ctx<'_>) -> Vec<Line> {
    let mut text = Text::new(ctx, width);
    backend(&mut text, ctx);
    missing(&mut text, ctx);
    ourselves(&mut text, ctx);
    ledger::all(&mut text, LABEL, ctx);
    programs(&mut text, ctx);
    maps(&mut text, ctx);
    text.into_lines()
}

fn backend(text: &mut Text<'_>, ctx: &Ctx<'_>) {
    let (theme, health) = (ctx.theme, &ctx.snapshot.health);
    text.heading("Where the numbers come from");
    let scope = health.covers(None);
    let source = if ctx.is_loading() { "loading" } else { health.backend.name() };
    text.entry(
        "backend",
        LABEL,
        &[(source, theme.key), (", ", theme.plain), (&ctx.glyphs.escape(&scope), theme.plain)],
    );
    let Some(reached) = TIERS.iter().position(|tier| tier.name == health.tier) else { return };
    for (place, tier) in TIERS.iter().enumerate() {
        let has = place <= reached;
        let label = format!("tier {}", tier.name);
        let style = if has { theme.plain } else { theme.warning };
        let would = if has { "" } else { "missing: " };
        text.entry(&label, LABEL, &[(would, style), (tier.gives, style)]);
    }
}

fn missing(text: &mut Text<'_>, ctx: &Ctx<'_>) {
    let (theme, degraded) = (ctx.theme, &ctx.snapshot.health.degraded);
    if degraded.is_empty() {
        return;
    }
    text.heading(format!("What is missing ({})", degraded.len()));
    for missing in degraded {
        let [what, why, fix] =
            [&missing.what, &missing.why, &missing.fix].map(|text| ctx.glyphs.escape(text));
        text.entry("!", 1, &[(&what, theme.warning)]);
        text.entry("", 1, &[("why ", theme.dim), (&why, theme.plain)]);
        text.entry("", 1, &[("fix ", theme.dim), (&fix, theme.strong)]);
    }
}

fn ourselves(text: &mut Text<'_>, ctx: &Ctx<'_>) {
    let (theme, snapshot) = (ctx.theme, ctx.snapshot);
    let (own, health) = (&snapshot.own, &snapshot.health);
    text.heading("What monitor itself costs");
    let share = own.cpu_share().map_or_else(|| "-".to_owned(), hundredths);
    let cpu = format!("{share} of one core in the last {} s, ", own.recent.as_secs());
    let all = format!("{} in {}", seconds(own.cpu), clock(snapshot.elapsed));
    text.entry("cpu", LABEL, &[(&cpu, theme.strong), (&all, theme.plain)]);
    let memory = own.memory.map_or_else(|| "-".to_owned(), |memory| ctx.state.notation().units.bytes(memory));
    let maps = ctx.state.notation().units.bytes(health.table_memory());
    let memory = format!("{memory} resident, and {maps} of the kernel for tables");
    text.entry("memory", LABEL, &[(&memory, theme.plain)]);
    if health.backend == Backend::File {
        // It has a time of its own, and nothing in the kernel.
        return text.entry("", LABEL, &[("wake-ups and ticks are counted of live traffic only", theme.dim)]);
    }
    let wakeups = match own.wakeups {
        Some(woken) => format!("{woken}/s"),
        None if own.memory.is_none() => "not known without /proc".to_owned(),
        None => "counting".to_owned(),
    };
    text.entry("wake-ups", LABEL, &[(&wakeups, theme.plain)]);
    text.entry("in kernel", LABEL, &[(&kernel_share(health), theme.plain)]);
    let late = if own.late > 0 { theme.warning } else { theme.plain };
    let ticks = format!("{}, ", grouped(own.ticks));
    let were = format!("{} late, the worst by {}", grouped(own.late), milliseconds(own.latest));
    let merged = format!(", {} joined with the next", grouped(own.merged));
    let drain = match health.backend {
        Backend::Ebpf => format!("; the latest drain took {}", milliseconds(health.drain)),
        Backend::Pcap | Backend::File => String::new(),
    };
    text.entry(
        "ticks",
        LABEL,
        &[(&ticks, theme.plain), (&were, late), (&merged, theme.plain), (&drain, theme.plain)],
    );
    if let Some(why) = &health.uncounted_runs {
        let why = ctx.glyphs.escape(why);
        text.entry("", LABEL, &[("runs of programs are not counted: ", theme.warning), (&why, theme.plain)]);
    }
}

/// What the programs took of one processor in the latest interval.
fn kernel_share(health: &Health) -> String {
    if health.programs.is_empty() {
        return "no kernel program runs".to_owned();
    }
    if health.uncounted_runs.is_some() {
        return "not counted".to_owned();
    }
    let runs: Vec<&ProgramRuns> =
        health.programs.iter().filter_map(|program| program.runs.as_ref()).collect();
    let Some(recent) = runs.first().map(|runs| runs.recent).filter(|recent| !recent.is_zero()) else {
        return "counting; each run takes a little longer while this page is open".to_owned();
    };
    let each: u128 = runs.iter().map(|runs| per_run(runs).unwrap_or(0) * u128::from(runs.recent_runs)).sum();
    let share = u64::try_from(each * 10_000 / recent.as_nanos()).unwrap_or(u64::MAX);
    format!("{} of one core; each run takes a little longer while this page is open", hundredths(share))
}

/// Average time of a run, ns.
fn per_run(runs: &ProgramRuns) -> Option<u128> {
    runs.time.as_nanos().checked_div(runs.runs.into())
}

fn programs(text: &mut Text<'_>, ctx: &Ctx<'_>) {
    let (theme, programs) = (ctx.theme, &ctx.snapshot.health.programs);
    if programs.is_empty() {
        return;
    }
    let running = programs.iter().filter(|program| program.loaded == Loaded::Yes).count();
    text.heading(format!("Kernel programs ({running} of {} run)", programs.len()));
    for program in programs {
        match &program.loaded {
            Loaded::Yes => text.entry(program.name, NAME, &[(&runs(program), theme.plain)]),
            Loaded::Skipped(why) => {
                text.entry(program.name, NAME, &[("not needed: ", theme.dim), (why, theme.dim)]);
            }
            Loaded::Refused(why) => {
                let why = ctx.glyphs.escape(why);
                text.entry(program.name, NAME, &[("refused: ", theme.warning), (&why, theme.plain)]);
                text.entry("", NAME, &[("lost ", theme.dim), (program.loss, theme.plain)]);
                text.entry("", NAME, &[("fix ", theme.dim), (&program.fix, theme.strong)]);
            }
        }
    }
}

fn runs(program: &ProgramHealth) -> String {
    let Some(runs) = &program.runs else { return "runs".to_owned() };
    let each = per_run(runs).map_or_else(|| "-".to_owned(), |each| each.to_string());
    let nanoseconds = runs.recent.as_nanos();
    let often = (u128::from(runs.recent_runs) * 1_000_000_000).checked_div(nanoseconds).unwrap_or(0);
    let often = count(u64::try_from(often).unwrap_or(u64::MAX));
    format!("{often:>5} runs/s {each:>6} ns/run {:>6} runs seen", count(runs.runs))
}

fn maps(text: &mut Text<'_>, ctx: &Ctx<'_>) {
    let (theme, health) = (ctx.theme, &ctx.snapshot.health);
    if health.maps.is_empty() {
        return;
    }
    text.heading("Kernel tables");
    for MapHealth { name, capacity, fill, memory, .. } in &health.maps {
        let share = (fill * 100).checked_div(u64::from(*capacity)).unwrap_or(0);
        let style = if share >= 90 { theme.warning } else { theme.plain };
        let (mut rows, mut part) = (
            format!("{:>6} of {:>6} rows ", count(*fill), count((*capacity).into())),
            format!("{share:>3} %"),
        );
        if *capacity == 0 {
            (rows, part) = (" ".repeat(rows.len()), " ".repeat(part.len()));
        }
        let words = format!("{part} {:>8}", ctx.state.notation().units.bytes(*memory));
        text.entry(name, NAME, &[(&rows, theme.plain), (&words, style)]);
    }
    let lost = health.overflowed_packets;
    let style = if lost > 0 { theme.warning } else { theme.plain };
    let words = format!("{} packets counted without their flow", grouped(lost));
    text.entry("overflow", NAME, &[(&words, style)]);
}

/// `0.31 %` of hundredths of a percent.
pub(super) fn hundredths(share: u64) -> String {
    format!("{}.{:02} %", share / 100, share % 100)
}

fn seconds(time: Duration) -> String {
    format!("{}.{:02} s", time.as_secs(), time.subsec_millis() / 10)
}

fn milliseconds(time: Duration) -> String {
    let micros = time.as_micros();
    format!("{}.{} ms", micros / 1000, micros / 100 % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_times() {
        assert_eq!(hundredths(31), "0.31 %");
        assert_eq!(milliseconds(Duration::from_micros(131_449)), "131.4 ms");
    }
}
