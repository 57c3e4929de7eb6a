//! The filter language: what parses, what is said of what does not, and what filters leave.

use crate::query::filter::{FIELDS, Filter};

fn complaint(text: &str) -> String {
    Filter::parse(text).unwrap_err().sentence()
}

#[test]
fn what_is_printed_reads_as_the_same() {
    for text in [
        "nginx",
        "proc:nginx and not net:10.0.0.0/8 and rate>1M",
        "port:80,443,8000-8999 (user:root or user:0) !lan",
        "10.0.0.5 or 2001:db8::/32 or fe80::1 or \"10.0.0.1\"",
        "/^ng.*x$/ proc:/a\\/b/,c total>=1.5GB rx<800kB/s tx=0",
        "a b or c d or not (e or f)",
        "not not x AND y",
    ] {
        let filter = Filter::parse(text).unwrap_or_else(|error| panic!("{error}"));
        let printed = filter.to_string();
        assert_eq!(Filter::parse(&printed), Ok(filter), "{text} printed as {printed}");
    }
    for spec in &FIELDS {
        let filter = Filter::parse(spec.example).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(filter.to_string(), spec.example);
    }
}

#[test]
fn what_is_wrong_is_said_with_its_character() {
    for (text, said) in [
        ("", "character 1: a word, a field"),
        ("prt:80", "character 1: no field `prt:`; did you mean `port:`?"),
        ("a and", "character 6: a word, a field"),
        ("(a or b", "character 1: this `(` is not closed"),
        ("a)", "character 2: there is no `(`"),
        ("port:99999", "character 6: `99999` is no number up to 65535"),
        ("port:20-10", "character 6: the range 20-10 is empty"),
        ("port:", "character 6: `port:` needs a value"),
        ("rate>fast", "character 6: an amount is expected here"),
        ("foo>1", "character 1: `foo` cannot be compared"),
        ("ü /a(/", "character 3: this regular expression is wrong: unclosed group"),
        ("/usr/bin/x", "character 6: a space is expected here"),
        ("\"abc", "character 1: this quote is not closed"),
        ("proto:tpc", "character 7: no protocol `tpc`"),
        ("state:open", "character 7: no state `open`"),
    ] {
        let error = complaint(text);
        assert!(error.starts_with(said), "{text}: {error}");
    }
}
