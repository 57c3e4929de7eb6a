//! The pages that promise: what ARCHITECTURE.md calls invariants, SECURITY.md and docs/limits.md. Every test that they name
//! exists, and where a promise names none, it says so; a limit may be the kernel's, with the file that makes it.

use crate::cases::{cells, tests_in};
use crate::files::File;
use std::collections::BTreeMap;

const INVARIANTS: (&str, &str) = ("ARCHITECTURE.md", "## Invariants");
/// Pages whose tables end with a test a row, and what may stand there instead.
const TABLES: [(&str, &[&str]); 2] =
    [("SECURITY.md", &["none: "]), ("docs/limits.md", &["none: ", "kernel: "])];
/// What an invariant without a test says of itself.
const WITHOUT: [&str; 6] =
    ["No test", "By construction", "by review", "The compiler", "Lints", "`cargo xtask "];

/// What does not fit between promises and tests.
pub(crate) fn check(files: &[File]) -> Vec<String> {
    let tests = Tests::of(files);
    let mut complaints = Vec::new();
    match text_of(files, INVARIANTS.0).and_then(|text| section(text, INVARIANTS.1)) {
        None => complaints.push(format!("{}: there is no {}", INVARIANTS.0, INVARIANTS.1)),
        Some((first, text)) => {
            complaints.extend(names(&tests, INVARIANTS.0, first, text));
            complaints.extend(invariants(&tests, first, text));
        }
    }
    for (page, instead) in TABLES {
        match text_of(files, page) {
            None => complaints.push(format!("{page}: there is no such page")),
            Some(text) => {
                complaints.extend(names(&tests, page, 1, text));
                complaints.extend(rows(&tests, page, instead, text));
            }
        }
    }
    complaints
}

fn text_of<'f>(files: &'f [File], path: &str) -> Option<&'f str> {
    files.iter().find(|file| file.path == path).map(|file| file.text.as_str())
}

/// A section up to the next of its kind, and the number of its first line.
fn section<'t>(text: &'t str, title: &str) -> Option<(usize, &'t str)> {
    let start = text.find(&format!("{title}\n"))?;
    let end = text[start + 1..].find("\n## ").map_or(text.len(), |end| start + 1 + end);
    Some((text[..start].lines().count() + 1, &text[start..end]))
}

/// Every test, and the files that have one of that name.
struct Tests<'f> {
    files: BTreeMap<&'f str, Vec<&'f str>>,
    /// Files of the integration tests, by their names.
    integration: Vec<&'f str>,
}

impl<'f> Tests<'f> {
    fn of(files: &'f [File]) -> Self {
        let mut tests = Self { files: BTreeMap::new(), integration: Vec::new() };
        for file in files.iter().filter(|file| file.is_rust()) {
            for test in tests_in(&file.text) {
                tests.files.entry(test).or_default().push(&file.path);
            }
            let name = file.path.strip_prefix("tests/tests/").and_then(|name| name.strip_suffix(".rs"));
            tests.integration.extend(name);
        }
        tests
    }

    /// Whether a path such as `module::tests::name` leads to a test: every part of it is one of its file's path.
    fn has(&self, path: &str) -> bool {
        let (modules, name) = path.rsplit_once("::").unwrap_or(("", path));
        let leads = |file: &&&str| {
            let parts: Vec<&str> = file.trim_end_matches(".rs").split('/').collect();
            modules.split("::").all(|module| module == "tests" || parts.contains(&module))
        };
        self.files.get(name).is_some_and(|files| files.iter().any(|file| leads(&file)))
    }
}

/// What stands in backquotes.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The paths of tests that a quoted word stands for: `a::b`, or `a::{b,c}_d` for two; of types, which begin in upper case,
/// none.
fn paths(word: &str) -> Vec<String> {
    let is_path = word.contains("::")
        && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:{},".contains(c));
    if !is_path {
        return Vec::new();
    }
    match word.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?))) {
        Some((before, (inside, after))) => {
            inside.split(',').map(|part| format!("{before}{part}{after}")).collect()
        }
        None => vec![word.to_owned()],
    }
}

/// Named tests that are not there.
fn names(tests: &Tests<'_>, page: &str, first: usize, text: &str) -> Vec<String> {
    let lines = text.lines().enumerate();
    let named = lines.flat_map(|(at, line)| quoted(line).flat_map(paths).map(move |path| (first + at, path)));
    let missing = named.filter(|(_, path)| !tests.has(path));
    missing.map(|(line, path)| format!("{page}: line {line}: there is no test {path}")).collect()
}

/// Invariants, which are numbered, that neither name a test nor say that there is none.
fn invariants(tests: &Tests<'_>, first: usize, text: &str) -> Vec<String> {
    let is_number =
        |line: &str| line.split_once(". ").is_some_and(|(number, _)| number.parse::<u32>().is_ok());
    let starts = text.lines().enumerate().filter(|(_, line)| is_number(line)).map(|(at, _)| at);
    let starts: Vec<usize> = starts.collect();
    let lines: Vec<&str> = text.lines().collect();
    let mut complaints = Vec::new();
    for (place, start) in starts.iter().enumerate() {
        let end = starts.get(place + 1).copied().unwrap_or(lines.len());
        let body = lines[*start..end].join("\n");
        let is_whole_file = |word: &str| tests.integration.contains(&word);
        let named =
            quoted(&body).any(|word| is_whole_file(word) || paths(word).iter().any(|path| tests.has(path)));
        if !named && !WITHOUT.iter().any(|phrase| body.contains(phrase)) {
            complaints.push(format!(
                "{}: line {}: neither a test nor why there is none",
                INVARIANTS.0,
                first + start
            ));
        }
    }
    complaints
}

/// Rows of promises without a test, and without one of `instead` and what follows it.
fn rows(tests: &Tests<'_>, page: &str, instead: &[&str], text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (line, cell) in cells(text) {
        let named = quoted(cell).flat_map(paths).any(|path| tests.has(&path));
        let excused = instead.iter().any(|word| cell.strip_prefix(word).is_some_and(|why| !why.is_empty()));
        if !named && !excused && !cell.starts_with("---") {
            complaints.push(format!(
                "{page}: line {line}: neither a test nor `{}` and why",
                instead.join("` or `")
            ));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "#[test]\nfn it_holds() {}\n#[test]\nfn it_holds_too() {}\nfn helper() {}\n";

    fn complaints(invariants: &str, security: &str) -> Vec<String> {
        check(&[
            File::new(
                "ARCHITECTURE.md",
                &format!("# A\n\n## Invariants\n{invariants}\n## More\n`gone::gone`\n"),
            ),
            File::new("SECURITY.md", security),
            File::new("docs/limits.md", "| limit | test |\n|---|---|\n| a | kernel: net/ipv4/udp.c |\n"),
            File::new("tests/tests/places.rs", SOURCE),
            File::new("monitor/src/table/tests.rs", SOURCE),
        ])
    }

    #[test]
    fn promises_with_their_tests_hold() {
        let invariants = "1. This. `places::it_holds`\n2. That: `table::tests::{it_holds,it_holds_too}`,\n   as well.\n\
                          3. Whole files. `places`\n4. No word. By construction (`Loop::tick`).\n";
        let security = "It does `places::it_holds_too`.\n\n| promise | test |\n|---|---|\n| a | `places::it_holds` |\n\
                        | b | none: nobody can |\n";
        assert_eq!(complaints(invariants, security), Vec::<String>::new());
    }

    #[test]
    fn a_test_that_is_gone_is_found_wherever_it_is_promised() {
        for (name, why) in [
            ("places::gone", "no such name"),
            ("elsewhere::it_holds", "the name is in other files"),
            ("places::helper", "a function that is no test"),
            ("table::tests::{it_holds,gone}", "one of two"),
        ] {
            let found = complaints(&format!("1. This. `places::it_holds`, `{name}`\n"), "");
            assert!(
                found.len() == 1 && found[0].starts_with("ARCHITECTURE.md: line 4: there is no test "),
                "{why}: {found:?}"
            );
            let found = complaints("1. This. No test.\n", &format!("text\n`{name}`\n"));
            assert!(
                found.len() == 1 && found[0].starts_with("SECURITY.md: line 2: there is no test "),
                "{why}: {found:?}"
            );
        }
    }

    #[test]
    fn a_promise_without_a_test_is_found() {
        let found = complaints("1. This. No test.\n2. That,\n   `as` said.\n\n3. More. `places`\n", "");
        assert_eq!(found, ["ARCHITECTURE.md: line 5: neither a test nor why there is none"]);
        let found = complaints("", "| promise | test |\n|---|---|\n| a | `helper` |\n| b | |\n");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("SECURITY.md: line 3: neither a test"), "{found:?}");
    }

    #[test]
    fn a_limit_is_a_tests_or_the_kernels() {
        for (page, cell, complaints) in [
            ("docs/limits.md", "kernel: net/ipv4/udp.c", 0),
            ("docs/limits.md", "`places::it_holds`", 0),
            ("docs/limits.md", "kernel: ", 1),
            ("docs/limits.md", "everybody knows", 1),
            ("SECURITY.md", "kernel: net/ipv4/udp.c", 1),
        ] {
            let table = format!("| limit | test |\n|---|---|\n| a | {cell} |\n");
            let found = check(&[File::new(page, &table), File::new("tests/tests/places.rs", SOURCE)]);
            let of_rows = found.iter().filter(|complaint| complaint.contains("neither a test")).count();
            assert_eq!(of_rows, complaints, "{cell}: {found:?}");
        }
    }

    #[test]
    fn a_page_that_is_gone_is_found() {
        assert_eq!(check(&[]).len(), 3);
    }
}
