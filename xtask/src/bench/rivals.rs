//! The builds of `monitor` that are measured in turns: this one, and others that are named on the command line.

use anyhow::{Result, bail};
use std::path::PathBuf;

/// A build of `monitor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Build {
    /// What the table calls it.
    pub(super) name: String,
    pub(super) binary: PathBuf,
}

impl Build {
    /// From `NAME=PATH`.
    pub(super) fn read(text: &str) -> Result<Self> {
        let Some((name, path)) = text.split_once('=') else {
            bail!("`{text}` is no build: write NAME=PATH, such as before=/tmp/monitor");
        };
        let binary = PathBuf::from(path);
        if name.is_empty() || name.contains('|') || !binary.is_file() {
            bail!("`{text}` is no build: NAME must be a word for the table, and PATH a file");
        }
        Ok(Self { name: name.to_owned(), binary })
    }
}

/// Who is measured first, second, ...: everybody in every place as often as the others, as far as rounds go.
pub(super) fn order(builds: usize, round: u32) -> Vec<usize> {
    let mut order: Vec<_> = (0..builds).collect();
    if round.is_multiple_of(2) {
        order.reverse();
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_has_a_name_and_a_file() {
        let this = std::env::current_exe().unwrap();
        let text = format!("before={}", this.display());
        assert_eq!(Build::read(&text).unwrap(), Build { name: "before".into(), binary: this });
        for bad in ["before", "=/bin/sh", "before=/nowhere/at/all", "a|b=/bin/sh"] {
            assert!(Build::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn builds_take_turns() {
        assert_eq!([order(2, 1), order(2, 2)], [[0, 1], [1, 0]]);
    }
}
