//! A process that loads the network for the benches: `load CGROUP NAME`.
//!
//! It speaks as `traffic` does (one step a line on stdin, one JSON object each on stdout) and differs in what it is for:
//! `traffic` moves a known number of bytes and tells when; this moves as much as it can, or at a given pace, for a given
//! time, and tells how much that was.

mod children;
mod counters;
mod crew;
mod datagrams;
mod pairs;
mod requests;

use rustix::{process::getpid, thread::set_name};
use serde_json::{Value, json};
use std::{
    env,
    error::Error,
    ffi::CString,
    fs,
    io::{self, BufRead, Write},
    path::Path,
    str::{FromStr, SplitWhitespace},
    time::Duration,
};

type Answer = Result<Value, Box<dyn Error>>;

/// The words of a step, read from the left.
struct Words<'l>(SplitWhitespace<'l>);

impl Words<'_> {
    fn take<T: FromStr>(&mut self, what: &str) -> Result<T, Box<dyn Error>> {
        let word = self.0.next().ok_or_else(|| format!("{what} is missing"))?;
        word.parse().map_err(|_| format!("`{word}` is no {what}").into())
    }

    fn milliseconds(&mut self) -> Result<Duration, Box<dyn Error>> {
        Ok(Duration::from_millis(self.take("time in milliseconds")?))
    }
}

/// What a step makes and later ones use.
#[derive(Default)]
struct Made {
    sink: Option<datagrams::Sink>,
    pairs: Option<crew::Crew>,
}

/// The table of steps.
fn step(line: &str, made: &mut Made) -> Answer {
    let mut words = Words(line.split_whitespace());
    let step: String = words.take("step")?;
    let words = &mut words;
    match step.as_str() {
        // sink ADDR: makes a UDP socket
        "sink" => {
            let sink = datagrams::Sink::new(words.take("address")?)?;
            let answer = sink.describe()?;
            made.sink = Some(sink);
            Ok(answer)
        }
        // absorb: receives at the sink until nothing comes any more
        "absorb" => Ok(made.sink.as_ref().ok_or("no sink")?.absorb()?),
        // rest: receives at the sink what has come since
        "rest" => Ok(made.sink.as_ref().ok_or("no sink")?.rest()?),
        // flood ADDR MS LENGTH: sends datagrams as fast as it can
        "flood" => {
            let (to, time) = (words.take("address")?, words.milliseconds()?);
            Ok(datagrams::flood(to, time, words.take("length")?)?)
        }
        // drip ADDR MS LENGTH PER_SECOND: sends datagrams at a pace
        "drip" => {
            let (to, time, length) = (words.take("address")?, words.milliseconds()?, words.take("length")?);
            Ok(datagrams::drip(to, time, length, words.take("rate")?)?)
        }
        // scatter COUNT: a datagram to each of so many addresses
        "scatter" => Ok(datagrams::scatter(words.take("count")?)?),
        // devices NAME COUNT: a datagram out of each of so many devices
        "devices" => {
            let name: String = words.take("name")?;
            Ok(datagrams::devices(&name, words.take("count")?)?)
        }
        // children COUNT: a datagram from each of so many processes
        "children" => Ok(children::datagrams(words.take("count")?)?),
        // serve ADDR: answers requests until this process ends
        "serve" => Ok(requests::serve(words.take("address")?)?),
        // request ADDR MS PER_SECOND: connect, ask, close
        "request" => {
            let (to, time) = (words.take("address")?, words.milliseconds()?);
            Ok(requests::request(to, time, words.take("rate")?)?)
        }
        // request-by-children ADDR MS PER_SECOND: the same, each in a process of its own
        "request-by-children" => {
            let (to, time) = (words.take("address")?, words.milliseconds()?);
            Ok(children::request(to, time, words.take("rate")?)?)
        }
        // pairs KIND COUNT [NEAR FAR]: makes sockets in pairs, the ends in these cgroups
        "pairs" => {
            let (kind, count) = (words.take("kind")?, words.take("count")?);
            let cgroups = words.0.clone().next().is_some();
            let cgroups = if cgroups { Some([words.take("cgroup")?, words.take("cgroup")?]) } else { None };
            made.pairs = Some(crew::Crew::make(kind, count, cgroups.as_ref())?);
            Ok(json!({}))
        }
        // run MS: messages over the pairs, as fast as it can
        "run" => Ok(made.pairs.as_mut().ok_or("no pairs")?.run(words.milliseconds()?)?),
        // pace MS PER_SECOND: messages over the pairs, at a pace
        "pace" => {
            let time = words.milliseconds()?;
            Ok(made.pairs.as_mut().ok_or("no pairs")?.pace(time, words.take("rate")?)?)
        }
        _ => Err("no such step".into()),
    }
}

fn prepare() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    let cgroup = arguments.next().ok_or("usage: load CGROUP NAME")?;
    let name = arguments.next().ok_or("usage: load CGROUP NAME")?;
    fs::write(Path::new(&cgroup).join("cgroup.procs"), "0")?;
    set_name(&CString::new(name.into_encoded_bytes())?)?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout();
    let mut say = |answer: Answer| {
        let answer = answer.unwrap_or_else(|error| json!({ "error": error.to_string() }));
        writeln!(out, "{answer}").and_then(|()| out.flush())
    };
    say(prepare().map(|()| json!({ "pid": getpid().as_raw_nonzero() })))?;
    let mut made = Made::default();
    for line in io::stdin().lock().lines() {
        say(step(&line?, &mut made))?;
    }
    Ok(())
}
