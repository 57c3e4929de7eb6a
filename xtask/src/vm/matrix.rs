//! The committed table, docs/kernels.md: what each kernel takes and what holds on it.
//!
//! Everything below the marker is generated; what stands above is written by people and stays.

use super::applies::{self, version};
use super::guest::Said;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// From here on the file is generated.
const MARKER: &str = "<!-- Everything below is written by `cargo xtask vm --write`. -->";

/// The tables, in their order: heading, and what its rows are.
const SECTIONS: [(&str, &str); 3] = [("Tiers", ""), ("Programs", "program"), ("Tests", "test")];

/// A row: number of its table, and name.
type Row = (usize, String);

/// Rows in order, each with a cell per kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Matrix {
    rows: Vec<(Row, BTreeMap<String, String>)>,
}

impl Matrix {
    fn set(&mut self, row: Row, kernel: &str, cell: &str) {
        let at = self.rows.iter().position(|(known, _)| *known == row).unwrap_or_else(|| {
            self.rows.push((row, BTreeMap::new()));
            self.rows.len() - 1
        });
        self.rows[at].1.insert(kernel.to_owned(), cell.to_owned());
    }

    fn cell(&self, row: &Row, kernel: &str) -> &str {
        let cells = self.rows.iter().find(|(known, _)| known == row);
        cells.and_then(|(_, cells)| cells.get(kernel)).map_or("", String::as_str)
    }

    /// Adds what a guest said, and the tests that were not run in it.
    pub(super) fn add(&mut self, kernel: &str, said: &Said, tests: &[(String, String)]) {
        self.set((0, "tier".to_owned()), kernel, &said.tier);
        for (name, loaded) in &said.programs {
            self.set((1, name.clone()), kernel, if *loaded { "loaded" } else { "refused" });
        }
        for (file, test) in tests {
            let name = format!("{file}::{test}");
            let cell = match said.tests.iter().find(|(ran, _)| *ran == name) {
                Some((_, true)) => "passed",
                Some((_, false)) => "FAILED",
                None if applies::why_not(&name, kernel).is_some() => "n/a",
                None => "NOT RUN",
            };
            self.set((2, name), kernel, cell);
        }
    }

    /// How the columns of `kernels` differ from the file's.
    pub(super) fn differences(&self, file: &Self, kernels: &[&str]) -> Vec<String> {
        let rows: BTreeSet<&Row> = self.rows.iter().chain(&file.rows).map(|(row, _)| row).collect();
        let said = |cell: &str| if cell.is_empty() { "nothing".to_owned() } else { cell.to_owned() };
        let mut found = Vec::new();
        for row in rows {
            for kernel in kernels {
                let (now, before) = (self.cell(row, kernel), file.cell(row, kernel));
                if now != before {
                    found.push(format!(
                        "Linux {kernel}, {}: {}, the file says {}",
                        row.1,
                        said(now),
                        said(before)
                    ));
                }
            }
        }
        found
    }

    /// The file's matrix with the columns of `kernels` replaced by this one's.
    pub(super) fn merged_into(&self, file: &Self, kernels: &[&str]) -> Self {
        let mut merged = self.clone();
        for (row, cells) in &file.rows {
            for (kernel, cell) in cells.iter().filter(|(kernel, _)| !kernels.contains(&kernel.as_str())) {
                merged.set(row.clone(), kernel, cell);
            }
        }
        merged
    }

    fn kernels(&self) -> Vec<String> {
        let names: BTreeSet<&String> = self.rows.iter().flat_map(|(_, cells)| cells.keys()).collect();
        let mut names: Vec<String> = names.into_iter().cloned().collect();
        names.sort_by_key(|name| version(name));
        names
    }

    /// The generated part of the file.
    fn render(&self) -> String {
        let kernels = self.kernels();
        let mut text = format!("{MARKER}\n");
        for (number, (heading, what)) in SECTIONS.iter().enumerate() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n## {heading}\n| {what} | {} |\n|---|", kernels.join(" | "));
            text.push_str(&"---|".repeat(kernels.len()));
            text.push('\n');
            for ((_, name), cells) in self.rows.iter().filter(|((section, _), _)| *section == number) {
                let cells: Vec<&str> =
                    kernels.iter().map(|kernel| cells.get(kernel).map_or("", String::as_str)).collect();
                let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
            }
        }
        text.push_str(&self.reasons());
        text
    }

    fn reasons(&self) -> String {
        let mut reasons: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for ((_, name), cells) in &self.rows {
            for (kernel, _) in cells.iter().filter(|(_, cell)| *cell == "n/a") {
                let why = applies::why_not(name, kernel).unwrap_or("no reason is recorded");
                reasons.entry(why).or_default().insert(name);
            }
        }
        let mut text = String::new();
        for (why, names) in reasons {
            let names: Vec<_> = names.into_iter().collect();
            let _ = write!(text, "\nNot applicable, because {why}: {}.\n", names.join(", "));
        }
        text
    }
}

/// Reads the generated part of the file.
pub(super) fn parse(file: &str) -> Matrix {
    let mut matrix = Matrix::default();
    let generated = file.split_once(MARKER).map_or("", |(_, generated)| generated);
    let (mut section, mut kernels) = (None, Vec::new());
    for line in generated.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = SECTIONS.iter().position(|(known, _)| *known == heading);
            kernels.clear();
        }
        let Some(cells) = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")) else { continue };
        let mut cells = cells.split(" | ").map(str::trim);
        let (Some(section), Some(name)) = (section, cells.next()) else { continue };
        if kernels.is_empty() {
            // An empty first heading leaves its bar in the split.
            kernels = cells.map(|cell| cell.trim_start_matches("| ").to_owned()).collect();
            continue;
        }
        for (kernel, cell) in kernels.iter().zip(cells).filter(|(_, cell)| !cell.is_empty()) {
            matrix.set((section, name.to_owned()), kernel, cell);
        }
    }
    matrix
}

/// The file with its generated part replaced.
pub(super) fn replaced(file: &str, matrix: &Matrix) -> String {
    let by_hand = file.split_once(MARKER).map_or(file, |(by_hand, _)| by_hand);
    format!("{by_hand}{}", matrix.render())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(tier: &str, passed: bool) -> Said {
        Said {
            release: String::new(),
            tier: tier.to_owned(),
            programs: vec![("task_file".to_owned(), tier != "T1")],
            tests: vec![("owners::a".to_owned(), passed)],
        }
    }

    fn matrix() -> Matrix {
        let mut matrix = Matrix::default();
        let tests = [("owners".to_owned(), "a".to_owned())];
        matrix.add("5.10", &said("T1", false), &tests);
        matrix.add("6.12", &said("T3", true), &tests);
        matrix
    }

    #[test]
    fn what_is_written_is_read_back() {
        let file = replaced("# By hand\n\n", &matrix());
        assert!(file.starts_with("# By hand\n\n<!--"), "{file}");
        assert_eq!(parse(&file), matrix());
        assert_eq!(replaced(&file, &parse(&file)), file);
    }

    #[test]
    fn better_and_worse_are_differences_and_other_columns_are_not() {
        let mut now = Matrix::default();
        now.add("5.10", &said("T1", true), &[("owners".to_owned(), "a".to_owned())]);
        let differences = now.differences(&matrix(), &["5.10"]);
        assert_eq!(differences, ["Linux 5.10, owners::a: passed, the file says FAILED"]);
        let merged = now.merged_into(&matrix(), &["5.10"]);
        assert!(now.differences(&merged, &["5.10"]).is_empty());
        assert_eq!(merged.cell(&(0, "tier".to_owned()), "6.12"), "T3");
    }

    #[test]
    fn a_lost_test_is_a_difference() {
        let mut now = Matrix::default();
        now.add("5.10", &said("T1", false), &[]);
        assert_eq!(
            now.differences(&matrix(), &["5.10"]),
            ["Linux 5.10, owners::a: nothing, the file says FAILED"]
        );
    }
}
