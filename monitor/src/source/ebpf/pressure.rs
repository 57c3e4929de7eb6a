//! What is said of tables that had no room, and of calls that failed. Pure: from the programs' statistics to words.

use crate::model::Degradation;
use monitor_common::{ClaimStats, HalfStats, WIRE_SHARE};

fn said(happened: bool, what: &str, why: String, fix: String) -> Option<Degradation> {
    happened.then(|| Degradation { what: what.to_owned(), why, fix })
}

fn raise(capacity: u32) -> String {
    format!("raise --capacity above {capacity}")
}

fn none() -> String {
    "none".to_owned()
}

/// Of a half of the flow table.
pub(super) fn of_half(stats: &HalfStats, capacity: u32) -> impl Iterator<Item = Degradation> {
    let all = [
        said(
            stats.full > 0,
            "some bytes have an owner but no flow",
            format!("more than {capacity} flows in one interval"),
            raise(capacity),
        ),
        said(
            stats.busy > 0,
            "a few bytes have an owner but no flow",
            "the kernel could not add rows for a moment".to_owned(),
            none(),
        ),
        said(
            stats.unparsed > 0,
            "packets without readable headers have an owner but no flow",
            "they are neither IPv4 nor IPv6, or cut short".to_owned(),
            none(),
        ),
    ];
    all.into_iter().flatten()
}

/// Of a half of the interface table.
pub(super) fn of_taps(stats: &HalfStats, capacity: u32) -> impl Iterator<Item = Degradation> {
    let all = [
        said(
            stats.full + stats.busy > 0,
            "some bytes of interfaces have no flow",
            format!("more than {capacity} conversations in one interval"),
            raise(capacity),
        ),
        said(
            stats.wires_lost > 0,
            "some flows behind NAT stand beside what their interface carried, not joined with it",
            format!(
                "more than {} sockets sent under translated addresses in one interval",
                capacity / WIRE_SHARE
            ),
            raise(capacity),
        ),
    ];
    all.into_iter().flatten()
}

/// Of the claims and processes, on all CPUs.
pub(super) fn of_claims(per_cpu: &[ClaimStats], capacity: u32) -> impl Iterator<Item = Degradation> {
    let sum = |field: fn(&ClaimStats) -> u64| per_cpu.iter().map(field).sum::<u64>();
    let all = [
        said(
            sum(|stats| stats.no_storage) > 0,
            "the owner of some sockets is joined late, or unknown on passed sockets",
            "net.core.optmem_max leaves no room for an owner on them".to_owned(),
            "sudo sysctl net.core.optmem_max=131072 in their network namespace".to_owned(),
        ),
        said(
            sum(|stats| stats.claims_full) > 0,
            "some accepted connections stay with their listener",
            "more sockets changed hands in one interval than the claim table holds".to_owned(),
            raise(capacity),
        ),
        said(
            sum(|stats| stats.procs_full) > 0,
            "some processes that are gone have no name",
            "more processes claimed sockets in one interval than the process table holds".to_owned(),
            raise(capacity),
        ),
        said(
            sum(|stats| stats.busy) > 0,
            "a few accepted connections may stay with their listener, or an ended process without its name",
            "the kernel could not add to the claim or process table for a moment".to_owned(),
            none(),
        ),
        said(
            sum(|stats| stats.lives_full) > 0,
            "some processes that ended at once are not fully named, and may have ended earlier than is said",
            "more programs were started in a moment than the kernel's buffer holds".to_owned(),
            none(),
        ),
    ];
    all.into_iter().flatten()
}

/// Of a call to the kernel that failed, whose rows come with the next interval.
pub(super) fn late(why: String) -> Degradation {
    Degradation { what: "some bytes or their owners came an interval late".to_owned(), why, fix: none() }
}

/// Of a cgroup that is gone.
pub(super) fn removed() -> Degradation {
    Degradation {
        what: "no new socket is counted, only those that the cgroup has left behind".to_owned(),
        why: "the cgroup that --cgroup names was removed".to_owned(),
        fix: "start monitor again once it is back".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_had_room_is_not_said_and_the_rest_is_once_each() {
        assert_eq!(of_half(&HalfStats::default(), 64).count(), 0);
        let stats = HalfStats { full: 1, busy: 2, unparsed: 3, ..HalfStats::default() };
        assert_eq!(of_half(&stats, 64).count(), 3);
        assert!(of_half(&stats, 64).any(|said| said.why.contains("more than 64 flows")));
        let per_cpu = [ClaimStats::default(), ClaimStats { lives_full: 1, ..ClaimStats::default() }];
        assert_eq!(of_claims(&per_cpu, 64).count(), 1);
    }
}
