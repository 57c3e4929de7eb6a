//! The devices of this network namespace: what each counted since it was first looked at, and which are gone.
//!
//! Pure: the links are an argument. Only what changed is reported, and what went once more, for the last time.

use super::join::Join;
use super::links::{self, Stack};
use super::netlink::Link;
use crate::model::{Batch, DeviceRule, InterfaceReport, InterfaceSeen, Mono};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// How long a device that was tapped is kept once it is gone: sockets and balances may still tell of it.
const LINGER: Duration = Duration::from_mins(2);

/// One device.
#[derive(Debug)]
struct Device {
    link: Link,
    rx: u64,
    tx: u64,
    /// Interfaces that are nothing but a part of it, and the bytes of their tags.
    carries: Vec<(u32, u32)>,
    /// The latest look that found it.
    looked: u64,
    /// When it was found to be gone.
    left: Option<Mono>,
    is_named: bool,
    is_changed: bool,
}

/// The devices and their counters, by interface index.
#[derive(Debug, Default)]
pub(super) struct Devices {
    map: BTreeMap<u32, Device>,
    looks: u64,
    /// There was a look since the last report.
    is_fresh: bool,
}

/// What is tapped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taps<'a> {
    pub(super) now: Mono,
    pub(super) rules: &'a HashMap<u32, DeviceRule>,
    pub(super) tapped: &'a HashSet<u32>,
    pub(super) join: &'a Join,
    pub(super) closing: bool,
}

impl Devices {
    /// Takes in what is there; `whole` says that nothing is missing. True where something came, went, or is another.
    pub(super) fn take(&mut self, links: &[Link], whole: bool) -> bool {
        self.looks += 1;
        self.is_fresh = true;
        let mut is_other = false;
        for link in links {
            let device = self.map.entry(link.index).or_insert_with(|| Device {
                link: link.clone(),
                rx: 0,
                tx: 0,
                carries: Vec::new(),
                looked: 0,
                left: None,
                is_named: false,
                is_changed: true,
            });
            let is_new = device.looked == 0 || device.left.take().is_some() || !device.link.is_as(link);
            if is_new {
                device.is_named &= device.link.name == link.name;
                device.is_changed = true;
                is_other = true;
            }
            let rx = advance(device.link.rx_bytes, link.rx_bytes);
            let tx = advance(device.link.tx_bytes, link.tx_bytes);
            (device.rx, device.tx) = (device.rx + rx, device.tx + tx);
            device.is_changed |= rx | tx != 0;
            device.looked = self.looks;
            if is_new {
                device.link = link.clone();
            } else {
                (device.link.rx_bytes, device.link.tx_bytes) = (link.rx_bytes, link.tx_bytes);
            }
        }
        let looks = self.looks;
        if whole {
            is_other |= self.map.values().any(|device| device.looked != looks && device.left.is_none());
        } else {
            self.map.values_mut().for_each(|device| device.looked = looks);
        }
        if is_other {
            self.stack();
        }
        is_other
    }

    /// Says anew what stands on what.
    fn stack(&mut self) {
        let there = self.map.values().filter(|device| device.looked == self.looks);
        let stack = Stack::of(there.map(|device| &device.link));
        let carries = |device: &Device| -> Vec<(u32, u32)> {
            let ways = links::carriers(&stack, &device.link);
            ways.iter().filter(|way| way.1.whole).map(|(upper, way)| (*upper, way.tag)).collect()
        };
        let all: Vec<_> = self.map.iter().map(|(index, device)| (*index, carries(device))).collect();
        for (index, carries) in all {
            if let Some(device) = self.map.get_mut(&index).filter(|device| device.carries != carries) {
                (device.carries, device.is_changed) = (carries, true);
            }
        }
    }

    /// What a device is.
    pub(super) fn link(&self, index: u32) -> Option<&Link> {
        self.map.get(&index).map(|device| &device.link)
    }

    /// The ledger of a tapped interface begins with the tap.
    pub(super) fn restart(&mut self, index: u32) {
        if let Some(device) = self.map.get_mut(&index) {
            (device.rx, device.tx) = (0, 0);
        }
    }

    /// Tells what changed, and the names that are new. Gives those that are gone and forgotten.
    pub(super) fn report(&mut self, netns: u64, taps: Option<Taps<'_>>, out: &mut Batch) -> Vec<u32> {
        if !std::mem::take(&mut self.is_fresh) && taps.is_none() {
            return Vec::new();
        }
        let mut lines = taps.map(|taps| taps.join.lines(taps.now, taps.closing)).unwrap_or_default();
        let mut forgotten = Vec::new();
        for (index, device) in &mut self.map {
            let (ifindex, name) = (*index, Arc::clone(&device.link.name));
            if !std::mem::replace(&mut device.is_named, true) {
                out.interfaces.push(InterfaceSeen { netns, ifindex, name: Arc::clone(&name) });
            }
            let tapped = taps.filter(|taps| taps.tapped.contains(index));
            let mut gone = device.looked != self.looks;
            if let Some(taps) = tapped.filter(|_| gone) {
                let left = *device.left.get_or_insert(taps.now);
                gone = taps.now.since(left) >= LINGER && !taps.join.has(ifindex);
            }
            if gone {
                forgotten.push(ifindex);
            }
            let is_news = std::mem::take(&mut device.is_changed) || gone || tapped.is_some();
            if !is_news || taps.is_some_and(|taps| !taps.rules.contains_key(index)) {
                continue;
            }
            out.reports.push(InterfaceReport {
                netns,
                ifindex,
                name,
                rule: links::rule(&device.link),
                rx_device: device.rx,
                tx_device: device.tx,
                carries: device.carries.clone(),
                tap: tapped.map(|_| lines.remove(index).unwrap_or_default()),
                gone,
            });
        }
        for index in &forgotten {
            self.map.remove(index);
        }
        forgotten
    }
}

/// What a counter gained. One that fell belongs to a new device with the old one's index.
fn advance(before: u64, after: u64) -> u64 {
    after.checked_sub(before).unwrap_or(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, bytes: u64) -> Link {
        Link {
            index,
            name: format!("veth{index}").into(),
            kind: "veth".to_owned(),
            hardware: libc::ARPHRD_ETHER,
            rx_bytes: bytes,
            tx_bytes: 2 * bytes,
            ..Link::default()
        }
    }

    /// (ifindex, rx, gone) of what is reported, and the names that are told.
    fn reported(devices: &mut Devices) -> (Vec<(u32, u64, bool)>, usize) {
        let mut out = Batch::default();
        devices.report(1, None, &mut out);
        let one = |report: &InterfaceReport| (report.ifindex, report.rx_device, report.gone);
        (out.reports.iter().map(one).collect(), out.interfaces.len())
    }

    #[test]
    fn a_counter_that_fell_starts_anew() {
        assert_eq!((advance(5, 9), advance(9, 5)), (4, 5));
    }

    #[test]
    fn ten_thousand_interfaces_are_told_once_and_then_those_that_changed() {
        let mut links: Vec<Link> = (1..=10_000).map(|index| link(index, 7)).collect();
        let mut devices = Devices::default();
        assert!(devices.take(&links, true));
        let (first, names) = reported(&mut devices);
        assert_eq!((first.len(), names), (10_000, 10_000));
        assert_eq!(reported(&mut devices), (vec![], 0), "nothing was looked at");
        links[4].rx_bytes += 5;
        assert!(!devices.take(&links, true), "a counter is no other interface");
        assert_eq!(reported(&mut devices), (vec![(5, 5, false)], 0));
    }

    #[test]
    fn what_is_gone_is_told_once_more_and_forgotten() {
        let mut devices = Devices::default();
        for round in 0..1_000 {
            let index = 10 + round;
            devices.take(&[link(1, 0), link(index, 0)], true);
            devices.take(&[link(1, 0), link(index, 3)], true);
            reported(&mut devices);
            assert!(devices.take(&[link(1, 0)], true), "it went");
            assert_eq!(reported(&mut devices), (vec![(index, 3, true)], 0));
            assert_eq!(devices.map.len(), 1);
        }
    }

    #[test]
    fn an_interrupted_listing_makes_nothing_go() {
        let mut devices = Devices::default();
        devices.take(&[link(1, 0), link(2, 0)], true);
        reported(&mut devices);
        devices.take(&[link(1, 0)], false);
        assert_eq!(reported(&mut devices), (vec![], 0));
        devices.take(&[link(1, 0), link(2, 4)], true);
        assert_eq!(reported(&mut devices), (vec![(2, 4, false)], 0));
    }
}
