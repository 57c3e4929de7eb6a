//! Many numbers of a kind: a table for each bench that has them, with a line for each thing that is measured and each build.

use super::numbers::{sorted, spread};

/// Lines and columns, in the order of their first appearance.
#[derive(Default)]
pub(super) struct Grid(Vec<Part>);

/// The numbers of one bench.
struct Part {
    bench: &'static str,
    columns: Vec<String>,
    lines: Vec<Line>,
}

struct Line {
    name: String,
    build: usize,
    /// By column.
    values: Vec<Vec<f64>>,
}

impl Grid {
    pub(super) fn add(&mut self, bench: &'static str, line: &str, build: usize, column: &str, value: f64) {
        let at = position(
            &mut self.0,
            |part| part.bench == bench,
            || Part { bench, columns: Vec::new(), lines: Vec::new() },
        );
        let part = &mut self.0[at];
        let column = position(&mut part.columns, |known| known == column, || column.to_owned());
        let is_this = |known: &Line| known.name == line && known.build == build;
        let new = || Line { name: line.to_owned(), build, values: Vec::new() };
        let at = position(&mut part.lines, is_this, new);
        let values = &mut part.lines[at].values;
        if values.len() <= column {
            values.resize(column + 1, Vec::new());
        }
        values[column].push(value);
    }

    /// As Markdown: medians with least and most.
    pub(super) fn text(&self, builds: &[String]) -> String {
        let parts = self.0.iter().map(|part| part.rows(builds));
        parts.map(|rows| format!("\n{}\n", rows.join("\n"))).collect::<Vec<_>>().concat()
    }
}

impl Part {
    fn rows(&self, builds: &[String]) -> Vec<String> {
        // With one build there is no need to say which.
        let told = |name: &str| (builds.len() > 1).then(|| name.to_owned());
        let row = |first: &str, build: &str, cells: Vec<String>| {
            let all: Vec<_> = std::iter::once(first.to_owned()).chain(told(build)).chain(cells).collect();
            format!("| {} |", all.join(" | "))
        };
        let ruler = ["|---|", if builds.len() > 1 { "---|" } else { "" }].concat();
        let ruler = ruler + &"---:|".repeat(self.columns.len());
        let mut rows = vec![row(self.bench, "monitor", self.columns.clone()), ruler];
        // The builds of one thing stand together, whatever was measured first.
        let mut names: Vec<&str> = Vec::new();
        for line in &self.lines {
            position(&mut names, |name| *name == line.name, || &line.name);
        }
        for name in names {
            let of_build =
                |at: usize| self.lines.iter().find(move |line| line.name == name && line.build == at);
            let lines = builds.iter().enumerate().filter_map(|(at, build)| Some((build, of_build(at)?)));
            rows.extend(lines.map(|(build, line)| row(name, build, self.cells(line))));
        }
        rows
    }

    fn cells(&self, line: &Line) -> Vec<String> {
        let values = |column: usize| line.values.get(column).cloned().unwrap_or_default();
        (0..self.columns.len()).map(|column| spread(&sorted(values(column).into_iter()))).collect()
    }
}

/// Where it is, or where it is after it was put at the end.
fn position<T>(all: &mut Vec<T>, is_this: impl FnMut(&T) -> bool, new: impl FnOnce() -> T) -> usize {
    all.iter().position(is_this).unwrap_or_else(|| {
        all.push(new());
        all.len() - 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_keep_their_order() {
        let mut grid = Grid::default();
        grid.add("b", "one", 0, "x", 1.0);
        grid.add("b", "two", 0, "y", 200.0);
        grid.add("b", "one", 0, "x", 3.0);
        let text = grid.text(&["this".to_owned()]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            ["", "| b | x | y |", "|---|---:|---:|", "| one | 2.00 (1.00 to 3.00) |  |", "| two |  | 200 |"]
        );
    }

    #[test]
    fn builds_stand_below_each_other() {
        let mut grid = Grid::default();
        for (line, build) in [("one", 1), ("two", 1), ("one", 0), ("two", 0)] {
            grid.add("b", line, build, "x", 100.0 * (build + 1) as f64);
        }
        let text = grid.text(&["this".to_owned(), "before".to_owned()]);
        let lines: Vec<_> = text.lines().skip(3).collect();
        assert_eq!(
            lines,
            [
                "| one | this | 100 |",
                "| one | before | 200 |",
                "| two | this | 100 |",
                "| two | before | 200 |"
            ]
        );
    }
}
