//! Files of the caller: what he names, and what is written for him, is opened with his rights and no others, under sudo and
//! with capabilities of the program's file.

use monitor_tests::{
    disk::{Disk, NOBODY, NOBODYS_NAME, Writes, identity},
    program::{self, Running},
    scene::Scene,
    terminal::Terminal,
    veth::Version,
    wait,
};
use std::{
    fs::{self, Permissions},
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Room for everything that these tests write.
const ROOM: u32 = 4 << 20;
/// What reads as settings, and what makes a complaint of a line of somebody's.
const SECRET: &str = "sort = \"secret-word\"\n";

/// Runs `monitor` in a home as sudo does for nobody; gives its exit code and everything that it said.
fn sudo(disk: &Disk, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(program::monitor());
    command.args(arguments).current_dir(disk.home()).env("SUDO_USER", NOBODYS_NAME);
    program::ended(command.env("XDG_CONFIG_HOME", disk.home().join(".config")))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// The screen in a home, as sudo starts it for nobody unless `environment` says otherwise.
fn screen(scene: &Scene, disk: &Disk, options: &[&str], environment: &[(&str, &str)]) -> Terminal {
    let (program, home, config) = (program::monitor(), disk.home(), disk.home().join(".config"));
    let cgroup = scene.cgroup.path();
    let cd = "cd \"$0\" && exec \"$@\"";
    let mut words = vec!["sh", "-c", cd, text(&home), text(&program), "--no-dns", "--cgroup", text(cgroup)];
    words.extend(options);
    let called = [("XDG_CONFIG_HOME", text(&config)), ("SUDO_USER", NOBODYS_NAME)];
    let terminal = Terminal::open(100, 24, &words, &[&called, environment].concat());
    terminal.until_drawn("it counts", |screen| screen.contains("live"));
    terminal
}

/// Presses W and gives what the screen then says of the settings.
fn save(terminal: &Terminal) -> String {
    terminal.press("B");
    terminal.press("W");
    let told = |screen: &str| screen.contains("settings written") || screen.contains("cannot");
    terminal.until_drawn("W is answered", told)
}

fn quit(terminal: &Terminal) {
    terminal.press("q");
    assert_eq!(terminal.ended_sane().0, 0);
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn all_that_is_the_callers_is_opened_with_his_rights_and_no_capability() {
    let (scene, disk) = (Scene::new(), Disk::new(ROOM));
    let settings = disk.his(".config/monitor/config.toml", "# his\n");
    let theme = disk.his(".config/monitor/themes/mine.toml", "[roles]\n");
    let capture = disk.his("capture.pcap", "no capture");
    let log = disk.home().join("log");
    let opens = disk.watch();
    let terminal = screen(&scene, &disk, &["--log-file", text(&log)], &[]);
    save(&terminal);
    terminal.press("e");
    terminal.until_drawn("the export is answered", |screen| screen.contains(" rows written to "));
    quit(&terminal);
    assert_eq!(sudo(&disk, &["config", "check", "-c", text(&theme)]).0, Some(1));
    assert_eq!(sudo(&disk, &["--read", text(&capture)]).0, Some(1));
    let opened = opens.end();
    let exported = opened.iter().find(|open| open.path.extension().is_some_and(|name| name == "tsv"));
    let exported = exported.expect("the export was opened").path.clone();
    for path in [&settings, &theme, &capture, &log, &exported] {
        assert!(opened.iter().any(|open| open.path == *path), "{} in {opened:?}", path.display());
    }
    for open in opened {
        assert_eq!((open.uid, open.capabilities), (NOBODY, 0), "{}", open.path.display());
    }
    for path in [settings, log, exported] {
        let made = fs::metadata(&path).expect("look at what was written");
        let is_his = (made.uid(), made.gid(), made.mode() & 0o077 & !0o044);
        assert_eq!(is_his, (NOBODY, NOBODY, 0), "{}", path.display());
    }
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn nothing_of_roots_is_written_or_given_away_through_the_callers_links() {
    let scene = Scene::new();
    for (name, target_name, hard) in [
        ("monitor", "", false),
        ("monitor", "not there", false),
        ("monitor/config.toml", "comments", false),
        ("monitor/config.toml", "comments", true),
    ] {
        let disk = Disk::new(ROOM);
        let target = disk.of_root("comments", "# only this\n", 0o644);
        // Makes the directories above it.
        let link = disk.his(&format!(".config/{name}"), "");
        fs::remove_file(&link).expect("make room for the link");
        let (to, what) = (disk.roots().join(target_name), format!("{name} is {target_name:?}, hard: {hard}"));
        if hard { fs::hard_link(to, link) } else { symlink(to, link) }.expect("link");
        let before = [identity(&target), identity(&disk.roots())];
        let terminal = screen(&scene, &disk, &[], &[]);
        let said = save(&terminal);
        assert!(said.contains("cannot write"), "{what}: {said}");
        quit(&terminal);
        assert_eq!([identity(&target), identity(&disk.roots())], before, "{what}");
    }
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn settings_directories_that_are_made_are_the_callers_and_his_links_stay() {
    let (scene, disk) = (Scene::new(), Disk::new(ROOM));
    let dotfiles = disk.his("dotfiles/monitor.toml", "# kept\n");
    let terminal = screen(&scene, &disk, &[], &[]);
    let said = save(&terminal);
    assert!(said.contains("settings written"), "{said}");
    quit(&terminal);
    for made in [".config", ".config/monitor", ".config/monitor/config.toml"] {
        let made = fs::metadata(disk.home().join(made)).expect("it was made");
        assert_eq!((made.uid(), made.gid()), (NOBODY, NOBODY));
    }
    let file = disk.home().join(".config/monitor/config.toml");
    fs::remove_file(&file).expect("remove it");
    symlink(&dotfiles, &file).expect("link");
    std::os::unix::fs::lchown(&file, Some(NOBODY), Some(NOBODY)).expect("give the link away");
    let terminal = screen(&scene, &disk, &[], &[]);
    save(&terminal);
    quit(&terminal);
    assert!(fs::symlink_metadata(&file).expect("look").is_symlink());
    let text = fs::read_to_string(&dotfiles).expect("read it");
    assert!(text.contains("unit = \"bytes\"") && text.contains("# kept"), "{text}");
}

/// As root without the capabilities that open everything: what a home on another machine makes of root.
#[test]
#[ignore = "needs root, BPF and tmux"]
fn a_home_that_is_closed_to_root_is_read_and_written() {
    let (scene, disk) = (Scene::new(), Disk::new(ROOM));
    let file = disk.his(".config/monitor/config.toml", "interval = 0.5\n");
    let (program, config) = (program::monitor(), disk.home().join(".config"));
    let cgroup = scene.cgroup.path();
    let words =
        ["setpriv", "--bounding-set=-dac_override,-dac_read_search", text(&program), "--no-dns", "--cgroup"];
    let words = [&words[..], &[text(cgroup)]].concat();
    let called = [("XDG_CONFIG_HOME", text(&config)), ("SUDO_USER", NOBODYS_NAME)];
    let terminal = Terminal::open(100, 24, &words, &called);
    terminal.until_drawn("it counts", |screen| screen.contains("live"));
    let said = save(&terminal);
    assert!(said.contains("settings written"), "{said}");
    quit(&terminal);
    let text = fs::read_to_string(file).expect("read the settings");
    assert!(text.contains("interval = 0.5") && text.contains("unit = \"bytes\""), "{text}");
}

#[test]
#[ignore = "needs root"]
fn under_sudo_no_file_of_roots_is_read_for_the_caller() {
    let disk = Disk::new(ROOM);
    let secret = disk.of_root("secret", SECRET, 0o600);
    for arguments in [["config", "check", "-c", text(&secret)], ["--once", "--json", "-c", text(&secret)]] {
        let (code, said) = sudo(&disk, &arguments);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("ermission denied") && said.contains("the rights of nobody"), "{said}");
        assert!(!said.contains("secret-word"), "{said}");
    }
    let (code, said) = sudo(&disk, &["--read", text(&secret)]);
    assert!(code == Some(1) && said.contains("the rights of nobody") && said.contains("denied"), "{said}");
    // His own settings may be a link to it.
    disk.his(".config/monitor/x", "");
    symlink(&secret, disk.home().join(".config/monitor/config.toml")).expect("link");
    let (code, said) = sudo(&disk, &["config", "print"]);
    assert!(code == Some(0) && !said.contains("secret-word"), "{said}");
    // Nor the files of programs, below a place of his choice.
    let (code, said) = sudo(&disk, &["--once", "--json", "--state-root", text(&disk.home())]);
    assert!(code == Some(2) && said.contains("--state-root"), "{said}");
    // Root who is root opens what is root's.
    for variables in [&[][..], &[("SUDO_USER", "root"), ("SUDO_UID", "0"), ("SUDO_GID", "0")]] {
        let mut command = Command::new(program::monitor());
        command.args(["config", "check", "-c", text(&secret)]).envs(variables.iter().copied());
        let (_, said) = program::ended(&mut command);
        assert!(said.contains("secret-word"), "{variables:?}: {said}");
    }
}

#[test]
#[ignore = "needs root"]
fn a_log_is_the_callers_and_goes_through_no_link() {
    let disk = Disk::new(ROOM);
    let target = disk.of_root("target", "", 0o644);
    let link = disk.home().join("link");
    symlink(&target, &link).expect("link");
    let before = identity(&target);
    for (log, names) in [
        (&link, "it is a link"),
        (&target, "the rights of nobody"),
        (&disk.roots().join("new"), "the rights of nobody"),
    ] {
        let (code, said) = sudo(&disk, &["--log-file", text(log), "--read", "x"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.starts_with("monitor: --log-file ") && said.contains(names), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    assert_eq!(identity(&target), before);
    assert!(!disk.roots().join("new").exists());
    // Root's own run does not follow links either.
    let mut command = Command::new(program::monitor());
    let (_, said) = program::ended(command.arg("--log-file").arg(&link).args(["--read", "x"]));
    assert!(said.contains("it is a link"), "{said}");
    let log = disk.home().join("log");
    sudo(&disk, &["--log-file", text(&log), "--read", "x"]);
    let made = fs::metadata(log).expect("the log is there");
    assert_eq!((made.uid(), made.mode() & 0o777), (NOBODY, 0o600));
}

#[test]
#[ignore = "needs root"]
fn a_caller_whom_nobody_knows_is_refused_and_one_with_numbers_is_himself() {
    let disk = Disk::new(ROOM);
    let run = |variables: &[(&str, &str)]| {
        let log = disk.home().join("log");
        let mut command = Command::new(program::monitor());
        command.args(["--log-file", text(&log), "--read", "x"]).envs(variables.iter().copied());
        program::ended(&mut command)
    };
    for name in ["SUDO_USER", "DOAS_USER"] {
        let (code, said) = run(&[(name, "no-such-user-at-all")]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(name) && said.contains("whom this system does not know"), "{said}");
    }
    assert!(!disk.home().join("log").exists());
    chown(disk.home(), Some(54_321), Some(54_321)).expect("give the home away");
    run(&[("SUDO_USER", "no-such-user-at-all"), ("SUDO_UID", "54321"), ("SUDO_GID", "54322")]);
    let made = fs::metadata(disk.home().join("log")).expect("the log is there");
    assert_eq!((made.uid(), made.gid()), (54_321, 54_322));
}

/// Takes all the room that there is.
fn fill(disk: &Disk) {
    let (mut filler, piece) = (fs::File::create(disk.roots().join("filler")).expect("a file"), [0; 4096]);
    while filler.write_all(&piece).is_ok() {}
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn a_full_disk_leaves_no_half_export_and_no_half_settings() {
    let (scene, disk) = (Scene::new(), Disk::new(ROOM));
    let settings = disk.his(".config/monitor/config.toml", "# kept\n");
    let terminal = screen(&scene, &disk, &[], &[]);
    fill(&disk);
    let said = save(&terminal);
    assert!(said.contains("cannot write"), "{said}");
    terminal.press("e");
    terminal.until_drawn("the export is answered", |screen| screen.contains("cannot write here"));
    quit(&terminal);
    assert_eq!(fs::read_to_string(&settings).expect("read the settings"), "# kept\n");
    for (directory, names) in
        [(disk.home(), vec![".config"]), (disk.home().join(".config/monitor"), vec!["config.toml"])]
    {
        let there = fs::read_dir(directory).expect("look").flatten().map(|entry| entry.file_name());
        assert_eq!(there.collect::<Vec<_>>(), names);
    }
}

#[test]
#[ignore = "needs root, BPF and tmux"]
fn a_log_that_cannot_be_written_is_told_once_and_not_in_the_middle_of_the_screen() {
    let (scene, disk) = (Scene::new(), Disk::new(ROOM));
    fill(&disk);
    let log = disk.home().join("log");
    let lines = |said: &str| said.lines().filter(|line| line.contains("No space left on device")).count();
    let cgroup = scene.cgroup.path();
    let arguments = ["--once", "--json", "--log-file", text(&log), "--cgroup", text(cgroup)];
    let mut command = Command::new(program::monitor());
    let (code, said) = program::ended(command.args(arguments).env("RUST_LOG", "debug"));
    assert_eq!((code, lines(&said)), (Some(0), 1), "{said}");
    assert!(said.contains("the log is not whole"), "{said}");
    fs::remove_file(&log).expect("remove root's log");
    let terminal = screen(&scene, &disk, &["--log-file", text(&log)], &[("RUST_LOG", "debug")]);
    assert_eq!(lines(&terminal.screen()), 0);
    terminal.press("q");
    let (code, said) = terminal.ended_sane();
    assert_eq!((code, lines(&said)), (0, 1), "{said}");
}

/// The capabilities that README.md has people give to the program's file.
fn capabilities_of_the_readme() -> &'static str {
    let readme = include_str!("../../README.md");
    let (_, line) = readme.split_once("sudo setcap ").expect("README has a line with setcap");
    line.split_whitespace().next().expect("the line names capabilities")
}

/// A copy with them, in a directory that everybody can enter.
fn with_capabilities() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("let others in");
    let copy = directory.path().join("monitor");
    fs::copy(program::monitor(), &copy).expect("copy monitor");
    let mut setcap = Command::new("setcap");
    setcap.arg(capabilities_of_the_readme()).arg(&copy);
    program::output(setcap);
    (directory, copy)
}

#[test]
#[ignore = "needs root and BPF"]
fn capabilities_of_the_program_open_no_file_for_who_started_it() {
    let (scene, disk) = (Scene::new(), Disk::new(ROOM));
    let (_directory, monitor) = with_capabilities();
    let run = |arguments: &[&str], config: &Path| {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", NOBODYS_NAME, "--regid", "65534", "--clear-groups"])
            .arg(&monitor)
            .args(arguments);
        program::ended(command.current_dir("/").env("XDG_CONFIG_HOME", config))
    };
    // It has them: this is what they are for.
    let counts = ["--once", "--json", "--no-dns", "--cgroup", text(scene.cgroup.path())];
    let (code, said) = run(&counts, &disk.home());
    assert_eq!(code, Some(0), "{said}");
    let object: serde_json::Value = serde_json::from_str(&said).expect("an object and nothing else");
    assert!(
        object["tier"].as_str().is_some_and(|tier| tier != "T0"),
        "owners take capabilities, too: {said}"
    );

    let secret = disk.of_root("secret", SECRET, 0o600);
    let closed = disk.roots().join("closed");
    fs::create_dir_all(closed.join("monitor/themes")).expect("make a directory");
    fs::write(closed.join("monitor/themes/secret-word.toml"), "[roles]\n").expect("write a theme");
    fs::write(closed.join("monitor/config.toml"), SECRET).expect("write settings");
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).expect("close it");
    let (hidden, missing) = (closed.join("monitor/config.toml"), closed.join("nothing"));
    for arguments in [
        &["--read", text(&secret)][..],
        &["config", "check", "-c", text(&secret)],
        &["config", "check", "-c", text(&hidden)],
        // Not even whether it is there.
        &["config", "check", "-c", text(&missing)],
        &["--log-file", text(&secret), "--read", "x"],
        &["--log-file", text(&disk.roots().join("new")), "--read", "x"],
    ] {
        let (code, said) = run(arguments, &disk.home());
        assert_eq!(code, Some(1), "{arguments:?}: {said}");
        assert!(said.contains("ermission denied") && !said.contains("secret-word"), "{arguments:?}: {said}");
    }
    assert!(!disk.roots().join("new").exists());
    for arguments in [&["--list-colors"][..], &["config", "print"]] {
        let (code, said) = run(arguments, &closed);
        assert!(code == Some(0) && !said.contains("secret-word"), "{arguments:?}: {said}");
    }
    let (code, said) = run(&["--once", "--json", "--state-root", text(&closed)], &disk.home());
    assert!(code == Some(2) && said.contains("--state-root"), "{said}");
}

/// In a mount namespace of its own, so that nobody else's files are seen, and with everything on that it can look up.
#[test]
#[ignore = "needs root and BPF"]
fn a_run_writes_no_file_that_nobody_asked_for() {
    let mut scene = Scene::new();
    let directory = tempfile::tempdir().expect("a directory");
    let control = directory.path().join("control");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", "read go && echo seen >\"$0\" && exec \"$@\""]).arg(&control);
    command.arg(program::monitor()).args([
        "--json",
        "--no-dns",
        "--sha256",
        "--interval",
        "0.2",
        "-s",
        "2",
        "--cgroup",
    ]);
    command.arg(scene.cgroup.path()).current_dir(directory.path()).env("HOME", directory.path());
    let mut running = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::null()));
    let of = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let is_apart = || (of(running.0.id()) != of(std::process::id())).then_some(());
    wait::until("it has a mount namespace of its own", is_apart);
    let writes = Writes::of(running.0.id());
    running.0.stdin.take().expect("a pipe").write_all(b"go\n").expect("let it go on");
    let connection = scene.connect(Version::V4);
    scene.upload(connection, 100_000);
    assert_eq!(running.ended().code(), Some(0));
    assert_eq!(writes.end().into_iter().collect::<Vec<_>>(), [control], "the first is the test's own");
}
