//! The screen in a real terminal: it shows what moves, and whatever ends it, the terminal is usable afterwards.

use monitor_tests::{
    program::{self, Running},
    pty::Pty,
    scene::Scene,
    terminal::Terminal,
    veth::Version,
};
use rustix::process::Signal;
use std::{io::Write, process::Command};

/// `monitor` on the scene's cgroup in a terminal of that size.
fn open(scene: &Scene, width: u16, height: u16, environment: &[(&str, &str)]) -> Terminal {
    let (program, cgroup) = (program::monitor(), scene.cgroup.path());
    let words = [program.as_path(), cgroup].map(|path| path.to_str().expect("a path in UTF-8"));
    Terminal::open(width, height, &[words[0], "--interval", "0.2", "--cgroup", words[1]], environment)
}

/// Moves bytes, one small transfer a look, until the process that sends them is on the screen.
fn until_it_shows_the_client(terminal: &Terminal, scene: &mut Scene) {
    let connection = scene.connect(Version::V4);
    terminal.until_drawn("the client is on the screen", |screen| {
        scene.upload(connection, 10_000);
        screen.contains("client")
    });
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn q_leaves_a_sane_terminal() {
    let mut scene = Scene::new();
    let terminal = open(&scene, 80, 24, &[]);
    until_it_shows_the_client(&terminal, &mut scene);
    terminal.press("q");
    assert_eq!(terminal.ended_sane().0, 0);
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn an_opened_process_tells_its_idle_sockets_and_who_waits() {
    let mut scene = Scene::new();
    let (program, cgroup) = (program::monitor(), scene.cgroup.path());
    let [program, cgroup] = [program.as_path(), cgroup].map(|path| path.to_str().expect("a path in UTF-8"));
    let words = [program, "--interval", "0.2", "--cgroup", cgroup, "--filter", "proc:server"];
    let terminal = Terminal::open(120, 45, &words, &[]);
    let connection = scene.connect(Version::V4);
    terminal.until_drawn("the server is on the screen, and only that", |screen| {
        scene.upload(connection, 10_000);
        let is_listed = |name: &str| screen.lines().any(|line| line.contains(name) && line.contains("b/s"));
        is_listed(" server ") && !is_listed(" client ")
    });
    terminal.press("Enter");
    let port = format!(":{} 0 of ", connection.listener.port);
    terminal.until_drawn("its sockets are told", |screen| {
        let tells = screen.contains(" 1 listening, ") && screen.contains(&port);
        // Not every kernel has the module; then it has to say so.
        tells || screen.contains("the kernel lists no sockets")
    });
    terminal.press("q");
    assert_eq!(terminal.ended_sane().0, 0);
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn a_signal_leaves_a_sane_terminal() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut scene = Scene::new();
        let terminal = open(&scene, 80, 24, &[]);
        until_it_shows_the_client(&terminal, &mut scene);
        terminal.signal(signal);
        assert_eq!(terminal.ended_sane().0, code, "{signal:?}");
    }
}

/// crossterm's reader never returns from a terminal that is gone; a lost connection must not leave a busy program.
#[test]
#[ignore = "needs root, BPF and tmux"]
fn a_terminal_that_goes_away_ends_it() {
    let mut scene = Scene::new();
    let terminal = open(&scene, 80, 24, &[]);
    until_it_shows_the_client(&terminal, &mut scene);
    terminal.hang_up();
}

/// MONITOR_TEST_PANIC is heeded by debug builds only.
fn panic_in(place: &str) {
    let scene = Scene::new();
    let terminal = open(&scene, 80, 24, &[("MONITOR_TEST_PANIC", place)]);
    let (code, said) = terminal.ended_sane();
    assert_eq!(code, 101, "{said}");
    assert!(said.contains("panicked"), "the message is lost: {said}");
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn a_panic_in_the_engine_leaves_a_sane_terminal_and_its_message() {
    panic_in("engine");
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn a_panic_in_the_frontend_leaves_a_sane_terminal_and_its_message() {
    panic_in("frontend");
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn a_terminal_too_small_is_survived_and_outgrown() {
    let mut scene = Scene::new();
    let terminal = open(&scene, 10, 3, &[]);
    terminal.until_drawn("something is drawn", |_| true);
    for (width, height) in [(1, 1), (300, 80), (2, 30), (80, 24)] {
        terminal.resize(width, height);
    }
    until_it_shows_the_client(&terminal, &mut scene);
    terminal.press("q");
    assert_eq!(terminal.ended_sane().0, 0);
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn keys_do_not_wait_for_the_next_tick() {
    let scene = Scene::new();
    let (program, cgroup) = (program::monitor(), scene.cgroup.path());
    let words = [program.as_path(), cgroup].map(|path| path.to_str().expect("a path in UTF-8"));
    // So long that no step of this test waits for it.
    let terminal = Terminal::open(80, 24, &[words[0], "--interval", "1000", "--cgroup", words[1]], &[]);
    terminal.until_drawn("the programs are loaded", |screen| screen.contains("live"));
    for (key, seen) in [("Tab", "[Flows"), ("?", "reverse the order"), ("Escape", "[Flows"), ("H", "HEALTH")]
    {
        terminal.press(key);
        terminal.until_drawn("a key shows at once", |screen| screen.contains(seen));
    }
    terminal.press("q");
    assert_eq!(terminal.ended_sane().0, 0);
}

/// Left clicks at a column and a line from 1, pressed and let go.
fn click(terminal: &Terminal, column: usize, line: usize, times: usize) {
    // At once: two clicks are a double click only while the time between them is short.
    terminal.send(&format!("\x1b[<0;{column};{line}M\x1b[<0;{column};{line}m").repeat(times));
}

/// The line and column, from 1, of a text on the screen.
fn place(screen: &str, text: &str) -> (usize, usize) {
    let (line, found) =
        screen.lines().enumerate().find(|(_, line)| line.contains(text)).expect("the text is on the screen");
    (line + 1, found.split(text).next().unwrap_or_default().chars().count() + 1)
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn the_mouse_sorts_selects_and_opens_and_is_given_back() {
    let mut scene = Scene::new();
    let terminal = open(&scene, 120, 30, &[]);
    until_it_shows_the_client(&terminal, &mut scene);
    assert!(terminal.mouse());
    let screen = terminal.screen();
    let (line, column) = place(&screen, "PROCESS");
    click(&terminal, column, line, 1);
    terminal.until_drawn("a click on a title sorts", |screen| screen.contains("sort process"));
    let (line, column) = place(&terminal.screen(), "client");
    click(&terminal, column, line, 2);
    terminal.until_drawn("a double click opens", |screen| screen.contains("Processes › client["));
    terminal.press("Escape");
    terminal.until_drawn("Esc goes back", |screen| !screen.contains("Processes ›"));
    terminal.press("M");
    terminal.until_drawn("M gives the mouse back", |_| !terminal.mouse());
    terminal.press("q");
    assert_eq!(terminal.ended_sane().0, 0);
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn an_interface_that_was_not_counted_is_counted_once_it_is_chosen() {
    let mut scene = Scene::new();
    let monitor = program::monitor();
    let monitor = monitor.to_str().expect("a path in UTF-8");
    let (enter, name) = (format!("--net={}", scene.pair.a.netns.path()), scene.pair.a.name.clone());
    let words = ["nsenter", &enter, monitor, "--interval", "0.2", "--no-dns", "-i", "lo"];
    let terminal = Terminal::open(120, 30, &words, &[]);
    let on = |name: &str| format!(" on {name} ");
    terminal.until_drawn("lo is counted", |screen| screen.contains("live") && screen.contains(&on("lo")));
    let connection = scene.connect(Version::V4);
    scene.upload(connection, 10_000);
    assert!(!terminal.screen().contains("client"), "what passes another interface is not counted");
    terminal.press("i");
    terminal.until_drawn("both can be chosen", |screen| screen.contains("▸ lo") && screen.contains(&name));
    terminal.press("End");
    let marked = format!("▸ {name}");
    terminal.until_drawn("it is marked", |screen| screen.contains(&marked));
    terminal.press("Enter");
    terminal.until_drawn("it is counted", |screen| screen.contains(&on(&name)));
    terminal.until_drawn("its traffic is shown", |screen| {
        scene.upload(connection, 10_000);
        screen.contains("client")
    });
    terminal.press("q");
    assert_eq!(terminal.ended_sane().0, 0);
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn a_theme_is_chosen_with_preview_and_kept_on_request() {
    let mut scene = Scene::new();
    let directory = tempfile::tempdir().expect("a directory for the settings");
    let config = directory.path().to_str().expect("a path in UTF-8");
    let terminal = open(&scene, 80, 24, &[("XDG_CONFIG_HOME", config)]);
    until_it_shows_the_client(&terminal, &mut scene);
    terminal.press("c");
    terminal.until_drawn("the chooser is open", |screen| screen.contains("theme 1/"));
    terminal.press("End");
    terminal.until_drawn("the last is marked", |screen| screen.contains("▸ Zaibatsu"));
    terminal.press("Enter");
    terminal.until_drawn("it is kept", |screen| screen.contains("W keeps"));
    let file = directory.path().join("monitor/config.toml");
    assert!(!file.exists(), "nothing is written before W");
    terminal.press("W");
    terminal.until_drawn("it is written", |screen| screen.contains("settings written"));
    let text = std::fs::read_to_string(&file).expect("read the settings");
    assert!(text.contains("\ntheme = \"Zaibatsu\"\n"), "{text}");
    terminal.press("q");
    assert_eq!(terminal.ended_sane().0, 0);
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn an_answer_about_the_background_presses_no_key() {
    let mut scene = Scene::new();
    let terminal = open(&scene, 120, 30, &[]);
    until_it_shows_the_client(&terminal, &mut scene);
    // Its characters are keys: digits sort, r reverses, b changes the bars, f the refresh, g hides the first line.
    terminal.send("\x1b]11;rgb:fdfd/f6f6/e3e3\x1b\\");
    terminal.press("P");
    terminal.until_drawn("the key behind it is heard and nothing in it", |screen| {
        screen.contains("paused") && screen.contains("sort 2s ▼") && screen.contains("monitor  ebpf")
    });
    terminal.press("q");
    assert_eq!(terminal.ended_sane().0, 0);
}

/// In pieces, with the next frames in between: each character of it is a key, too. `e` would write a file.
#[test]
#[ignore = "needs root, BPF and tmux"]
fn an_answer_in_pieces_presses_no_key() {
    // As others ask for it, too: not only in one way.
    const PIECES: [[&str; 2]; 4] = [
        ["\x1b]", "11;rgb:1e1e/1e1e/2e2e\x07"],
        ["\x1b]11;rgb:1e1", "e/1e1e/2e2e\x07"],
        ["\x1b]11;rgb:1e1e/1e1e/2e2e\x1b", "\\"],
        ["\x1b]52;c;e2V", "ZWVlYmZn\x1b\\"],
    ];
    let mut scene = Scene::new();
    let (directory, terminal) = in_a_directory(&scene);
    until_it_shows_the_client(&terminal, &mut scene);
    for [first, second] in PIECES {
        terminal.send(first);
        later(&terminal);
        terminal.send(second);
    }
    terminal.press("P");
    terminal.until_drawn("the key behind them is heard and nothing in them", |screen| {
        screen.contains("paused") && screen.contains("sort 2s ▼") && screen.contains("monitor  ebpf")
    });
    assert_eq!(std::fs::read_dir(directory.path()).expect("read the directory").count(), 0);
    terminal.press("q");
    assert_eq!(terminal.ended_sane().0, 0);
}

/// On a terminal that answers at once, with the first byte alone.
#[test]
#[ignore = "needs root and BPF"]
fn an_answer_whose_esc_comes_alone_presses_no_key() {
    let scene = Scene::new();
    let directory = tempfile::tempdir().expect("a directory");
    let (pty, mut command) = (Pty::open(), Command::new(program::monitor()));
    command.args(["--no-dns", "--interval", "0.2", "--cgroup"]).arg(scene.cgroup.path());
    pty.give_to(command.current_dir(directory.path()));
    let mut running = Running::start(&mut command);
    drop(command);
    let mut keyboard = pty.ours.try_clone().expect("a descriptor");
    // Typed one after the other, each after three more pieces were drawn.
    let mut typed = [&b"\x1b"[..], b"]11;rgb:1e1e/1e1e/2e2e\x07", b"q"].into_iter();
    let (mut drawn, mut pieces) = (String::new(), 0);
    let typing = pty.watch(move |piece| {
        drawn.push_str(&String::from_utf8_lossy(piece));
        pieces = if drawn.contains("\x1b]11;?") { pieces + 1 } else { 0 };
        if pieces % 3 == 1
            && let Some(bytes) = typed.next()
        {
            keyboard.write_all(bytes).expect("type");
        }
        true
    });
    let status = running.ended();
    typing.join().expect("watch the terminal");
    assert_eq!(status.code(), Some(0));
    let there: Vec<_> = std::fs::read_dir(directory.path()).expect("read the directory").flatten().collect();
    assert!(there.is_empty(), "{there:?}");
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn pasted_text_is_typed_into_the_filter_and_presses_no_key() {
    let mut scene = Scene::new();
    let (directory, terminal) = in_a_directory(&scene);
    until_it_shows_the_client(&terminal, &mut scene);
    terminal.paste("e\nWq\n");
    terminal.until_drawn("it is told", |screen| screen.contains("pasted text presses no keys"));
    terminal.press("/");
    terminal.paste("proc:client\nor pid:1\nWe\n");
    terminal.until_drawn("it is in the line", |screen| screen.contains("proc:client or pid:1 We"));
    terminal.press("C-w");
    terminal.press("Enter");
    terminal.until_drawn("it filters", |screen| screen.contains("client") && !screen.contains("server"));
    let there: Vec<_> = std::fs::read_dir(directory.path()).expect("read the directory").flatten().collect();
    assert!(there.is_empty(), "{there:?}");
    terminal.press("q");
    assert_eq!(terminal.ended_sane().0, 0);
}

/// `monitor` in a directory of its own, where its settings would be, too.
fn in_a_directory(scene: &Scene) -> (tempfile::TempDir, Terminal) {
    let directory = tempfile::tempdir().expect("a directory");
    let inside = directory.path().to_str().expect("a path in UTF-8");
    let (program, cgroup) = (program::monitor(), scene.cgroup.path());
    let [program, cgroup] = [program.as_path(), cgroup].map(|path| path.to_str().expect("a path in UTF-8"));
    let words =
        ["sh", "-c", "cd \"$0\" && exec \"$@\"", inside, program, "--interval", "0.2", "--cgroup", cgroup];
    let terminal = Terminal::open(120, 30, &words, &[("XDG_CONFIG_HOME", inside)]);
    (directory, terminal)
}

/// Waits until the screen has shown another second: longer than any pause between the bytes of one key.
fn later(terminal: &Terminal) {
    let second = |screen: &str| screen.split(" up ").nth(1).and_then(|rest| rest.get(..8)).map(str::to_owned);
    let before = second(&terminal.screen());
    terminal.until_drawn("another second is shown", |screen| second(screen) != before);
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn control_z_goes_back_to_the_shell_and_returns() {
    let mut scene = Scene::new();
    let cgroup = scene.cgroup.path().to_str().expect("a path in UTF-8");
    let monitor = program::monitor();
    let monitor = monitor.to_str().expect("a path in UTF-8");
    // A shell with jobs, as a person has one.
    let shell = "\"$0\" \"$@\"; echo stopped; stty -a | grep -o ' icanon'; read line; fg >/dev/null";
    let words = ["sh", "-mc", shell, monitor, "--interval", "0.2", "--cgroup", cgroup];
    let terminal = Terminal::open(80, 24, &words, &[]);
    until_it_shows_the_client(&terminal, &mut scene);
    terminal.press("C-z");
    terminal.until_seen("the shell is back on its own screen", |screen| screen.contains("icanon"));
    assert!(!terminal.alternate() && !terminal.mouse());
    terminal.pastes_plainly();
    terminal.press("Enter");
    until_it_shows_the_client(&terminal, &mut scene);
    assert!(terminal.mouse());
    terminal.press("q");
    assert_eq!(terminal.ended_sane().0, 0);
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn an_export_is_the_callers_and_never_written_over() {
    use std::os::unix::fs::MetadataExt;
    let mut scene = Scene::new();
    let directory = tempfile::tempdir().expect("a directory for the export");
    std::os::unix::fs::chown(directory.path(), Some(65534), Some(65534)).expect("give the directory away");
    let inside = directory.path().to_str().expect("a path in UTF-8");
    let cgroup = scene.cgroup.path().to_str().expect("a path in UTF-8");
    let monitor = program::monitor();
    let monitor = monitor.to_str().expect("a path in UTF-8");
    let shell = "cd \"$0\" && exec \"$@\"";
    let words = ["sh", "-c", shell, inside, monitor, "--interval", "0.2", "--cgroup", cgroup];
    let terminal = Terminal::open(80, 24, &words, &[("SUDO_USER", "nobody")]);
    until_it_shows_the_client(&terminal, &mut scene);
    // Of one picture, so of one time: the second file needs a name of its own.
    terminal.press("P");
    for files in 1..=2 {
        terminal.press("e");
        let count = || std::fs::read_dir(directory.path()).expect("read the directory").count();
        terminal.until_drawn("the file is there", |_| count() == files);
    }
    for entry in std::fs::read_dir(directory.path()).expect("read the directory").flatten() {
        assert_eq!(entry.metadata().expect("look at the export").uid(), 65534);
        let text = std::fs::read_to_string(entry.path()).expect("read the export");
        assert!(text.starts_with("pid\t") && text.contains("\tclient\t"), "{text}");
    }
    terminal.press("q");
    assert_eq!(terminal.ended_sane().0, 0);
}

#[test]
fn without_privilege_the_screen_is_not_taken() {
    // As nobody, and through a copy, for the target directory may be closed to others.
    let directory = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .expect("a directory that everybody can enter");
    let copy = directory.path().join("monitor");
    std::fs::copy(program::monitor(), &copy).expect("copy monitor to where everybody can run it");
    let copy = copy.to_str().expect("a path in UTF-8");
    let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", copy];
    let words = if rustix::process::geteuid().is_root() { &nobody[..] } else { &nobody[6..] };
    let (code, said) = Terminal::open(80, 24, words, &[]).ended_sane();
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("sudo"), "{said}");
}
