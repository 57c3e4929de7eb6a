//! Keys and settings of iftop and iftoprs, as far as no other test shows them (docs/from-iftop.md), and the hints in the footer.

use super::*;
use crate::query::Row;

fn press_all(screen: &mut Screen, codes: &[KeyCode]) {
    for code in codes {
        screen.press(*code);
    }
}

fn control(screen: &mut Screen, c: char) {
    screen.event(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL));
}

#[test]
fn t_goes_through_the_line_modes_of_both() {
    let mut screen = Screen::new(busy(), (120, 30)).type_in("\t");
    let arrows = |screen: &Screen| {
        let text = screen.text();
        [text.contains(" => "), text.contains(" <= "), text.contains("RX 2s"), text.contains("nginx[2817]")]
    };
    screen.press(KeyCode::F(1));
    screen.press(KeyCode::Char('t'));
    assert!(screen.text().contains("t is for flows: F2 shows them"), "{}", screen.text());
    screen.press(KeyCode::F(2));
    // Sent over received, a line of columns, sent only, received only; the last two without processes.
    for expected in [
        [true, true, false, true],
        [false, false, true, false],
        [true, false, false, false],
        [false, true, false, false],
        [true, true, false, true],
    ] {
        assert_eq!(arrows(&screen), expected, "{}", screen.text());
        screen.press(KeyCode::Char('t'));
    }
}

#[test]
fn z_shows_flows_without_processes_and_with_them() {
    let mut screen = Screen::new(busy(), (120, 30)).type_in("Z");
    assert!(screen.text().contains("Z is for flows: F2 shows them") && screen.text().contains("nginx"));
    let owners = |screen: &Screen| {
        let text = screen.text();
        [text.contains("nginx"), text.contains("2817"), text.contains("PROCESS")]
    };
    for (keys, addresses) in [("\t", "93.184.216.34:52211"), ("t", "93.184.216.34:52211")] {
        screen = screen.type_in(keys);
        assert_eq!(owners(&screen), [true; 3], "{}", screen.text());
        screen = screen.type_in("Z");
        assert_eq!(owners(&screen), [false; 3], "{}", screen.text());
        assert!(screen.text().contains(addresses), "{}", screen.text());
        screen = screen.type_in("Z");
    }
    // A click on a title finds the column that is there.
    let screen = screen.type_in("Z");
    let line = screen.lines().iter().position(|line| line.contains("REMOTE")).unwrap();
    let titles = &screen.lines()[line];
    let place = |title: &str| {
        let x = titles.split(title).next().unwrap().chars().count();
        (u16::try_from(x).unwrap(), u16::try_from(line).unwrap())
    };
    let spot = |title| view::spot(screen.area(), &screen.state, &screen.snapshot, place(title));
    assert_eq!(spot("IFACE"), Some(view::Spot::Title(crate::query::Field::Interface)));
    assert_eq!(spot("REMOTE"), Some(view::Spot::Title(crate::query::Field::Remote)));
}

#[test]
fn w_gives_the_bars_another_average() {
    // What it moves now and what it moved before differ by a lot.
    let mut row = process(10, "burst", 0, 0);
    row.windows.rx = [900_000_000, 1_000_000, 1000];
    let mut screen = Screen::new(snapshot(vec![row], vec![]), (100, 24)).type_in("bb");
    assert_eq!(screen.state.settings.bars, BarStyle::Ascii);
    screen.state.settings.bar_max = Some(1_000_000_000);
    let signs = |screen: &Screen| screen.selected().matches('=').count();
    let mut lengths = Vec::new();
    for said in ["10 s", "40 s", "2 s"] {
        lengths.push(signs(&screen));
        screen.press(KeyCode::Char('w'));
        assert!(screen.text().contains(&format!("bars: average of {said}")), "{}", screen.text());
    }
    assert!(lengths[0] > lengths[1] && lengths[1] > lengths[2], "{lengths:?}");
}

#[test]
fn every_key_that_moves_moves() {
    use KeyCode::{Char, Down, End, Home, PageDown, PageUp, Up};
    let mut screen = Screen::new(busy(), (80, 24));
    let (last, page) = (screen.snapshot.processes.len() - 1, 18);
    for (key, place) in [
        (Char('j'), 1),
        (Down, 2),
        (Char('k'), 1),
        (Up, 0),
        (Char('G'), last),
        (Home, 0),
        (End, last),
        (PageUp, last - page),
        (PageDown, last),
        (Home, 0),
    ] {
        screen.press(key);
        assert_eq!(screen.state.cursor().index, place, "{key:?}");
        // The row that is marked is the one that is meant.
        let row = screen.state.select(place + 1).rows[place].name().to_owned();
        let name = screen.state.format().snapshot.names.services.is_empty();
        assert!(name && screen.selected().contains(row.split('\u{1b}').next().unwrap()), "{row}");
    }
    control(&mut screen, 'd');
    assert_eq!(screen.state.cursor().index, page);
    control(&mut screen, 'u');
    assert_eq!(screen.state.cursor().index, 0);
}

#[test]
fn l_and_slash_filter_and_0_ends_it() {
    for key in ['l', '/'] {
        let mut screen = Screen::new(busy(), (120, 30));
        screen.press(KeyCode::Char(key));
        let mut screen = screen.type_in("proc:nginx");
        assert!(screen.text().contains(" / proc:nginx"), "{}", screen.text());
        screen.press(KeyCode::Enter);
        assert!(screen.text().contains("[Processes 1]") && screen.text().contains("filtered"));
        screen.press(KeyCode::Char('0'));
        assert!(screen.text().contains("[Processes 38]") && !screen.text().contains("filtered"));
        screen.press(KeyCode::Char(key));
        let mut screen = screen.type_in("proc:x");
        screen.press(KeyCode::Esc);
        assert!(screen.text().contains("[Processes 38]"), "Esc leaves everything as it was");
    }
}

/// A screen that begins with this text as its settings.
fn set(text: &str, size: (u16, u16)) -> Screen {
    let mut screen = Screen::new(with_names(), size);
    screen.state = State::new(Settings::parse(text).unwrap(), Arc::new(Catalog::built_in()));
    screen.settle();
    screen
}

fn with_names() -> Snapshot {
    let hosts = [("93.184.216.34".parse().unwrap(), "example.org".into())].into();
    let services = [((crate::model::Protocol::TCP, 443), "https".into())].into();
    Snapshot { names: Arc::new(crate::model::Names { hosts, services: Arc::new(services) }), ..busy() }
}

#[test]
fn settings_of_the_ancestors_show() {
    let flows = |line: &str| format!("view = 'flows'\n{line}\n");
    // A setting, what is there without it and not with it, what is there with it and not without.
    for (setting, without, with) in [
        (flows("hosts = false"), "example.org:52211", "93.184.216.34:52211"),
        (flows("services = false"), "10.0.0.5:https", "10.0.0.5:443"),
        (flows("ports = false"), "example.org:52211", "example.org  "),
        (flows("owners = false"), "nginx[2817]", ""),
        (flows("lines = 'one'"), " => ", "RX 2s"),
        (flows("lines = 'sent'"), " <= ", ""),
        (flows("lines = 'received'"), " => ", ""),
        (flows("sort = 'local'"), "sort 2s", "sort local"),
        (flows("unit = 'bytes'"), "212Mb/s", "26.5MB/s"),
        (flows("border = true"), "", "┌"),
        (flows("header = false"), "monitor  ebpf", ""),
        (flows("totals = false"), "peak", ""),
    ] {
        let [before, after] = [flows(""), setting.clone()].map(|text| set(&text, (120, 30)).text());
        let differs = |text: &str, there: &str, not: &str| {
            (there.is_empty() || text.contains(there)) && (not.is_empty() || !text.contains(not))
        };
        assert!(differs(&before, without, with) && differs(&after, with, without), "{setting}{after}");
    }
    let mut screen = set("bars = 'off'", (120, 30));
    let blue = |screen: &Screen| {
        let buffer = screen.draw();
        buffer.content.iter().any(|cell| cell.bg == ratatui::style::Color::Blue)
    };
    assert!(blue(&set("", (120, 30))) && !blue(&screen));
    screen.press(KeyCode::Char('b'));
    assert!(screen.text().contains("bars: gradient"), "none is a style like another");
    let mut screen = set("interval = 5", (120, 30));
    assert_eq!(screen.press(KeyCode::Char('f')), Some(Effect::Interval(Duration::from_secs(10))));
    let mut screen = set("tooltips = false", (120, 30));
    screen.press(KeyCode::Char('T'));
    assert!(screen.text().contains("tooltips: right click"), "they were off");
}

#[test]
fn every_theme_of_iftoprs_has_its_name() {
    for name in "NeonSprawl AcidRain IceBreaker SynthWave RustBelt GhostWire RedSector SakuraDen DataStream \
        SolarFlare NeonNoir ChromeHeart BladeRunner VoidWalker ToxicWaste CyberFrost PlasmaCore SteelNerve \
        DarkSignal GlitchPop HoloShift NightCity DeepNet LaserGrid QuantumFlux BioHazard Darkwave Overlock \
        Megacorp Zaibatsu Iftopcolor"
        .split_whitespace()
    {
        let screen = set(&format!("theme = '{name}'"), (80, 24));
        let found = screen.state.catalog.find(screen.state.theme()).unwrap();
        assert!(found.name.eq_ignore_ascii_case(name), "{name}: {}", found.name);
    }
}

#[test]
fn a_row_that_moves_more_than_the_alert_is_marked_and_counted() {
    let rows = || {
        vec![
            process(5, "most", 400_000_000, 0),
            process(10, "calm", 9_000_000, 0),
            process(20, "busy", 0, 300_000_000),
        ]
    };
    let alerted = |text: &str| {
        let mut screen = Screen::new(snapshot(rows(), vec![]), (100, 24));
        screen.state = State::new(Settings::parse(text).unwrap(), Arc::new(Catalog::built_in()));
        screen.settle();
        screen
    };
    let line =
        |screen: &Screen, name: &str| screen.lines().into_iter().find(|line| line.contains(name)).unwrap();
    assert!(!alerted("").text().contains('!'), "{}", alerted("").text());
    let mut screen = alerted("alert = '100Mb/s'");
    assert!(screen.lines()[0].contains("! 2 above 100Mb/s  ● live"), "{}", screen.text());
    assert!(line(&screen, "most").starts_with("▸!"), "the selected one, too: {}", screen.text());
    assert!(line(&screen, "busy").starts_with(" !") && line(&screen, "calm").starts_with("  "));
    // At the limit is not above it, and who no longer is above it is not marked.
    screen.show(snapshot(vec![process(20, "busy", 100_000_000, 0)], vec![]));
    assert!(!screen.text().contains('!'), "{}", screen.text());
    // Both lines of a flow, and ASCII where there is no more.
    let mut flows = Screen::new(busy(), (100, 24)).type_in("\t");
    flows.state.settings.alert = crate::config::Alert(Some(100_000_000));
    flows.options = PLAIN;
    flows.show(busy());
    let above = flows.snapshot.flows.iter().filter(|row| Row::Flow(row).exceeds(100_000_000)).count();
    assert!(
        above > 0 && flows.text().contains(&format!("! {above} above 100Mb/s  * live")),
        "{}",
        flows.text()
    );
    assert!(flows.text().contains(">!"), "{}", flows.text());
    assert!(Screen::new(busy(), (120, 60)).type_in("?").text().contains("! before a row"));
}

/// D23: the other direction and the bar of the whole row were painted, too, so that a little looked as bad as a lot.
#[test]
fn an_alert_paints_the_rates_that_exceed_it_and_no_more() {
    let mut busy_one = process(20, "busy", 8_700, 300_000_000);
    busy_one.windows.tx = [300_000_000, 150_000_000, 50_000_000];
    let mut flow = crate::query::fixture::flow(
        1,
        &busy_one,
        crate::query::fixture::endpoint("10.0.0.5", 443),
        crate::query::fixture::endpoint("10.0.0.6", 50_000),
    );
    flow.windows = busy_one.windows;
    let theme = Theme::new(Catalog::built_in().find("terminal").unwrap(), Depth::Sixteen, None);
    let warning = theme.warning.fg.unwrap();
    for (keys, bars) in
        [("", BarStyle::Solid), ("", BarStyle::Off), ("\t", BarStyle::Solid), ("\tt", BarStyle::Off)]
    {
        let mut screen =
            Screen::new(snapshot(vec![busy_one.clone()], vec![flow.clone()]), (120, 24)).type_in(keys);
        screen.state.settings.alert = crate::config::Alert(Some(100_000_000));
        screen.state.settings.bars = bars;
        screen.settle();
        let buffer = screen.draw();
        // What is painted in the table, without what is said above it.
        let painted = |y: u16| {
            (0..120)
                .map(|x| &buffer[(x, y)])
                .filter(|cell| cell.fg == warning)
                .map(ratatui::buffer::Cell::symbol)
                .collect()
        };
        let painted: Vec<String> = (4..23).map(painted).collect();
        let painted = painted.concat().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(painted, "! 300Mb/s 150Mb/s", "{keys:?} {bars:?}: {}", screen.text());
    }
}

#[test]
fn hints_are_of_what_is_open() {
    let footer = |keys: &str, size| {
        let mut screen = Screen::new(super::server::named(), size);
        for c in keys.chars() {
            screen.press(match c {
                '\n' => KeyCode::Enter,
                c => KeyCode::Char(c),
            });
        }
        screen.lines().pop().unwrap().trim().to_owned()
    };
    for size in [(80, 24), (200, 50)] {
        assert_eq!(footer("?", size), "/ search  Esc back  q quit");
        assert_eq!(footer("?/", size), "Enter keep  Esc all keys");
        for chooser in ["c", "V", "i"] {
            assert_eq!(footer(chooser, size), "j k move  Enter keep  Esc back  q quit", "{chooser}");
        }
        assert!(footer("/", size).starts_with("Enter look  Tab complete  Up earlier  Esc back"));
    }
    assert_eq!(footer("d", (200, 50)), "Esc back  ? help  q quit");
    // Of a flow there is nothing to open and no other view.
    let flow = footer("\n\n", (200, 50));
    assert!(["open", "view", "zoom"].iter().all(|word| !flow.contains(word)), "{flow}");
    // Where all of it is shown there is nothing to zoom.
    assert!(footer("\n", (80, 24)).contains("z zoom") && !footer("\n", (200, 50)).contains("z zoom"));
}

#[test]
fn a_hint_under_what_is_open_is_no_button() {
    let mut screen = Screen::new(busy(), (80, 24)).type_in("c");
    let spot = view::spot(screen.area(), &screen.state, &screen.snapshot, (2, 23));
    assert_eq!(spot, None, "a click beside what is open closes it");
    press_all(&mut screen, &[KeyCode::Esc]);
    assert!(screen.state.popup.is_none());
}
