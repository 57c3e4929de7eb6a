//! Links and addresses of the network namespace that this program runs in, from rtnetlink(7).
//!
//! Dumps and a socket that hears of changes; parsing is pure. It decides nothing.

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::net::{bind, recv, sendto, socket_with};
use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const NLM_F_DUMP_INTR: u16 = 0x10;
const RTMGRP_LINK: u32 = 1;

const IFLA_IFNAME: u16 = 3;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_STATS64: u16 = 23;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_PARENT_DEV_BUS_NAME: u16 = 57;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_VLAN_ID: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;

/// The kernel fills buffers of at most this size (net/netlink/af_netlink.c).
const BUFFER: usize = 1 << 16;

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: Arc<str>,
    /// ARPHRD_*.
    pub(super) hardware: u16,
    /// What kind of software device it is ("veth", "vlan"); empty for hardware.
    pub(super) kind: String,
    /// The bus of the hardware ("virtio", "pci"), where the kernel tells.
    pub(super) bus: String,
    /// The interface below, in this namespace.
    pub(super) lower: Option<u32>,
    /// The bridge or bond that it is a port of.
    pub(super) master: Option<u32>,
    pub(super) vlan: Option<u16>,
    pub(super) rx_bytes: u64,
    pub(super) tx_bytes: u64,
}

/// Addresses of this host in the namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Addresses {
    own: HashSet<IpAddr>,
    broadcast: HashSet<IpAddr>,
}

impl Addresses {
    /// These and no others.
    #[cfg(test)]
    pub(super) fn of(own: &[IpAddr]) -> Self {
        Self { own: own.iter().copied().collect(), ..Self::default() }
    }

    /// Whether an end is this host: also one that has no address yet.
    pub(super) fn mine(&self, addr: IpAddr) -> bool {
        self.own.contains(&addr) || addr.is_loopback() || addr.is_unspecified()
    }

    /// Whether this host is one of several that are meant.
    pub(super) fn group(&self, addr: IpAddr) -> bool {
        addr.is_multicast() || addr == IpAddr::V4(Ipv4Addr::BROADCAST) || self.broadcast.contains(&addr)
    }
}

impl Link {
    /// Whether another look at the same interface finds nothing new but its counters.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        let Self { index, name, hardware, kind, bus, lower, master, vlan, rx_bytes: _, tx_bytes: _ } = self;
        (index, name, hardware, kind) == (&other.index, &other.name, &other.hardware, &other.kind)
            && (bus, lower, master, vlan) == (&other.bus, &other.lower, &other.master, &other.vlan)
    }
}

/// Every interface, with its counters; and whether none can be missing, because none came or went meanwhile.
///
/// # Errors
/// The kernel's.
pub(super) fn links() -> io::Result<(Vec<Link>, bool)> {
    let mut links = Vec::new();
    let is_whole = dump(RTM_GETLINK, 16, |kind, body| {
        if kind == RTM_NEWLINK {
            links.extend(link(body));
        }
    })?;
    Ok((links, is_whole))
}

/// Every address.
///
/// # Errors
/// The kernel's.
pub(super) fn addresses() -> io::Result<Addresses> {
    let mut addresses = Addresses::default();
    dump(RTM_GETADDR, 8, |kind, body| {
        if kind == RTM_NEWADDR {
            address(body, &mut addresses);
        }
    })?;
    Ok(addresses)
}

/// A socket that becomes readable when an interface comes, goes or changes.
///
/// # Errors
/// The kernel's.
pub(super) fn events() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, RTMGRP_LINK))?;
    Ok(socket)
}

/// Whether something was said since the last look. An overrun says so, too.
pub(super) fn heard(events: &OwnedFd) -> bool {
    let mut buffer = [0_u8; 4096];
    let mut any = false;
    loop {
        match recv(events, buffer.as_mut_slice(), RecvFlags::empty()) {
            Ok(_) | Err(Errno::NOBUFS | Errno::INTR) => any = true,
            Err(_) => return any,
        }
    }
}

/// Asks for all objects of a kind (protocol 0 of netlink is NETLINK_ROUTE); `header` is the length of the kind's own header, all zero for "any".
/// False where they changed meanwhile, so that one may be missing.
fn dump(kind: u16, header: usize, mut each: impl FnMut(u16, &[u8])) -> io::Result<bool> {
    let mut is_whole = true;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let mut request = Vec::with_capacity(16 + header);
    request.extend(u32::try_from(16 + header).unwrap_or(0).to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend(NLM_F_REQUEST_DUMP.to_ne_bytes());
    request.resize(16 + header, 0);
    sendto(&socket, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut buffer = vec![0_u8; BUFFER];
    loop {
        let (_, length) = match recv(&socket, buffer.as_mut_slice(), RecvFlags::TRUNC) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        if length > buffer.len() {
            return Err(io::Error::other("an answer of rtnetlink is longer than its buffer"));
        }
        for (kind, flags, body) in messages(&buffer[..length]) {
            is_whole &= flags & NLM_F_DUMP_INTR == 0;
            match kind {
                NLMSG_DONE => return Ok(is_whole),
                NLMSG_ERROR => return Err(error(body)),
                _ => each(kind, body),
            }
        }
    }
}

fn error(body: &[u8]) -> io::Error {
    io::Error::from_raw_os_error(body.get(..4).map_or(libc::EIO, |code| -i32::from_ne_bytes(array(code))))
}

/// The bytes of an integer; zero where there are fewer.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.get(..N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
}

/// Type, flags and body of each message.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(array(bytes.get(..4)?)) as usize;
        let kind = u16::from_ne_bytes(array(bytes.get(4..6)?));
        let flags = u16::from_ne_bytes(array(bytes.get(6..8)?));
        let body = bytes.get(16..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, flags, body))
    })
}

/// Type and value of each attribute.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(array(bytes.get(..2)?)));
        // The upper bits are flags.
        let kind = u16::from_ne_bytes(array(bytes.get(2..4)?)) & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned()
}

/// `struct ifinfomsg` and its attributes.
fn link(body: &[u8]) -> Option<Link> {
    let mut link = Link {
        hardware: u16::from_ne_bytes(array(body.get(2..4)?)),
        index: u32::from_ne_bytes(array(body.get(4..8)?)),
        ..Link::default()
    };
    let mut elsewhere = false;
    for (kind, value) in attributes(body.get(16..)?) {
        match kind {
            IFLA_IFNAME => link.name = text(value).into(),
            IFLA_LINK => link.lower = Some(u32::from_ne_bytes(array(value))),
            IFLA_LINK_NETNSID => elsewhere = true,
            IFLA_MASTER => link.master = Some(u32::from_ne_bytes(array(value))),
            IFLA_PARENT_DEV_BUS_NAME => link.bus = text(value),
            IFLA_STATS64 => {
                link.rx_bytes = u64::from_ne_bytes(array(value.get(16..)?));
                link.tx_bytes = u64::from_ne_bytes(array(value.get(24..)?));
            }
            IFLA_LINKINFO => software(value, &mut link),
            _ => {}
        }
    }
    if elsewhere || link.lower == Some(link.index) || link.lower == Some(0) {
        link.lower = None;
    }
    Some(link)
}

fn software(info: &[u8], link: &mut Link) {
    for (kind, value) in attributes(info) {
        match kind {
            IFLA_INFO_KIND => link.kind = text(value),
            IFLA_INFO_DATA if link.kind == "vlan" => {
                let id = attributes(value).find(|(kind, _)| *kind == IFLA_VLAN_ID);
                link.vlan = id.map(|(_, id)| u16::from_ne_bytes(array(id)));
            }
            _ => {}
        }
    }
}

/// `struct ifaddrmsg` and its attributes.
fn address(body: &[u8], addresses: &mut Addresses) {
    let Some(rest) = body.get(8..) else { return };
    let (mut local, mut address) = (None, None);
    for (kind, value) in attributes(rest) {
        match kind {
            IFA_LOCAL => local = ip(value),
            IFA_ADDRESS => address = ip(value),
            IFA_BROADCAST => addresses.broadcast.extend(ip(value)),
            _ => {}
        }
    }
    addresses.own.extend(local.or(address));
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => Some(IpAddr::V4(Ipv4Addr::from(array::<4>(value)))),
        16 => Some(IpAddr::V6(Ipv6Addr::from(array::<16>(value)))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn our_own_loopback_is_there() {
        let (links, _) = links().unwrap();
        let lo = links.iter().find(|link| link.index == 1).unwrap();
        assert_eq!((&*lo.name, lo.hardware), ("lo", libc::ARPHRD_LOOPBACK));
        assert!(addresses().unwrap().mine("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn groups_and_nobody() {
        let addresses = Addresses::default();
        assert!(addresses.mine("0.0.0.0".parse().unwrap()) && addresses.mine("::".parse().unwrap()));
        assert!(addresses.group("255.255.255.255".parse().unwrap()));
        assert!(addresses.group("ff02::1".parse().unwrap()));
        assert!(!addresses.mine("192.0.2.1".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn nothing_that_is_said_makes_it_fail(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for (_, _, body) in messages(&bytes).take(50) {
                let _ = link(body);
                address(body, &mut Addresses::default());
            }
            let _ = link(&bytes);
        }
    }
}
