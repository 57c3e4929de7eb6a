//! The less common calls that move bytes.

use crate::{DEADLINE, raw};
use monitor_tests::steps::{Answer, Words};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{MemfdFlags, ftruncate, memfd_create, sendfile},
    net::{RecvFlags, SendFlags, recv, send, sendto, sockopt},
    pipe::{SpliceFlags, pipe, splice},
};
use serde_json::json;
use std::{
    error::Error,
    io,
    net::SocketAddr,
    os::fd::BorrowedFd,
    thread,
    time::{Duration, Instant},
};

/// What a pipe takes without being read.
const PIPE: usize = 32768;

/// Waits until the peer has acknowledged everything.
pub(crate) fn acknowledged(socket: BorrowedFd<'_>) -> Answer {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let left = raw::unacknowledged(socket)?;
        if left == 0 {
            return Ok(json!({}));
        }
        if Instant::now() > deadline {
            return Err(format!("{left} bytes are not acknowledged").into());
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// sendfile(2) of zeroes from memory.
pub(crate) fn send_file(socket: BorrowedFd<'_>, bytes: usize) -> Answer {
    let file = memfd_create("zeroes", MemfdFlags::CLOEXEC)?;
    ftruncate(&file, bytes as u64)?;
    let (mut at, mut sent) = (0, 0);
    while sent < bytes {
        sent += nonzero(sendfile(socket, &file, Some(&mut at), bytes - sent)?)?;
    }
    Ok(json!({ "sent": sent }))
}

fn nonzero(length: usize) -> Result<usize, Box<dyn Error>> {
    if length == 0 { Err("nothing moved".into()) } else { Ok(length) }
}

/// splice(2) out of a pipe.
pub(crate) fn splice_out(socket: BorrowedFd<'_>, bytes: usize) -> Answer {
    let (read, write) = pipe()?;
    let mut sent = 0;
    while sent < bytes {
        let part = PIPE.min(bytes - sent);
        rustix::io::write(&write, &vec![b'x'; part])?;
        let mut left = part;
        while left > 0 {
            left -= nonzero(splice(&read, None, socket, None, left, SpliceFlags::empty())?)?;
        }
        sent += part;
    }
    Ok(json!({ "sent": sent }))
}

/// splice(2) into a pipe.
pub(crate) fn splice_in(socket: BorrowedFd<'_>, bytes: usize) -> Answer {
    let (read, write) = pipe()?;
    let mut buffer = vec![0; PIPE];
    let mut received = 0;
    while received < bytes {
        let part = PIPE.min(bytes - received);
        let length = nonzero(splice(socket, None, &write, None, part, SpliceFlags::empty())?)?;
        let mut left = length;
        while left > 0 {
            left -= nonzero(rustix::io::read(&read, &mut buffer[..left])?)?;
        }
        received += length;
    }
    Ok(json!({ "received": received }))
}

/// sendmmsg(2), on a connected socket.
pub(crate) fn send_many_at_once(socket: BorrowedFd<'_>, words: &mut Words<'_>) -> Answer {
    let (count, length): (usize, usize) = (words.take("count")?, words.take("length")?);
    let mut message = vec![b'x'; length];
    let mut sent = 0;
    while sent < count {
        sent += nonzero(raw::send_many(socket, count - sent, &mut message)?)?;
    }
    Ok(json!({ "sent": sent }))
}

/// recvmmsg(2).
pub(crate) fn receive_many_at_once(socket: BorrowedFd<'_>, count: usize) -> Answer {
    let mut buffer = vec![0; 65536];
    let mut received = 0;
    while received < count {
        received += nonzero(raw::receive_many(socket, count - received, &mut buffer)?)?;
    }
    Ok(json!({ "received": received }))
}

/// send(2) with `MSG_ZEROCOPY`; waits until the kernel has given every buffer back.
pub(crate) fn send_without_copy(socket: BorrowedFd<'_>, words: &mut Words<'_>) -> Answer {
    let (bytes, chunk): (usize, usize) = (words.take("number of bytes")?, words.take("chunk")?);
    raw::set_option(socket, libc::SOL_SOCKET, libc::SO_ZEROCOPY, &1_i32.to_ne_bytes())?;
    let flags = SendFlags::from_bits_retain(u32::try_from(libc::MSG_ZEROCOPY)?);
    let buffer = vec![b'x'; chunk];
    let mut sent = 0;
    while sent < bytes {
        sent += nonzero(send(socket, &buffer[..chunk.min(bytes - sent)], flags)?)?;
    }
    acknowledged(socket)?;
    // The buffer may go only when the kernel says so: a notification in the error queue covers a range of calls.
    wait_for(socket, PollFlags::empty())?;
    let mut nothing = [0];
    while recv(socket, &mut nothing, RecvFlags::ERRQUEUE | RecvFlags::DONTWAIT).is_ok() {}
    Ok(json!({ "sent": sent }))
}

/// Waits for an event, or, where none is named, for an error, which the error queue is.
fn wait_for(socket: BorrowedFd<'_>, events: PollFlags) -> Result<(), Box<dyn Error>> {
    let limit = Timespec::try_from(DEADLINE)?;
    let ready = poll(&mut [PollFd::new(&socket, events)], Some(&limit))?;
    if ready == 0 { Err("nothing happened in time".into()) } else { Ok(()) }
}

/// Echo requests of a ping or a raw socket, each answered before the next is sent.
pub(crate) fn ping(socket: BorrowedFd<'_>, words: &mut Words<'_>) -> Answer {
    let to: SocketAddr = words.take("address")?;
    let (count, length): (u16, usize) = (words.take("count")?, words.take("length")?);
    let raw = sockopt::socket_type(socket)? == rustix::net::SocketType::RAW;
    let (request, reply) = if to.is_ipv4() { (8, 0) } else { (128, 129) };
    let mut buffer = vec![0; 65536];
    for sequence in 0..count {
        let mut message = vec![0; 8 + length];
        message[0] = request;
        message[6..8].copy_from_slice(&sequence.to_be_bytes());
        if to.is_ipv4() {
            let sum = checksum(&message);
            message[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        sendto(socket, &message, SendFlags::empty(), &to)?;
        // A raw IPv4 socket is given the IP header, too.
        let at = if raw && to.is_ipv4() { 20 } else { 0 };
        let (got, _) = recv(socket, &mut buffer, RecvFlags::empty())?;
        if got != at + 8 + length || buffer[at] != reply {
            return Err(format!("an answer of {got} bytes, type {}", buffer[at]).into());
        }
    }
    Ok(json!({ "sent": count }))
}

/// RFC 1071.
fn checksum(message: &[u8]) -> u16 {
    let words =
        message.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| u32::from(low)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

/// An error of a library as one of the system.
pub(crate) fn system(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}
