//! Themes, popups, pins, the mouse, what is kept, and what a frame costs.

use super::*;
use crate::config::Scale;
use crate::model::{HeldSocket, HeldSockets, Mono, ProcessId, Protocol, SocketId, SocketState, TcpState};
use crate::query::fixture::endpoint;
use crate::query::{Field, Row};
use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::style::{Color, Modifier};
use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;

impl Screen {
    /// The mouse, at a time in milliseconds.
    fn mouse(
        &mut self,
        mouse: &mut Mouse,
        kind: MouseEventKind,
        place: (u16, u16),
        at: u64,
    ) -> Option<Effect> {
        let event = MouseEvent { kind, column: place.0, row: place.1, modifiers: KeyModifiers::NONE };
        let (area, at) = (self.area(), Duration::from_millis(at));
        let effect = mouse.take(&mut self.state, event, at, area, &self.snapshot);
        self.settle();
        effect
    }

    /// One click long after any other.
    fn click(&mut self, button: MouseButton, place: (u16, u16)) -> Option<Effect> {
        self.mouse(&mut Mouse::default(), MouseEventKind::Down(button), place, 0)
    }

    /// Where a text is on the screen.
    fn find(&self, text: &str) -> (u16, u16) {
        let lines = self.lines();
        let (y, line) = lines.iter().enumerate().find(|(_, line)| line.contains(text)).expect(text);
        let x = line.split(text).next().unwrap().chars().count();
        (u16::try_from(x).unwrap(), u16::try_from(y).unwrap())
    }
}

fn control(c: char) -> KeyEvent {
    KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL)
}

#[test]
fn a_click_selects_sorts_switches_and_does_what_a_hint_says() {
    let mut screen = Screen::new(busy(), (120, 30));
    screen.click(MouseButton::Left, screen.find("curl"));
    assert!(screen.selected().contains("curl"));
    let title = screen.find("FLOWS");
    screen.click(MouseButton::Left, title);
    assert_eq!((screen.state.sort, screen.state.descending), (SortKey::Column(Field::Flows), true));
    screen.click(MouseButton::Left, title);
    assert!(!screen.state.descending, "asked for again, the other way round");
    let title = screen.find("PROCESS ");
    screen.click(MouseButton::Left, title);
    assert_eq!((screen.state.sort, screen.state.descending), (SortKey::Column(Field::Process), false));
    screen.click(MouseButton::Left, screen.find("Flows"));
    assert_eq!(screen.state.view, ViewKind::Flows);
    screen.click(MouseButton::Left, screen.find("P pause"));
    assert_eq!(screen.state.phase, Phase::Paused);
    assert_eq!(screen.click(MouseButton::Left, screen.find("q quit")), Some(Effect::Quit));
}

#[test]
fn every_hint_in_the_footer_can_be_clicked() {
    for keys in ["", "\t"] {
        let screen = Screen::new(busy(), (200, 24)).type_in(keys);
        for binding in BINDINGS.iter().filter(|binding| binding.works_in(screen.state.view)) {
            let Some((hint, word)) =
                binding.hint.filter(|_| !matches!(binding.action, Action::Back | Action::Zoom))
            else {
                continue;
            };
            let place = screen.find(&format!(" {hint} {word}"));
            let spot = view::spot(screen.area(), &screen.state, &screen.snapshot, (place.0 + 1, place.1));
            assert_eq!(spot, Some(view::Spot::Hint(binding.action)), "{hint} {word}");
        }
    }
}

#[test]
fn a_double_click_opens_and_a_slow_one_does_not() {
    let mut screen = Screen::new(busy(), (120, 30));
    let (place, down) = (screen.find("curl"), MouseEventKind::Down(MouseButton::Left));
    let mut mouse = Mouse::default();
    screen.mouse(&mut mouse, down, place, 0);
    screen.mouse(&mut mouse, down, place, 900);
    assert!(screen.state.popup.is_none());
    screen.mouse(&mut mouse, down, place, 1000);
    assert_eq!(screen.state.path.len(), 1);
    let text = screen.text();
    assert!(text.contains("/usr/sbin/curl") && text.contains("peak 12.0Mb/s"), "{text}");
    screen.press(KeyCode::Esc);
    assert!(screen.state.path.is_empty());
}

#[test]
fn the_right_button_tells_more_and_the_middle_one_pins() {
    let mut screen = Screen::new(busy(), (120, 30));
    screen.click(MouseButton::Right, screen.find("sshd"));
    assert!(screen.text().contains("/usr/sbin/sshd"));
    // Beside it.
    screen.click(MouseButton::Left, (0, 29));
    assert!(screen.state.popup.is_none());
    screen.press(KeyCode::Char('T'));
    screen.click(MouseButton::Right, screen.find("sshd"));
    assert!(screen.state.popup.is_none(), "tooltips are off");
    screen.click(MouseButton::Middle, screen.find("sshd"));
    let rows = screen.lines();
    let first = rows.iter().position(|line| line.contains("PROCESS ")).unwrap() + 1;
    assert!(rows[first].contains("sshd"), "{}", rows[first]);
}

#[test]
fn the_wheel_moves_and_shows_theme_after_theme() {
    let mut screen = Screen::new(busy(), (120, 30));
    let mut mouse = Mouse::default();
    screen.mouse(&mut mouse, MouseEventKind::ScrollDown, (5, 15), 0);
    assert_eq!(screen.state.cursor().index, 3);
    screen.mouse(&mut mouse, MouseEventKind::ScrollUp, (5, 15), 0);
    screen.mouse(&mut mouse, MouseEventKind::ScrollUp, (5, 15), 0);
    assert_eq!(screen.state.cursor().index, 0);
    screen.press(KeyCode::Char('c'));
    assert_eq!(screen.state.theme(), "auto");
    screen.mouse(&mut mouse, MouseEventKind::ScrollUp, (5, 15), 0);
    let last = screen.state.catalog.themes().last().unwrap().name.clone();
    assert_eq!(screen.state.theme(), last, "it goes round");
    screen.mouse(&mut mouse, MouseEventKind::ScrollDown, (5, 15), 0);
    screen.mouse(&mut mouse, MouseEventKind::ScrollDown, (5, 15), 0);
    assert_eq!(screen.state.theme(), "default-dark");
    let place = screen.find("AcidRain");
    screen.mouse(&mut mouse, MouseEventKind::Down(MouseButton::Left), place, 0);
    assert_eq!(screen.state.theme(), "AcidRain");
}

#[test]
fn the_chooser_shows_what_is_marked_and_keeps_what_is_entered() {
    let mut screen = Screen::new(busy(), (120, 30));
    screen.options.depth = Depth::True;
    let background = |screen: &Screen| screen.draw().content[0].bg;
    assert_eq!(background(&screen), Color::Reset);
    let mut screen = screen.type_in("cj");
    assert_eq!(background(&screen), Color::Rgb(16, 20, 24), "default-dark on a terminal that said nothing");
    screen.press(KeyCode::Esc);
    assert_eq!((background(&screen), screen.state.kept().theme.as_str()), (Color::Reset, "auto"));
    screen = screen.type_in("cj");
    screen.press(KeyCode::Enter);
    assert_eq!(screen.state.kept().theme, "default-dark");
    assert_eq!(background(&screen), Color::Rgb(16, 20, 24));
    assert!(screen.text().contains("W keeps the theme"));
    screen = screen.type_in("cGc");
    assert_eq!(screen.state.kept().theme, "default-dark", "c closes without choosing");
}

#[test]
fn a_theme_and_every_popup_look_as_they_did() {
    for (name, size, keys) in [
        ("themes_80x24", (80, 24), "cjjjjjjjjjj"),
        ("tooltip_80x24", (80, 24), "jj\n"),
        ("border_120x30", (120, 30), "xU"),
        ("help_search_80x24", (80, 24), "?/sort"),
        ("sent_only_80x24", (80, 24), "\ttt"),
    ] {
        let mut screen = Screen::new(busy(), size);
        screen.options.depth = Depth::True;
        for c in keys.chars() {
            screen.press(match c {
                '\t' => KeyCode::Tab,
                '\n' => KeyCode::Enter,
                c => KeyCode::Char(c),
            });
        }
        insta::assert_snapshot!(name, screen.picture());
    }
}

#[test]
fn the_graph_and_sparklines_show_what_was() {
    let mut screen = Screen::new(busy(), (120, 30));
    for sequence in 10..40 {
        let mut snapshot = Snapshot { sequence, ..busy() };
        snapshot.totals.interval.rx_bytes = sequence * 1000;
        snapshot.at = Mono(sequence * 1_000_000_000);
        screen.state.history.take(&snapshot);
        screen.show(snapshot);
    }
    insta::assert_snapshot!("graph_120x30", screen.picture());
    let rows = |screen: &Screen| page(screen.area(), &screen.state, &screen.snapshot);
    let with = rows(&screen);
    screen.press(KeyCode::Char('v'));
    assert_eq!(rows(&screen), with + 4, "without the graph there is more room");
}

/// A server on which a process sends for a minute, in which it is far down the list, and receives for ten seconds.
fn after_a_while(size: (u16, u16)) -> Screen {
    let mut screen = Screen::new(busy(), size);
    let mut shown = busy();
    for second in 1..=70 {
        let mut rows = busy().processes;
        let sshd = rows.iter_mut().find(|row| &*row.process == "sshd").unwrap();
        let sshd = Arc::make_mut(sshd);
        let (rx, tx) = if second <= 60 { (0, 1000) } else { (8_000_000_000, 0) };
        sshd.windows = crate::query::fixture::windows(rx, tx);
        sshd.interval = crate::query::fixture::counters(rx / 8, tx / 8);
        let at = Mono(second * 1_000_000_000);
        shown =
            Snapshot { sequence: second, at, interval: Duration::from_secs(1), processes: rows, ..busy() };
        screen.state.history.take(&shown);
    }
    screen.show(shown);
    screen
}

/// D6: the tooltip counted samples and called them seconds, had none from when the row was not on the screen, lost the newest
/// at its edge, and did not say that it was both directions.
#[test]
fn a_tooltip_shows_two_minutes_in_each_direction_and_the_newest_last() {
    for width in [80, 50, 40] {
        let mut screen = after_a_while((width, 24));
        screen.press(KeyCode::Char('d'));
        assert!(screen.text().contains("process    sshd"), "{}", screen.text());
        let line = |name: &str| {
            let lines = screen.lines();
            let line = lines.iter().find(|line| line.contains(name)).expect(name);
            let inner = line.split('│').nth(1).unwrap().chars().skip(12).collect::<Vec<_>>();
            // One column is free before the edge.
            inner[..inner.len() - 1].to_vec()
        };
        let (rx, tx) = (line("2 min rx"), line("2 min tx"));
        let of = |seconds: usize| (rx.len() * seconds).div_ceil(120);
        let filled = |line: &[char]| line.iter().filter(|c| **c == '█').count();
        assert!(rx.ends_with(&['█']) && tx.ends_with(&[' ']), "{}", screen.text());
        assert!(filled(&rx).abs_diff(of(10)) <= 1 && filled(&tx).abs_diff(of(60)) <= 1, "{}", screen.text());
        let last = tx.iter().rposition(|c| *c == '█').unwrap();
        assert!(tx[..=last].iter().rev().take(filled(&tx)).all(|c| *c == '█'), "no gap: {}", screen.text());
    }
}

/// D7: from 100 to 159 columns the same two minutes were drawn twice.
#[test]
fn a_page_draws_two_minutes_once() {
    for width in 60..=200 {
        let mut screen = after_a_while((width, 40));
        screen.press(KeyCode::Enter);
        let (line, graph) = (screen.text().contains("2 min rx"), screen.text().contains(" rx <"));
        assert!(line != graph, "{width}: {}", screen.text());
    }
}

#[test]
fn the_help_is_searched() {
    let mut screen = Screen::new(busy(), (80, 24)).type_in("?/theme");
    let text = screen.text();
    assert!(text.contains("choose a theme") && !text.contains("freeze the order"), "{text}");
    screen.press(KeyCode::Enter);
    screen.press(KeyCode::Char('q'));
    let mut screen = Screen::new(busy(), (80, 24)).type_in("?/quit");
    assert_eq!(screen.press(KeyCode::Char('q')), None, "it is text while it is typed");
    assert_eq!(screen.event(control('c')), Some(Effect::Quit));
    screen.press(KeyCode::Esc);
    assert!(screen.text().contains("freeze the order"));
    screen.press(KeyCode::Esc);
    assert!(screen.state.popup.is_none());
}

#[test]
fn pinned_rows_stay_on_top_of_any_order() {
    let order = |rates: [u64; 3]| {
        let row = |(pid, rate): (u32, u64)| process(pid, &format!("p{pid}"), rate, 0);
        snapshot((1u32..).zip(rates).map(row).collect(), vec![])
    };
    let mut screen = Screen::new(order([3000, 2000, 1000]), (80, 24)).type_in("GF");
    let first = |screen: &Screen| screen.state.select(1).rows[0].name().to_owned();
    assert_eq!(first(&screen), "p3");
    assert!(screen.selected().contains("p3"), "the selection goes with it");
    screen.show(order([1000, 9000, 10]));
    assert_eq!(first(&screen), "p3");
    screen = screen.type_in("r");
    assert_eq!(first(&screen), "p3");
    assert!(screen.text().contains("▸       3 p3"));
    screen.press(KeyCode::Down);
    assert!(screen.text().contains('◆'), "pinned shows without colour");
    screen.press(KeyCode::Up);
    screen.press(KeyCode::Char('F'));
    screen.press(KeyCode::Char('r'));
    assert_eq!(first(&screen), "p2");
}

#[test]
fn columns_are_sorted_by_from_left_to_right_and_back() {
    let mut screen = Screen::new(busy(), (80, 24));
    screen.press(KeyCode::Char('>'));
    assert_eq!(screen.state.sort, SortKey::Column(Field::Pid));
    screen.press(KeyCode::Right);
    assert_eq!((screen.state.sort, screen.state.descending), (SortKey::Column(Field::Process), false));
    screen.press(KeyCode::Char('<'));
    screen.press(KeyCode::Char('<'));
    assert_eq!(screen.state.sort, SortKey::Column(Field::Command));
}

#[test]
fn refresh_goes_round_and_the_engine_is_told() {
    let mut screen = Screen::new(busy(), (80, 24));
    for millis in [2000, 5000, 10_000, 500, 1000] {
        let interval = Duration::from_millis(millis);
        assert_eq!(screen.press(KeyCode::Char('f')), Some(Effect::Interval(interval)));
        assert_eq!(screen.state.kept().interval, interval);
    }
    assert!(screen.text().contains("refresh every 1 s"));
}

#[test]
fn parts_of_the_screen_come_and_go() {
    for (key, text) in [('g', "monitor  ebpf"), ('U', "peak"), ('x', "┌")] {
        let mut screen = Screen::new(busy(), (120, 30));
        let there = screen.text().contains(text);
        screen.press(KeyCode::Char(key));
        assert_ne!(screen.text().contains(text), there, "{key}");
        screen.press(KeyCode::Char(key));
        assert_eq!(screen.text().contains(text), there, "{key}");
    }
}

#[test]
fn bars_follow_style_scale_window_and_maximum() {
    let mut screen = Screen::new(busy(), (100, 24));
    screen.options.depth = Depth::True;
    screen.state.settings.theme = "default-dark".into();
    let line = |screen: &Screen| {
        let buffer = screen.draw();
        let y = screen.find("postgres").1;
        (0..100).map(|x| buffer[(x, y)].clone()).collect::<Vec<_>>()
    };
    let length =
        |screen: &Screen| line(screen).iter().filter(|cell| cell.bg == Color::Rgb(0x1b, 0x42, 0x71)).count();
    let log = length(&screen);
    screen.press(KeyCode::Char('L'));
    assert_eq!(screen.state.settings.bar_scale, Scale::Linear);
    let linear = length(&screen);
    assert!(0 < linear && linear < log, "{linear} {log}");
    screen.state.settings.bar_max = Some(150_000_000);
    assert!(length(&screen) > linear, "of a lower maximum it is more");
    screen.press(KeyCode::Char('b'));
    assert!(line(&screen).iter().any(|cell| cell.modifier.contains(Modifier::UNDERLINED)));
    screen.press(KeyCode::Char('b'));
    assert!(line(&screen).iter().any(|cell| cell.symbol() == "="));
    screen = screen.type_in("bb");
    assert_eq!(screen.state.settings.bars, BarStyle::Gradient);
    let shades: HashSet<Color> = line(&screen).iter().map(|cell| cell.bg).collect();
    assert!(shades.len() > 4, "{shades:?}");
    screen = screen.type_in("ww");
    assert_eq!(screen.state.settings.bar_window, Window::Forty);
}

#[test]
fn names_of_hosts_and_services_and_ports_come_and_go() {
    let mut snapshot = busy();
    let hosts = [("93.184.216.34".parse().unwrap(), "example.org".into())].into();
    let services = [((crate::model::Protocol::TCP, 443), "https".into())].into();
    snapshot.names = Arc::new(crate::model::Names { hosts, services: Arc::new(services) });
    let mut screen = Screen::new(snapshot, (120, 30)).type_in("\t");
    assert!(screen.text().contains("10.0.0.5:https") && screen.text().contains("example.org:52211"));
    assert_eq!(screen.press(KeyCode::Char('n')), Some(Effect::NameHosts(false)), "nobody is asked any more");
    assert!(screen.text().contains("93.184.216.34:52211"), "{}", screen.text());
    screen.press(KeyCode::Char('N'));
    assert!(screen.text().contains("10.0.0.5:443"), "{}", screen.text());
    screen.press(KeyCode::Char('p'));
    assert!(screen.text().contains("93.184.216.34 ") && !screen.text().contains(":443"), "{}", screen.text());
    let kept = screen.state.kept();
    assert!(!kept.hosts && !kept.services && !kept.ports);
}

#[test]
fn an_opened_process_shows_the_hash_of_its_executable() {
    let mut snapshot = busy();
    let sum = "0123456789abcdef".repeat(4);
    let identity = crate::model::Identity { sha256: Some(sum.as_str().into()), ..Default::default() };
    Arc::make_mut(&mut snapshot.processes[1]).identity = Arc::new(identity);
    let identity = crate::model::Identity { unhashed: Some("it is gone"), ..Default::default() };
    let mut without = snapshot.clone();
    Arc::make_mut(&mut without.processes[1]).identity = Arc::new(identity);
    for (snapshot, said) in [(snapshot, format!("sha256    {sum}")), (without, "none: it is gone".to_owned())]
    {
        let mut screen = Screen::new(snapshot, (120, 30));
        screen.press(KeyCode::Enter);
        assert!(screen.text().contains(&said), "{}", screen.text());
    }
}

#[test]
fn units_are_those_that_were_asked_for() {
    let mut screen = Screen::new(busy(), (120, 30));
    assert!(screen.text().contains("212Mb/s"));
    screen.press(KeyCode::Char('B'));
    assert!(screen.text().contains("26.5MB/s"), "{}", screen.text());
    screen.press(KeyCode::Char('u'));
    assert!(screen.text().contains("25.3MiB/s"), "{}", screen.text());
}

#[test]
fn escape_and_a_key_that_came_together_are_both() {
    let mut screen = Screen::new(busy(), (80, 24)).type_in("c");
    screen.event(KeyEvent::new(KeyCode::Char('P'), KeyModifiers::ALT));
    assert!(screen.state.popup.is_none());
    assert_eq!(screen.state.phase, Phase::Paused);
}

#[test]
fn what_leaves_the_screen_is_asked_for() {
    let mut screen = Screen::new(busy(), (80, 24));
    let Some(Effect::Copy(text)) = screen.press(KeyCode::Char('y')) else { panic!() };
    assert!(text.starts_with("2817\tnginx\t"), "{text}");
    assert_eq!(screen.press(KeyCode::Char('e')), Some(Effect::Export));
    assert_eq!(screen.press(KeyCode::Char('W')), Some(Effect::Save));
    assert_eq!(screen.press(KeyCode::Char('M')), Some(Effect::Mouse(false)));
    assert_eq!(screen.press(KeyCode::Char('M')), Some(Effect::Mouse(true)));
    assert_eq!(screen.event(control('z')), Some(Effect::Suspend));
}

/// A session on a screen that nobody sees.
fn session(file: Option<SettingsFile>) -> Session<TestBackend> {
    session_with(file, false)
}

fn session_with(file: Option<SettingsFile>, is_filtered: bool) -> Session<TestBackend> {
    watched(file, is_filtered).0
}

/// The same, with what it asks of the engine.
fn watched(
    file: Option<SettingsFile>,
    is_filtered: bool,
) -> (Session<TestBackend>, tokio::sync::mpsc::UnboundedReceiver<Command>) {
    let (control, commands) = tokio::sync::mpsc::unbounded_channel();
    let terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    let (settings, catalog) = (Settings::default(), Catalog::built_in());
    let filter = Some(Arc::new(Filter::parse("proc:nginx").unwrap())).filter(|_| is_filtered);
    let prefixes = Prefixes { v4: 16, v6: 32 };
    let (caller, interfaces) = (Caller::default(), Vec::new as fn() -> Vec<String>);
    let options = TuiOptions { settings, filter, prefixes, interfaces, catalog, caller, file };
    let abilities = Abilities { depth: Depth::True, ascii: false };
    let mut session = Session::new(terminal, options, abilities, control, || true);
    session.receive(Arc::new(busy()));
    (session, commands)
}

fn typed(session: &mut Session<TestBackend>, keys: &str) {
    for c in keys.chars() {
        session.take(Some(&Ok(Event::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)))));
    }
    session.draw().unwrap();
}

#[test]
fn the_terminals_answer_chooses_the_default_and_types_nothing() {
    let mut session = session(None);
    typed(&mut session, "");
    let before = session.state.kept();
    session.take(Some(&Ok(Event::Key(KeyEvent::new(KeyCode::Char(']'), KeyModifiers::ALT)))));
    typed(&mut session, "11;rgb:ffff/ffff/ffff");
    session.take(Some(&Ok(Event::Key(control('g')))));
    session.draw().unwrap();
    assert_eq!(session.state.ground, Some(Ground::Light));
    let light = session.state.catalog.find("default-light").unwrap();
    assert_eq!(session.theme, Theme::new(light, Depth::True, Some(Ground::Light)));
    assert_eq!(session.state.kept(), before);
    typed(&mut session, "P");
    assert_eq!(session.state.phase, Phase::Paused);
}

#[test]
fn settings_are_written_when_asked_and_a_broken_file_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.toml");
    std::fs::write(&path, "# mine\n").unwrap();
    let file = SettingsFile::find(Some(&path), Caller::default()).unwrap();
    let mut session = session(Some(file));
    typed(&mut session, "x3\t");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "# mine\n", "nothing is written before W");
    typed(&mut session, "W");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("border = true") && text.contains("sort = \"40s\"") && text.contains("# mine"),
        "{text}"
    );
    assert!(session.state.message.as_ref().is_some_and(|message| !message.is_error));
    std::fs::write(&path, "theem = 1\n").unwrap();
    typed(&mut session, "W");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "theem = 1\n");
    assert!(
        session
            .state
            .message
            .as_ref()
            .is_some_and(|message| message.is_error && message.text.contains("theme"))
    );
}

/// Counts what is written.
#[derive(Clone, Default)]
struct Counter(Rc<Cell<usize>>);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.set(self.0.get() + bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes of the first frame, of one where every number changed, and of one where nothing did.
fn bytes_of_frames((width, height): (u16, u16), theme: &str) -> [usize; 3] {
    let counter = Counter::default();
    let options =
        ratatui::TerminalOptions { viewport: ratatui::Viewport::Fixed(Rect::new(0, 0, width, height)) };
    let mut terminal = Terminal::with_options(CrosstermBackend::new(counter.clone()), options).unwrap();
    let mut state = State::default();
    theme.clone_into(&mut state.settings.theme);
    let glyphs = Glyphs::new(false);
    let (theme, _) = themed(&state, Depth::True);
    let rows = |shift: u64| {
        let row = |n: u32| {
            process(n, &format!("process-{n}"), 900_000 + u64::from(n) * 7919 + shift, 12_345 + shift)
        };
        snapshot((1..500).map(row).collect(), vec![])
    };
    [0, 123_456, 123_456].map(|shift| {
        let snapshot = Arc::new(rows(shift));
        state.settle(&snapshot, page(Rect::new(0, 0, width, height), &state, &snapshot));
        counter.0.set(0);
        let ctx = Ctx { state: &state, snapshot: &snapshot, theme: &theme, glyphs: &glyphs };
        terminal.draw(|frame| draw(frame, frame.area(), &ctx)).unwrap();
        counter.0.get()
    })
}

/// Milliseconds that it took.
fn milliseconds(work: impl FnOnce()) -> f64 {
    let before = std::time::Instant::now();
    work();
    before.elapsed().as_secs_f64() * 1000.0
}

/// The least of a few.
fn least(mut work: impl FnMut() -> f64) -> f64 {
    (0..5).map(|_| work()).fold(f64::INFINITY, f64::min)
}

/// The table of docs/performance-notes.md: `cargo test -p monitor frames_of_many_rows -- --nocapture`
#[test]
fn frames_of_many_rows_write_no_more_than_those_of_few() {
    let area = Rect::new(0, 0, 200, 50);
    println!("| rows | view | new snapshot, ms | key, ms | draw alone, ms | B, every number changed |");
    for (view, keys) in [("processes", ""), ("flows", "\t")] {
        let mut bytes_of_few = 0;
        for rows in [100, 1000, 10_000, 100_000] {
            let counter = Counter::default();
            let options = ratatui::TerminalOptions { viewport: ratatui::Viewport::Fixed(area) };
            let mut terminal =
                Terminal::with_options(CrosstermBackend::new(counter.clone()), options).unwrap();
            let mut screen = Screen::new(super::views::many(rows, 0), (200, 50)).type_in(keys);
            let glyphs = Glyphs::new(false);
            let (theme, _) = themed(&screen.state, Depth::True);
            let mut draw_it = |screen: &Screen| {
                let (state, snapshot) = (&screen.state, &screen.snapshot);
                let ctx = Ctx { state, snapshot, theme: &theme, glyphs: &glyphs };
                terminal.draw(|frame| draw(frame, frame.area(), &ctx)).unwrap();
            };
            draw_it(&screen);
            counter.0.set(0);
            screen.show(super::views::many(rows, 1234));
            draw_it(&screen);
            let bytes = counter.0.get();
            let draw_alone = least(|| milliseconds(|| draw_it(&screen)));
            let key = least(|| {
                milliseconds(|| {
                    screen.press(KeyCode::Down);
                    draw_it(&screen);
                })
            });
            let mut shift = 0;
            let fresh = least(|| {
                shift += 1;
                let snapshot = super::views::many(rows, shift);
                milliseconds(|| {
                    screen.show(snapshot);
                    draw_it(&screen);
                })
            });
            println!("| {rows} | {view} | {fresh:.1} | {key:.1} | {draw_alone:.1} | {bytes} |");
            bytes_of_few = if rows == 100 { bytes } else { bytes_of_few };
            assert!(bytes <= bytes_of_few * 3 / 2, "{rows} rows: {bytes} B, 100 rows: {bytes_of_few} B");
        }
    }
}

#[test]
fn the_bytes_of_a_frame_are_bounded() {
    for (size, theme, most) in [
        ((80, 24), "terminal", [9_000, 7_000, 100]),
        ((80, 24), "default-dark", [16_000, 12_000, 100]),
        ((200, 50), "terminal", [40_000, 24_000, 100]),
        ((200, 50), "default-dark", [70_000, 40_000, 100]),
    ] {
        let bytes = bytes_of_frames(size, theme);
        println!(
            "{size:?} {theme}: first {} B, every number changed {} B, nothing changed {} B",
            bytes[0], bytes[1], bytes[2]
        );
        for (bytes, most) in bytes.into_iter().zip(most) {
            assert!(bytes <= most, "{size:?} {theme}: {bytes} > {most}");
        }
    }
}

#[test]
fn the_filter_and_the_networks_of_the_command_line_are_where_the_screen_begins() {
    let mut session = session_with(None, true);
    typed(&mut session, "");
    let listing = session.state.listing();
    assert_eq!(listing.all().map(Row::name).collect::<Vec<_>>(), ["nginx"]);
    assert_eq!(
        (listing.scope().prefixes, &*session.state.filter_text),
        (Prefixes { v4: 16, v6: 32 }, "proc:nginx")
    );
    // As if it had been typed: it can be taken away and recalled.
    session.take(Some(&Ok(Event::Key(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE)))));
    session.draw().unwrap();
    assert!(session.state.listing().len() > 10 && session.state.filters == ["proc:nginx"]);
}

fn press(session: &mut Session<TestBackend>, code: KeyCode) {
    session.take(Some(&Ok(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)))));
    session.draw().unwrap();
}

#[test]
fn the_engine_is_asked_about_what_is_open_and_only_while_it_is() {
    let (mut session, mut commands) = watched(None, false);
    let mut asked = || {
        let sent = std::iter::from_fn(|| commands.try_recv().ok());
        sent.filter(|sent| matches!(sent, Command::Inspect(_) | Command::ListSockets(_))).collect::<Vec<_>>()
    };
    session.draw().unwrap();
    assert_eq!(asked(), []);
    // nginx moves most.
    press(&mut session, KeyCode::Enter);
    let nginx = Some(ProcessId { pid: 2817, generation: 7 });
    assert_eq!(asked(), [Command::ListSockets(nginx)]);
    press(&mut session, KeyCode::Enter);
    let flow = Some(busy().flows[0].id);
    assert_eq!(asked(), [Command::Inspect(flow), Command::ListSockets(None)]);
    press(&mut session, KeyCode::Esc);
    assert_eq!(asked(), [Command::Inspect(None), Command::ListSockets(nginx)]);
    press(&mut session, KeyCode::Esc);
    assert_eq!(asked(), [Command::ListSockets(None)]);
}

/// A process of the busy server is open, and the kernel told these sockets of it.
fn opened_with(sockets: Result<Vec<HeldSocket>, &'static str>) -> Vec<String> {
    let process = ProcessId { pid: 2817, generation: 7 };
    let mut screen =
        Screen::new(Snapshot { held: Some(HeldSockets { process, sockets }), ..busy() }, (120, 40));
    screen.press(KeyCode::Enter);
    screen.lines()
}

#[test]
fn idle_sockets_and_those_who_wait_are_told_of_an_opened_process() {
    let held = |cookie, state: Option<TcpState>, remote, queues: (u32, u32)| HeldSocket {
        socket: SocketId(cookie),
        protocol: if state.is_some() { Protocol::TCP } else { Protocol::UDP },
        local: endpoint("10.0.0.5", 443),
        remote,
        state: SocketState { state, receive_queue: queues.0, send_queue: queues.1, tcp: None },
    };
    let peer = Some(endpoint("203.0.113.7", 61_022));
    let mut sockets = vec![
        held(90, Some(TcpState::Listen), None, (3, 511)),
        // Its flow moves.
        held(1, Some(TcpState::Established), peer, (0, 0)),
        held(91, Some(TcpState::CloseWait), peer, (600, 0)),
        held(92, None, None, (0, 0)),
    ];
    let text = opened_with(Ok(sockets.clone())).join("\n");
    for said in [
        "4 held, 1 listening, 2 idle",
        "tcp 10.0.0.5:443 3 of 511 wait",
        "tcp 10.0.0.5:443 to 203.0.113.7:61022 close-wait 600B not read; ",
        "udp 10.0.0.5:443",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    sockets.extend((100..120).map(|cookie| held(cookie, Some(TcpState::Established), peer, (0, 0))));
    let text = opened_with(Ok(sockets)).join("\n");
    assert!(text.contains("24 held, 1 listening, 22 idle") && text.contains("and 16 more"), "{text}");
    let text = opened_with(Err("its descriptors may not be read")).join("\n");
    assert!(text.contains("its descriptors may not be read"), "{text}");
}
