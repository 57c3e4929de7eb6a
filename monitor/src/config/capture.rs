//! Options of the capture in userspace, of files, and the choice between them and the kernel.

use crate::query::{Measure, amount};
use clap::{Args, ValueEnum};
use ipnet::IpNet;
use std::net::IpAddr;
use std::path::PathBuf;

/// Smallest and largest buffer of a capture, bytes.
const BUFFER: (u64, u64) = (64_000, 1 << 30);
/// Buffer of a capture, bytes: 200,000 small packets a second fill it in two seconds and a half.
pub(crate) const DEFAULT_BUFFER: u32 = 64 << 20;

/// The longest `-f`, bytes: half a second of libpcap's at worst (`port 1 or 2 or 3 ...`), and 20 MB.
const LONGEST_FILTER: usize = 1024;

/// The help of an option that needs libpcap, or of which `$what` does.
#[cfg(any(feature = "pcap", not(target_os = "linux")))]
macro_rules! with_libpcap {
    ($help:literal $(, $what:literal)?) => {
        $help
    };
}

/// The help of an option that needs libpcap, in a build without it.
#[cfg(not(any(feature = "pcap", not(target_os = "linux"))))]
macro_rules! with_libpcap {
    ($help:literal) => {
        with_libpcap!($help, "it")
    };
    ($help:literal, $what:literal) => {
        concat!($help, " [", $what, " needs libpcap, which is not built in]")
    };
}

/// Where the traffic is observed, and how where that is in packets.
#[derive(Clone, Debug, Args)]
pub(crate) struct CaptureOptions {
    /// Where to count.
    #[arg(help = with_libpcap!(
        "Where to count: in the kernel (ebpf), or packets that are captured (pcap); auto takes the kernel where it can",
        "pcap"
    ))]
    #[arg(long, value_name = "WHERE", value_enum, default_value = "auto")]
    pub backend: BackendChoice,

    /// How owners of captured packets are found.
    #[arg(help = with_libpcap!(
        "Whose captured packets are: by the kernel's lists and /proc (procfs), or by lsof; auto is procfs on Linux"
    ))]
    #[arg(long, value_name = "HOW", value_enum)]
    pub attribution: Option<AttributionChoice>,

    /// pcap-filter(7).
    #[arg(help = with_libpcap!(
        "Count only what this filter of libpcap lets through (pcap-filter(7)); with captured packets and files"
    ))]
    #[arg(short = 'f', long, value_name = "EXPR", value_parser = capture_filter)]
    pub capture_filter: Option<String>,

    /// The IPv4 network that is the local side.
    #[arg(help = with_libpcap!(
        "Count what crosses the border of this IPv4 network (10.0.0.0/8 or 10.0.0.0/255.0.0.0), which is the local \
         side; with captured packets and files",
        "without --read it"
    ))]
    #[arg(short = 'F', long, value_name = "NET", value_parser = net_v4)]
    pub net_filter: Option<IpNet>,

    /// The IPv6 network that is the local side.
    #[arg(help = with_libpcap!("The same for IPv6 (fd00::/8 or fd00::/ff00::)", "without --read it"))]
    #[arg(short = 'G', long, value_name = "NET6", value_parser = net_v6)]
    pub net_filter6: Option<IpNet>,

    /// Packets one by one.
    #[arg(help = with_libpcap!("Hand packets over one by one and not in blocks: sooner, and dearer"))]
    #[arg(long)]
    pub immediate: bool,

    /// The buffer of a capture.
    #[arg(help = with_libpcap!("Bytes that packets can wait in before they are dropped, such as 64Mi"))]
    #[arg(long, value_name = "BYTES", value_parser = buffer_size)]
    pub buffer_size: Option<u32>,

    /// Show what is in a file of packets (pcap or pcapng; - is standard input) in the time of the capture
    #[arg(long, value_name = "FILE",
          conflicts_with_all = ["interface", "promiscuous", "cgroup", "attribution", "immediate", "buffer_size"])]
    pub read: Option<PathBuf>,

    /// With --read: so many times as fast as it was captured, or max; 1 on the screen, max elsewhere
    #[arg(long, value_name = "TIMES", requires = "read", value_parser = speed)]
    pub speed: Option<Speed>,

    /// List the interfaces with their state and addresses, and stop
    #[arg(short = 'l', long)]
    pub list_interfaces: bool,
}

/// `--backend`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackendChoice {
    /// The kernel where it can, else captured packets.
    Auto,
    /// In the kernel.
    Ebpf,
    /// Captured packets.
    Pcap,
}

/// `--attribution`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AttributionChoice {
    /// The best of this system.
    Auto,
    /// sock_diag(7) and /proc.
    Procfs,
    /// lsof(8).
    Lsof,
}

/// `--speed`: `None` is as fast as it can be read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Speed(pub Option<f64>);

impl CaptureOptions {
    /// The networks of `-F` and `-G`.
    pub(crate) fn nets(&self) -> Vec<IpNet> {
        self.net_filter.into_iter().chain(self.net_filter6).collect()
    }

    /// The first option that only captured packets can do.
    pub(crate) fn needs_packets(&self) -> Option<&'static str> {
        let all = [
            (self.capture_filter.is_some(), "-f"),
            (self.net_filter.is_some(), "-F"),
            (self.net_filter6.is_some(), "-G"),
            (self.attribution.is_some(), "--attribution"),
            (self.immediate, "--immediate"),
            (self.buffer_size.is_some(), "--buffer-size"),
        ];
        all.into_iter().find_map(|(given, name)| given.then_some(name))
    }

    /// What contradicts itself and clap cannot tell: one sentence.
    pub(crate) fn contradiction(&self, cgroup: bool) -> Option<String> {
        if self.read.is_some() && self.backend != BackendChoice::Auto {
            return Some("--backend says where live traffic is counted; leave it out with --read".to_owned());
        }
        if self.read.is_some() {
            return None;
        }
        let packets = self.needs_packets();
        match (self.backend, packets) {
            (BackendChoice::Ebpf, Some(option)) => Some(format!(
                "{option} is for captured packets, and --backend ebpf captures none; say --backend pcap, or leave \
                 {option} out"
            )),
            (BackendChoice::Pcap, _) if cgroup => Some(
                "--cgroup is for the kernel's count: a captured packet does not say its cgroup; say --backend ebpf, \
                 or leave it out"
                    .to_owned(),
            ),
            (BackendChoice::Auto, Some(option)) if cgroup => Some(format!(
                "{option} is for captured packets and --cgroup for the kernel's count; leave one of them out"
            )),
            _ => None,
        }
    }
}

/// Longer ones take libpcap minutes: its time grows with the cube of what they say.
fn capture_filter(text: &str) -> Result<String, String> {
    if text.len() > LONGEST_FILTER {
        return Err(format!(
            "it is longer than {LONGEST_FILTER} bytes; say more with less, such as portrange 1000-2000 or net 10.0.0.0/8"
        ));
    }
    Ok(text.to_owned())
}

/// `ADDR/BITS` or `ADDR/MASK`.
fn net(text: &str, v4: bool) -> Result<IpNet, String> {
    let (addr, mask) = text.split_once('/').map_or((text, None), |(addr, mask)| (addr, Some(mask)));
    let net = addr.parse::<IpAddr>().ok().and_then(|addr| match mask {
        None => Some(IpNet::from(addr)),
        Some(mask) => match mask.parse() {
            Ok(prefix) => IpNet::new(addr, prefix).ok(),
            Err(_) => IpNet::with_netmask(addr, mask.parse().ok()?).ok(),
        },
    });
    net.filter(|net| net.addr().is_ipv4() == v4).ok_or_else(|| {
        let example = if v4 { "10.0.0.0/8 or 10.0.0.0/255.0.0.0" } else { "fd00::/8 or fd00::/ff00::" };
        format!("give a network such as {example}")
    })
}

fn net_v4(text: &str) -> Result<IpNet, String> {
    net(text, true)
}

fn net_v6(text: &str) -> Result<IpNet, String> {
    net(text, false)
}

fn buffer_size(text: &str) -> Result<u32, String> {
    let bytes = amount(text, Measure::Bytes).ok().filter(|bytes| (BUFFER.0..=BUFFER.1).contains(bytes));
    bytes.and_then(|bytes| u32::try_from(bytes).ok()).ok_or_else(|| "give from 64K to 1Gi bytes".to_owned())
}

fn speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed(None));
    }
    let times: Option<f64> = text.parse().ok().filter(|times: &f64| (0.01..=10_000.0).contains(times));
    times.map(|times| Speed(Some(times))).ok_or_else(|| "give from 0.01 to 10000, or max".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use super::*;
    use clap::{CommandFactory, Parser};

    fn parse(line: &str) -> Result<CaptureOptions, String> {
        let cli = Cli::try_parse_from(std::iter::once("monitor").chain(line.split_whitespace()));
        cli.map(|cli| cli.capture).map_err(|error| error.to_string())
    }

    #[test]
    fn networks_by_length_or_mask() {
        let net = |line: &str| parse(line).unwrap().nets()[0].to_string();
        assert_eq!(net("-F 10.0.0.0/8"), "10.0.0.0/8");
        assert_eq!(net("-F 10.0.0.0/255.255.0.0"), "10.0.0.0/16");
        assert_eq!(net("-F 10.0.0.1"), "10.0.0.1/32");
        assert_eq!(net("-G fd00::/ffff:ffff::"), "fd00::/32");
        assert_eq!(net("-G ::/0"), "::/0");
        for line in
            ["-F 10.0.0.0/33", "-F 10.0.0.0/255.0.255.0", "-F fd00::/8", "-G 10.0.0.0/8", "-F x", "-F 1/"]
        {
            let said = parse(line).unwrap_err();
            assert!(said.contains("give a network such as"), "{line}: {said}");
        }
    }

    #[test]
    fn the_help_says_what_needs_a_library_that_is_not_built_in() {
        let lacks = cfg!(not(any(feature = "pcap", not(target_os = "linux"))));
        let mut command = Cli::command();
        let help = command.render_long_help().to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        let mentions = help.matches("needs libpcap, which is not built in").count();
        assert_eq!(mentions, if lacks { 7 } else { 0 }, "{help}");
    }

    #[test]
    fn buffers_and_speeds_have_bounds() {
        assert_eq!(parse("--buffer-size 4Mi").unwrap().buffer_size, Some(4 << 20));
        assert_eq!(parse("--read x --speed 2.5").unwrap().speed, Some(Speed(Some(2.5))));
        assert_eq!(parse("--read x --speed max").unwrap().speed, Some(Speed(None)));
        for line in
            ["--buffer-size 1", "--buffer-size 2G", "--buffer-size M", "--buffer-size 99999999999999G"]
        {
            assert!(parse(line).unwrap_err().contains("64K to 1Gi"), "{line}");
        }
        for line in ["--read x --speed 0", "--read x --speed -1", "--read x --speed nan", "--speed 2"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_filter_has_a_bound() {
        let filter = |length: usize| {
            let words = ["monitor".to_owned(), "-f".to_owned(), "x".repeat(length)];
            Cli::try_parse_from(words).map_err(|error| error.to_string())
        };
        assert!(filter(LONGEST_FILTER).is_ok());
        assert!(
            filter(LONGEST_FILTER + 1).unwrap_err().contains("longer than 1024 bytes; say more with less")
        );
    }

    #[test]
    fn what_needs_packets_does_not_go_with_the_kernel() {
        for option in ["-f tcp", "-F 10.0.0.0/8", "-G fd00::/8", "--attribution lsof", "--immediate"] {
            let said = parse(&format!("--backend ebpf {option}")).unwrap().contradiction(false).unwrap();
            assert!(
                said.contains("--backend pcap") && said.contains(option.split(' ').next().unwrap()),
                "{said}"
            );
            assert_eq!(parse(option).unwrap().contradiction(false), None);
            assert!(parse(option).unwrap().contradiction(true).is_some());
        }
        assert!(parse("--backend pcap").unwrap().contradiction(true).is_some());
        assert!(parse("--read x --backend pcap").unwrap().contradiction(false).is_some());
        assert!(parse("--read x -i lo").is_err() && parse("--read x --attribution lsof").is_err());
    }
}
