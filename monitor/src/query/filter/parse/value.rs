//! Filter values: what stands after a field or a comparison, and words that stand alone.

use super::{Input, Parsed, boundary, is_value, wrong};
use crate::model::{Protocol, TcpState};
use crate::query::filter::{FIELDS, Field, Quantity, Takes, Value};
use crate::query::{AmountError, Measure};
use ipnet::IpNet;
use regex::RegexBuilder;
use std::net::IpAddr;
use winnow::Parser;
use winnow::combinator::opt;
use winnow::stream::{Location, Stream};
use winnow::token::{any, one_of, take_while};

/// How large a compiled regular expression may be, bytes.
const MOST_REGEX: usize = 1 << 18;

/// One value of a field.
pub(super) fn of(input: &mut Input<'_>, field: Field) -> Parsed<Value> {
    let spec = field.spec();
    let at = input.current_token_start();
    if let Some(value) = opt(quoted).parse_next(input)? {
        return match spec.takes {
            Takes::Number | Takes::Net => wrong(at, expected(field)),
            Takes::Part | Takes::Path | Takes::Port | Takes::Host => Ok(value),
            Takes::Whole => match &value {
                Value::Word(text) => whole(field, text).or_else(|what| wrong(at, what)),
                Value::Regex(_) | Value::Addr(_) | Value::Net(_) | Value::Range(..) => Ok(value),
            },
        };
    }
    if spec.takes == Takes::Path
        && let Some(value) = opt(path).parse_next(input)?
    {
        return Ok(value);
    }
    if let Some(value) = opt(regex).parse_next(input)? {
        return match spec.takes {
            Takes::Part | Takes::Path | Takes::Whole | Takes::Host => Ok(value),
            Takes::Number | Takes::Port | Takes::Net => wrong(at, expected(field)),
        };
    }
    let text: &str = take_while(0.., is_value).parse_next(input)?;
    if text.is_empty() {
        return wrong(at, format!("`{}:` needs a value, as in `{}`", spec.name, spec.example));
    }
    let value = match spec.takes {
        Takes::Part | Takes::Path => Ok(Value::Word(text.into())),
        Takes::Whole => whole(field, text),
        Takes::Number => range(text, if field == Field::Pid { u32::MAX.into() } else { u64::MAX }),
        Takes::Port if text.starts_with(|c: char| c.is_ascii_alphabetic()) => Ok(Value::Word(text.into())),
        Takes::Port => range(text, u16::MAX.into()),
        Takes::Host => Ok(address(text).unwrap_or_else(|| Value::Word(text.into()))),
        Takes::Net => address(text).ok_or_else(|| expected(field)),
    };
    value.or_else(|what| wrong(at, what))
}

fn expected(field: Field) -> String {
    let spec = field.spec();
    let takes = match spec.takes {
        Takes::Number => "a number or a range",
        Takes::Port => "a port, a range of ports or the name of a service",
        Takes::Net => "an address or a network",
        Takes::Part | Takes::Path | Takes::Whole | Takes::Host => "a name",
    };
    format!("`{}:` takes {takes}, as in `{}`", spec.name, spec.example)
}

/// `"a \"b\" \\ c"`
pub(super) fn quoted(input: &mut Input<'_>) -> Parsed<Value> {
    let at = input.current_token_start();
    one_of('"').parse_next(input)?;
    let mut text = String::new();
    loop {
        match opt(any).parse_next(input)? {
            Some('"') => return Ok(Value::Word(text.into())),
            Some('\\') => match opt(any).parse_next(input)? {
                Some(c @ ('"' | '\\')) => text.push(c),
                _ => return wrong(at, "between quotes, a backslash stands before `\"` or `\\` only"),
            },
            Some(c) => text.push(c),
            None => return wrong(at, "this quote is not closed"),
        }
    }
}

/// `/usr/sbin`: what begins as a regular expression does and is none, for it goes on behind the slash that would end it, or
/// has no such slash.
fn path(input: &mut Input<'_>) -> Parsed<Value> {
    let start = input.checkpoint();
    let is_regex = regex(input).is_ok() && boundary(input).is_ok();
    input.reset(&start);
    let is_path = |text: &&str| text.starts_with('/') && !text.ends_with('/');
    take_while(1.., is_value)
        .verify(|text: &str| !is_regex && is_path(&text))
        .map(|text: &str| Value::Word(text.into()))
        .parse_next(input)
}

/// `/^a\/b$/`
pub(super) fn regex(input: &mut Input<'_>) -> Parsed<Value> {
    let at = input.current_token_start();
    one_of('/').parse_next(input)?;
    let mut pattern = String::new();
    loop {
        match opt(any).parse_next(input)? {
            Some('/') => break,
            Some('\\') => {
                pattern.push('\\');
                pattern.extend(opt(any).parse_next(input)?);
            }
            Some(c) => pattern.push(c),
            None => {
                let what = "this regular expression has no `/` at its end; put a path between double quotes";
                return wrong(at, what);
            }
        }
    }
    if pattern.is_empty() {
        return wrong(at, "this regular expression is empty");
    }
    let built = RegexBuilder::new(&pattern).size_limit(MOST_REGEX).dfa_size_limit(MOST_REGEX).build();
    match built {
        Ok(regex) => Ok(Value::Regex(regex)),
        Err(regex::Error::CompiledTooBig(_)) => wrong(at, "this regular expression is too large"),
        Err(error) => {
            // Its first lines draw the expression once more; the last one says what is wrong.
            let said = error.to_string();
            let said = said.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            wrong(at, format!("this regular expression is wrong: {said}"))
        }
    }
}

/// An address or a network.
pub(super) fn address(text: &str) -> Option<Value> {
    let address = text.parse::<IpAddr>().ok().map(Value::Addr);
    address.or_else(|| text.parse::<IpNet>().ok().map(Value::Net))
}

/// `80`, `8000-8999`, `1024-`, `-1023`
fn range(text: &str, most: u64) -> Result<Value, String> {
    let number = |text: &str, open: u64| match text {
        "" => Some(open),
        // Digits only: `parse` would take a sign, too.
        text if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok().filter(|n| *n <= most),
        _ => None,
    };
    let ends = match text.split_once('-') {
        Some(("", "")) => None,
        Some((from, to)) => number(from, 0).zip(number(to, most)),
        None => number(text, 0).map(|n| (n, n)),
    };
    match ends {
        Some((from, to)) if from <= to => Ok(Value::Range(from, to)),
        Some((from, to)) => Err(format!("the range {from}-{to} is empty: give the lower end first")),
        None => Err(format!("`{text}` is no number up to {most} and no range of them, such as 10-20")),
    }
}

/// A whole name; where all names are known it has to be one of them.
fn whole(field: Field, text: &str) -> Result<Value, String> {
    let state = || {
        let mut names = (1..=11).filter_map(TcpState::from_kernel).map(TcpState::name);
        let known: Vec<&str> = names.by_ref().collect();
        let is_known = known.iter().any(|name| name.eq_ignore_ascii_case(text));
        if is_known { Ok(()) } else { Err(format!("no state `{text}`; there are {}", known.join(", "))) }
    };
    let protocol = || {
        let is_number = text.parse::<u8>().is_ok();
        let is_known = (0..=u8::MAX).any(|n| Protocol::Ip(n).to_string().eq_ignore_ascii_case(text))
            || (0..=u16::MAX)
                .any(|n| Protocol::Link(n).name().is_some_and(|name| name.eq_ignore_ascii_case(text)))
            || text.strip_prefix("eth-").is_some_and(|hex| u16::from_str_radix(hex, 16).is_ok());
        let what = "give a name such as tcp, udp or icmp, or a number";
        if is_number || is_known { Ok(()) } else { Err(format!("no protocol `{text}`; {what}")) }
    };
    match field {
        Field::State => state()?,
        Field::Protocol => protocol()?,
        Field::Proc
        | Field::Pid
        | Field::User
        | Field::Unit
        | Field::Slice
        | Field::Container
        | Field::Pod
        | Field::Package
        | Field::Host
        | Field::Local
        | Field::Remote
        | Field::Net
        | Field::Port
        | Field::LocalPort
        | Field::RemotePort
        | Field::Interface
        | Field::Netns
        | Field::Comm
        | Field::Exe
        | Field::CommandLine
        | Field::Cgroup => {}
    }
    Ok(Value::Word(text.into()))
}

/// What can be a field's name, so that `fe80::1%2` is none.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
}

/// Says that there is no such field, and which one may be meant.
pub(super) fn unknown_field(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let like = |known: &str| lower.len() > 1 && (known.starts_with(&lower) || lower.starts_with(known));
    let near = FIELDS
        .iter()
        .map(|spec| {
            (if like(spec.name) { 1 } else { strsim::damerau_levenshtein(&lower, spec.name) }, spec.name)
        })
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= 2);
    if let Some((_, near)) = near {
        return format!("no field `{name}:`; did you mean `{near}:`?");
    }
    let names: Vec<&str> = FIELDS.iter().map(|spec| spec.name).collect();
    format!("no field `{name}:`; there are {}", names.join(", "))
}

/// `1M`, `2.5GB`, `800kb/s`, `64Ki`: bits/s of a rate, bytes of a total.
pub(super) fn amount(text: &str, quantity: Quantity) -> Result<u64, String> {
    crate::query::amount(text, quantity.measure()).map_err(|error| match error {
        AmountError::TooLarge => "this amount is too large".to_owned(),
        AmountError::Malformed => {
            let example = match quantity.measure() {
                Measure::Bytes => "`total>1GB`",
                Measure::BitRate => "`rate>1M` (bits/s) or `rate>100kB`",
            };
            format!("an amount is expected here, as in {example}")
        }
    })
}
