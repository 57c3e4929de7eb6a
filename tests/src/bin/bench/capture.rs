//! Frames of 64 bytes at 200,000 a second past a capture: what finds no room in the buffer that libpcap would take by
//! itself, and in ours.

use crate::{Pace, sample::Samples};
use monitor_tests::{
    frames::{frame, stream, udp_packet},
    json::{field, number},
    monitor::{Monitor, command_on},
    veth::Pair,
};
use std::time::Instant;

/// Frames a second.
const RATE: u32 = 200_000;
/// Ports that they come from, each a flow.
const FLOWS: u16 = 1_000;
/// Buffers: `--buffer-size`, and whose it is. libpcap's own is 2 MiB on Linux.
const BUFFERS: [(&str, &str); 2] = [("2M", "libpcap's buffer"), ("64M", "monitor's buffer")];

pub(crate) fn run(pace: Pace, samples: &mut Samples) {
    let pair = Pair::new();
    // Not to this host, so that nothing but the capture takes them.
    let to = [2, 0, 0, 0x77, 0, 0xfe];
    let packet = |port| udp_packet((pair.a.v4, port), (pair.b.v4, 9), 22);
    let of_port = |port| frame(to, &[&[8, 0][..], &packet(port)].concat());
    let frames: Vec<Vec<u8>> = (10_000..10_000 + FLOWS).map(of_port).collect();
    for (size, whose) in BUFFERS {
        let mut command = command_on(&pair.b.name, &pair.b.netns);
        command.args(["--backend", "pcap", "-p", "--buffer-size", size]);
        let monitor = Monitor::counting(command);
        let begun = Instant::now();
        let sent = stream(&pair.a, &frames, RATE, pace.milliseconds(5_000));
        let rate = sent as f64 / begun.elapsed().as_secs_f64();
        let report = monitor.stop();
        let interfaces = field(&report.last()["ledger"], "interfaces");
        let capture = field(&interfaces[0], "capture");
        let [received, dropped] = ["received", "dropped"].map(|name| number(capture, name));
        samples.add(format!("{whose}: frames sent"), "k/s", rate / 1e3);
        samples
            .add(format!("{whose}: frames captured"), "", (received - dropped) as f64)
            .baseline(sent as f64);
        samples.add(format!("{whose}: dropped"), "%", 100.0 * dropped as f64 / sent as f64);
    }
}
