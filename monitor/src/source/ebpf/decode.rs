//! From the rows of the kernel's tables to the model.

use crate::model::{
    Claim, Counters, Delta, Endpoint, FlowId, Method, Mono, ProcessId, ProcessSeen, Protocol, SocketId,
    Standing, TcpHealth, TcpState, Unplaced,
};
use monitor_common as abi;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

/// SOCK_STREAM. A stream that connects is in use: its handshake is its maker's.
const SOCK_STREAM: u8 = 1;

/// Takes in rows of the flow table as they are drained, a batch of them at a time.
pub(super) struct Rows<'a> {
    into: &'a mut Vec<Delta>,
    /// Netns cookies by socket cookie, where the packet hooks cannot tell.
    netns: &'a HashMap<u64, u64>,
    sight: Sight,
    /// Which of `into` are the outside of what their socket sent, ascending.
    pub(super) outsides: Vec<usize>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(into: &'a mut Vec<Delta>, netns: &'a HashMap<u64, u64>, sight: Sight) -> Self {
        Self { into, netns, sight, outsides: Vec::new() }
    }
}

impl Extend<(abi::FlowKey, abi::FlowValue)> for Rows<'_> {
    fn extend<T: IntoIterator<Item = (abi::FlowKey, abi::FlowValue)>>(&mut self, rows: T) {
        for (key, mut value) in rows {
            if value.netns == 0 {
                value.netns = self.netns.get(&key.cookie).copied().unwrap_or(0);
            }
            if key.outer != 0 {
                self.outsides.push(self.into.len());
            }
            self.into.push(delta(&key, &value, self.sight));
        }
    }
}

/// The wire's share is kept as the difference to the stack's (see `monitor_common::Counters`).
pub(super) fn counters(from: &abi::Counters) -> Counters {
    Counters {
        rx_bytes: from.rx_skb_bytes.wrapping_add(from.rx_gso_bytes),
        tx_bytes: from.tx_skb_bytes.wrapping_add(from.tx_gso_bytes),
        rx_packets: from.rx_skbs.wrapping_add(from.rx_gso_packets),
        tx_packets: from.tx_skbs.wrapping_add(from.tx_gso_packets),
        rx_skb_bytes: from.rx_skb_bytes,
        tx_skb_bytes: from.tx_skb_bytes,
        rx_skbs: from.rx_skbs,
        tx_skbs: from.tx_skbs,
    }
}

fn process(tgid: u32, generation: u32) -> Option<ProcessId> {
    (tgid != 0).then_some(ProcessId { pid: tgid, generation })
}

/// A standing, and the owner that goes with it.
fn owner(standing: u8, tgid: u32, generation: u32) -> (Standing, Option<ProcessId>) {
    let owner = process(tgid, generation);
    match standing {
        abi::STANDING_FIRM if owner.is_some() => (Standing::Firm, owner),
        abi::STANDING_INHERITED => (Standing::Inherited, owner),
        abi::STANDING_LISTENER => (Standing::Listener, owner),
        abi::STANDING_AMBIGUOUS => (Standing::Ambiguous, None),
        abi::STANDING_KERNEL => (Standing::Kernel, Some(ProcessId::KERNEL)),
        _ => (Standing::Unclaimed, None),
    }
}

/// What the running programs see, and what follows from not having seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sight {
    /// Every socket that a process held when the monitor started is known, so an unclaimed raw socket is one of the
    /// kernel's own (the control sockets that send RST and ICMP replies, net/ipv4/icmp.c and tcp_ipv4.c).
    pub seeded: bool,
    /// Every use of a socket is seen, so a datagram socket that is made, bound or connected and no more has not been
    /// used by its maker yet: what it moved may be another's, who inherited it and whose claim follows.
    pub uses: bool,
}

/// A flow row.
pub(super) fn delta(key: &abi::FlowKey, value: &abi::FlowValue, sight: Sight) -> Delta {
    let (mut standing, mut found) = owner(key.standing, key.tgid, key.generation);
    if key.standing == abi::STANDING_RAW && sight.seeded {
        (standing, found) = (Standing::Kernel, Some(ProcessId::KERNEL));
    }
    let only_made = matches!(value.method, abi::CLAIM_CREATE | abi::CLAIM_BIND | abi::CLAIM_CONNECT);
    if standing == Standing::Firm && sight.uses && only_made && value.socket_type != SOCK_STREAM {
        standing = Standing::Made;
    }
    let method = if standing == Standing::Kernel { Method::Kernel } else { Method::of_claim(value.method) };
    let (mut protocol, local, remote) = tuple(&tuple_of(key));
    if key.ip_version == abi::PACKET_SOCKET {
        protocol = Protocol::PACKET;
    }
    Delta {
        flow: FlowId {
            socket: SocketId(key.cookie),
            protocol,
            local,
            remote,
            netns: value.netns,
            ifindex: key.ifindex,
        },
        owner: found,
        standing,
        method,
        counters: counters(&value.counters),
        // The kernel's own sockets say 0, which is root's.
        uid: (standing != Standing::Kernel).then_some(value.uid),
        cgroup: value.cgroup,
        tcp: tcp(value),
    }
}

/// The sample of a connection, with its state as of the latest packet.
fn tcp(value: &abi::FlowValue) -> Option<TcpHealth> {
    let abi::TcpSample { sampled, acked, received, srtt, cwnd, retransmits, .. } = value.tcp;
    let state = TcpState::from_kernel(value.state)?;
    (sampled != 0).then(|| TcpHealth {
        state,
        srtt: Duration::from_micros(u64::from(srtt >> 3)),
        cwnd,
        retransmits,
        acked_bytes: acked,
        received_bytes: received,
    })
}

/// Protocol and ends of a tuple.
pub(super) fn tuple(tuple: &abi::Tuple) -> (Protocol, Endpoint, Endpoint) {
    let protocol = Protocol::Ip(tuple.protocol);
    // A fragment that is not the first has no ports to read.
    let has_ports = protocol.has_ports() && (tuple.local_port != 0 || tuple.remote_port != 0);
    let end = |addr: &[u8; 16], port: u16| {
        let addr = if tuple.ip_version == 4 {
            IpAddr::V4(Ipv4Addr::new(addr[0], addr[1], addr[2], addr[3]))
        } else {
            IpAddr::V6(Ipv6Addr::from(*addr))
        };
        Endpoint { addr, port: has_ports.then_some(port) }
    };
    (protocol, end(&tuple.local_addr, tuple.local_port), end(&tuple.remote_addr, tuple.remote_port))
}

fn tuple_of(key: &abi::FlowKey) -> abi::Tuple {
    let abi::FlowKey { local_addr, remote_addr, local_port, remote_port, protocol, ip_version, .. } = *key;
    abi::Tuple { local_addr, remote_addr, local_port, remote_port, protocol, ip_version, pad: [0; 2] }
}

pub(super) fn unplaced(key: &abi::OverflowKey, value: &abi::FlowValue) -> Unplaced {
    let (standing, owner) = owner(key.standing, key.tgid, key.generation);
    Unplaced { owner, standing, counters: counters(&value.counters) }
}

/// A change of hands; `None` for what names no process.
pub(super) fn claim(key: &abi::ClaimKey, value: &abi::Claim) -> Option<Claim> {
    let kernel = value.flags & abi::OWNER_KERNEL != 0;
    let process = if kernel { Some(ProcessId::KERNEL) } else { process(key.tgid, key.generation) }?;
    Some(Claim {
        socket: SocketId(key.cookie),
        process,
        // Closing is no use, by the kernel no more than by a process.
        method: if kernel && value.method != abi::CLAIM_RELEASE {
            Method::Kernel
        } else {
            Method::of_claim(value.method)
        },
        first: Mono(value.first),
        last: Mono(value.last),
        closed: value.flags & abi::CLAIM_CLOSED != 0,
    })
}

pub(super) fn process_seen(key: abi::ProcessKey, value: &abi::Process) -> ProcessSeen {
    ProcessSeen {
        id: ProcessId { pid: key.tgid, generation: key.generation },
        comm: comm(&value.comm),
        start: (value.start != 0).then_some(Mono(value.start)),
        alive: (value.at != 0).then_some(Mono(value.at)),
        uid: Some(value.uid),
        cgroup: value.cgroup,
        ..ProcessSeen::default()
    }
}

/// A seed record: the claim that it is, and its holder.
pub(super) fn seed(record: &abi::SeedRecord, now: Mono) -> Option<(Claim, ProcessSeen)> {
    let process = process(record.process.tgid, record.process.generation)?;
    let claim = Claim {
        socket: SocketId(record.cookie),
        process,
        method: Method::Seed,
        first: now,
        last: now,
        closed: false,
    };
    let seen = ProcessSeen {
        id: process,
        comm: comm(&record.comm),
        start: (record.start != 0).then_some(Mono(record.start)),
        ..ProcessSeen::default()
    };
    Some((claim, seen))
}

pub(super) fn comm(bytes: &[u8; 16]) -> Arc<str> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEING: Sight = Sight { seeded: true, uses: true };

    fn row() -> (abi::FlowKey, abi::FlowValue) {
        let mut key = abi::FlowKey {
            cookie: 7,
            local_port: 443,
            remote_port: 5000,
            ifindex: 2,
            tgid: 42,
            generation: 3,
            protocol: 6,
            ip_version: 4,
            ..abi::FlowKey::default()
        };
        key.local_addr[..4].copy_from_slice(&[10, 0, 0, 5]);
        key.remote_addr[..4].copy_from_slice(&[192, 0, 2, 1]);
        let value = abi::FlowValue { method: abi::CLAIM_ACCEPT, socket_type: 1, ..abi::FlowValue::default() };
        (key, value)
    }

    #[test]
    fn a_row_becomes_a_delta() {
        let (key, value) = row();
        let delta = delta(&key, &value, SEEING);
        assert_eq!(delta.flow.local.to_string(), "10.0.0.5:443");
        assert_eq!(delta.flow.remote.to_string(), "192.0.2.1:5000");
        assert_eq!(delta.owner, Some(ProcessId { pid: 42, generation: 3 }));
        assert_eq!((delta.standing, delta.method), (Standing::Firm, Method::Accept));
    }

    #[test]
    fn an_unclaimed_raw_socket_is_the_kernels_only_after_seeding() {
        let (mut key, value) = row();
        // The netns is where a process would be.
        (key.standing, key.tgid) = (abi::STANDING_RAW, 4026);
        let kernels = delta(&key, &value, SEEING);
        assert_eq!((kernels.standing, kernels.owner), (Standing::Kernel, Some(ProcessId::KERNEL)));
        let unclaimed = delta(&key, &value, Sight::default());
        assert_eq!((unclaimed.standing, unclaimed.owner), (Standing::Unclaimed, None));
        (key.standing, key.tgid) = (abi::STANDING_UNCLAIMED, 0);
        assert_eq!(delta(&key, &value, SEEING).standing, Standing::Unclaimed);
    }

    #[test]
    fn a_datagram_socket_that_is_only_made_waits_for_its_user() {
        let (key, mut value) = row();
        (value.socket_type, value.method) = (2, abi::CLAIM_BIND);
        assert_eq!(delta(&key, &value, SEEING).standing, Standing::Made);
        assert_eq!(delta(&key, &value, SEEING).owner, Some(ProcessId { pid: 42, generation: 3 }));
        let blind = Sight { uses: false, ..SEEING };
        assert_eq!(delta(&key, &value, blind).standing, Standing::Firm, "nobody would ever tell");
        value.method = abi::CLAIM_MESSAGE;
        assert_eq!(delta(&key, &value, SEEING).standing, Standing::Firm);
        (value.socket_type, value.method) = (1, abi::CLAIM_CONNECT);
        assert_eq!(delta(&key, &value, SEEING).standing, Standing::Firm, "connecting is use");
    }

    #[test]
    fn a_connection_is_healthy_only_once_it_was_sampled() {
        let (key, mut value) = row();
        value.state = 1;
        assert_eq!(delta(&key, &value, SEEING).tcp, None);
        value.tcp = abi::TcpSample { sampled: 9, srtt: 8 * 250 + 7, cwnd: 10, ..abi::TcpSample::default() };
        let health = delta(&key, &value, SEEING).tcp.unwrap();
        assert_eq!((health.state, health.srtt), (TcpState::Established, Duration::from_micros(250)));
        value.state = 200;
        assert_eq!(delta(&key, &value, SEEING).tcp, None, "a state that nobody knows");
    }

    #[test]
    fn what_a_packet_socket_sends_has_no_ends() {
        let (key, value) = row();
        let key = abi::FlowKey {
            cookie: 7,
            tgid: 42,
            ip_version: abi::PACKET_SOCKET,
            ..abi::FlowKey { local_addr: [0; 16], remote_addr: [0; 16], local_port: 0, remote_port: 0, ..key }
        };
        let key = abi::FlowKey { protocol: 0, ifindex: 0, ..key };
        let delta = delta(&key, &value, SEEING);
        assert_eq!(delta.flow.protocol.to_string(), "packet");
        assert_eq!((delta.flow.local_end(), delta.flow.remote_end()), (None, None));
        assert_eq!(delta.owner, Some(ProcessId { pid: 42, generation: 3 }));
    }

    #[test]
    fn icmp_has_no_ports_and_numbers_out_of_range_are_no_surprise() {
        let (mut key, value) = row();
        (key.protocol, key.local_port, key.remote_port) = (1, 0, 0);
        assert_eq!(delta(&key, &value, SEEING).flow.local.port, None);
        (key.standing, key.ip_version) = (200, 99);
        assert_eq!(delta(&key, &value, SEEING).standing, Standing::Unclaimed);
        assert_eq!(Method::of_claim(250), Method::None);
    }

    #[test]
    fn the_wire_carries_more_than_the_stack_or_less() {
        let gso = abi::Counters {
            tx_skb_bytes: 7292,
            tx_skbs: 1,
            tx_gso_bytes: 208,
            tx_gso_packets: 4,
            rx_skb_bytes: 80,
            rx_skbs: 1,
            rx_gso_bytes: 0_u64.wrapping_sub(8),
            ..abi::Counters::default()
        };
        let counters = counters(&gso);
        assert_eq!((counters.tx_bytes, counters.tx_packets), (7500, 5));
        assert_eq!((counters.rx_bytes, counters.rx_packets), (72, 1));
    }

    #[test]
    fn what_the_kernel_closes_is_not_its_own_for_that() {
        let key = abi::ClaimKey { cookie: 7, ..abi::ClaimKey::default() };
        let mut value = abi::Claim {
            method: abi::CLAIM_RELEASE,
            flags: abi::OWNER_KERNEL | abi::CLAIM_CLOSED,
            ..abi::Claim::default()
        };
        let closed = claim(&key, &value).unwrap();
        assert_eq!((closed.process, closed.method), (ProcessId::KERNEL, Method::Release));
        assert!(closed.closed);
        value.method = abi::CLAIM_TRANSFER;
        assert_eq!(claim(&key, &value).unwrap().method, Method::Kernel);
    }

    #[test]
    fn comm_may_fill_the_field_or_be_no_text() {
        assert_eq!(&*comm(b"0123456789abcdef"), "0123456789abcdef");
        assert_eq!(&*comm(b"\xff\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), "\u{fffd}");
    }
}
