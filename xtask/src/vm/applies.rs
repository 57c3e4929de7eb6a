//! Which tests say nothing of a kernel, and why: what they need, or what they ask of `monitor`, is of a newer one.
//! Everything else runs everywhere.

/// `(test or beginning of its name, first kernel that has what it needs, why)`.
const NEEDS: [(&str, &str, &str); 8] = [
    ("ipsec::", "5.14", "an interface is tapped from Linux 5.14 on (SO_NETNS_COOKIE)"),
    (
        "gso::wire_bytes_",
        "6.6",
        "the second opinion comes from a traffic control link, which is of Linux 6.6",
    ),
    (
        "gso::a_super_packet_without_",
        "6.2",
        "tun takes such super-packets (VIRTIO_NET_HDR_GSO_UDP_L4) from Linux 6.2 on",
    ),
    ("attribution_handover::a_connection_passed", "6.16", FIRST_SEND),
    ("attribution_handover::a_connection_inherited", "6.16", FIRST_SEND),
    ("attribution_calls::sendmmsg", "6.3", TRANSFERS),
    ("attribution_datagrams::a_udp_worker_that", "6.3", TRANSFERS),
    (
        "attribution_kernel::a_ping_socket",
        "6.15",
        "the kernel tells packet programs the network namespace from Linux 6.15 on, so its own sockets have no interface \
         before (bpf_get_netns_cookie)",
    ),
];

const FIRST_SEND: &str = "the kernel tells who sends on a passed TCP socket before it has sent from Linux 6.16 on (tcp_sendmsg_locked)";
const TRANSFERS: &str = "the kernel tells who sends and receives on any socket from Linux 6.3 on (sock_send_length, sock_recv_length)";

/// Why a test cannot run on a kernel; `None` where it can.
pub(super) fn why_not(test: &str, kernel: &str) -> Option<&'static str> {
    let needed =
        NEEDS.iter().find(|(name, since, _)| test.starts_with(name) && version(kernel) < version(since));
    needed.map(|&(_, _, why)| why)
}

/// "6.12" as numbers.
pub(super) fn version(name: &str) -> Vec<u32> {
    name.split('.').filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(why_not("gso::wire_bytes_x", "6.1").is_some());
        assert!(why_not("gso::wire_bytes_x", "6.12").is_none());
        assert!(why_not("gso::other", "5.10").is_none());
    }
}
