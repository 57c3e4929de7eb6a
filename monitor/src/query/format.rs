//! Cell formatting: units, and names in place of addresses and ports.

use super::number::Units;
use crate::model::{Endpoint, Protocol, Snapshot};
use std::borrow::Cow;
use std::net::IpAddr;

/// What the user wants to read. Machine output does not ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Notation {
    /// Units of rates and totals.
    pub units: Units,
    /// Host names in place of addresses, where they are known.
    pub hosts: bool,
    /// Service names in place of port numbers, where they are known.
    pub services: bool,
    /// Ports beside addresses.
    pub ports: bool,
}

impl Default for Notation {
    fn default() -> Self {
        Self { units: Units::default(), hosts: true, services: true, ports: true }
    }
}

/// A notation with the snapshot whose rows are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format<'n> {
    /// What is wanted.
    pub notation: Notation,
    /// The snapshot, which has the names.
    pub snapshot: &'n Snapshot,
}

impl<'n> Format<'n> {
    /// Both together.
    pub(crate) fn new(notation: Notation, snapshot: &'n Snapshot) -> Self {
        Self { notation, snapshot }
    }

    /// The units of rates and totals.
    pub(crate) fn units(&self) -> Units {
        self.notation.units
    }

    /// A host: its name, else its address.
    pub(crate) fn host(&self, addr: IpAddr) -> Cow<'n, str> {
        match self.snapshot.names.host(addr).filter(|_| self.notation.hosts) {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(addr.to_string()),
        }
    }

    /// A port: the name of its service, else its number.
    pub(crate) fn port(&self, protocol: Protocol, port: u16) -> Cow<'n, str> {
        match self.snapshot.names.service(protocol, port).filter(|_| self.notation.services) {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(port.to_string()),
        }
    }

    /// One end: `1.2.3.4:80`, `[::1]:80`, `example.org:https`, or the host alone where there is no port to show.
    pub(crate) fn end(&self, protocol: Protocol, end: Endpoint) -> String {
        let host = self.host(end.addr);
        match end.port.filter(|_| self.notation.ports) {
            None => host.into_owned(),
            // A name never needs brackets; it may come from the network, so a colon in it does not count.
            Some(port) if end.addr.is_ipv6() && self.is_address(end.addr) => {
                format!("[{host}]:{}", self.port(protocol, port))
            }
            Some(port) => format!("{host}:{}", self.port(protocol, port)),
        }
    }

    fn is_address(&self, addr: IpAddr) -> bool {
        !self.notation.hosts || self.snapshot.names.host(addr).is_none()
    }
}
