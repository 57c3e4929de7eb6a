//! What docs/limits.md says cannot be exact, seen on real sockets: the sums are right, and what they mean is as said.

use monitor_tests::{
    accounts::{as_the_stack_carried, balance, datagrams},
    json::{field, number, sum},
    monitor::Monitor,
    stage::{Stage, datagrams_at, only, rows_of},
    veth::Version,
};
use std::{collections::BTreeSet, fs, net::SocketAddr};

/// Payload and IP bytes of a datagram.
const LENGTH: u64 = 1_000;
const DATAGRAM: u64 = LENGTH + 28;

/// What the receiving sockets of UDP in the server's namespace dropped, by the kernel's own count (/proc/net/udp).
fn dropped(stage: &Stage, port: u16) -> u64 {
    let local = format!(":{port:04X}");
    let table = stage.pair.b.netns.run(|| fs::read_to_string("/proc/thread-self/net/udp"));
    let table = table.expect("the table of sockets");
    let row =
        table.lines().find(|line| line.split_whitespace().nth(1).is_some_and(|end| end.ends_with(&local)));
    let drops = row.and_then(|row| row.split_whitespace().last()).expect("the socket and its drops");
    drops.parse().expect("a number")
}

/// The hook on the way in comes before the socket's buffer: what finds no room there was counted.
#[test]
#[ignore = "needs root and BPF"]
fn what_a_full_receive_buffer_drops_counts_as_received() {
    const SENT: u64 = 200;
    let mut stage = Stage::new();
    let monitor = Monitor::start(&stage.cgroup);
    let (sink, to) = stage.sink(Version::V4);
    let small = format!("option {} {} {} 1", sink.id, libc::SOL_SOCKET, libc::SO_RCVBUF);
    stage.server.ask(&small);
    let (source, _) = datagrams_at(&mut stage.client, stage.pair.a.address(Version::V4, 0));
    stage.client.ask(&format!("send {} {SENT} {LENGTH} {to}", source.id));
    let dropped = dropped(&stage, to.port());
    assert!(dropped > SENT / 2, "the buffer took {} of {SENT}", SENT - dropped);
    stage.server.ask(&format!("take-in {} {}", sink.id, SENT - dropped));
    let report = monitor.stop();
    balance(&report);
    let last = report.last();
    as_the_stack_carried(last, &stage.pair.b.name, stage.pair.b.counters());
    assert_eq!(only(last, sink, stage.server.pid()), datagrams(SENT, 0, DATAGRAM), "{:#}", last.0);
}

/// An unconnected socket has no peer to be told from, so its ends are those of the packet: what is sent is seen behind the
/// translation and what comes back before it is undone or after, as the hooks lie. The bytes are its process's.
#[test]
#[ignore = "needs root, BPF and nftables"]
fn an_unconnected_socket_behind_nat_has_the_packets_ends() {
    const EACH: u64 = 5;
    let mut stage = Stage::new();
    let (sink, real) = stage.sink(Version::V4);
    let believed: SocketAddr = SocketAddr::new([10, 99, 0, 1].into(), real.port());
    stage.pair.a.netns.ip(&format!("route add 10.99.0.1/32 dev {}", stage.pair.a.name));
    let rules = format!(
        "table ip nat {{\nchain output {{\ntype nat hook output priority -100;\nip daddr 10.99.0.1 dnat to {};\n}}\n}}\n",
        real.ip()
    );
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), rules).expect("write the rules");
    stage.pair.a.netns.system("nft", &format!("-f {}", file.path().display()));
    let monitor = Monitor::start(&stage.cgroup);
    let (source, from) = datagrams_at(&mut stage.client, stage.pair.a.address(Version::V4, 0));
    stage.client.ask(&format!("send {} {EACH} {LENGTH} {believed}", source.id));
    stage.server.ask(&format!("take-in {} {EACH} named", sink.id));
    stage.server.ask(&format!("send {} {EACH} {LENGTH} {from}", sink.id));
    stage.client.ask(&format!("take-in {} {EACH} named", source.id));
    let report = monitor.stop();
    balance(&report);
    let last = report.last();
    as_the_stack_carried(last, &stage.pair.a.name, stage.pair.a.counters());
    let rows = rows_of(last, source);
    assert_eq!(sum(rows.iter().copied()), datagrams(EACH, EACH, DATAGRAM), "{:#}", last.0);
    assert!(rows.iter().all(|row| field(row, "pid") == stage.client.pid()), "{:#}", last.0);
    let remotes: BTreeSet<_> = rows.iter().map(|row| remote(row)).collect();
    assert_eq!(remotes, BTreeSet::from([real, believed]), "{:#}", last.0);
    only(last, sink, stage.server.pid());
}

fn remote(row: &serde_json::Value) -> SocketAddr {
    let end = field(row, "remote");
    let address = field(end, "addr").as_str().expect("an address").parse().expect("an address");
    SocketAddr::new(address, u16::try_from(number(end, "port")).expect("a port"))
}
