//! A real terminal: a tmux server of the test's own with one pane.
//!
//! The pane runs the command under a shell that afterwards prints its exit code and the state of the terminal, so a
//! test sees what a person would see who used it.

use crate::{program, wait};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::{
    fs,
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
};
use tempfile::TempDir;

/// What the pane runs: the command's pid goes to a file, its exit code and the terminal's modes to the screen.
const SHELL: &str = r#"clear
sh -c 'echo $$ > "$0"; exec "$@"' "$PID_FILE" "$@"
echo "exit=$?"
stty -a
exec sleep 600"#;

/// A pane; gone on drop.
#[derive(Debug)]
pub struct Terminal {
    server: String,
    directory: TempDir,
}

impl Terminal {
    /// Opens a pane of that size on a command with its arguments and environment.
    ///
    /// # Panics
    /// When tmux does not start.
    pub fn open(width: u16, height: u16, command: &[&str], environment: &[(&str, &str)]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let server = format!("monitor-test-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let terminal = Self { server, directory: tempfile::tempdir().expect("a directory for the terminal") };
        let config = terminal.directory.path().join("tmux.conf");
        // The status line would take a line from the pane.
        fs::write(&config, "set -g status off\n").expect("write the configuration of tmux");
        let mut tmux = Command::new("tmux");
        tmux.args(["-u", "-L", &terminal.server, "-f"]).arg(config).args(["new-session", "-d"]);
        tmux.args(["-x", &width.to_string(), "-y", &height.to_string()]);
        let pid_file = terminal.directory.path().join("pid");
        tmux.arg("-e").arg(format!("PID_FILE={}", pid_file.display()));
        for (name, value) in environment {
            tmux.arg("-e").arg(format!("{name}={value}"));
        }
        tmux.args(["--", "sh", "-c", SHELL, "sh"]).args(command);
        program::output(tmux);
        terminal
    }

    /// What is on the screen.
    pub fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Presses a key, by the name that tmux has for it.
    pub fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// Sends bytes as the terminal would: a report of the mouse, an answer.
    pub fn send(&self, bytes: &str) {
        let hex: Vec<String> = bytes.bytes().map(|byte| format!("{byte:02x}")).collect();
        let mut words = vec!["send-keys", "-H"];
        words.extend(hex.iter().map(String::as_str));
        self.tmux(&words);
    }

    /// Pastes text as a terminal does: marked as pasted, where the program has asked for that.
    pub fn paste(&self, text: &str) {
        self.tmux(&["set-buffer", "--", text]);
        self.tmux(&["paste-buffer", "-p"]);
    }

    /// Checks that pasted text is not marked. It stays in the line of who reads from the terminal now.
    ///
    /// # Panics
    /// When it is.
    pub fn pastes_plainly(&self) {
        self.paste("pasted");
        let look = || Some(self.screen()).filter(|screen| screen.contains("pasted"));
        let screen =
            wait::or_tell(wait::STEP, look, || format!("what is pasted is echoed:\n{}", self.screen()));
        assert!(!screen.contains("200~"), "pasted text is still marked:\n{screen}");
    }

    /// Whether the program has asked for reports of the mouse.
    pub fn mouse(&self) -> bool {
        self.tmux(&["display-message", "-p", "#{mouse_any_flag}"]).trim() == "1"
    }

    /// Waits until the screen, the normal one too, has what `seen` accepts.
    pub fn until_seen(&self, what: &str, seen: impl Fn(&str) -> bool) {
        let look = || seen(&self.screen()).then_some(());
        wait::or_tell(wait::STEP, look, || format!("{what}; the screen is:\n{}", self.screen()));
    }

    /// Changes the size of the pane.
    pub fn resize(&self, width: u16, height: u16) {
        self.tmux(&["resize-window", "-x", &width.to_string(), "-y", &height.to_string()]);
    }

    /// Whether the program took the alternate screen.
    pub fn alternate(&self) -> bool {
        self.tmux(&["display-message", "-p", "#{alternate_on}"]).trim() == "1"
    }

    /// Waits until the program has taken the screen and drawn something that `seen` accepts; gives the screen.
    pub fn until_drawn(&self, what: &str, mut seen: impl FnMut(&str) -> bool) -> String {
        let look = || {
            let screen = self.screen();
            (self.alternate() && seen(&screen)).then_some(screen)
        };
        wait::or_tell(wait::STEP, look, || format!("{what}; the screen is:\n{}", self.screen()))
    }

    /// Sends the program a signal.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.program(), signal).expect("signal the program");
    }

    /// Closes the terminal under the program, as a lost connection does, and waits for the program's end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn hang_up(self) {
        let program = self.program();
        drop(self);
        wait::until("the program ends with its terminal", || test_kill_process(program).err());
    }

    fn program(&self) -> Pid {
        let path = self.directory.path().join("pid");
        wait::until("the program starts", || {
            fs::read_to_string(&path).ok()?.trim().parse().ok().and_then(Pid::from_raw)
        })
    }

    /// Waits for the program's end; gives its exit code and what the screen then shows, after checking that the
    /// terminal is what it was before: the normal screen, line editing, echo, a visible cursor, no mouse reports, no marks
    /// around pasted text.
    ///
    /// # Panics
    /// When it does not end, or left the terminal in a state that a person would have to repair.
    pub fn ended_sane(&self) -> (i32, String) {
        // The modes are printed after the code; the last of them ends in `-extproc` or `extproc`.
        let history = || self.tmux(&["capture-pane", "-p", "-S", "-100", "-J"]);
        let look = || Some(history()).filter(|screen| screen.contains("extproc"));
        let tell = || format!("the program ends and the shell reports; the screen is:\n{}", history());
        let screen = wait::or_tell(wait::STEP, look, tell);
        let (before, after) =
            screen.rsplit_once("exit=").unwrap_or_else(|| panic!("no exit code:\n{screen}"));
        let (code, modes) = after.split_once('\n').expect("the modes follow the exit code");
        let modes: Vec<&str> = modes.split([' ', ';', '\n']).collect();
        for mode in ["icanon", "echo", "isig", "opost", "onlcr", "icrnl"] {
            assert!(modes.contains(&mode), "the terminal lost `{mode}`:\n{screen}");
        }
        assert!(!self.alternate(), "the alternate screen is still on:\n{screen}");
        let flags = self.tmux(&["display-message", "-p", "#{cursor_flag} #{mouse_any_flag}"]);
        assert_eq!(flags.trim(), "1 0", "cursor visible, mouse not taken:\n{screen}");
        self.pastes_plainly();
        (code.trim().parse().expect("an exit code"), before.to_owned())
    }

    fn tmux(&self, words: &[&str]) -> String {
        let mut tmux = Command::new("tmux");
        tmux.args(["-L", &self.server]).args(words);
        program::output(tmux)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have died with its pane.
        Command::new("tmux").args(["-L", &self.server, "kill-server"]).output().ok();
    }
}
