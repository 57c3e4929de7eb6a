//! The real `monitor -t`, started and read like a log would be.

use crate::{program, wait};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::Read,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

/// What ends a picture: a line of nothing else.
const RULE: &str = "====";

/// A running `monitor -t`; killed on drop.
#[derive(Debug)]
pub struct Text {
    child: Child,
    printed: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

/// One picture of what was printed.
#[derive(Debug)]
pub struct Picture(pub String);

impl Text {
    /// Starts it on a cgroup with more arguments, and waits until it counts.
    ///
    /// # Panics
    /// When it cannot be run, or prints nothing in time.
    pub fn counting(cgroup: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(program::monitor());
        command
            .args(["-t", "--interval", "0.2", "--capacity", "1024", "--cgroup"])
            .arg(cgroup)
            .args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let mut stdout = child.stdout.take().expect("stdout is a pipe");
        let printed: Arc<Mutex<Vec<u8>>> = Arc::default();
        let seen = Arc::clone(&printed);
        let reader = thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = stdout.read(&mut chunk) {
                seen.lock().unwrap_or_else(PoisonError::into_inner).extend(&chunk[..length]);
            }
        });
        let mut text = Self { child, printed, reader: Some(reader) };
        wait::until(&format!("{arguments:?} prints a picture"), || {
            let ended = text.child.try_wait().expect("wait for monitor");
            assert!(ended.is_none(), "{arguments:?}: {ended:?}");
            (!text.pictures().is_empty()).then_some(())
        });
        text
    }

    fn pictures(&self) -> Vec<Picture> {
        let printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        let text = std::str::from_utf8(&printed).map_or_else(
            // A character may be cut where the pipe was read.
            |error| String::from_utf8_lossy(&printed[..error.valid_up_to()]).into_owned(),
            str::to_owned,
        );
        let mut pictures = Vec::new();
        let mut lines = String::new();
        for line in text.lines() {
            if line.starts_with(RULE) {
                pictures.push(Picture(std::mem::take(&mut lines)));
            } else {
                lines.push_str(line);
                lines.push('\n');
            }
        }
        pictures
    }

    /// Ends it with SIGINT, as Ctrl-C does, and gives the last picture, which lists everything.
    ///
    /// # Panics
    /// When it does not end with 130 in time.
    pub fn stop(mut self) -> Picture {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("signal monitor");
        let status = wait::until("monitor -t ends", || self.child.try_wait().expect("wait for monitor"));
        assert_eq!(status.code(), Some(130));
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        self.pictures().pop().expect("it printed a picture")
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Picture {
    /// The lines of its tables as fields, titles first.
    ///
    /// # Panics
    /// When a line has more or fewer fields than the titles of its table.
    pub fn tables(&self) -> Vec<Vec<Vec<&str>>> {
        let is_table = |line: &&str| !line.starts_with(['#', '!']);
        let body = self.0.lines().filter(is_table).map(str::split_whitespace).map(Iterator::collect);
        let lines: Vec<Vec<&str>> = body.collect();
        let mut tables: Vec<_> = lines.split(Vec::is_empty).map(<[Vec<&str>]>::to_vec).collect();
        // What follows the last table are the sums.
        tables.pop();
        for table in &tables {
            for line in table {
                assert_eq!(line.len(), table[0].len(), "{line:?} under {:?} in {}", table[0], self.0);
            }
        }
        tables
    }

    /// The line that begins so.
    ///
    /// # Panics
    /// When there is none.
    pub fn line(&self, start: &str) -> &str {
        self.0
            .lines()
            .find(|line| line.starts_with(start))
            .unwrap_or_else(|| panic!("no line `{start}` in {}", self.0))
    }
}
