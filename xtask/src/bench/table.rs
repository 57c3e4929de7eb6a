//! Samples of all rounds, as a table in Markdown.

use anyhow::{Context, Result};
use serde_json::Value;
use std::fmt;

/// One number of one round.
pub(super) struct Sample {
    /// What was measured.
    what: String,
    /// In what.
    unit: String,
    value: f64,
    /// The same without `monitor`, or what it is compared with.
    baseline: Option<f64>,
    goal: Option<Goal>,
}

#[derive(Clone, Copy)]
enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(goal) => value <= goal,
            Self::AtLeast(goal) => value >= goal,
        }
    }
}

impl Sample {
    /// From a line that `bench` printed.
    pub(super) fn read(line: &str) -> Result<Self> {
        let object: Value = serde_json::from_str(line)?;
        let text =
            |name: &str| object[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
        let at_most = object["at_most"].as_f64().map(Goal::AtMost);
        Ok(Self {
            what: text("what")?,
            unit: text("unit")?,
            value: object["value"].as_f64().context("no value")?,
            baseline: object["baseline"].as_f64(),
            goal: at_most.or(object["at_least"].as_f64().map(Goal::AtLeast)),
        })
    }
}

/// Samples by what they measure, in the order of their first appearance.
#[derive(Default)]
pub(super) struct Table {
    rows: Vec<Row>,
}

struct Row {
    bench: &'static str,
    samples: Vec<Sample>,
}

impl Table {
    /// Adds a sample to its row.
    pub(super) fn add(&mut self, bench: &'static str, sample: Sample) {
        let same = |row: &&mut Row| row.bench == bench && row.samples[0].what == sample.what;
        if let Some(row) = self.rows.iter_mut().find(same) {
            row.samples.push(sample);
        } else {
            // After the last row of its bench: a later round may have something new to say.
            let place = self.rows.iter().rposition(|row| row.bench == bench);
            self.rows
                .insert(place.map_or(self.rows.len(), |at| at + 1), Row { bench, samples: vec![sample] });
        }
    }

    /// How many rows have a goal that their median does not meet.
    pub(super) fn missed(&self) -> usize {
        self.rows.iter().filter(|row| row.is_met() == Some(false)).count()
    }
}

impl Row {
    fn values(&self) -> Vec<f64> {
        let mut values: Vec<_> = self.samples.iter().map(|sample| sample.value).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    fn baseline(&self) -> Option<f64> {
        let mut values: Vec<_> = self.samples.iter().filter_map(|sample| sample.baseline).collect();
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then(|| median(&values))
    }

    fn is_met(&self) -> Option<bool> {
        self.samples[0].goal.map(|goal| goal.is_met(median(&self.values())))
    }

    fn verdict(&self) -> String {
        let Some(goal) = self.samples[0].goal else { return String::new() };
        let text = match goal {
            Goal::AtMost(goal) => format!("≤ {goal}"),
            Goal::AtLeast(goal) => format!("≥ {goal}"),
        };
        format!("{text}: {}", if self.is_met() == Some(true) { "met" } else { "**missed**" })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| bench | measured | unit | compared with | median | min | max | rounds | goal |")?;
        writeln!(f, "|---|---|---|---:|---:|---:|---:|---:|---|")?;
        for row in &self.rows {
            let values = row.values();
            let [low, high] = [values.first(), values.last()].map(|value| value.copied().unwrap_or(f64::NAN));
            writeln!(
                f,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                row.bench,
                row.samples[0].what,
                row.samples[0].unit,
                row.baseline().map(number).unwrap_or_default(),
                number(median(&values)),
                number(low),
                number(high),
                values.len(),
                row.verdict(),
            )?;
        }
        Ok(())
    }
}

/// Three digits that matter, and no more than three after the point.
fn number(value: f64) -> String {
    let places = match value.abs() {
        size if size == 0.0 || size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.places$}")
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

    fn sample(what: &str, value: f64, more: &str) -> Sample {
        Sample::read(&format!(r#"{{"what": "{what}", "unit": "ms", "value": {value}{more}}}"#)).unwrap()
    }

    #[test]
    fn rows_keep_their_order_and_show_the_median() {
        let mut table = Table::default();
        for value in [3.0, 1.0, 2.0] {
            table.add("b", sample("time", value, r#", "baseline": 1.5, "at_most": 2"#));
            table.add("a", sample("memory", value * 20.0, r#", "at_least": 50"#));
        }
        table.add("b", sample("more", 0.25, ""));
        table.add("a", sample("memory", 1280.0, ""));
        let text = table.to_string();
        let rows: Vec<_> = text.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| b | time | ms | 1.50 | 2.00 | 1.00 | 3.00 | 3 | ≤ 2: met |",
                "| b | more | ms |  | 0.250 | 0.250 | 0.250 | 1 |  |",
                "| a | memory | ms |  | 50.0 | 20.0 | 1280 | 4 | ≥ 50: met |",
            ]
        );
        assert_eq!(table.missed(), 0);
    }

    #[test]
    fn a_missed_goal_is_counted() {
        let mut table = Table::default();
        table.add("a", sample("time", 3.0, r#", "at_most": 2"#));
        assert_eq!(table.missed(), 1);
        assert!(table.to_string().contains("**missed**"));
    }

    #[test]
    fn a_line_that_is_no_sample_is_refused() {
        assert!(Sample::read("{}").is_err());
        assert!(Sample::read("hello").is_err());
    }
}
