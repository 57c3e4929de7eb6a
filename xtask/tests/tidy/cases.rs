//! The page and the tables that promise a test for each case: every test that they name exists, and every test of attribution
//! is named.

use crate::files::File;
use std::collections::BTreeSet;

/// The page, and what its tests' column is called.
const PAGE: &str = "docs/attribution.md";
const COLUMN: &str = "test";
/// The tables of what became of the ancestors' keys and options: lists of tests in rows.
const TABLES: &str = "monitor/src/frontend/tui/tests/keys_page/";
/// Files whose tests are cases: each must be on a page.
const CASES: [&str; 2] = ["tests/tests/attribution_", "tests/tests/bad_places"];

/// What does not fit between pages and tests.
pub(crate) fn check(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    let tests: BTreeSet<&str> =
        files.iter().filter(|file| file.is_rust()).flat_map(|file| tests_in(&file.text)).collect();
    let page = files.iter().find(|file| file.path == PAGE);
    let tables: Vec<&File> = files.iter().filter(|file| file.path.starts_with(TABLES)).collect();
    if page.is_none() {
        complaints.push(format!("{PAGE}: there is no such page"));
    }
    if tables.is_empty() {
        complaints.push(format!("{TABLES}: there are no tables"));
    }
    let cells =
        page.into_iter().flat_map(|file| named_in(&file.text).into_iter().map(move |named| (file, named)));
    let rows =
        tables.iter().flat_map(|file| listed_in(&file.text).into_iter().map(move |named| (*file, named)));
    let mut named = BTreeSet::new();
    for (file, (line, test)) in cells.chain(rows) {
        named.insert(test);
        if !tests.contains(test) {
            complaints.push(format!("{}: line {line}: there is no test {test}", file.path));
        }
    }
    for file in files.iter().filter(|file| CASES.iter().any(|case| file.path.starts_with(case))) {
        let missing = tests_in(&file.text).into_iter().filter(|test| !named.contains(test));
        complaints.extend(missing.map(|test| format!("{}: {test} is on no page", file.path)));
    }
    complaints
}

/// Functions with `#[test]` above them, other attributes and comments aside.
pub(crate) fn tests_in(text: &str) -> Vec<&str> {
    let mut tests = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line == "#[test]" {
            is_test = true;
        } else if let Some(rest) = line.strip_prefix("fn ") {
            if std::mem::take(&mut is_test)
                && let Some((name, _)) = rest.split_once('(')
            {
                tests.push(name);
            }
        } else if !line.starts_with("#[") && !line.starts_with("//") {
            is_test = false;
        }
    }
    tests
}

/// Names in backquotes in the tests' column of every table, with their line. A path in front of a name is left out.
fn named_in(text: &str) -> Vec<(usize, &str)> {
    let mut named = Vec::new();
    for (line, cell) in cells(text) {
        let quoted = cell.split('`').skip(1).step_by(2);
        named.extend(quoted.map(|name| (line, name.rsplit("::").next().unwrap_or(name))));
    }
    named
}

/// Names in lists such as `&["a_test", "another"]`, with the line that they begin on.
fn listed_in(text: &str) -> Vec<(usize, &str)> {
    let mut named = Vec::new();
    for (at, opened) in text.match_indices("&[") {
        let list = text[at + opened.len()..].split(']').next().unwrap_or_default();
        // Of anything else than names it is no list of tests.
        if !list.trim_start().starts_with('"') {
            continue;
        }
        let line = text[..at].matches('\n').count() + 1;
        named.extend(list.split('"').skip(1).step_by(2).map(|name| (line, name)));
    }
    named
}

/// The cells of the tests' column of every table, with their line.
pub(crate) fn cells(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut column = None;
    for (at, line) in text.lines().enumerate() {
        let Some(row) = line.strip_prefix('|') else {
            column = None;
            continue;
        };
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        match column {
            None => column = cells.iter().position(|cell| *cell == COLUMN),
            Some(column) => found.extend(cells.get(column).map(|cell| (at + 1, *cell))),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "text\n| case | test |\n|---|---|\n| `a` | `there`, `some::gone` |\n\n`elsewhere`\n";
    const TABLE: &str = "const A: &[Row] = &[row(\"k\", \"up\", Not(\"no\"), &[])];";
    const SOURCE: &str = "#[test]\n#[ignore = \"x\"]\nfn there() {}\nfn gone() {}\n";

    fn complaints(page: &str, path: &str) -> Vec<String> {
        check(&[
            File::new("docs/attribution.md", page),
            File::new(&format!("{TABLES}iftop.rs"), TABLE),
            File::new(path, SOURCE),
        ])
    }

    #[test]
    fn a_test_that_is_gone_is_found() {
        let found = complaints(PAGE, "tests/tests/owners.rs");
        assert_eq!(found, ["docs/attribution.md: line 4: there is no test gone"]);
    }

    #[test]
    fn a_case_without_a_row_is_found() {
        let page = PAGE.replace("there", "x").replace("some::gone", "x");
        let found = complaints(&page, "tests/tests/attribution_x.rs");
        assert!(found.iter().any(|why| why.ends_with("there is on no page")), "{found:?}");
    }

    #[test]
    fn a_page_that_is_gone_is_found() {
        assert_eq!(check(&[]).len(), 2);
    }

    #[test]
    fn a_row_of_the_ancestors_without_its_test_is_found() {
        let path = format!("{TABLES}iftop.rs");
        let table = "row(\"j\",\n \"down\",\n &[\n \"there\",\n \"missing\",\n ],\n)";
        let found = check(&[
            File::new(super::PAGE, ""),
            File::new(&path, table),
            File::new("tests/tests/owners.rs", SOURCE),
        ]);
        assert_eq!(found, [format!("{path}: line 3: there is no test missing")]);
    }
}
