//! How long a person, or a script, waits for `monitor`.
//!
//! A drip of datagrams on sockets that are older than the monitor gives it something to show. The baseline is the time
//! that the same binary takes to say its version: exec, linking, end.

use crate::{
    Pace,
    cost::Watched,
    datagrams::loader,
    sample::{Samples, mean},
};
use monitor_tests::{cgroup::Cgroup, json::number, netns::Netns, program, pty::Pty};
use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

/// What `monitor` draws first, and the name that it shows once it has data.
const FRAME: &[u8] = b"monitor";
const NAME: &str = "bench-drip";
const PER_SECOND: u32 = 500;
/// The shortest that monitor takes.
const INTERVAL: &str = "0.1";
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn run(_: Pace, samples: &mut Samples) {
    let (cgroup, netns) = (Cgroup::new(), Netns::new());
    let mut sink = loader(&cgroup, &netns, "bench-sink");
    let port = number(&sink.ask("sink 127.0.0.1:0"), "port");
    sink.start("absorb");
    let mut drip = loader(&cgroup, &netns, NAME);
    // Longer than all that follows; both helpers end with their values.
    drip.start(&format!("drip 127.0.0.1:{port} 20000 64 {PER_SECOND}"));
    let nothing = mean(&[version(), version(), version()]);
    let (frame, data) = screen();
    samples.add("exec to first frame", "ms", frame).baseline(nothing).at_most(50.0);
    samples.add("exec to first data on the screen", "ms", data).baseline(nothing).at_most(200.0);
    let (object, _) = first_object(&["--json", "--interval", INTERVAL]);
    samples
        .add(format!("exec to first object, interval {INTERVAL} s"), "ms", object)
        .baseline(nothing)
        .at_most(200.0);
    let (object, used) = first_object(&["--json"]);
    samples.add("exec to first object, --json alone", "ms", object).baseline(nothing);
    samples.add("CPU time until then", "ms", used).baseline(nothing);
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn version() -> f64 {
    let mut command = Command::new(program::monitor());
    command.arg("--version");
    let start = Instant::now();
    program::output(command);
    milliseconds(start.elapsed())
}

/// Time to the first object, and CPU time until then.
fn first_object(arguments: &[&str]) -> (f64, f64) {
    let mut command = Command::new(program::monitor());
    command.args(arguments).stdout(Stdio::piped());
    let start = Instant::now();
    let mut watched = Watched::spawn(command);
    let mut line = String::new();
    BufReader::new(watched.stdout()).read_line(&mut line).expect("monitor prints text");
    let (took, used) = (start.elapsed(), watched.cpu());
    assert!(line.starts_with('{'), "monitor printed `{line}`");
    (milliseconds(took), milliseconds(used))
}

/// Time to the first frame, and to the first with data.
fn screen() -> (f64, f64) {
    let pty = Pty::open();
    let mut command = Command::new(program::monitor());
    pty.give_to(&mut command);
    let (sender, drawn) = channel();
    let reader = pty.watch(move |piece| sender.send((Instant::now(), piece.to_vec())).is_ok());
    let start = Instant::now();
    let watched = Watched::spawn(command);
    let mut text = Vec::new();
    let frame = until_drawn(&drawn, &mut text, FRAME);
    let data = until_drawn(&drawn, &mut text, NAME.as_bytes());
    drop(watched);
    drop(drawn);
    reader.join().expect("the reader of the terminal");
    (milliseconds(frame - start), milliseconds(data - start))
}

fn until_drawn(drawn: &Receiver<(Instant, Vec<u8>)>, text: &mut Vec<u8>, what: &[u8]) -> Instant {
    let name = String::from_utf8_lossy(what);
    loop {
        let (time, piece) =
            drawn.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("no `{name}` on the screen: {error}"));
        text.extend(piece);
        if text.windows(what.len()).any(|window| window == what) {
            return time;
        }
    }
}
