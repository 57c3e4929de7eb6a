//! Attribution and its confidence: whose bytes they are, and how sure that is.

use super::Mono;
pub(crate) use monitor_common::{Evidence, Method};
use std::borrow::Cow;
use std::time::Duration;

/// How long bytes wait for their owner, at most: in the table for a claim, and for a sample of sockets that is younger than they.
pub(crate) const SETTLE_AFTER: Duration = Duration::from_secs(5);

/// A process: a thread-group id and the generation that tells it from a later process with the same pid
/// (`monitor_common::generation` of its start time; 0 where the start time is unknown).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessId {
    /// Thread-group id in the initial pid namespace. 0 is the kernel.
    pub pid: u32,
    /// Start time in units of 2^20 ns since boot, modulo 2^32.
    pub generation: u32,
}

impl ProcessId {
    /// The kernel itself: kernel threads and kernel sockets.
    pub const KERNEL: Self = Self { pid: 0, generation: 0 };

    /// Whether it can have started in `from..=to`, as far as its generation tells. One without always can.
    pub fn can_have_started(self, from: Mono, to: Mono) -> bool {
        let [from, to] = [from, to].map(|at| (at.0 >> 20) & 0xffff_ffff);
        let since = |unit: u64| unit.wrapping_sub(from) & 0xffff_ffff;
        self.generation == 0 || since(self.generation.into()) <= since(to)
    }
}

/// What an attribution is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Confidence {
    /// The owner used, opened or accepted this very socket.
    Exact,
    /// The owner of the listener, because nobody used the accepted socket.
    Inherited,
    /// Several live processes use the socket in turn; this one was the last user when the bytes moved.
    Shared,
    /// Several candidates and no evidence for one of them.
    Ambiguous,
    /// Not yet settled; will move, once, to its owner.
    Pending,
    /// No candidate.
    Unknown,
}

impl Confidence {
    /// The name in machine output.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Inherited => "inherited",
            Self::Shared => "shared",
            Self::Ambiguous => "ambiguous",
            Self::Pending => "pending",
            Self::Unknown => "unknown",
        }
    }
}

/// An owner with its evidence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Attribution {
    /// The owner; `None` where it is pending, ambiguous or unknown.
    pub owner: Option<ProcessId>,
    /// How it was found.
    pub method: Method,
    /// What it is worth.
    pub confidence: Confidence,
    /// Why it is not exact; `None` where it is.
    pub reason: Option<Cow<'static, str>>,
}

#[cfg(test)]
mod method_tests {
    use super::Method;
    use std::collections::BTreeSet;

    #[test]
    fn the_page_about_json_has_every_method() {
        let page = include_str!("../../../docs/json.md");
        let (_, table) =
            page.split_once("| `method` | how the owner was found |").expect("the table of methods");
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let named: BTreeSet<&str> = rows
            .filter_map(|row| row.split('|').nth(1))
            .flat_map(|methods| methods.split('`').skip(1).step_by(2))
            .collect();
        assert_eq!(named, Method::ALL.iter().map(|method| method.name()).collect());
    }
}
