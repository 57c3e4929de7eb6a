//! A process that moves bytes on command: `traffic CGROUP NAME`.
//!
//! It joins the cgroup and takes the name before it makes any socket, then reads one step a line from stdin and
//! answers each with one JSON object on stdout: `{"error": …}` or what the step did. It ends at the end of stdin; no
//! socket is shut down before that, so what the kernel has not sent yet leaves after the process has gone. Every
//! blocking call has a deadline. To add a step, add a line to [`Sockets::step`].

use monitor_tests::steps::{Answer, Words, say, serve};
use rustix::{net::sockopt, process::getpid, thread::set_name};
use serde_json::json;
use std::{
    collections::BTreeMap,
    env,
    error::Error,
    ffi::CString,
    fs,
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// Deadline of every blocking call.
const DEADLINE: Duration = Duration::from_secs(20);

/// Receive buffer of a UDP socket.
const ROOM: usize = 16 << 20;

enum Socket {
    Listener(TcpListener),
    Stream(TcpStream),
    Datagram(UdpSocket),
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Listener(socket) => socket.as_fd(),
            Self::Stream(socket) => socket.as_fd(),
            Self::Datagram(socket) => socket.as_fd(),
        }
    }
}

impl Socket {
    fn local(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Listener(socket) => socket.local_addr(),
            Self::Stream(socket) => socket.local_addr(),
            Self::Datagram(socket) => socket.local_addr(),
        }
    }
}

#[derive(Default)]
struct Sockets {
    open: BTreeMap<u64, Socket>,
    next: u64,
}

impl Sockets {
    /// The table of steps.
    fn step(&mut self, line: &str) -> Answer {
        let mut words = Words::of(line);
        let step: String = words.take("step")?;
        let words = &mut words;
        match step.as_str() {
            // listen ADDR
            "listen" => self.add(Socket::Listener(TcpListener::bind(words.take::<SocketAddr>("address")?)?)),
            // accept ID [silent]: silent is accept(fd, NULL, NULL), which tells the kernel nothing about who accepts
            "accept" => self.accept(words),
            // connect ADDR
            "connect" => self.connect(words),
            // send ID BYTES CHUNK
            "send" => self.send(words),
            // receive ID BYTES
            "receive" => self.receive(words),
            // drain ID: receive to the end of the stream
            "drain" => self.drain(words),
            // acknowledged ID: wait until the peer has acknowledged everything
            "acknowledged" => self.acknowledged(words),
            // fill ID: send until the kernel takes no more
            "fill" => self.fill(words),
            // buffers ID SEND RECEIVE: sizes of the socket's buffers; 0 leaves one alone
            "buffers" => self.buffers(words),
            // shutdown ID: send the end, and keep the socket
            "shutdown" => {
                rustix::net::shutdown(self.get(words)?, rustix::net::Shutdown::Write)?;
                Ok(json!({}))
            }
            // close ID
            "close" => self.close(words),
            // reset ID: close with RST
            "reset" => self.reset(words),
            // datagram ADDR [REMOTE]: a UDP socket, connected where there is a remote
            "datagram" => self.datagram(words),
            // datagrams COUNT ADDR: that many UDP sockets; answers with their numbers
            "datagrams" => self.datagrams(words),
            // coalesce ID: UDP_GRO
            "coalesce" => self.coalesce(words),
            // send-to ID ADDR|- COUNT LENGTH: `-` is send(2) on a connected socket
            "send-to" => self.send_to(words),
            // receive-from ID COUNT [echo]: datagrams, answered in kind where it says echo
            "receive-from" => self.receive_from(words),
            // each FIRST LAST ADDR COUNT LENGTH: send-to from every socket in the range
            "each" => self.each(words),
            _ => Err("no such step".into()),
        }
    }

    fn add(&mut self, socket: Socket) -> Answer {
        if let Socket::Stream(stream) = &socket {
            stream.set_read_timeout(Some(DEADLINE))?;
            stream.set_write_timeout(Some(DEADLINE))?;
        }
        if let Socket::Datagram(datagram) = &socket {
            datagram.set_read_timeout(Some(DEADLINE))?;
            // A datagram that finds no room is lost, and with it the test.
            sockopt::set_socket_recv_buffer_size_force(datagram, ROOM)?;
        }
        self.next += 1;
        let answer = json!({
            "id": self.next,
            "cookie": sockopt::socket_cookie(&socket)?,
            "port": socket.local()?.port(),
        });
        self.open.insert(self.next, socket);
        Ok(answer)
    }

    fn get(&self, words: &mut Words<'_>) -> Result<&Socket, Box<dyn Error>> {
        let id: u64 = words.take("socket")?;
        self.open.get(&id).ok_or_else(|| format!("no socket {id}").into())
    }

    fn stream(&self, words: &mut Words<'_>) -> Result<&TcpStream, Box<dyn Error>> {
        let Socket::Stream(stream) = self.get(words)? else { return Err("not a stream".into()) };
        Ok(stream)
    }

    fn udp(&self, words: &mut Words<'_>) -> Result<&UdpSocket, Box<dyn Error>> {
        let Socket::Datagram(socket) = self.get(words)? else { return Err("not a datagram socket".into()) };
        Ok(socket)
    }

    fn accept(&mut self, words: &mut Words<'_>) -> Answer {
        let Socket::Listener(listener) = self.get(words)? else { return Err("not a listener".into()) };
        let silent = words.flag() == Some("silent");
        // SO_RCVTIMEO is the deadline of accept(2), too.
        sockopt::set_socket_timeout(listener, sockopt::Timeout::Recv, Some(DEADLINE))?;
        let stream =
            if silent { TcpStream::from(rustix::net::accept(listener)?) } else { listener.accept()?.0 };
        self.add(Socket::Stream(stream))
    }

    fn connect(&mut self, words: &mut Words<'_>) -> Answer {
        let stream = TcpStream::connect_timeout(&words.take("address")?, DEADLINE)?;
        self.add(Socket::Stream(stream))
    }

    fn send(&self, words: &mut Words<'_>) -> Answer {
        let mut stream = self.stream(words)?;
        let (bytes, chunk): (usize, usize) = (words.take("number of bytes")?, words.take("chunk")?);
        let buffer = vec![b'x'; chunk];
        let mut sent = 0;
        while sent < bytes {
            let part = chunk.min(bytes - sent);
            stream.write_all(&buffer[..part])?;
            sent += part;
        }
        Ok(json!({ "sent": sent }))
    }

    fn receive(&self, words: &mut Words<'_>) -> Answer {
        let stream = self.stream(words)?;
        let bytes: u64 = words.take("number of bytes")?;
        let received = io::copy(&mut stream.take(bytes), &mut io::sink())?;
        if received != bytes {
            return Err(format!("the stream ended after {received} of {bytes} bytes").into());
        }
        Ok(json!({ "received": received }))
    }

    fn drain(&self, words: &mut Words<'_>) -> Answer {
        let mut stream = self.stream(words)?;
        Ok(json!({ "received": io::copy(&mut stream, &mut io::sink())? }))
    }

    #[expect(unsafe_code, reason = "std and rustix do not wrap TIOCOUTQ")]
    fn acknowledged(&self, words: &mut Words<'_>) -> Answer {
        let stream = self.stream(words)?;
        let deadline = Instant::now() + DEADLINE;
        loop {
            let mut unacknowledged: libc::c_int = 0;
            // SAFETY: TIOCOUTQ (SIOCOUTQ) on an open socket stores one int through the pointer, which is valid.
            let result = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut unacknowledged) };
            if result != 0 {
                return Err(io::Error::last_os_error().into());
            }
            if unacknowledged == 0 {
                return Ok(json!({}));
            }
            if Instant::now() > deadline {
                return Err(format!("{unacknowledged} bytes are not acknowledged").into());
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn fill(&self, words: &mut Words<'_>) -> Answer {
        let mut stream = self.stream(words)?;
        stream.set_nonblocking(true)?;
        let buffer = [b'x'; 4096];
        let mut sent = 0;
        let outcome = loop {
            match stream.write(&buffer) {
                Ok(written) => sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(json!({ "sent": sent })),
                Err(error) => break Err(error.into()),
            }
        };
        stream.set_nonblocking(false)?;
        outcome
    }

    fn buffers(&self, words: &mut Words<'_>) -> Answer {
        let socket = self.get(words)?;
        let (send, receive): (usize, usize) = (words.take("size")?, words.take("size")?);
        if send > 0 {
            sockopt::set_socket_send_buffer_size(socket, send)?;
        }
        if receive > 0 {
            sockopt::set_socket_recv_buffer_size(socket, receive)?;
        }
        Ok(json!({}))
    }

    fn close(&mut self, words: &mut Words<'_>) -> Answer {
        let id: u64 = words.take("socket")?;
        self.open.remove(&id).map(|_| json!({})).ok_or_else(|| "no such socket".into())
    }

    fn reset(&mut self, words: &mut Words<'_>) -> Answer {
        let id: u64 = words.take("socket")?;
        let socket = self.open.remove(&id).ok_or("no such socket")?;
        sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
        Ok(json!({}))
    }

    fn datagram(&mut self, words: &mut Words<'_>) -> Answer {
        let socket = UdpSocket::bind(words.take::<SocketAddr>("address")?)?;
        if let Some(remote) = words.flag() {
            socket.connect(remote)?;
        }
        self.add(Socket::Datagram(socket))
    }

    fn datagrams(&mut self, words: &mut Words<'_>) -> Answer {
        let count: u64 = words.take("count")?;
        let address: SocketAddr = words.take("address")?;
        let first = self.next + 1;
        for _ in 0..count {
            self.add(Socket::Datagram(UdpSocket::bind(address)?))?;
        }
        Ok(json!({ "first": first, "last": self.next }))
    }

    #[expect(unsafe_code, reason = "std and rustix do not wrap UDP_GRO")]
    fn coalesce(&self, words: &mut Words<'_>) -> Answer {
        let on: libc::c_int = 1;
        let size = libc::socklen_t::try_from(size_of_val(&on))?;
        let socket = self.udp(words)?.as_raw_fd();
        // SAFETY: the option value is one int, valid for the size given, and only read.
        let result =
            unsafe { libc::setsockopt(socket, libc::SOL_UDP, libc::UDP_GRO, (&raw const on).cast(), size) };
        if result == 0 { Ok(json!({})) } else { Err(io::Error::last_os_error().into()) }
    }

    fn send_to(&self, words: &mut Words<'_>) -> Answer {
        let socket = self.udp(words)?;
        let remote: String = words.take("address")?;
        let (count, length): (u64, usize) = (words.take("count")?, words.take("length")?);
        send_datagrams(socket, &remote, count, length)?;
        Ok(json!({ "sent": count }))
    }

    fn each(&self, words: &mut Words<'_>) -> Answer {
        let (first, last): (u64, u64) = (words.take("socket")?, words.take("socket")?);
        let remote: String = words.take("address")?;
        let (count, length): (u64, usize) = (words.take("count")?, words.take("length")?);
        let mut sent = 0;
        for (_, socket) in self.open.range(first..=last) {
            let Socket::Datagram(socket) = socket else { return Err("not a datagram socket".into()) };
            send_datagrams(socket, &remote, count, length)?;
            sent += count;
        }
        Ok(json!({ "sent": sent }))
    }

    fn receive_from(&self, words: &mut Words<'_>) -> Answer {
        let socket = self.udp(words)?;
        let count: u64 = words.take("count")?;
        let echo = words.flag() == Some("echo");
        let mut buffer = vec![0; 65536];
        let mut bytes = 0;
        for _ in 0..count {
            let (length, from) = socket.recv_from(&mut buffer)?;
            bytes += length;
            if echo {
                socket.send_to(&buffer[..length], from)?;
            }
        }
        Ok(json!({ "received": count, "bytes": bytes }))
    }
}

fn send_datagrams(socket: &UdpSocket, remote: &str, count: u64, length: usize) -> io::Result<()> {
    let buffer = vec![b'x'; length];
    for _ in 0..count {
        let sent = if remote == "-" { socket.send(&buffer) } else { socket.send_to(&buffer, remote) }?;
        if sent != length {
            return Err(io::Error::other(format!("{sent} of {length} bytes of a datagram were sent")));
        }
    }
    Ok(())
}

fn prepare() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    let cgroup = arguments.next().ok_or("usage: traffic CGROUP NAME")?;
    let name = arguments.next().ok_or("usage: traffic CGROUP NAME")?;
    fs::write(Path::new(&cgroup).join("cgroup.procs"), "0")?;
    set_name(&CString::new(name.into_encoded_bytes())?)?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout();
    say(&mut out, prepare().map(|()| json!({ "pid": getpid().as_raw_nonzero() })))?;
    let mut sockets = Sockets::default();
    serve(io::stdin().lock(), &mut out, |line| sockets.step(line))?;
    Ok(())
}
