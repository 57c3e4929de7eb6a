//! A helper process (`src/bin/traffic.rs`) that moves bytes on command.
//!
//! One line in is one step, one JSON line out is its result, so a test decides when each step happens and knows the
//! real numbers of each. `ask` waits for the result; `start` and `finish` are for steps of two processes that need
//! each other. A helper that fails a step, or does not answer in time, fails the test.

use crate::{cgroup::Cgroup, json::number, netns::Netns, program, wait};
use serde_json::Value;
use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

/// How long one step of a helper may take: longer than its own socket timeouts, so that it can tell what failed.
const ANSWER: Duration = Duration::from_secs(30);

/// A running helper; killed on drop.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    name: String,
    input: Option<ChildStdin>,
    answers: Receiver<String>,
    pending: RefCell<VecDeque<String>>,
}

/// A socket of a helper, by the number the helper gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    /// The helper's number for it.
    pub id: u64,
    /// Its cookie.
    pub cookie: u64,
    /// Its local port.
    pub port: u16,
}

impl Agent {
    /// Starts a helper in a cgroup and a network namespace, under a name of at most 15 bytes.
    pub fn spawn(cgroup: &Cgroup, netns: &Netns, name: &str) -> Self {
        Self::from_command(netns.command(program::traffic()), cgroup, name)
    }

    /// Starts the other kind of helper, `src/bin/actor`, which forks, passes and executes.
    pub fn actor(cgroup: &Cgroup, netns: &Netns, name: &str) -> Self {
        Self::from_command(netns.command(program::actor()), cgroup, name)
    }

    /// Starts a helper with a command that somebody else prepared (another user, another namespace).
    ///
    /// # Panics
    /// When it does not start.
    pub fn from_command(mut command: Command, cgroup: &Cgroup, name: &str) -> Self {
        command.arg(cgroup.path()).arg(name).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let input = child.stdin.take();
        let output = child.stdout.take().expect("stdout is a pipe");
        let (sender, answers) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut agent =
            Self { child, name: name.to_owned(), input, answers, pending: RefCell::new(VecDeque::new()) };
        agent.pending.get_mut().push_back("start".to_owned());
        agent.finish();
        agent
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Starts a step.
    ///
    /// # Panics
    /// When the helper is gone.
    pub fn start(&mut self, step: &str) {
        let input = self.input.as_mut().expect("the helper still takes steps");
        writeln!(input, "{step}")
            .unwrap_or_else(|error| panic!("{}: cannot ask `{step}`: {error}", self.name));
        self.pending.get_mut().push_back(step.to_owned());
    }

    /// Waits for the result of the oldest step that has not been waited for.
    ///
    /// # Panics
    /// When it failed, or does not end in time.
    pub fn finish(&self) -> Value {
        let step = self.pending.borrow().front().cloned().unwrap_or_default();
        let answer = self.answer();
        assert!(answer.get("error").is_none(), "{}: `{step}` failed: {answer}", self.name);
        answer
    }

    fn answer(&self) -> Value {
        let step = self.pending.borrow_mut().pop_front().expect("a step was started");
        let line = self
            .answers
            .recv_timeout(ANSWER)
            .unwrap_or_else(|error| panic!("{}: no answer to `{step}`: {error}", self.name));
        serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{}: `{step}` gave `{line}`: {error}", self.name))
    }

    /// A step and its result.
    pub fn ask(&mut self, step: &str) -> Value {
        self.start(step);
        self.finish()
    }

    /// A step that must fail; gives the helper's words for it.
    ///
    /// # Panics
    /// When it does not fail, or does not end in time.
    pub fn refused(&mut self, step: &str) -> String {
        self.start(step);
        let answer = self.answer();
        let error = answer.get("error").and_then(Value::as_str);
        error.unwrap_or_else(|| panic!("{}: `{step}` was not refused: {answer}", self.name)).to_owned()
    }

    /// A step that gives a socket.
    pub fn socket(&mut self, step: &str) -> Socket {
        self.start(step);
        self.finish_socket()
    }

    /// Waits for the socket that a started step gives.
    ///
    /// # Panics
    /// When the step gives none.
    pub fn finish_socket(&self) -> Socket {
        let answer = self.finish();
        Socket {
            id: number(&answer, "id"),
            cookie: number(&answer, "cookie"),
            port: u16::try_from(number(&answer, "port")).expect("a port"),
        }
    }

    /// Makes a TCP listener.
    pub fn listen(&mut self, address: SocketAddr) -> Socket {
        self.socket(&format!("listen {address}"))
    }

    /// Closes stdin, at which the helper exits, and waits for that.
    ///
    /// # Panics
    /// When it does not.
    pub fn exit(mut self) -> ExitStatus {
        self.input = None;
        wait::until("the helper exits", || self.child.try_wait().expect("wait for the helper"))
    }

    /// Kills it with SIGKILL.
    ///
    /// # Panics
    /// When it has been waited for already.
    pub fn kill(mut self) -> ExitStatus {
        self.child.kill().expect("kill the helper");
        self.child.wait().expect("wait for the helper")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A TCP connection between two helpers.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// The connecting end, in the first helper.
    pub client: Socket,
    /// The accepted end, in the second.
    pub server: Socket,
    /// The listener, in the second.
    pub listener: Socket,
}

/// Connects `client` to a new listener of `server` at `address`.
pub fn connect(client: &mut Agent, server: &mut Agent, address: SocketAddr) -> Connection {
    let listener = server.listen(address);
    reconnect(client, server, SocketAddr::new(address.ip(), listener.port), listener)
}

/// Connects `client` to a listener that `server` already has.
pub fn reconnect(
    client: &mut Agent,
    server: &mut Agent,
    address: SocketAddr,
    listener: Socket,
) -> Connection {
    server.start(&format!("accept {}", listener.id));
    let client = client.socket(&format!("connect {address}"));
    Connection { client, server: server.finish_socket(), listener }
}

/// Sends `bytes` from one end to the other and waits until the kernel has every acknowledgement.
pub fn transfer(from: (&mut Agent, Socket), to: (&mut Agent, Socket), bytes: u64) {
    let (sender, source) = from;
    let (receiver, sink) = to;
    receiver.start(&format!("receive {} {bytes}", sink.id));
    sender.ask(&format!("send {} {bytes} 65536", source.id));
    receiver.finish();
    sender.ask(&format!("acknowledged {}", source.id));
}
