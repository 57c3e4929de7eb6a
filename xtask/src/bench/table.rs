//! Samples of all rounds, as a table in Markdown.

use super::Sample;
use std::fmt;

/// Samples by what they measure, in the order of their first appearance.
#[derive(Default)]
pub(super) struct Table {
    rows: Vec<Row>,
}

struct Row {
    bench: &'static str,
    what: &'static str,
    unit: &'static str,
    values: Vec<f64>,
}

impl Table {
    /// Adds a sample to its row.
    pub(super) fn add(&mut self, bench: &'static str, sample: &Sample) {
        let row = self.rows.iter_mut().find(|row| row.bench == bench && row.what == sample.what);
        if let Some(row) = row {
            row.values.push(sample.value);
        } else {
            self.rows.push(Row { bench, what: sample.what, unit: sample.unit, values: vec![sample.value] });
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| bench | measured | median | min | max | rounds |")?;
        writeln!(f, "|---|---|---:|---:|---:|---:|")?;
        for row in &self.rows {
            let mut values = row.values.clone();
            values.sort_by(f64::total_cmp);
            let [low, high] = [values.first(), values.last()].map(|value| value.copied().unwrap_or(f64::NAN));
            let (median, unit, rounds) = (median(&values), row.unit, values.len());
            writeln!(
                f,
                "| {} | {} | {median:.2} {unit} | {low:.2} | {high:.2} | {rounds} |",
                row.bench, row.what
            )?;
        }
        Ok(())
    }
}

/// Of sorted values; the mean of the middle two where their number is even.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_order_and_show_the_median() {
        let mut table = Table::default();
        for value in [3.0, 1.0, 2.0] {
            table.add("b", &Sample { what: "time", unit: "ms", value });
            table.add("a", &Sample { what: "memory", unit: "MB", value: value * 2.0 });
        }
        table.add("a", &Sample { what: "memory", unit: "MB", value: 8.0 });
        let text = table.to_string();
        let rows: Vec<_> = text.lines().skip(2).collect();
        assert_eq!(
            rows,
            ["| b | time | 2.00 ms | 1.00 | 3.00 | 3 |", "| a | memory | 5.00 MB | 2.00 | 8.00 | 4 |"]
        );
    }
}
