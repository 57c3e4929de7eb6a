//! Whose bytes they are, whatever system call moved them. In each test the socket is made by one process and used by its
//! child, so that a call that no hook sees would leave its bytes with the wrong one.

use monitor_tests::{
    accounts::{as_the_stack_carried, balance, datagrams},
    agent::Socket,
    json::{Object, counters, sum},
    monitor::Monitor,
    stage::{Child, Stage, connected, datagrams_at, fork, nobody_else, only, rows_of},
    veth::{ETHERNET, Version},
};

const BYTES: u64 = 400_000;

/// A connection made by the client and used by its child, accepted by the server's child without asking who calls.
struct Line {
    stage: Stage,
    monitor: Monitor,
    /// The child of the client, and its socket, which the client made.
    sender: Child,
    out: Socket,
    /// The child of the server, and the socket that it accepted.
    receiver: Child,
    into: Socket,
}

impl Line {
    fn new() -> Self {
        let mut stage = Stage::new();
        let monitor = Monitor::start(&stage.cgroup);
        let (listener, to) = stage.listener(Version::V4);
        let receiver = fork(&mut stage.server, "receiver");
        let out = connected(&mut stage.client, to, 0);
        let sender = fork(&mut stage.client, "sender");
        let into = stage.server.socket(&format!("child {} accept {} silent", receiver.id, listener.id));
        Self { stage, monitor, sender, out, receiver, into }
    }

    /// The child of the client sends by `out`, the child of the server receives by `into`. Everything but the handshake
    /// is the children's; the handshake of the client's end is its maker's.
    fn check(mut self, out: &str, into: &str) -> Object {
        let made = self.stage.pair.a.counters();
        self.stage.server.start(&format!("child {} {into}", self.receiver.id));
        self.stage.client.ask(&format!("child {} {out}", self.sender.id));
        self.stage.server.finish();
        self.stage.client.ask(&format!("child {} acknowledged {}", self.sender.id, self.out.id));
        let report = self.monitor.stop();
        balance(&report);
        let (last, stage) = (report.last(), &self.stage);
        for end in [&stage.pair.a, &stage.pair.b] {
            as_the_stack_carried(last, &end.name, end.counters());
        }
        let maker = sum(last.flows_of(stage.client.pid()));
        assert_eq!(maker.tx_skb_bytes + ETHERNET * maker.tx_skbs, made.tx_bytes, "{:#}", last.0);
        assert_eq!(maker.rx_skb_bytes + ETHERNET * maker.rx_skbs, made.rx_bytes, "{:#}", last.0);
        assert!(sum(last.flows_of(self.sender.pid)).tx_skb_bytes > BYTES, "{:#}", last.0);
        nobody_else(last, &stage.pair.a.name, &[stage.client.pid(), self.sender.pid]);
        assert!(only(last, self.into, self.receiver.pid).rx_skb_bytes > BYTES);
        nobody_else(last, &stage.pair.b.name, &[self.receiver.pid]);
        last.clone()
    }
}

/// Steps with the number of the socket and of bytes put in.
fn tcp(out: &str, into: &str) {
    let line = Line::new();
    let (from, to) = (line.out.id, line.into.id);
    let out = out.replace("FD", &from.to_string());
    let into = into.replace("FD", &to.to_string());
    line.check(&out, &into);
}

#[test]
#[ignore = "needs root and BPF"]
fn sendfile() {
    tcp(&format!("sendfile FD {BYTES}"), &format!("receive FD {BYTES}"));
}

#[test]
#[ignore = "needs root and BPF"]
fn splice_out_of_a_pipe() {
    tcp(&format!("splice-out FD {BYTES}"), &format!("receive FD {BYTES}"));
}

#[test]
#[ignore = "needs root and BPF"]
fn splice_into_a_pipe() {
    tcp("send FD 40 10000", &format!("splice-in FD {BYTES}"));
}

#[test]
#[ignore = "needs root and BPF"]
fn zero_copy() {
    tcp(&format!("zerocopy FD {BYTES} 50000"), &format!("receive FD {BYTES}"));
}

#[test]
#[ignore = "needs root, BPF and io_uring"]
fn io_uring_send() {
    tcp("uring-send FD 40 10000", &format!("receive FD {BYTES}"));
}

#[test]
#[ignore = "needs root, BPF and io_uring"]
fn io_uring_receive() {
    tcp("send FD 40 10000", &format!("uring-receive FD {BYTES}"));
}

#[test]
#[ignore = "needs root, BPF and io_uring"]
fn io_uring_send_by_the_polling_thread() {
    tcp("uring-polled-send FD 40 10000", &format!("receive FD {BYTES}"));
}

#[test]
#[ignore = "needs root, BPF and io_uring"]
fn io_uring_receive_by_the_polling_thread() {
    tcp("send FD 40 10000", &format!("uring-polled-receive FD {BYTES}"));
}

/// A connected UDP socket made by the client and used by its child; one bound by the server and used by its child.
fn udp(version: Version, out: &str, into: &str) -> (Object, Stage, [Child; 2], [Socket; 2]) {
    let mut stage = Stage::new();
    let monitor = Monitor::start(&stage.cgroup);
    let (sink, to) = stage.sink(version);
    let (source, _) = datagrams_at(&mut stage.client, stage.pair.a.address(version, 0));
    stage.client.ask(&format!("connect {} {to}", source.id));
    let (sender, receiver) = (fork(&mut stage.client, "sender"), fork(&mut stage.server, "receiver"));
    let into = into.replace("FD", &sink.id.to_string());
    stage.server.start(&format!("child {} {into}", receiver.id));
    for out in out.split(';') {
        let out = out.replace("FD", &source.id.to_string());
        stage.client.ask(&format!("child {} {out}", sender.id));
    }
    stage.server.finish();
    let report = monitor.stop();
    balance(&report);
    let last = report.last().clone();
    as_the_stack_carried(&last, &stage.pair.a.name, stage.pair.a.counters());
    (last, stage, [sender, receiver], [source, sink])
}

fn many_at_once(version: Version, out: &str, into: &str) {
    const COUNT: u64 = 60;
    const LENGTH: u64 = 700;
    let (last, stage, [sender, receiver], [source, sink]) = udp(version, out, into);
    let bytes = LENGTH + version.udp_headers();
    assert_eq!(only(&last, source, sender.pid), datagrams(0, COUNT, bytes));
    assert_eq!(only(&last, sink, receiver.pid), datagrams(COUNT, 0, bytes));
    assert_eq!(last.processes().len(), 2, "{:#}", last.0);
    as_the_stack_carried(&last, &stage.pair.b.name, stage.pair.b.counters());
}

#[test]
#[ignore = "needs root and BPF"]
fn sendmmsg_and_recvmmsg() {
    many_at_once(Version::V4, "sendmmsg FD 60 700", "recvmmsg FD 60");
    many_at_once(Version::V6, "sendmmsg FD 60 700", "recvmmsg FD 60");
}

#[test]
#[ignore = "needs root and BPF"]
fn datagrams_received_without_asking_where_from() {
    many_at_once(Version::V4, "send FD 60 700", "take-in FD 60");
}

#[test]
#[ignore = "needs root, BPF and io_uring"]
fn io_uring_datagrams() {
    many_at_once(Version::V4, "uring-send FD 60 700", "uring-receive FD 42000");
}

#[test]
#[ignore = "needs root and BPF"]
fn udp_segmentation() {
    /// SOL_UDP, UDP_SEGMENT.
    const SEGMENT: &str = "option FD 17 103 1000;send FD 3 20000";
    let (last, stage, [sender, receiver], [source, sink]) = udp(Version::V4, SEGMENT, "take-in FD 60");
    let sent = only(&last, source, sender.pid);
    // Three super-packets of twenty segments each. veth hands them over whole and counts them so; the receiver's socket
    // has no UDP_GRO, so the stack takes them apart before it.
    assert_eq!((sent.tx_skbs, sent.tx_skb_bytes), (3, 3 * 20028), "{sent:?}");
    assert_eq!((sent.tx_packets, sent.tx_bytes), (60, 60 * 1028), "{sent:?}");
    let at_sink = only(&last, sink, receiver.pid);
    assert_eq!((at_sink.rx_packets, at_sink.rx_bytes), (60, 60 * 1028), "{at_sink:?}");
    for (end, socket) in [(&stage.pair.a, source), (&stage.pair.b, sink)] {
        let on_the_end = last.flows_on(&end.name);
        assert_eq!(on_the_end, rows_of(&last, socket), "{:#}", last.0);
        assert_eq!(counters(on_the_end[0]), sum(on_the_end), "{:#}", last.0);
    }
}
