//! Who may import whom. The table is the one of ARCHITECTURE.md.

use crate::files::File;
use crate::tokens::{self, Path};

/// For each module of the library: what it may name of the crate. A longer path allows only what stands under it.
const ALLOWED: [(&str, &[&str]); 15] = [
    ("bounded", &[]),
    ("threads", &[]),
    ("model", &[]),
    ("table", &["model"]),
    ("query", &["model"]),
    ("procfs", &["model", "threads"]),
    ("sock_diag", &["model"]),
    ("source", &["model", "procfs", "sock_diag", "threads"]),
    ("attribution", &["model", "procfs", "sock_diag", "threads"]),
    ("resolve", &["model", "procfs", "bounded", "threads"]),
    ("engine", &["model", "table", "query", "source", "attribution", "resolve", "procfs", "threads"]),
    (
        "frontend",
        &["model", "query", "config", "threads", "engine::Command", "engine::Control", "engine::Snapshots"],
    ),
    ("config", &["model", "query", "bounded", "threads"]),
    ("privilege", &["model"]),
    (
        "app",
        &[
            "model",
            "query",
            "source",
            "attribution",
            "resolve",
            "engine",
            "frontend",
            "config",
            "privilege",
            "table",
            "threads",
        ],
    ),
];

/// The modules that may know the ABI, and what of it: the source everything, the options only the bounds of the maps, the
/// model only how owners are found.
const ABI_USERS: [(&[&str], &[&str]); 3] = [
    (&["source", "ebpf"], &[]),
    (&["config"], &["CAPACITY_RANGE", "DEFAULT_CAPACITY"]),
    (&["model"], &["Method", "Evidence"]),
];

/// Complaints about a file's imports.
pub(crate) fn check(file: &File) -> Vec<String> {
    let Some(module) = file.module() else { return Vec::new() };
    let Some(&own) = module.first() else { return Vec::new() };
    if own == "main" || file.is_test() {
        return Vec::new();
    }
    let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == own) else {
        return vec![format!("`{own}` is not in the table of who may import whom")];
    };
    let tokens = tokens::without_tests(&file.text);
    let paths = tokens::paths(&tokens);
    let mut complaints = abi(&module, &paths);
    for path in &paths {
        if let Some(target) = resolve(&module, path)
            && target.first() != Some(&own)
            && !allowed.iter().any(|allowed| target.starts_with(&allowed.split("::").collect::<Vec<_>>()))
        {
            complaints.push(format!("line {}: `{own}` may not import `{}`", path.line, target.join("::")));
        }
    }
    complaints
}

fn abi(module: &[&str], paths: &[Path]) -> Vec<String> {
    let entry = ABI_USERS.iter().find(|(user, _)| module.starts_with(user));
    let is_allowed = |path: &Path| {
        entry.is_some_and(|(_, names)| {
            names.is_empty() || path.segments.get(1).is_some_and(|name| names.contains(&name.as_str()))
        })
    };
    let uses = paths.iter().filter(|path| path.segments[0] == "monitor_common" && !is_allowed(path));
    uses.map(|path| format!("line {}: this module may not use {}", path.line, path.segments.join("::")))
        .collect()
}

/// The path from the root of the crate; `None` for a path that does not say that it is one.
pub(crate) fn resolve<'a>(module: &[&'a str], path: &'a Path) -> Option<Vec<&'a str>> {
    let mut segments = path.segments.iter().map(String::as_str).peekable();
    match segments.peek().copied()? {
        "crate" => Some(segments.skip(1).collect()),
        "super" | "self" => {
            let mut up = 0;
            while let Some(segment) = segments.next_if(|segment| ["super", "self"].contains(segment)) {
                up += usize::from(segment == "super");
            }
            // What stays inside the file's own inline modules is nobody else's business.
            let up = up.checked_sub(path.nesting).filter(|&up| up > 0)?;
            let kept = module.len().saturating_sub(up);
            Some(module[..kept].iter().copied().chain(segments).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complains(path: &str, text: &str) -> bool {
        !check(&File::new(path, text)).is_empty()
    }

    #[test]
    fn forbidden_imports_are_found() {
        assert!(complains("monitor/src/model/flow.rs", "use crate::table::FlowTable;"));
        assert!(complains("monitor/src/table/mod.rs", "use crate::{model::Mono, query};"));
        assert!(complains("monitor/src/table/mod.rs", "fn f() { super::query::f() }"));
        assert!(complains("monitor/src/source/ebpf/load.rs", "use super::super::super::table::X;"));
        assert!(complains("monitor/src/frontend/text.rs", "use crate::engine::{Command, run};"));
        assert!(complains("monitor/src/engine/mod.rs", "pub(crate) use crate::frontend::tui;"));
        assert!(complains("monitor/src/frontend/tui/mod.rs", "use crate::*;"));
        assert!(complains("monitor/src/surprise.rs", ""));
    }

    #[test]
    fn the_abi_stays_in_its_source() {
        assert!(complains("monitor/src/engine/mod.rs", "use monitor_common::FlowKey;"));
        assert!(!complains("monitor/src/source/ebpf/drain.rs", "use monitor_common::FlowKey;"));
        assert!(complains("monitor/src/config/mod.rs", "use monitor_common::FlowKey;"));
        assert!(!complains(
            "monitor/src/config/mod.rs",
            "use monitor_common::{CAPACITY_RANGE, DEFAULT_CAPACITY};"
        ));
    }

    #[test]
    fn allowed_imports_are_not() {
        assert!(!complains(
            "monitor/src/frontend/text.rs",
            "use crate::{engine::{Command, Control}, model::Mono};"
        ));
        assert!(!complains("monitor/src/model/mod.rs", "pub use self::flow::X; mod a { use super::Y; }"));
        assert!(!complains(
            "monitor/src/source/ebpf/load.rs",
            "use super::drain::D; use super::super::Source;"
        ));
        assert!(!complains("monitor/src/table/mod.rs", "#[cfg(test)] mod tests { use crate::query::X; }"));
        assert!(!complains("monitor/src/table/tests.rs", "use crate::query::X;"));
        assert!(!complains("xtask/src/main.rs", "use crate::table::X;"));
    }
}
