//! The members of the object that structs write: the table which they are held to.

use super::super::member::{COUNTERS, FLOW, GROUP, Is, Member, PROCESS, Shape, always, or_not, or_null};

/// The object of a tick.
pub(super) static OBJECT: [Member; 15] = [
    always("schema", Is::Written(Shape::Integer("")), "1; see the promise below"),
    always("time", Is::Written(Shape::Text), "when the interval ended: UTC, RFC 3339, with milliseconds"),
    always(
        "backend",
        Is::Written(Shape::Text),
        "where the numbers come from: `ebpf`, `pcap` or `file` (docs/pcap.md)",
    ),
    always(
        "tier",
        Is::Written(Shape::Text),
        "how exact owners are: `T4` (exact) to `T0` (none), see README; with `pcap` how they are found: `sock_diag`, `procfs`, `lsof`, \
         empty before the first sample; with `file` empty",
    ),
    or_null(
        "scope",
        Is::Written(Shape::Text),
        "whose traffic is counted: `all sockets`, `cgroup /a/b`, `this container` (the root of a private cgroup namespace), a file; \
         null where that of interfaces",
    ),
    always(
        "interval_ns",
        Is::Written(Shape::Integer("ns")),
        "since the previous object; in the first, since counting began",
    ),
    always("degraded", Is::Written(Shape::List(&DEGRADED)), "what is missing; empty where nothing is"),
    or_null("own", Is::Object(&OWN), "what `monitor` itself costs, below; null of a recording"),
    always(
        "ledger",
        Is::Object(&LEDGER),
        "where every counted byte went: `rx`, `tx` and `interfaces`, below",
    ),
    or_not(
        "filter",
        Is::Written(Shape::Text),
        "only with `--filter`: the filter, as it was understood. What follows is of what it shows; the ledger above is of everything",
    ),
    always(
        "totals",
        Is::Object(&COUNTERS),
        "the counters below, of everything. Loopback is in it twice, as sent and as received",
    ),
    always(
        "processes",
        Is::Written(Shape::List(&PROCESS)),
        "one entry a process, and one for each kind of bytes without one",
    ),
    always(
        "flows",
        Is::Written(Shape::List(&FLOW)),
        "one entry for each socket, pair of ends, interface and owner",
    ),
    or_not("view", Is::Written(Shape::Text), "only with `--view` or `--group-by`: the name of the view"),
    or_not(
        "groups",
        Is::Written(Shape::List(&GROUP)),
        "only with a view that is neither `processes` nor `flows`: its rows, greatest rate first or as `-o` says",
    ),
];

/// What is missing.
pub(super) static DEGRADED: [Member; 3] = [
    always("what", Is::Written(Shape::Text), "what a user would miss"),
    always("why", Is::Written(Shape::Text), "why, in the kernel's words where it had any"),
    always("fix", Is::Written(Shape::Text), "what to do"),
];

/// What `monitor` itself costs.
pub(super) static OWN: [Member; 3] = [
    always("cpu_ns", Is::Written(Shape::Integer("ns")), "processor time of all its threads since the start"),
    or_null("memory", Is::Written(Shape::Integer("bytes")), "resident memory"),
    bytes(
        "kernel_memory",
        "of the kernel's memory what its tables take (`memlock` of their fdinfo); beside it each socket of the machine that was \
         claimed takes some 250 bytes",
    ),
];

/// Where every counted byte went.
static LEDGER: [Member; 3] = [
    always("rx", Is::Object(&SIDE), "received"),
    always("tx", Is::Object(&SIDE), "sent"),
    always("interfaces", Is::Written(Shape::List(&INTERFACE)), "one entry an interface"),
];

const fn bytes(name: &'static str, meaning: &'static str) -> Member {
    always(name, Is::Written(Shape::Integer("bytes")), meaning)
}

/// One direction of everything.
pub(super) static SIDE: [Member; 11] = [
    bytes(
        "counted",
        "counted at the sockets, and with `-i` what only the interface saw; equals `rx_bytes` or `tx_bytes` of `totals`",
    ),
    bytes("attributed", "on a process: exact, shared or inherited"),
    bytes("kernel", "on the kernel itself"),
    bytes("pending", "waiting for their owner"),
    bytes("ambiguous", "several candidates, none with evidence"),
    bytes("unknown", "no candidate"),
    bytes(
        "overflow",
        "a part of the above, not one more: what has an owner and no flow, because the flow table was full",
    ),
    bytes(
        "injected",
        "a part of the above, not one more: what packet sockets (AF_PACKET) sent. It passes no socket hook; in `ledger.interfaces` it \
         is with what devices carried beside the sockets",
    ),
    always("device", Is::Written(Shape::Null), "always: devices are never added up, see `ledger.interfaces`"),
    or_null(
        "forwarded",
        Is::Written(Shape::Integer("bytes")),
        "with `-i`: what the interfaces carried and no socket saw, whatever the reason; without it the outsides of IPsec tunnels that \
         have an interface of their own, null where there are none",
    ),
    always("remainder", Is::Written(Shape::Null), "always, as `device`"),
];

/// The ledger of an interface.
pub(super) static INTERFACE: [Member; 6] = [
    or_null(
        "netns",
        Is::Written(Shape::Integer("")),
        "cookie of its network namespace; null where not known",
    ),
    always("ifindex", Is::Written(Shape::Integer("")), "its index there; 0 for those that are gone"),
    or_null("name", Is::Written(Shape::Text), "its name; null where not known"),
    always("rx", Is::Object(&CARRIED), "received, below"),
    always("tx", Is::Object(&CARRIED), "sent, below"),
    or_null("capture", Is::Object(&CAPTURE), "with captured packets, what was counted of it; below"),
];

const fn line(name: &'static str, meaning: &'static str) -> Member {
    or_null(name, Is::Written(Shape::Signed("bytes")), meaning)
}

/// One direction of an interface.
pub(super) static CARRIED: [Member; 20] = [
    or_null(
        "device",
        Is::Written(Shape::Integer("bytes")),
        "what the device counted: the sum of all below, `extra_copies` and `dropped` taken away",
    ),
    bytes("attributed", "seen at sockets, as above"),
    bytes("kernel", "likewise"),
    bytes("pending", "likewise"),
    bytes("ambiguous", "likewise"),
    bytes("unknown", "likewise"),
    line("not_at_sockets", "without `-i`: all the rest as one number"),
    line("overflow", "carried while a table was full"),
    line("forwarded", "neither end is this host"),
    line(
        "socketless",
        "one end is this host and no socket saw it: closed ports, pings answered by the kernel, closed connections",
    ),
    line("encapsulation", "outsides of tunnels (IP in IP, GRE, ESP, AH, L2TP)"),
    line("link", "ARP and whatever else is not IP"),
    line("other_hosts", "addressed to another host on the link (`-p`)"),
    line("stacked", "seen at sockets of a bridge or bond that this interface is a port of"),
    line("fragment_headers", "what fragments carried beyond their datagrams"),
    line("extra_copies", "what sockets saw more often than the device carried it: several receivers"),
    line("dropped", "sent by a socket and dropped before the device"),
    line("in_flight", "between socket and device when it was looked at"),
    line("framing", "padding of short frames, segments made on the way"),
    line("remainder", "what is left; never part of anything else"),
];

/// A capture.
pub(super) static CAPTURE: [Member; 5] = [
    always(
        "received",
        Is::Written(Shape::Integer("packets")),
        "what libpcap received, after `-f`; on Linux with what it dropped; in a file, read",
    ),
    always("dropped", Is::Written(Shape::Integer("packets")), "what found libpcap's buffer full"),
    always(
        "if_dropped",
        Is::Written(Shape::Integer("packets")),
        "what the interface or its driver dropped, where libpcap knows",
    ),
    always(
        "malformed",
        Is::Written(Shape::Integer("packets")),
        "headers that contradict each other or end too soon; counted with their length",
    ),
    always("excluded", Is::Written(Shape::Integer("packets")), "left out by `-F` or `-G`"),
];

/// A process that another descends from.
pub(super) static PARENT: [Member; 2] = [
    always("pid", Is::Written(Shape::Integer("")), "process id"),
    or_null("process", Is::Written(Shape::Text), "name (comm) of its thread-group leader"),
];
