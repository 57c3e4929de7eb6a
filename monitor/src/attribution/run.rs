//! A subprocess, run for what it prints: from where only root can put one, with nothing of our environment and with few
//! capabilities, bounded in time and in bytes, and ended with everything that it started.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(5);
/// How long a killed program may take to be gone.
const DYING: Duration = Duration::from_millis(100);
/// What is read at a time.
const PIECE: usize = 64 << 10;

/// What to run, and within which bounds.
#[derive(Debug)]
pub(super) struct Program {
    /// Where it may be; the first that is there. Absolute: whoever sets PATH must not choose.
    places: Vec<PathBuf>,
    arguments: &'static [&'static str],
    /// How long it may take.
    limit: Duration,
    /// Bytes that it may print; the rest is not read.
    most: usize,
    /// One that could not be ended: it waits for a device. No other is started beside it.
    stuck: Option<Child>,
}

/// Why there is no output.
#[derive(Debug)]
pub(super) enum Failed {
    /// It could not be run.
    Missing(io::Error),
    /// It took longer than that.
    Late(Duration),
    /// The one before is still there, and does not heed a kill.
    Stuck,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(error) => write!(f, "cannot be run: {error}"),
            Self::Late(limit) => write!(f, "took longer than {} s", limit.as_secs_f32()),
            Self::Stuck => write!(f, "hangs in the kernel and cannot be ended"),
        }
    }
}

impl Program {
    pub(super) fn new(
        places: Vec<PathBuf>,
        arguments: &'static [&'static str],
        limit: Duration,
        most: usize,
    ) -> Self {
        Self { places, arguments, limit, most, stuck: None }
    }

    /// Runs it to its end and gives what it printed.
    ///
    /// # Errors
    /// It is missing, or took too long.
    pub(super) fn run(&mut self) -> Result<Vec<u8>, Failed> {
        if let Some(stuck) = &mut self.stuck {
            if !matches!(stuck.try_wait(), Ok(Some(_))) {
                return Err(Failed::Stuck);
            }
            self.stuck = None;
        }
        let mut child = self.spawn().map_err(Failed::Missing)?;
        let deadline = Instant::now() + self.limit;
        let output = child.stdout.take().map(|stdout| self.collect(&child, stdout, deadline));
        self.stuck = end(child);
        output.flatten().ok_or(Failed::Late(self.limit))
    }

    fn spawn(&self) -> io::Result<Child> {
        confine();
        let mut missing = io::Error::from(ErrorKind::NotFound);
        for place in &self.places {
            let mut command = Command::new(place);
            command.args(self.arguments).env_clear().env("LC_ALL", "C").current_dir("/").process_group(0);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
            match command.spawn() {
                Err(error) if error.kind() == ErrorKind::NotFound => missing = error,
                other => return other,
            }
        }
        Err(missing)
    }

    /// What it printed until its end; `None` where that does not come in time. A child that it leaves behind may hold its
    /// output open, so that is not waited for.
    fn collect(&self, child: &Child, mut stdout: ChildStdout, deadline: Instant) -> Option<Vec<u8>> {
        let (mut output, mut piece) = (Vec::new(), vec![0; PIECE]);
        let mut is_open = true;
        while Instant::now() < deadline {
            // Asked before the pipe: what it printed before its end is in there.
            let ended = has_ended(child);
            if is_open && is_readable(&stdout, if ended { Duration::ZERO } else { LOOK }) {
                match stdout.read(&mut piece) {
                    Ok(length @ 1..) => output.extend_from_slice(&piece[..length]),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    // What was read before an error is still worth something.
                    Ok(0) | Err(_) => is_open = false,
                }
                if output.len() >= self.most {
                    output.truncate(self.most);
                    return Some(output);
                }
            } else if ended {
                return Some(output);
            } else if !is_open {
                thread::sleep(LOOK);
            }
        }
        None
    }
}

/// Whether it has ended; it stays to be waited for, so its number is not another's.
fn has_ended(child: &Child) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::Pid(Pid::from_child(child)), options), Ok(None))
}

fn is_readable(stdout: &ChildStdout, wait: Duration) -> bool {
    let wait = Timespec::try_from(wait).unwrap_or_default();
    poll(&mut [PollFd::new(stdout, PollFlags::IN)], Some(&wait)).is_ok_and(|ready| ready > 0)
}

/// Ends it and everything that it started, as far as that stayed in its group. Gives it back where it does not end.
fn end(mut child: Child) -> Option<Child> {
    // Not waited for yet, so the number is still its own. Fails where nobody is left in the group.
    let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
    let killed = Instant::now();
    while killed.elapsed() < DYING {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return None;
        }
        thread::sleep(LOOK);
    }
    Some(child)
}

/// Leaves what this thread starts only the capabilities to look at other users' processes, and no way to gain more. What we do
/// ourselves is not concerned: the bounding set is of programs that are executed.
#[cfg(target_os = "linux")]
fn confine() {
    use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set, set_no_new_privs};

    let kept = CapabilitySet::SYS_PTRACE | CapabilitySet::DAC_READ_SEARCH;
    for capability in CapabilitySet::all().difference(kept).iter_names().map(|(_, capability)| capability) {
        // Fails where we may not; and unless we are root, a program that is executed gets none.
        let _ = remove_capability_from_bounding_set(capability);
    }
    let _ = set_no_new_privs(true);
}

/// There are no capabilities.
#[cfg(not(target_os = "linux"))]
fn confine() {}
