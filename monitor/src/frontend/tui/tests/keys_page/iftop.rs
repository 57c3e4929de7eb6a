//! iftop's keys, options and settings: what became of each, and which test shows it.

use super::Fate::{Key, Not, Option as Opt};
use super::{Row, row};
use crate::frontend::tui::keymap::{Action, Display, Motion};

const VIEWS: &str = "views do that: Hosts, Networks, Services and Ports each fold flows by one thing";
const OPEN: &str =
    "an option of the command line restricts what is counted, so that a file never does unseen";
const TEXT_KEYS: &str = "`-t` reads no keys, for its input may be a pipe; options say it before";
const WEB: &str = "it opens no port; `--json` gives more, to whoever reads it";
const MODES: &str = "a setting does not turn the screen into text: scripts say so themselves";

/// Keys of the screen and of text mode.
pub(super) const KEYS: &[Row] = &[
    row("s", "fold by source", Not(VIEWS), &[]),
    row("d", "fold by destination", Not(VIEWS), &[]),
    row("S", "source port", Not("ports are shown at both ends or at none; `<` sorts by source"), &[]),
    row(
        "D",
        "destination port",
        Not("ports are shown at both ends or at none; `>` sorts by destination"),
        &[],
    ),
    row("o", "freeze the order", Key(Action::Freeze), &["a_frozen_order_stays_and_a_sort_thaws_it"]),
    row("b", "bars", Key(Action::Display(Display::Bars)), &["bars_follow_style_scale_window_and_maximum"]),
    row(
        "B",
        "average of the bars",
        Key(Action::Display(Display::BarWindow)),
        &["w_gives_the_bars_another_average"],
    ),
    row("T", "cumulative column", Not("totals are columns wherever there is room"), &[]),
    row("j", "down", Key(Action::Move(Motion::Down)), &["every_key_that_moves_moves"]),
    row("k", "up", Key(Action::Move(Motion::Up)), &["every_key_that_moves_moves"]),
    row("f", "edit the filter of libpcap", Not("`f` is iftoprs' refresh; `-f` says it at the start"), &[]),
    row("l", "screen filter", Key(Action::Find), &["l_and_slash_filter_and_0_ends_it"]),
    row(
        "L",
        "linear or logarithmic",
        Key(Action::Display(Display::Scale)),
        &["bars_follow_style_scale_window_and_maximum"],
    ),
    row(
        "!",
        "shell",
        Not("a program that runs as root starts no shell; Ctrl-Z goes back to yours"),
        &["control_z_goes_back_to_the_shell_and_returns"],
    ),
    row("^L", "redraw", Key(Action::Redraw), &["quit_and_redraw_have_effects"]),
    row("^A ^E ^U ^W", "in a line", Opt("the same, and `^K`"), &["it_edits_as_the_ancestors_do"]),
    row("arrows", "in a line", Opt("the same"), &["it_edits_as_the_ancestors_do"]),
    row("Home End", "in a line", Opt("the same"), &["it_edits_as_the_ancestors_do"]),
    row("Del Backspace", "in a line", Opt("the same"), &["it_edits_as_the_ancestors_do"]),
    row(
        "u",
        "text mode: print now",
        Not("`--interval` prints as often as you like; `-t` reads no keys"),
        &[],
    ),
    row("n N s d S D p P", "text mode: what is shown", Not(TEXT_KEYS), &[]),
    row("o 1 2 3 < >", "text mode: the order", Not(TEXT_KEYS), &[]),
    row("q", "text mode: quit", Not("Ctrl-C ends it, and what was counted is printed first"), &[]),
];

/// Options.
pub(super) const OPTIONS: &[Row] = &[
    row("-h", "help", Opt("`-h`, on standard output, exit status 0"), &["help_and_version_are_printed"]),
    row("-n", "no host names", Opt("`-n`"), &["no_dns_begins_with_addresses_and_n_asks_for_names"]),
    row("-N", "no service names", Opt("`-N`"), &["notation_of_the_ancestors"]),
    row(
        "-p",
        "promiscuous",
        Opt("`-p`, with `-i`"),
        &["promiscuous_sees_what_is_for_others_and_ends_with_monitor"],
    ),
    row("-P", "ports on", Opt("they are; `-P` hides them, as in iftoprs"), &["notation_of_the_ancestors"]),
    row("-b", "no bars", Opt("`-b`"), &["bars_begin_as_options_and_settings_say"]),
    row("-B", "bytes", Opt("`-B`"), &["notation_of_the_ancestors"]),
    row(
        "-u bits",
        "units",
        Opt("`-u bits`; `-u bin-bits` steps by 1024 as iftop does"),
        &["notation_of_the_ancestors"],
    ),
    row("-u bytes", "units", Opt("`-u bytes`, or `-u bin-bytes`"), &["notation_of_the_ancestors"]),
    row(
        "-u packets",
        "units",
        Not("rates are of bytes; `d`, the page of a row and `--json` count packets"),
        &[],
    ),
    row("-a", "packets", Not("iftop's help has it and iftop refuses it, too"), &[]),
    row("-i IF", "interface", Opt("`-i IF`, repeatable"), &["what_sockets_move_closes_to_the_byte"]),
    row(
        "-f EXPR",
        "filter of libpcap",
        Opt("`-f EXPR`, captures packets where libpcap is built in (docs/pcap.md)"),
        &["a_filter_and_a_net_leave_out_what_they_say"],
    ),
    row(
        "-F NET",
        "IPv4 network, by length or mask",
        Opt("`-F NET`, captures packets where libpcap is built in; `--filter net:NET` needs none"),
        &["a_filter_and_a_net_leave_out_what_they_say", "networks_by_length_or_mask"],
    ),
    row(
        "-G NET6",
        "IPv6 network",
        Opt("`-G NET6`, captures packets where libpcap is built in; `--filter net:NET6` needs none"),
        &["an_ipv6_network_is_the_local_side", "networks_by_length_or_mask"],
    ),
    row(
        "-l",
        "count link-local IPv6",
        Not("everything is counted; `-l` lists interfaces, as in iftoprs"),
        &[],
    ),
    row("-m LIMIT", "maximum of the scale", Opt("`-m RATE`"), &["bars_begin_as_options_and_settings_say"]),
    row(
        "-c FILE",
        "configuration",
        Opt("`-c FILE`, in another language: `monitor config print`"),
        &["mistakes_in_the_settings_name_line_and_way_out_and_the_file_stays"],
    ),
    row("-t", "text mode", Opt("`-t`"), &["text_once_after_some_seconds"]),
    row("-s N", "text: print once after N s", Opt("`-s N`"), &["text_once_after_some_seconds"]),
    row("-L N", "text: lines", Opt("`-L N`, all without and with 0"), &["lines_and_orders_of_iftop"]),
    row("-o 2s", "order", Opt("`-o 2s`, which is the default here"), &["lines_and_orders_of_iftop"]),
    row("-o 10s", "order", Opt("`-o 10s`"), &["lines_and_orders_of_iftop"]),
    row("-o 40s", "order", Opt("`-o 40s`"), &["lines_and_orders_of_iftop"]),
    row("-o source", "order", Opt("`-o source`"), &["lines_and_orders_of_iftop"]),
    row("-o destination", "order", Opt("`-o destination`"), &["lines_and_orders_of_iftop"]),
    row("-S PORT", "web server (a fork)", Not(WEB), &["what_became_of_no_option_is_a_usage_error"]),
    row(
        "anything else",
        "usage, exit status 1",
        Opt("what is wrong with it, exit status 2"),
        &["what_became_of_no_option_is_a_usage_error"],
    ),
];

/// Keys of `~/.iftoprc`.
pub(super) const SETTINGS: &[Row] = &[
    row("interface", "", Opt("`interface`, a list"), &["an_interface_of_the_settings_is_looked_at"]),
    row("dns-resolution", "", Opt("`hosts`"), &["settings_of_the_ancestors_show"]),
    row("port-resolution", "", Opt("`services`"), &["settings_of_the_ancestors_show"]),
    row("filter-code", "filter of libpcap", Not(OPEN), &[]),
    row("show-bars", "", Opt("`bars`"), &["settings_of_the_ancestors_show"]),
    row("promiscuous", "", Not("it changes the device for everybody: `-p` says so each time"), &[]),
    row("port-display", "off or on", Opt("`ports`"), &["settings_of_the_ancestors_show"]),
    row("port-display", "source-only, destination-only", Not("both ports, or none"), &[]),
    row("link-local", "", Not("everything is counted"), &[]),
    row("hide-source", "", Not(VIEWS), &[]),
    row("hide-destination", "", Not(VIEWS), &[]),
    row("bandwidth-unit", "bits or bytes", Opt("`unit`"), &["settings_of_the_ancestors_show"]),
    row("use-bytes", "", Opt("`unit`"), &["settings_of_the_ancestors_show"]),
    row("sort", "", Opt("`sort`"), &["settings_of_the_ancestors_show"]),
    row("line-display", "", Opt("`lines`"), &["settings_of_the_ancestors_show"]),
    row("show-totals", "cumulative column", Not("totals are columns wherever there is room"), &[]),
    row("log-scale", "", Opt("`bar-scale`"), &["bars_begin_as_options_and_settings_say"]),
    row("max-bandwidth", "", Opt("`bar-max`"), &["bars_begin_as_options_and_settings_say"]),
    row("net-filter", "", Not(OPEN), &[]),
    row("net-filter6", "", Not(OPEN), &[]),
    row("screen-filter", "read, and refused, by iftop", Not(OPEN), &[]),
    row("timed-output", "", Not(MODES), &[]),
    row("no-curses", "", Not(MODES), &[]),
    row("num-lines", "", Not(MODES), &[]),
    row("http-port", "a fork", Not(WEB), &[]),
    row("http-user", "a fork", Not(WEB), &[]),
    row("http-group", "a fork", Not(WEB), &[]),
];
