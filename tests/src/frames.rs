//! Packets that no socket of the lab would send: pings for the kernel to answer, frames with tags, other addressees.

use crate::{program, veth::End};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, ipproto, recv, sendto, socket_with};
use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::{AsRawFd, OwnedFd},
    process::Command,
    time::{Duration, Instant},
};

/// Sends ICMP echo requests with that many bytes of payload, one after the other, and waits for each answer.
///
/// # Panics
/// When a request cannot be sent or is not answered.
pub fn ping(from: &End, to: Ipv4Addr, count: u16, payload: usize) {
    from.netns.run(|| {
        let socket =
            socket_with(AddressFamily::INET, SocketType::RAW, SocketFlags::CLOEXEC, Some(ipproto::ICMP))
                .expect("a raw socket");
        let limit = Some(crate::wait::STEP);
        rustix::net::sockopt::set_socket_timeout(&socket, rustix::net::sockopt::Timeout::Recv, limit)
            .expect("a deadline");
        for sequence in 0..count {
            let request = echo_request(sequence, payload);
            sendto(&socket, &request, rustix::net::SendFlags::empty(), &SocketAddrV4::new(to, 0))
                .expect("send a ping");
            let mut answer = [0; 2048];
            recv(&socket, answer.as_mut_slice(), RecvFlags::empty()).expect("an answer to a ping");
        }
    });
}

fn echo_request(sequence: u16, payload: usize) -> Vec<u8> {
    let mut packet = vec![8, 0, 0, 0, 0x77, 0x77];
    packet.extend(sequence.to_be_bytes());
    packet.resize(8 + payload, 0);
    let sum: u32 = packet
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((folded & 0xffff) + (folded >> 16)).expect("folded");
    packet[2..4].copy_from_slice(&checksum.to_be_bytes());
    packet
}

/// Puts a frame on the device as it is.
///
/// # Panics
/// When the kernel refuses.
pub fn inject(from: &End, frame: &[u8]) {
    from.netns.run(|| {
        let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None)
            .expect("a packet socket");
        send_on(&socket, from.index, frame).expect("inject a frame");
    });
}

/// Frames in turn, so many a second as long as that lasts, as far as this machine can. Returns how many went out.
///
/// # Panics
/// When the kernel has no packet socket to give.
pub fn stream(from: &End, frames: &[Vec<u8>], rate: u32, time: Duration) -> u64 {
    const BATCH: u32 = 64;
    from.netns.run(|| {
        let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None)
            .expect("a packet socket");
        let (begun, mut sent, mut asked) = (Instant::now(), 0, 0_u32);
        let mut next = frames.iter().cycle();
        while begun.elapsed() < time {
            for frame in next.by_ref().take(BATCH as usize) {
                sent += u64::from(send_on(&socket, from.index, frame).is_ok());
            }
            asked += BATCH;
            let due = Duration::from_secs(1) * asked / rate;
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
        }
        sent
    })
}

#[expect(unsafe_code, reason = "rustix has no address type for packet sockets")]
fn send_on(socket: &OwnedFd, index: u32, frame: &[u8]) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).map_err(io::Error::other)?,
        sll_protocol: 0,
        sll_ifindex: i32::try_from(index).map_err(io::Error::other)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: [0; 8],
    };
    let size = libc::socklen_t::try_from(size_of_val(&address)).map_err(io::Error::other)?;
    // SAFETY: the socket is open; frame and address are readable for the lengths that are passed.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            frame.as_ptr().cast(),
            frame.len(),
            0,
            (&raw const address).cast(),
            size,
        )
    };
    if usize::try_from(sent) == Ok(frame.len()) { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A frame from nowhere to a link-layer address, with what follows the two addresses.
pub fn frame(to: [u8; 6], rest: &[u8]) -> Vec<u8> {
    [&to[..], &[2, 0, 0, 0x77, 0xff, 0xff], rest].concat()
}

/// An IPv4 UDP packet with a payload of zeros.
///
/// # Panics
/// When it would be too long.
pub fn udp_packet(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), payload: u16) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((28 + payload).to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    packet.extend(from.0.octets());
    packet.extend(to.0.octets());
    let sum: u32 = packet.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let checksum = !u16::try_from((sum & 0xffff) + (sum >> 16)).expect("one fold is enough");
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    packet.extend(from.1.to_be_bytes());
    packet.extend(to.1.to_be_bytes());
    packet.extend((8 + payload).to_be_bytes());
    packet.extend([0, 0]);
    packet.resize(packet.len() + usize::from(payload), 0);
    packet
}

/// Loads a ruleset of nftables in the namespace of an end.
///
/// # Panics
/// When `nft` refuses it.
pub fn rules(end: &End, rules: &str) {
    let mut command: Command = end.netns.command("nft");
    command.arg(rules);
    program::output(command);
}
