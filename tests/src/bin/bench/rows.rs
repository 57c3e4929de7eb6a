//! A million rows that were all active in one tick: how long it takes until the tick's object is there.

use crate::{
    Pace,
    cost::{cpu, memory},
    datagrams::loader,
    sample::Samples,
};
use monitor_tests::{cgroup::Cgroup, monitor::Monitor, netns::Netns, program, wait};
use std::{
    process::Command,
    time::{Duration, Instant},
};

/// Each is two rows: one of the socket that sends to it, one of the socket that receives at it.
const ADDRESSES: u32 = 500_000;
/// Rows of half a table: more than twice as many, so that none is drained before the tick.
const CAPACITY: u32 = 1 << 21;
/// Until an object: the kernel makes room for all rows at the start, and a tick is long.
const PATIENCE: Duration = Duration::from_mins(1);
/// All addresses are sent to within one tick.
const INTERVAL: Duration = Duration::from_secs(15);
const ON_THE_WIRE: u64 = 64 + 28;

pub(crate) fn run(pace: Pace, samples: &mut Samples) {
    let addresses = if pace.quick { ADDRESSES / 10 } else { ADDRESSES };
    let rows = 2 * addresses;
    let (cgroup, netns) = (Cgroup::new(), Netns::new());
    let mut load = loader(&cgroup, &netns, "bench-rows");
    let mut command = Command::new(program::monitor());
    command.args(["--json", "--no-dns", "--lines", "1", "--interval", &INTERVAL.as_secs().to_string()]);
    command.args(["--capacity", &CAPACITY.to_string(), "--cgroup"]).arg(cgroup.path());
    let mut monitor = Monitor::spawn(command);
    wait::within(PATIENCE, "monitor prints an object", || (monitor.printed() > 0).then_some(()));
    // An object has just come, so the next is due in one interval.
    let (printed, last) = (monitor.printed(), Instant::now());
    load.ask(&format!("scatter {addresses}"));
    assert!(last.elapsed() < INTERVAL, "this machine is too slow to send to all addresses in one tick");
    let (used, resident) = (cpu(monitor.pid()), memory(monitor.pid(), "VmRSS:"));
    wait::within(PATIENCE, "monitor prints the tick", || (monitor.printed() > printed).then_some(()));
    let late = last.elapsed().saturating_sub(INTERVAL).as_secs_f64();
    let used = cpu(monitor.pid()).saturating_sub(used).as_secs_f64();
    let each = (memory(monitor.pid(), "VmRSS:") - resident) * 1e6 / f64::from(rows);
    let totals = monitor.objects_from(printed + 1)[printed].totals();
    let missed = (u64::from(rows) * ON_THE_WIRE).abs_diff(totals.rx_bytes + totals.tx_bytes);
    samples.add(format!("{rows} active rows in a tick: drain and table, CPU"), "s", used).at_most(0.6);
    samples.add(format!("{rows} active rows in a tick: the tick is late by"), "s", late).at_most(0.6);
    samples.add(format!("{rows} active rows in a tick: resident memory, each"), "B", each);
    samples
        .add(format!("{rows} active rows in a tick: bytes missed or counted twice"), "B", missed as f64)
        .baseline(0.0)
        .at_most(0.0);
    monitor.stop();
}
