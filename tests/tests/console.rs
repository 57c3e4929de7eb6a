//! The Linux console: a server's last screen, with 16 colours and keys of its own.

use monitor_tests::{console::Console, program, scene::Scene, veth::Version};

/// Of a console: grey on black, as it begins.
const PLAIN: u8 = 0x07;

#[test]
#[ignore = "needs root and BPF"]
fn the_linux_console_shows_it_in_colour_and_is_given_back() {
    if !Console::exists() {
        // A kernel without virtual terminals (CONFIG_VT), or a container that has none: there is nothing to show it on.
        assert!(
            !std::path::Path::new("/dev/tty0").exists(),
            "tty0 is there and the kernel knows of no console"
        );
        return;
    }
    let mut scene = Scene::new();
    let (program, cgroup) = (program::monitor(), scene.cgroup.path());
    let [program, cgroup] = [program.as_path(), cgroup].map(|path| path.to_str().expect("a path in UTF-8"));
    let console = Console::open(&[program, "--interval", "0.2", "--cgroup", cgroup]);
    let connection = scene.connect(Version::V4);
    console.until_seen("the client is on the console", |screen| {
        scene.upload(connection, 10_000);
        screen.contains("▸") && screen.contains("client")
    });
    let colours = console.attributes();
    assert!(colours.iter().any(|attribute| attribute & 0x07 != PLAIN), "{colours:x?}");
    // It answers no question about its background, so none may be on it.
    assert!(!console.screen().contains("]11;"), "{}", console.screen());
    for (key, seen) in [
        (b'\t', "[Flows"),
        (b'?', "reverse the order"),
        (0x1b, "[Flows"),
        (b'c', "theme 1/"),
        (0x1b, "[Flows"),
        (b'H', "HEALTH"),
    ] {
        console.press(key);
        console.until_seen("a key shows", |screen| screen.contains(seen));
    }
    console.press(b'q');
    console.until_seen("the shell is back", |screen| screen.contains("exit=0") && screen.contains(" icanon"));
    assert_eq!(console.attributes().iter().filter(|attribute| **attribute & 0x77 != PLAIN).count(), 0);
}
