//! A tun device through which a test hands the kernel packets that no peer would send.
//!
//! With IFF_VNET_HDR a packet comes with the header that a virtual machine's network card has: it can claim to be a
//! GSO super-packet of a given segment size, and the kernel then has `gso_size` but not `gso_segs`.

use crate::netns::Netns;
use rustix::{
    fs::{Mode, OFlags, open},
    io::write,
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsRawFd, OwnedFd},
};

const VNET_NEEDS_CHECKSUM: u8 = 1;
const VNET_UDP_SEGMENTATION: u8 = 5;
const UDP_HEADER: usize = 8;
const UDP_CHECKSUM_AT: u16 = 6;
const PROTOCOL_UDP: u8 = 17;

/// A tun device, up; gone on drop.
#[derive(Debug)]
pub struct Tun {
    file: OwnedFd,
    /// Its name, used nowhere else on the machine.
    pub name: String,
}

impl Tun {
    /// Makes one in a namespace, with an IPv4 and an IPv6 address with their prefix lengths.
    ///
    /// # Panics
    /// When something is refused.
    pub fn new(netns: &Netns, name: &str, v4: &str, v6: &str) -> Self {
        let file =
            netns.run(|| device(name)).unwrap_or_else(|error| panic!("cannot make tun {name}: {error}"));
        netns.ip(&format!("link set {name} multicast off addrgenmode none"));
        netns.ip(&format!("addr add {v4} dev {name}"));
        netns.ip(&format!("addr add {v6} dev {name} nodad"));
        netns.ip(&format!("link set {name} up"));
        Self { file, name: name.to_owned() }
    }

    /// Hands the kernel a UDP super-packet of segments of `segment` bytes of payload each.
    ///
    /// # Panics
    /// When the kernel does not take it.
    pub fn send_udp(&self, from: SocketAddr, to: SocketAddr, payload: usize, segment: u16) {
        let packet = udp(from, to, payload);
        let ip_header = packet.len() - payload - UDP_HEADER;
        let headers = u16::try_from(ip_header + UDP_HEADER).expect("short headers");
        let checksum_from = u16::try_from(ip_header).expect("a short header");
        let mut frame = vec![VNET_NEEDS_CHECKSUM, VNET_UDP_SEGMENTATION];
        for field in [headers, segment, checksum_from, UDP_CHECKSUM_AT] {
            frame.extend(field.to_ne_bytes());
        }
        frame.extend(packet);
        let written = write(&self.file, &frame).expect("the kernel takes the packet");
        assert_eq!(written, frame.len());
    }
}

#[expect(unsafe_code, reason = "TUNSETIFF has no safe wrapper")]
fn device(name: &str) -> io::Result<OwnedFd> {
    let file = open("/dev/net/tun", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    let mut request = [0_u8; size_of::<libc::ifreq>()];
    assert!(name.len() < libc::IFNAMSIZ, "{name} is too long");
    request[..name.len()].copy_from_slice(name.as_bytes());
    let flags = u16::try_from(flags).expect("the flags of a tun device are 16 bits").to_ne_bytes();
    request[libc::IFNAMSIZ..libc::IFNAMSIZ + 2].copy_from_slice(&flags);
    // SAFETY: TUNSETIFF reads and writes one `struct ifreq` (name, then flags) through the pointer; the block has its
    // size.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, request.as_mut_ptr()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(file) }
}

/// A UDP packet whose checksum the kernel is still to finish.
fn udp(from: SocketAddr, to: SocketAddr, payload: usize) -> Vec<u8> {
    let length = u16::try_from(UDP_HEADER + payload).expect("a packet that fits IP");
    let (mut packet, addresses) = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let addresses = [from.octets(), to.octets()].concat();
            let total = (20 + length).to_be_bytes();
            let mut header = vec![0x45, 0, total[0], total[1], 0, 0, 0x40, 0, 64, PROTOCOL_UDP, 0, 0];
            header.extend(&addresses);
            let checksum = (!fold(sum(&header))).to_be_bytes();
            header[10..12].copy_from_slice(&checksum);
            (header, addresses)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let addresses = [from.octets(), to.octets()].concat();
            let size = length.to_be_bytes();
            let mut header = vec![0x60, 0, 0, 0, size[0], size[1], PROTOCOL_UDP, 64];
            header.extend(&addresses);
            (header, addresses)
        }
        _ => panic!("{from} and {to} are of two families"),
    };
    let pseudo = fold(sum(&addresses) + u64::from(PROTOCOL_UDP) + u64::from(length));
    for field in [from.port(), to.port(), length, pseudo] {
        packet.extend(field.to_be_bytes());
    }
    packet.resize(packet.len() + payload, b'x');
    packet
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.chunks(2).map(|pair| u64::from(pair[0]) << 8 | u64::from(pair[1])).sum()
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).expect("folded to 16 bits")
}
