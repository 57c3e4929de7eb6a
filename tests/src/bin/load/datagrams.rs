//! Datagrams at full rate, or at a pace.

#![expect(unsafe_code, reason = "std and rustix do not wrap SO_MEMINFO")]

use nix::sys::socket::{setsockopt, sockopt::BindToDevice};
use rustix::{
    net::sockopt,
    time::{ClockId, clock_gettime},
};
use serde_json::{Value, json};
use std::{
    io::{self, ErrorKind},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    thread,
    time::{Duration, Instant},
};

/// The first of the addresses that are scattered over.
const SCATTERED: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 0);
/// An address that is nobody's (RFC 5737), and the port of a service that answers nothing.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const DISCARD: u16 = 9;
/// What is sent where nobody chooses.
pub(crate) const TEXT: [u8; 64] = [b'x'; 64];
/// Receive buffer of the sink.
const ROOM: usize = 16 << 20;
/// When nothing came for so long after something did, the sender has ended, or waits for a CPU on a busy machine.
const QUIET: Duration = Duration::from_millis(500);
/// How long the sink waits for the first.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a rate is taken over.
const SLICE: Duration = Duration::from_millis(10);
/// The clock is read once in so many datagrams.
const BETWEEN_LOOKS: u32 = 64;

/// A socket that takes what comes.
pub(crate) struct Sink(UdpSocket);

impl Sink {
    pub(crate) fn new(address: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(address)?;
        sockopt::set_socket_recv_buffer_size_force(&socket, ROOM)?;
        Ok(Self(socket))
    }

    pub(crate) fn describe(&self) -> io::Result<Value> {
        let cookie = sockopt::socket_cookie(&self.0)?;
        Ok(json!({ "id": 0, "cookie": cookie, "port": self.0.local_addr()?.port() }))
    }

    /// Receives until it is quiet, and never sleeps: a sender that has to wake its receiver now and then does not go at
    /// one speed but at two. `dropped` is what reached the socket since it was made and found no room in it.
    pub(crate) fn absorb(&self) -> io::Result<Value> {
        let mut buffer = [0; 2048];
        let mut received = 0_u64;
        self.0.set_nonblocking(true)?;
        let mut latest = Instant::now();
        loop {
            match self.0.recv(&mut buffer) {
                Ok(_) => {
                    received += 1;
                    latest = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if latest.elapsed() > if received == 0 { PATIENCE } else { QUIET } {
                        break;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(json!({ "received": received, "dropped": self.dropped()? }))
    }

    /// Receives what is there, and waits for nothing: what a sender sent that was thought to have ended.
    pub(crate) fn rest(&self) -> io::Result<Value> {
        let mut buffer = [0; 2048];
        let mut received = 0_u64;
        self.0.set_nonblocking(true)?;
        loop {
            match self.0.recv(&mut buffer) {
                Ok(_) => received += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(json!({ "received": received, "dropped": self.dropped()? }))
    }

    fn dropped(&self) -> io::Result<u32> {
        const SO_MEMINFO: libc::c_int = 55;
        const DROPS: usize = 8;
        let mut values = [0_u32; DROPS + 1];
        let mut size = libc::socklen_t::try_from(size_of_val(&values)).map_err(io::Error::other)?;
        // SAFETY: the kernel writes at most `size` bytes to the array, which lives and has that size.
        let result = unsafe {
            libc::getsockopt(
                self.0.as_raw_fd(),
                libc::SOL_SOCKET,
                SO_MEMINFO,
                values.as_mut_ptr().cast(),
                &raw mut size,
            )
        };
        if result == 0 { Ok(values[DROPS]) } else { Err(io::Error::last_os_error()) }
    }
}

fn connected(to: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.connect(to)?;
    Ok(socket)
}

/// Sends with plain send(2), one datagram a call. `nanoseconds` is what one took of this thread's CPU time, the way to
/// the sink included, in the tenth of the slices that were fastest: a machine that has other work does not change it.
pub(crate) fn flood(to: SocketAddr, time: Duration, length: usize) -> io::Result<Value> {
    let socket = connected(to)?;
    let buffer = vec![b'x'; length];
    let (mut sent, mut failed) = (0_u64, 0_u64);
    let mut costs = Vec::new();
    let start = Instant::now();
    while start.elapsed() < time {
        let (slice, used, before) = (Instant::now(), cpu_time(), sent);
        while slice.elapsed() < SLICE {
            for _ in 0..BETWEEN_LOOKS {
                match socket.send(&buffer) {
                    Ok(_) => sent += 1,
                    // Full queues somewhere; whether a hook saw such a datagram is not known.
                    Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => failed += 1,
                    Err(error) => return Err(error),
                }
            }
        }
        costs.push(cpu_time().saturating_sub(used).as_nanos() as f64 / (sent - before).max(1) as f64);
    }
    let seconds = start.elapsed().as_secs_f64();
    costs.sort_by(f64::total_cmp);
    let fastest = costs[costs.len() / 10];
    let cookie = sockopt::socket_cookie(&socket)?;
    Ok(
        json!({ "sent": sent, "failed": failed, "seconds": seconds, "nanoseconds": fastest, "cookie": cookie }),
    )
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Sends at a pace.
pub(crate) fn drip(to: SocketAddr, time: Duration, length: usize, rate: u32) -> io::Result<Value> {
    let socket = connected(to)?;
    let buffer = vec![b'x'; length];
    let period = Duration::from_secs(1) / rate;
    let start = Instant::now();
    let mut sent = 0_u64;
    while start.elapsed() < time {
        socket.send(&buffer)?;
        sent += 1;
        thread::sleep(period);
    }
    Ok(json!({ "sent": sent }))
}

/// Sends a datagram to each of so many addresses of this host, from one socket to another, and receives each.
pub(crate) fn scatter(count: u32) -> io::Result<Value> {
    let sink = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let source = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = sink.local_addr()?.port();
    let mut taken = [0; 64];
    for address in (SCATTERED.to_bits()..).map(Ipv4Addr::from_bits).take(usize::try_from(count).unwrap_or(0))
    {
        source.send_to(&TEXT, (address, port))?;
        sink.recv_from(&mut taken)?;
    }
    Ok(json!({ "sent": count }))
}

/// Sends a datagram out of each of so many devices: the name and a number from 0.
pub(crate) fn devices(name: &str, count: u32) -> io::Result<Value> {
    for number in 0..count {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        setsockopt(&socket, BindToDevice, &format!("{name}{number}").into())?;
        // No route leads there, so the kernel takes it for a neighbour on the device.
        socket.send_to(&TEXT, (ELSEWHERE, DISCARD))?;
    }
    Ok(json!({ "sent": count }))
}
