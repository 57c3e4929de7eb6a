//! What is in the fingers of iftop's and iftoprs' users, tried in a real terminal on live traffic: the first ten keys of
//! each, and the options that only a screen shows.

use monitor_tests::live::{HOST, Live, SERVICE};

/// Both helpers have a flow on the screen.
fn is_moving(screen: &str) -> bool {
    screen.contains("client") && screen.contains("server[")
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn the_first_ten_keys_of_an_iftop_user() {
    let mut live = Live::new((120, 30), &["--view", "flows"], "");
    let named = format!("{HOST}:{SERVICE}");
    live.until("names of hosts and services", |screen| is_moving(screen) && screen.contains(&named));
    // t: one line, sent only, received only, two lines.
    live.press("t", |screen| screen.contains("RX 2s") && !screen.contains(" => "));
    live.press("t", |screen| screen.contains(" => ") && !screen.contains(" <= "));
    live.press("t", |screen| screen.contains(" <= ") && !screen.contains(" => "));
    live.press("t", |screen| screen.contains(" => ") && screen.contains(" <= "));
    let address = live.scene.pair.b.v4;
    let by_address = format!("{address}:{SERVICE}");
    live.press("n", |screen| screen.contains(&by_address) && !screen.contains(HOST));
    let by_number = format!("{address}:53");
    live.press("N", |screen| screen.contains(&by_number) && !screen.contains(SERVICE));
    live.press("p", |screen| screen.contains(&format!("{address} ")) && !screen.contains(":53"));
    live.press("P", |screen| screen.contains("paused"));
    live.press("P", |screen| screen.contains("live"));
    live.press("o", |screen| screen.contains("frozen 2s"));
    live.press("b", |screen| screen.contains("bars: thin"));
    live.press("L", |screen| screen.contains("bars: linear"));
    live.press("1", |screen| screen.contains("sort 2s"));
    live.quit();
}

/// What is on the screen under pause does not move while traffic does.
#[test]
#[ignore = "needs root, BPF and tmux"]
fn a_pause_holds_the_picture_and_counting_goes_on() {
    let mut live = Live::new((120, 30), &[], "");
    live.until("both are listed", |screen| screen.contains("client") && screen.contains("server"));
    let before = live.press("P", |screen| screen.contains("paused"));
    for _ in 0..20 {
        live.exchange();
    }
    let row = |screen: &str| screen.lines().find(|line| line.contains("client")).map(str::to_owned);
    // A key shows all the same, and moves the rows up.
    let after = live.press("U", |screen| !screen.contains("   peak "));
    assert_eq!(row(&after), row(&before), "{before}");
    live.press("P", |screen| screen.contains("live") && row(screen) != row(&before));
    live.quit();
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn the_first_ten_keys_of_an_iftoprs_user() {
    let mut live = Live::new((120, 30), &[], "");
    live.until("both are listed", |screen| screen.contains("client") && screen.contains("server"));
    live.press("Tab", |screen| screen.contains("[Flows 2]") && is_moving(screen));
    live.press("i", |screen| screen.contains(" interface ") && screen.contains("all sockets"));
    live.press("Escape", |screen| !screen.contains(" interface "));
    live.press("c", |screen| screen.contains("theme 1/"));
    live.press("Escape", |screen| !screen.contains("theme 1/"));
    live.press("B", |screen| screen.contains("B/s") && !screen.contains("b/s"));
    live.press("F", |screen| screen.contains('▸'));
    live.press("j", |screen| screen.contains('◆'));
    live.press("y", |screen| screen.contains("copied, where the terminal"));
    live.press("x", |screen| screen.contains('┌') && screen.contains('│'));
    live.press("g", |screen| !screen.contains("monitor  ebpf"));
    live.press("U", |screen| !screen.contains("   peak "));
    live.press("f", |screen| screen.contains("refresh every 0.5 s"));
    live.quit();
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn no_dns_begins_with_addresses_and_n_asks_for_names() {
    let mut live = Live::new((120, 30), &["-n", "--view", "flows"], "");
    let address = format!("{}:{SERVICE}", live.scene.pair.b.v4);
    let screen = live.until("addresses", |screen| is_moving(screen) && screen.contains(&address));
    assert!(!screen.contains(HOST), "{screen}");
    live.press("n", |screen| screen.contains(HOST));
    live.quit();
}

/// The signs of a bar in a row.
fn bar(screen: &str) -> usize {
    screen
        .lines()
        .filter(|line| line.contains("b/s"))
        .map(|line| line.matches('=').count())
        .max()
        .unwrap_or(0)
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn bars_begin_as_options_and_settings_say() {
    let drawn = |arguments: &[&str], settings: &str, seen: &dyn Fn(&str) -> bool| {
        let settings = format!("bars = \"ascii\"\n{settings}");
        let mut live = Live::new((120, 24), arguments, &settings);
        live.until(&format!("{arguments:?} {settings}"), |screen| {
            screen.lines().any(|line| line.contains("client") && line.contains("b/s")) && seen(screen)
        });
        live
    };
    // Of a maximum of 1 b/s every bar is full, of 1000 Gb/s on a linear scale there is none.
    drawn(&["-m", "1"], "", &|screen| bar(screen) > 30).quit();
    drawn(&[], "bar-max = \"1\"", &|screen| bar(screen) > 30).quit();
    let mut live = drawn(&["-m", "1000G"], "bar-scale = \"linear\"", &|screen| bar(screen) == 0);
    live.press("L", |screen| bar(screen) > 5);
    live.quit();
    let mut live = drawn(&["-b", "-m", "1"], "", &|screen| bar(screen) == 0);
    live.press("b", |screen| screen.contains("bars: gradient"));
    live.quit();
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn an_alert_is_shown_in_a_real_terminal() {
    let mut live = Live::new((80, 24), &["--alert", "1kB/s"], "alert = \"off\"");
    live.until("both are above it", |screen| {
        let marked = |name: &str| {
            screen.lines().any(|line| line.chars().nth(1) == Some('!') && line.contains(&format!(" {name} ")))
        };
        screen.contains("! 2 above 8.00kb/s") && marked("client") && marked("server")
    });
    // Nothing moves any more: after two seconds nobody is above it.
    live.terminal
        .until_drawn("the marks go", |screen| screen.contains("live") && !screen.contains(" above 8.00"));
    live.quit();
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn an_interface_of_the_settings_is_looked_at() {
    let mut live = Live::new((80, 24), &[], "interface = [\"lo\"]");
    // The chooser marks what is counted.
    live.until("the programs are loaded", |screen| screen.contains("live"));
    live.press("i", |screen| screen.contains("│▸ lo "));
    live.quit();
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn without_processes_flows_have_none_until_z() {
    let mut live = Live::new((120, 30), &["-Z", "--view", "flows"], "");
    let screen = live.until("both flows", |screen| screen.contains("[Flows 2]") && screen.contains(" <= "));
    assert!(!screen.contains("client[") && !screen.contains("server["), "{screen}");
    live.press("Z", |screen| screen.contains("client[") && screen.contains("server["));
    live.press("Z", |screen| !screen.contains("client[") && !screen.contains("server["));
    live.quit();
}
