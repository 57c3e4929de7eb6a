//! The code map of ARCHITECTURE.md: what it names is there, in order, and each source file of the library's and the kernel
//! programs' is at or below something that it names.

use crate::files::File;

const PAGE: &str = "ARCHITECTURE.md";
const TITLE: &str = "## Code map\n";

/// What does not fit between the map and the files.
pub(crate) fn check(files: &[File]) -> Vec<String> {
    let page = files.iter().find(|file| file.path == PAGE).map_or("", |file| file.text.as_str());
    let map = page.split(TITLE).nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap_or_default();
    let rows: Vec<Vec<String>> = map.lines().filter_map(|line| line.strip_prefix("| `")).map(paths).collect();
    let named: Vec<&String> = rows.iter().flatten().collect();
    let mut complaints = Vec::new();
    if named.is_empty() {
        complaints.push(format!("{PAGE}: there is no code map"));
    }
    let firsts = rows.iter().filter_map(|row| row.first());
    for (before, after) in firsts.clone().zip(firsts.skip(1)).filter(|(before, after)| before > after) {
        complaints.push(format!("{PAGE}: the code map has {before} before {after}"));
    }
    for path in &named {
        if !files.iter().any(|file| is_at(&file.path, path)) {
            complaints.push(format!("{PAGE}: the code map names {path}, which is not there"));
        }
    }
    let sources =
        files.iter().filter(|file| file.is_rust() && !file.is_test() && file.path.contains("/src/"));
    for file in sources.filter(|file| !named.iter().any(|path| is_at(&file.path, path))) {
        complaints.push(format!("{}: the code map of {PAGE} does not name it", file.path));
    }
    complaints
}

fn is_at(file: &str, path: &str) -> bool {
    file == path || path.ends_with('/') && file.starts_with(path)
}

/// The paths of a row's first cell, of which the first is whole and the others stand beside it; `{a,b}.rs` is two.
fn paths(row: &str) -> Vec<String> {
    let cell = row.split('|').next().unwrap_or_default();
    let mut names = cell.split('`').step_by(2);
    let first = names.next().unwrap_or_default();
    let beside = first.trim_end_matches('/').rsplit_once('/').map_or("", |(directory, _)| directory);
    let others = names.filter(|name| !name.is_empty()).map(|name| format!("{beside}/{name}"));
    std::iter::once(first.to_owned()).chain(others).flat_map(|path| expanded(&path)).collect()
}

fn expanded(path: &str) -> Vec<String> {
    match path.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?))) {
        Some((before, (inside, after))) => {
            inside.split(',').map(|part| format!("{before}{part}{after}")).collect()
        }
        None => vec![path.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_not_named_or_out_of_order_is_found() {
        let map = "## Code map\n| where | what |\n|---|---|\n\
            | `monitor/src/b.rs`, `c.rs` | b |\n| `monitor/src/a/{d,e}.rs` | d, e |\n\n## Next\n";
        let rust = ["b.rs", "a/d.rs", "a/e.rs", "f.rs", "a/tests/g.rs"];
        let mut files: Vec<File> =
            rust.iter().map(|path| File::new(&format!("monitor/src/{path}"), "")).collect();
        files.push(File::new(PAGE, map));
        let complaints = check(&files);
        for part in
            ["monitor/src/b.rs before monitor/src/a/d.rs", "names monitor/src/c.rs", "monitor/src/f.rs: "]
        {
            assert!(complaints.iter().any(|complaint| complaint.contains(part)), "{part} in {complaints:?}");
        }
        assert_eq!(complaints.len(), 3, "{complaints:?}");
        assert!(!check(&[]).is_empty());
    }
}
