//! Circles: modules that stand side by side and import each other, directly or through others beside them. Such modules are
//! one module in several files; what they share belongs below them. A parent and its children are no circle.

use crate::files::File;
use crate::imports::resolve;
use crate::tokens;
use std::collections::{BTreeMap, BTreeSet};

/// A module's place: the root of its crate, and the path from there.
type Place<'f> = (&'f str, Vec<&'f str>);
/// Who imports whom among the modules of one parent.
type Graph<'f> = BTreeMap<&'f str, BTreeSet<&'f str>>;

/// Every circle of the workspace, once.
pub(crate) fn check(files: &[File]) -> Vec<String> {
    let sources: Vec<(Place<'_>, &File)> = files
        .iter()
        .filter(|file| !file.is_test())
        .filter_map(|file| Some((place(&file.path)?, file)))
        .collect();
    let known: BTreeSet<Place<'_>> = sources.iter().map(|(place, _)| place.clone()).collect();
    let mut levels: BTreeMap<Place<'_>, Graph<'_>> = BTreeMap::new();
    for ((root, module), file) in &sources {
        let tokens = tokens::without_tests(&file.text);
        for path in tokens::paths(&tokens) {
            let Some(target) = resolve(module, &path) else { continue };
            let shared = module.iter().zip(&target).take_while(|(one, other)| *one == *other).count();
            let (Some(from), Some(to)) = (module.get(shared), target.get(shared)) else { continue };
            // The name may be of something that the parent only lends.
            let sibling = [&module[..shared], &[*to]].concat();
            let is_sibling = |place: &&Place<'_>| place.0 == *root && place.1 == sibling;
            let Some((_, sibling)) = known.iter().find(is_sibling) else { continue };
            let level = levels.entry((*root, module[..shared].to_vec())).or_default();
            level.entry(from).or_default().extend(sibling.last());
        }
    }
    let circles = levels.iter().flat_map(|(level, graph)| {
        circles(graph).into_iter().map(move |circle| {
            let inside = level.1.join("/");
            format!("{}{inside}: {} import each other", level.0, circle.join(", "))
        })
    });
    circles.collect()
}

/// Where a source file's module is; `None` for what is no Rust source of a crate.
fn place(path: &str) -> Option<Place<'_>> {
    let inside = path.strip_suffix(".rs")?;
    let at = inside.find("src/").filter(|at| *at == 0 || inside[..*at].ends_with('/'))? + "src/".len();
    let (mut root, mut inside) = inside.split_at(at);
    if let Some(bin) = inside.strip_prefix("bin/") {
        let (name, rest) = bin.split_once('/')?;
        root = &path[..=at + "bin/".len() + name.len()];
        inside = rest;
    }
    let mut module: Vec<&str> = inside.split('/').collect();
    if matches!(module.last(), Some(&("mod" | "lib" | "main"))) {
        module.pop();
    }
    Some((root, module))
}

/// Modules that reach themselves, with those that they reach and are reached by.
fn circles<'f>(graph: &Graph<'f>) -> Vec<Vec<&'f str>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        graph.keys().map(|from| (*from, reach(graph, from))).collect();
    let mut found: Vec<Vec<&str>> = Vec::new();
    for (from, all) in &reached {
        if all.contains(from) && !found.iter().any(|circle| circle.contains(from)) {
            let back = |to: &&&str| reached.get(**to).is_some_and(|all| all.contains(from));
            found.push(all.iter().filter(back).copied().collect());
        }
    }
    found
}

fn reach<'f>(graph: &Graph<'f>, from: &str) -> BTreeSet<&'f str> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&str> = graph.get(from).into_iter().flatten().copied().collect();
    while let Some(module) = next.pop() {
        if reached.insert(module) {
            next.extend(graph.get(module).into_iter().flatten());
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        check(&files.iter().map(|(path, text)| File::new(path, text)).collect::<Vec<_>>())
    }

    #[test]
    fn modules_that_import_each_other_are_found() {
        let two = [("a/src/x.rs", "use super::y::Y;"), ("a/src/y.rs", "fn f() { crate::x::g() }")];
        assert_eq!(found(&two), ["a/src/: x, y import each other"]);
        let three = [
            ("a/src/deep/mod.rs", "mod x; mod y; mod z;"),
            ("a/src/deep/x.rs", "use super::y;"),
            ("a/src/deep/y/mod.rs", "mod inner;"),
            ("a/src/deep/y/inner.rs", "use super::super::z::Z;"),
            ("a/src/deep/z.rs", "use crate::deep::{x::X, W};"),
        ];
        assert_eq!(found(&three), ["a/src/deep: x, y, z import each other"]);
        let bins = [("t/src/bin/b/x.rs", "use crate::y::Y;"), ("t/src/bin/b/y.rs", "use crate::x::X;")];
        assert_eq!(found(&bins), ["t/src/bin/b/: x, y import each other"]);
    }

    #[test]
    fn layers_parents_and_tests_are_no_circle() {
        let layers = [
            ("a/src/lib.rs", "mod x; mod y; pub use x::X;"),
            ("a/src/x.rs", "use super::Y; #[cfg(test)] mod tests { use crate::y::Y; }"),
            ("a/src/y.rs", "use super::x::X; use crate::y::inner;"),
            ("a/src/y/inner.rs", "use super::f;"),
            ("a/src/x/tests.rs", "use crate::y::Y;"),
            ("b/src/x.rs", "use crate::y::Y;"),
        ];
        assert_eq!(found(&layers), Vec::<String>::new());
    }
}
