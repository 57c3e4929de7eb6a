//! The table in docs/performance.md, between two marks; the prose around it is written by hand.

use super::table::Table;
use crate::project::Project;
use anyhow::{Context, Result};

const PAGE: &str = "docs/performance.md";
const BEGIN: &str = "<!-- figures: cargo xtask bench --write -->\n";
const END: &str = "<!-- end of figures -->";

/// Replaces what is between the marks.
pub(super) fn write(project: &Project, table: &Table, circumstances: &str) -> Result<()> {
    let path = project.root.join(PAGE);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {PAGE}"))?;
    let text = replaced(&text, &format!("{circumstances}.\n\n{table}"))?;
    std::fs::write(&path, text).with_context(|| format!("cannot write {PAGE}"))
}

fn replaced(text: &str, figures: &str) -> Result<String> {
    let (before, rest) = text.split_once(BEGIN).context("the page has lost its first mark")?;
    let (_, after) = rest.split_once(END).context("the page has lost its second mark")?;
    Ok(format!("{before}{BEGIN}\n{figures}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let page = format!("before\n{BEGIN}old\n{END}\nafter\n");
        let once = replaced(&page, "new\n").unwrap();
        assert_eq!(once, format!("before\n{BEGIN}\nnew\n\n{END}\nafter\n"));
        assert_eq!(replaced(&once, "new\n").unwrap(), once);
        assert!(replaced("no marks", "new").is_err());
    }
}
