//! docs/keys.md: the keys from their table, the mouse, and what became of the keys and options of iftop and iftoprs.

use super::keymap::{Action, BINDINGS};
use super::view::LEGEND;
use std::fmt::Write as _;

/// What became of a key or an option of an ancestor.
enum Fate {
    /// A key here does it.
    Key(Action),
    /// The same option, or what to write instead.
    Option(&'static str),
    /// It is not there, because.
    Not(&'static str),
}

use Fate::{Key, Not, Option as Opt};

/// The keys and options of iftop.
const IFTOP: &[(&str, &str, Fate)] = &[
    ("j k", "scroll", Key(Action::Down)),
    ("t", "line mode", Key(Action::LineMode)),
    ("1 2 3", "sort by 2, 10, 40 s", Key(Action::Sort(crate::query::Window::Two))),
    ("< >", "sort by source, destination", Key(Action::NextColumn)),
    ("o", "freeze the order", Key(Action::Freeze)),
    ("P", "pause", Key(Action::Pause)),
    ("b", "bars", Key(Action::Bars)),
    ("B", "average of the bars", Key(Action::BarWindow)),
    ("L", "linear or logarithmic", Key(Action::Scale)),
    ("T", "cumulative column", Not("totals are columns wherever there is room")),
    ("h ?", "help", Key(Action::Help)),
    ("^L", "redraw", Key(Action::Redraw)),
    ("q", "quit", Key(Action::Quit)),
    ("s d", "fold source, destination", Not("the views do that: a tab each for what flows can be folded by")),
    ("S D", "source, destination port", Not("both ports, or none")),
    ("f", "edit the filter of libpcap", Not("`f` is iftoprs' refresh; `-f` says it at the start")),
    ("!", "shell", Not("a program that runs as root starts no shell; Ctrl-Z goes back to yours")),
    ("n", "host names", Key(Action::Hosts)),
    ("N", "service names", Key(Action::Services)),
    ("p", "ports", Key(Action::Ports)),
    ("-i -n -N -p -h", "as there", Opt("the same")),
    ("-P", "ports on", Opt("they are; `-P` hides them, as in iftoprs")),
    ("-F -G NET", "networks", Opt("the same, on captured packets; `--filter net:NET` on all")),
    ("-L N", "lines", Opt("`-L N`")),
    ("-u UNIT", "units", Opt("`--unit`")),
    ("l", "screen filter", Not("`/` is the same and more: totals follow it")),
    ("-b", "no bars", Opt("`-b`")),
    ("-B", "bytes", Opt("`-B`")),
    ("-m LIMIT", "maximum of the scale", Opt("`-m RATE`")),
    ("-c FILE", "configuration", Opt("`-c FILE`, another format: `monitor config print`")),
    ("-t -s N", "text", Opt("`-t -s N`")),
    ("-o ORDER", "order", Opt("`-o ORDER`: 2s, 10s, 40s, source, destination or any column")),
    ("-l", "count link-local IPv6", Not("everything is counted")),
    ("-f EXPR", "filter of libpcap", Opt("the same, captures packets (docs/pcap.md)")),
    ("-S PORT", "web server (a fork)", Not("it opens no port; use `--json`")),
];

/// The keys and options of iftoprs.
const IFTOPRS: &[(&str, &str, Fate)] = &[
    ("Tab, Shift-Tab", "views", Key(Action::NextView)),
    ("t", "line mode", Key(Action::LineMode)),
    ("b", "bar style", Key(Action::Bars)),
    ("n", "host names", Key(Action::Hosts)),
    ("N", "service names", Key(Action::Services)),
    ("p", "ports", Key(Action::Ports)),
    ("Z", "process column", Not("whose bytes they are is what the program is for; `t` gives lines without")),
    ("i", "interface chooser", Key(Action::Interfaces)),
    ("B", "bytes or bits", Key(Action::Unit)),
    ("T", "tooltips", Key(Action::Tooltips)),
    ("U", "totals", Key(Action::Totals)),
    ("P", "pause", Key(Action::Pause)),
    ("x", "border", Key(Action::Border)),
    ("g", "header", Key(Action::Header)),
    ("f", "refresh", Key(Action::Refresh)),
    ("1 2 3", "sort", Key(Action::Sort(crate::query::Window::Two))),
    ("< >", "sort by source, destination", Key(Action::NextColumn)),
    ("r", "reverse", Key(Action::Reverse)),
    ("o", "freeze", Key(Action::Freeze)),
    ("j k, arrows", "move", Key(Action::Down)),
    ("^D ^U", "half a page", Key(Action::PageDown)),
    ("G, End, Home", "ends", Key(Action::Last)),
    ("Enter", "drill", Key(Action::Open)),
    ("Esc", "back, clear", Key(Action::Back)),
    ("c", "theme chooser", Key(Action::Themes)),
    ("C", "theme editor", Not("themes are files: put one into `themes/` beside the settings file")),
    ("y", "copy", Key(Action::Copy)),
    ("F", "pin", Key(Action::Pin)),
    ("e", "export", Key(Action::Export)),
    ("h ?", "help", Key(Action::Help)),
    ("q, ^C", "quit", Key(Action::Quit)),
    (
        "hover",
        "tooltip after a second",
        Not("it would send every motion of the mouse through ssh; right click"),
    ),
    ("saving on every toggle", "", Not("only `W` writes the settings file")),
    ("-c --config", "configuration", Opt("the same, another format")),
    ("-i -n -N -p -P -B -b", "as there", Opt("the same")),
    ("-f EXPR", "filter of libpcap", Opt("the same, captures packets (docs/pcap.md)")),
    ("--filter EXPR", "the same", Opt("`-f`; `--filter` is another language (docs/filter.md)")),
    ("-F CIDR", "network", Opt("the same, on captured packets; `--filter net:CIDR` on all")),
    ("-Z", "no processes", Not("there is nothing to save: the kernel tells the owner")),
    ("-l --list-interfaces", "interfaces", Opt("the same")),
    ("--json", "JSON", Opt("`--json`, docs/json.md")),
    ("--list-colors", "themes", Opt("`--list-colors`")),
    ("--completions SHELL", "completions", Opt("`--completions SHELL`")),
    ("-h -V", "help, version", Opt("the same")),
];

/// The page.
pub fn keys_page() -> String {
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
    for (name, fates) in [("iftop", IFTOP), ("iftoprs", IFTOPRS)] {
        // Writing to a String cannot fail.
        let _ = write!(page, "\n## For users of {name}\n| there | what | here |\n|---|---|---|\n");
        for (there, what, fate) in fates {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docs_keys_are_up_to_date() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/keys.md");
        if std::env::var_os("MONITOR_WRITE_DOCS").is_some() {
            std::fs::write(&path, keys_page()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), keys_page());
    }

    #[test]
    fn every_key_of_an_ancestor_that_is_said_to_work_has_a_binding() {
        for (there, _, fate) in IFTOP.iter().chain(IFTOPRS) {
            if let Key(action) = fate {
                assert!(!spelled(*action).is_empty(), "{there}");
            }
        }
    }
}
