//! The interfaces of this host with their addresses, from getifaddrs(3): the same call on Linux and macOS, without
//! privileges.

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use std::collections::HashSet;
use std::io;
use std::net::IpAddr;

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interface {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Somebody switched it on.
    pub up: bool,
    /// It can carry something: the cable is in.
    pub running: bool,
    /// It leads back to this host.
    pub loopback: bool,
    /// Its link-layer address, where it has one.
    pub link: Option<[u8; 6]>,
    /// Its addresses, in the order of the system.
    pub addrs: Vec<IpAddr>,
}

/// Names that iftop does not take by itself, by how they begin: loopback, tunnels and virtual ones.
const NOT_BY_ITSELF: [&str; 6] = ["lo", "stf", "gif", "dummy", "vmnet", "wmaster"];

/// Every interface, by index.
///
/// # Errors
/// The system's.
pub(crate) fn list() -> io::Result<Vec<Interface>> {
    let mut interfaces: Vec<Interface> = Vec::new();
    for address in getifaddrs()? {
        let found = interfaces.iter_mut().find(|interface| interface.name == address.interface_name);
        let interface = if let Some(interface) = found {
            interface
        } else {
            let flags = address.flags;
            interfaces.push(Interface {
                name: address.interface_name.clone(),
                index: if_nametoindex(address.interface_name.as_str()).unwrap_or(0),
                up: flags.contains(InterfaceFlags::IFF_UP),
                running: flags.contains(InterfaceFlags::IFF_RUNNING),
                loopback: flags.contains(InterfaceFlags::IFF_LOOPBACK),
                ..Interface::default()
            });
            let Some(interface) = interfaces.last_mut() else { continue };
            interface
        };
        note(interface, &address);
    }
    interfaces.sort_by_key(|interface| interface.index);
    Ok(interfaces)
}

fn note(interface: &mut Interface, address: &InterfaceAddress) {
    let Some(address) = &address.address else { return };
    if let Some(v4) = address.as_sockaddr_in() {
        interface.addrs.push(v4.ip().into());
    } else if let Some(v6) = address.as_sockaddr_in6() {
        interface.addrs.push(v6.ip().into());
    } else if let Some(link) = address.as_link_addr().and_then(nix::sys::socket::LinkAddr::addr) {
        interface.link = Some(link);
    }
}

/// Index of the interface that has this name now.
pub(crate) fn index(name: &str) -> Option<u32> {
    if_nametoindex(name).ok()
}

/// All addresses of this host.
///
/// # Errors
/// The system's.
pub(crate) fn addresses() -> io::Result<HashSet<IpAddr>> {
    Ok(list()?.into_iter().flat_map(|interface| interface.addrs).collect())
}

/// The one that is watched where none is named, as iftop chooses it: the first that runs and is not one of those that
/// nobody means.
pub(crate) fn default(interfaces: &[Interface]) -> Option<&Interface> {
    interfaces.iter().find(|interface| {
        interface.up
            && interface.running
            && !interface.loopback
            && !NOT_BY_ITSELF.iter().any(|prefix| interface.name.starts_with(prefix))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_loopback_is_there() {
        let all = list().unwrap();
        let loopback = all.iter().find(|interface| interface.loopback).unwrap();
        assert!(loopback.name.starts_with("lo") && loopback.index > 0, "{loopback:?}");
    }

    #[test]
    fn the_default_is_the_first_that_runs_and_is_meant() {
        let interface = |name: &str, running| Interface {
            name: name.to_owned(),
            up: true,
            running,
            loopback: name == "lo",
            ..Interface::default()
        };
        let all = [
            interface("lo", true),
            interface("dummy0", true),
            interface("eth0", false),
            interface("eth1", true),
            interface("eth2", true),
        ];
        assert_eq!(default(&all).unwrap().name, "eth1");
        assert_eq!(default(&all[..3]), None);
    }
}
