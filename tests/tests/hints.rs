//! Every hint in the last line of the screen does what it says, on every page and at two sizes, in a real terminal: the
//! hints are read from the screen, each key is pressed, and what it names is looked for. A hint that this file does not
//! know fails the test.

use monitor_tests::live::Live;

/// A page: how it is called here, the keys that lead to it from the start, and what is on the screen then.
struct Page {
    name: &'static str,
    keys: &'static [&'static str],
    seen: fn(&str) -> bool,
}

const PAGES: [Page; 11] = [
    Page { name: "processes", keys: &[], seen: |screen| screen.contains("[Processes") },
    Page { name: "flows", keys: &["Tab"], seen: |screen| screen.contains("[Flows") },
    Page { name: "process", keys: &["Enter"], seen: |screen| depth(screen) == 1 },
    Page { name: "flow", keys: &["Tab", "Enter"], seen: |screen| depth(screen) == 1 },
    Page { name: "health", keys: &["H"], seen: |screen| screen.contains("Where the numbers come from") },
    Page { name: "help", keys: &["?"], seen: |screen| screen.contains(" keys (") },
    Page { name: "searched help", keys: &["?", "/"], seen: |screen| screen.contains(" keys /") },
    Page { name: "themes", keys: &["c"], seen: |screen| screen.contains(" theme 1/") },
    Page { name: "views", keys: &["V"], seen: |screen| screen.contains("┌ view ") },
    Page { name: "row", keys: &["d"], seen: |screen| screen.contains("┌ row ") },
    Page { name: "filter", keys: &["/"], seen: |screen| last(screen).contains("Tab complete") },
];

/// How many things were opened one in another: the path has a sign before each.
fn depth(screen: &str) -> usize {
    screen
        .lines()
        .find(|line| line.contains("Processes ›") || line.contains("Flows ›"))
        .map_or(0, |line| line.matches(" › ").count())
}

fn last(screen: &str) -> &str {
    screen.lines().last().unwrap_or_default()
}

/// The hints in the last line. Behind those of a filter there is what it can ask about, with a colon.
fn hints(screen: &str) -> Vec<String> {
    let every = last(screen).split("  ").map(str::trim).filter(|hint| !hint.is_empty());
    every.take_while(|hint| !hint.contains(':')).map(str::to_owned).collect()
}

/// The view that is shown, and the line in which its tab is.
fn tab(screen: &str) -> Option<(usize, &str)> {
    let (at, line) =
        screen.lines().enumerate().find(|(_, line)| line.contains(" sort ") || line.contains(" frozen "))?;
    Some((at, line.split_once('[')?.1.split(' ').next()?))
}

/// The line that a chooser marks.
fn marked(screen: &str) -> Option<&str> {
    screen.lines().find_map(|line| line.split_once("│▸ ")).map(|(_, name)| name)
}

/// One hint of one page, in a state that is as before afterwards.
fn try_out(live: &mut Live, page: &Page, hint: &str, before: &str) {
    let back_to = |live: &mut Live, keys: &[&str]| {
        for key in keys {
            live.terminal.press(key);
        }
        live.terminal.until_drawn(&format!("{} is back after {hint}", page.name), |screen| {
            (page.seen)(screen) && hints(screen).first() == hints(before).first()
        });
    };
    let press = |live: &mut Live, key: &str, seen: &dyn Fn(&str) -> bool| {
        live.terminal.press(key);
        live.terminal.until_drawn(&format!("{}: {hint}", page.name), seen);
    };
    let is_table = |screen: &str| screen.contains("[Processes") && screen.contains("q quit");
    match (page.name, hint) {
        ("processes" | "flows" | "process", "Enter open") => {
            press(live, "Enter", &|screen| depth(screen) == depth(before) + 1);
            back_to(live, &["Escape"]);
        }
        ("process" | "flow", "Esc back") => {
            press(live, "Escape", &|screen| depth(screen) == 0 && tab(screen).is_some());
            back_to(live, &["Enter"]);
        }
        ("process", "z zoom") => {
            let now = live.terminal.screen();
            press(live, "z", &|screen| tab(screen) > tab(&now));
            back_to(live, &["z"]);
        }
        ("processes" | "flows" | "process", "Tab view") => {
            let here = tab(before).map(|(_, name)| name);
            press(live, "Tab", &|screen| tab(screen).is_some_and(|(_, name)| Some(name) != here));
            back_to(live, &["BTab"]);
        }
        ("processes" | "flows" | "process" | "flow", "/ filter") => {
            press(live, "/", &|screen| last(screen).contains("Enter look"));
            back_to(live, &["Escape"]);
        }
        ("processes" | "flows" | "process" | "flow", "1-3 sort") => {
            press(live, "2", &|screen| screen.contains(" sort 10s"));
            press(live, "3", &|screen| screen.contains(" sort 40s"));
            press(live, "1", &|screen| screen.contains(" sort 2s"));
            back_to(live, &[]);
        }
        ("processes" | "flows" | "process" | "flow", "r rev") => {
            press(live, "r", &|screen| screen.contains(" sort 2s ▲"));
            back_to(live, &["r"]);
        }
        ("processes" | "flows" | "process" | "flow", "o freeze") => {
            press(live, "o", &|screen| screen.contains(" frozen 2s"));
            back_to(live, &["o"]);
        }
        ("processes" | "flows" | "process" | "flow" | "health", "P pause") => {
            press(live, "P", &|screen| screen.contains("paused"));
            press(live, "P", &|screen| screen.contains("live"));
            back_to(live, &[]);
        }
        ("flows" | "process" | "flow", "t lines") => {
            press(live, "t", &|screen| !screen.contains(" => ") && screen.contains("RX 2s"));
            back_to(live, &["t", "t", "t"]);
        }
        ("processes" | "flows" | "process" | "flow", "b bars") => {
            press(live, "b", &|screen| last(screen).contains("bars: thin"));
            // Round to where it was; any key takes the message away.
            back_to(live, &["b", "b", "b", "b", "Home"]);
        }
        ("help", "? help") => unreachable!("it is open"),
        (_, "? help") => {
            press(live, "?", &|screen| screen.contains(" keys ("));
            let again: &[&str] = if page.name == "row" { &["?", "d"] } else { &["?"] };
            back_to(live, again);
        }
        ("health", "Esc back") => {
            press(live, "Escape", &is_table);
            back_to(live, &["H"]);
        }
        ("help", "/ search") => {
            press(live, "/", &|screen| screen.contains(" keys /"));
            back_to(live, &["Escape"]);
        }
        ("help", "Esc back") => {
            press(live, "Escape", &|screen| is_table(screen) && !screen.contains(" keys ("));
            back_to(live, &["?"]);
        }
        ("searched help", "Enter keep") => {
            live.terminal.press("sort");
            press(live, "Enter", &|screen| screen.contains(" keys /sort (Esc for all)"));
            back_to(live, &["Escape", "/"]);
        }
        ("searched help", "Esc all keys") => {
            live.terminal.press("quit");
            live.terminal.until_drawn("few keys", |screen| !screen.contains("next view"));
            press(live, "Escape", &|screen| screen.contains("next view") && screen.contains(" keys ("));
            back_to(live, &["/"]);
        }
        ("themes" | "views", "j k move") => {
            press(live, "j", &|screen| marked(screen).is_some() && marked(screen) != marked(before));
            press(live, "k", &|screen| marked(screen) == marked(before));
            back_to(live, &[]);
        }
        ("themes", "Enter keep") => {
            press(live, "Enter", &|screen| last(screen).contains("W keeps the theme"));
            back_to(live, &["c"]);
        }
        ("views", "Enter keep") => {
            press(live, "j", &|screen| marked(screen).is_some() && marked(screen) != marked(before));
            press(live, "Enter", &|screen| screen.contains("[Flows") && !screen.contains("┌ view "));
            back_to(live, &["F1", "V"]);
        }
        ("themes" | "views", "Esc back") => {
            press(live, "Escape", &|screen| is_table(screen) && marked(screen).is_none());
            back_to(live, page.keys);
        }
        ("row", "Esc back") => {
            press(live, "Escape", &|screen| is_table(screen) && !screen.contains("┌ row "));
            back_to(live, &["d"]);
        }
        ("filter", "Enter look") => {
            live.terminal.press("proc:client");
            press(live, "Enter", &|screen| screen.contains("[Processes 1]") && screen.contains("filtered"));
            back_to(live, &["0", "/"]);
        }
        ("filter", "Tab complete") => {
            live.terminal.press("contai");
            press(live, "Tab", &|screen| screen.contains(" / container:"));
            back_to(live, &["C-u"]);
        }
        ("filter", "Up earlier") => {
            // What "Enter look" looked for.
            press(live, "Up", &|screen| screen.contains(" / proc:client"));
            back_to(live, &["C-u"]);
        }
        ("filter", "Esc back") => {
            press(live, "Escape", &|screen| is_table(screen) && !screen.contains("Enter look"));
            back_to(live, &["/"]);
        }
        // It ends the program, so it comes last.
        (_, "q quit") => {}
        (name, hint) => panic!("nobody tried what `{hint}` does on the page {name}"),
    }
}

/// Tries every hint of every page at a size.
fn every_hint_works_at(size: (u16, u16)) {
    for page in &PAGES {
        let mut live = Live::new(size, &[], "");
        live.until("both are listed", |screen| screen.contains("client") && screen.contains("server"));
        for key in page.keys {
            live.terminal.press(key);
        }
        let before = live.terminal.until_drawn(page.name, |screen| {
            // There is more to tell of a process than fits on the smaller screen.
            let is_whole = page.name != "process" || size.1 > 24 || last(screen).contains("z zoom");
            (page.seen)(screen) && !hints(screen).is_empty() && is_whole
        });
        let every = hints(&before);
        assert!(every.len() > 1, "{}: {before}", page.name);
        for hint in &every {
            try_out(&mut live, page, hint, &before);
        }
        // At the top of the keys, where there are more than fit.
        if before.contains("j k for more") {
            live.terminal.press("j");
            live.terminal.until_drawn("the keys move", |screen| !screen.contains("open the row"));
        }
        let quits = every.iter().any(|hint| hint == "q quit");
        live.terminal.press(if quits { "q" } else { "C-c" });
        assert_eq!(live.terminal.ended_sane().0, 0, "{}", page.name);
    }
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn every_hint_does_what_it_says_on_80x24() {
    every_hint_works_at((80, 24));
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn every_hint_does_what_it_says_on_200x50() {
    every_hint_works_at((200, 50));
}
