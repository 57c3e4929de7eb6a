//! Threads that share one unconnected UDP socket: what `monitor` costs them. While programs are attached that name a
//! datagram's address, the kernel locks the socket for each (include/linux/bpf-cgroup.h).

use crate::{
    Pace,
    sample::{Samples, mean},
};
use monitor_tests::{monitor::Monitor, netns::Netns, program};
use rustix::time::{ClockId, clock_gettime};
use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::UdpSocket,
    process::Command,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

const THREADS: [usize; 3] = [1, 4, 16];
const PAYLOAD: [u8; 64] = [b'x'; 64];

/// What runs beside the traffic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Beside {
    Nothing,
    Monitor,
    WithoutSendmsg,
    /// Where `sock_recv_length` does not tell who receives, so that `recvmsg4` has to.
    WithRecvmsg,
}

impl Beside {
    fn start(self) -> Option<Monitor> {
        let mut command = Command::new(program::monitor());
        command.args(["--json", "--no-dns", "--lines", "1"]);
        match self {
            Self::Nothing => return None,
            Self::Monitor => {}
            Self::WithoutSendmsg => {
                command.arg("--no-sendmsg-claims");
            }
            Self::WithRecvmsg => {
                command.args(["--refuse", "sock_recv_length"]);
            }
        }
        Some(Monitor::counting(command))
    }
}

/// Calls a second, and the CPU time of one: waiting for a lock is in the first, and other work on the machine not in the
/// second.
#[derive(Clone, Copy)]
struct Rates {
    sent: f64,
    received: f64,
    nanoseconds: f64,
}

/// CPU time of this process, all its threads.
fn cpu() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

/// So many threads send from one socket, and as many receive from the other.
fn traffic(netns: &Netns, threads: usize, time: Duration) -> Rates {
    let [from, to] = netns.run(|| [0, 1].map(|_| UdpSocket::bind("127.0.0.1:0").expect("a socket")));
    to.set_read_timeout(Some(Duration::from_millis(20))).expect("a time limit");
    let address = to.local_addr().expect("an address");
    let (over, sent, received) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let (begin, cpu_before) = (Instant::now(), cpu());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    from.send_to(&PAYLOAD, address).expect("send");
                    sent.fetch_add(1, Relaxed);
                }
            });
            scope.spawn(|| {
                let mut buffer = [0; 128];
                while !over.load(Relaxed) {
                    match to.recv_from(&mut buffer) {
                        Ok(_) => _ = received.fetch_add(1, Relaxed),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "receive"),
                    }
                }
            });
        }
        thread::sleep(time);
        over.store(true, Relaxed);
    });
    let (seconds, cpu_time) = (begin.elapsed().as_secs_f64(), cpu() - cpu_before);
    let (sent, received) = (sent.into_inner() as f64, received.into_inner() as f64);
    Rates { sent: sent / seconds, received: received / seconds, nanoseconds: cpu_time / (sent + received) }
}

pub(crate) fn run(pace: Pace, samples: &mut Samples) {
    use Beside::{Monitor, Nothing, WithRecvmsg, WithoutSendmsg};
    let netns = Netns::new();
    let time = pace.milliseconds(600);
    let mut seen: BTreeMap<(usize, Beside), Vec<Rates>> = BTreeMap::new();
    let all = [Nothing, Monitor, WithoutSendmsg, WithRecvmsg];
    for beside in pace.in_turn(&all).into_iter().chain(pace.in_turn(&all).into_iter().rev()) {
        let monitor = beside.start();
        for threads in THREADS {
            seen.entry((threads, beside)).or_default().push(traffic(&netns, threads, time));
        }
        drop(monitor);
    }
    for threads in THREADS {
        for (what, unit, rate) in [
            ("sendto", "k/s", (|rates| rates.sent / 1e3) as fn(&Rates) -> f64),
            ("recvfrom", "k/s", |rates| rates.received / 1e3),
            ("CPU time of a call", "ns", |rates| rates.nanoseconds),
        ] {
            let of = |beside| {
                let all: Vec<f64> = seen.get(&(threads, beside)).into_iter().flatten().map(rate).collect();
                mean(&all)
            };
            for (beside, name) in [
                (Monitor, "monitor"),
                (WithoutSendmsg, "--no-sendmsg-claims"),
                (WithRecvmsg, "with recvmsg4, as below Linux 6.3"),
            ] {
                let what = format!("{what}, one socket, {threads} threads each way, {name}");
                samples.add(what, unit, of(beside)).baseline(of(Nothing));
            }
        }
    }
}
