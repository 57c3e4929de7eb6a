//! What stands on what, and how each device counts: pure knowledge of Linux's drivers.

use super::netlink::Link;
use crate::model::{DeviceRule, Unit};
use std::collections::HashMap;

/// Bytes of an Ethernet header.
const ETHERNET: u32 = 14;
/// Bytes of a VLAN tag.
const TAG: u32 = 4;
/// Interfaces on top of each other that are followed; a loop among them ends there.
const MAX_DEPTH: u32 = 8;

/// Whether packets of the device begin with an Ethernet header.
pub(super) fn has_frames(link: &Link) -> bool {
    matches!(link.hardware, libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK)
}

/// How the device counts. Software devices add `skb->len` (drivers/net/veth.c, tun.c; loopback.c after the header is
/// off, net/8021q and net/bridge on receive, too); virtio-net counts super-packets; other hardware counts the wire.
pub(super) fn rule(link: &Link) -> DeviceRule {
    let header = if has_frames(link) { ETHERNET } else { 0 };
    let unit = if link.kind.is_empty() && link.hardware != libc::ARPHRD_LOOPBACK && link.bus != "virtio" {
        Unit::Wire
    } else {
        Unit::Stack
    };
    let looped = link.hardware == libc::ARPHRD_LOOPBACK;
    let rx_link = if looped || matches!(link.kind.as_str(), "vlan" | "bridge") { 0 } else { header };
    DeviceRule { unit, rx_link, tx_link: if looped { 0 } else { header } }
}

/// A way from the interface that a socket sees to one that is tapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Carrier {
    /// The tapped interface.
    pub(super) tap: u32,
    /// VLAN id of the outermost tag there.
    pub(super) vlan: u16,
    /// Bytes of tags that the tapped device counts.
    pub(super) tag: u32,
    /// All that the upper one moves passes here: not so for the port of a bridge or bond.
    pub(super) whole: bool,
}

/// Which interface stands on which, made once for all of them.
pub(super) struct Stack<'l> {
    masters: HashMap<u32, u32>,
    links: HashMap<u32, &'l Link>,
    stacked: HashMap<u32, Vec<&'l Link>>,
}

impl<'l> Stack<'l> {
    /// Of all the interfaces of a namespace.
    pub(super) fn of(links: impl Iterator<Item = &'l Link>) -> Self {
        let mut stack = Self { masters: HashMap::new(), links: HashMap::new(), stacked: HashMap::new() };
        for link in links {
            stack.links.insert(link.index, link);
            stack.masters.extend(link.master.map(|master| (link.index, master)));
            let lower = link.lower.filter(|_| matches!(link.kind.as_str(), "vlan" | "macvlan" | "ipvlan"));
            if let Some(lower) = lower {
                stack.stacked.entry(lower).or_default().push(link);
            }
        }
        stack
    }

    /// What stands on an interface, and whether as the bridge or bond that it is a port of.
    fn above(&self, index: u32) -> impl Iterator<Item = (&'l Link, bool)> {
        let master = self.masters.get(&index).and_then(|master| self.links.get(master));
        let stacked = self.stacked.get(&index).into_iter().flatten();
        stacked.map(|link| (*link, false)).chain(master.map(|link| (*link, true)))
    }
}

/// For every interface that stands on `tap`, itself included, the way there.
pub(super) fn carriers(stack: &Stack<'_>, tap: &Link) -> Vec<(u32, Carrier)> {
    let unit = rule(tap).unit;
    let mut found = vec![(tap.index, Carrier { tap: tap.index, vlan: 0, tag: 0, whole: true })];
    let mut depths = HashMap::from([(tap.index, (0, 0))]);
    let mut next = 0;
    while let Some((index, carrier)) = found.get(next).copied() {
        next += 1;
        let (depth, tags) = depths.get(&index).copied().unwrap_or_default();
        for (upper, port) in stack.above(index) {
            if depths.contains_key(&upper.index) || depth >= MAX_DEPTH {
                continue;
            }
            let tags = tags + u32::from(upper.vlan.is_some());
            // A software device does not count the one tag that the kernel keeps beside the data.
            let counted = if unit == Unit::Wire { tags } else { tags.saturating_sub(1) };
            let way = Carrier {
                tap: tap.index,
                // The lowest one's tag is the outermost.
                vlan: if carrier.vlan == 0 { upper.vlan.unwrap_or(0) } else { carrier.vlan },
                tag: TAG * counted,
                whole: carrier.whole && !port,
            };
            depths.insert(upper.index, (depth + 1, tags));
            found.push((upper.index, way));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, kind: &str, lower: Option<u32>, vlan: Option<u16>) -> Link {
        Link { index, kind: kind.to_owned(), lower, vlan, hardware: libc::ARPHRD_ETHER, ..Link::default() }
    }

    #[test]
    fn vlans_macvlans_and_bridges_stand_on_a_device() {
        let mut links = [
            link(2, "", None, None),
            link(3, "vlan", Some(2), Some(7)),
            link(4, "vlan", Some(3), Some(8)),
            link(5, "macvlan", Some(2), None),
            link(6, "bridge", None, None),
            link(7, "veth", Some(2), None),
        ];
        links[3].master = Some(6);
        let found = carriers(&Stack::of(links.iter()), &links[0]);
        let way = |index: u32| found.iter().find(|(at, _)| *at == index).map(|(_, way)| *way);
        assert_eq!(way(2), Some(Carrier { tap: 2, vlan: 0, tag: 0, whole: true }));
        assert_eq!(way(3), Some(Carrier { tap: 2, vlan: 7, tag: 4, whole: true }));
        assert_eq!(way(4), Some(Carrier { tap: 2, vlan: 7, tag: 8, whole: true }));
        assert_eq!(way(5), Some(Carrier { tap: 2, vlan: 0, tag: 0, whole: true }));
        assert_eq!(way(6), Some(Carrier { tap: 2, vlan: 0, tag: 0, whole: false }));
        assert_eq!(way(7), None, "the peer of a veth stands on nothing");
    }

    #[test]
    fn a_loop_ends() {
        let links = [link(2, "macvlan", Some(3), None), link(3, "macvlan", Some(2), None)];
        assert_eq!(carriers(&Stack::of(links.iter()), &links[0]).len(), 2);
    }

    #[test]
    fn devices_count_in_their_own_way() {
        let stack = |rx_link, tx_link| DeviceRule { unit: Unit::Stack, rx_link, tx_link };
        assert_eq!(rule(&link(2, "veth", None, None)), stack(14, 14));
        assert_eq!(rule(&link(2, "vlan", None, None)), stack(0, 14));
        let lo = Link { hardware: libc::ARPHRD_LOOPBACK, ..Link::default() };
        assert_eq!(rule(&lo), stack(0, 0));
        let tun = Link { hardware: libc::ARPHRD_NONE, ..link(2, "tun", None, None) };
        assert_eq!(rule(&tun), stack(0, 0));
        assert_eq!(rule(&link(2, "", None, None)).unit, Unit::Wire);
        let virtio = Link { bus: "virtio".to_owned(), ..link(2, "", None, None) };
        assert_eq!(rule(&virtio), stack(14, 14));
    }
}
