//! What is left of interfaces, processes and flows that came and went: memory, CPU time of a quiet time, bytes of a quiet
//! object, and whether each datagram of theirs is in the totals.
//!
//! The test of the same name holds the shortened version to its bounds; here are the numbers.

use crate::{
    Pace,
    cost::{Share, Watched},
    datagrams::loader,
    sample::Samples,
};
use monitor_tests::{agent::Agent, cgroup::Cgroup, json::Object, monitor, netns::Netns, program};
use std::{
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader},
    process::{ChildStdout, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Of everything a twentieth at a time, so that some is there while other has gone. A quick run takes two.
const TURNS: u32 = 20;
const QUICK_TURNS: u32 = 2;
/// In one turn; interfaces in pairs.
const INTERFACES: u32 = 1_500;
const PROCESSES: u32 = 3_500;
/// Each is two flows: one of the socket that sends to it, one of the socket that receives at it.
const ADDRESSES: u32 = 7_500;
/// From the start until what it takes then is what it takes before, and from the last event until that is after.
const BEFORE: Duration = Duration::from_secs(30);
const AFTER: Duration = Duration::from_mins(1);
/// What ended in the last second of the flood is held for a minute itself; then all of it has gone.
const LATER: Duration = Duration::from_secs(90);
/// How long a quiet time is.
const QUIET: Duration = Duration::from_secs(10);
const ON_THE_WIRE: u64 = 64 + 28;
/// More than before, at most, MB.
const ROOM: f64 = 20.0;

/// What a monitor prints, of which only the last line is kept.
struct Output {
    last: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

/// What a quiet time costs: MB, percent of a core, bytes.
struct Cost {
    memory: f64,
    cpu: f64,
    object: usize,
}

pub(crate) fn run(pace: Pace, samples: &mut Samples) {
    let turns = if pace.quick { QUICK_TURNS } else { TURNS };
    let (cgroup, netns) = (Cgroup::new(), Netns::new());
    let mut load = loader(&cgroup, &netns, "churn");
    let mut command = monitor::command_every("1", cgroup.path(), Some(&netns));
    command.stdout(Stdio::piped());
    let start = Instant::now();
    let mut monitor = Watched::counting(command);
    let output = Output::of(monitor.stdout());
    let before = quiet(&monitor, &output, start + BEFORE);
    forget_highest(monitor.pid());
    let share = Share::begin(&monitor);
    for turn in 0..turns {
        churn(&netns, &mut load, turn);
    }
    let (events_took, busy) = (share.seconds(), share.end(&monitor));
    let last_event = Instant::now();
    let highest = monitor.memory("VmHWM:");
    let after = quiet(&monitor, &output, last_event + AFTER);
    let highest = highest.max(monitor.memory("VmHWM:"));
    sleep_until(last_event + LATER);
    let later = monitor.memory("VmRSS:");
    monitor.interrupt();
    let totals = output.end().totals();
    let sent = u64::from(turns) * u64::from(INTERFACES + 2 * PROCESSES + 2 * ADDRESSES) * ON_THE_WIRE;
    let missed = sent.abs_diff(totals.rx_bytes + totals.tx_bytes);
    samples.add("resident memory, before", "MB", before.memory);
    samples.add("resident memory, at most", "MB", highest).baseline(before.memory);
    samples.add("resident memory, a minute after", "MB", after.memory).baseline(before.memory);
    samples.add("resident memory, 90 s after", "MB", later).baseline(before.memory);
    samples
        .add("resident memory, a minute after, more than before", "MB", after.memory - before.memory)
        .at_most(ROOM);
    samples.add("CPU while idle, before", "%", before.cpu);
    samples.add("CPU while it churns", "%", busy).baseline(before.cpu);
    samples.add("CPU while idle, a minute after", "%", after.cpu).baseline(before.cpu);
    samples.add("a quiet object, before", "B", before.object as f64);
    samples.add("a quiet object, a minute after", "B", after.object as f64).baseline(before.object as f64);
    samples.add("how long it churned", "s", events_took);
    samples.add("bytes missed or counted twice", "B", missed as f64).baseline(0.0).at_most(0.0);
}

/// A turn: interfaces that each carry a datagram and go, processes that each send one and end, flows of one each.
fn churn(netns: &Netns, load: &mut Agent, turn: u32) {
    // Every interface that ever was has a name of its own.
    let (name, group) = (format!("c{turn}x"), turn + 1);
    let mut batch = String::new();
    for near in (0..INTERFACES).step_by(2) {
        let far = near + 1;
        writeln!(
            batch,
            "link add name {name}{near} group {group} type veth peer name {name}{far} group {group}"
        )
        .expect("room");
    }
    // Nobody answers questions for neighbours.
    writeln!(batch, "link set group {group} arp off up").expect("room");
    let file = tempfile::NamedTempFile::new().expect("a file for the batch");
    fs::write(file.path(), batch).expect("write the batch");
    let mut ip = netns.command("ip");
    ip.arg("-batch").arg(file.path());
    program::output(ip);
    load.ask(&format!("devices {name} {INTERFACES}"));
    netns.ip(&format!("link del group {group}"));
    load.ask(&format!("children {PROCESSES}"));
    load.ask(&format!("scatter {ADDRESSES}"));
}

/// Waits until then, and measures.
fn quiet(monitor: &Watched, output: &Output, until: Instant) -> Cost {
    sleep_until(until);
    let memory = monitor.memory("VmRSS:");
    let share = Share::begin(monitor);
    thread::sleep(QUIET);
    let cpu = share.end(monitor);
    Cost { memory, cpu, object: output.last.lock().unwrap_or_else(PoisonError::into_inner).len() }
}

fn sleep_until(then: Instant) {
    thread::sleep(then.saturating_duration_since(Instant::now()));
}

/// Has the kernel forget the highest resident memory so far (proc_pid_clear_refs(5)): loading took more than running.
fn forget_highest(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("reset the highest resident memory");
}

impl Output {
    fn of(stdout: ChildStdout) -> Self {
        let last: Arc<Mutex<Vec<u8>>> = Arc::default();
        let seen = Arc::clone(&last);
        let reader = thread::spawn(move || {
            let (mut stdout, mut line) = (BufReader::new(stdout), Vec::new());
            while stdout.read_until(b'\n', &mut line).expect("monitor prints lines") > 0 {
                std::mem::swap(&mut line, &mut seen.lock().unwrap_or_else(PoisonError::into_inner));
                line.clear();
            }
        });
        Self { last, reader }
    }

    /// The last object of a monitor that has ended.
    fn end(self) -> Object {
        self.reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let line = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        Object(serde_json::from_slice(&line).expect("monitor prints JSON"))
    }
}
