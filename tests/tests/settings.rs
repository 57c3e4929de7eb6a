//! The settings file, the themes and the completions as a script sees them. None of it needs privileges.

use monitor_tests::{program, pty::Pty};
use std::{
    fs,
    path::Path,
    process::{Command, Output},
    sync::{Arc, Mutex, PoisonError},
};

/// Runs `monitor` with its settings in a directory.
fn run(config: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(program::monitor());
    command
        .args(arguments)
        .env("XDG_CONFIG_HOME", config)
        .env_remove("NO_COLOR")
        .env("TERM", "xterm-256color");
    let Output { status, stdout, stderr } = command.output().expect("run monitor");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output in UTF-8");
    (status.code(), text(stdout), text(stderr))
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory for the settings")
}

#[test]
fn the_settings_are_printed_found_and_checked() {
    let config = directory();
    let (code, path, _) = run(config.path(), &["config", "path"]);
    let path = path.trim_end();
    assert_eq!((code, Path::new(path)), (Some(0), &*config.path().join("monitor/config.toml")));
    let (code, sample, _) = run(config.path(), &["config", "print"]);
    assert_eq!(code, Some(0));
    assert!(sample.contains("\ntheme = \"auto\"\n"), "{sample}");
    assert!(!Path::new(path).exists(), "nothing is written");

    fs::create_dir(config.path().join("monitor")).expect("make the directory");
    fs::write(path, sample.replace("theme = \"auto\"", "theme = \"VoidWalker\""))
        .expect("write the settings");
    assert_eq!(run(config.path(), &["config", "check"]).0, Some(0));
    let (_, printed, _) = run(config.path(), &["config", "print"]);
    assert!(printed.contains("\ntheme = \"VoidWalker\"\n"), "the file wins over the defaults: {printed}");
    let (_, printed, _) = run(config.path(), &["--theme", "AcidRain", "config", "print"]);
    assert!(printed.contains("\ntheme = \"AcidRain\"\n"), "the command line wins over the file: {printed}");
}

#[test]
fn mistakes_in_the_settings_name_line_and_way_out_and_the_file_stays() {
    let config = directory();
    let file = config.path().join("mine.toml");
    let text = "# mine\ntheem = \"x\"\nmouse = \"yes\"\n";
    fs::write(&file, text).expect("write the settings");
    let name = file.to_str().expect("a path in UTF-8");
    for arguments in [&["config", "check", "-c", name][..], &["--once", "--json", "-c", name]] {
        let (code, out, said) = run(config.path(), arguments);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{said}");
        assert!(said.contains("mine.toml: line 2: unknown setting `theem`; did you mean `theme`?"), "{said}");
        assert!(said.contains("line 3: `mouse` is a string; give true or false"), "{said}");
        assert!(said.lines().all(|line| line.starts_with("monitor: ")), "{said}");
    }
    assert_eq!(fs::read_to_string(&file).expect("read the settings"), text);
    let (code, _, said) = run(config.path(), &["config", "check", "-c", "/nonexistent/x.toml"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("there is no such file"), "{said}");
}

/// What it draws on a terminal.
fn on_a_terminal(config: &Path, arguments: &[&str]) -> String {
    let pty = Pty::open();
    let mut command = Command::new(program::monitor());
    command.args(arguments).env("XDG_CONFIG_HOME", config).env_remove("COLORTERM");
    pty.give_to(&mut command);
    let drawn: Arc<Mutex<Vec<u8>>> = Arc::default();
    let seen = Arc::clone(&drawn);
    let mut child = command.spawn().expect("run monitor");
    let reader = pty.watch(move |piece| {
        seen.lock().unwrap_or_else(PoisonError::into_inner).extend(piece);
        true
    });
    // It keeps the terminal open for the child, too.
    drop(command);
    assert!(child.wait().expect("wait for monitor").success(), "{arguments:?}");
    reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let drawn = drawn.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(&drawn).into_owned()
}

#[test]
fn themes_are_listed_one_a_line_and_a_wrong_name_gets_the_nearest() {
    let config = directory();
    let page = on_a_terminal(config.path(), &["--list-colors"]);
    assert!(page.lines().count() >= 32, "{page}");
    for name in ["NeonSprawl", "Zaibatsu", "iftopcolor", "colour-blind-safe"] {
        assert!(page.lines().any(|line| line.starts_with(name) && line.contains("\x1b[48;5;")), "{name}");
    }
    let plain = on_a_terminal(config.path(), &["--list-colors", "--no-color"]);
    assert!(!plain.contains('\x1b') && plain.lines().count() == page.lines().count());
    let (code, piped, _) = run(config.path(), &["--list-colors"]);
    assert_eq!(code, Some(0));
    assert!(!piped.contains('\x1b') && piped.lines().count() == page.lines().count(), "into a pipe: {piped}");

    let (code, _, said) = run(config.path(), &["--theme", "voidwalkr", "--once"]);
    assert_eq!(code, Some(2));
    let first = said.lines().next();
    assert_eq!(first, Some("error: --theme: there is no theme `voidwalkr`; did you mean `VoidWalker`?"));

    let themes = config.path().join("monitor/themes");
    fs::create_dir_all(&themes).expect("make the directory");
    fs::write(themes.join("mine.toml"), "[roles]\nrx = \"#102030\"\n").expect("write a theme");
    assert!(run(config.path(), &["--list-colors"]).1.lines().any(|line| line.starts_with("mine ")));
    fs::write(themes.join("mine.toml"), "[roles]\nrx = \"gren\"\n").expect("write a theme");
    let (code, _, said) = run(config.path(), &["--list-colors"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("mine.toml: line 2: `rx` is `gren`, no colour; did you mean `green`?"), "{said}");
}

/// Runs `monitor config check` on a file with little memory; gives its exit code and what it said, in time.
fn check(file: &Path) -> (Option<i32>, String) {
    let mut command = Command::new("prlimit");
    command.arg("--as=1000000000").arg(program::monitor()).args(["config", "check", "-c"]).arg(file);
    program::ended(&mut command)
}

#[test]
fn settings_without_an_end_and_files_that_are_none_get_one_sentence() {
    let config = directory();
    let path = |name: &str| config.path().join(name);
    let fifo = path("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .expect("make a fifo");
    fs::write(path("large"), "#".repeat((1 << 20) + 1)).expect("write a large file");
    fs::write(path("bytes"), b"# \xff\n").expect("write what is no text");
    for (file, names) in [
        (&*fifo, "it is not a regular file"),
        (config.path(), "it is not a regular file"),
        (Path::new("/dev/zero"), "it is not a regular file"),
        (&path("large"), "it is larger than 1048576 bytes"),
        (&path("bytes"), "it is not UTF-8"),
    ] {
        let (code, said) = check(file);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.starts_with("monitor: cannot read the settings in ") && said.contains(names), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn settings_full_of_mistakes_get_a_few_short_complaints() {
    let config = directory();
    let file = config.path().join("config.toml");
    let lines: Vec<String> = (0..60_000).map(|number| format!("unknown{number}=1\n")).collect();
    fs::write(&file, lines.concat()).expect("write the settings");
    let (code, said) = check(&file);
    assert_eq!((code, said.lines().count()), (Some(1), 20), "{said}");
    assert!(said.ends_with("; and there is more wrong than this\n"), "{said}");
    fs::write(&file, format!("theme = '{}'\n", "x".repeat(1_000_000))).expect("write the settings");
    let (code, said) = check(&file);
    assert!(code == Some(1) && said.lines().count() == 1 && said.len() < 2000, "{said}");
}

#[test]
fn themes_without_number_are_refused() {
    let config = directory();
    let themes = config.path().join("monitor/themes");
    fs::create_dir_all(&themes).expect("make the directory");
    for number in 0..5000 {
        fs::write(themes.join(format!("{number}.toml")), "[roles]\n").expect("write a theme");
    }
    let mut command = Command::new(program::monitor());
    let (code, said) = program::ended(command.arg("--list-colors").env("XDG_CONFIG_HOME", config.path()));
    assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("there are more than 200 themes"), "{said}");
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script, _) = run(directory().path(), &["--completions", shell]);
        assert_eq!(code, Some(0));
        assert!(script.contains("monitor") && script.contains("list-colors"), "{shell}: {script}");
    }
    assert_eq!(run(directory().path(), &["--completions", "csh"]).0, Some(2));
}
