//! A file system that does not answer, in the path of somebody's executable: names of others go on, what hangs is said, and
//! `monitor` ends, and takes all that is its from the kernel, however it ends.

use monitor_tests::{
    bpf::{Id, exists, held_by},
    cgroup::Cgroup,
    hanging::Hanging,
    json::{Object, field},
    monitor::{self, Monitor},
    netns::Netns,
    wait,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Stdio},
};
use tempfile::TempDir;

/// A script of bash that sends datagrams until it is ended; nobody listens. What moves nothing is not listed again.
const SEND: &str = "while echo hello >/dev/udp/127.0.0.1/9; do sleep 0.1; done";

/// A monitor that was told of a program at a path which hangs for it, and hangs there.
struct Hung {
    monitor: Option<Monitor>,
    held: BTreeSet<Id>,
    file_system: Option<Hanging>,
    program: Child,
    path: PathBuf,
    netns: Netns,
    cgroup: Cgroup,
    _directory: TempDir,
}

impl Hung {
    fn new() -> Self {
        let (cgroup, netns) = (Cgroup::new(), Netns::new());
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().canonicalize().expect("a path");
        let (path, real) = (root.join("hang"), root.join("real"));
        fs::create_dir(&path).expect("a directory");
        fs::create_dir(&real).expect("a directory");
        fs::copy("/bin/bash", real.join("prog")).expect("bash is installed");
        // In the mounts of its own the path is an ordinary directory.
        let script = r#"mount --bind "$1" "$2" && echo 0 >"$3" && echo ready && read -r go && exec "$2/prog" -c "$4" hidden"#;
        let mut command = netns.command("unshare");
        command.args(["--mount", "bash", "-c", script, "bash"]).arg(&real).arg(&path);
        command.arg(cgroup.path().join("cgroup.procs")).arg(SEND);
        let mut program = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("unshare");
        let mut line = String::new();
        BufReader::new(program.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        let monitor = Monitor::counting(monitor::command(&cgroup, None));
        let held = held_by(monitor.pid());
        assert!(held.len() >= 6 && held.iter().all(|&id| exists(id)), "{held:?}");
        // After the monitor, so that it goes first where this panics.
        let mut file_system = Hanging::mount(&path);
        writeln!(program.stdin.as_mut().expect("a pipe"), "go").expect("it reads");
        file_system.asked_by(monitor.pid());
        Self {
            monitor: Some(monitor),
            held,
            file_system: Some(file_system),
            program,
            path,
            netns,
            cgroup,
            _directory: directory,
        }
    }

    /// Somebody else's process, which moves bytes.
    fn other(&self) -> Child {
        let mut command = self.netns.command("/bin/bash");
        command.args(["-c", &format!("echo 0 >\"$0\"; {SEND}")]);
        command.arg(self.cgroup.path().join("cgroup.procs")).arg("other");
        command.spawn().expect("bash")
    }

    /// Waits until the latest object says so, or does not.
    fn until_said(&mut self, is_said: bool) {
        let path = self.path.to_str().expect("text").to_owned();
        wait::until("it is said as long as it hangs", || {
            let object = self.monitor.as_mut()?.objects_from(1).pop()?;
            let says = object.degraded().iter().any(|what| what.contains(&path));
            (says == is_said).then_some(())
        });
    }

    /// The latest row of a process with such a command line; waits for one.
    fn row(&mut self, ending: &str) -> Value {
        wait::until("it is named", || {
            let objects = self.monitor.as_mut()?.objects_from(1);
            objects.iter().rev().find_map(|object| by_cmdline(object, ending).cloned())
        })
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        // First, or a monitor that waits in it could not be waited for.
        self.file_system = None;
        self.program.kill().ok();
        self.program.wait().ok();
    }
}

fn by_cmdline<'o>(object: &'o Object, ending: &str) -> Option<&'o Value> {
    let is_it = |row: &&Value| field(row, "cmdline").as_str().is_some_and(|line| line.ends_with(ending));
    object.processes().iter().find(is_it)
}

#[test]
#[ignore = "needs root and BPF"]
fn nothing_stays_in_the_kernel_when_monitor_is_killed_while_a_file_system_hangs() {
    let hung = Hung::new();
    // It is not waited for here: one that hangs would not end before the file system does.
    let pid = hung.monitor.as_ref().expect("it runs").pid();
    kill_process(Pid::from_raw(pid.cast_signed()).expect("a pid"), Signal::KILL).expect("signal monitor");
    let held = &hung.held;
    let left = || held.iter().filter(|&&id| exists(id)).collect::<Vec<_>>();
    wait::or_tell(wait::STEP, || left().is_empty().then_some(()), || format!("left: {:?}", left()));
}

#[test]
#[ignore = "needs root and BPF"]
fn a_file_system_that_hangs_costs_the_names_on_it_and_no_others() {
    let mut hung = Hung::new();
    hung.until_said(true);
    let mut process = hung.other();
    let other = hung.row(" other");
    process.kill().expect("end bash");
    process.wait().expect("wait for bash");
    let bash = fs::canonicalize("/bin/bash").expect("bash is installed");
    assert_eq!(field(&other, "exe").as_str(), bash.to_str());
    // The kernel told its arguments, and /proc the path of what it runs without looking whether there is such a path.
    let row = hung.row(" hidden");
    assert_eq!(
        (field(&row, "process"), field(&row, "exe").as_str()),
        (&json!("prog"), hung.path.join("prog").to_str())
    );
    // The end of the file system is the end of waiting for it.
    hung.file_system = None;
    hung.until_said(false);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_signal_ends_monitor_while_a_file_system_hangs() {
    let mut hung = Hung::new();
    hung.until_said(true);
    let report = hung.monitor.take().expect("it runs").signal(Signal::TERM);
    assert_eq!(report.status.code(), Some(143), "{}", report.stderr);
    assert!(by_cmdline(report.last(), " hidden").is_some(), "the last object came");
}
