//! The screen in a real terminal: it shows what moves, and whatever ends it, the terminal is usable afterwards.

use monitor_tests::{program, scene::Scene, terminal::Terminal, veth::Version};
use rustix::process::Signal;

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
fn a_signal_leaves_a_sane_terminal() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut scene = Scene::new();
        let terminal = open(&scene, 80, 24, &[]);
        until_it_shows_the_client(&terminal, &mut scene);
        terminal.signal(signal);
        assert_eq!(terminal.ended_sane().0, code, "{signal:?}");
    }
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
