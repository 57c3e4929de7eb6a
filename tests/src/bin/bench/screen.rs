//! What drawing costs: the whole program with a thousand flows that never rest, on a terminal of 200 x 50.
//!
//! Whole means counting, resolving and drawing. What others draw of the same traffic stands beside it, where they are
//! installed; what they can tell of it is theirs to say.

use crate::{
    Pace,
    cost::{Share, Watched},
    sample::Samples,
    short::find,
};
use monitor_tests::{netns::Netns, program, pty::Pty, scene::StopOnDrop};
use std::{
    io,
    net::UdpSocket,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// Each is two flows: one that sends and one that receives.
const SOCKETS: usize = 500;
const LENGTH: usize = 100;
/// Between two datagrams of one socket; five a tick.
const EVERY: Duration = Duration::from_millis(200);
/// So many at once fit into the receiver's queue.
const BATCH: usize = 50;

pub(crate) fn run(pace: Pace, samples: &mut Samples) {
    let (netns, stop) = (Netns::new(), AtomicBool::new(false));
    thread::scope(|scope| {
        let talking = scope.spawn(|| netns.run(|| talk(&stop)));
        let stop = StopOnDrop(&stop);
        for view in ["processes", "flows"] {
            let (monitor, drawn) = on_a_terminal(Command::new(program::monitor()), &["--view", view], true);
            let (used, bytes) = costs(&monitor, &drawn, pace);
            samples.add(format!("CPU, 1,000 flows, view {view}"), "%", used).baseline(0.0).at_most(1.0);
            samples.add(format!("drawn, 1,000 flows, view {view}"), "kB/s", bytes);
        }
        let tools = [
            ("iftop", ["-n", "-i", "lo"].as_slice()),
            ("iftoprs", &["-n", "-i", "lo"]),
            ("bandwhich", &["-n"]),
        ];
        for (name, arguments) in tools.into_iter().filter(|_| !pace.alone) {
            let Some(path) = find(name) else {
                eprintln!("{name} is not installed");
                continue;
            };
            let (mut tool, drawn) = on_a_terminal(netns.command(path), arguments, false);
            let (used, bytes) = costs(&tool, &drawn, pace);
            if tool.has_ended() {
                eprintln!("{name} ended by itself, so it has no figure");
                continue;
            }
            samples.add(format!("CPU of {name}"), "%", used).baseline(0.0);
            samples.add(format!("drawn by {name}"), "kB/s", bytes);
        }
        drop(stop);
        talking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).expect("the traffic");
    });
}

/// Starts a program on a terminal of its own; the number is of the bytes that it has drawn.
pub(crate) fn on_a_terminal(
    mut command: Command,
    arguments: &[&str],
    counts: bool,
) -> (Watched, Arc<AtomicU64>) {
    let (pty, drawn) = (Pty::sized(50, 200), Arc::new(AtomicU64::new(0)));
    command.args(arguments);
    pty.give_to(&mut command);
    let sum = Arc::clone(&drawn);
    // Ends with the program.
    let _reader = pty.watch(move |piece| {
        sum.fetch_add(piece.len() as u64, Ordering::Relaxed);
        true
    });
    (if counts { Watched::counting(command) } else { Watched::spawn(command) }, drawn)
}

/// CPU in percent of a core, and kB drawn a second, once everything is on the screen.
pub(crate) fn costs(program: &Watched, drawn: &AtomicU64, pace: Pace) -> (f64, f64) {
    thread::sleep(pace.milliseconds(3000));
    let (share, before) = (Share::begin(program), drawn.load(Ordering::Relaxed));
    thread::sleep(pace.milliseconds(5000));
    let bytes = drawn.load(Ordering::Relaxed) - before;
    (share.end(program), bytes as f64 / 1e3 / share.seconds())
}

fn talk(stop: &AtomicBool) -> io::Result<()> {
    let sink = UdpSocket::bind("127.0.0.1:0")?;
    sink.set_nonblocking(true)?;
    let to = sink.local_addr()?;
    let sources = (0..SOCKETS)
        .map(|_| {
            let source = UdpSocket::bind("127.0.0.1:0")?;
            source.connect(to).map(|()| source)
        })
        .collect::<io::Result<Vec<_>>>()?;
    let mut taken = [0; LENGTH];
    while !stop.load(Ordering::Relaxed) {
        for batch in sources.chunks(BATCH) {
            for source in batch {
                source.send(&[b'x'; LENGTH])?;
            }
            while sink.recv(&mut taken).is_ok() {}
        }
        thread::sleep(EVERY);
    }
    Ok(())
}
