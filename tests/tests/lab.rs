//! The lab itself: its witnesses must be silent and exact before they can say anything about `monitor`.

use monitor_tests::{
    agent::{Agent, connect, transfer},
    bpf::{self, Kind},
    capture::WireMeter,
    cgroup::Cgroup,
    json::number,
    netns::{DeviceCounters, Netns},
    terminal::Terminal,
    tun::Tun,
    veth::{ETHERNET, Pair, Version},
    wait,
};
use std::{
    net::SocketAddr,
    process,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The tests that make a wire meter, one at a time: one of them looks for all that this process has.
static METERS: Mutex<()> = Mutex::new(());

/// Longer than MLD reports, duplicate address detection and router solicitations take to appear.
const QUIET: Duration = Duration::from_secs(3);

#[test]
#[ignore = "needs root"]
fn a_pair_is_silent_from_its_first_moment() {
    let pair = Pair::new();
    let deadline = Instant::now() + QUIET;
    wait::until("the pair stays silent", || {
        for end in [&pair.a, &pair.b] {
            assert_eq!(end.counters(), DeviceCounters::default(), "{}", end.name);
        }
        (Instant::now() > deadline).then_some(())
    });
}

fn datagrams_are_counted_exactly(version: Version) {
    const COUNT: u64 = 1000;
    const LENGTH: u64 = 64;
    let (pair, cgroup) = (Pair::new(), Cgroup::new());
    let mut client = Agent::spawn(&cgroup, &pair.a.netns, "client");
    let mut server = Agent::spawn(&cgroup, &pair.b.netns, "server");
    let socket = server.socket(&format!("datagram {}", pair.b.address(version, 0)));
    server.start(&format!("receive-from {} {COUNT}", socket.id));
    let source = client.socket(&format!("datagram {}", pair.a.address(version, 0)));
    client.ask(&format!("send-to {} {} {COUNT} {LENGTH}", source.id, pair.b.address(version, socket.port)));
    server.finish();
    let bytes = COUNT * (LENGTH + version.udp_headers() + ETHERNET);
    let sent = DeviceCounters { tx_bytes: bytes, tx_packets: COUNT, ..DeviceCounters::default() };
    let received = DeviceCounters { rx_bytes: bytes, rx_packets: COUNT, ..DeviceCounters::default() };
    assert_eq!((pair.a.counters(), pair.b.counters()), (sent, received));
}

#[test]
#[ignore = "needs root"]
fn datagrams_over_ipv4_are_counted_exactly() {
    datagrams_are_counted_exactly(Version::V4);
}

#[test]
#[ignore = "needs root"]
fn datagrams_over_ipv6_are_counted_exactly() {
    datagrams_are_counted_exactly(Version::V6);
}

#[test]
#[ignore = "needs root"]
fn a_transfer_is_over_when_it_is_acknowledged() {
    const BYTES: u64 = 20 << 20;
    let cgroup = Cgroup::new();
    for pair in [Pair::new(), Pair::new().without_offloads()] {
        let mut client = Agent::spawn(&cgroup, &pair.a.netns, "client");
        let mut server = Agent::spawn(&cgroup, &pair.b.netns, "server");
        let connection = connect(&mut client, &mut server, pair.b.address(Version::V6, 0));
        transfer((&mut client, connection.client), (&mut server, connection.server), BYTES);
        let over = (pair.a.counters(), pair.b.counters());
        assert!(over.0.tx_bytes > BYTES, "{over:?}");
        assert_eq!((over.0.tx_bytes, over.0.tx_packets), (over.1.rx_bytes, over.1.rx_packets), "{over:?}");
        let deadline = Instant::now() + Duration::from_millis(500);
        wait::until("nothing more moves", || {
            assert_eq!((pair.a.counters(), pair.b.counters()), over);
            (Instant::now() > deadline).then_some(())
        });
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn the_wire_meter_agrees_with_a_device_without_offloads() {
    const BYTES: u64 = 5 << 20;
    let _alone = METERS.lock().unwrap_or_else(PoisonError::into_inner);
    let (pair, cgroup) = (Pair::new().without_offloads(), Cgroup::new());
    let meters = [WireMeter::attach(&pair.a), WireMeter::attach(&pair.b)];
    let mut client = Agent::spawn(&cgroup, &pair.a.netns, "client");
    let mut server = Agent::spawn(&cgroup, &pair.b.netns, "server");
    let connection = connect(&mut client, &mut server, pair.b.address(Version::V4, 0));
    transfer((&mut client, connection.client), (&mut server, connection.server), BYTES);
    for (end, meter) in [&pair.a, &pair.b].into_iter().zip(meters) {
        let counters = end.counters();
        assert_eq!(meter.read(), (counters.tx_bytes, counters.tx_packets), "{}", end.name);
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn what_a_process_holds_in_the_kernel_is_found_and_found_gone() {
    let _alone = METERS.lock().unwrap_or_else(PoisonError::into_inner);
    let pair = Pair::new();
    let meter = WireMeter::attach(&pair.a);
    let held = bpf::held_by(process::id());
    let kinds: Vec<Kind> = held.iter().map(|&(kind, _)| kind).collect();
    assert_eq!(kinds, [Kind::Program, Kind::Map, Kind::Link]);
    assert!(held.iter().all(|&id| bpf::exists(id)));
    drop(meter);
    wait::until("all of it is gone", || held.iter().all(|&id| !bpf::exists(id)).then_some(()));
}

#[test]
#[ignore = "needs root and tun"]
fn a_super_packet_from_a_tun_arrives_whole() {
    let (netns, cgroup) = (Netns::new(), Cgroup::new());
    let tun = Tun::new(&netns, "mtun", "10.78.0.1/24", "fd78::1/64");
    let mut server = Agent::spawn(&cgroup, &netns, "server");
    for (from, to) in [("10.78.0.2:9", "10.78.0.1:0"), ("[fd78::2]:9", "[fd78::1]:0")] {
        let mut to: SocketAddr = to.parse().expect("an address");
        let socket = server.socket(&format!("datagram {to}"));
        to.set_port(socket.port);
        server.ask(&format!("coalesce {}", socket.id));
        server.start(&format!("receive-from {} 1", socket.id));
        tun.send_udp(from.parse().expect("an address"), to, 5000, 1000);
        assert_eq!(number(&server.finish(), "bytes"), 5000);
    }
}

#[test]
fn a_terminal_tells_how_its_program_ended() {
    let terminal = Terminal::open(80, 24, &["sh", "-c", "echo said; exit 3"], &[]);
    let (code, said) = terminal.ended_sane();
    assert_eq!((code, said.trim()), (3, "said"));
}

#[test]
#[should_panic(expected = "the terminal lost")]
fn a_terminal_tells_when_its_program_left_it_raw() {
    Terminal::open(80, 24, &["stty", "-icanon", "-echo"], &[]).ended_sane();
}

#[test]
#[should_panic(expected = "the alternate screen is still on")]
fn a_terminal_tells_when_its_program_left_it_on_the_other_screen() {
    Terminal::open(80, 24, &["printf", "\\033[?1049h"], &[]).ended_sane();
}
