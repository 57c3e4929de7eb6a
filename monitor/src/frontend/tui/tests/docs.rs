//! Pages that are made from the program: docs/screens.md and docs/config.toml (`keys_page` has two more). `MONITOR_WRITE_DOCS=1` writes them.

use super::*;
use crate::query::fixture::process;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant as Clock;

pub(super) fn check(page: &str, name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    if std::env::var_os("MONITOR_WRITE_DOCS").is_some() {
        std::fs::write(&path, page).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == page, "docs/{name} is old: MONITOR_WRITE_DOCS=1 cargo test -p monitor docs");
}

#[test]
fn docs_config_is_the_defaults() {
    check(&Settings::default().sample(), "config.toml");
}

/// What else is worth a picture: a title, what was pressed, the size.
const PICTURES: &[(&str, &str, (u16, u16))] = &[
    ("Flows, one line each", "\tt", (120, 16)),
    ("With a border and without totals", "xU", (80, 16)),
    ("A process that was opened (Enter)", "\n", (120, 30)),
    ("The same on a small screen", "\n", (80, 24)),
    ("Its hosts (Tab)", "\n\t", (120, 30)),
    ("A flow of it (Enter)", "\n\n", (120, 30)),
    ("A user (F6, Enter)", "\u{6}\n", (120, 30)),
    ("A container (F4, Enter)", "\u{4}j\n", (120, 30)),
    ("An interface (F7, Enter)", "\u{7}\n", (120, 30)),
    ("A filter (/)", "/port:443\n", (100, 20)),
    ("A filter that is wrong", "/port:443 and colour:red\n", (80, 16)),
    ("More about a row, at the mouse (d)", "jd", (80, 24)),
    ("Views to choose from (V)", "V", (80, 24)),
    ("Themes, shown while one chooses (c)", "cjjj", (80, 24)),
    ("Keys (?)", "?", (120, 30)),
    ("Keys, searched (? /)", "?/sort", (80, 16)),
    ("Health (H)", "H", (100, 40)),
    ("A small terminal", "", (40, 12)),
];

fn picture(page: &mut String, title: &str, screen: &Screen) {
    // Writing to a String cannot fail.
    let _ = write!(page, "\n## {title}\n```text\n");
    for line in super::picture::symbols(&screen.draw()) {
        page.push_str(&line);
        page.push('\n');
    }
    page.push_str("```\n");
}

#[test]
fn docs_screens_show_every_view() {
    let mut page = String::from(
        "# Screens\nEvery view, as a made-up busy server fills it. Made by `MONITOR_WRITE_DOCS=1 cargo test -p monitor docs`.\n",
    );
    for view in ViewKind::ALL {
        let mut screen = super::server::watched((100, 20));
        screen.press(KeyCode::Char('V'));
        for _ in 0..view as usize {
            screen.press(KeyCode::Down);
        }
        screen.press(KeyCode::Enter);
        assert_eq!(screen.state.view, view, "the chooser has every view");
        picture(&mut page, view.title(), &screen);
    }
    for (title, keys, size) in PICTURES {
        let mut screen = super::server::watched(*size);
        for c in keys.chars() {
            screen.press(match c {
                '\t' => KeyCode::Tab,
                '\n' => KeyCode::Enter,
                c @ '\u{1}'..='\u{8}' => KeyCode::F(c as u8),
                c => KeyCode::Char(c),
            });
        }
        picture(&mut page, title, &screen);
    }
    check(&page, "screens.md");
}

#[test]
fn drawing_costs_what_is_seen_and_not_what_there_is() {
    for count in [100, 1000, 10_000, 100_000] {
        let row = |n: u32| process(n, "worker", u64::from(n) * 1000, 500);
        let mut screen = Screen::new(snapshot((1..=count).map(row).collect(), vec![]), (200, 50));
        let begun = Clock::now();
        let buffer = screen.draw();
        let drawn = begun.elapsed();
        screen.press(KeyCode::End);
        let shown = screen.lines().iter().filter(|line| line.contains("worker")).count();
        println!("{count} rows: {drawn:?} a frame (test build), {} cells", buffer.content.len());
        assert!((30..50).contains(&shown), "{shown} rows on the screen");
        // Far above what it takes, far below what anything that grows with the square would.
        assert!(drawn < Duration::from_secs(2), "{drawn:?}");
    }
}
