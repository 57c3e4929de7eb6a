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

const PAGES: [Page; 12] = [
    Page { name: "processes", keys: &[], seen: |screen| screen.contains("[Processes") },
    Page { name: "flows", keys: &["Tab"], seen: |screen| screen.contains("[Flows") },
    Page { name: "process", keys: &["Enter"], seen: |screen| depth(screen) == 1 },
    Page { name: "flow", keys: &["Tab", "Enter"], seen: |screen| depth(screen) == 1 },
    Page { name: "health", keys: &["H"], seen: |screen| screen.contains("Where the numbers come from") },
    Page { name: "help", keys: &["?"], seen: |screen| screen.contains(" keys (") },
    Page { name: "searched help", keys: &["?", "/"], seen: |screen| screen.contains(" keys /") },
    Page { name: "themes", keys: &["c"], seen: |screen| screen.contains(" theme 1/") },
    Page { name: "views", keys: &["V"], seen: |screen| screen.contains("┌ view ") },
    Page { name: "interfaces", keys: &["i"], seen: |screen| screen.contains("┌ interface ") },
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

/// A hint of a page that is tried out; the page is as before afterwards.
#[derive(Clone, Copy)]
struct Trial<'t> {
    live: &'t Live,
    page: &'t Page,
    hint: &'t str,
    before: &'t str,
}

impl Trial<'_> {
    /// Types something.
    fn enter(self, keys: &str) {
        self.live.terminal.press(keys);
    }

    /// Presses a key and waits for its effect.
    fn press(self, key: &str, seen: impl Fn(&str) -> bool) {
        self.live.terminal.press(key);
        self.live.terminal.until_drawn(&format!("{}: {}", self.page.name, self.hint), seen);
    }

    /// Presses keys that lead back, and waits until they have; what it is for is done then.
    fn back(self, keys: &[&str]) -> bool {
        for key in keys {
            self.live.terminal.press(key);
        }
        let Self { page, hint, before, .. } = self;
        self.live.terminal.until_drawn(&format!("{} is back after {hint}", page.name), |screen| {
            // What follows may grow: what the kernel tells of sockets comes a moment later.
            (page.seen)(screen) && hints(screen).first() == hints(before).first()
        });
        true
    }
}

fn is_table(screen: &str) -> bool {
    screen.contains("[Processes") && screen.contains("q quit")
}

/// Tries hints about rows and where one is; `false` where it does not know the hint.
fn of_places(trial: Trial<'_>) -> bool {
    let before = trial.before;
    match (trial.page.name, trial.hint) {
        ("processes" | "flows" | "process", "Enter open") => {
            trial.press("Enter", |screen| depth(screen) == depth(before) + 1);
            trial.back(&["Escape"])
        }
        ("process" | "flow", "Esc back") => {
            trial.press("Escape", |screen| depth(screen) == 0 && tab(screen).is_some());
            trial.back(&["Enter"])
        }
        ("process", "z zoom") => {
            let now = trial.live.terminal.screen();
            trial.press("z", |screen| tab(screen) > tab(&now));
            trial.back(&["z"])
        }
        ("processes" | "flows" | "process", "Tab view") => {
            let here = tab(before).map(|(_, name)| name);
            trial.press("Tab", |screen| tab(screen).is_some_and(|(_, name)| Some(name) != here));
            trial.back(&["BTab"])
        }
        (_, "? help") => {
            trial.press("?", |screen| screen.contains(" keys ("));
            trial.back(if trial.page.name == "row" { &["?", "d"] } else { &["?"] })
        }
        // It ends the program, so it comes last.
        (_, "q quit") => true,
        _ => false,
    }
}

/// Tries hints about what a table shows; `false` where it does not know the hint.
fn of_tables(trial: Trial<'_>) -> bool {
    match (trial.page.name, trial.hint) {
        ("processes" | "flows" | "process" | "flow" | "health", "P pause") => {
            trial.press("P", |screen| screen.contains("paused"));
            trial.press("P", |screen| screen.contains("live"));
            trial.back(&[])
        }
        ("flows" | "process" | "flow", "t lines") => {
            trial.press("t", |screen| !screen.contains(" => ") && screen.contains("RX 2s"));
            trial.back(&["t", "t", "t"])
        }
        ("processes" | "flows" | "process" | "flow", "/ filter") => {
            trial.press("/", |screen| last(screen).contains("Enter look"));
            trial.back(&["Escape"])
        }
        ("processes" | "flows" | "process" | "flow", "1-3 sort") => {
            trial.press("2", |screen| screen.contains(" sort 10s"));
            trial.press("3", |screen| screen.contains(" sort 40s"));
            trial.press("1", |screen| screen.contains(" sort 2s"));
            trial.back(&[])
        }
        ("processes" | "flows" | "process" | "flow", "r rev") => {
            trial.press("r", |screen| screen.contains(" sort 2s ▲"));
            trial.press("r", |screen| screen.contains(" sort 2s ▼"));
            trial.back(&[])
        }
        ("processes" | "flows" | "process" | "flow", "o freeze") => {
            trial.press("o", |screen| screen.contains(" frozen 2s"));
            trial.press("o", |screen| screen.contains(" sort 2s"));
            trial.back(&[])
        }
        ("processes" | "flows" | "process" | "flow", "b bars") => {
            trial.press("b", |screen| last(screen).contains("bars: thin"));
            // Round to where it was; any key takes the message away.
            trial.back(&["b", "b", "b", "b", "Home"])
        }
        _ => false,
    }
}

/// Tries hints of what is over a table or in its place; `false` where it does not know the hint.
fn of_what_is_over(trial: Trial<'_>) -> bool {
    let before = trial.before;
    match (trial.page.name, trial.hint) {
        ("health", "Esc back") => {
            trial.press("Escape", is_table);
            trial.back(&["H"])
        }
        ("help", "/ search") => {
            trial.press("/", |screen| screen.contains(" keys /"));
            trial.back(&["Escape"])
        }
        ("help", "Esc back") => {
            trial.press("Escape", |screen| is_table(screen) && !screen.contains(" keys ("));
            trial.back(&["?"])
        }
        ("searched help", "Enter keep") => {
            trial.enter("sort");
            trial.press("Enter", |screen| screen.contains(" keys /sort (Esc for all)"));
            trial.back(&["Escape", "/"])
        }
        ("searched help", "Esc all keys") => {
            trial.enter("quit");
            trial.live.terminal.until_drawn("few keys", |screen| !screen.contains("next view"));
            trial.press("Escape", |screen| screen.contains("next view") && screen.contains(" keys ("));
            trial.back(&["/"])
        }
        ("themes" | "views" | "interfaces", "j k move") => {
            trial.press("j", |screen| marked(screen).is_some() && marked(screen) != marked(before));
            trial.press("k", |screen| marked(screen) == marked(before));
            trial.back(&[])
        }
        ("themes", "Enter keep") => {
            trial.press("Enter", |screen| last(screen).contains("W keeps the theme"));
            trial.back(&["c"])
        }
        ("interfaces", "Enter keep") => {
            trial.press("Enter", |screen| is_table(screen) && marked(screen).is_none());
            trial.back(&["i"])
        }
        ("views", "Enter keep") => {
            trial.press("j", |screen| marked(screen).is_some() && marked(screen) != marked(before));
            trial.press("Enter", |screen| screen.contains("[Flows") && !screen.contains("┌ view "));
            trial.back(&["F1", "V"])
        }
        ("themes" | "views" | "interfaces", "Esc back") => {
            trial.press("Escape", |screen| is_table(screen) && marked(screen).is_none());
            trial.back(trial.page.keys)
        }
        ("row", "Esc back") => {
            trial.press("Escape", |screen| is_table(screen) && !screen.contains("┌ row "));
            trial.back(&["d"])
        }
        _ => false,
    }
}

/// Tries hints of the line of a filter; `false` where it does not know the hint.
fn of_a_filter(trial: Trial<'_>) -> bool {
    match (trial.page.name, trial.hint) {
        ("filter", "Enter look") => {
            trial.enter("proc:client");
            trial.press("Enter", |screen| screen.contains("[Processes 1]") && screen.contains("filtered"));
            trial.back(&["0", "/"])
        }
        ("filter", "Tab complete") => {
            trial.enter("contai");
            trial.press("Tab", |screen| screen.contains(" / container:"));
            trial.back(&["C-u"])
        }
        ("filter", "Up earlier") => {
            // What "Enter look" looked for.
            trial.press("Up", |screen| screen.contains(" / proc:client"));
            trial.back(&["C-u"])
        }
        ("filter", "Esc back") => {
            trial.press("Escape", |screen| is_table(screen) && !screen.contains("Enter look"));
            trial.back(&["/"])
        }
        _ => false,
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
            let trial = Trial { live: &live, page, hint, before: &before };
            let is_known =
                [of_places, of_tables, of_what_is_over, of_a_filter].iter().any(|try_it| try_it(trial));
            assert!(is_known, "nobody tried what `{hint}` does on the page {}: {before}", page.name);
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
