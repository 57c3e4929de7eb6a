//! What a commit says of itself. The history before the rule was held is as it is.

use std::path::Path;
use std::process::Command;

/// From when on it holds.
const SINCE: &str = "2026-11-29T17:30:00Z";
/// The longest subject, characters.
const SUBJECT: usize = 72;

/// A commit: its name, its first line, and what follows that.
pub(crate) struct Commit {
    name: String,
    subject: String,
    body: String,
}

/// What is wrong with some commits.
pub(crate) fn check(commits: &[Commit]) -> Vec<String> {
    let wrong = |commit: &Commit| {
        let Commit { name, subject, body } = commit;
        let length = subject.chars().count();
        if length > SUBJECT {
            return Some(format!("{name}: a subject of {length} characters, more than {SUBJECT}: {subject}"));
        }
        body.trim().is_empty().then(|| format!("{name}: no body says why: {subject}"))
    };
    commits.iter().filter_map(wrong).collect()
}

/// Those of this history, without merges; none in a source archive.
pub(crate) fn here() -> Vec<Commit> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in a workspace");
    if !root.join(".git").exists() {
        return Vec::new();
    }
    let mut git = Command::new("git");
    git.args(["log", "-z", "--no-merges", "--format=%h%n%s%n%b", "--since", SINCE]).current_dir(root);
    let output = git.output().expect("git made the history, so it can tell it");
    assert!(output.status.success(), "{git:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).split_terminator('\0').filter_map(parse).collect()
}

fn parse(text: &str) -> Option<Commit> {
    let (name, rest) = text.split_once('\n')?;
    let (subject, body) = rest.split_once('\n').unwrap_or((rest, ""));
    Some(Commit { name: name.to_owned(), subject: subject.to_owned(), body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(text: &str) -> Vec<String> {
        check(&[parse(text).expect("a commit")])
    }

    #[test]
    fn a_long_subject_and_a_missing_body_are_found() {
        let subject = "é".repeat(SUBJECT);
        assert_eq!(complaints(&format!("a1b2c3d\n{subject}\nBecause.\n")), Vec::<String>::new());
        assert!(complaints(&format!("a1b2c3d\n{subject}!\nBecause.\n"))[0].contains("73 characters"));
        assert!(complaints("a1b2c3d\nIt is so\n\n")[0].contains("no body"));
        assert!(complaints("a1b2c3d\nIt is so")[0].contains("a1b2c3d: no body"));
    }
}
