//! A command as a list of steps: each has a headline, a duration and a verdict, and the last line counts them all.
//!
//! A step that fails does not keep the next from running. Something that did not run is always said, with the reason.

use anyhow::{Context, Result};
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// What a step came to.
pub(crate) enum Verdict {
    /// It held; counts as one.
    Passed,
    /// It could not run, and why; counts as one.
    Skipped(String),
    /// What it looks at is not to be had here, which no command on this machine changes; counts as skipped, and
    /// `--require-all` lets it pass.
    NotAvailable(String),
    /// It ran tests, which count one by one.
    Tests(Tests),
}

/// Results of `cargo test`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tests {
    /// Passed.
    pub(crate) passed: usize,
    /// Failed.
    pub(crate) failed: usize,
    /// Marked `#[ignore]` and not asked for.
    pub(crate) ignored: usize,
}

/// The steps so far.
#[derive(Default)]
pub(crate) struct Steps {
    total: Tests,
    /// Of those skipped, how many `--require-all` lets pass.
    not_available: usize,
    reasons: Vec<String>,
}

impl Steps {
    /// Runs a step and says how it went.
    pub(crate) fn step(&mut self, headline: &str, step: impl FnOnce() -> Result<Verdict>) {
        println!("\n== {headline}");
        let start = Instant::now();
        let verdict = step();
        let took = seconds(start.elapsed());
        match verdict {
            Ok(Verdict::Passed) => {
                self.total.passed += 1;
                println!("-- ok ({took})");
            }
            Ok(Verdict::Skipped(why)) => {
                println!("-- skipped: {why} ({took})");
                self.total.ignored += 1;
                self.reasons.push(format!("1 skipped ({headline}): {why}"));
            }
            Ok(Verdict::NotAvailable(why)) => {
                println!("-- not available: {why} ({took})");
                self.total.ignored += 1;
                self.not_available += 1;
                self.reasons.push(format!("1 skipped ({headline}): not available: {why}"));
            }
            Ok(Verdict::Tests(tests)) => {
                self.total = self.total + tests;
                println!("-- {} ({took})", counted(tests));
            }
            Err(error) => {
                self.total.failed += 1;
                println!("-- FAILED: {error:#} ({took})");
                self.reasons.push(format!("failed ({headline}): {error:#}"));
            }
        }
    }

    /// Adds why something did not run to what is said at the end.
    pub(crate) fn because(&mut self, reason: String) {
        self.reasons.push(reason);
    }

    /// Says what did not run, prints the count as the last line, and gives the exit code.
    pub(crate) fn finish(self, require_all: bool) -> ExitCode {
        println!();
        for reason in &self.reasons {
            println!("{reason}");
        }
        let refused = require_all && self.total.ignored > self.not_available;
        if refused {
            println!("failed: --require-all, and something did not run");
        }
        println!("{}", counted(self.total));
        if refused || self.total.failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

fn counted(tests: Tests) -> String {
    format!("{} passed, {} failed, {} skipped", tests.passed, tests.failed, tests.ignored)
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

impl std::ops::Add for Tests {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
        }
    }
}

/// Runs `cargo test`, shows what it prints, and counts. A failure that no count shows (it does not compile, a test ended
/// the process) counts as one.
pub(crate) fn cargo_test(command: &mut Command) -> Result<Tests> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo test")?;
    let stdout = child.stdout.take().context("cargo test has no stdout")?;
    let mut tests = Tests::default();
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        println!("{line}");
        tests = tests + parse(&line).unwrap_or_default();
    }
    let status = child.wait()?;
    if !status.success() && tests.failed == 0 {
        tests.failed = 1;
    }
    Ok(tests)
}

/// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
fn parse(line: &str) -> Option<Tests> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |what: &str| {
        counts.split(';').find_map(|part| part.trim().strip_suffix(what)?.trim().parse::<usize>().ok())
    };
    Some(Tests { passed: count("passed")?, failed: count("failed")?, ignored: count("ignored")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_counted() {
        let line = "test result: FAILED. 12 passed; 3 failed; 4 ignored; 0 measured; 5 filtered out; finished in 0.00s";
        assert_eq!(parse(line), Some(Tests { passed: 12, failed: 3, ignored: 4 }));
        assert_eq!(parse("test a ... ok"), None);
        assert_eq!(parse("test result: nonsense"), None);
    }

    #[test]
    fn what_is_not_available_is_counted_and_no_failure() {
        let ended = |verdicts: Vec<Verdict>, require_all| {
            let mut steps = Steps::default();
            for verdict in verdicts {
                steps.step("a step", || Ok(verdict));
            }
            (steps.total.ignored, format!("{:?}", steps.finish(require_all)))
        };
        let [good, bad] = [ExitCode::SUCCESS, ExitCode::FAILURE].map(|code| format!("{code:?}"));
        let unavailable = || Verdict::NotAvailable("no network".to_owned());
        let skipped = || Verdict::Skipped("no root".to_owned());
        assert_eq!(ended(vec![Verdict::Passed, unavailable()], true), (1, good.clone()));
        assert_eq!(ended(vec![skipped(), unavailable()], false), (2, good));
        assert_eq!(ended(vec![skipped(), unavailable()], true), (2, bad));
    }

    #[test]
    fn a_failure_without_a_count_is_counted() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'test result: ok. 2 passed; 0 failed; 0 ignored'; exit 101"]);
        assert_eq!(cargo_test(&mut command).unwrap(), Tests { passed: 2, failed: 1, ignored: 0 });
    }
}
