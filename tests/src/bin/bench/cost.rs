//! A running program and what it costs: CPU time, memory, kernel maps.

use monitor_tests::{
    bpf::{self, Kind},
    program, wait,
};
use nix::time::clock_getcpuclockid;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// After the hooks are attached: time for the seed and the first allocations, which are no part of running.
const SETTLE: Duration = Duration::from_millis(500);

/// A program that does not outlive its bench.
pub(crate) struct Watched {
    child: Child,
}

impl Watched {
    /// Starts a program.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        Self { child }
    }

    /// Starts `monitor --json`, its output going nowhere, and waits until it counts.
    pub(crate) fn monitor() -> Self {
        let mut command = Command::new(program::monitor());
        command.arg("--json").stdout(Stdio::null());
        Self::counting(command)
    }

    /// Starts a monitor and waits until it counts.
    pub(crate) fn counting(command: Command) -> Self {
        let mut watched = Self::spawn(command);
        wait::until("monitor attaches its programs", || {
            let ended = watched.child.try_wait().expect("wait for monitor");
            assert!(ended.is_none(), "monitor ended with {ended:?}");
            let links = bpf::held_by(watched.pid()).iter().filter(|(kind, _)| *kind == Kind::Link).count();
            (links >= 2).then_some(())
        });
        thread::sleep(SETTLE);
        watched
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its output, where the command made that a pipe.
    pub(crate) fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("stdout is a pipe")
    }

    /// CPU time of all its threads so far.
    pub(crate) fn cpu(&self) -> Duration {
        cpu(self.pid())
    }

    /// Whether it ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("wait for the program").is_some()
    }

    /// Lets it end as Ctrl-C would, and waits for that.
    pub(crate) fn interrupt(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("the program still runs");
        let end = || self.child.try_wait().expect("wait for the program");
        wait::within(Duration::from_secs(30), "the program ends", end);
    }

    /// A line of its `status`, in MB.
    pub(crate) fn memory(&self, key: &str) -> f64 {
        memory(self.pid(), key)
    }

    /// What the kernel has allocated for the maps that it has open, in MB.
    pub(crate) fn maps(&self) -> f64 {
        let open = fs::read_dir(self.directory().join("fdinfo")).expect("the program runs");
        let texts = open.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
        let sizes = texts.filter(|text| text.contains("map_id:")).filter_map(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("memlock:"))?;
            line.trim().parse::<u64>().ok()
        });
        sizes.sum::<u64>() as f64 / 1e6
    }

    fn directory(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.pid()))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// CPU time of all threads of a process so far, of those that have ended, too, on the scheduler's clock (as in schedstat).
/// `stat` has it in ticks of 10 ms, too coarse for an idle monitor.
pub(crate) fn cpu(pid: u32) -> Duration {
    let pid = i32::try_from(pid).expect("a pid is small");
    let clock = clock_getcpuclockid(nix::unistd::Pid::from_raw(pid)).expect("the program runs");
    Duration::from(clock.now().expect("the clock of a program that runs"))
}

/// A line of a process's `status`, in MB.
pub(crate) fn memory(pid: u32, key: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the program runs");
    megabytes(&status, key)
}

/// CPU time of a program over a time, in percent of one core.
pub(crate) struct Share {
    start: Instant,
    before: Duration,
}

impl Share {
    pub(crate) fn begin(watched: &Watched) -> Self {
        Self { start: Instant::now(), before: watched.cpu() }
    }

    pub(crate) fn end(&self, watched: &Watched) -> f64 {
        let used = watched.cpu().saturating_sub(self.before);
        used.as_secs_f64() / self.seconds() * 100.0
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }
}

fn megabytes(status: &str, key: &str) -> f64 {
    let rest = status.lines().find_map(|line| line.strip_prefix(key)).expect("a line of status");
    let kibibytes: u32 = rest.trim().trim_end_matches("kB").trim().parse().expect("a size");
    f64::from(kibibytes) * 1024.0 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_read() {
        let status = "VmHWM:\t   2000 kB\nVmRSS:\t    1000 kB\n";
        assert!((megabytes(status, "VmRSS:") - 1.024).abs() < 1e-9);
    }
}
