//! Flows: who talks to whom, as sockets, endpoints, protocols.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

/// A socket, by its kernel cookie (unique since boot); 0 where the packet had none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub u64);

impl SocketId {
    /// In the ids that stand for a pair of ends. The kernel counts its cookies up from 0 and does not get there.
    const BY_ENDS: u64 = 1 << 63;

    /// Stands for a socket that is known by its ends only, where packets were captured.
    pub fn of_ends(protocol: Protocol, local: Endpoint, remote: Endpoint) -> Self {
        let mut hasher = DefaultHasher::new();
        (protocol, local, remote).hash(&mut hasher);
        Self(hasher.finish() | Self::BY_ENDS)
    }

    /// The kernel's cookie; `None` where there is none.
    pub fn cookie(self) -> Option<u64> {
        (self.0 != 0 && !self.is_of_ends()).then_some(self.0)
    }

    /// Whether it stands for a pair of ends.
    pub fn is_of_ends(self) -> bool {
        self.0 & Self::BY_ENDS != 0
    }
}

/// What a flow speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// An IP protocol number (IANA).
    Ip(u8),
    /// Not IP: the type of the link-layer header (IEEE 802), or `ETH_P_*` of linux/if_ether.h where a frame has none.
    Link(u16),
}

impl Default for Protocol {
    fn default() -> Self {
        Self::Ip(0)
    }
}

impl Protocol {
    /// ICMP.
    pub const ICMP: Self = Self::Ip(1);
    /// TCP.
    pub const TCP: Self = Self::Ip(6);
    /// UDP.
    pub const UDP: Self = Self::Ip(17);
    /// DCCP.
    pub const DCCP: Self = Self::Ip(33);
    /// ICMP for IPv6.
    pub const ICMPV6: Self = Self::Ip(58);
    /// SCTP.
    pub const SCTP: Self = Self::Ip(132);
    /// UDP-Lite.
    pub const UDPLITE: Self = Self::Ip(136);
    /// What a packet socket sent, whatever is in it (`ETH_P_ALL`).
    pub const PACKET: Self = Self::Link(0x0003);
    /// ARP.
    pub const ARP: Self = Self::Link(0x0806);

    /// Whether its ends have ports.
    pub fn has_ports(self) -> bool {
        matches!(self, Self::TCP | Self::UDP | Self::DCCP | Self::SCTP | Self::UDPLITE)
    }

    /// Whether it carries other packets, so that no socket of a process need be behind it: IP in IP, IPv6 in IP, GRE, ESP, AH,
    /// Ethernet in IP, L2TP, MPLS in IP (IANA protocol numbers).
    pub fn is_tunnel(self) -> bool {
        matches!(self, Self::Ip(4 | 41 | 47 | 50 | 51 | 97 | 115 | 137))
    }

    /// Its number: of the IP protocol, or of the link-layer type above all of those.
    pub fn number(self) -> u32 {
        match self {
            Self::Ip(number) => number.into(),
            Self::Link(kind) => 0x1_0000 + u32::from(kind),
        }
    }

    /// The lower-case name where it has one here.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Ip(number) => ip_name(number),
            Self::Link(kind) => link_name(kind),
        }
    }
}

fn ip_name(number: u8) -> Option<&'static str> {
    Some(match number {
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

fn link_name(kind: u16) -> Option<&'static str> {
    Some(match kind {
        0x0003 => "packet",
        0x0004 => "llc",
        0x0806 => "arp",
        0x8035 => "rarp",
        0x8100 | 0x88a8 | 0x9100 => "vlan",
        0x8809 => "lacp",
        0x8847 | 0x8848 => "mpls",
        0x8863 | 0x8864 => "pppoe",
        0x888e => "eapol",
        0x88cc => "lldp",
        0x88e5 => "macsec",
        0x88f7 => "ptp",
        _ => return None,
    })
}

impl fmt::Display for Protocol {
    /// The name, `ip-N`, or `eth-XXXX`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self) {
            (Some(name), _) => f.pad(name),
            (None, Self::Ip(number)) => f.pad(&format!("ip-{number}")),
            (None, Self::Link(kind)) => f.pad(&format!("eth-{kind:04x}")),
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

impl FlowId {
    /// This host's end; `None` where the protocol has no addresses of IP.
    pub fn local_end(&self) -> Option<Endpoint> {
        matches!(self.protocol, Protocol::Ip(_)).then_some(self.local)
    }

    /// The other end; `None` where the protocol has no addresses of IP.
    pub fn remote_end(&self) -> Option<Endpoint> {
        matches!(self.protocol, Protocol::Ip(_)).then_some(self.remote)
    }
}
