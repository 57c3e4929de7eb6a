//! The real `monitor`, started and read like a script would.

use crate::{cgroup::Cgroup, json::Object, netns::Netns, program, schema::faults, wait};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

/// What every object is held to.
const SCHEMA: &str = include_str!("../../docs/json.schema.json");

/// A running `monitor --json`; killed on drop.
#[derive(Debug)]
pub struct Monitor {
    child: Child,
    objects: Arc<Mutex<Vec<Object>>>,
    complaints: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

/// What a `monitor` left behind.
#[derive(Debug)]
pub struct Report {
    /// Every object it printed, oldest first.
    pub objects: Vec<Object>,
    /// How it ended.
    pub status: ExitStatus,
    /// What it said on stderr.
    pub stderr: String,
}

impl Report {
    /// The last object: everything that was still held.
    ///
    /// # Panics
    /// When there is none.
    pub fn last(&self) -> &Object {
        self.objects.last().unwrap_or_else(|| panic!("monitor printed nothing: {}", self.stderr))
    }
}

/// `monitor --json` on one cgroup, five objects a second, not started yet.
pub fn command(cgroup: &Cgroup, netns: Option<&Netns>) -> Command {
    command_every("0.2", cgroup.path(), netns)
}

/// The same for any interval and any cgroup.
pub fn command_every(interval: &str, cgroup: &Path, netns: Option<&Netns>) -> Command {
    let program = program::monitor();
    let mut command = netns.map_or_else(|| Command::new(&program), |netns| netns.command(&program));
    // No test moves a byte that it does not know of.
    command.args(["--json", "--no-dns", "--interval", interval, "--cgroup"]).arg(cgroup);
    command
}

/// `monitor --json` in a namespace on one of its interfaces and all sockets, five objects a second, not started yet.
pub fn command_on(interface: &str, netns: &Netns) -> Command {
    let mut command = netns.command(program::monitor());
    command.args(["--json", "--no-dns", "--interval", "0.2", "--interface", interface]);
    command
}

impl Monitor {
    /// Starts it on a cgroup and waits until it counts.
    pub fn start(cgroup: &Cgroup) -> Self {
        Self::counting(command(cgroup, None))
    }

    /// Runs a command and waits for its first object, which means: attached and counting.
    pub fn counting(command: Command) -> Self {
        let mut monitor = Self::spawn(command);
        monitor.objects_from(1);
        monitor
    }

    /// Runs a command and reads what it says.
    ///
    /// # Panics
    /// When it cannot be run.
    pub fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let mut stderr = child.stderr.take().expect("stderr is a pipe");
        let objects: Arc<Mutex<Vec<Object>>> = Arc::default();
        let complaints: Arc<Mutex<String>> = Arc::default();
        let (seen, said) = (Arc::clone(&objects), Arc::clone(&complaints));
        let readers = vec![
            thread::spawn(move || {
                let schema = serde_json::from_str(SCHEMA).expect("the schema is JSON");
                for line in BufReader::new(stdout).lines() {
                    let line = line.expect("monitor prints UTF-8");
                    let object = serde_json::from_str(&line)
                        .unwrap_or_else(|error| panic!("monitor printed `{line}`: {error}"));
                    let faults = faults(&schema, &object);
                    assert!(faults.is_empty(), "docs/json.schema.json says other: {faults:?} in {line}");
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(Object(object));
                }
            }),
            thread::spawn(move || {
                let mut chunk = [0; 4096];
                while let Ok(length @ 1..) = stderr.read(&mut chunk) {
                    let text = String::from_utf8_lossy(&chunk[..length]);
                    said.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
                }
            }),
        ];
        Self { child, objects, complaints, readers }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How many objects it has printed.
    pub fn printed(&self) -> usize {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits until it has printed `count` objects, and gives all of them.
    ///
    /// # Panics
    /// When it ends before that, or takes too long; its stderr is in the message.
    pub fn objects_from(&mut self, count: usize) -> Vec<Object> {
        let (seen, said) = (Arc::clone(&self.objects), Arc::clone(&self.complaints));
        let said = || said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let look = || {
            // In this order: what it printed before it ended counts.
            let ended = self.child.try_wait().expect("wait for monitor");
            if ended.is_some() {
                self.join();
            }
            let objects = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if objects.len() >= count {
                return Some(objects);
            }
            if let Some(status) = ended {
                panic!("monitor ended with {status} after {} objects: {}", objects.len(), said());
            }
            None
        };
        wait::or_tell(wait::STEP, look, || format!("monitor prints {count} objects; it said: {}", said()))
    }

    /// Waits for an object that was begun after now: everything that happened before is in it.
    ///
    /// # Panics
    /// When it takes too long.
    pub fn next_object(&mut self) -> Object {
        // The one in the making may have been drained before; the one after it was not.
        let count = self.printed() + 2;
        self.objects_from(count).pop().expect("there are at least two")
    }

    /// Ends it with SIGINT, as Ctrl-C does, and gives everything it printed.
    ///
    /// # Panics
    /// When it does not end with 130 in time.
    pub fn stop(self) -> Report {
        let report = self.signal(Signal::INT);
        assert_eq!(report.status.code(), Some(130), "SIGINT: {}", report.stderr);
        report
    }

    /// Ends it with a signal and gives everything it printed.
    ///
    /// # Panics
    /// When it is gone already, or does not end in time.
    pub fn signal(self, signal: Signal) -> Report {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("signal monitor");
        self.ended()
    }

    /// Waits for its end and gives everything it printed.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn ended(mut self) -> Report {
        let status = wait::until("monitor ends", || self.child.try_wait().expect("wait for monitor"));
        self.join();
        let objects = std::mem::take(&mut *self.objects.lock().unwrap_or_else(PoisonError::into_inner));
        Report { objects, status, stderr: self.stderr() }
    }

    fn stderr(&self) -> String {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn join(&mut self) {
        for reader in self.readers.drain(..) {
            reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
