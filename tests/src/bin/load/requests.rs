//! Short connections: connect, ask, read the answer, close.

use serde_json::{Value, json};
use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

const REQUEST: [u8; 100] = [b'q'; 100];
const RESPONSE: [u8; 400] = [b'a'; 400];
/// Threads that accept: a slow client must not hold up the others.
const SERVERS: usize = 4;
/// Of every blocking call.
const DEADLINE: Duration = Duration::from_secs(10);

/// Starts to answer; ends with the process.
pub(crate) fn serve(address: SocketAddr) -> io::Result<Value> {
    let listener = TcpListener::bind(address)?;
    let port = listener.local_addr()?.port();
    for _ in 0..SERVERS {
        let listener = listener.try_clone()?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that went away is the client's failure, which it reports.
                answer(stream).ok();
            }
        });
    }
    Ok(json!({ "port": port }))
}

/// The client closes first, so that the ports in TIME_WAIT are its own.
fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.read_exact(&mut [0; REQUEST.len()])?;
    stream.write_all(&RESPONSE)?;
    stream.read(&mut [0; 1]).map(drop)
}

/// One connection; gives its local port.
pub(crate) fn ask(to: SocketAddr) -> io::Result<u16> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    let port = stream.local_addr()?.port();
    stream.write_all(&REQUEST)?;
    stream.read_exact(&mut [0; RESPONSE.len()])?;
    Ok(port)
}

/// Calls `work` at a pace. A call that is late is made at once, so that the rate holds on average.
pub(crate) fn paced(
    time: Duration,
    rate: u32,
    mut work: impl FnMut() -> io::Result<()>,
) -> io::Result<Duration> {
    let period = Duration::from_secs(1) / rate;
    let start = Instant::now();
    let mut due = start;
    while start.elapsed() < time {
        work()?;
        due += period;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(start.elapsed())
}

/// Connections of this process. All come from 127.0.0.1; the address they go to tells whose they are.
pub(crate) fn request(to: SocketAddr, time: Duration, rate: u32) -> io::Result<Value> {
    debug_assert!(to.ip() != Ipv4Addr::LOCALHOST);
    let mut count = 0_u64;
    let took = paced(time, rate, || {
        count += 1;
        ask(to).map(drop)
    })?;
    Ok(json!({ "connections": count, "seconds": took.as_secs_f64() }))
}
