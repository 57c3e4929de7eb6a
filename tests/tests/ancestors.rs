//! Options of iftop and iftoprs, as a script gives them: mostly over a file of packets, whose numbers are known. What
//! became of each option is in docs/from-iftop.md.

use monitor_tests::{frames::udp_packet, program, scene::Loopback};
use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr},
    process::{Command, Output},
};
use tempfile::TempDir;

/// What ends a picture.
const RULE: &str = "====";

/// Runs `monitor`; gives its exit code, what it printed and what it said.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(program::monitor()).args(arguments).output().expect("run monitor");
    let Output { status, stdout, stderr } = output;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output in UTF-8");
    (status.code(), text(stdout), text(stderr))
}

/// A pcap file of IP packets, each at a time in milliseconds.
struct Recording {
    path: String,
    _directory: TempDir,
}

impl Recording {
    fn new(mut packets: Vec<(u32, Vec<u8>)>) -> Self {
        packets.sort_by_key(|(at, _)| *at);
        let mut file = Vec::new();
        for word in [0xa1b2_c3d4_u32, 2 | 4 << 16, 0, 0, 65_535, 101] {
            file.extend(word.to_le_bytes());
        }
        for (at, packet) in packets {
            let length = u32::try_from(packet.len()).expect("a short packet");
            for word in [1_700_000_000 + at / 1000, at % 1000 * 1000, length, length] {
                file.extend(word.to_le_bytes());
            }
            file.extend(packet);
        }
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        fs::write(&path, file).expect("write a file");
        Self { path: path.to_str().expect("a path in UTF-8").to_owned(), _directory: directory }
    }

    /// Three flows over fifty seconds: one moved much long ago, one some in the last ten seconds, one little just now.
    fn of_three() -> Self {
        let flow = |from: u8, to: u8, count: u32, begin: u32| {
            let ends = [[10, 0, 0, from], [192, 0, 2, to]].map(Ipv4Addr::from);
            (0..count)
                .map(move |number| (begin + number * 40, udp_packet((ends[0], 5000), (ends[1], 53), 972)))
        };
        let first = flow(9, 9, 1, 0);
        Self::new(
            first
                .chain(flow(1, 3, 100, 15_000))
                .chain(flow(2, 2, 50, 42_000))
                .chain(flow(3, 1, 10, 49_600))
                .collect(),
        )
    }

    /// The last picture in text, which lists everything: its flows and its sums.
    fn text(&self, more: &[&str]) -> String {
        let arguments = ["--read", &self.path, "-t", "-n", "-F", "10.0.0.0/8", "--view", "flows"];
        let (code, printed, said) = run(&[&arguments, more].concat());
        assert_eq!((code, said.as_str()), (Some(0), ""), "{more:?}");
        let pictures: Vec<&str> = printed.split(RULE).filter(|text| text.contains("local")).collect();
        (*pictures.last().expect("a picture")).to_owned()
    }
}

/// The hosts of the flows of a picture, in their order: the last numbers of this host's and the other's addresses.
fn order(picture: &str) -> Vec<(char, char)> {
    let last = |end: &str| end.split(':').next().and_then(|addr| addr.chars().last()).unwrap_or('-');
    let rows = picture.lines().filter(|line| line.starts_with("10.0.0."));
    rows.map(|line| {
        let mut fields = line.split_whitespace().map(last);
        (fields.next().unwrap_or('-'), fields.next().unwrap_or('-'))
    })
    .collect()
}

#[test]
fn help_and_version_are_printed() {
    for name in ["-h", "--help"] {
        let (code, printed, said) = run(&[name]);
        assert_eq!((code, said.as_str()), (Some(0), ""));
        assert!(printed.contains("Usage: monitor") && printed.contains("--net-filter <NET>"), "{printed}");
    }
    for name in ["-V", "--version"] {
        let (code, printed, said) = run(&[name]);
        assert_eq!((code, said.as_str()), (Some(0), ""));
        assert!(printed.starts_with("monitor ") && printed.lines().count() == 1, "{printed}");
    }
}

#[test]
fn what_became_of_no_option_is_a_usage_error() {
    for (arguments, name) in [
        (&["-S", "80"][..], "'-S'"),
        (&["-a"], "'-a'"),
        (&["-u", "packets"], "'packets'"),
        (&["eth0"], "'eth0'"),
    ] {
        let (code, printed, said) = run(arguments);
        assert_eq!((code, printed.as_str()), (Some(2), ""), "{arguments:?}: {said}");
        assert!(said.contains(name), "{arguments:?}: {said}");
    }
}

#[test]
fn lines_and_orders_of_iftop() {
    let recording = Recording::of_three();
    let [first, second, third] = [('1', '3'), ('2', '2'), ('3', '1')];
    let much = ('9', '9');
    for (wanted, expected) in
        [("2s", [third, first, second]), ("10s", [second, third, first]), ("40s", [first, second, third])]
    {
        let picture = recording.text(&["-o", wanted]);
        let listed = order(&picture);
        // What moved nothing in the window comes in any order behind what did.
        let moved = if wanted == "2s" {
            1
        } else if wanted == "10s" {
            2
        } else {
            3
        };
        assert_eq!(listed[..moved], expected[..moved], "{wanted}: {picture}");
        assert_eq!(listed.len(), 4, "{picture}");
    }
    assert_eq!(order(&recording.text(&["-o", "source"])), [first, second, third, much]);
    assert_eq!(order(&recording.text(&["-o", "destination"])), [third, second, first, much]);
    assert_eq!(order(&recording.text(&["--sort", "source", "-L", "2"])), [first, second]);
    assert_eq!(order(&recording.text(&["-o", "source", "-L", "0"])).len(), 4, "all of them");
}

#[test]
fn notation_of_the_ancestors() {
    let recording = Recording::of_three();
    let plain = recording.text(&[]);
    assert!(plain.contains("192.0.2.1:domain") && plain.contains("b/s") && !plain.contains("B/s"), "{plain}");
    let numbers = recording.text(&["-N"]);
    assert!(numbers.contains("192.0.2.1:53") && !numbers.contains("domain"), "{numbers}");
    let hosts = recording.text(&["-P"]);
    assert!(hosts.contains("192.0.2.1 ") && !hosts.contains("domain") && !hosts.contains(":53"), "{hosts}");
    for bytes in [&["-B"][..], &["--bytes"], &["-u", "bytes"]] {
        let picture = recording.text(bytes);
        assert!(picture.contains("kB/s") && !picture.contains("b/s"), "{picture}");
    }
    assert_eq!(recording.text(&["-u", "bits"]), plain);
    let binary = recording.text(&["-u", "bin-bits"]);
    assert!(binary.contains("Kib/s") || binary.contains("kib/s"), "{binary}");
    // What machines read does not change.
    let json = |more: &[&str]| run(&[&["--read", &recording.path, "--json", "-n"], more].concat()).1;
    assert_eq!(json(&["-B"]), json(&[]));
}

#[test]
fn an_ipv6_network_is_the_local_side() {
    let [inside, outside] =
        ["fd00::1", "2001:db8::1"].map(|text| text.parse::<Ipv6Addr>().expect("an address"));
    let packet = |from: Ipv6Addr, to: Ipv6Addr| {
        let mut packet = vec![0x60, 0, 0, 0, 0, 108, 17, 64];
        packet.extend([from.octets(), to.octets()].concat());
        packet.extend([0x13, 0x88, 0, 53, 0, 108, 0, 0]);
        packet.resize(148, 0);
        packet
    };
    let packets = (0..10).map(|at| (at, packet(outside, inside))).chain([(20, packet(inside, outside))]);
    let recording = Recording::new(packets.collect());
    // Without it the private address would be this side.
    for network in ["2001:db8::/32", "2001:db8::/ffff:ffff::"] {
        let (code, printed, said) = run(&["--read", &recording.path, "-t", "-n", "-G", network]);
        assert_eq!((code, said.as_str()), (Some(0), ""));
        let sums = printed.lines().rfind(|line| line.starts_with("Cumulative")).expect("a picture");
        let sums: Vec<&str> = sums.split_whitespace().skip(2).collect();
        assert_eq!(sums, ["1.48kB", "148B", "1.63kB"], "{printed}");
        assert!(printed.contains("\n[2001:db8::1]:5000 "), "this side is the left one: {printed}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn text_once_after_some_seconds() {
    let scene = Loopback::new();
    let cgroup = scene.cgroup.path().to_str().expect("a path in UTF-8");
    let (code, printed, said) = run(&["-t", "-s", "0.6", "--interval", "0.2", "--cgroup", cgroup]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    let pictures = printed.lines().filter(|line| line.starts_with(RULE)).count();
    assert_eq!(pictures, 1, "one picture, at the end: {printed}");
}
