//! Reading TOML that a person wrote: every complaint names the line and the way out.
//!
//! Shared by the settings and the themes; it knows neither.

use std::fmt;
use std::ops::Range;
use toml_edit::{Document, Item, Table};

/// Problems of one file that are told.
const MOST_PROBLEMS: usize = 20;
/// Characters of a word of the file's that are shown; a longer one is no slip of any name.
const MOST_SHOWN: usize = 64;

/// What is wrong in a file, and how to put it right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// One clause.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// A parsed file and its problems so far.
pub(super) struct Reading<'t> {
    text: &'t str,
    /// What was found wrong first.
    pub(super) problems: Vec<Problem>,
    /// There is more than is told.
    more: bool,
}

impl<'t> Reading<'t> {
    /// Parses the text; `None` with a problem noted where it is no TOML.
    pub(super) fn new(text: &'t str) -> (Self, Option<Document<&'t str>>) {
        let mut reading = Self { text, problems: Vec::new(), more: false };
        match Document::parse(text) {
            Ok(document) => (reading, Some(document)),
            Err(error) => {
                let what = error.message().lines().collect::<Vec<_>>().join(", ");
                reading.complain(error.span(), format!("{what}; write `name = value`"));
                (reading, None)
            }
        }
    }

    /// Notes a problem at a place in the text.
    pub(super) fn complain(&mut self, at: Option<Range<usize>>, what: String) {
        if self.problems.len() == MOST_PROBLEMS {
            self.more = true;
            return;
        }
        let start = at.map_or(0, |at| at.start).min(self.text.len());
        let line = self.text.get(..start).unwrap_or_default().matches('\n').count() + 1;
        self.problems.push(Problem { line, what });
    }

    /// Notes every key of a table that is not among the known ones, with the nearest that is.
    pub(super) fn only(&mut self, table: &Table, what: &str, known: &[&str]) {
        for (name, item) in table {
            if self.more {
                return;
            }
            if !known.contains(&name) {
                let at = table.key(name).and_then(toml_edit::Key::span).or_else(|| item.span());
                let hint = suggestion(name, known);
                self.complain(at, format!("unknown {what} `{}`; {hint}", shown(name)));
            }
        }
    }

    /// The problems, in the order of the file, or the result.
    pub(super) fn finish<T>(mut self, result: T) -> Result<T, Vec<Problem>> {
        self.problems.sort_by_key(|problem| problem.line);
        if let Some(last) = self.problems.last_mut().filter(|_| self.more) {
            last.what.push_str("; and there is more wrong than this");
        }
        if self.problems.is_empty() { Ok(result) } else { Err(self.problems) }
    }
}

/// What a value is called where it has the wrong type.
pub(super) fn type_of(item: &Item) -> &'static str {
    match item.type_name() {
        "none" => "nothing",
        other => other,
    }
}

/// A word of the file's, or its beginning, on one line.
pub(super) fn shown(text: &str) -> String {
    let end = text.char_indices().nth(MOST_SHOWN).map(|(end, _)| end);
    let cut = if end.is_some() { "…" } else { "" };
    format!("{}{cut}", text[..end.unwrap_or(text.len())].escape_debug())
}

/// `did you mean \`theme\`?` or the whole list.
pub(super) fn suggestion(name: &str, known: &[&str]) -> String {
    let lower = name.to_lowercase();
    // To compare takes as long as both are.
    let known_to_compare = if lower.len() > MOST_SHOWN { &[][..] } else { known };
    let nearest = known_to_compare
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= 2.max(candidate.len() / 3));
    match nearest {
        Some((_, nearest)) => format!("did you mean `{nearest}`?"),
        None => format!("there are: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_name_their_line() {
        let (mut reading, document) = Reading::new("a = 1\n\nthem = 2\n");
        let document = document.unwrap();
        reading.only(document.as_table(), "setting", &["a", "theme"]);
        let problems = reading.finish(()).unwrap_err();
        assert_eq!(problems[0].to_string(), "line 3: unknown setting `them`; did you mean `theme`?");
    }

    #[test]
    fn what_is_no_toml_names_its_line() {
        let (reading, document) = Reading::new("a = 1\nb = \n");
        assert!(document.is_none());
        assert_eq!(reading.problems[0].line, 2);
    }

    #[test]
    fn a_file_full_of_mistakes_gets_a_few_complaints_that_are_short() {
        let lines: Vec<String> = (0..100_000).map(|number| format!("x{number} = 1\n")).collect();
        let text = format!("{} = 1\n{}", "y".repeat(100_000), lines.concat());
        let (mut reading, document) = Reading::new(&text);
        reading.only(document.unwrap().as_table(), "setting", &["theme"]);
        let problems = reading.finish(()).unwrap_err();
        assert_eq!(problems.len(), MOST_PROBLEMS);
        assert!(problems[MOST_PROBLEMS - 1].what.ends_with("there is more wrong than this"), "{problems:?}");
        let long = "é".repeat(MOST_SHOWN + 1);
        assert_eq!(shown(&long), format!("{}…", "é".repeat(MOST_SHOWN)));
        assert_eq!(suggestion(&long, &["theme"]), "there are: theme");
        assert_eq!(shown("a\nb"), "a\\nb");
    }

    #[test]
    fn far_names_get_the_list() {
        assert_eq!(suggestion("zzzzzz", &["theme", "bars"]), "there are: theme, bars");
        assert_eq!(suggestion("Theme", &["theme", "bars"]), "did you mean `theme`?");
    }
}
