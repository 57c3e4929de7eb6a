//! docs/performance.md: the figures, a page that no hand edits. What they mean is in docs/performance-notes.md.

use super::table::Table;
use crate::object::sha256;
use crate::project::Project;
use anyhow::{Context, Result};

const PAGE: &str = "docs/performance.md";
const HEAD: &str = "\
# What `monitor` costs: figures

Written by `cargo xtask bench --write`, and by no hand: the last line is the hash of what stands before it. How it is measured,
what it means and what else was measured is in [performance-notes.md](performance-notes.md).

";

/// Writes the page.
pub(super) fn write(project: &Project, table: &Table, circumstances: &str) -> Result<()> {
    let page = sealed(&format!("{HEAD}{circumstances}.\n\n{table}"));
    std::fs::write(project.root.join(PAGE), page).with_context(|| format!("cannot write {PAGE}"))
}

/// The figures with their hash below them.
fn sealed(figures: &str) -> String {
    let figures = format!("{}\n", figures.trim_end());
    let hash = sha256(figures.as_bytes());
    format!("{figures}\n<!-- sha256 {hash} -->\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_sealed(page: &str) -> bool {
        page.rsplit_once("\n<!-- sha256 ").is_some_and(|(figures, _)| sealed(figures) == page)
    }

    #[test]
    fn a_page_that_was_edited_by_hand_is_found() {
        let page = sealed("| idle | 0.1 |\n\n");
        assert!(is_sealed(&page) && !is_sealed(&page.replace("0.1", "0.01")) && !is_sealed(""));
    }

    #[test]
    fn the_committed_figures_are_those_that_were_written() {
        let page = std::fs::read_to_string(Project::find().unwrap().root.join(PAGE)).unwrap();
        assert!(page.starts_with(HEAD) && is_sealed(&page), "{PAGE} was edited: cargo xtask bench --write");
    }
}
