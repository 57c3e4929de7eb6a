//! Finding the programs under test, and running the system's own.

use crate::wait;
use std::{
    env,
    ffi::OsStr,
    fs,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
};

/// The `monitor` binary: `MONITOR_BIN`, else the one that cargo put beside the test's directory.
///
/// # Panics
/// When there is none.
pub fn monitor() -> PathBuf {
    if let Some(path) = env::var_os("MONITOR_BIN") {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "MONITOR_BIN is {}, which is not a file", path.display());
        return path;
    }
    beside("monitor", "run `cargo build -p monitor` first, or set MONITOR_BIN")
}

/// The helper that moves bytes.
///
/// # Panics
/// When it is not built.
pub fn traffic() -> PathBuf {
    beside("traffic", "run `cargo build -p monitor-tests --bins` first")
}

/// The helper that forks, passes and executes.
///
/// # Panics
/// When it is not built.
pub fn actor() -> PathBuf {
    beside("actor", "run `cargo build -p monitor-tests --bins` first")
}

/// A program in the target directory of this test executable, which lives in `deps/`.
fn beside(name: &str, fix: &str) -> PathBuf {
    let this = env::current_exe().expect("the path of this executable");
    let mut directory = this.parent().expect("an executable has a directory");
    if directory.file_name() == Some(OsStr::new("deps")) {
        directory = directory.parent().expect("deps has a parent");
    }
    let path = directory.join(name);
    assert!(path.is_file(), "{} does not exist: {fix}", path.display());
    path
}

/// Runs a command to its end and returns what it printed on stdout.
///
/// # Panics
/// When it cannot be started or fails; its stderr is in the message.
pub fn output(mut command: Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let Output { status, stdout, stderr } = output;
    assert!(status.success(), "{command:?}: {status}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap_or_else(|error| panic!("{command:?} printed no UTF-8: {error}"))
}

/// Runs a command to its end, which must come within a step; gives its exit code and everything that it said, on stdout and
/// on stderr.
///
/// # Panics
/// When it cannot be started or does not end.
pub fn ended(command: &mut Command) -> (Option<i32>, String) {
    let said = tempfile::NamedTempFile::new().expect("a file for what is said");
    // Appended, so that neither stream writes over the other.
    let file = fs::OpenOptions::new().append(true).open(said.path()).expect("open what is said");
    command.stdin(Stdio::null()).stdout(file.try_clone().expect("a descriptor")).stderr(file);
    let mut running = Running::start(command);
    let tell =
        || format!("{command:?} ends; it said: {}", fs::read_to_string(said.path()).unwrap_or_default());
    let status = wait::or_tell(wait::STEP, || running.0.try_wait().expect("wait for it"), tell);
    (status.code(), fs::read_to_string(said.path()).expect("output in UTF-8"))
}

/// A program that runs; killed on drop, where it has not ended.
#[derive(Debug)]
pub struct Running(pub Child);

impl Running {
    /// Starts it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}")))
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// When it does not end.
    pub fn ended(&mut self) -> ExitStatus {
        wait::until("it ends", || self.0.try_wait().expect("wait for it"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
