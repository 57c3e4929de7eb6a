//! The filter parser: from text to an expression.
//!
//! ```text
//! any   = all { ("or" | "||") all }
//! all   = one { ["and" | "&&"] one }
//! one   = ("not" | "!") one | "(" any ")" | term
//! term  = field ":" value { "," value } | quantity ("<" | "<=" | "=" | ">=" | ">") amount | word | "text" | /regex/
//! ```
//! What is wrong is said once, with the character at which it is. Nothing here is quadratic, and depth, length and the
//! size of regular expressions are bounded, because a filter may come from a configuration file of somebody else.

mod value;

use super::{Comparison, Expr, FIELDS, Field, Quantity, Value};
use std::borrow::Cow;
use std::fmt;
use unicode_width::UnicodeWidthChar;
use winnow::Parser;
use winnow::combinator::{alt, cut_err, eof, not, opt, peek, preceded, repeat, separated, terminated};
use winnow::error::{ErrMode, ParserError};
use winnow::stream::{LocatingSlice, Location, Stateful, Stream};
use winnow::token::{any, one_of, take_while};

/// The longest filter, bytes.
const MOST_TEXT: usize = 4096;
/// How deep parentheses and `not` may go.
const MOST_DEPTH: usize = 64;

/// What is wrong with a filter, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilterError {
    /// What was written.
    text: String,
    /// The byte at which it is wrong.
    at: usize,
    /// What is wrong.
    what: String,
}

impl FilterError {
    /// The byte at which it is wrong.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// What is wrong, in one line.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// What is wrong, and at which character, in one line.
    pub(crate) fn sentence(&self) -> String {
        format!("character {}: {}", self.text[..self.at].chars().count() + 1, self.what)
    }
}

impl std::error::Error for FilterError {}

impl fmt::Display for FilterError {
    /// The sentence, the filter, and a caret under the character.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.text.chars().map(shown).collect();
        let before: usize = self.text[..self.at].chars().map(|c| shown(c).width().unwrap_or(1)).sum();
        write!(f, "{}\n  {text}\n  {:before$}^", self.sentence(), "")
    }
}

/// One column for what has none, so that the caret stands where it should and a terminal is left in peace.
fn shown(c: char) -> char {
    if c.width().unwrap_or(0) == 0 { '?' } else { c }
}

type Input<'t> = Stateful<LocatingSlice<&'t str>, usize>;
type Parsed<T> = Result<T, ErrMode<Wrong>>;

/// What is wrong, while it is looked for.
#[derive(Clone, Debug)]
struct Wrong {
    at: usize,
    what: Cow<'static, str>,
}

impl<'t> ParserError<Input<'t>> for Wrong {
    type Inner = Self;

    fn from_input(input: &Input<'t>) -> Self {
        Self { at: input.current_token_start(), what: Cow::Borrowed(WANTED) }
    }

    fn into_inner(self) -> Result<Self, Self> {
        Ok(self)
    }
}

const WANTED: &str = "a word, a field such as `port:443` or a comparison such as `rate>1M` is expected here";

/// It is clear what was meant, and it is wrong.
fn wrong<T>(at: usize, what: impl Into<Cow<'static, str>>) -> Parsed<T> {
    Err(ErrMode::Cut(Wrong { at, what: what.into() }))
}

/// Parses a whole filter.
pub(super) fn parse(text: &str) -> Result<Expr, FilterError> {
    // What is said repeats what was written.
    let complain = |at, what: Cow<'static, str>| {
        let what = what.chars().map(shown).collect();
        FilterError { text: text.into(), at, what }
    };
    if text.len() > MOST_TEXT {
        let end = (0..=MOST_TEXT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let what = format!("a filter has {MOST_TEXT} bytes at most").into();
        return Err(FilterError { text: text[..end].into(), ..complain(end, what) });
    }
    let mut input = Stateful { input: LocatingSlice::new(text), state: 0 };
    terminated(any_of, end).parse_next(&mut input).map_err(|error| match error {
        ErrMode::Cut(Wrong { at, what }) | ErrMode::Backtrack(Wrong { at, what }) => complain(at, what),
        ErrMode::Incomplete(_) => complain(text.len(), Cow::Borrowed(WANTED)),
    })
}

fn end(input: &mut Input<'_>) -> Parsed<()> {
    space(input)?;
    let at = input.current_token_start();
    let Some(next) = input.input.chars().next() else { return Ok(()) };
    match next {
        ')' => wrong(at, "there is no `(` for this `)`"),
        ',' => wrong(at, "a list stands after a field only, as in `port:80,443`"),
        '<' | '>' | '=' => wrong(at, compared_with()),
        '|' | '&' => {
            wrong(at, "say `or` or `||`, `and` or `&&`; put a name with odd characters between double quotes")
        }
        _ => wrong(at, WANTED),
    }
}

fn space(input: &mut Input<'_>) -> Parsed<()> {
    take_while(0.., char::is_whitespace).void().parse_next(input)
}

/// `or`, in any case, as a word of its own; or `||`.
fn operator(word: &str, sign: &str) -> impl FnMut(&mut Input<'_>) -> Parsed<()> {
    move |input| alt((keyword(word), preceded(space, sign).void())).parse_next(input)
}

fn keyword(wanted: &str) -> impl FnMut(&mut Input<'_>) -> Parsed<()> {
    move |input| {
        let is_wanted = |word: &str| word.eq_ignore_ascii_case(wanted);
        preceded(space, take_while(1.., is_word)).verify(is_wanted).void().parse_next(input)
    }
}

fn any_of(input: &mut Input<'_>) -> Parsed<Expr> {
    let or = |input: &mut Input<'_>| operator("or", "||").parse_next(input);
    let first = all_of(input)?;
    let others: Vec<Expr> = repeat(0.., preceded(or, cut_err(all_of))).parse_next(input)?;
    let flat = |part| match part {
        Expr::Or(parts) => parts,
        one @ (Expr::And(_)
        | Expr::Not(_)
        | Expr::Bare(_)
        | Expr::Is(..)
        | Expr::Of(..)
        | Expr::Amount(..)) => vec![one],
    };
    Ok(joined(first, others, flat, Expr::Or))
}

fn all_of(input: &mut Input<'_>) -> Parsed<Expr> {
    let and = |input: &mut Input<'_>| operator("and", "&&").parse_next(input);
    let first = one(input)?;
    let others: Vec<Expr> = repeat(0.., alt((preceded(and, cut_err(one)), one))).parse_next(input)?;
    let flat = |part| match part {
        Expr::And(parts) => parts,
        one @ (Expr::Or(_)
        | Expr::Not(_)
        | Expr::Bare(_)
        | Expr::Is(..)
        | Expr::Of(..)
        | Expr::Amount(..)) => vec![one],
    };
    Ok(joined(first, others, flat, Expr::And))
}

fn joined(first: Expr, others: Vec<Expr>, flat: fn(Expr) -> Vec<Expr>, join: fn(Vec<Expr>) -> Expr) -> Expr {
    if others.is_empty() {
        return first;
    }
    join(std::iter::once(first).chain(others).flat_map(flat).collect())
}

fn one(input: &mut Input<'_>) -> Parsed<Expr> {
    space(input)?;
    let not_one = |input: &mut Input<'_>| {
        alt((one_of('!').void(), keyword("not"))).parse_next(input)?;
        deeper(cut_err(one)).map(|part| Expr::Not(Box::new(part))).parse_next(input)
    };
    alt((not_one, parentheses, term)).parse_next(input)
}

/// Within something: bounded, because each level is a level of the stack here and wherever the filter is used.
fn deeper<'t>(
    mut inner: impl Parser<Input<'t>, Expr, ErrMode<Wrong>>,
) -> impl FnMut(&mut Input<'t>) -> Parsed<Expr> {
    move |input| {
        if input.state == MOST_DEPTH {
            let what = format!("parentheses and `not` go {MOST_DEPTH} deep at most");
            return wrong(input.current_token_start(), what);
        }
        input.state += 1;
        let parsed = inner.parse_next(input);
        input.state -= 1;
        parsed
    }
}

fn parentheses(input: &mut Input<'_>) -> Parsed<Expr> {
    let at = input.current_token_start();
    one_of('(').parse_next(input)?;
    let within = deeper(cut_err(any_of)).parse_next(input)?;
    space(input)?;
    if opt(one_of(')')).parse_next(input)?.is_some() {
        return Ok(within);
    }
    if opt(eof).parse_next(input)?.is_some() {
        return wrong(at, "this `(` is not closed");
    }
    end(input)?;
    Ok(within)
}

/// What joins or turns terms.
pub(super) fn is_keyword(word: &str) -> bool {
    ["and", "or", "not"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
}

/// The name of a field.
pub(super) fn is_field(word: &str) -> bool {
    FIELDS.iter().any(|spec| spec.name.eq_ignore_ascii_case(word))
}

/// What a bare word is made of.
fn is_word(c: char) -> bool {
    !c.is_whitespace() && !matches!(c, '(' | ')' | '"' | ',' | '<' | '>' | '=' | '|' | '&')
}

fn is_value(c: char) -> bool {
    !c.is_whitespace() && !matches!(c, '(' | ')' | '"' | ',' | '|' | '&')
}

fn term(input: &mut Input<'_>) -> Parsed<Expr> {
    let at = input.current_token_start();
    if let Some(value) = opt(alt((value::quoted, value::regex))).parse_next(input)? {
        boundary(input)?;
        return Ok(Expr::Bare(value));
    }
    let start = input.checkpoint();
    let word: &str = take_while(1.., is_word).parse_next(input)?;
    if is_keyword(word) {
        input.reset(&start);
        return Err(ErrMode::Backtrack(Wrong { at, what: Cow::Borrowed(WANTED) }));
    }
    let quantity = Quantity::ALL.into_iter().find(|quantity| quantity.name().eq_ignore_ascii_case(word));
    if let Some(quantity) = quantity {
        return match opt(preceded(space, comparison)).parse_next(input)? {
            Some(comparison) => amount(input, quantity, comparison),
            None => Ok(Expr::Bare(Value::Word(word.into()))),
        };
    }
    if opt(peek(one_of(['<', '>', '=']))).parse_next(input)?.is_some() {
        return wrong(at, format!("`{word}` cannot be compared; {}", compared_with()));
    }
    if let Some(value) = opt(peek(value_of_field(word))).parse_next(input)? {
        let name = word.to_ascii_lowercase();
        return wrong(
            at,
            format!("write `{name}:{value}`; libpcap's filter is -f; to look for the word, write \"{word}\""),
        );
    }
    if let Some(address) = value::address(word) {
        boundary(input)?;
        return Ok(Expr::Bare(address));
    }
    let Some((name, _)) = word.split_once(':').filter(|(name, _)| value::is_name(name)) else {
        boundary(input)?;
        return Ok(Expr::Bare(Value::Word(word.into())));
    };
    let Some(spec) = FIELDS.iter().find(|spec| spec.name.eq_ignore_ascii_case(name)) else {
        return wrong(at, value::unknown_field(name));
    };
    input.reset(&start);
    let _ = input.next_slice(name.len() + 1);
    values(input, spec.field)
}

/// The word behind one that is a field's name, as tcpdump has it: `port 443`.
fn value_of_field<'t>(word: &str) -> impl FnMut(&mut Input<'t>) -> Parsed<&'t str> {
    let is_field_name = is_field(word);
    let is_term = |word: &str| {
        is_keyword(word)
            || word.starts_with('!')
            || word.split_once(':').is_some_and(|(name, _)| is_field(name))
    };
    move |input| {
        preceded(space, take_while(1.., is_word))
            .verify(|value: &str| is_field_name && !is_term(value))
            .parse_next(input)
    }
}

fn values(input: &mut Input<'_>, field: Field) -> Parsed<Expr> {
    let values = separated(1.., |input: &mut Input<'_>| value::of(input, field), ',').parse_next(input)?;
    if opt(peek(',')).parse_next(input)?.is_some() {
        return wrong(input.current_token_start(), "a value is expected after this comma");
    }
    boundary(input)?;
    Ok(Expr::Is(field, values))
}

/// Terms do not run into each other: `/a/b` is more likely a path than two terms.
fn boundary(input: &mut Input<'_>) -> Parsed<()> {
    let at = input.current_token_start();
    match opt(preceded(not(one_of(['(', ')', ',', '|', '&'])), peek(any))).parse_next(input)? {
        Some(c) if !char::is_whitespace(c) => {
            wrong(at, "a space is expected here; put a name with odd characters between double quotes")
        }
        _ => Ok(()),
    }
}

fn comparison(input: &mut Input<'_>) -> Parsed<Comparison> {
    alt((
        "<=".value(Comparison::AtMost),
        ">=".value(Comparison::AtLeast),
        "==".value(Comparison::Equal),
        "<".value(Comparison::Less),
        ">".value(Comparison::More),
        "=".value(Comparison::Equal),
    ))
    .parse_next(input)
}

fn amount(input: &mut Input<'_>, quantity: Quantity, comparison: Comparison) -> Parsed<Expr> {
    space(input)?;
    let at = input.current_token_start();
    let text: &str = take_while(0.., is_value).parse_next(input)?;
    match value::amount(text, quantity) {
        Ok(amount) => {
            boundary(input)?;
            Ok(Expr::Amount(quantity, comparison, amount))
        }
        Err(what) => wrong(at, what),
    }
}

fn compared_with() -> &'static str {
    "`rate`, `rx`, `tx` and `total` can be compared, as in `rate>1M`"
}
