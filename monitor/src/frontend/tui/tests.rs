//! The screen, drawn into a buffer and driven by key events.

mod ancestors;
mod comfort;
mod docs;
mod keys_page;
mod picture;
mod server;
mod views;

use super::effect::Effect;
use super::keymap::{Action, BINDINGS, Key, action};
use super::mouse::Mouse;
use super::popup::Popup;
use super::session::{Session, themed};
use super::state::{Phase, State};
use super::style::Glyphs;
use super::theme::Theme;
use super::view::{Ctx, draw, page, text_lines};
use super::*;
use crate::config::{BarStyle, Ground, Lines};
use crate::engine::Command;
use crate::model::{self, Confidence, Health, OwnCost, Snapshot};
use crate::query::fixture::{busy, degraded, process, snapshot};
use crate::query::{SortKey, ViewKind, Window};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use futures_util::StreamExt;
use proptest::prelude::*;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::collections::HashSet;
use std::time::Duration;

const PLAIN: Abilities = Abilities { depth: Depth::Mono, ascii: true };
const RICH: Abilities = Abilities { depth: Depth::Sixteen, ascii: false };

/// A screen without a terminal.
struct Screen {
    state: State,
    snapshot: Arc<Snapshot>,
    options: Abilities,
    size: (u16, u16),
}

impl Screen {
    fn new(snapshot: Snapshot, size: (u16, u16)) -> Self {
        let mut screen = Self { state: State::default(), snapshot: Arc::new(snapshot), options: RICH, size };
        screen.settle();
        screen
    }

    fn area(&self) -> Rect {
        Rect::new(0, 0, self.size.0, self.size.1)
    }

    fn settle(&mut self) {
        let page = page(self.area(), &self.state, &self.snapshot);
        self.state.settle(&self.snapshot, page);
        let glyphs = Glyphs::new(self.options.ascii);
        let (theme, _) = themed(&self.state, self.options.depth);
        let ctx = Ctx { state: &self.state, snapshot: &self.snapshot, theme: &theme, glyphs: &glyphs };
        let lines = text_lines(self.area(), &ctx);
        self.state.settle_text(lines, page);
    }

    fn show(&mut self, snapshot: Snapshot) {
        self.snapshot = Arc::new(snapshot);
        self.settle();
    }

    fn press(&mut self, code: KeyCode) -> Option<Effect> {
        self.event(KeyEvent::new(code, KeyModifiers::NONE))
    }

    fn event(&mut self, event: KeyEvent) -> Option<Effect> {
        let effect = input::press(&mut self.state, &event, &self.snapshot);
        self.settle();
        effect
    }

    fn type_in(mut self, keys: &str) -> Self {
        for c in keys.chars() {
            self.press(if c == '\t' { KeyCode::Tab } else { KeyCode::Char(c) });
        }
        self
    }

    fn draw(&self) -> Buffer {
        let mut terminal = Terminal::new(TestBackend::new(self.size.0, self.size.1)).unwrap();
        let glyphs = Glyphs::new(self.options.ascii);
        let (theme, _): (Theme, _) = themed(&self.state, self.options.depth);
        let ctx = Ctx { state: &self.state, snapshot: &self.snapshot, theme: &theme, glyphs: &glyphs };
        terminal.draw(|frame| draw(frame, frame.area(), &ctx)).unwrap();
        terminal.backend().buffer().clone()
    }

    /// What is drawn, with its styles, as snapshots keep it.
    fn picture(&self) -> String {
        picture::picture(&self.draw())
    }

    fn lines(&self) -> Vec<String> {
        let buffer = self.draw();
        let width = usize::from(buffer.area.width).max(1);
        let line =
            |cells: &[ratatui::buffer::Cell]| cells.iter().map(ratatui::buffer::Cell::symbol).collect();
        buffer.content.chunks(width).map(line).collect()
    }

    fn text(&self) -> String {
        self.lines().join("\n")
    }

    /// The name of the selected row, by its mark.
    fn selected(&self) -> String {
        self.lines().into_iter().find(|line| line.starts_with('▸')).unwrap_or_default()
    }
}

fn loading() -> Snapshot {
    let health = Arc::new(Health { loading: true, ..Health::default() });
    Snapshot { sequence: 1, health, ..Snapshot::default() }
}

fn with_health(health: Health) -> Snapshot {
    Snapshot { health: Arc::new(health), ..busy() }
}

#[test]
fn busy_screens() {
    // views.rs has the sizes between.
    for size in [(40, 12), (200, 50)] {
        let (width, height) = size;
        for (name, keys) in [("processes", ""), ("flows", "\t"), ("flows_one_line", "\tt")] {
            let screen = Screen::new(busy(), size).type_in(keys);
            insta::assert_snapshot!(format!("busy_{name}_{width}x{height}"), screen.picture());
        }
    }
}

#[test]
fn health_screens() {
    for (name, missing) in [("busy", 0), ("degraded", 2)] {
        for (width, height) in [(80, 24), (120, 40)] {
            let screen = Screen::new(with_health(degraded_or_not(missing)), (width, height)).type_in("H");
            insta::assert_snapshot!(format!("health_{name}_{width}x{height}"), screen.picture());
        }
    }
}

fn degraded_or_not(missing: usize) -> Health {
    if missing == 0 { busy().health.as_ref().clone() } else { degraded(missing) }
}

#[test]
fn the_health_page_tells_everything_and_asks_for_measuring_only_while_it_is_open() {
    let mut screen = Screen::new(with_health(degraded(2)), (120, 80));
    assert_eq!(screen.press(KeyCode::Char('H')), Some(Effect::Measure(true)));
    let text = screen.text();
    for part in [
        "tier T2",
        "missing: the process that moves the bytes",
        "owners by receive only, kind 2",
        "0.31 % of one core in the last 10 s",
        "2 late, the worst by 131.0 ms",
        "counting",
        "eth0 rx",
        "device 4,812,331,020 = attributed 4,811,890,116 + kernel 88,120 + forwarded 12,000 + arp/l2",
        "unexplained 0",
        "refused: the kernel refused it: Operation not permitted",
        "use Linux 6.16 or newer",
        "41.0k runs/s    320 ns/run",
        "1.20k of  65.5k rows",
        "0 packets counted without their flow",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert_eq!(screen.press(KeyCode::Tab), None);
    assert_eq!(screen.press(KeyCode::Esc), Some(Effect::Measure(false)));
    assert!(screen.text().contains("[Processes"));
}

#[test]
fn the_health_page_waits_for_no_count_that_does_not_come() {
    let none = |backend| Health { backend, programs: Vec::new(), maps: Vec::new(), ..degraded(0) };
    let own = OwnCost { wakeups: Some(7), ..OwnCost::default() };
    for (health, own, says) in [
        (none(model::Backend::Pcap), own, "no kernel program runs"),
        (none(model::Backend::File), OwnCost::default(), "of live traffic only"),
        (Health { uncounted_runs: Some("EPERM".into()), ..degraded(0) }, own, "not counted"),
        (none(model::Backend::Pcap), OwnCost::default(), "not known without /proc"),
    ] {
        let snapshot = Snapshot { health: Arc::new(health), own, ..busy() };
        let text = Screen::new(snapshot, (120, 80)).type_in("H").text();
        assert!(text.contains(says) && !text.contains("counting"), "{text}");
    }
}

#[test]
fn the_health_page_scrolls_to_its_end_and_back() {
    let mut screen = Screen::new(busy(), (80, 24)).type_in("H");
    assert!(screen.text().contains("more"));
    screen.press(KeyCode::End);
    assert!(screen.text().contains("overflow") && !screen.text().contains(" more "));
    screen.press(KeyCode::Up);
    assert!(screen.text().contains("▼ 1 more"));
    screen.press(KeyCode::Home);
    assert!(screen.text().contains("Where the numbers come from"));
}

#[test]
fn special_screens() {
    let size = (80, 24);
    let show = |name: &str, screen: &Screen| insta::assert_snapshot!(name, screen.picture());
    show("first_frame", &Screen::new(Snapshot::default(), size));
    show("loading", &Screen::new(loading(), size));
    show("degraded_1", &Screen::new(with_health(degraded(1)), size));
    show("degraded_5", &Screen::new(with_health(degraded(5)), size));
    show("frozen_ascending", &Screen::new(busy(), size).type_in("2ro"));
    show("no_bars_scrolled", &Screen::new(busy(), size).type_in("bbbGkk"));
    show("help", &Screen::new(busy(), size).type_in("?"));
    show("help_40x12", &Screen::new(busy(), (40, 12)).type_in("?"));
    show("too_small", &Screen::new(busy(), (20, 4)));
    let mut stopping = Screen::new(busy(), size);
    stopping.state.phase = Phase::Stopping;
    show("stopping", &stopping);
    for (name, keys) in [("processes", ""), ("flows", "\t"), ("help", "?")] {
        let mut screen = Screen::new(busy(), size).type_in(keys);
        screen.options = PLAIN;
        show(&format!("plain_{name}"), &screen);
    }
}

#[test]
fn a_plain_screen_is_ascii_and_has_no_colour() {
    for keys in ["", "\t", "\tt", "?", "PorbG"] {
        let mut screen = Screen::new(with_health(degraded(3)), (120, 30)).type_in(keys);
        screen.options = PLAIN;
        for cell in screen.draw().content {
            assert!(cell.symbol().is_ascii(), "{:?} after {keys:?}", cell.symbol());
            assert_eq!((cell.fg, cell.bg), (ratatui::style::Color::Reset, ratatui::style::Color::Reset));
        }
    }
}

#[test]
fn hints_fit_the_most_important_first_and_help_and_quit_into_the_narrowest() {
    for keys in ["", "\t", "\tt"] {
        let footer = Screen::new(busy(), (120, 24)).type_in(keys).lines().pop().unwrap();
        let view = if keys.is_empty() { ViewKind::Processes } else { ViewKind::Flows };
        for binding in BINDINGS.iter().filter(|binding| binding.works_in(view)) {
            let Some((keys, word)) =
                binding.hint.filter(|_| !matches!(binding.action, Action::Back | Action::Zoom))
            else {
                continue;
            };
            assert!(footer.contains(&format!(" {keys} {word}")), "{keys} {word} in {footer:?}");
        }
        let small = Screen::new(busy(), (80, 24)).type_in(keys).lines().pop().unwrap();
        for hint in ["Enter open", "Tab view", "/ filter", "? help", "q quit"] {
            assert!(small.contains(hint), "{hint} in {small:?}");
        }
        assert!(!footer.contains("Esc back"), "there is nothing to go back from");
        assert_eq!(footer.contains("t lines"), view == ViewKind::Flows);
        let narrow = Screen::new(busy(), (28, 5)).type_in(keys).lines().pop().unwrap();
        assert!(narrow.contains("? help  q quit"), "{narrow:?}");
    }
}

#[test]
fn the_first_line_says_what_the_numbers_are_worth() {
    let first = |snapshot| Screen::new(snapshot, (80, 24)).lines().remove(0);
    assert!(first(Snapshot::default()).contains("loading kernel programs…"));
    assert!(first(loading()).contains("loading kernel programs…"));
    let live = first(busy());
    assert!(live.contains("ebpf·T4  all sockets  up 00:12:31") && live.contains("● live"), "{live}");
    let mut scoped = with_health(Health { scope: "cgroup /\u{1b}[2J".into(), ..degraded(0) });
    scoped.elapsed = Duration::from_secs(200_000);
    assert!(first(scoped).contains("ebpf·T2  cgroup /\\x1b[2J  up 2d 07:33:20"));
}

/// D2: the scope left the header where it was long, and the numbers of one container looked like those of the host.
#[test]
fn the_scope_is_shortened_in_the_middle_and_never_leaves_the_header() {
    let id = "4f1e02f5c8d94a3b9b0c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a1b0c9d8e7f6a";
    let whole = format!("cgroup /tui.slice/docker-{id}.scope");
    let first = |scope: &str, width| {
        let health = Health { scope: scope.into(), ..busy().health.as_ref().clone() };
        Screen::new(with_health(health), (width, 24)).lines().remove(0)
    };
    for width in 28..250 {
        let line = first(&whole, width);
        let is_whole = line.contains(&whole);
        assert!(is_whole || line.contains("cgrou") && line.contains('…'), "{line}");
        assert!(width < 40 || line.contains(".scope"), "{line}");
        assert!(width < 60 || line.contains("cgroup …/docker-4f1e") || is_whole, "{line}");
        assert!(width < 80 || line.contains("  up 00:12:31"), "{line}");
        assert!(width < 120 || line.contains("owner known") || is_whole, "{line}");
        assert!(line.contains("● live"), "{line}");
        assert!(first("all sockets", width).contains("  all "), "{width}");
    }
    assert!(first(&whole, 250).contains(&whole));
    let line = first(&format!("cgroup /a.slice/b/docker-{id}.scope/init"), 80);
    assert!(line.contains("cgroup …/docker-4f1e") && line.contains("scope/init  up"), "{line}");
    let line = first("cgroup /kubepods.slice/kubepods-burstable.slice/a-pod-of-some-length", 80);
    assert!(line.contains("cgroup …/a-pod-of-some-length  up"), "{line}");
}

#[test]
fn every_degradation_is_shown_or_counted() {
    for (missing, shown, more) in [(0, 0, None), (1, 1, None), (2, 2, None), (5, 2, Some("+3 more"))] {
        let text = Screen::new(with_health(degraded(missing)), (120, 30)).text();
        assert_eq!(text.matches(" ! owners by receive only").count(), shown);
        assert_eq!(text.contains("(fix: sudo sysctl kernel.perf_event_paranoid=2)"), shown > 0);
        assert_eq!(text.contains("more"), more.is_some());
        assert!(more.is_none_or(|more| text.contains(more)));
    }
}

#[test]
fn rows_of_no_process_say_why() {
    let text = Screen::new(busy(), (120, 60)).text();
    for name in ["- kernel", "- pending", "- ambiguous: several", "- unknown: no owner"] {
        assert!(text.contains(name), "{name} in\n{text}");
    }
    let text = Screen::new(busy(), (120, 60)).type_in("\t").text();
    for name in ["unknown: AF_XDP", "pending: some reason", "tcp eth0 inherited", "kernel  "] {
        assert!(text.contains(name), "{name} in\n{text}");
    }
}

#[test]
fn hostile_names_do_not_reach_the_screen() {
    for keys in ["", "\t", "\tt"] {
        let text = Screen::new(busy(), (200, 50)).type_in(keys).text();
        assert!(text.contains("a\\x1b[2J\\u{202e}b"), "{text}");
        assert!(!text.chars().any(|c| c != '\n' && c.is_control()));
    }
}

#[test]
fn every_action_has_one_line_in_the_table_and_stands_in_the_help() {
    let bound: HashSet<Action> = BINDINGS.iter().map(|binding| binding.action).collect();
    assert_eq!(bound.len(), BINDINGS.len(), "an action has two lines");
    let help = Screen::new(busy(), (120, 60)).type_in("?").text();
    for binding in BINDINGS {
        assert!(help.contains(&binding.spelled()), "{}", binding.spelled());
        assert!(help.contains(binding.help), "{}", binding.help);
    }
}

#[test]
fn no_key_does_two_things() {
    let keys: Vec<Key> = BINDINGS.iter().flat_map(|binding| binding.keys.iter().copied()).collect();
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
    for binding in BINDINGS {
        for key in binding.keys {
            let modifiers = if key.control { KeyModifiers::CONTROL } else { KeyModifiers::NONE };
            if let (Action::View(_), KeyCode::F(number)) = (binding.action, key.code) {
                assert_eq!(action(&KeyEvent::new(key.code, modifiers)), Some(Action::View(number - 1)));
                continue;
            }
            assert_eq!(action(&KeyEvent::new(key.code, modifiers)), Some(binding.action));
            // Terminals report Shift with a capital or a sign, or do not.
            let shifted = KeyEvent::new(key.code, modifiers | KeyModifiers::SHIFT);
            assert_eq!(action(&shifted), Some(binding.action));
        }
    }
    assert_eq!(action(&KeyEvent::new(KeyCode::Char('E'), KeyModifiers::NONE)), None);
    assert_eq!(action(&KeyEvent::new(KeyCode::Char('Q'), KeyModifiers::NONE)), None);
}

#[test]
fn quit_and_redraw_have_effects() {
    let mut screen = Screen::new(busy(), (80, 24));
    assert_eq!(screen.press(KeyCode::Char('q')), Some(Effect::Quit));
    let control = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL);
    assert_eq!(screen.event(control('c')), Some(Effect::Quit));
    assert_eq!(screen.event(control('l')), Some(Effect::Repaint));
    screen.press(KeyCode::Char('?'));
    assert_eq!(screen.press(KeyCode::Char('q')), Some(Effect::Quit));
}

#[test]
fn tab_goes_round_the_views_both_ways() {
    let mut screen = Screen::new(busy(), (80, 24));
    let mut seen = Vec::new();
    for _ in 0..8 {
        seen.push(screen.state.view);
        screen.press(KeyCode::Tab);
    }
    assert_eq!(seen, super::nav::TABS);
    assert_eq!(screen.state.view, ViewKind::Processes);
    screen.press(KeyCode::BackTab);
    assert_eq!(screen.state.view, ViewKind::Packages);
    screen.press(KeyCode::F(3));
    assert_eq!(screen.state.view, ViewKind::Hosts);
}

#[test]
fn digits_sort_and_r_reverses() {
    let mut screen = Screen::new(busy(), (80, 24));
    screen.press(KeyCode::Char('3'));
    assert_eq!((screen.state.sort, screen.state.descending), (SortKey::Rate(Window::Forty), true));
    assert!(screen.selected().contains("nginx"));
    screen.press(KeyCode::Char('r'));
    assert!(!screen.state.descending);
    assert!(screen.selected().contains("unknown"), "equal rates: the bytes of nobody come first");
    assert!(screen.text().contains("sort 40s ▲"));
    for (key, title) in [('1', "sort 2s ▼"), ('2', "sort 10s ▼"), ('3', "sort 40s ▼"), ('1', "sort 2s ▼")]
    {
        screen.press(KeyCode::Char(key));
        assert!(screen.text().contains(title), "{key}");
    }
}

#[test]
fn the_selection_stays_at_the_top_or_sticks_to_its_row() {
    let order = |first: u64, second: u64| {
        snapshot(vec![process(10, "one", first, 0), process(20, "two", second, 0)], vec![])
    };
    let mut screen = Screen::new(order(2000, 1000), (80, 24));
    assert!(screen.selected().contains("one"));
    screen.show(order(1000, 2000));
    assert!(screen.selected().contains("two"), "at the top it stays at the top");
    screen.press(KeyCode::Down);
    assert!(screen.selected().contains("one"));
    screen.show(order(2000, 1000));
    assert!(screen.selected().contains("one"), "below it sticks to the row");
    screen.show(snapshot(vec![process(20, "two", 1, 0)], vec![]));
    assert!(screen.selected().contains("two"), "a row that is gone leaves its place");
}

#[test]
fn moving_scrolls_no_further_than_the_ends() {
    let mut screen = Screen::new(busy(), (80, 24));
    let rows = screen.snapshot.processes.len();
    screen.press(KeyCode::End);
    assert_eq!(screen.state.cursor().index, rows - 1);
    assert!(screen.lines()[22].starts_with('▸'));
    screen.press(KeyCode::PageDown);
    assert_eq!(screen.state.cursor().index, rows - 1);
    screen.press(KeyCode::PageUp);
    assert_eq!(screen.state.cursor().index, rows - 1 - 18);
    screen.press(KeyCode::Home);
    screen.press(KeyCode::Up);
    assert_eq!((screen.state.cursor().index, screen.state.cursor().offset), (0, 0));
    for _ in 0..18 {
        screen.press(KeyCode::Char('j'));
    }
    assert_eq!((screen.state.cursor().index, screen.state.cursor().offset), (18, 1));
    screen.show(snapshot(vec![], vec![]));
    assert_eq!((screen.state.cursor().index, screen.state.cursor().offset), (0, 0));
}

#[test]
fn a_frozen_order_stays_and_a_sort_thaws_it() {
    let order = |rates: [u64; 3]| {
        let row = |(pid, rate): (u32, u64)| process(pid, &format!("p{pid}"), rate, 0);
        snapshot((1u32..).zip(rates).map(row).collect(), vec![])
    };
    let names = |screen: &Screen| {
        let text = screen.text();
        let mut names: Vec<_> = ["p1 ", "p2 ", "p3 "].map(|name| (text.find(name).unwrap(), name)).into();
        names.sort_unstable();
        names.into_iter().map(|(_, name)| name.trim()).collect::<Vec<_>>()
    };
    let mut screen = Screen::new(order([3000, 2000, 1000]), (80, 24));
    screen.press(KeyCode::Char('o'));
    screen.show(order([1000, 2000, 3000]));
    assert_eq!(names(&screen), ["p1", "p2", "p3"]);
    assert!(screen.text().contains("frozen"));
    screen.press(KeyCode::Down);
    assert!(screen.selected().contains("p2"));
    screen.press(KeyCode::Char('1'));
    assert_eq!(names(&screen), ["p3", "p2", "p1"]);
    assert!(!screen.text().contains("frozen"));
}

#[test]
fn lines_bars_and_help_toggle() {
    let mut screen = Screen::new(busy(), (80, 24)).type_in("t");
    assert_eq!(screen.state.settings.lines, Lines::Two, "t does nothing where rows have one line");
    screen = screen.type_in("\tt");
    assert_eq!(screen.state.settings.lines, Lines::One);
    assert_eq!(screen.state.row_height(), 1);
    let blue =
        |screen: &Screen| screen.draw().content.iter().any(|cell| cell.bg == ratatui::style::Color::Blue);
    assert!(blue(&screen));
    for style in [BarStyle::Thin, BarStyle::Ascii, BarStyle::Off] {
        screen.press(KeyCode::Char('b'));
        assert_eq!(screen.state.settings.bars, style);
        assert!(!blue(&screen), "{style:?}");
    }
    screen.press(KeyCode::Char('h'));
    assert!(matches!(screen.state.popup, Some(Popup::Help(_))));
    screen.press(KeyCode::Char('b'));
    assert_eq!(screen.state.settings.bars, BarStyle::Off, "what is under the help does not change");
    screen.press(KeyCode::Esc);
    assert!(screen.state.popup.is_none());
}

#[test]
fn long_help_scrolls_on_a_small_screen() {
    let mut screen = Screen::new(busy(), (40, 12)).type_in("?");
    assert!(!screen.text().contains("q Ctrl-C"));
    for _ in 0..100 {
        screen.press(KeyCode::Down);
    }
    assert!(screen.text().contains("- unknown"));
    assert_eq!(screen.state.cursor().index, 0);
    for _ in 0..100 {
        screen.press(KeyCode::Up);
    }
    assert!(screen.text().contains("next view"));
}

#[test]
fn the_environment_decides_on_colour_and_glyphs() {
    let detect = |variables: &[(&str, &str)]| {
        Abilities::detect(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    };
    let abilities = |depth, ascii| Abilities { depth, ascii };
    assert_eq!(detect(&[("LANG", "en_GB.UTF-8")]), abilities(Depth::Sixteen, false));
    assert_eq!(detect(&[("LANG", "C.utf8"), ("NO_COLOR", "")]), abilities(Depth::Sixteen, false));
    assert_eq!(detect(&[("LANG", "C.utf8"), ("NO_COLOR", "1")]), abilities(Depth::Mono, false));
    assert_eq!(detect(&[("LANG", "C.utf8"), ("LC_ALL", "C")]), abilities(Depth::Sixteen, true));
    assert_eq!(detect(&[("LC_CTYPE", "C.UTF-8"), ("LC_ALL", "")]), abilities(Depth::Sixteen, false));
    assert_eq!(detect(&[("TERM", "dumb"), ("LANG", "C.UTF-8")]), abilities(Depth::Mono, true));
    assert_eq!(detect(&[]), abilities(Depth::Sixteen, true));
}

#[test]
fn restoring_what_was_never_taken_does_nothing() {
    restore();
    restore();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_size_panics_and_drawing_twice_gives_the_same(
        width in 0u16..=300,
        height in 0u16..=100,
        keys in "[\tjkGgro123tbBP?h<>LwuUvxFciyT/]{0,10}",
        missing in 0usize..4,
        plain in any::<bool>(),
    ) {
        let mut screen = Screen::new(with_health(degraded(missing)), (width, height)).type_in(&keys);
        screen.options = if plain { PLAIN } else { RICH };
        prop_assert_eq!(screen.draw(), screen.draw());
    }

    #[test]
    fn small_sizes_do_not_panic(width in 0u16..=60, height in 0u16..=14, keys in "[\tjGt?xcFU]{0,5}") {
        Screen::new(busy(), (width, height)).type_in(&keys).draw();
        Screen::new(Snapshot::default(), (width, height)).type_in(&keys).draw();
    }
}

mod session {
    //! The loop, with a scripted keyboard.

    use super::*;
    use futures_util::stream;
    use tokio::sync::mpsc;

    fn options() -> TuiOptions {
        let (settings, catalog) = (Settings::default(), Catalog::built_in());
        let (filter, prefixes) = (None, Prefixes::default());
        let (caller, interfaces) = (Caller::default(), Vec::new as fn() -> Vec<String>);
        TuiOptions { settings, filter, prefixes, interfaces, catalog, caller, file: None }
    }

    fn key(code: KeyCode) -> Event {
        Event::Key(KeyEvent::new(code, KeyModifiers::NONE))
    }

    fn run(
        events: Vec<io::Result<Event>>,
        engine: impl AsyncFnOnce(mpsc::Sender<Arc<Snapshot>>, mpsc::UnboundedReceiver<Command>),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (sender, feed) = mpsc::channel(1);
        let (control, commands) = mpsc::unbounded_channel();
        let terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let mut session = Session::new(terminal, options(), RICH, control, || true);
        session.patience = Duration::from_millis(20);
        let events = stream::iter(events).chain(stream::pending());
        let both = async { tokio::join!(session.run(feed, || events), engine(sender, commands)) };
        runtime.block_on(both).0.unwrap();
    }

    fn last() -> Arc<Snapshot> {
        Arc::new(Snapshot { last: true, ..busy() })
    }

    #[test]
    fn quitting_stops_the_engine_and_waits_for_the_last_snapshot() {
        run(vec![Ok(key(KeyCode::Char('q')))], async |sender, mut commands| {
            assert_eq!(commands.recv().await, Some(Command::Stop));
            sender.send(last()).await.unwrap();
            sender.closed().await;
        });
    }

    #[test]
    fn an_engine_that_does_not_end_is_left() {
        run(vec![Ok(key(KeyCode::Char('q')))], async |sender, mut commands| {
            assert_eq!(commands.recv().await, Some(Command::Stop));
            let before = tokio::time::Instant::now();
            sender.closed().await;
            assert!(before.elapsed() >= Duration::from_millis(20));
        });
    }

    #[test]
    fn who_quits_twice_does_not_wait() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (_sender, feed) = mpsc::channel(1);
        let (control, _commands) = mpsc::unbounded_channel();
        let terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let mut session = Session::new(terminal, options(), RICH, control, || true);
        // Who waits that long in this test waits for ever.
        session.patience = Duration::from_secs(100_000);
        let keys = [key(KeyCode::Char('q')), key(KeyCode::Down), key(KeyCode::Char('q'))];
        // A stream of this kind has a key ready at every look, as a terminal has that was typed into while we drew.
        let events = stream::iter(keys.map(Ok)).then(async |key| {
            tokio::task::yield_now().await;
            key
        });
        let events = Box::pin(events.chain(stream::pending()));
        runtime.block_on(session.run(feed, || events)).unwrap();
    }

    #[test]
    fn what_is_opened_is_asked_for_its_sockets_while_it_is_open_and_for_its_hash() {
        let keys = [KeyCode::Enter, KeyCode::Esc, KeyCode::Tab, KeyCode::Enter, KeyCode::Esc];
        let keys = keys.map(|code| Ok(key(code)));
        let (control, mut commands) = mpsc::unbounded_channel();
        let terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let mut session = Session::new(terminal, options(), RICH, control, || true);
        session.receive(Arc::new(busy()));
        let mut asked = Vec::new();
        for event in &keys {
            session.take(Some(event));
            session.draw().unwrap();
            asked.push(std::iter::from_fn(|| commands.try_recv().ok()).collect::<Vec<_>>());
        }
        let (process, flow) = (busy().processes[1].id.unwrap(), busy().flows[0].id);
        let expected = [
            vec![Command::ListSockets(Some(process)), Command::Hash(process)],
            vec![Command::ListSockets(None)],
            vec![],
            vec![Command::Inspect(Some(flow))],
            vec![Command::Inspect(None)],
        ];
        assert_eq!(asked, expected);
    }

    #[test]
    fn the_end_of_the_feed_is_the_end() {
        run(vec![], async |sender, _commands| drop(sender));
        run(vec![], async |sender, _commands| sender.send(last()).await.unwrap());
    }

    #[test]
    fn a_terminal_that_goes_away_stops_the_engine() {
        run(vec![Err(io::Error::other("hangup"))], async |sender, mut commands| {
            assert_eq!(commands.recv().await, Some(Command::Stop));
            drop(sender);
        });
    }

    #[test]
    fn a_paused_screen_still_takes_snapshots() {
        run(vec![Ok(key(KeyCode::Char('P'))), Ok(Event::Resize(10, 10))], async |sender, _commands| {
            for _ in 0..5 {
                sender.send(Arc::new(busy())).await.unwrap();
            }
        });
    }

    #[test]
    fn pausing_keeps_what_is_shown_until_it_ends() {
        let (control, _commands) = mpsc::unbounded_channel();
        let terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let mut session = Session::new(terminal, options(), RICH, control, || true);
        let numbered = |sequence| Arc::new(Snapshot { sequence, ..busy() });
        session.receive(numbered(1));
        session.take(Some(&Ok(key(KeyCode::Char(' ')))));
        session.receive(numbered(2));
        session.take(Some(&Ok(key(KeyCode::Down))));
        assert_eq!((session.shown.sequence, session.latest.sequence), (1, 2));
        session.take(Some(&Ok(key(KeyCode::Char('P')))));
        assert_eq!(session.shown.sequence, 2);
    }

    #[test]
    fn a_terminal_that_was_given_back_is_not_drawn_on() {
        let (control, _commands) = mpsc::unbounded_channel();
        let terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let mut session = Session::new(terminal, options(), RICH, control, || false);
        session.draw().unwrap();
        assert!(session.terminal.backend().buffer().content.iter().all(|cell| cell.symbol() == " "));
    }
}
