//! Names of addresses and ports, as far as is known by now.
//!
//! A frontend shows the address at once and the name when it is here. Names are raw: whoever shows them escapes them.

use super::Protocol;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The names known at the time of a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Host names by address: hosts file, then reverse DNS.
    pub hosts: HashMap<IpAddr, Arc<str>>,
    /// Service names by protocol and port (host order): /etc/services, then IANA's list.
    pub services: Arc<HashMap<(Protocol, u16), Arc<str>>>,
}

impl Names {
    /// The name of a host.
    pub(crate) fn host(&self, addr: IpAddr) -> Option<&str> {
        self.hosts.get(&addr).map(|name| &**name)
    }

    /// The name of a service.
    pub(crate) fn service(&self, protocol: Protocol, port: u16) -> Option<&str> {
        self.services.get(&(protocol, port)).map(|name| &**name)
    }
}
