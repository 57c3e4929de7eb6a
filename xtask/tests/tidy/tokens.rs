//! Rust source as tokens and paths: as much of the language as the rules need.
//!
//! Comments and the contents of literals are dropped, so that a rule never sees prose. Items under `#[cfg(test)]` are
//! dropped, too: a test may reach further than the code it tests.

use std::ops::Range;

/// An identifier, a number, `::`, a literal (as `""`), or one other character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    /// From 1.
    pub(crate) line: usize,
}

/// A path as it is written or as a `use` tree says it, with the number of inline modules around it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
    pub(crate) nesting: usize,
}

/// The tokens of a file without its tests.
pub(crate) fn without_tests(source: &str) -> Vec<Token> {
    strip_tests(&tokens(source))
}

fn tokens(source: &str) -> Vec<Token> {
    let mut lexer = Lexer { rest: source, line: 1, tokens: Vec::new() };
    while lexer.step() {}
    lexer.tokens
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    /// Takes one token, comment or space; false at the end.
    fn step(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else { return false };
        if self.rest.starts_with("//") {
            self.take(self.rest.find('\n').unwrap_or(self.rest.len()), None);
        } else if self.rest.starts_with("/*") {
            self.take(block_comment(self.rest), None);
        } else if let Some(length) = literal(self.rest) {
            self.take(length, Some("\"\""));
        } else if first.is_alphanumeric() || first == '_' {
            let length =
                self.rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest.len());
            let word = self.rest[..length].to_owned();
            self.take(length, Some(&word));
        } else if self.rest.starts_with("::") {
            self.take(2, Some("::"));
        } else {
            let text = first.to_string();
            self.take(first.len_utf8(), (!first.is_whitespace()).then_some(&text));
        }
        true
    }

    fn take(&mut self, length: usize, token: Option<&str>) {
        let (passed, rest) = self.rest.split_at(length);
        if let Some(text) = token {
            self.tokens.push(Token { text: text.to_owned(), line: self.line });
        }
        self.line += passed.matches('\n').count();
        self.rest = rest;
    }
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// Length of the string or character literal that the text starts with.
fn literal(source: &str) -> Option<usize> {
    let unprefixed = source.trim_start_matches(['b', 'c']);
    let prefix = source.len() - unprefixed.len();
    if prefix > 1 {
        return None;
    }
    if let Some(raw) = unprefixed.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let body = raw[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let length = body.find(&end).map_or(body.len(), |at| at + end.len());
        return Some(prefix + 1 + hashes + 1 + length);
    }
    match unprefixed.chars().next()? {
        '"' => Some(prefix + quoted(unprefixed, '"')),
        '\'' if is_character(unprefixed) => Some(prefix + quoted(unprefixed, '\'')),
        _ => None,
    }
}

/// Tells `'a'` and `'\n'` from the lifetime `'a`.
fn is_character(text: &str) -> bool {
    let mut characters = text.chars().skip(1);
    match characters.next() {
        Some('\\') => true,
        Some(_) => characters.next() == Some('\''),
        None => false,
    }
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == quote {
            return at + 1;
        }
    }
    text.len()
}

/// How many lines of a file are tests.
pub(crate) fn test_lines(source: &str) -> usize {
    let tokens = tokens(source);
    let ranges = test_items(&tokens);
    ranges.iter().map(|range| tokens[range.end - 1].line - tokens[range.start].line + 1).sum()
}

fn strip_tests(tokens: &[Token]) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut at = 0;
    for range in test_items(tokens) {
        kept.extend_from_slice(&tokens[at..range.start]);
        at = range.end;
    }
    kept.extend_from_slice(&tokens[at..]);
    kept
}

/// Where the items under `#[cfg(test)]` are.
fn test_items(tokens: &[Token]) -> Vec<Range<usize>> {
    const TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at..].iter().map(|token| token.text.as_str()).take(TEST.len()).eq(TEST) {
            let end = item_end(tokens, at + TEST.len());
            ranges.push(at..end);
            at = end;
        } else {
            at += 1;
        }
    }
    ranges
}

/// After the `;` or the block that ends the item at `start`.
fn item_end(tokens: &[Token], start: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => {
                depth = depth.saturating_sub(1);
                if depth == 0 && token.text == "}" {
                    return at + 1;
                }
            }
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// Every path of at least two segments, the trees of `use` spelled out.
pub(crate) fn paths(tokens: &[Token]) -> Vec<Path> {
    let mut paths = Vec::new();
    let mut blocks = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let text = tokens[at].text.as_str();
        match text {
            "{" => blocks.push(at >= 2 && tokens[at - 2].text == "mod"),
            "}" => drop(blocks.pop()),
            _ => {}
        }
        if is_word(text) && text_at(tokens, at + 1) == "::" {
            let nesting = blocks.iter().filter(|&&module| module).count();
            let mut found = Vec::new();
            let line = tokens[at].line;
            at = tree(tokens, at, &[], &mut found);
            paths.extend(found.into_iter().map(|segments| Path { segments, line, nesting }));
        } else {
            at += 1;
        }
    }
    paths
}

/// Reads one path or `use` tree, adds what it names, and returns where it ends.
fn tree(tokens: &[Token], mut at: usize, prefix: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut segments = prefix.to_vec();
    loop {
        match text_at(tokens, at) {
            "{" => return group(tokens, at + 1, &segments, found),
            "self" if !segments.is_empty() => {}
            text if is_word(text) || text == "*" => segments.push(text.to_owned()),
            _ => break,
        }
        at += 1;
        if text_at(tokens, at) != "::" {
            break;
        }
        at += 1;
    }
    found.push(segments);
    at
}

fn group(tokens: &[Token], mut at: usize, prefix: &[String], found: &mut Vec<Vec<String>>) -> usize {
    while at < tokens.len() && text_at(tokens, at) != "}" {
        let text = text_at(tokens, at);
        at = if text == "as" {
            at + 2
        } else if is_word(text) || text == "*" || text == "{" {
            tree(tokens, at, prefix, found)
        } else {
            at + 1
        };
    }
    at + 1
}

fn text_at(tokens: &[Token], at: usize) -> &str {
    tokens.get(at).map_or("", |token| &token.text)
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(source: &str) -> Vec<String> {
        paths(&without_tests(source)).into_iter().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn trees_are_spelled_out() {
        let source = "use crate::{model::{self, Batch as B}, table::*}; fn f() { super::g::<u8>(a::b) }";
        assert_eq!(
            named(source),
            ["crate::model", "crate::model::Batch", "crate::table::*", "super::g", "a::b"]
        );
    }

    #[test]
    fn prose_and_literals_are_not_code() {
        let source =
            "// a::b\n/* a::b /* a::b */ */ \"a::b\" r#\"a::b\"# b'\\'' '\"' c::d<'a>(\"\\\"\") e::f";
        assert_eq!(named(source), ["c::d", "e::f"]);
    }

    #[test]
    fn tests_are_left_out() {
        let source = "#[cfg(test)]\nmod tests { use a::b; }\n#[cfg(test)] mod other;\n#[cfg(test)] fn f() { a::b(); }\nuse c::d;";
        assert_eq!(named(source), ["c::d"]);
        assert_eq!(without_tests(source)[0].line, 5);
    }

    #[test]
    fn inline_modules_are_counted() {
        let found = paths(&tokens("mod a { mod b { use super::x; } fn f() { super::y() } } use super::z;"));
        assert_eq!(found.iter().map(|path| path.nesting).collect::<Vec<_>>(), [2, 1, 0]);
    }
}
