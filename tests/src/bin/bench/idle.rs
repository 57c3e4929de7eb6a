//! What `monitor` takes while nothing happens but its ticks.

use crate::{
    Pace,
    cost::{Share, Watched},
    sample::Samples,
};
use monitor_tests::{cgroup::Cgroup, program, pty::Pty};
use std::{
    process::{Command, Stdio},
    thread,
};

pub(crate) fn run(pace: Pace, samples: &mut Samples) {
    let (empty, pty) = (Cgroup::new(), Pty::open());
    let scoped = || {
        let mut command = Command::new(program::monitor());
        command.arg("--cgroup").arg(empty.path());
        command
    };
    let mut json = scoped();
    json.arg("--json").stdout(Stdio::null());
    let mut screen = scoped();
    pty.give_to(&mut screen);
    let drawn = pty.drain();
    let whole = Watched::monitor();
    let monitors = [whole, Watched::counting(json), Watched::counting(screen)];
    thread::sleep(pace.milliseconds(1000));
    let shares = monitors.each_ref().map(Share::begin);
    thread::sleep(pace.milliseconds(3000));
    let [whole, json, screen] = [0, 1, 2].map(|at| shares[at].end(&monitors[at]));
    samples.add("CPU, --json, an empty cgroup", "%", json).baseline(0.0).at_most(0.05);
    samples.add("CPU, screen, an empty cgroup", "%", screen).baseline(0.0).at_most(0.05);
    samples.add("CPU, --json, the whole machine as it was", "%", whole).baseline(0.0);
    for (name, monitor) in ["--json", "screen"].into_iter().zip(&monitors[1..]) {
        samples.add(format!("resident memory, {name}"), "MB", monitor.memory("VmRSS:")).at_most(25.0);
        samples.add(format!("highest resident memory, {name}"), "MB", monitor.memory("VmHWM:"));
    }
    samples.add("maps in the kernel", "MB", monitors[1].maps());
    drop(monitors);
    drawn.join().expect("the reader of the terminal");
}
