//! Sockets of any kind, known by their descriptors, and the plain calls on them.

use crate::uring::{self, By};
use crate::{DEADLINE, calls, raw};
use monitor_tests::steps::{Answer, Words};
use rustix::{
    io::{FdFlags, fcntl_setfd},
    net::{
        AddressFamily, Protocol, RecvFlags, SendFlags, SocketType, accept, acceptfrom, bind, connect,
        getsockname, listen, recv, recvfrom, send, sendto, socket, sockopt,
    },
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    error::Error,
    net::SocketAddr,
    num::NonZeroU32,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    time::Duration,
};

/// Receive buffer of a socket.
const ROOM: usize = 16 << 20;

/// The open sockets.
#[derive(Default)]
pub(crate) struct Sockets(BTreeMap<i32, OwnedFd>);

impl Sockets {
    /// The table of steps.
    pub(crate) fn step(&mut self, step: &str, words: &mut Words<'_>) -> Answer {
        match step {
            // socket FAMILY TYPE PROTOCOL, in numbers
            "socket" => self.socket(words),
            // bind FD ADDR
            "bind" => {
                let (socket, address) = (self.get(words)?, words.take::<SocketAddr>("address")?);
                bind(socket, &address)?;
                told(socket)
            }
            // connect FD ADDR
            "connect" => {
                let (socket, address) = (self.get(words)?, words.take::<SocketAddr>("address")?);
                connect(socket, &address)?;
                told(socket)
            }
            // listen FD
            "listen" => {
                let socket = self.get(words)?;
                listen(socket, 64)?;
                told(socket)
            }
            // accept FD [silent]: silent is accept(fd, NULL, NULL)
            "accept" => {
                let (socket, silent) = (self.get(words)?, words.flag() == Some("silent"));
                let accepted = if silent { accept(socket)? } else { acceptfrom(socket)?.0 };
                self.add(accepted)
            }
            // option FD LEVEL NAME N|hex:BYTES
            "option" => {
                let (socket, level, name) = (self.get(words)?, words.take("level")?, words.take("option")?);
                let value: String = words.take("value")?;
                let value = match value.strip_prefix("hex:") {
                    Some(hex) => bytes(hex)?,
                    None => value.parse::<i32>()?.to_ne_bytes().to_vec(),
                };
                raw::set_option(socket, level, name, &value)?;
                Ok(json!({}))
            }
            // close FD
            "close" => self.remove(words).map(|_| json!({})),
            // reset FD: close with RST
            "reset" => {
                let socket = self.remove(words)?;
                sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
                Ok(json!({}))
            }
            // end FD: no more will be sent
            "end" => {
                rustix::net::shutdown(self.get(words)?, rustix::net::Shutdown::Write)?;
                Ok(json!({}))
            }
            _ => self.transfer(step, words),
        }
    }

    /// The steps that move bytes.
    fn transfer(&self, step: &str, words: &mut Words<'_>) -> Answer {
        let socket = self.get(words)?;
        match step {
            // send FD COUNT LENGTH [ADDR]
            "send" => send_many(socket, words),
            // receive FD BYTES: of a stream
            "receive" => receive(socket, words.take("number of bytes")?),
            // drain FD: to the end of the stream
            "drain" => receive(socket, u64::MAX),
            // take-in FD COUNT [named]: that many messages; named asks where from
            "take-in" => take_in(socket, words),
            // acknowledged FD: wait until the peer has acknowledged everything
            "acknowledged" => calls::acknowledged(socket),
            // sendfile FD BYTES
            "sendfile" => calls::send_file(socket, words.take("number of bytes")?),
            // splice-out FD BYTES: from a pipe into the socket
            "splice-out" => calls::splice_out(socket, words.take("number of bytes")?),
            // splice-in FD BYTES: from the socket into a pipe
            "splice-in" => calls::splice_in(socket, words.take("number of bytes")?),
            // sendmmsg FD COUNT LENGTH ADDR
            "sendmmsg" => calls::send_many_at_once(socket, words),
            // recvmmsg FD COUNT
            "recvmmsg" => calls::receive_many_at_once(socket, words.take("count")?),
            // zerocopy FD BYTES CHUNK
            "zerocopy" => calls::send_without_copy(socket, words),
            // ping FD ADDR COUNT LENGTH: echo requests, each answered before the next
            "ping" => calls::ping(socket, words),
            // inject FD IFINDEX HEX: a frame by a packet socket
            "inject" => {
                let (index, frame) = (words.take("interface")?, bytes(&words.take::<String>("frame")?)?);
                Ok(json!({ "sent": raw::send_frame(socket, index, &frame)? }))
            }
            // uring-send FD COUNT LENGTH
            "uring-send" => uring::send(By::Worker, socket, words.take("count")?, words.take("length")?),
            "uring-polled-send" => {
                uring::send(By::Poller, socket, words.take("count")?, words.take("length")?)
            }
            // uring-receive FD BYTES
            "uring-receive" => uring::receive(By::Worker, socket, words.take("number of bytes")?),
            "uring-polled-receive" => uring::receive(By::Poller, socket, words.take("number of bytes")?),
            _ => Err(format!("no such step: {step}").into()),
        }
    }

    fn socket(&mut self, words: &mut Words<'_>) -> Answer {
        let family = AddressFamily::from_raw(words.take("family")?);
        let kind = SocketType::from_raw(words.take("type")?);
        let protocol = NonZeroU32::new(words.take("protocol")?).map(Protocol::from_raw);
        self.add(socket(family, kind, protocol)?)
    }

    /// Keeps a socket and tells what it is.
    pub(crate) fn add(&mut self, socket: OwnedFd) -> Answer {
        fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
        for direction in [sockopt::Timeout::Recv, sockopt::Timeout::Send] {
            sockopt::set_socket_timeout(&socket, direction, Some(DEADLINE))?;
        }
        if sockopt::socket_type(&socket)? != SocketType::STREAM {
            sockopt::set_socket_recv_buffer_size_force(&socket, ROOM)?;
        }
        let answer = told(socket.as_fd());
        self.0.insert(socket.as_raw_fd(), socket);
        answer
    }

    fn get(&self, words: &mut Words<'_>) -> Result<BorrowedFd<'_>, Box<dyn Error>> {
        let fd: i32 = words.take("socket")?;
        self.0.get(&fd).map(AsFd::as_fd).ok_or_else(|| format!("no socket {fd}").into())
    }

    /// Takes a socket out.
    pub(crate) fn remove(&mut self, words: &mut Words<'_>) -> Result<OwnedFd, Box<dyn Error>> {
        let fd: i32 = words.take("socket")?;
        self.0.remove(&fd).ok_or_else(|| format!("no socket {fd}").into())
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &OwnedFd> {
        self.0.values()
    }
}

fn told(socket: BorrowedFd<'_>) -> Answer {
    let address = getsockname(socket).ok().and_then(|address| SocketAddr::try_from(address).ok());
    Ok(json!({
        "id": socket.as_raw_fd(),
        "cookie": sockopt::socket_cookie(socket)?,
        "port": address.map_or(0, |address| address.port()),
    }))
}

fn bytes(hex: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let digits = hex.as_bytes().chunks(2).map(|pair| Ok(u8::from_str_radix(str::from_utf8(pair)?, 16)?));
    digits.collect()
}

fn send_many(socket: BorrowedFd<'_>, words: &mut Words<'_>) -> Answer {
    let (count, length): (u64, usize) = (words.take("count")?, words.take("length")?);
    let to = words.flag().map(str::parse::<SocketAddr>).transpose()?;
    let buffer = vec![b'x'; length];
    for _ in 0..count {
        let sent = match &to {
            Some(to) => sendto(socket, &buffer, SendFlags::empty(), to)?,
            None => send(socket, &buffer, SendFlags::NOSIGNAL)?,
        };
        if sent != length {
            return Err(format!("{sent} of {length} bytes were sent").into());
        }
    }
    Ok(json!({ "sent": count }))
}

fn receive(socket: BorrowedFd<'_>, bytes: u64) -> Answer {
    let mut buffer = vec![0; 65536];
    let mut received = 0;
    while received < bytes {
        let room = usize::try_from(bytes - received).unwrap_or(usize::MAX).min(buffer.len());
        let (length, _) = recv(socket, &mut buffer[..room], RecvFlags::empty())?;
        if length == 0 {
            if bytes == u64::MAX {
                break;
            }
            return Err(format!("the stream ended after {received} of {bytes} bytes").into());
        }
        received += length as u64;
    }
    Ok(json!({ "received": received }))
}

fn take_in(socket: BorrowedFd<'_>, words: &mut Words<'_>) -> Answer {
    let count: u64 = words.take("count")?;
    let how = words.flag();
    let mut buffer = vec![0; 65536];
    let mut bytes = 0;
    for _ in 0..count {
        bytes += match how {
            Some("named") => recvfrom(socket, &mut buffer, RecvFlags::empty())?.0,
            Some("peek") => recvfrom(socket, &mut buffer, RecvFlags::PEEK)?.0,
            _ => recv(socket, &mut buffer, RecvFlags::empty())?.0,
        };
    }
    Ok(json!({ "received": count, "bytes": bytes }))
}
