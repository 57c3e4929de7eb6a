//! The interface view: what devices carried, told from what sockets saw.
//!
//! Without `-i` it only reads the devices' own counters, for the ledger. With `-i` it keeps a tap on each named
//! interface, follows interfaces that come and go, and turns what the taps counted into deltas of what no socket saw.

mod devices;
mod join;
mod links;
mod netlink;
mod tap;

use super::bpf;
use super::decode;
use crate::model::{Batch, Degradation, Delta, DeviceRule, Mono, Protocol, Standing};
use crate::procfs::netns_cookie;
use crate::source::SourceError;
use devices::{Devices, Taps};
use join::{Conversation, Join, Moved, Scene, TapRow};
use links::Carrier;
use monitor_common as abi;
use netlink::Link;
use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Instant;
use tap::Tap;

/// The part of the time that reading the devices' counters may take where no interface is tapped, as its inverse.
const SHARE: u32 = 500;

/// The programs of taps.
#[derive(Debug, Default)]
pub(super) struct Programs {
    /// For devices with Ethernet headers.
    pub(super) frames: Option<OwnedFd>,
    /// For devices without.
    pub(super) packets: Option<OwnedFd>,
}

/// What was drained from the interface table.
#[derive(Debug, Default)]
pub(super) struct Drained {
    pub(super) rows: Vec<(abi::TapKey, abi::TapValue)>,
    pub(super) overflow: Vec<(abi::TapOverflowKey, abi::TapValue)>,
    pub(super) wires: Vec<(abi::WireKey, abi::Tuple)>,
}

/// The interface view, with its taps.
#[derive(Debug)]
pub(super) struct View {
    names: Vec<String>,
    promiscuous: bool,
    scoped: bool,
    programs: Programs,
    netns: u64,
    events: Option<OwnedFd>,
    links: Vec<Link>,
    devices: Devices,
    taps: HashMap<u32, Tap>,
    /// Interfaces that are tapped, or were until a while ago: their lines stay as long.
    tapped: HashSet<u32>,
    rules: HashMap<u32, DeviceRule>,
    carriers: HashMap<u32, Vec<Carrier>>,
    join: Join,
    notices: Vec<Degradation>,
    /// No look at the devices before this.
    next_look: Option<Instant>,
}

/// Checks that the named interfaces exist.
///
/// # Errors
/// One sentence that names those that do.
pub(super) fn check(names: &[String]) -> Result<(), SourceError> {
    if names.is_empty() {
        return Ok(());
    }
    let (links, _) = netlink::links()
        .map_err(|error| SourceError::new(format!("cannot list the interfaces: {error}; run it as root")))?;
    let Some(missing) = names.iter().find(|name| !links.iter().any(|link| *link.name == ***name)) else {
        return Ok(());
    };
    let there: Vec<&str> = links.iter().map(|link| &*link.name).collect();
    Err(SourceError::new(format!(
        "-i {}: there is no such interface; name one of: {}",
        missing.escape_debug(),
        there.join(", ")
    )))
}

impl View {
    /// A view of the named interfaces; of none, where the list is empty.
    pub(super) fn open(names: &[String], promiscuous: bool, scoped: bool, programs: Programs) -> Self {
        let mut view = Self {
            names: names.to_vec(),
            promiscuous,
            scoped,
            programs,
            netns: netns_cookie(),
            events: None,
            links: Vec::new(),
            devices: Devices::default(),
            taps: HashMap::new(),
            tapped: HashSet::new(),
            rules: HashMap::new(),
            carriers: HashMap::new(),
            join: Join::default(),
            notices: Vec::new(),
            next_look: None,
        };
        if view.active() {
            view.events = netlink::events().ok();
        }
        view.look(false);
        view
    }

    /// Whether interfaces were asked for.
    pub(super) fn active(&self) -> bool {
        !self.names.is_empty()
    }

    /// Whether an interface came, went or changed.
    pub(super) fn urgent(&self) -> bool {
        self.events.as_ref().is_some_and(netlink::heard)
    }

    /// What a user misses right now.
    pub(super) fn notices(&self) -> &[Degradation] {
        &self.notices
    }

    /// Reads the devices and follows the named ones; without any, only now and then and at the last. Right before the halves are switched, so that the devices and the
    /// tables tell of the same time.
    pub(super) fn look(&mut self, last: bool) {
        let started = Instant::now();
        if !last && !self.active() && self.next_look.is_some_and(|next| started < next) {
            return;
        }
        match netlink::links() {
            Ok((links, whole)) => {
                self.links = links;
                self.devices.take(&self.links, whole);
            }
            Err(error) => {
                log::warn!("cannot read the interfaces: {error}");
                return;
            }
        }
        self.next_look = Some(started + started.elapsed() * SHARE);
        if self.active() {
            self.follow();
        }
    }

    /// Opens taps on named interfaces that are there, and lets go of those that are not.
    fn follow(&mut self) {
        let wanted: Vec<Link> = self
            .links
            .iter()
            .filter(|link| self.names.iter().any(|name| **name == *link.name))
            .cloned()
            .collect();
        self.taps.retain(|index, _| wanted.iter().any(|link| link.index == *index));
        self.notices.clear();
        for name in &self.names {
            if !wanted.iter().any(|link| *link.name == **name) {
                self.notices.push(Degradation {
                    what: format!("nothing is counted on {name}"),
                    why: "the interface is gone".to_owned(),
                    fix: "none needed: it is counted again as soon as it is back".to_owned(),
                });
            }
        }
        for link in &wanted {
            if !self.taps.contains_key(&link.index) {
                self.tap(link);
            }
        }
        self.rules.extend(wanted.iter().map(|link| (link.index, links::rule(link))));
        self.carriers.clear();
        let stack = links::Stack::of(self.links.iter());
        for link in &wanted {
            for (upper, carrier) in links::carriers(&stack, link) {
                self.carriers.entry(upper).or_default().push(carrier);
            }
        }
        // What a tap counted before its interface went still has to find its sockets.
        for index in self.tapped.iter().filter(|index| !wanted.iter().any(|link| link.index == **index)) {
            let carrier = Carrier { tap: *index, vlan: 0, tag: 0, whole: true };
            self.carriers.entry(*index).or_default().push(carrier);
        }
    }

    fn tap(&mut self, link: &Link) {
        let frames = links::has_frames(link);
        let program = if frames { &self.programs.frames } else { &self.programs.packets };
        let opened = match program {
            // Without it nothing can be joined, and what sockets saw would look like nobody's.
            _ if self.netns == 0 => {
                Err("the kernel does not tell namespaces apart (SO_NETNS_COOKIE)".to_owned())
            }
            Some(program) => {
                use std::os::fd::AsFd;
                Tap::open(link.index, program.as_fd(), self.promiscuous).map_err(|error| error.to_string())
            }
            None => Err("the kernel refused the program".to_owned()),
        };
        match opened {
            Ok(tap) => {
                self.taps.insert(link.index, tap);
                if self.tapped.insert(link.index) {
                    self.devices.restart(link.index);
                }
            }
            Err(why) => self.notices.push(Degradation {
                what: format!(
                    "on {} only what sockets see is counted, nothing forwarded and no ARP",
                    link.name
                ),
                why,
                fix: "run it as root on Linux 5.14 or newer, or allow CAP_NET_RAW".to_owned(),
            }),
        }
    }

    /// Stops the taps; what they counted is still in the tables.
    pub(super) fn stop(&mut self) {
        self.taps.clear();
    }

    /// Takes in one drain: keeps the socket rows of the named interfaces, adds what no socket saw, and reports.
    pub(super) fn take(&mut self, drained: &Drained, now: Mono, closing: bool, out: &mut Batch) {
        if self.active() {
            self.restrict(drained, now, closing, out);
        }
        self.report(now, closing, out);
    }

    fn restrict(&mut self, drained: &Drained, now: Mono, closing: bool, out: &mut Batch) {
        let addresses = netlink::addresses().unwrap_or_default();
        let scene = Scene {
            now,
            netns: self.netns,
            addresses: &addresses,
            carriers: &self.carriers,
            rules: &self.rules,
            scoped: self.scoped,
            full: !out.unplaced.is_empty(),
            closing,
        };
        for (key, wire) in &drained.wires {
            let (own, wire) = (decode::tuple(&key.socket), decode::tuple(wire));
            self.join.learn(own, wire, &scene);
        }
        for (key, value) in &drained.rows {
            let Some(rule) = self.rules.get(&key.ifindex) else { continue };
            for row in tap_rows(key, value, *rule, self.devices.link(key.ifindex)) {
                self.join.carried(&row, &scene);
            }
        }
        for (key, value) in &drained.overflow {
            let sent = key.direction == u32::from(abi::TAP_SENT);
            self.join.overflowed(key.ifindex, sent, signed(value.device_bytes));
        }
        // They have no interface, and the taps have counted what they carried.
        out.unplaced.clear();
        let join = &mut self.join;
        // The outside of what another interface carried is what the tap says of it.
        out.deltas.retain(|delta| !matches!(delta.standing, Standing::Unseen(_)) && join.seen(delta, &scene));
        let mut unseen: Vec<Delta> = Vec::new();
        if !self.tapped.is_empty() {
            join.settle(&scene, &mut unseen);
        }
        out.deltas.append(&mut unseen);
    }

    fn report(&mut self, now: Mono, closing: bool, out: &mut Batch) {
        let Self { rules, tapped, join, .. } = self;
        let taps = Taps { now, rules, tapped, join, closing };
        let taps = Some(taps).filter(|_| !self.names.is_empty());
        for index in self.devices.report(self.netns, taps, out) {
            self.tapped.remove(&index);
            self.rules.remove(&index);
            self.join.forget(index);
        }
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A row of the kernel's table in the device's unit. `lo` shows each packet once, received; it was sent there as well.
fn tap_rows(key: &abi::TapKey, value: &abi::TapValue, rule: DeviceRule, link: Option<&Link>) -> Vec<TapRow> {
    let moved = Moved {
        bytes: signed(value.bytes),
        packets: signed(value.packets),
        skb_bytes: signed(value.skb_bytes),
        skbs: signed(value.skbs),
    };
    let header = if link.is_none_or(links::has_frames) { 14 } else { 0 };
    let row = |sent: bool| {
        let counts = if sent { rule.tx_link } else { rule.rx_link };
        let device = match rule.unit {
            crate::model::Unit::Stack => {
                signed(value.device_bytes) + (i64::from(counts) - header) * signed(value.skbs)
            }
            crate::model::Unit::Wire => signed(value.link_bytes),
        };
        TapRow { conversation: conversation(key, sent), moved, device }
    };
    if link.is_some_and(|link| link.hardware == libc::ARPHRD_LOOPBACK) {
        return vec![row(false), row(true)];
    }
    vec![row(key.direction == abi::TAP_SENT)]
}

fn conversation(key: &abi::TapKey, sent: bool) -> Conversation {
    let protocol = match key.ip_version {
        4 | 6 => Protocol::Ip(key.protocol),
        _ => Protocol::Link(key.ethertype),
    };
    let tuple = abi::Tuple {
        local_addr: key.src_addr,
        remote_addr: key.dst_addr,
        local_port: key.src_port,
        remote_port: key.dst_port,
        protocol: key.protocol,
        ip_version: if key.ip_version == 6 { 6 } else { 4 },
        pad: [0; 2],
    };
    let (_, source, destination) = decode::tuple(&tuple);
    let (local, remote) = if sent { (source, destination) } else { (destination, source) };
    Conversation {
        tap: key.ifindex,
        vlan: key.vlan,
        sent,
        other_host: key.direction == abi::TAP_OTHER_HOST,
        fragment: key.fragment != 0,
        protocol,
        local,
        remote,
    }
}

/// Takes everything out of one half of the interface table, and the wire tuples.
///
/// # Errors
/// The kernel's.
pub(super) fn drain(
    taps: BorrowedFd<'_>,
    overflow: BorrowedFd<'_>,
    wire: BorrowedFd<'_>,
    into: &mut Drained,
) -> io::Result<()> {
    bpf::drain(taps, &mut into.rows)?;
    bpf::drain(overflow, &mut into.overflow)?;
    bpf::drain(wire, &mut into.wires)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_interface_is_named_with_those_that_exist() {
        let error = check(&["lo".to_owned(), "no\u{1b}such".to_owned()]).unwrap_err();
        assert!(
            error.message.starts_with("-i no\\u{1b}such: there is no such interface; name one of: "),
            "{error}"
        );
        assert!(error.message.contains("lo"), "{error}");
        assert!(check(&["lo".to_owned()]).is_ok());
    }

    #[test]
    fn loopback_sends_what_it_receives() {
        let key = abi::TapKey {
            ifindex: 1,
            ethertype: 0x0800,
            ip_version: 4,
            protocol: 6,
            src_port: 9,
            ..abi::TapKey::default()
        };
        let value =
            abi::TapValue { bytes: 40, packets: 1, skb_bytes: 40, skbs: 1, link_bytes: 54, device_bytes: 54 };
        let link = Link { index: 1, hardware: libc::ARPHRD_LOOPBACK, ..Link::default() };
        let rows = tap_rows(&key, &value, links::rule(&link), Some(&link));
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].conversation.local, rows[1].conversation.remote);
        assert!(rows.iter().all(|row| row.device == 40));
    }
}
