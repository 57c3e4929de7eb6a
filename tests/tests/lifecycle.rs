//! Coming and going: nothing of the monitor stays in the kernel, and traffic does not notice it.

use monitor_tests::{
    agent::{reconnect, transfer},
    bpf::{Id, Kind, all, exists, held_by, held_while_it_lives},
    monitor::{Monitor, Report, command_every},
    scene::{Scene, StopOnDrop},
    veth::Version,
    wait,
};
use rustix::process::Signal;
use std::{
    collections::BTreeSet,
    fs,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

/// How long the kernel may take to free what a dead process held.
const FREED: Duration = Duration::from_secs(5);

fn assert_freed(held: &BTreeSet<Id>) {
    let left = || held.iter().filter(|&&id| exists(id)).collect::<Vec<_>>();
    let look = || left().is_empty().then_some(());
    wait::or_tell(FREED, look, || format!("all is freed; left: {:?}", left()));
}

/// The kernel's own lists have nothing that was not there before but for what a process that lives holds: other tests and
/// other programs of the machine load some, too.
fn assert_none_is_nobodys(before: &BTreeSet<Id>) {
    let left = || {
        let new: BTreeSet<Id> = all().difference(before).copied().collect();
        let held: BTreeSet<Id> = if new.is_empty() { BTreeSet::new() } else { held_by_anybody() };
        new.difference(&held).copied().collect::<Vec<_>>()
    };
    let look = || left().is_empty().then_some(());
    wait::or_tell(FREED, look, || format!("all that is new is somebody's; not so: {:?}", left()));
}

fn held_by_anybody() -> BTreeSet<Id> {
    let processes = fs::read_dir("/proc").expect("the processes");
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    // One that has ended meanwhile holds nothing.
    pids.filter_map(|pid| held_while_it_lives(pid).ok()).flatten().collect()
}

/// Everything that a counting monitor holds in the kernel.
fn held(monitor: &Monitor) -> BTreeSet<Id> {
    let held = held_by(monitor.pid());
    for kind in [Kind::Program, Kind::Map, Kind::Link] {
        let count = held.iter().filter(|(of, _)| *of == kind).count();
        assert!(
            count >= 2,
            "a counting monitor holds at least two of each kind, not so of {kind:?}: {held:?}"
        );
    }
    assert!(held.iter().all(|&id| exists(id)), "{held:?}");
    held
}

/// Ends a monitor that counts traffic, and looks for what it left.
fn nothing_stays(end: impl FnOnce(Monitor) -> Report) {
    let mut scene = Scene::new();
    let before = all();
    let monitor = Monitor::start(&scene.cgroup);
    let connection = scene.connect(Version::V4);
    scene.upload(connection, 1 << 20);
    let held = held(&monitor);
    assert!(held.is_subset(&all()) && held.is_disjoint(&before), "{held:?}");
    end(monitor);
    assert_freed(&held);
    assert_none_is_nobodys(&before);
    scene.upload(connection, 1 << 20);
}

#[test]
#[ignore = "needs root and BPF"]
fn nothing_stays_in_the_kernel_after_sigkill() {
    nothing_stays(|monitor| monitor.signal(Signal::KILL));
}

#[test]
#[ignore = "needs root and BPF"]
fn nothing_stays_in_the_kernel_after_a_clean_end() {
    nothing_stays(Monitor::stop);
}

/// Moves bytes over one old connection and, each round, over a new one, until told to stop. Every round checks that
/// every byte arrived; a lost connection or byte fails the helper's step.
fn rounds(scene: &mut Scene, count: &AtomicU64, stop: &AtomicBool) {
    const OLD: u64 = 2 << 20;
    const NEW: u64 = 64 << 10;
    let listener = scene.server.listen(scene.pair.b.address(Version::V4, 0));
    let to = scene.pair.b.address(Version::V4, listener.port);
    let old = reconnect(&mut scene.client, &mut scene.server, to, listener);
    while !stop.load(Ordering::Relaxed) {
        transfer((&mut scene.client, old.client), (&mut scene.server, old.server), OLD);
        let new = reconnect(&mut scene.client, &mut scene.server, to, listener);
        transfer((&mut scene.server, new.server), (&mut scene.client, new.client), NEW);
        scene.client.ask(&format!("reset {}", new.client.id));
        scene.server.ask(&format!("close {}", new.server.id));
        count.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn traffic_does_not_notice_attach_detach_and_kill() {
    let mut scene = Scene::new();
    let cgroup = scene.cgroup.path().to_owned();
    let devices = (scene.pair.a.clone(), scene.pair.b.clone());
    let (count, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let traffic = scope.spawn(|| rounds(&mut scene, &count, &stop));
        let stop = StopOnDrop(&stop);
        let some_rounds = || {
            let goal = count.load(Ordering::Relaxed) + 5;
            wait::until("traffic goes on", || {
                (count.load(Ordering::Relaxed) >= goal || traffic.is_finished()).then_some(())
            });
            assert!(!traffic.is_finished(), "traffic ended early");
        };
        some_rounds();
        for signal in [Signal::INT, Signal::KILL, Signal::TERM, Signal::KILL] {
            let mut monitor = Monitor::counting(command_every("0.2", &cgroup, None));
            some_rounds();
            let seen = monitor.next_object().totals();
            assert!(seen.rx_bytes > 0 && seen.tx_bytes > 0, "monitor counts while traffic goes on: {seen:?}");
            monitor.signal(signal);
            some_rounds();
        }
        drop(stop);
        traffic.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    assert_eq!((devices.0.counters().dropped, devices.1.counters().dropped), (0, 0));
}
