//! What the helper processes have in common: steps in words, one a line, and one JSON answer to each.

use serde_json::{Value, json};
use std::{
    error::Error,
    io::{self, BufRead, Write},
    str::{FromStr, SplitWhitespace},
};

/// What a step did, or why it could not.
pub type Answer = Result<Value, Box<dyn Error>>;

/// The words of a step, read from the left.
#[derive(Clone, Debug)]
pub struct Words<'l>(SplitWhitespace<'l>);

impl<'l> Words<'l> {
    /// Of one line.
    pub fn of(line: &'l str) -> Self {
        Self(line.split_whitespace())
    }

    /// The next word, which must be there.
    ///
    /// # Errors
    /// When it is missing, or is no `T`; `what` names it.
    pub fn take<T: FromStr>(&mut self, what: &str) -> Result<T, Box<dyn Error>> {
        let word = self.0.next().ok_or_else(|| format!("{what} is missing"))?;
        word.parse().map_err(|_| format!("`{word}` is no {what}").into())
    }

    /// The next word, if there is one.
    pub fn flag(&mut self) -> Option<&'l str> {
        self.0.next()
    }

    /// All that is left, as one line.
    pub fn rest(&mut self) -> String {
        self.0.by_ref().collect::<Vec<_>>().join(" ")
    }
}

/// Writes an answer, as one line.
///
/// # Errors
/// When nobody reads it.
pub fn say(out: &mut impl Write, answer: Answer) -> io::Result<()> {
    let answer = answer.unwrap_or_else(|error| json!({ "error": error.to_string() }));
    writeln!(out, "{answer}").and_then(|()| out.flush())
}

/// Answers every line of `input`, to its end.
///
/// # Errors
/// When one end is gone.
pub fn serve(
    input: impl BufRead,
    out: &mut impl Write,
    mut step: impl FnMut(&str) -> Answer,
) -> io::Result<()> {
    for line in input.lines() {
        say(out, step(&line?))?;
    }
    Ok(())
}
