//! `net.core.optmem_max` too small for the kernel to clone what the monitor stores with a socket: the monitor must do
//! without, and say so, rather than cost a connection (KERNEL.md 0a.13).

use monitor_tests::{
    accounts::balance,
    agent::reconnect,
    bpf::{self, Kind},
    json::{Object, sum},
    monitor::{self, Monitor},
    netns::Netns,
    scene::Scene,
    veth::{ETHERNET, Version},
};
use std::fs;

const SETTING: &str = "/proc/sys/net/core/optmem_max";

/// Makes the setting small where sockets of these namespaces look for it, until dropped.
struct SmallOptmem {
    /// The machine's own value, where the setting is the machine's (before Linux 6.8).
    machine: Option<String>,
}

impl SmallOptmem {
    fn new(netns: [&Netns; 2], value: &str) -> Self {
        let own = netns[0].run(|| fs::exists(SETTING)).expect("look for the setting");
        let machine = (!own).then(|| fs::read_to_string(SETTING).expect("read the machine's setting"));
        for netns in netns.into_iter().filter(|_| own) {
            netns.set("core/optmem_max", value);
            assert_eq!(netns.get("core/optmem_max"), value);
        }
        let small = Self { machine };
        if small.machine.is_some() {
            fs::write(SETTING, value).expect("write the machine's setting");
        }
        small
    }
}

impl Drop for SmallOptmem {
    fn drop(&mut self) {
        if let Some(value) = &self.machine {
            fs::write(SETTING, value).expect("restore the machine's setting");
        }
    }
}

/// Every connection is made and used, and every byte is counted.
fn no_connection_is_lost(optmem: &str) -> (Object, Scene) {
    const CONNECTIONS: u64 = 50;
    const BYTES: u64 = 1000;
    let mut scene = Scene::new();
    let _small = SmallOptmem::new([&scene.pair.a.netns, &scene.pair.b.netns], optmem);
    let monitor = Monitor::counting(monitor::command(&scene.cgroup, Some(&scene.pair.b.netns)));
    let listener = scene.server.listen(scene.pair.b.address(Version::V4, 0));
    let to = scene.pair.b.address(Version::V4, listener.port);
    for _ in 0..CONNECTIONS {
        let connection = reconnect(&mut scene.client, &mut scene.server, to, listener);
        scene.upload(connection, BYTES);
    }
    let report = monitor.stop();
    balance(&report);
    let last = report.last().clone();
    let degraded = last.degraded();
    assert!(degraded.iter().any(|text| text.contains("optmem_max")), "{degraded:?}");
    let (total, a, b) = (last.totals(), scene.pair.a.counters(), scene.pair.b.counters());
    assert_eq!(total.rx_skb_bytes + ETHERNET * total.rx_skbs, a.rx_bytes + b.rx_bytes, "{:#}", last.0);
    assert_eq!(total.tx_skb_bytes + ETHERNET * total.tx_skbs, a.tx_bytes + b.tx_bytes, "{:#}", last.0);
    (last, scene)
}

#[test]
#[ignore = "needs root and BPF"]
fn no_connection_is_lost_with_an_optmem_max_that_holds_no_owner_at_all() {
    let (last, scene) = no_connection_is_lost("200");
    // The claims themselves are kept even so.
    for (end, agent) in [(&scene.pair.a, &scene.client), (&scene.pair.b, &scene.server)] {
        let own = sum(last.flows_of(agent.pid()));
        assert_eq!(own.tx_skb_bytes + ETHERNET * own.tx_skbs, end.counters().tx_bytes, "{:#}", last.0);
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn no_connection_is_lost_with_an_optmem_max_just_below_the_limit() {
    let (last, scene) = no_connection_is_lost("8191");
    // There is room for an owner of each socket, made when it is used and not when it is accepted.
    for (end, agent) in [(&scene.pair.a, &scene.client), (&scene.pair.b, &scene.server)] {
        assert_eq!(sum(last.flows_of(agent.pid())), sum(last.flows_on(&end.name)), "{:#}", last.0);
    }
}

/// H4: it was read once, at the start.
#[test]
#[ignore = "needs root and BPF"]
fn an_optmem_max_that_falls_while_it_runs_is_said() {
    const SAID: &str = "the kernel may refuse some connections while monitor runs";
    let scene = Scene::new();
    let netns = [&scene.pair.a.netns, &scene.pair.b.netns];
    let _before = SmallOptmem::new(netns, "131072");
    let mut monitor = Monitor::counting(monitor::command(&scene.cgroup, Some(&scene.pair.b.netns)));
    let says = |object: &Object| object.degraded().iter().any(|said| said.contains(SAID));
    assert!(!says(&monitor.next_object()));
    let _small = SmallOptmem::new(netns, "4096");
    let object = monitor.next_object();
    assert!(says(&object), "{:?}", object.degraded());
    monitor.stop();
}

#[test]
#[ignore = "needs root and BPF"]
fn an_ordinary_optmem_max_is_no_degradation() {
    let scene = Scene::new();
    let _ordinary = SmallOptmem::new([&scene.pair.a.netns, &scene.pair.b.netns], "131072");
    let monitor = Monitor::counting(monitor::command(&scene.cgroup, Some(&scene.pair.b.netns)));
    let held = bpf::held_by(monitor.pid());
    assert!(held.iter().any(|&(kind, _)| kind == Kind::Link), "nothing is attached: {held:?}");
    let degraded = monitor.stop().last().degraded();
    assert!(!degraded.iter().any(|text| text.contains("optmem_max")), "{degraded:?}");
}
