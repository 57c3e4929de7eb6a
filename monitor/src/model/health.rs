//! Health: what works, what does not, why, and what to do about it.

use std::time::Duration;

/// Where the numbers come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Backend {
    /// Counted in the kernel.
    #[default]
    Ebpf,
    /// Captured with libpcap.
    Pcap,
    /// Read from a file.
    File,
}

impl Backend {
    /// The name in machine output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ebpf => "ebpf",
            Self::Pcap => "pcap",
            Self::File => "file",
        }
    }
}

/// How exact the owners are, by the kernel programs that run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tier {
    /// Its name in [`Health::tier`].
    pub name: &'static str,
    /// What it gives beyond the one before.
    pub gives: &'static str,
}

/// Every tier of counting in the kernel, the least first.
pub(crate) const TIERS: [Tier; 5] = [
    Tier { name: "T0", gives: "bytes of every flow, without owners" },
    Tier { name: "T1", gives: "owners of sockets that are made, bound, connected or accepted from now on" },
    Tier { name: "T2", gives: "owners of sockets that are older than monitor" },
    Tier { name: "T3", gives: "the process that moves the bytes, where a socket was passed on or inherited" },
    Tier { name: "T4", gives: "the same from the first byte that it sends over TCP" },
];

/// Something that a user would miss.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Degradation {
    /// What is missing, as its effect on the screen.
    pub what: String,
    /// Why, in the kernel's own words where it had any.
    pub why: String,
    /// What to do, or "none" where nothing can be done.
    pub fix: String,
}

/// Whether a kernel program runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// It runs.
    Yes,
    /// It was refused; the kernel's words.
    Refused(String),
    /// It was not tried; the reason.
    Skipped(String),
}

/// How often a program ran and how long that took, since somebody asked for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProgramRuns {
    /// Runs.
    pub runs: u64,
    /// Time in them, with the two readings of the clock around each.
    pub time: Duration,
    /// Runs in `recent`.
    pub recent_runs: u64,
    /// The latest interval.
    pub recent: Duration,
}

/// One kernel program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramHealth {
    /// Its name in the object.
    pub name: &'static str,
    /// Kernel id, where loaded.
    pub id: Option<u32>,
    /// Whether it runs.
    pub loaded: Loaded,
    /// What is lost where it does not run.
    pub loss: &'static str,
    /// What to do where it was refused.
    pub fix: String,
    /// Its runs; `None` while nobody asks, for counting them costs each run some time.
    pub runs: Option<ProgramRuns>,
}

/// One kernel map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapHealth {
    /// Its name in the object.
    pub name: &'static str,
    /// Kernel id.
    pub id: u32,
    /// How many entries it can hold; 0 where it has none to count.
    pub capacity: u32,
    /// Entries found in it at the latest drain.
    pub fill: u64,
    /// Kernel memory, bytes (`memlock` in fdinfo).
    pub memory: u64,
}

/// The state of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Where the numbers come from.
    pub backend: Backend,
    /// How exact the owners are: "T0" to "T4" with the kernel, how they are found ("sock_diag", "procfs", "lsof") with
    /// captured packets; empty while loading, before the first sample, and of a file.
    pub tier: String,
    /// Whose traffic is counted: "all sockets", "cgroup /a/b", "this container", a file; empty where that of `interfaces`.
    pub scope: String,
    /// The only interfaces that are counted; empty where all are.
    pub interfaces: Vec<String>,
    /// Still being set up: nothing is counted yet.
    pub loading: bool,
    /// What is missing.
    pub degraded: Vec<Degradation>,
    /// The kernel programs.
    pub programs: Vec<ProgramHealth>,
    /// The kernel maps.
    pub maps: Vec<MapHealth>,
    /// Packets counted without flow detail since start, because a table was full.
    pub overflowed_packets: u64,
    /// How long the latest drain took, the RCU wait included.
    pub drain: Duration,
    /// Why the runs of programs cannot be counted, where somebody asked and the kernel refused.
    pub uncounted_runs: Option<String>,
}

impl Health {
    /// Kernel memory of all maps, bytes.
    pub fn table_memory(&self) -> u64 {
        self.maps.iter().map(|map| map.memory).sum()
    }

    /// What is covered, in words; of that only what passes one interface, where one is chosen.
    pub fn covers(&self, chosen: Option<&str>) -> String {
        let on = chosen.map_or_else(|| self.interfaces.join(", "), str::to_owned);
        match (&*self.scope, on.is_empty()) {
            (scope, true) => scope.to_owned(),
            ("", false) => on,
            (scope, false) => format!("{scope} on {on}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_covered_is_said_with_its_interfaces() {
        let covers = |scope: &str, interfaces: &[&str], chosen| {
            let interfaces = interfaces.iter().map(|name| (*name).to_owned()).collect();
            Health { scope: scope.into(), interfaces, ..Health::default() }.covers(chosen)
        };
        assert_eq!(covers("all sockets", &[], None), "all sockets");
        assert_eq!(covers("all sockets", &["eth0", "lo"], None), "all sockets on eth0, lo");
        assert_eq!(covers("all sockets", &["eth0", "lo"], Some("lo")), "all sockets on lo");
        assert_eq!(covers("cgroup /a", &[], Some("lo")), "cgroup /a on lo");
        assert_eq!(covers("", &["eth0", "lo"], None), "eth0, lo");
        assert_eq!(covers("any", &[], None), "any");
    }
}
