//! Two network namespaces joined by a veth pair on which nothing moves but what a test sends.
//!
//! A device counter is only a witness if nobody else speaks: neighbours are permanent, there is no link-local address,
//! no duplicate address detection, no router solicitation, and `arp off` keeps IPv6 from joining (and announcing with
//! MLD) the solicited-node groups. So the counters stand still from the first moment on.

use crate::netns::{DeviceCounters, Netns};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// Bytes of an Ethernet header: what a device counts beyond the bytes of IP.
pub const ETHERNET: u64 = 14;

/// One end of the pair.
#[derive(Clone, Debug)]
pub struct End {
    /// Where it lives.
    pub netns: Netns,
    /// Name of the device, used nowhere else on the machine.
    pub name: String,
    /// Index of the device.
    pub index: u32,
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
}

/// IP version of a test's traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Version {
    /// Bytes of an IP header without options, plus those of UDP's.
    pub fn udp_headers(self) -> u64 {
        match self {
            Self::V4 => 28,
            Self::V6 => 48,
        }
    }
}

impl End {
    /// What the device counted.
    ///
    /// # Panics
    /// When it is gone.
    pub fn counters(&self) -> DeviceCounters {
        let devices = self.netns.devices();
        *devices.get(&self.name).unwrap_or_else(|| panic!("{} is not among {devices:?}", self.name))
    }

    /// An address of this end; port 0 where the kernel is to choose.
    pub fn address(&self, version: Version, port: u16) -> SocketAddr {
        let ip = match version {
            Version::V4 => IpAddr::V4(self.v4),
            Version::V6 => IpAddr::V6(self.v6),
        };
        SocketAddr::new(ip, port)
    }
}

/// A veth pair, both ends up.
#[derive(Clone, Debug)]
pub struct Pair {
    /// One end; tests put the client here.
    pub a: End,
    /// The other.
    pub b: End,
}

impl Pair {
    /// Makes two namespaces and joins them.
    ///
    /// # Panics
    /// When something is refused.
    pub fn new() -> Self {
        Self::between(Netns::new(), Netns::new(), 0)
    }

    /// Joins two namespaces by the networks 10.77.N.0/24 and fd77:N::/64.
    ///
    /// # Panics
    /// When something is refused.
    pub fn between(first: Netns, second: Netns, network: u8) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let index = 1000 + 2 * number;
        let end = |netns: Netns, letter: char, last: u8, index: u32| End {
            netns,
            name: format!("mt{}{number}{letter}", process::id()),
            index,
            v4: Ipv4Addr::new(10, 77, network, last),
            v6: Ipv6Addr::new(0xfd77, u16::from(network), 0, 0, 0, 0, 0, u16::from(last)),
        };
        let (a, b) = (end(first, 'a', 1, index), end(second, 'b', 2, index + 1));
        a.netns.ip(&format!(
            "link add name {} index {} address {} type veth peer name {} index {} address {} netns {}",
            a.name,
            a.index,
            mac(&a),
            b.name,
            b.index,
            mac(&b),
            b.netns.path(),
        ));
        for (end, other) in [(&a, &b), (&b, &a)] {
            let (netns, name) = (&end.netns, &end.name);
            netns.ip(&format!("link set {name} arp off multicast off addrgenmode none"));
            netns.ip(&format!("addr add {}/24 dev {name}", end.v4));
            netns.ip(&format!("addr add {}/64 dev {name} nodad", end.v6));
            netns.ip(&format!("link set {name} up"));
            for address in [IpAddr::V4(other.v4), IpAddr::V6(other.v6)] {
                netns.ip(&format!("neigh replace {address} lladdr {} dev {name} nud permanent", mac(other)));
            }
        }
        Self { a, b }
    }

    /// Turns GSO, TSO and GRO off on both ends: every packet is then one on the wire, and the devices count it so.
    ///
    /// # Panics
    /// When `ethtool` refuses.
    #[must_use]
    pub fn without_offloads(self) -> Self {
        for End { netns, name, .. } in [&self.a, &self.b] {
            netns.system("ethtool", &format!("-K {name} tso off gso off gro off tx-udp-segmentation off"));
        }
        self
    }
}

impl Default for Pair {
    fn default() -> Self {
        Self::new()
    }
}

fn mac(end: &End) -> String {
    let [_, _, network, last] = end.v4.octets();
    format!("02:00:00:77:{network:02x}:{last:02x}")
}

/// Three namespaces in a row: a client, a router that forwards, a server. Nothing moves but what a test sends.
#[derive(Clone, Debug)]
pub struct Route {
    /// From the client (`a`) to the router (`b`).
    pub near: Pair,
    /// From the router (`a`) to the server (`b`).
    pub far: Pair,
}

impl Route {
    /// Makes the namespaces and the routes.
    ///
    /// # Panics
    /// When something is refused.
    pub fn new() -> Self {
        let (client, router, server) = (Netns::new(), Netns::new(), Netns::new());
        let near = Pair::between(client, router.clone(), 1);
        let far = Pair::between(router.clone(), server, 2);
        router.set("ipv4/ip_forward", "1");
        router.set("ipv6/conf/all/forwarding", "1");
        for (end, gateway) in [(&near.a, &near.b), (&far.b, &far.a)] {
            end.netns.ip(&format!("route add default via {}", gateway.v4));
            end.netns.ip(&format!("route add default via {}", gateway.v6));
        }
        Self { near, far }
    }
}

impl Default for Route {
    fn default() -> Self {
        Self::new()
    }
}
