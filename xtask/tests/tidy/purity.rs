//! What the pure modules may not touch: clocks, files, sockets, threads, locks, async.

use crate::files::File;
use crate::tokens;

const PURE: [&str; 3] = ["model", "table", "query"];

/// Paths that do I/O, read a clock or start threads, from `std` or `core`.
const PATHS: [&str; 10] = [
    "fs",
    "io",
    "thread",
    "process",
    "env",
    "net::TcpListener",
    "net::TcpStream",
    "net::UdpSocket",
    "os",
    "time::SystemTime",
];

/// Names that are forbidden wherever they come from.
const NAMES: [&str; 9] =
    ["SystemTime", "TcpListener", "TcpStream", "UdpSocket", "Mutex", "RwLock", "tokio", "rustix", "libc"];

/// Complaints about a file of a pure module.
pub(crate) fn check(file: &File) -> Vec<String> {
    let is_pure = file.module().is_some_and(|module| module.first().is_some_and(|own| PURE.contains(own)));
    if !is_pure || file.is_test() {
        return Vec::new();
    }
    let tokens = tokens::without_tests(&file.text);
    let named = tokens
        .iter()
        .filter(|token| NAMES.contains(&token.text.as_str()))
        .map(|token| format!("line {}: a pure module may not use {}", token.line, token.text));
    let paths = tokens::paths(&tokens);
    let reached = paths
        .iter()
        .filter(|path| is_impure(&path.segments.join("::")))
        .map(|path| format!("line {}: a pure module may not use {}", path.line, path.segments.join("::")));
    named.chain(reached).collect()
}

fn is_impure(path: &str) -> bool {
    if path.ends_with("Instant::now") {
        return true;
    }
    let Some(inside) = path.strip_prefix("std::") else { return false };
    PATHS.iter().any(|forbidden| {
        inside.strip_prefix(forbidden).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complains(path: &str, text: &str) -> bool {
        !check(&File::new(path, text)).is_empty()
    }

    #[test]
    fn every_impurity_is_found() {
        for text in [
            "let t = Instant::now();",
            "let t = std::time::Instant::now();",
            "use std::time::SystemTime;",
            "use std::{fs, sync::Arc};",
            "fn f() -> std::io::Result<()> {}",
            "use std::net::{IpAddr, TcpStream};",
            "use std::thread;",
            "struct S(std::sync::Mutex<u8>);",
            "use std::sync::RwLock;",
            "async fn f() { tokio::task::yield_now().await }",
        ] {
            assert!(complains("monitor/src/table/mod.rs", text), "{text}");
            assert!(!complains("monitor/src/engine/mod.rs", text), "{text}");
        }
    }

    #[test]
    fn plain_data_is_pure() {
        let text = "//! No std::fs here.\nuse std::net::IpAddr; use std::time::Duration; use std::fmt;";
        assert!(!complains("monitor/src/model/mod.rs", text));
    }
}
