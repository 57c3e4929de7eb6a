//! iftoprs' keys, mouse, options and settings: what became of each, and which test shows it.

use super::Fate::{Key, Not, Option as Opt};
use super::{Row, row};
use crate::frontend::tui::keymap::{Action, Display, Motion};

const FILES: &str =
    "themes are files with names for colours: one in `themes/` beside the settings is in the chooser";

/// Keys.
pub(super) const KEYS: &[Row] = &[
    row("Tab", "next view", Key(Action::NextView), &["tab_goes_round_the_views_both_ways"]),
    row("BackTab", "previous view", Key(Action::PreviousView), &["tab_goes_round_the_views_both_ways"]),
    row(
        "Z",
        "process column",
        Key(Action::Display(Display::Owners)),
        &["z_shows_flows_without_processes_and_with_them"],
    ),
    row(
        "b",
        "bar style",
        Key(Action::Display(Display::Bars)),
        &["bars_follow_style_scale_window_and_maximum"],
    ),
    row("B", "bytes or bits", Key(Action::Display(Display::Unit)), &["units_are_those_that_were_asked_for"]),
    row(
        "T",
        "tooltips",
        Key(Action::Display(Display::Tooltips)),
        &["the_right_button_tells_more_and_the_middle_one_pins"],
    ),
    row("U", "totals", Key(Action::Display(Display::Totals)), &["parts_of_the_screen_come_and_go"]),
    row("x", "border", Key(Action::Display(Display::Border)), &["parts_of_the_screen_come_and_go"]),
    row("g", "header", Key(Action::Display(Display::Header)), &["parts_of_the_screen_come_and_go"]),
    row("f", "refresh", Key(Action::Refresh), &["refresh_goes_round_and_the_engine_is_told"]),
    row("r", "reverse", Key(Action::Reverse), &["digits_sort_and_r_reverses"]),
    row("o", "freeze", Key(Action::Freeze), &["a_frozen_order_stays_and_a_sort_thaws_it"]),
    row("j Down", "down", Key(Action::Move(Motion::Down)), &["every_key_that_moves_moves"]),
    row("k Up", "up", Key(Action::Move(Motion::Up)), &["every_key_that_moves_moves"]),
    row("^D", "half a page down", Key(Action::Move(Motion::PageDown)), &["every_key_that_moves_moves"]),
    row("^U", "half a page up", Key(Action::Move(Motion::PageUp)), &["every_key_that_moves_moves"]),
    row("G End", "last row", Key(Action::Move(Motion::Last)), &["every_key_that_moves_moves"]),
    row("Home", "first row", Key(Action::Move(Motion::First)), &["every_key_that_moves_moves"]),
    row("Enter", "drill", Key(Action::Open), &["the_path_leads_down_and_back_up_to_where_one_was"]),
    row(
        "Esc",
        "back, clear",
        Key(Action::Back),
        &[
            "the_path_leads_down_and_back_up_to_where_one_was",
            "the_filter_and_the_networks_of_the_command_line_are_where_the_screen_begins",
        ],
    ),
    row("/", "filter", Key(Action::Find), &["l_and_slash_filter_and_0_ends_it"]),
    row("Enter Esc", "in the filter", Opt("the same"), &["l_and_slash_filter_and_0_ends_it"]),
    row("arrows", "in the filter", Opt("the same"), &["it_edits_as_the_ancestors_do"]),
    row("Home End", "in the filter", Opt("the same"), &["it_edits_as_the_ancestors_do"]),
    row("^A ^E ^U ^K ^W", "in the filter", Opt("the same"), &["it_edits_as_the_ancestors_do"]),
    row("0", "no filter", Key(Action::FindNothing), &["l_and_slash_filter_and_0_ends_it"]),
    row(
        "c",
        "theme chooser",
        Key(Action::Themes),
        &["the_chooser_shows_what_is_marked_and_keeps_what_is_entered"],
    ),
    row("C", "theme editor", Not(FILES), &["user_themes_are_added_and_their_mistakes_named"]),
    row("j k h l H L s S", "in the theme editor", Not(FILES), &[]),
    row(
        "i",
        "interface chooser",
        Key(Action::Interfaces),
        &[
            "a_chosen_interface_limits_lists_and_totals_at_once",
            "what_is_not_counted_is_counted_once_it_is_chosen",
        ],
    ),
    row("y", "copy", Key(Action::Copy), &["what_leaves_the_screen_is_asked_for"]),
    row("F", "pin", Key(Action::Pin), &["pinned_rows_stay_on_top_of_any_order"]),
    row("e", "export", Key(Action::Export), &["an_export_is_the_callers_and_never_written_over"]),
    row(
        "q",
        "and save",
        Not("`W` writes the settings, and nothing else does"),
        &["settings_are_written_when_asked_and_a_broken_file_is_left_alone"],
    ),
    row("^C", "quit", Key(Action::Quit), &["quit_and_redraw_have_effects"]),
];

/// The mouse.
pub(super) const MOUSE: &[Row] = &[
    row(
        "left click",
        "select",
        Opt("the same; on a title it sorts, on a hint it does that"),
        &["a_click_selects_sorts_switches_and_does_what_a_hint_says"],
    ),
    row(
        "right click on a row",
        "tooltip",
        Opt("the same"),
        &["the_right_button_tells_more_and_the_middle_one_pins"],
    ),
    row(
        "right click on the header",
        "its tooltip",
        Not("the header has words, and `H` tells all of it"),
        &[],
    ),
    row("middle click", "pin", Opt("the same"), &["the_right_button_tells_more_and_the_middle_one_pins"]),
    row("wheel", "move", Opt("the same"), &["the_wheel_moves_and_shows_theme_after_theme"]),
    row(
        "wheel in the theme chooser",
        "next theme",
        Opt("the same"),
        &["the_wheel_moves_and_shows_theme_after_theme"],
    ),
    row("hover", "tooltip", Not("it would send every motion of the mouse through ssh; right click"), &[]),
];

/// Options.
pub(super) const OPTIONS: &[Row] = &[
    row(
        "-c --config FILE",
        "configuration",
        Opt("the same, other names in it: `monitor config print`"),
        &["mistakes_in_the_settings_name_line_and_way_out_and_the_file_stays"],
    ),
    row(
        "-i --interface IF",
        "interface",
        Opt("the same, repeatable"),
        &["what_sockets_move_closes_to_the_byte"],
    ),
    row(
        "-f EXPR",
        "filter of libpcap",
        Opt("the same, captures packets where libpcap is built in (docs/pcap.md)"),
        &["a_filter_and_a_net_leave_out_what_they_say"],
    ),
    row(
        "--filter EXPR",
        "the long name of -f",
        Opt("`-f`, `--capture-filter`; `--filter` is another language (docs/filter.md)"),
        &["a_filter_and_a_net_leave_out_what_they_say", "short_and_long_names_are_one"],
    ),
    row(
        "-F --net-filter CIDR",
        "network",
        Opt("the same, captures packets where libpcap is built in; `--filter net:CIDR` needs none"),
        &["a_filter_and_a_net_leave_out_what_they_say", "short_and_long_names_are_one"],
    ),
    row(
        "-n --no-dns",
        "no host names",
        Opt("the same"),
        &["no_dns_begins_with_addresses_and_n_asks_for_names", "short_and_long_names_are_one"],
    ),
    row(
        "-N --no-port-names",
        "no service names",
        Opt("the same"),
        &["notation_of_the_ancestors", "short_and_long_names_are_one"],
    ),
    row(
        "-p --promiscuous",
        "promiscuous",
        Opt("the same, with `-i`"),
        &["promiscuous_sees_what_is_for_others_and_ends_with_monitor", "short_and_long_names_are_one"],
    ),
    row(
        "-b --no-bars",
        "no bars",
        Opt("the same"),
        &["bars_begin_as_options_and_settings_say", "short_and_long_names_are_one"],
    ),
    row(
        "-B --bytes",
        "bytes",
        Opt("the same; in `--json` nothing changes"),
        &["notation_of_the_ancestors", "short_and_long_names_are_one"],
    ),
    row(
        "-P --hide-ports",
        "no ports",
        Opt("the same"),
        &["notation_of_the_ancestors", "short_and_long_names_are_one"],
    ),
    row(
        "-Z --no-processes",
        "no processes",
        Opt("the same, on the screen; it saves nothing: the kernel tells the owner with the bytes"),
        &["without_processes_flows_have_none_until_z", "short_and_long_names_are_one"],
    ),
    row(
        "-l --list-interfaces",
        "interfaces",
        Opt("the same"),
        &["interfaces_are_listed_without_privileges", "short_and_long_names_are_one"],
    ),
    row("--json", "JSON", Opt("the same, other names in it (docs/json.md)"), &["the_fixed_names_are_there"]),
    row(
        "--list-colors",
        "themes",
        Opt("the same"),
        &["themes_are_listed_one_a_line_and_a_wrong_name_gets_the_nearest"],
    ),
    row(
        "--completions SHELL",
        "completions",
        Opt("the same five shells"),
        &["completions_are_printed_for_every_shell"],
    ),
    row("-h --help", "help", Opt("the same"), &["help_and_version_are_printed"]),
    row("-V --version", "version", Opt("the same"), &["help_and_version_are_printed"]),
];

/// Keys of `~/.iftoprs.conf`.
pub(super) const SETTINGS: &[Row] = &[
    row(
        "theme",
        "31 names",
        Opt("`theme`, the same names and more"),
        &["every_theme_of_iftoprs_has_its_name", "names_are_found_however_they_are_spelled"],
    ),
    row("dns_resolution", "", Opt("`hosts`"), &["settings_of_the_ancestors_show"]),
    row("port_resolution", "", Opt("`services`"), &["settings_of_the_ancestors_show"]),
    row("show_ports", "", Opt("`ports`"), &["settings_of_the_ancestors_show"]),
    row("show_bars", "", Opt("`bars`"), &["settings_of_the_ancestors_show"]),
    row("show_border", "", Opt("`border`"), &["settings_of_the_ancestors_show"]),
    row("show_header", "", Opt("`header`"), &["settings_of_the_ancestors_show"]),
    row("show_processes", "", Opt("`owners`"), &["settings_of_the_ancestors_show"]),
    row("hover_tooltips", "", Opt("`tooltips`, on a right click"), &["settings_of_the_ancestors_show"]),
    row("show_cumulative", "", Opt("`totals`"), &["settings_of_the_ancestors_show"]),
    row("use_bytes", "", Opt("`unit`"), &["settings_of_the_ancestors_show"]),
    row("bar_style", "", Opt("`bars`, the same four"), &["bars_follow_style_scale_window_and_maximum"]),
    row("refresh_rate", "", Opt("`interval`"), &["settings_of_the_ancestors_show"]),
    row(
        "alert_threshold",
        "bytes/s of a flow",
        Opt("`alert`, `--alert RATE`: of any row"),
        &[
            "a_row_that_moves_more_than_the_alert_is_marked_and_counted",
            "an_alert_is_shown_in_a_real_terminal",
        ],
    ),
    row("interface", "", Opt("`interface`, a list"), &["an_interface_of_the_settings_is_looked_at"]),
    row(
        "pinned",
        "pairs of hosts",
        Not(
            "pins are of a run: pids and ports are others in the next; `--filter` finds a host or a name again",
        ),
        &[],
    ),
    row("custom_themes", "", Not(FILES), &["user_themes_are_added_and_their_mistakes_named"]),
    row("active_custom_theme", "", Opt("`theme`"), &["user_themes_are_added_and_their_mistakes_named"]),
    row(
        "any mistake",
        "defaults, and the file is written over",
        Opt("is told with its line, and the file stays"),
        &["mistakes_in_the_settings_name_line_and_way_out_and_the_file_stays"],
    ),
    row(
        "saving on every toggle",
        "",
        Not("only `W` writes the settings file"),
        &["settings_are_written_when_asked_and_a_broken_file_is_left_alone"],
    ),
];
