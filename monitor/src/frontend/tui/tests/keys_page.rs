//! docs/keys.md, the keys from their table and the mouse; and docs/from-iftop.md, what became of the keys and options of
//! iftop and iftoprs. The tables of these are in `iftop` and `iftoprs`, with the tests that show each row; tidy's `cases`
//! checks that there are such tests.

mod iftop;
mod iftoprs;

use super::docs::check;
use crate::frontend::tui::keymap::{Action, BINDINGS, Display};
use crate::frontend::tui::view::LEGEND;
use crate::query::Window;
use std::fmt::Write as _;

/// What became of a key, an option or a setting of an ancestor.
enum Fate {
    /// A key here does it.
    Key(Action),
    /// The same option, or what to write instead.
    Option(&'static str),
    /// It is not there, because.
    Not(&'static str),
}

use Fate::{Key, Not, Option as Opt};

/// One key, option or setting of an ancestor.
struct Row {
    /// What it is called there.
    there: &'static str,
    /// What it does there.
    what: &'static str,
    fate: Fate,
    /// The tests that show it: of all that works, and of what stands in for some that does not.
    tests: &'static [&'static str],
}

const fn row(there: &'static str, what: &'static str, fate: Fate, tests: &'static [&'static str]) -> Row {
    Row { there, what, fate, tests }
}

/// Keys that are the same in both.
const BOTH: &[Row] = &[
    row(
        "n",
        "host names",
        Key(Action::Display(Display::Hosts)),
        &["names_of_hosts_and_services_and_ports_come_and_go"],
    ),
    row(
        "t",
        "line mode",
        Key(Action::Display(Display::LineMode)),
        &["t_goes_through_the_line_modes_of_both"],
    ),
    row(
        "N",
        "service names",
        Key(Action::Display(Display::Services)),
        &["names_of_hosts_and_services_and_ports_come_and_go"],
    ),
    row(
        "p",
        "ports",
        Key(Action::Display(Display::Ports)),
        &["names_of_hosts_and_services_and_ports_come_and_go"],
    ),
    row("1", "sort by 2 s", Key(Action::Sort(Window::Two)), &["digits_sort_and_r_reverses"]),
    row("2", "sort by 10 s", Key(Action::Sort(Window::Ten)), &["digits_sort_and_r_reverses"]),
    row("3", "sort by 40 s", Key(Action::Sort(Window::Forty)), &["digits_sort_and_r_reverses"]),
    row(
        "<",
        "sort by source",
        Key(Action::PreviousColumn),
        &["flows_are_sorted_by_source_and_destination_as_in_iftop"],
    ),
    row(
        ">",
        "sort by destination",
        Key(Action::NextColumn),
        &["flows_are_sorted_by_source_and_destination_as_in_iftop"],
    ),
    row("P", "pause", Key(Action::Pause), &["pausing_keeps_what_is_shown_until_it_ends"]),
    row("h", "help", Key(Action::Help), &["lines_bars_and_help_toggle"]),
    row("?", "help", Key(Action::Help), &["the_help_is_searched"]),
    row("q", "quit", Key(Action::Quit), &["quit_and_redraw_have_effects"]),
];

/// All of them, under their headings.
const ANCESTORS: [(&str, &[Row]); 8] = [
    ("iftop and iftoprs: keys", BOTH),
    ("iftop: more keys", iftop::KEYS),
    ("iftop: options", iftop::OPTIONS),
    ("iftop: settings", iftop::SETTINGS),
    ("iftoprs: more keys", iftoprs::KEYS),
    ("iftoprs: mouse", iftoprs::MOUSE),
    ("iftoprs: options", iftoprs::OPTIONS),
    ("iftoprs: settings", iftoprs::SETTINGS),
];

/// docs/keys.md.
fn keys_page() -> String {
    let mut page = String::from(
        "# Keys\nThis page is made from the table that drives the program: `MONITOR_WRITE_DOCS=1 cargo test -p monitor docs`.\n\n\
         | key | what it does |\n|---|---|\n",
    );
    for binding in BINDINGS {
        let only = binding.only.map_or(String::new(), |view| format!(" (in {})", view.title()));
        line(&mut page, &[&code(&binding.spelled()), &format!("{}{only}", binding.help)]);
    }
    page += "\nWhere text is typed: `^A ^E Home End`, arrows, `^U ^K ^W`, `Backspace`, `Delete`, `Enter`, `Esc`.\n\n\
        ## Mouse and signs\n| | |\n|---|---|\n";
    for (sign, meaning) in LEGEND {
        line(&mut page, &[sign, meaning]);
    }
    page += "\n`--no-mouse` and `M` leave the mouse to the terminal, so that it selects text.\n";
    page += "\nWhat became of the keys and options of iftop and iftoprs: [from-iftop.md](from-iftop.md).\n";
    page
}

/// docs/from-iftop.md.
fn ancestors_page() -> String {
    let mut page = String::from(
        "# From iftop and iftoprs\nEvery key, option and setting that they have, and what became of it. Made by \
         `MONITOR_WRITE_DOCS=1 cargo test -p monitor docs`.\n",
    );
    for (name, rows) in ANCESTORS {
        // Writing to a String cannot fail.
        let _ = write!(page, "\n## {name}\n| there | what | here |\n|---|---|---|\n");
        for Row { there, what, fate, .. } in rows {
            let here = match fate {
                Key(action) => spelled(*action),
                Opt(option) => (*option).to_owned(),
                Not(reason) => format!("no: {reason}"),
            };
            line(&mut page, &[&code(there), what, &here]);
        }
    }
    page
}

fn spelled(action: Action) -> String {
    BINDINGS
        .iter()
        .find(|binding| binding.action == action)
        .map_or_else(String::new, |binding| code(&binding.spelled()))
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn line(page: &mut String, cells: &[&str]) {
    // Writing to a String cannot fail.
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}

#[test]
fn docs_keys_and_what_became_of_others() {
    check(&keys_page(), "keys.md");
    check(&ancestors_page(), "from-iftop.md");
}

#[test]
fn what_is_said_to_work_has_a_key_and_a_test() {
    for Row { there, fate, tests, .. } in ANCESTORS.iter().flat_map(|(_, rows)| *rows) {
        match fate {
            Key(action) => assert!(!spelled(*action).is_empty() && !tests.is_empty(), "{there}"),
            Opt(here) => assert!(!here.is_empty() && !tests.is_empty(), "{there}"),
            Not(reason) => assert!(!reason.is_empty(), "{there}"),
        }
    }
}

/// What the program reads on the command line and in the settings is what the page promises.
#[test]
fn options_and_settings_that_are_named_here_exist() {
    use crate::config::{Cli, OPTIONS};
    use clap::CommandFactory;
    let command = Cli::command();
    let exists = |word: &str| {
        if let Some(long) = word.strip_prefix("--") {
            let is_long = |option: &clap::Arg| option.get_long() == Some(long);
            return ["help", "version"].contains(&long) || command.get_arguments().any(is_long);
        }
        let short = word.chars().nth(1);
        ["-h", "-V"].contains(&word) || command.get_arguments().any(|option| option.get_short() == short)
    };
    for (heading, rows) in ANCESTORS {
        for Row { there, fate, .. } in rows {
            let Opt(here) = fate else { continue };
            let quoted = here.split('`').skip(1).step_by(2).flat_map(|text| text.split(' '));
            let mut options: Vec<&str> = quoted.filter(|word| word.starts_with('-')).collect();
            if here.starts_with("the same") {
                options.extend(there.split(' ').filter(|word| word.starts_with('-')));
            }
            assert!(options.iter().all(|option| exists(option)), "{there}: {options:?}");
            if heading.ends_with("settings") && here.starts_with('`') {
                let name = here.split('`').nth(1);
                assert!(OPTIONS.iter().any(|option| Some(option.name) == name), "{there}: {name:?}");
            }
        }
    }
}
