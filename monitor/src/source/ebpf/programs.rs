//! The list of kernel programs: what each gives, and what is lost without it.
//!
//! The one table that loading, tiers, degradations and the docs go by.

/// How a program is loaded and attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// cgroup/sock and sock_addr: claims.
    Cgroup,
    /// The same for datagrams sent to an address: while one is attached, the kernel locks a UDP socket for each
    /// (include/linux/bpf-cgroup.h, `BPF_CGROUP_RUN_PROG_UDP4_SENDMSG_LOCK`), so it can be done without.
    Sent,
    /// The same for datagrams received with their address: only where `sock_recv_length`, which needs no lock, does not
    /// tell of them.
    Received,
    /// A BTF tracepoint of the same name.
    Tracepoint,
    /// The seed iterator.
    Seed,
    /// The iterator over processes, once, at the start.
    Census,
    /// A socket filter: counts what an interface carries. Only with `-i`.
    Tap,
    /// cgroup_skb: counts.
    Count,
}

/// One program.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec {
    /// Name in the object, and of the tracepoint.
    pub name: &'static str,
    /// How it is loaded.
    pub kind: Kind,
    /// What is lost without it.
    pub loss: &'static str,
    /// The oldest mainline kernel that has the hook, for the fix.
    pub since: &'static str,
}

const fn spec(name: &'static str, kind: Kind, since: &'static str, loss: &'static str) -> Spec {
    Spec { name, kind, loss, since }
}

/// Every program, in the order in which they are loaded and attached: claims before the counters, so that no socket
/// is counted before it can be claimed.
pub(super) const PROGRAMS: &[Spec] = &[
    spec("sock_create", Kind::Cgroup, "5.9", "a socket is unknown until it is used"),
    spec(
        "sock_release",
        Kind::Cgroup,
        "5.9",
        "an accepted socket closed without use stays with its listener",
    ),
    spec("post_bind4", Kind::Cgroup, "4.17", "an IPv4 server socket made by another process is its maker's"),
    spec("post_bind6", Kind::Cgroup, "4.17", "an IPv6 server socket made by another process is its maker's"),
    spec(
        "connect4",
        Kind::Cgroup,
        "4.17",
        "an IPv4 socket made by another process is its maker's until used",
    ),
    spec(
        "connect6",
        Kind::Cgroup,
        "4.17",
        "an IPv6 socket made by another process is its maker's until used",
    ),
    spec("sendmsg4", Kind::Sent, "4.18", "datagrams sent over IPv4 by several processes are the last user's"),
    spec("sendmsg6", Kind::Sent, "4.18", "datagrams sent over IPv6 by several processes are the last user's"),
    spec("getpeername4", Kind::Cgroup, "5.8", "connections accepted over IPv4 are the listener's until used"),
    spec("getpeername6", Kind::Cgroup, "5.8", "connections accepted over IPv6 are the listener's until used"),
    spec(
        "sched_process_exec",
        Kind::Tracepoint,
        "5.5",
        "a process that ends within a tick has no executable and no command line",
    ),
    spec(
        "sched_process_fork",
        Kind::Tracepoint,
        "5.5",
        "a process whose parent ended before it was seen has init for a parent",
    ),
    spec(
        "sched_process_exit",
        Kind::Tracepoint,
        "5.5",
        "when a process ended is known to a few seconds only",
    ),
    spec(
        "sock_send_length",
        Kind::Tracepoint,
        "6.3",
        "bytes sent on passed or inherited sockets stay with the previous owner, and packet sockets' are not counted",
    ),
    spec(
        "sock_recv_length",
        Kind::Tracepoint,
        "6.3",
        "bytes received on passed or inherited sockets stay with the previous owner",
    ),
    spec("recvmsg4", Kind::Received, "5.2", "datagrams received over IPv4 by a worker are its master's"),
    spec("recvmsg6", Kind::Received, "5.2", "datagrams received over IPv6 by a worker are its master's"),
    spec(
        "tcp_rcv_space_adjust",
        Kind::Tracepoint,
        "5.5",
        "a worker that only splices from an accepted socket is not seen",
    ),
    spec(
        "tcp_sendmsg_locked",
        Kind::Tracepoint,
        "6.16",
        "the first bytes sent on a passed TCP socket stay with the previous owner",
    ),
    spec("task_file", Kind::Seed, "5.12", "sockets older than monitor are unknown until they are used"),
    spec(
        "task",
        Kind::Census,
        "5.8",
        "parents of processes older than monitor are known while they live only",
    ),
    spec("frames", Kind::Tap, "4.10", "what no socket sees on Ethernet interfaces and lo is not counted"),
    spec("packets", Kind::Tap, "4.10", "what no socket sees on tun and tunnel interfaces is not counted"),
    spec("ingress", Kind::Count, "4.10", "nothing is counted"),
    spec("egress", Kind::Count, "4.10", "nothing is counted"),
];

/// Tells of everything that a process receives, without a lock on the socket ([`Kind::Received`]).
pub(super) const RECEIVES: &str = "sock_recv_length";

/// How exact the owners are, by the programs that run: T4 is exact, T1 has claims from system calls only, T0 has counts
/// and no owners.
pub(super) fn tier(runs: impl Fn(&str) -> bool) -> &'static str {
    let claims = |spec: &Spec| matches!(spec.kind, Kind::Cgroup | Kind::Sent | Kind::Received);
    if !PROGRAMS.iter().any(|spec| claims(spec) && runs(spec.name)) {
        return "T0";
    }
    let all = |names: &[&str]| names.iter().all(|name| runs(name));
    let seeded = all(&["task_file", "tcp_rcv_space_adjust"]);
    let used = all(&["sock_send_length", "sock_recv_length"]);
    match (seeded, used, runs("tcp_sendmsg_locked")) {
        (true, true, true) => "T4",
        (true, true, false) => "T3",
        (true, false, _) => "T2",
        _ => "T1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_counters_come_last() {
        let names: HashSet<_> = PROGRAMS.iter().map(|spec| spec.name).collect();
        assert_eq!(names.len(), PROGRAMS.len());
        let first_count = PROGRAMS.iter().position(|spec| spec.kind == Kind::Count).unwrap();
        assert!(PROGRAMS[first_count..].iter().all(|spec| spec.kind == Kind::Count));
    }

    #[test]
    fn what_may_do_without_another_comes_after_it() {
        let at = |name: &str| PROGRAMS.iter().position(|spec| spec.name == name).unwrap();
        assert!(PROGRAMS[..at(RECEIVES)].iter().all(|spec| spec.kind != Kind::Received));
    }

    #[test]
    fn tiers_follow_the_programs() {
        assert_eq!(tier(|_| true), "T4");
        assert_eq!(tier(|name| name != "tcp_sendmsg_locked"), "T3");
        assert_eq!(tier(|name| name != "tcp_sendmsg_locked" && !name.starts_with("sock_send")), "T2");
        assert_eq!(tier(|name| name != "task_file"), "T1");
        assert_eq!(tier(|name| name == "connect4"), "T1");
        assert_eq!(tier(|_| false), "T0");
    }
}
