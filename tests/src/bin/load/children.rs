//! One process per connection or datagram, as a shell loop or a CGI server would.

#![expect(unsafe_code, reason = "a process without exec is what is wanted, and only fork(2) makes it")]

use crate::{datagrams::TEXT, requests};
use rustix::{process::WaitOptions, thread::set_name};
use serde_json::{Value, json};
use std::{
    ffi::CString,
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::unix::net::UnixStream,
    time::Duration,
};

/// A child's word: its pid and its port; port 0 where it failed.
const RECORD: usize = 8;

/// Forks at a pace; every child takes a name of its own, makes one connection and ends.
pub(crate) fn request(to: SocketAddr, time: Duration, rate: u32) -> io::Result<Value> {
    let (mut ours, mut theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    // SAFETY: no handler is installed; ignored children leave no zombies.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let mut words = Vec::new();
    let mut forked = 0_usize;
    let took = requests::paced(time, rate, || {
        forked += 1;
        child(to, forked, &mut theirs)?;
        collect(&mut ours, &mut words)
    })?;
    drop(theirs);
    // What is left: the end of the stream comes when the last child has ended.
    ours.set_nonblocking(false)?;
    ours.set_read_timeout(Some(Duration::from_secs(10)))?;
    ours.read_to_end(&mut words)?;
    let children: Vec<_> = words.chunks_exact(RECORD).map(record).collect();
    let failed = forked - children.iter().filter(|(_, port)| *port != 0).count();
    Ok(
        json!({ "connections": forked, "failed": failed, "seconds": took.as_secs_f64(), "children": children }),
    )
}

fn child(to: SocketAddr, number: usize, out: &mut UnixStream) -> io::Result<()> {
    // SAFETY: this process has one thread, so the child may do what any process may; it ends with _exit and runs no
    // destructor of the parent's.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let port = named(number).and_then(|()| requests::ask(to)).unwrap_or(0);
            let mut word = [0; RECORD];
            word[..4].copy_from_slice(&std::process::id().to_ne_bytes());
            word[4..6].copy_from_slice(&port.to_ne_bytes());
            let code = i32::from(out.write_all(&word).is_err());
            // SAFETY: always.
            unsafe { libc::_exit(code) }
        }
        _ => Ok(()),
    }
}

/// So many children, one after the other: each sends a datagram from a socket of its own, which is received here, and ends.
pub(crate) fn datagrams(count: u32) -> io::Result<Value> {
    let sink = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    sink.set_read_timeout(Some(Duration::from_secs(10)))?;
    let to = sink.local_addr()?;
    let mut taken = [0; TEXT.len()];
    for _ in 0..count {
        // SAFETY: this process has one thread, so the child may do what any process may; it ends with _exit and runs no
        // destructor of the parent's.
        match unsafe { libc::fork() } {
            -1 => return Err(io::Error::last_os_error()),
            0 => {
                let sent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|own| own.send_to(&TEXT, to));
                // SAFETY: always.
                unsafe { libc::_exit(i32::from(sent.is_err())) }
            }
            _ => {}
        }
        sink.recv_from(&mut taken)?;
        rustix::process::wait(WaitOptions::empty())?;
    }
    Ok(json!({ "sent": count }))
}

fn named(number: usize) -> io::Result<()> {
    Ok(set_name(&CString::new(format!("one-{number}"))?)?)
}

fn collect(from: &mut UnixStream, words: &mut Vec<u8>) -> io::Result<()> {
    match from.read_to_end(words) {
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
        _ => Ok(()),
    }
}

fn record(word: &[u8]) -> (u32, u16) {
    let pid = u32::from_ne_bytes([word[0], word[1], word[2], word[3]]);
    (pid, u16::from_ne_bytes([word[4], word[5]]))
}
