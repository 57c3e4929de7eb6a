//! A filter as text: what is printed parses to the same again.

use super::parse::{is_field, is_keyword};
use super::{Comparison, Expr, Field, Filter, Quantity, Takes, Value};
use crate::query::Measure;
use std::fmt;

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expr().fmt(f)
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(parts) => joined(f, parts, " and "),
            Self::Or(parts) => joined(f, parts, " or "),
            Self::Not(part) => {
                f.write_str("not ")?;
                nested(f, part)
            }
            Self::Bare(value) => f.write_str(&written(value, None)),
            Self::Is(field, values) => {
                let values: Vec<String> = values.iter().map(|value| written(value, Some(*field))).collect();
                write!(f, "{}:{}", field.spec().name, values.join(","))
            }
            Self::Of(..) => f.write_str("(the row that was opened)"),
            Self::Amount(quantity, comparison, amount) => {
                write!(f, "{}{}{}", quantity.name(), comparison.name(), scaled(*quantity, *amount))
            }
        }
    }
}

fn joined(f: &mut fmt::Formatter<'_>, parts: &[Expr], with: &str) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(with)?;
        }
        nested(f, part)?;
    }
    Ok(())
}

/// In parentheses where it is of several parts.
fn nested(f: &mut fmt::Formatter<'_>, part: &Expr) -> fmt::Result {
    match part {
        Expr::And(_) | Expr::Or(_) => write!(f, "({part})"),
        Expr::Not(_) | Expr::Bare(_) | Expr::Is(..) | Expr::Of(..) | Expr::Amount(..) => write!(f, "{part}"),
    }
}

impl Comparison {
    /// As it is written.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Equal => "=",
            Self::AtLeast => ">=",
            Self::More => ">",
        }
    }
}

/// The greatest step that divides the amount.
fn scaled(quantity: Quantity, amount: u64) -> String {
    let unit = match quantity.measure() {
        Measure::Bytes => "B",
        Measure::BitRate => "",
    };
    let steps = [("T", 1_000_000_000_000), ("G", 1_000_000_000), ("M", 1_000_000), ("k", 1000)];
    let step = steps.iter().find(|(_, step)| amount > 0 && amount.is_multiple_of(*step));
    step.map_or_else(
        || format!("{amount}{unit}"),
        |(prefix, step)| format!("{}{prefix}{unit}", amount / step),
    )
}

fn written(value: &Value, field: Option<Field>) -> String {
    match value {
        Value::Word(word) if is_plain(word, field) => word.to_string(),
        Value::Word(word) => format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"")),
        // A slash is the only character that the language itself escapes; everything else is the expression's.
        Value::Regex(regex) => format!("/{}/", regex.as_str()),
        Value::Addr(addr) => addr.to_string(),
        Value::Net(net) => net.to_string(),
        Value::Range(from, to) if from == to => from.to_string(),
        Value::Range(from, to) => format!("{from}-{to}"),
    }
}

/// It reads as this word without quotes.
fn is_plain(word: &str, field: Option<Field>) -> bool {
    let harmless = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '+' | '%' | '*' | '~' | '/')
    };
    let starts = word.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_user = field.is_some_and(|field| field.spec().takes == Takes::Whole);
    let is_number = is_user && !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    // A word behind it would be taken for its value.
    let is_name = field.is_none() && is_field(word);
    is_number || (starts && !is_keyword(word) && !is_name && word.chars().all(harmless))
}
