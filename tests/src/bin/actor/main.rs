//! A process that does on command what makes an owner hard to find: `actor CGROUP NAME`.
//!
//! Like `traffic`, it joins the cgroup, takes the name, and answers each line with one JSON object. Unlike it, its
//! sockets are bare descriptors of any family and type, and it can fork, pass descriptors, execute itself under another
//! name, and move bytes by every system call that can. A child that it forked is another such process, reached through
//! it with `child N STEP`. To add a step, add a line to [`Actor::step`].

mod calls;
mod family;
mod raw;
mod sockets;
mod uring;

use family::Family;
use monitor_tests::steps::{Answer, Words, say, serve};
use rustix::{process::getpid, thread::set_name};
use serde_json::json;
use sockets::Sockets;
use std::{
    env,
    error::Error,
    ffi::CString,
    fs,
    io::{self, BufReader},
    os::unix::net::UnixStream,
    path::Path,
    thread,
    time::Duration,
};

/// Deadline of every blocking call.
const DEADLINE: Duration = Duration::from_secs(20);

/// Where steps come from, other than stdin: the parent, which also passes descriptors.
struct Parent {
    lines: UnixStream,
    rights: UnixStream,
}

#[derive(Default)]
struct Actor {
    sockets: Sockets,
    family: Family,
    parent: Option<Parent>,
}

impl Actor {
    /// The table of steps.
    fn step(&mut self, line: &str) -> Answer {
        let mut words = Words::of(line);
        let step: String = words.take("step")?;
        let words = &mut words;
        match step.as_str() {
            // fork NAME [PID]: a child with everything that is open here, with that pid; gives its number and pid
            "fork" => family::fork(self, words),
            // child N STEP: a step of that child
            "child" => self.family.relay(words),
            // reap N: end that child and wait for it
            "reap" => self.family.reap(words),
            // pass FD N: SCM_RIGHTS to that child, which must `take` it; the descriptor is closed here
            "pass" => family::pass(self, words),
            // take: what the parent passes
            "take" => family::take(self),
            // exec PATH: execute PATH (this program under another name), which keeps all sockets
            "exec" => family::exec(self, words),
            // thread NAME STEP: the step, by a thread of that name
            "thread" => self.in_thread(words),
            _ => self.sockets.step(&step, words),
        }
    }

    fn in_thread(&mut self, words: &mut Words<'_>) -> Answer {
        let name = CString::new(words.take::<String>("name")?)?;
        let line = words.rest();
        let sockets = &mut self.sockets;
        let done = thread::scope(|scope| {
            let inside = scope.spawn(|| {
                set_name(&name).map_err(|error| error.to_string())?;
                let mut words = Words::of(&line);
                let step: String = words.take("step").map_err(|error| error.to_string())?;
                sockets.step(&step, &mut words).map_err(|error| error.to_string())
            });
            inside.join()
        });
        Ok(done.map_err(|_| "the thread panicked")??)
    }

    /// Answers steps until nobody asks any more.
    fn serve(&mut self) -> Result<(), Box<dyn Error>> {
        let started = Ok(json!({ "pid": getpid().as_raw_nonzero() }));
        if let Some(parent) = &self.parent {
            let (input, mut output) = (parent.lines.try_clone()?, parent.lines.try_clone()?);
            say(&mut output, started)?;
            serve(BufReader::new(input), &mut output, |line| self.step(line))?;
        } else {
            say(&mut io::stdout(), started)?;
            serve(io::stdin().lock(), &mut io::stdout(), |line| self.step(line))?;
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let mut argument = || arguments.next().ok_or("usage: actor CGROUP NAME");
    let first = argument()?;
    if first == family::ADOPT {
        return family::adopt(&argument()?)?.serve();
    }
    fs::write(Path::new(&first).join("cgroup.procs"), "0")?;
    set_name(&CString::new(argument()?)?)?;
    Actor::default().serve()
}
