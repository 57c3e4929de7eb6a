//! The health page: where the numbers come from and what they are worth, what is missing and how to get it, what the
//! program costs, and the ledger to the byte.

use super::page::{Line, Text, draw as draw_lines};
use super::{Ctx, Pen};
use crate::model::{
    InterfaceLedger, InterfaceSide, LedgerSide, Loaded, MapHealth, ProgramHealth, ProgramRuns, TIERS, TapSide,
};
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
    ledger(&mut text, ctx);
    programs(&mut text, ctx);
    maps(&mut text, ctx);
    text.into_lines()
}

fn backend(text: &mut Text<'_>, ctx: &Ctx<'_>) {
    let (theme, health) = (ctx.theme, &ctx.snapshot.health);
    text.heading("Where the numbers come from");
    let scope = ctx.glyphs.escape(&health.scope);
    let source = if ctx.is_loading() { "loading" } else { health.backend.name() };
    text.entry("backend", LABEL, &[(source, theme.key), (", ", theme.plain), (&scope, theme.plain)]);
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
    let maps = ctx.state.notation().units.bytes(health.maps.iter().map(|map| map.memory).sum());
    let memory = format!("{memory} resident, and {maps} of the kernel for tables");
    text.entry("memory", LABEL, &[(&memory, theme.plain)]);
    let wakeups = own.wakeups.map_or_else(|| "counting".to_owned(), |woken| format!("{woken}/s"));
    text.entry("wake-ups", LABEL, &[(&wakeups, theme.plain)]);
    text.entry("in kernel", LABEL, &[(&kernel_share(&health.programs), theme.plain)]);
    let late = if own.late > 0 { theme.warning } else { theme.plain };
    let ticks = format!("{}, ", grouped(own.ticks));
    let were = format!("{} late, the worst by {}", grouped(own.late), milliseconds(own.latest));
    let merged = format!(", {} joined with the next", grouped(own.merged));
    let drain = format!("; the latest drain took {}", milliseconds(health.drain));
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
fn kernel_share(programs: &[ProgramHealth]) -> String {
    let runs: Vec<&ProgramRuns> = programs.iter().filter_map(|program| program.runs.as_ref()).collect();
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
        let rows = format!("{:>6} of {:>6} rows ", count(*fill), count((*capacity).into()));
        let words = format!("{share:>3} % {:>8}", ctx.state.notation().units.bytes(*memory));
        text.entry(name, NAME, &[(&rows, theme.plain), (&words, style)]);
    }
    let lost = health.overflowed_packets;
    let style = if lost > 0 { theme.warning } else { theme.plain };
    let words = format!("{} packets counted without their flow", grouped(lost));
    text.entry("overflow", NAME, &[(&words, style)]);
}

fn ledger(text: &mut Text<'_>, ctx: &Ctx<'_>) {
    let ledger = &ctx.snapshot.ledger;
    text.heading("Ledger, bytes since start");
    for (name, side) in [("rx", &ledger.rx), ("tx", &ledger.tx)] {
        sum(text, name, "counted", side.counted.into(), &parts(side), ctx);
    }
    for interface in &ledger.interfaces {
        let InterfaceLedger { rx, tx, .. } = interface;
        let name = match &*interface.name {
            "" => format!("if{}", interface.ifindex),
            name => ctx.glyphs.escape(name).into_owned(),
        };
        for (direction, side) in [("rx", rx), ("tx", tx)] {
            let label = format!("{name} {direction}");
            match side.device {
                Some(device) => sum(text, &label, "device", device.into(), &terms(side), ctx),
                None => sum(text, &label, "at sockets", total(&terms(side)), &terms(side), ctx),
            }
        }
    }
}

type Terms = Vec<(&'static str, i128)>;

fn total(terms: &Terms) -> i128 {
    terms.iter().map(|(_, value)| value).sum()
}

/// ` eth0 rx    device 4,812,331,020 = attributed 4,811,902,116 + kernel 88,120 + …`. Parts of nothing are left out, but
/// for what remains unexplained: that it is nothing is worth a word.
fn sum(text: &mut Text<'_>, label: &str, whole: &str, value: i128, terms: &Terms, ctx: &Ctx<'_>) {
    let theme = ctx.theme;
    let mut words = vec![(format!("{whole} "), theme.dim), (signed(value), theme.strong)];
    let shown = terms.iter().filter(|(name, value)| *value != 0 || *name == "unexplained");
    for (place, (name, value)) in shown.enumerate() {
        let sign = match (place, *value < 0) {
            (0, false) => " = ",
            (0, true) => " = -",
            (_, false) => " + ",
            (_, true) => " - ",
        };
        let odd = *value != 0 && ["unexplained", "unknown", "ambiguous"].contains(name);
        let style = if odd { theme.warning } else { theme.plain };
        words.push((sign.to_owned(), theme.dim));
        // A name and its number stay on one line.
        words.push((format!("{}\u{a0}{}", name.replace(' ', "\u{a0}"), signed(value.abs())), style));
    }
    let words: Vec<(&str, _)> = words.iter().map(|(word, style)| (&**word, *style)).collect();
    text.entry(label, LABEL, &words);
}

fn parts(side: &LedgerSide) -> Terms {
    vec![
        ("attributed", side.attributed.into()),
        ("kernel", side.kernel.into()),
        ("forwarded", side.forwarded.unwrap_or(0).into()),
        ("pending", side.pending.into()),
        ("ambiguous", side.ambiguous.into()),
        ("unknown", side.unknown.into()),
    ]
}

fn terms(side: &InterfaceSide) -> Terms {
    let mut terms: Terms = vec![
        ("attributed", side.attributed.into()),
        ("kernel", side.kernel.into()),
        ("pending", side.pending.into()),
        ("ambiguous", side.ambiguous.into()),
        ("unknown", side.unknown.into()),
    ];
    if let Some(tap) = &side.tap {
        terms.extend(tap_terms(tap));
    }
    if let Some(rest) = side.not_at_sockets {
        terms.push(("not at sockets", rest.into()));
    }
    if let Some(remainder) = side.remainder {
        terms.push(("unexplained", remainder.into()));
    }
    terms
}

fn tap_terms(tap: &TapSide) -> Terms {
    vec![
        ("forwarded", tap.forwarded.into()),
        ("no socket", tap.socketless.into()),
        ("tunnels", tap.encapsulation.into()),
        ("arp/l2", tap.link.into()),
        ("other hosts", tap.other_hosts.into()),
        ("overflow", tap.overflow.into()),
        ("at its bridge", tap.stacked.into()),
        ("fragment headers", tap.fragment_headers.into()),
        ("extra copies", -i128::from(tap.extra_copies)),
        ("dropped", -i128::from(tap.dropped)),
        ("on its way", tap.in_flight.into()),
        ("framing", tap.framing.into()),
    ]
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

/// `4,812,331,020`
pub(super) fn grouped(value: u64) -> String {
    signed(value.into())
}

fn signed(value: i128) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::from(if value < 0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_and_grouped() {
        let all = [0, 999, 1000, 4_812_331_020].map(grouped);
        assert_eq!(all, ["0", "999", "1,000", "4,812,331,020"]);
        assert_eq!(signed(-1_234_567), "-1,234,567");
        assert_eq!(hundredths(31), "0.31 %");
        assert_eq!(milliseconds(Duration::from_micros(131_449)), "131.4 ms");
    }

    #[test]
    fn the_terms_of_an_interface_add_up_to_its_device() {
        let tap = TapSide {
            forwarded: 1,
            socketless: 2,
            encapsulation: 4,
            link: 8,
            other_hosts: 16,
            overflow: 32,
            fragment_headers: 64,
            extra_copies: 128,
            dropped: 256,
            stacked: 512,
            in_flight: -1024,
            framing: 2048,
        };
        let side = InterfaceSide {
            device: Some(1_000_000),
            attributed: 4096,
            kernel: 8192,
            pending: 1 << 14,
            ambiguous: 1 << 15,
            unknown: 1 << 16,
            ..InterfaceSide::default()
        };
        assert_eq!(total(&terms(&side.closed())), 1_000_000);
        assert_eq!(total(&terms(&InterfaceSide { tap: Some(tap), ..side }.closed())), 1_000_000);
    }
}
