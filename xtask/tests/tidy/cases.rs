//! The pages that promise a test for each case: every test that they name exists, and every test of attribution is named.

use crate::files::File;
use std::collections::BTreeSet;

/// Which pages, and what their tests' column is called.
const PAGES: [&str; 2] = ["docs/attribution.md", "docs/keys.md"];
const COLUMN: &str = "test";
/// Files whose tests are cases: each must be on a page.
const CASES: [&str; 2] = ["tests/tests/attribution_", "tests/tests/bad_places"];

/// What does not fit between pages and tests.
pub(crate) fn check(files: &[File]) -> Vec<String> {
    let pages: Vec<&File> = files.iter().filter(|file| PAGES.contains(&file.path.as_str())).collect();
    let mut complaints: Vec<String> = PAGES
        .iter()
        .filter(|page| !pages.iter().any(|file| file.path == **page))
        .map(|page| format!("{page}: there is no such page"))
        .collect();
    let tests: BTreeSet<&str> =
        files.iter().filter(|file| file.is_rust()).flat_map(|file| tests_in(&file.text)).collect();
    let mut named = BTreeSet::new();
    for page in pages {
        for (line, test) in named_in(&page.text) {
            named.insert(test);
            if !tests.contains(test) {
                complaints.push(format!("{}: line {line}: there is no test {test}", page.path));
            }
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
    const SOURCE: &str = "#[test]\n#[ignore = \"x\"]\nfn there() {}\nfn gone() {}\n";

    fn complaints(page: &str, path: &str) -> Vec<String> {
        check(&[
            File::new("docs/attribution.md", page),
            File::new("docs/keys.md", ""),
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
        assert_eq!(check(&[]), PAGES.map(|page| format!("{page}: there is no such page")));
    }
}
