//! What any tracked file must and may not say.

use crate::files::File;
use crate::tokens;

/// Lines of a file without its tests from which on somebody should ask whether it is several. Where files fall apart is held by
/// `circles`; length alone says little.
const MANY_LINES: usize = 500;

/// Files that are longer, and why.
const LONG: &[(&str, &str)] = &[];

/// A file of Rust opens with `//!`, after inner attributes at most; one without items needs no prose.
pub(crate) fn opens_with_prose(file: &File) -> Vec<String> {
    if !file.is_rust() {
        return Vec::new();
    }
    let mut lines =
        file.text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("#!["));
    match lines.next() {
        Some(line) if !line.starts_with("//!") => vec!["does not open with `//!`".to_owned()],
        _ => Vec::new(),
    }
}

/// A warning for a file of more than [`MANY_LINES`] lines without its tests, with the reason in [`LONG`].
pub(crate) fn is_long(file: &File) -> Vec<String> {
    is_long_but(file, LONG)
}

fn is_long_but(file: &File, reasons: &[(&str, &str)]) -> Vec<String> {
    if !file.is_rust() || file.is_test() {
        return Vec::new();
    }
    let lines = file.text.lines().count() - tokens::test_lines(&file.text);
    let reason = reasons.iter().find(|(path, _)| *path == file.path).map(|(_, reason)| *reason);
    match (lines > MANY_LINES, reason) {
        (true, Some(reason)) => vec![format!("{lines} lines: {reason}")],
        (true, None) => {
            vec![format!("{lines} lines: is it several? If not, LONG in tidy's text.rs says why")]
        }
        (false, Some(_)) => vec![format!("{lines} lines: it is not long, so take it out of LONG")],
        (false, None) => Vec::new(),
    }
}

/// A note that something is left to do names its issue: `(#12)` follows.
pub(crate) fn has_no_loose_ends(file: &File) -> Vec<String> {
    const NOTES: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
    let loose = |line: &str| {
        NOTES.iter().any(|note| {
            line.match_indices(note)
                .any(|(at, _)| is_word(line, at, note.len()) && !numbered(&line[at + note.len()..]))
        })
    };
    complain(file, loose, "something left to do has no issue number, (#N)")
}

fn is_word(line: &str, at: usize, length: usize) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    !line[..at].ends_with(joins) && !line[at + length..].starts_with(joins)
}

fn numbered(rest: &str) -> bool {
    let digits = rest.strip_prefix("(#").and_then(|rest| rest.split_once(')')).map(|(digits, _)| digits);
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// No absolute path of somebody's machine, in the object neither.
pub(crate) fn names_no_machine(file: &File) -> Vec<String> {
    const ROOTS: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let names = |line: &str| {
        ROOTS.iter().any(|root| {
            line.match_indices(root).any(|(at, _)| {
                let inside = line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-/*}>)".contains(c));
                let named =
                    line[at + root.len()..].starts_with(|c: char| c.is_alphanumeric() || "._-".contains(c));
                !inside && named
            })
        })
    };
    complain(file, names, "an absolute path of one machine")
}

/// Only the lock file names a registry, and only the one that cargo knows without configuration.
pub(crate) fn names_no_registry(file: &File) -> Vec<String> {
    const HOSTS: [&str; 7] = [
        concat!("index.crates", ".io"),
        concat!("static.crates", ".io"),
        concat!("deb.debian", ".org"),
        concat!("security.debian", ".org"),
        concat!("registry.npmjs", ".org"),
        concat!("pypi", ".org"),
        concat!("proxy.golang", ".org"),
    ];
    const LOCKED: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    let names = |line: &str| {
        let foreign = file.path == "Cargo.lock" && line.starts_with("source = ") && line != LOCKED;
        let section = line.trim_start().trim_start_matches('[');
        let configured = file.path.starts_with(".cargo/")
            && (section.starts_with("source") || section.starts_with("registr"));
        foreign || configured || HOSTS.iter().any(|host| line.contains(host))
    };
    complain(file, names, "a registry")
}

fn complain(file: &File, bad: impl Fn(&str) -> bool, why: &str) -> Vec<String> {
    let numbered = file.text.lines().enumerate();
    numbered.filter(|(_, line)| bad(line)).map(|(at, _)| format!("line {}: {why}", at + 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> File {
        File::new("monitor/src/model/flow.rs", text)
    }

    #[test]
    fn a_file_without_prose_is_found() {
        assert!(!opens_with_prose(&file("use std::fmt;\n")).is_empty());
        assert!(opens_with_prose(&file("#![no_std]\n\n//! Prose.\nuse std::fmt;\n")).is_empty());
        assert!(opens_with_prose(&file("#![no_std]\n#![no_main]\n")).is_empty());
    }

    #[test]
    fn a_long_file_is_named_with_its_reason_and_its_tests_do_not_count() {
        let line = "fn f() {}\n";
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", line.repeat(MANY_LINES));
        let long = line.repeat(MANY_LINES + 1);
        assert!(is_long(&file(&(line.repeat(MANY_LINES) + &tests))).is_empty());
        assert!(is_long(&file(&long))[0].contains("501 lines: is it several?"));
        assert!(is_long(&File::new("monitor/src/table/tests.rs", &long)).is_empty());
        let (path, reason) = ("monitor/src/model/flow.rs", "read as one");
        assert!(is_long_but(&File::new(path, &long), &[(path, reason)])[0].ends_with(reason));
        assert!(is_long_but(&File::new(path, line), &[(path, reason)])[0].contains("take it out"));
    }

    #[test]
    fn a_loose_end_is_found() {
        let note = concat!("// TO", "DO");
        assert!(!has_no_loose_ends(&file(&format!("{note}: later"))).is_empty());
        assert!(!has_no_loose_ends(&file(&format!("{note}(#x)"))).is_empty());
        assert!(has_no_loose_ends(&file(&format!("{note}(#12): later"))).is_empty());
    }

    #[test]
    fn a_machine_is_found() {
        assert!(!names_no_machine(&file(concat!("path = \"/wo", "rk/x\""))).is_empty());
        assert!(!names_no_machine(&file(concat!("\0/ho", "me/someone/.cargo\0"))).is_empty());
        assert!(!names_no_machine(&file(concat!("/ro", "ot/.cargo"))).is_empty());
        assert!(
            names_no_machine(&file(concat!("/sys/fs/cgroup/ro", "ot/ and /proc/1/ro", "ot/"))).is_empty()
        );
    }

    #[test]
    fn a_registry_is_found() {
        assert!(!names_no_registry(&file(concat!("https://static.crates", ".io/x"))).is_empty());
        assert!(!names_no_registry(&File::new(".cargo/config.toml", "[source.crates-io]")).is_empty());
        assert!(
            !names_no_registry(&File::new("Cargo.lock", "source = \"registry+https://example.com\""))
                .is_empty()
        );
        assert!(names_no_registry(&File::new(".cargo/config.toml", "[alias]")).is_empty());
    }
}
