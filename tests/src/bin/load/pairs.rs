//! Many sockets in pairs, as one descriptor table can hold them, and a message between the two ends of each in turn.

use rustix::net::sockopt::set_socket_linger;
use std::{
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

const LENGTH: usize = 64;
/// Connections to one address: all of them come from one, and it has 65,535 ports.
const EACH: usize = 10_000;
const NEAR: Ipv4Addr = Ipv4Addr::LOCALHOST;
const FAR: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 0);

/// What the sockets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// UDP, both ends connected: a datagram is sent and received.
    Connected,
    /// UDP, neither end connected: the same, by address.
    Unconnected,
    /// UDP, the far end is one unconnected socket for all: a datagram there and one back, by address.
    Peers,
    /// TCP: a request and a response.
    Stream,
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "connected" => Ok(Self::Connected),
            "unconnected" => Ok(Self::Unconnected),
            "peers" => Ok(Self::Peers),
            "stream" => Ok(Self::Stream),
            _ => Err(()),
        }
    }
}

impl Kind {
    /// Messages of one turn.
    pub(crate) fn messages(self) -> u64 {
        match self {
            Self::Connected | Self::Unconnected => 1,
            Self::Peers | Self::Stream => 2,
        }
    }
}

enum Ends {
    /// The near end, the far end and the latter's address.
    Connected(Vec<(UdpSocket, UdpSocket)>),
    Unconnected(Vec<(UdpSocket, UdpSocket, SocketAddr)>),
    Peers(UdpSocket, SocketAddr, Vec<UdpSocket>),
    Streams(Vec<(TcpStream, TcpStream)>),
}

/// The pairs of one descriptor table.
pub(crate) struct Pairs(Ends);

impl Pairs {
    /// Makes them, each end in a cgroup of its own where two are named: a socket belongs to the one that its maker is in.
    pub(crate) fn make(kind: Kind, count: usize, cgroups: Option<&[PathBuf; 2]>) -> io::Result<Self> {
        let enter = |end: usize| match cgroups {
            Some(cgroups) => fs::write(cgroups[end].join("cgroup.procs"), "0"),
            None => Ok(()),
        };
        let datagrams = || (0..count).map(|_| UdpSocket::bind((NEAR, 0)));
        let far_datagrams =
            || -> io::Result<Vec<_>> { (0..count).map(|_| UdpSocket::bind((FAR, 0))).collect() };
        enter(1)?;
        Ok(Self(match kind {
            Kind::Connected => {
                let far = far_datagrams()?;
                enter(0)?;
                let pair = |(near, far): (io::Result<UdpSocket>, UdpSocket)| {
                    let near = near?;
                    near.connect(far.local_addr()?)?;
                    far.connect(near.local_addr()?)?;
                    Ok((near, far))
                };
                Ends::Connected(datagrams().zip(far).map(pair).collect::<io::Result<_>>()?)
            }
            Kind::Unconnected => {
                let far = far_datagrams()?;
                enter(0)?;
                let pair = |(near, far): (io::Result<UdpSocket>, UdpSocket)| {
                    let to = far.local_addr()?;
                    Ok((near?, far, to))
                };
                Ends::Unconnected(datagrams().zip(far).map(pair).collect::<io::Result<_>>()?)
            }
            Kind::Peers => {
                let server = UdpSocket::bind((FAR, 0))?;
                let to = server.local_addr()?;
                enter(0)?;
                Ends::Peers(server, to, datagrams().collect::<io::Result<_>>()?)
            }
            Kind::Stream => {
                let addresses = (FAR.to_bits()..).map(Ipv4Addr::from_bits).take(count.div_ceil(EACH));
                let listeners = addresses.map(|address| TcpListener::bind((address, 0)));
                let listeners = listeners.collect::<io::Result<Vec<_>>>()?;
                enter(0)?;
                Ends::Streams((0..count).map(|at| stream(&listeners[at / EACH])).collect::<io::Result<_>>()?)
            }
        }))
    }

    /// One message, or a request and a response, over this pair.
    pub(crate) fn turn(&mut self, at: usize) -> io::Result<()> {
        let (text, mut taken) = ([b'x'; LENGTH], [0; LENGTH]);
        match &mut self.0 {
            Ends::Connected(pairs) => {
                let (near, far) = &pairs[at];
                near.send(&text)?;
                far.recv(&mut taken)?;
            }
            Ends::Unconnected(pairs) => {
                let (near, far, to) = &pairs[at];
                near.send_to(&text, to)?;
                far.recv_from(&mut taken)?;
            }
            Ends::Peers(server, to, peers) => {
                peers[at].send_to(&text, *to)?;
                let (_, from) = server.recv_from(&mut taken)?;
                server.send_to(&text, from)?;
                peers[at].recv_from(&mut taken)?;
            }
            Ends::Streams(pairs) => {
                let (near, far) = &mut pairs[at];
                near.write_all(&text)?;
                far.read_exact(&mut taken)?;
                far.write_all(&text)?;
                near.read_exact(&mut taken)?;
            }
        }
        Ok(())
    }
}

fn stream(listener: &TcpListener) -> io::Result<(TcpStream, TcpStream)> {
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    for end in [&near, &far] {
        end.set_nodelay(true)?;
        // A reset at the end, and nothing that waits for a minute.
        set_socket_linger(end, Some(Duration::ZERO))?;
    }
    Ok((near, far))
}
