//! Where a monitor could lose count: more flows than it has room for, another monitor, other programs on the same
//! cgroup, a cgroup that goes away, connections that are made while it starts.

use monitor_tests::{
    accounts::{as_the_stack_carried, balance, datagrams},
    agent::{Agent, connect, reconnect, transfer},
    bpf::{self, Packets, attach_to_cgroup, load_packet_filter},
    cgroup::Cgroup,
    json::{Object, counters, field, number, sum},
    monitor::{self, Monitor, command_on},
    scene::{Scene, StopOnDrop},
    stage::{confidence, only},
    veth::{ETHERNET, Pair, Version},
    wait,
};
use rustix::fs::{Mode, OFlags, open};
use std::{
    fs,
    os::fd::OwnedFd,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

/// Programs that let every packet pass, and none: `r0 = 1; exit`, `r0 = 0; exit`.
const PASS: [u64; 2] = [0x0000_0001_0000_00b7, 0x95];
const DROP: [u64; 2] = [0x0000_0000_0000_00b7, 0x95];

/// IP bytes of a datagram with 100 bytes in it.
const DATAGRAM: u64 = 128;

fn ended(monitor: Monitor) -> Object {
    let report = monitor.stop();
    balance(&report);
    report.last().clone()
}

fn says(object: &Object, text: &str) -> bool {
    object.degraded().iter().any(|degraded| degraded.contains(text))
}

/// New pairs of ends all the time, many more than the table has rows for, by two processes to a third. Flows are lost,
/// no byte is: each process has its own to the last one, and the ledger says how much of it has no flow.
#[test]
#[ignore = "needs root and BPF"]
fn a_full_flow_table_costs_flows_and_no_byte() {
    const SOCKETS: u64 = 400;
    const EACH: u64 = 5;
    let mut scene = Scene::new();
    let mut other = Agent::spawn(&scene.cgroup, &scene.pair.a.netns, "other");
    let mut command = monitor::command(&scene.cgroup, None);
    command.args(["--capacity", "64"]);
    let monitor = Monitor::counting(command);
    let (sink, to) = scene.datagram_server(Version::V4);
    let (from, all) = (scene.pair.a.address(Version::V4, 0), 2 * SOCKETS * EACH);
    let mut senders = [&mut scene.client, &mut other];
    let sockets = senders.each_mut().map(|sender| sender.ask(&format!("datagrams {SOCKETS} {from}")));
    scene.server.start(&format!("receive-from {} {all}", sink.id));
    for (sender, made) in senders.iter_mut().zip(&sockets) {
        let (first, last) = (number(made, "first"), number(made, "last"));
        sender.start(&format!("each {first} {last} {to} {EACH} 100"));
    }
    for sender in senders {
        sender.finish();
    }
    scene.server.finish();
    let last = ended(monitor);
    for pid in [scene.client.pid(), other.pid()] {
        assert_eq!(counters(last.process(pid)), datagrams(0, SOCKETS * EACH, DATAGRAM), "{:#}", last.0);
    }
    assert_eq!(counters(last.process(scene.server.pid())), datagrams(all, 0, DATAGRAM), "{:#}", last.0);
    assert_eq!(last.processes().len(), 3, "{:#}", last.0);
    for side in ["rx", "tx"] {
        let overflow = number(field(&last["ledger"], side), "overflow");
        assert!(overflow > 0 && overflow.is_multiple_of(DATAGRAM), "{side}: {overflow}");
    }
    assert!(says(&last, "some bytes have an owner but no flow: more than 64 flows"), "{:?}", last.degraded());
}

/// Whoever fills a half wakes monitor, however far the next tick is.
#[test]
#[ignore = "needs root and BPF"]
fn a_half_that_fills_up_does_not_wait_for_the_tick() {
    const SOCKETS: u64 = 400;
    let mut scene = Scene::new();
    let mut command = monitor::command_every("3600", scene.cgroup.path(), None);
    // Each datagram makes a row for either side: more than half of this, less than all.
    command.args(["--capacity", "1024"]);
    let monitor = Monitor::spawn(command);
    let (_, to) = scene.datagram_server(Version::V4);
    let from = scene.pair.a.address(Version::V4, 0);
    let source = scene.client.socket(&format!("datagram {from}"));
    let _counting = bpf::count_runs().expect("the kernel counts runs of programs");
    wait::until("monitor counts", || {
        scene.client.ask(&format!("send-to {} {to} 1 100", source.id));
        let held = bpf::held_by(monitor.pid());
        let ran = |name: &str| {
            held.iter().any(|(kind, id)| {
                let runs = |id| bpf::runs(id).is_ok_and(|runs| runs.name == name && runs.count > 0);
                *kind == bpf::Kind::Program && runs(*id)
            })
        };
        (ran("ingress") && ran("egress")).then_some(())
    });
    let held = bpf::held_by(monitor.pid());
    let mut maps = held.iter().filter(|(kind, _)| *kind == bpf::Kind::Map);
    let active = maps.find_map(|(_, id)| bpf::map_named(*id, "ACTIVE").expect("the map is there"));
    let active = active.expect("the map that says which half is active");
    assert_eq!(bpf::first_of(&active).expect("it has one element"), 0);
    let made = scene.client.ask(&format!("datagrams {SOCKETS} {from}"));
    let (first, last) = (number(&made, "first"), number(&made, "last"));
    scene.client.ask(&format!("each {first} {last} {to} 1 100"));
    wait::until("the half is drained", || {
        (bpf::first_of(&active).expect("it has one element") == 1).then_some(())
    });
    let last = ended(monitor);
    for side in ["rx", "tx"] {
        assert_eq!(number(field(&last["ledger"], side), "overflow"), 0, "{side}: {:#}", last.0);
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_second_monitor_counts_the_same() {
    const BYTES: u64 = 1 << 20;
    let mut scene = Scene::new();
    let monitors = [Monitor::start(&scene.cgroup), Monitor::start(&scene.cgroup)];
    let connection = scene.connect(Version::V4);
    scene.upload(connection, BYTES);
    scene.download(connection, BYTES);
    let lasts = monitors.map(ended);
    for last in &lasts {
        for end in [&scene.pair.a, &scene.pair.b] {
            as_the_stack_carried(last, &end.name, end.counters());
        }
        only(last, connection.client, scene.client.pid());
        only(last, connection.server, scene.server.pid());
    }
    assert_eq!(lasts[0].totals(), lasts[1].totals());
}

/// Attaches a program to the packets of a cgroup until it is dropped.
fn attached(program: &[u64], cgroup: &Cgroup, packets: Packets) -> OwnedFd {
    let program = load_packet_filter(program).expect("the kernel takes the program");
    attach_to_cgroup(&program, &open_cgroup(cgroup), packets).expect("attach to the cgroup")
}

fn open_cgroup(cgroup: &Cgroup) -> OwnedFd {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open(cgroup.path(), flags, Mode::empty()).expect("the cgroup")
}

/// M4: two modes of attaching do not mix at one hook, and the sentence did not say whose the other program is.
#[test]
#[ignore = "needs root and BPF"]
fn a_program_that_was_attached_for_itself_alone_is_named() {
    let scene = Scene::new();
    let outer = open_cgroup(&scene.cgroup);
    let inner = Cgroup::within(&scene.cgroup);
    let program = load_packet_filter(&PASS).expect("the kernel takes the program");
    bpf::attach_alone(&program, &outer, Packets::Sent).expect("attach for itself alone");
    let name = format!("program {}", bpf::id_of(&program).expect("its id"));
    for cgroup in [&scene.cgroup, &inner] {
        let report = Monitor::spawn(monitor::command(cgroup, None)).ended();
        assert_eq!(report.status.code(), Some(1), "{}", report.stderr);
        let said = &report.stderr;
        assert!(said.contains(&name) && said.contains("BPF_F_ALLOW_MULTI"), "{name}: {said}");
    }
    bpf::detach_alone(&outer, Packets::Sent).expect("detach it");
    // And the other way round, as docs/kernels.md has it.
    let monitor = Monitor::start(&scene.cgroup);
    let refused = bpf::attach_alone(&program, &outer, Packets::Sent).expect_err("monitor is there");
    assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
    bpf::attach_to_cgroup(&program, &outer, Packets::Sent).expect("a link is always one of several");
    monitor.stop();
    bpf::attach_alone(&program, &outer, Packets::Sent).expect("monitor has left nothing there");
}

/// M5: it went on, and said that nothing moves.
#[test]
#[ignore = "needs root and BPF"]
fn a_program_that_somebody_else_detached_is_said() {
    let scene = Scene::new();
    let mut monitor = Monitor::start(&scene.cgroup);
    for (packets, said) in [
        (Packets::Received, "what is received is not counted any more"),
        (Packets::Sent, "what is sent is not counted any more"),
    ] {
        assert!(!says(&monitor.next_object(), said));
        bpf::detach_link(bpf::link_to(monitor.pid(), packets)).expect("detach it");
        let object = monitor.next_object();
        assert!(says(&object, said), "{:?}", object.degraded());
    }
    monitor.stop();
}

/// SL11: sixty-four programs, and so as many monitors, fill a hook of a cgroup.
#[test]
#[ignore = "needs root and BPF"]
fn a_hook_that_is_full_or_crowded_is_said() {
    const PLACES: usize = 64;
    let scene = Scene::new();
    let mut others: Vec<OwnedFd> =
        (0..PLACES / 2).map(|_| attached(&PASS, &scene.cgroup, Packets::Sent)).collect();
    let said = Monitor::start(&scene.cgroup).stop().last().degraded();
    assert!(said.iter().any(|said| said.contains("33 of the 64 places")), "{said:?}");
    others.extend((0..PLACES / 2).map(|_| attached(&PASS, &scene.cgroup, Packets::Sent)));
    let report = Monitor::spawn(monitor::command(&scene.cgroup, None)).ended();
    assert_eq!(report.status.code(), Some(1), "{}", report.stderr);
    assert!(report.stderr.contains("all 64 places"), "{}", report.stderr);
}

#[test]
#[ignore = "needs root and BPF"]
fn programs_of_others_on_the_same_cgroup_change_nothing() {
    let mut scene = Scene::new();
    let both =
        |cgroup: &Cgroup| [Packets::Received, Packets::Sent].map(|packets| attached(&PASS, cgroup, packets));
    let before = both(&scene.cgroup);
    let monitor = Monitor::start(&scene.cgroup);
    let after = both(&scene.cgroup);
    let connection = scene.connect(Version::V4);
    scene.upload(connection, 1 << 20);
    drop(before);
    scene.download(connection, 1 << 20);
    drop(after);
    let last = ended(monitor);
    for end in [&scene.pair.a, &scene.pair.b] {
        as_the_stack_carried(&last, &end.name, end.counters());
    }
    only(&last, connection.client, scene.client.pid());
    only(&last, connection.server, scene.server.pid());
}

/// All programs of a hook run, whatever the others say: what another one drops on the way in did come in.
#[test]
#[ignore = "needs root and BPF"]
fn what_another_program_drops_on_the_way_in_is_counted() {
    const COUNT: u64 = 3;
    let mut scene = Scene::new();
    let firewalled = Cgroup::within(&scene.cgroup);
    let mut server = Agent::spawn(&firewalled, &scene.pair.b.netns, "firewalled");
    let monitor = Monitor::start(&scene.cgroup);
    let sink = server.socket(&format!("datagram {}", scene.pair.b.address(Version::V4, 0)));
    let to = scene.pair.b.address(Version::V4, sink.port);
    let source = scene.client.socket(&format!("datagram {}", scene.pair.a.address(Version::V4, 0)));
    let firewall = attached(&DROP, &firewalled, Packets::Received);
    scene.client.ask(&format!("send-to {} {to} {COUNT} 100", source.id));
    wait::until("all have come in", || (scene.pair.b.counters().rx_packets == COUNT).then_some(()));
    drop(firewall);
    scene.client.ask(&format!("send-to {} {to} 1 50", source.id));
    let received = server.ask(&format!("receive-from {} 1", sink.id));
    assert_eq!(number(&received, "bytes"), 50, "the others were dropped");
    let last = ended(monitor);
    let seen = only(&last, sink, server.pid());
    assert_eq!((seen.rx_packets, seen.rx_bytes), (COUNT + 1, COUNT * DATAGRAM + 78), "{:#}", last.0);
    as_the_stack_carried(&last, &scene.pair.b.name, scene.pair.b.counters());
    // Before the cgroup that it is in.
    drop(server);
}

/// On the way out it was the sender's, too, but no device carried it: the ledger has a line for that.
#[test]
#[ignore = "needs root and BPF"]
fn what_another_program_drops_on_the_way_out_is_a_line_of_the_ledger() {
    const COUNT: u64 = 3;
    let mut scene = Scene::new();
    let end = scene.pair.a.clone();
    let monitor = Monitor::counting(command_on(&end.name, &end.netns));
    let (_, to) = scene.datagram_server(Version::V4);
    let source = scene.client.socket(&format!("datagram {}", end.address(Version::V4, 0)));
    let firewall = attached(&DROP, &scene.cgroup, Packets::Sent);
    for _ in 0..COUNT {
        let why = scene.client.refused(&format!("send-to {} {to} 1 100", source.id));
        assert!(why.contains("not permitted"), "{why}");
    }
    drop(firewall);
    let last = ended(monitor);
    assert_eq!(only(&last, source, scene.client.pid()), datagrams(0, COUNT, DATAGRAM));
    let interfaces = field(&last["ledger"], "interfaces").as_array().expect("a list");
    let own = interfaces.iter().find(|interface| field(interface, "name") == end.name.as_str());
    let sent = field(own.expect("the ledger of the interface"), "tx");
    let bytes = COUNT * (DATAGRAM + ETHERNET);
    for (line, expected) in [("device", 0), ("attributed", bytes), ("dropped", bytes), ("remainder", 0)] {
        assert_eq!(number(sent, line), expected, "{line}: {sent:#}");
    }
}

/// A cgroup can only be removed when nobody is in it any more, but sockets of the dead may still be sending.
#[test]
#[ignore = "needs root and BPF"]
fn a_cgroup_that_is_removed_is_said_and_what_it_left_behind_is_counted() {
    let (pair, doomed, other) = (Pair::new(), Cgroup::new(), Cgroup::new());
    let mut client = Agent::spawn(&doomed, &pair.a.netns, "client");
    let mut server = Agent::spawn(&other, &pair.b.netns, "server");
    let pid = client.pid();
    let mut monitor = Monitor::start(&doomed);
    let connection = connect(&mut client, &mut server, pair.b.address(Version::V4, 0));
    let sent = number(&client.ask(&format!("fill {}", connection.client.id)), "sent");
    assert!(!says(&monitor.next_object(), "was removed"));
    let before = pair.a.counters();
    client.exit();
    drop(doomed);
    let said = monitor.next_object();
    assert!(says(&said, "the cgroup that --cgroup names was removed"), "{:?}", said.degraded());
    let received = server.ask(&format!("drain {}", connection.server.id));
    assert_eq!(number(&received, "received"), sent);
    wait::until("the end is acknowledged", || {
        let sockets =
            pair.a.netns.run(|| fs::read_to_string("/proc/thread-self/net/tcp")).expect("the sockets");
        let waits = |line: &str| matches!(line.split_whitespace().nth(3), Some("01" | "04"));
        (!sockets.lines().any(waits)).then_some(())
    });
    let last = ended(monitor);
    let (seen, device) = (only(&last, connection.client, pid), pair.a.counters());
    assert!(device.tx_bytes > before.tx_bytes, "nothing was left to send");
    assert_eq!(seen.tx_skb_bytes + ETHERNET * seen.tx_skbs, device.tx_bytes, "{:#}", last.0);
    assert_eq!(seen.rx_skb_bytes + ETHERNET * seen.rx_skbs, device.rx_bytes, "{:#}", last.0);
}

/// Connections come and go while programs are attached one after the other and older sockets are looked for: a socket is
/// found by one or by the other, and is nobody's but its own process's.
#[test]
#[ignore = "needs root and BPF"]
fn connections_made_while_the_monitor_starts_are_nobody_elses() {
    const BYTES: u64 = 5_000;
    let mut scene = Scene::new();
    let (client, server) = (scene.client.pid(), scene.server.pid());
    let (a, b, cgroup) =
        (scene.pair.a.name.clone(), scene.pair.b.name.clone(), scene.cgroup.path().to_owned());
    let (count, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let traffic = |scene: &mut Scene| {
        let listener = scene.server.listen(scene.pair.b.address(Version::V4, 0));
        let to = scene.pair.b.address(Version::V4, listener.port);
        while !stop.load(Ordering::Relaxed) {
            let new = reconnect(&mut scene.client, &mut scene.server, to, listener);
            transfer((&mut scene.client, new.client), (&mut scene.server, new.server), BYTES);
            scene.client.ask(&format!("reset {}", new.client.id));
            scene.server.ask(&format!("close {}", new.server.id));
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        let running = scope.spawn(|| traffic(&mut scene));
        let stop = StopOnDrop(&stop);
        for _ in 0..5 {
            let before = count.load(Ordering::Relaxed);
            let mut monitor = Monitor::counting(monitor::command_every("0.2", &cgroup, None));
            monitor.next_object();
            assert!(count.load(Ordering::Relaxed) > before, "no connection was made meanwhile");
            let last = ended(monitor);
            for (interface, pid) in [(&a, client), (&b, server)] {
                let flows = last.flows_on(interface);
                assert!(sum(flows.iter().copied()).tx_packets > 0, "{:#}", last.0);
                for flow in flows {
                    // What was accepted and used before the first program saw a call, and closed before the older
                    // sockets were looked for, is known by its listener only, and says so. What has only just come in
                    // may still wait for its owner.
                    let own = field(flow, "pid") == pid && ["exact", "inherited"].contains(&confidence(flow));
                    assert!(own || confidence(flow) == "pending", "not of {pid}: {flow}");
                }
            }
        }
        drop(stop);
        running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}
