//! Who talks to whom: sockets, endpoints, protocols.

use std::fmt;
use std::net::IpAddr;

/// A socket, by its kernel cookie (unique since boot); 0 where the packet had none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub u64);

/// An IP protocol number (IANA).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Protocol(pub u8);

impl Protocol {
    /// ICMP.
    pub const ICMP: Self = Self(1);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// ICMP for IPv6.
    pub const ICMPV6: Self = Self(58);
    /// SCTP.
    pub const SCTP: Self = Self(132);
    /// UDP-Lite.
    pub const UDPLITE: Self = Self(136);

    /// The lower-case name where it has one here.
    pub fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            1 => "icmp",
            2 => "igmp",
            4 => "ipip",
            6 => "tcp",
            17 => "udp",
            33 => "dccp",
            41 => "ipv6",
            47 => "gre",
            50 => "esp",
            51 => "ah",
            58 => "icmpv6",
            132 => "sctp",
            136 => "udplite",
            _ => return None,
        })
    }
}

impl fmt::Display for Protocol {
    /// The name, or `ip-N`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => f.pad(&format!("ip-{}", self.0)),
        }
    }
}

/// One end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// The address.
    pub addr: IpAddr,
    /// The port in host order; `None` where the protocol has none.
    pub port: Option<u16>,
}

impl fmt::Display for Endpoint {
    /// `1.2.3.4:80`, `[::1]:80`, or the bare address where there is no port.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.addr, self.port) {
            (IpAddr::V6(addr), Some(port)) => f.pad(&format!("[{addr}]:{port}")),
            (addr, Some(port)) => f.pad(&format!("{addr}:{port}")),
            (addr, None) => f.pad(&addr.to_string()),
        }
    }
}

/// A flow: one socket, one pair of ends, one interface. Its owner is not part of it, because a socket can change hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId {
    /// The socket that moved the bytes.
    pub socket: SocketId,
    /// IP protocol.
    pub protocol: Protocol,
    /// This host's end.
    pub local: Endpoint,
    /// The other end.
    pub remote: Endpoint,
    /// Netns cookie, 0 where unknown. Interface indices and addresses mean something only within it.
    pub netns: u64,
    /// Interface index within the netns, 0 where unknown.
    pub ifindex: u32,
}
