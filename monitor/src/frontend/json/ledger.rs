//! The ledger in the object: the sums over everything counted, and one entry per interface.

use crate::model::{self, InterfaceLedger, InterfaceSide, LedgerSide, TapSide};
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Ledger<'s> {
    rx: Side,
    tx: Side,
    interfaces: Vec<Interface<'s>>,
}

/// L3 wire bytes. What devices counted is never added up, so `device` and `remainder` are null for ever; schema 1 has
/// promised their names.
#[derive(Serialize)]
struct Side {
    counted: u64,
    attributed: u64,
    kernel: u64,
    pending: u64,
    ambiguous: u64,
    unknown: u64,
    overflow: u64,
    injected: u64,
    device: (),
    forwarded: Option<u64>,
    remainder: (),
}

#[derive(Serialize)]
struct Interface<'s> {
    netns: Option<u64>,
    ifindex: u32,
    name: Option<&'s str>,
    rx: Carried,
    tx: Carried,
    capture: Option<Capture>,
}

/// Packets, as the capture of the interface counted them.
#[derive(Serialize)]
struct Capture {
    received: u64,
    dropped: u64,
    if_dropped: u64,
    malformed: u64,
    excluded: u64,
}

impl From<model::Capture> for Capture {
    fn from(capture: model::Capture) -> Self {
        let model::Capture { received, dropped, if_dropped, malformed, excluded } = capture;
        Self { received, dropped, if_dropped, malformed, excluded }
    }
}

/// Bytes as the device itself counts them. What needs a tap (`-i`) is null without one.
#[derive(Serialize)]
struct Carried {
    device: Option<u64>,
    attributed: u64,
    kernel: u64,
    pending: u64,
    ambiguous: u64,
    unknown: u64,
    not_at_sockets: Option<i64>,
    overflow: Option<i64>,
    forwarded: Option<i64>,
    socketless: Option<i64>,
    encapsulation: Option<i64>,
    link: Option<i64>,
    other_hosts: Option<i64>,
    stacked: Option<i64>,
    fragment_headers: Option<i64>,
    extra_copies: Option<i64>,
    dropped: Option<i64>,
    in_flight: Option<i64>,
    framing: Option<i64>,
    remainder: Option<i64>,
}

impl<'s> Ledger<'s> {
    /// With the interfaces of which something changed in the snapshot of that number; all of them where `None`.
    pub(super) fn new(ledger: &'s model::Ledger, changed: Option<u64>) -> Self {
        let is_listed = |one: &&InterfaceLedger| changed.is_none_or(|number| one.changed == number);
        let interfaces = ledger.interfaces.iter().map(|one| &**one).filter(is_listed);
        Self {
            rx: Side::new(&ledger.rx),
            tx: Side::new(&ledger.tx),
            interfaces: interfaces.map(Interface::new).collect(),
        }
    }
}

impl Side {
    fn new(side: &LedgerSide) -> Self {
        let LedgerSide { counted, attributed, kernel, pending, ambiguous, .. } = *side;
        let LedgerSide { unknown, overflow, injected, forwarded, .. } = *side;
        Self {
            counted,
            attributed,
            kernel,
            pending,
            ambiguous,
            unknown,
            overflow,
            injected,
            device: (),
            forwarded,
            remainder: (),
        }
    }
}

impl<'s> Interface<'s> {
    fn new(interface: &'s InterfaceLedger) -> Self {
        Self {
            netns: Some(interface.netns).filter(|cookie| *cookie != 0),
            ifindex: interface.ifindex,
            name: Some(&*interface.name).filter(|name| !name.is_empty()),
            rx: Carried::new(&interface.rx),
            tx: Carried::new(&interface.tx),
            capture: interface.capture.map(Capture::from),
        }
    }
}

impl Carried {
    fn new(side: &InterfaceSide) -> Self {
        let tap = |line: fn(&TapSide) -> i64| side.tap.as_ref().map(line);
        Self {
            device: side.device,
            attributed: side.attributed,
            kernel: side.kernel,
            pending: side.pending,
            ambiguous: side.ambiguous,
            unknown: side.unknown,
            not_at_sockets: side.not_at_sockets,
            overflow: tap(|tap| tap.overflow),
            forwarded: tap(|tap| tap.forwarded),
            socketless: tap(|tap| tap.socketless),
            encapsulation: tap(|tap| tap.encapsulation),
            link: tap(|tap| tap.link),
            other_hosts: tap(|tap| tap.other_hosts),
            stacked: tap(|tap| tap.stacked),
            fragment_headers: tap(|tap| tap.fragment_headers),
            extra_copies: tap(|tap| tap.extra_copies),
            dropped: tap(|tap| tap.dropped),
            in_flight: tap(|tap| tap.in_flight),
            framing: tap(|tap| tap.framing),
            remainder: side.remainder,
        }
    }
}
