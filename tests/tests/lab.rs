//! The lab itself: its witnesses must be silent and exact before they can say anything about `monitor`.

use monitor_tests::{
    agent::{Agent, connect, transfer},
    cgroup::Cgroup,
    netns::DeviceCounters,
    veth::{ETHERNET, Pair, Version},
    wait,
};
use std::time::{Duration, Instant};

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
