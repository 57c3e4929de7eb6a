//! A process that loads the network for the benches: `load CGROUP NAME`.
//!
//! It speaks as `traffic` does (one step a line on stdin, one JSON object each on stdout) and differs in what it is for:
//! `traffic` moves a known number of bytes and tells when; this moves as much as it can, or at a given pace, for a given
//! time, and tells how much that was.

mod children;
mod datagrams;
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

/// The table of steps.
fn step(line: &str, sink: &mut Option<datagrams::Sink>) -> Answer {
    let mut words = Words(line.split_whitespace());
    let step: String = words.take("step")?;
    let words = &mut words;
    match step.as_str() {
        // sink ADDR: makes a UDP socket
        "sink" => {
            let made = datagrams::Sink::new(words.take("address")?)?;
            let answer = made.describe()?;
            *sink = Some(made);
            Ok(answer)
        }
        // absorb: receives at the sink until nothing comes any more
        "absorb" => Ok(sink.as_ref().ok_or("no sink")?.absorb()?),
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
    let mut sink = None;
    for line in io::stdin().lock().lines() {
        say(step(&line?, &mut sink))?;
    }
    Ok(())
}
