//! The members of the entries of lists: the table that they are written from, and docs/json.md and docs/json.schema.json made.
//!
//! Each names its field of the row. What else an object has is written by structs (`object`, `ledger`), whose table is with the
//! tests that hold them to it.

use crate::query::{End, Field};

/// What a member is.
#[derive(Debug)]
pub(super) enum Is {
    /// A field of the row.
    Field(Field),
    /// An object; of a row, null where the row has nothing in this field.
    Part(Field, &'static [Member]),
    /// An object.
    Object(&'static [Member]),
    /// No member of its own: all of these.
    Inline(&'static [Member]),
    /// Written by a struct.
    #[cfg(test)]
    Written(Shape),
}

/// What is written without a row.
#[cfg(test)]
#[derive(Debug)]
pub(super) enum Shape {
    /// A list of objects.
    List(&'static [Member]),
    /// A string.
    Text,
    /// An unsigned integer in a unit.
    Integer(&'static str),
    /// A signed integer in a unit.
    Signed(&'static str),
    /// Nothing, for ever.
    Null,
}

/// What is written where a member has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// It always has one.
    Never,
    /// `null`.
    Null,
    /// The member is left out.
    LeftOut,
}

/// A member of an object.
#[derive(Debug)]
pub(super) struct Member {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub is: Is,
    /// What stands for no value.
    pub absent: Absent,
    /// What it means, for docs/json.md and the schema: Markdown.
    #[cfg_attr(not(test), expect(dead_code, reason = "pages are made of it"))]
    pub meaning: &'static str,
}

pub(super) const fn always(name: &'static str, is: Is, meaning: &'static str) -> Member {
    Member { name, is, absent: Absent::Never, meaning }
}

pub(super) const fn or_null(name: &'static str, is: Is, meaning: &'static str) -> Member {
    Member { name, is, absent: Absent::Null, meaning }
}

pub(super) const fn or_not(name: &'static str, is: Is, meaning: &'static str) -> Member {
    Member { name, is, absent: Absent::LeftOut, meaning }
}

const fn field(name: &'static str, field: Field, meaning: &'static str) -> Member {
    always(name, Is::Field(field), meaning)
}

const fn null_field(name: &'static str, field: Field, meaning: &'static str) -> Member {
    or_null(name, Is::Field(field), meaning)
}

/// In `totals` and in every entry of every list.
pub(super) static COUNTERS: [Member; 10] = [
    field("rx_bytes", Field::RxTotal, "received, as the wire carries it: every segment with its headers"),
    field("tx_bytes", Field::TxTotal, "sent, likewise"),
    field("rx_packets", Field::RxPackets, "the same, segments"),
    field("tx_packets", Field::TxPackets, "sent, likewise"),
    field("rx_bps", Field::RxRate, "received over the interval, from `rx_bytes`"),
    field("tx_bps", Field::TxRate, "sent over the interval, from `tx_bytes`"),
    field(
        "rx_skb_bytes",
        Field::RxSkbBytes,
        "received, as the stack carried it: a GSO or GRO super-packet has one header. This is what veth, lo and tun devices count, \
         less their link-layer header",
    ),
    field("tx_skb_bytes", Field::TxSkbBytes, "sent, likewise"),
    field("rx_skbs", Field::RxSkbs, "socket buffers received; a super-packet is one"),
    field("tx_skbs", Field::TxSkbs, "sent, likewise"),
];

/// The counters among other members.
const COUNTED: Member = always("counters", Is::Inline(&COUNTERS), "");

/// One process, and the bytes of none.
pub(super) static PROCESS: [Member; 21] = [
    null_field(
        "pid",
        Field::Pid,
        "process id in the initial pid namespace; 0 is the kernel; null for bytes of no process",
    ),
    null_field("start", Field::Start, "when the process started, as `time`; null where not known"),
    null_field(
        "process",
        Field::Comm,
        "name (comm) of the thread-group leader; `kernel` for pid 0; null where not known",
    ),
    null_field(
        "exe",
        Field::Exe,
        "path of the executable, without links; null where it may not be read, or where the process ended before anybody looked and \
         was started by a path that does not prove which file it is (relative, or replaced since)",
    ),
    null_field("uid", Field::Uid, "real user id of the process; null where not known"),
    null_field(
        "full_name",
        Field::FullName,
        "its whole name, where `process` is cut (15 bytes) and the file that was started, or the executable, begins with it; null \
         where `process` is whole, or nobody knows",
    ),
    null_field(
        "cmdline",
        Field::Command,
        "command line, arguments joined by one space, cut to 4 KiB: as the program was started with, where the kernel saw that and \
         it has at most 511 bytes; else as the process shows it, which it can overwrite; null where it may not be read, or where the \
         process ended before anybody looked and has more than 511 bytes of arguments",
    ),
    null_field("user", Field::Login, "login name of `uid`"),
    null_field(
        "cgroup",
        Field::Cgroup,
        "path of its cgroup below the cgroup2 root; on a hybrid machine where that is the root, below systemd's hierarchy",
    ),
    null_field(
        "unit",
        Field::Unit,
        "outermost systemd unit (service, scope, socket, mount, swap) of that path: what is inside of a unit or a container does not \
         count. What a user's manager runs has that one's name before it, `user@UID.service/UNIT`. Null also where the directory \
         belongs to somebody else than root and systemd did not make it",
    ),
    null_field("slice", Field::Slice, "the slice that the unit is in, as systemd resolves it"),
    or_null(
        "container",
        Is::Part(Field::ContainerId, &CONTAINER),
        "the outermost container where several are nested, below",
    ),
    or_null("pod", Is::Part(Field::PodUid, &POD), "the Kubernetes pod, below"),
    null_field(
        "netns_inode",
        Field::NetnsInode,
        "inode of its network namespace, as `readlink /proc/PID/ns/net` has it",
    ),
    null_field(
        "package",
        Field::Package,
        "the package that its executable came with (dpkg, apk, pacman; rpm is not read); null in containers with files of their own",
    ),
    null_field(
        "sha256",
        Field::Sha256,
        "SHA-256 of its executable, with `--sha256`; of a process that has ended, of the file that its start opened, where that is \
         there still and nobody has changed it since",
    ),
    null_field(
        "sha256_reason",
        Field::Sha256Reason,
        "with `--sha256`: why there is none; null also while it is computed",
    ),
    field(
        "parents",
        Field::Parents,
        "its parent, that one's, and so on, as they were when it was made; below",
    ),
    null_field("exited", Field::Exited, "when it ended, as `time`; null while it runs"),
    COUNTED,
    always("attribution", Is::Object(&EVIDENCE_OF_PROCESS), "what the entry is worth, below"),
];

/// A container.
pub(super) static CONTAINER: [Member; 4] = [
    field(
        "runtime",
        Field::ContainerRuntime,
        "`docker`, `podman`, `containerd`, `crio`, `lxc`, or `cri` where the path does not say which",
    ),
    field("id", Field::ContainerId, "its id; its name where the runtime has no other"),
    null_field("name", Field::ContainerName, "its name; null where the runtime's state could not be read"),
    null_field(
        "claimed_by",
        Field::ContainerClaimedBy,
        "the uid that the directory was handed over to in which the container's cgroup is (rootless runtimes, or anybody who gives a \
         cgroup such a name): then `id` is `UID:ID`, and no state of root's runtimes is read for it",
    ),
];

/// A pod.
pub(super) static POD: [Member; 3] = [
    field("uid", Field::PodUid, "its UID"),
    null_field("name", Field::PodName, "its name; null where /var/log/pods could not be read"),
    null_field("namespace", Field::PodNamespace, "its namespace, likewise"),
];

const CONFIDENCE: Member = field("confidence", Field::Owner, "see the first table below");
const REASON: Member =
    or_not("reason", Is::Field(Field::Reason), "why `confidence` is not `exact`; left out where it is");

/// What a process row is worth. It sums flows that were found in several ways.
static EVIDENCE_OF_PROCESS: [Member; 2] = [CONFIDENCE, REASON];

/// Whose a flow is.
pub(super) static EVIDENCE: [Member; 3] = [
    field("method", Field::Method, "how the owner was found, of flows only; see the second table below"),
    CONFIDENCE,
    REASON,
];

/// One flow under one owner.
pub(super) static FLOW: [Member; 12] = [
    field(
        "proto",
        Field::Protocol,
        "`tcp`, `udp`, `icmp`, `icmpv6`, `sctp`, `dccp`, `udplite`, `igmp`, `ipip`, `ipv6`, `gre`, `esp`, `ah`; else `ip-N` with the \
         protocol's number; `packet` for what a packet socket sent, with null ends and interface",
    ),
    always("local", Is::Object(&LOCAL), "this host's end, below"),
    always("remote", Is::Object(&REMOTE), "the other end, below"),
    null_field(
        "pid",
        Field::Pid,
        "as above; null where `attribution` is `pending`, `ambiguous` or `unknown`",
    ),
    null_field("process", Field::Comm, "as above"),
    null_field(
        "uid",
        Field::Uid,
        "of the owner; where that is not known, of the socket's maker, and 65534 where there is no socket; null where neither is \
         known",
    ),
    null_field(
        "interface",
        Field::Interface,
        "name, in the socket's network namespace; null where it cannot be looked up",
    ),
    null_field(
        "netns",
        Field::Netns,
        "cookie of the network namespace; null where not known, and of captured packets",
    ),
    null_field(
        "socket",
        Field::Socket,
        "cookie of the socket, unique since boot; null where the packet had none, and of captured packets",
    ),
    or_null(
        "tcp",
        Is::Part(Field::Rtt, &TCP),
        "how the connection fares, see below; null where it is not TCP, or not sampled yet",
    ),
    COUNTED,
    always("attribution", Is::Object(&EVIDENCE), "whose it is and what that is worth, below"),
];

const fn ends(end: End) -> [Member; 4] {
    [
        null_field(
            "addr",
            Field::Address(end),
            "raw address, null where the protocol is not IP (`arp`, `lldp`, `eth-88b5`)",
        ),
        null_field(
            "port",
            Field::Port(end),
            "null where the protocol has none or the packet did not say (a later fragment)",
        ),
        null_field(
            "name",
            Field::HostName(end),
            "host name (hosts file, reverse DNS), null until it is known and with `-n`",
        ),
        null_field(
            "service",
            Field::ServiceName(end),
            "name of the port, null where it has none and with `-N`",
        ),
    ]
}

/// This host's end.
pub(super) static LOCAL: [Member; 4] = ends(End::Local);
/// The other end.
static REMOTE: [Member; 4] = ends(End::Remote);

/// A TCP connection.
pub(super) static TCP: [Member; 6] = [
    field(
        "state",
        Field::State,
        "`closed` once the socket is closed, whatever moves on it then; else as of the latest packet: `established`, `syn-sent`, \
         `syn-recv`, `fin-wait-1`, `fin-wait-2`, `time-wait`, `closed`, `close-wait`, `last-ack`, `listening`, `closing`",
    ),
    field("srtt_us", Field::Rtt, "smoothed round-trip time"),
    field("cwnd", Field::Window, "congestion window, segments"),
    field("retransmits", Field::Retransmits, "segments sent again since the connection began"),
    field(
        "acked_bytes",
        Field::TxPayload,
        "payload that the peer has acknowledged, since the connection began; SYN and FIN count one each. Up to 100 ms old while the \
         connection is open; once it ends, as of its last packet",
    ),
    field("received_bytes", Field::RxPayload, "payload received in order, since the connection began"),
];

/// One row of a view that sums.
pub(super) static GROUP: [Member; 8] = [
    field(
        "kind",
        Field::GroupKind,
        "what it is of: the view's own kind (`subtree`, `user`, `unit`, `slice`, `container`, `pod`, `package`, `host`, `network`, \
         `service`, `port`, `protocol`, `interface`, `netns`), or why it is of none: `none` (in no container, without ports), \
         `not_known`, `kernel`, `retired` (processes that are no longer listed), `pending`, `ambiguous`, `unknown`, `ended` (what \
         flows moved that are no longer held)",
    ),
    null_field(
        "key",
        Field::GroupId,
        "what tells it from all others of its kind: pid of the subtree's root, uid, name of unit, slice or package, id of the \
         container, UID of the pod, address, network, `tcp/443`, protocol, `netns/index` of the interface, cookie; null where `kind` \
         says it all",
    ),
    null_field(
        "name",
        Field::GroupName,
        "what it is called beyond that: name of process, user, container, pod (`namespace/name`), host, service or interface; null \
         where not known",
    ),
    or_not(
        "depth",
        Is::Field(Field::Depth),
        "only in `tree`: how many entries are above it; its children follow it",
    ),
    field("processes", Field::Members, "how many processes are in it"),
    field(
        "flows",
        Field::Flows,
        "how many flows whose socket is open; those of closed sockets are in the sums until they are let go",
    ),
    null_field(
        "exited",
        Field::Exited,
        "when the last of its processes ended, as `time`; in `tree`, the root; null where one lives, or where flows are added up",
    ),
    COUNTED,
];
