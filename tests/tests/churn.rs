//! Churn: processes, flows and interfaces that come and go, round after round. What they leave behind must not grow: memory, the
//! size of a quiet object, the CPU time of a quiet interval. `cargo xtask bench --only churn` measures the same at full size.

use monitor_tests::{
    cgroup::Cgroup,
    json::{Object, field, number, sum},
    monitor::{self, Monitor},
    netns::Netns,
    program, wait,
};

/// Rows that are held at most: less than one round makes.
const ROWS: &str = "1024";
const PROCESSES: u32 = 1_500;
const INTERFACES: u32 = 60;
/// Objects that a quiet time is measured over.
const QUIET: usize = 10;

/// What a quiet time costs.
#[derive(Debug)]
struct Cost {
    memory: u64,
    cpu: u64,
    object: usize,
}

/// Processes that each send a datagram from a socket of their own and end, and interfaces that each carry one and go.
fn round(cgroup: &Cgroup, netns: &Netns) {
    let script = format!(
        "set -e; echo $$ >{procs}
         for i in $(seq {PROCESSES}); do bash -c 'echo x >/dev/udp/127.0.0.1/9'; done
         for i in $(seq {INTERFACES}); do
             ip link add churn$i type veth peer name peer$i
             ip link set peer$i up; ip link set churn$i up; ip addr add 10.200.$i.1/24 dev churn$i
             bash -c \"echo x >/dev/udp/10.200.$i.2/9\"
             ip link del churn$i
         done",
        procs = cgroup.path().join("cgroup.procs").display()
    );
    let mut shell = netns.command("bash");
    shell.args(["-c", &script]);
    program::output(shell);
}

/// Waits until nothing moves, and measures.
fn quiet(monitor: &mut Monitor) -> Cost {
    let listed = |object: &Object| {
        object.processes().len() + field(&object["ledger"], "interfaces").as_array().map_or(0, Vec::len)
    };
    wait::until("nothing moves", || (listed(&monitor.next_object()) == 0).then_some(()));
    let cpu = |object: &Object| number(&object["own"], "cpu_ns");
    let first = monitor.next_object();
    let mut last = first.0.clone();
    for _ in 0..QUIET {
        last = monitor.next_object().0;
    }
    let last = Object(last);
    Cost {
        memory: number(&last["own"], "memory"),
        cpu: cpu(&last).saturating_sub(cpu(&first)),
        object: last.0.to_string().len(),
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn what_comes_and_goes_leaves_nothing_that_grows() {
    let (cgroup, netns) = (Cgroup::new(), Netns::new());
    let mut command = monitor::command(&cgroup, Some(&netns));
    command.args(["--max-rows", ROWS]);
    let mut monitor = Monitor::counting(command);
    round(&cgroup, &netns);
    let first = quiet(&mut monitor);
    round(&cgroup, &netns);
    round(&cgroup, &netns);
    let third = quiet(&mut monitor);
    // Free memory goes back once there are 16 MB of it.
    assert!(third.memory < first.memory + (20 << 20), "bytes of memory: {first:?}, then {third:?}");
    assert!(third.object < first.object + 2_048, "bytes of an object: {first:?}, then {third:?}");
    // Most of it is the machine's noise; what grew with what had been would be three times as much.
    assert!(third.cpu < 2 * first.cpu + 20_000_000, "CPU time, ns: {first:?}, then {third:?}");
    let report = monitor.stop();
    // What folded is in one row of the last object, which lists everything.
    assert_eq!(sum(report.last().processes()), report.last().totals(), "{:#}", report.last().0);
    let sent = report.last().totals().tx_packets;
    assert!(sent >= u64::from(3 * (PROCESSES + INTERFACES)), "every datagram is in the totals: {sent}");
    assert!(report.last().processes().len() <= 1_024 + 8, "{} rows", report.last().processes().len());
}
