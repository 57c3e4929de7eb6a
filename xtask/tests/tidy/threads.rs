//! Threads: the program starts them in one place, from one table of roles (`monitor/src/threads.rs`).

use crate::files::File;
use crate::tokens;

/// The only file that may.
const PLACE: &[&str] = &["threads"];

/// Complaints about a file that starts a thread by itself.
pub(crate) fn check(file: &File) -> Vec<String> {
    let is_elsewhere = file.module().is_some_and(|module| module != PLACE);
    if !is_elsewhere || file.is_test() {
        return Vec::new();
    }
    let tokens = tokens::without_tests(&file.text);
    let builds = tokens::paths(&tokens).into_iter().filter(|path| {
        let mut ends = path.segments.iter().rev();
        match (ends.next().map(String::as_str), ends.next().map(String::as_str)) {
            (Some("Builder" | "spawn"), Some("thread")) => true,
            (Some("new"), Some("Builder")) => ends.next().is_some_and(|module| module == "thread"),
            (Some(_) | None, _) => false,
        }
    });
    let scoped = tokens.windows(3).filter(|three| {
        let [object, dot, method] = three else { return false };
        dot.text == "."
            && (method.text == "spawn_scoped" || (&*object.text, &*method.text) == ("scope", "spawn"))
    });
    builds
        .map(|path| path.line)
        .chain(scoped.map(|three| three[2].line))
        .map(|line| format!("line {line}: a thread is started by `crate::threads`, with a role of its table"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_is_started_elsewhere_is_found() {
        let complains = |path: &str, text: &str| !check(&File::new(path, text)).is_empty();
        for text in [
            "fn f() { std::thread::spawn(g); }",
            "use std::thread; fn f() { thread::Builder::new().spawn(g); }",
            "fn f() { thread::scope(|scope| { scope.spawn(g); }) }",
            "fn f() { builder.spawn_scoped(scope, g) }",
        ] {
            assert!(complains("monitor/src/engine/mod.rs", text), "{text}");
            assert!(!complains("monitor/src/threads.rs", text), "{text}");
            assert!(!complains("monitor/src/engine/tests.rs", text), "{text}");
            assert!(!complains("xtask/src/main.rs", text), "{text}");
        }
        assert!(!complains(
            "monitor/src/engine/mod.rs",
            "use crate::threads; fn f() { threads::spawn(r, g) }"
        ));
    }
}
