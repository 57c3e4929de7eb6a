//! Samples of all rounds, as tables in Markdown: a row for each number, and for what has many of a kind a table of its own
//! (`grid`).

use super::grid::Grid;
use super::numbers::{median, number, sorted, spread};
use anyhow::{Context, Result};
use serde_json::Value;
use std::fmt;

/// What a bench says in one line.
pub(super) enum Line {
    /// One number of one round.
    Sample(Sample),
    /// One number of one round, in a table of its own.
    Cell { line: String, column: String, value: f64 },
}

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

impl Line {
    /// From a line that `bench` printed.
    pub(super) fn read(line: &str) -> Result<Self> {
        let object: Value = serde_json::from_str(line)?;
        let text =
            |name: &str| object[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
        let value = object["value"].as_f64().context("no value")?;
        if object.get("line").is_some() {
            return Ok(Self::Cell { line: text("line")?, column: text("column")?, value });
        }
        let at_most = object["at_most"].as_f64().map(Goal::AtMost);
        Ok(Self::Sample(Sample {
            what: text("what")?,
            unit: text("unit")?,
            value,
            baseline: object["baseline"].as_f64(),
            goal: at_most.or(object["at_least"].as_f64().map(Goal::AtLeast)),
        }))
    }
}

/// Samples by what they measure, in the order of their first appearance.
pub(super) struct Table {
    /// The names of the builds of `monitor`, the one that is judged first.
    builds: Vec<String>,
    rows: Vec<Row>,
    grid: Grid,
}

struct Row {
    bench: &'static str,
    what: String,
    unit: String,
    /// By build.
    samples: Vec<Vec<Sample>>,
}

impl Table {
    pub(super) fn new(builds: Vec<String>) -> Self {
        Self { builds, rows: Vec::new(), grid: Grid::default() }
    }

    /// Adds what a bench said of a build.
    pub(super) fn add(&mut self, bench: &'static str, build: usize, line: Line) {
        match line {
            Line::Cell { line, column, value } => self.grid.add(bench, &line, build, &column, value),
            Line::Sample(sample) => {
                let at = self.row(bench, &sample);
                self.rows[at].samples[build].push(sample);
            }
        }
    }

    fn row(&mut self, bench: &'static str, sample: &Sample) -> usize {
        let same = |row: &Row| row.bench == bench && row.what == sample.what;
        if let Some(at) = self.rows.iter().position(same) {
            return at;
        }
        // After the last row of its bench: a later round may have something new to say.
        let last = self.rows.iter().rposition(|row| row.bench == bench);
        let at = last.map_or(self.rows.len(), |at| at + 1);
        let samples = self.builds.iter().map(|_| Vec::new()).collect();
        let (what, unit) = (sample.what.clone(), sample.unit.clone());
        self.rows.insert(at, Row { bench, what, unit, samples });
        at
    }

    /// How many rows have a goal that their median does not meet.
    pub(super) fn missed(&self) -> usize {
        self.rows.iter().filter(|row| row.is_met() == Some(false)).count()
    }

    /// What has a goal, and nothing else.
    pub(super) fn goals(&self) -> String {
        self.listing(|row| row.goal().is_some())
    }

    fn listing(&self, wanted: impl Fn(&Row) -> bool) -> String {
        let others = &self.builds[1..];
        let before = ["bench", "measured", "unit", "compared with"].map(str::to_owned);
        let after = ["median", "min", "max", "rounds", "goal"].map(str::to_owned);
        let head = format!("| {} |", [&before, others, &after].concat().join(" | "));
        let ruler = format!("|---|---|---|---:|{}---:|---:|---:|---:|---|", "---:|".repeat(others.len()));
        let rows = self.rows.iter().filter(|row| wanted(row)).map(Row::line);
        [head, ruler].into_iter().chain(rows).map(|line| line + "\n").collect()
    }
}

impl Row {
    fn values(&self, build: usize) -> Vec<f64> {
        sorted(self.samples[build].iter().map(|sample| sample.value))
    }

    fn baseline(&self) -> Option<f64> {
        let values = sorted(self.samples[0].iter().filter_map(|sample| sample.baseline));
        (!values.is_empty()).then(|| median(&values))
    }

    fn goal(&self) -> Option<Goal> {
        self.samples.iter().flatten().find_map(|sample| sample.goal)
    }

    fn is_met(&self) -> Option<bool> {
        let values = self.values(0);
        self.goal().filter(|_| !values.is_empty()).map(|goal| goal.is_met(median(&values)))
    }

    fn verdict(&self) -> String {
        let Some(goal) = self.goal() else { return String::new() };
        let text = match goal {
            Goal::AtMost(goal) => format!("≤ {goal}"),
            Goal::AtLeast(goal) => format!("≥ {goal}"),
        };
        format!("{text}: {}", if self.is_met() == Some(true) { "met" } else { "**missed**" })
    }

    fn line(&self) -> String {
        let values = self.values(0);
        let baseline = self.baseline().map(number).unwrap_or_default();
        let before = [self.bench.to_owned(), self.what.clone(), self.unit.clone(), baseline];
        let others: Vec<_> = (1..self.samples.len()).map(|build| spread(&self.values(build))).collect();
        // Another build may have had something to say that this one had not.
        let [middle, low, high] = match &values[..] {
            [] => Default::default(),
            [low, ..] => [median(&values), *low, values[values.len() - 1]].map(number),
        };
        let after = [middle, low, high, values.len().to_string(), self.verdict()];
        format!("| {} |", [&before[..], &others, &after].concat().join(" | "))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.goals(), self.listing(|row| row.goal().is_none()))?;
        f.write_str(&self.grid.text(&self.builds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(what: &str, value: f64, more: &str) -> Line {
        Line::read(&format!(r#"{{"what": "{what}", "unit": "ms", "value": {value}{more}}}"#)).unwrap()
    }

    fn alone() -> Table {
        Table::new(vec!["this".to_owned()])
    }

    #[test]
    fn rows_keep_their_order_and_show_the_median() {
        let mut table = alone();
        for value in [3.0, 1.0, 2.0] {
            table.add("b", 0, sample("time", value, r#", "baseline": 1.5, "at_most": 2"#));
            table.add("a", 0, sample("memory", value * 20.0, r#", "at_least": 50"#));
        }
        table.add("b", 0, sample("more", 0.25, ""));
        table.add("a", 0, sample("memory", 1280.0, ""));
        let head = "| bench | measured | unit | compared with | median | min | max | rounds | goal |";
        let ruler = "|---|---|---|---:|---:|---:|---:|---:|---|";
        assert_eq!(
            table.to_string().lines().collect::<Vec<_>>(),
            [
                head,
                ruler,
                "| b | time | ms | 1.50 | 2.00 | 1.00 | 3.00 | 3 | ≤ 2: met |",
                "| a | memory | ms |  | 50.0 | 20.0 | 1280 | 4 | ≥ 50: met |",
                "",
                head,
                ruler,
                "| b | more | ms |  | 0.250 | 0.250 | 0.250 | 1 |  |",
            ]
        );
        assert_eq!(table.missed(), 0);
    }

    #[test]
    fn another_build_has_a_column_and_no_verdict() {
        let mut table = Table::new(vec!["this".to_owned(), "before".to_owned()]);
        table.add("a", 1, sample("time", 9.0, r#", "at_most": 2"#));
        table.add("a", 1, sample("time", 8.0, r#", "at_most": 2"#));
        table.add("a", 0, sample("time", 1.0, r#", "at_most": 2"#));
        table.add("a", 1, sample("gone", 1.0, ""));
        let text = table.to_string();
        let rows: Vec<_> = text.lines().filter(|line| !line.contains("---")).collect();
        let head =
            "| bench | measured | unit | compared with | before | median | min | max | rounds | goal |";
        assert_eq!(
            rows,
            [
                head,
                "| a | time | ms |  | 8.50 (8.00 to 9.00) | 1.00 | 1.00 | 1.00 | 1 | ≤ 2: met |",
                "",
                head,
                "| a | gone | ms |  | 1.00 |  |  |  | 0 |  |",
            ]
        );
        assert_eq!(table.missed(), 0);
    }

    #[test]
    fn a_missed_goal_is_counted() {
        let mut table = alone();
        table.add("a", 0, sample("time", 3.0, r#", "at_most": 2"#));
        assert_eq!(table.missed(), 1);
        assert!(table.to_string().contains("**missed**"));
    }

    #[test]
    fn a_line_that_is_no_sample_is_refused() {
        assert!(Line::read("{}").is_err());
        assert!(Line::read("hello").is_err());
    }
}
