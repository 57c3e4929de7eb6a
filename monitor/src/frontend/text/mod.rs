//! `-t`: the same numbers as lines, for logs, pipes and awk.
//!
//! Fields are separated by spaces and never contain one: `-` stands for nothing, a space in a name is `\x20`. Behind the columns
//! of the screen stand the numbers that these round for people, as they are, in columns that are named after their unit. It
//! takes no keys and does not look at the terminal.
//!
//! ```text
//! # monitor ebpf T4 all sockets, 2026-01-02T03:04:05.678Z, 751.0 s
//! ! what: why (fix: …)
//!     pid process                  uid       rx_2s   rx_10s …  rx_2s_bps …
//!    2817 nginx                    33     212Mb/s  197Mb/s …  212000000 …
//!
//! local                 remote                …
//! 10.0.0.5:443          93.184.216.34:52211   …
//!
//! Total rate …  Peak rate …  Cumulative …
//! =====================================
//! ```

#[cfg(test)]
mod tests;

use super::{Frontend, escape, escape_word, reader_is_there};
use crate::engine::{Control, Snapshots};
use crate::model::Snapshot;
use crate::query::{Align, Choice, Field, Format, Listing, Row, Sums, Units, ViewKind, columns, rounded};
use jiff::Timestamp;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;
use unicode_width::UnicodeWidthStr;

/// The rule between two pictures, as wide as iftop's.
const RULE: usize = 92;
/// The longest comm.
const COMM: u16 = 15;
/// Spaces for each step down the tree.
const INDENT: usize = 2;
/// Room for the names of the sums.
const LABEL: usize = 34;

/// The text frontend.
#[derive(Debug)]
pub(crate) struct Text<W = io::Stdout> {
    choice: Choice,
    at_end_only: bool,
    out: W,
}

impl Text {
    /// Writes what was chosen to standard output, each tick or only at the end.
    pub(crate) fn new(choice: Choice, at_end_only: bool) -> Self {
        Self::to(io::stdout(), choice, at_end_only)
    }
}

impl<W: Write> Text<W> {
    /// Writes to `out`.
    pub(crate) fn to(out: W, choice: Choice, at_end_only: bool) -> Self {
        Self { choice, at_end_only, out }
    }

    fn print(&mut self, snapshot: &Arc<Snapshot>) -> io::Result<()> {
        self.out.write_all(picture(snapshot, &self.choice).as_bytes())?;
        self.out.flush()
    }
}

impl<W: Write> Frontend for Text<W> {
    fn run(mut self: Box<Self>, mut feed: Snapshots, control: Control) -> anyhow::Result<()> {
        while let Some(snapshot) = feed.blocking_recv() {
            let wanted = snapshot.last || !(self.at_end_only || snapshot.health.loading);
            if wanted && !reader_is_there(self.print(&snapshot), &control)? {
                return Ok(());
            }
            if snapshot.last {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Everything that is printed of one snapshot.
fn picture(snapshot: &Arc<Snapshot>, choice: &Choice) -> String {
    let mut out = String::new();
    header(&mut out, snapshot, choice);
    let mut shown = None;
    for view in choice.views() {
        let listing = Listing::new(Arc::clone(snapshot), choice.scope(view));
        table(&mut out, &listing, choice);
        out.push('\n');
        // What is shown of processes is all of it; the flows that have ended are no rows among flows.
        shown.get_or_insert(*listing.sums());
    }
    sums(&mut out, snapshot, shown.as_ref().filter(|_| choice.filter.is_some()), choice.notation.units);
    line(&mut out, format_args!("{}", "=".repeat(RULE)));
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

fn header(out: &mut String, snapshot: &Snapshot, choice: &Choice) {
    let health = &snapshot.health;
    let time = Timestamp::from_nanosecond(i128::from(snapshot.wall.0)).unwrap_or_default();
    let (backend, tier, scope) = (health.backend.name(), &health.tier, health.covers(None));
    let scope = escape(&scope);
    let elapsed = snapshot.elapsed.as_secs_f64();
    line(out, format_args!("# monitor {backend} {tier} {scope}, {time:.3}, {elapsed:.1} s"));
    if let Some(filter) = &choice.filter {
        line(out, format_args!("# filter: {}", escape(&filter.to_string())));
    }
    for missing in &health.degraded {
        let (what, why, fix) = (escape(&missing.what), escape(&missing.why), escape(&missing.fix));
        line(out, format_args!("! {what}: {why} (fix: {fix})"));
    }
}

fn table(out: &mut String, listing: &Listing, choice: &Choice) {
    let view = listing.scope().view;
    let format = Format::new(choice.notation, listing.snapshot());
    let columns = columns(view);
    let titles = columns.iter().map(|column| column.name.to_owned());
    let exact_titles = rounded(view).map(|(column, unit)| format!("{}_{unit}", column.name));
    record(out, view, &titles.chain(exact_titles).collect::<Vec<_>>(), 0);
    let print = |out: &mut String, row: Row<'_>| {
        let shown = columns.iter().map(|column| field(&column.field(row, &format)));
        let exact = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let exact = rounded(view).map(|(column, _)| exact(column.id.value(row, format.snapshot).exact()));
        record(out, view, &shown.chain(exact).collect::<Vec<_>>(), INDENT * usize::from(row.depth()));
    };
    for row in listing.select(&choice.query(view)).rows {
        print(out, row);
    }
}

/// One field: never empty, never with a space in it.
fn field(raw: &str) -> String {
    if raw.is_empty() { "-".into() } else { escape_word(raw).into_owned() }
}

/// One line: the columns of the view, then the numbers that these round, as they are.
fn record(out: &mut String, view: ViewKind, fields: &[String], indent: usize) {
    let start = out.len();
    let columns = columns(view).iter().map(|column| {
        // Spaces before a field do not make two of it.
        let indent = if column.id == Field::Process { indent } else { 0 };
        // A field that is wider than its column keeps all of its text: machines read this.
        (usize::from(column.width.max(column.most.min(COMM))), column.align, indent)
    });
    let exact = rounded(view).map(|(column, unit)| (column.name.len() + 1 + unit.len(), Align::Right, 0));
    for ((width, align, indent), field) in columns.chain(exact).zip(fields) {
        let pad = " ".repeat(width.saturating_sub(field.width() + indent));
        let (left, right) = if align == Align::Right { (pad.as_str(), "") } else { ("", pad.as_str()) };
        let gap = if out.len() == start { "" } else { " " };
        // Writing to a String cannot fail.
        let _ = write!(out, "{gap}{:indent$}{left}{field}{right}", "");
    }
    out.truncate(out.trim_end_matches(' ').len());
    out.push('\n');
}

/// Of everything, or of what the filter shows: the peak of that was never measured.
fn sums(out: &mut String, snapshot: &Snapshot, shown: Option<&Sums>, units: Units) {
    let totals = &snapshot.totals;
    let (windows, total) =
        shown.map_or((&totals.windows, &totals.total), |sums| (&sums.windows, &sums.total));
    let what = if shown.is_some() { "Shown" } else { "Total" };
    let (rx, tx) = (windows.rx, windows.tx);
    let both = [0, 1, 2].map(|index| rx[index].saturating_add(tx[index]));
    for (name, rates) in [("send rate:", tx), ("receive rate:", rx), ("send and receive rate:", both)] {
        sum(out, &format!("{what} {name}"), rates.map(|value| units.rate(value)));
    }
    if shown.is_none() {
        let peak = totals.peak;
        let peaks = [peak.tx, peak.rx, peak.total].map(|value| units.rate(value));
        sum(out, "Peak rate (sent/received/total):", peaks);
    }
    let (sent, received) = (total.tx_bytes, total.rx_bytes);
    let all = sent.saturating_add(received);
    sum(out, "Cumulative (sent/received/total):", [sent, received, all].map(|value| units.bytes(value)));
}

fn sum(out: &mut String, name: &str, [first, second, third]: [String; 3]) {
    line(out, format_args!("{name:<LABEL$} {first:>8} {second:>8} {third:>8}"));
}
