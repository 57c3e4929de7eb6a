//! What a bench says: numbers with their unit, what they are compared with, and their goal.

use serde_json::{Value, json};
use std::fmt;

/// The samples of one run.
#[derive(Default)]
pub(crate) struct Samples(Vec<Value>);

/// One number, to be refined.
pub(crate) struct Sample<'s>(&'s mut Value);

impl Samples {
    /// Adds a number.
    pub(crate) fn add(&mut self, what: impl Into<String>, unit: &str, value: f64) -> Sample<'_> {
        let what: String = what.into();
        self.0.push(json!({ "what": what, "unit": unit, "value": value }));
        Sample(self.0.last_mut().expect("one was pushed"))
    }

    /// Adds a number to a table of its own, where there is one.
    pub(crate) fn cell(&mut self, line: &str, column: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.0.push(json!({ "line": line, "column": column, "value": value }));
        }
    }
}

impl Sample<'_> {
    /// The same without `monitor`, or of whatever it is measured against.
    pub(crate) fn baseline(self, value: f64) -> Self {
        self.0["baseline"] = value.into();
        self
    }

    /// The goal is this or less.
    pub(crate) fn at_most(self, goal: f64) {
        self.0["at_most"] = goal.into();
    }

    /// The goal is this or more.
    pub(crate) fn at_least(self, goal: f64) {
        self.0["at_least"] = goal.into();
    }
}

impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|sample| writeln!(f, "{sample}"))
    }
}

/// The mean of some numbers.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
