//! Attribution of captured packets: whose they are, from samples of who holds which socket, taken by a thread of its own.
//!
//! A sample is older or younger than a packet, so it can miss a socket that lived between two of them; it never names a
//! process by its port alone. What the kernel knows better is not asked here: this is for packets that were captured.
//! Nothing here knows where they were.

#[cfg(target_os = "linux")]
mod linux;
mod lsof;
mod matching;
#[cfg(target_os = "linux")]
mod procfs;
mod run;
#[cfg(test)]
mod tests;
mod worker;

use crate::model::{
    Batch, Claim, Degradation, Delta, FlowId, Method, Mono, ProcessId, SETTLE_AFTER, SocketId, Standing,
    Unseen,
};
use matching::{Match, Sockets};
use std::collections::{HashMap, HashSet};
use std::io;
use worker::Worker;

/// Flows that are waited for, and processes that are known to be named; beyond it nobody waits, and names are told again.
const MOST: usize = 65_536;

/// How sockets and their holders are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chain {
    /// The kernel's list and /proc; /proc/net where the list is refused.
    Procfs,
    /// lsof(8).
    Lsof,
}

impl Chain {
    /// The best of this system.
    pub(crate) fn best() -> Self {
        if cfg!(target_os = "linux") { Self::Procfs } else { Self::Lsof }
    }

    /// Why it cannot be used here.
    pub(crate) fn missing(self) -> Option<&'static str> {
        let misplaced = self == Self::Procfs && !cfg!(target_os = "linux");
        misplaced.then_some("--attribution procfs needs the /proc of Linux; say lsof, or leave it out")
    }
}

/// Who holds which socket, at one moment.
#[derive(Debug, Default)]
struct Sample {
    sockets: Sockets,
    /// What could not be found out.
    degraded: Vec<Degradation>,
}

/// Takes samples; each by itself, never two at a time.
trait Sampler: Send {
    fn sample(&mut self) -> Sample;
}

/// Finds the owners of captured packets, batch by batch.
pub(crate) struct Attributor {
    worker: Worker,
    latest: Sample,
    /// When the latest sample was begun.
    taken: Option<Mono>,
    /// Flows that nobody was found for, since when, and until when the answer is wanted.
    open: HashMap<SocketId, Open>,
    /// Processes that the table was told of.
    told: HashSet<ProcessId>,
}

/// A flow that waits for a younger sample.
#[derive(Clone, Copy, Debug)]
struct Open {
    flow: FlowId,
    since: Mono,
    seen: Mono,
    answered: bool,
}

impl Attributor {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the system has none to give.
    pub(crate) fn start(chain: Chain) -> io::Result<Self> {
        let sampler: Box<dyn Sampler> = match chain {
            Chain::Lsof => Box::new(lsof::Lsof::default()),
            #[cfg(target_os = "linux")]
            Chain::Procfs => Box::new(linux::Procfs),
            #[cfg(not(target_os = "linux"))]
            Chain::Procfs => Box::new(lsof::Lsof::default()),
        };
        Self::with(sampler)
    }

    fn with(sampler: Box<dyn Sampler>) -> io::Result<Self> {
        Ok(Self {
            worker: Worker::start(sampler)?,
            latest: Sample::default(),
            taken: None,
            open: HashMap::new(),
            told: HashSet::new(),
        })
    }

    /// Says whose the bytes of a batch are, as far as the latest sample shows, and whose earlier ones were.
    pub(crate) fn complete(&mut self, batch: &mut Batch) {
        let fresh = self.worker.latest();
        let is_fresh = fresh.is_some();
        if let Some((sample, since)) = fresh {
            self.latest = sample;
            // The clock of batches is not read here: a sample that was begun so long ago was begun then.
            self.taken = Some(batch.to.minus(since));
        }
        let mut deltas = std::mem::take(&mut batch.deltas);
        let mut unowned = false;
        for delta in &mut deltas {
            if delta.standing == Standing::Unclaimed && delta.flow.socket.is_of_ends() {
                unowned |= self.own(delta, batch);
            }
        }
        batch.deltas = deltas;
        if is_fresh {
            self.answer(batch);
        }
        if unowned {
            self.worker.hurry();
        }
    }

    /// Finds the owner of a delta. True where a younger sample could know more.
    fn own(&mut self, delta: &mut Delta, batch: &mut Batch) -> bool {
        let found = self.latest.sockets.owner(&delta.flow);
        let young = self.wait(&delta.flow, batch.to);
        let (process, standing, method) = match found {
            Match::One(process, method) => (Some(process), Standing::Firm, method),
            // The connection may be younger than the sample; then it is not the listener's yet.
            Match::Nobody if young && !delta.flow.protocol.is_tunnel() => return true,
            Match::Listener(_) | Match::Listeners(_) if young => return true,
            Match::Listener(process) => (Some(process), Standing::Inherited, Method::Listener),
            Match::Several(_) | Match::Listeners(_) => (None, Standing::Ambiguous, Method::None),
            Match::Nobody => {
                if delta.flow.protocol.is_tunnel() {
                    delta.standing = Standing::Unseen(Unseen::Encapsulation);
                    delta.flow.socket = SocketId::default();
                }
                return false;
            }
        };
        (delta.owner, delta.standing, delta.method) = (process, standing, method);
        self.name(process, batch);
        false
    }

    /// Notes that a flow was seen. True as long as the latest sample is older than the flow.
    fn wait(&mut self, flow: &FlowId, now: Mono) -> bool {
        if self.open.len() >= MOST {
            self.open.retain(|_, open| now.since(open.seen) < SETTLE_AFTER);
        }
        if self.open.len() >= MOST && !self.open.contains_key(&flow.socket) {
            return false;
        }
        let open = self.open.entry(flow.socket).or_insert(Open {
            flow: *flow,
            since: now,
            seen: now,
            answered: false,
        });
        open.seen = now;
        self.taken.is_none_or(|taken| taken < open.since)
    }

    /// Tells the table of flows that waited whose they are, now that there is a younger sample.
    fn answer(&mut self, batch: &mut Batch) {
        let now = batch.to;
        self.open.retain(|_, open| now.since(open.seen) < 12 * SETTLE_AFTER);
        let taken = self.taken.unwrap_or_default();
        let mut claims: Vec<(SocketId, ProcessId, Method)> = Vec::new();
        for open in self.open.values_mut().filter(|open| !open.answered) {
            let late = now.since(open.since) > SETTLE_AFTER;
            open.answered = late;
            let socket = open.flow.socket;
            let all = match self.latest.sockets.owner(&open.flow) {
                Match::One(process, method) => vec![(socket, process, method)],
                Match::Several(holders) => {
                    holders.iter().map(|(process, method)| (socket, *process, *method)).collect()
                }
                Match::Listener(process) if taken >= open.since => vec![(socket, process, Method::Listener)],
                _ => continue,
            };
            open.answered = true;
            claims.extend(all);
        }
        for (socket, process, method) in claims {
            batch.claims.push(Claim { socket, process, method, first: now, last: now, closed: false });
            self.name(Some(process), batch);
        }
    }

    /// Names a process, once.
    fn name(&mut self, process: Option<ProcessId>, batch: &mut Batch) {
        let Some(process) = process else { return };
        if self.told.len() >= MOST {
            self.told.clear();
        }
        if self.told.insert(process)
            && let Some(seen) = self.latest.sockets.process(process)
        {
            batch.processes.push(seen.clone());
        }
    }

    /// How owners are found; empty before the first sample.
    pub(crate) fn tier(&self) -> &'static str {
        self.latest.sockets.method().map_or("", Method::name)
    }

    /// What could not be found out.
    pub(crate) fn degradations(&self) -> &[Degradation] {
        &self.latest.degraded
    }
}
