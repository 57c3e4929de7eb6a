//! Claims, who claimed a socket, and what follows from it: the attribution rules, without any state but the claims.
//!
//! The kernel puts the owner of the moment into every row, so these rules only speak where that owner is missing,
//! provisional or one of several. Ports, names and parents are never evidence here.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::model::{Attribution, Claim, Confidence, Evidence, Method, Mono, ProcessId, Standing, Unseen};

/// Claimants remembered per socket; beyond it, the one that claimed longest ago is forgotten.
const CLAIMANTS: usize = 64;
/// Pids that a reason names.
const NAMED: usize = 8;

/// From which on a claim shows that the process used the socket.
const USE: Evidence = Evidence::NamesAnEnd;

/// One process that claimed the socket.
#[derive(Clone, Debug)]
struct Claimant {
    process: ProcessId,
    /// It was found to hold the socket, and how: when the monitor started, or in a sample of all processes.
    held: Option<Method>,
    /// Its strongest and then latest claim that is not a seed.
    claim: Option<(Evidence, Mono, Method)>,
    /// First and latest use.
    used: Option<(Mono, Mono)>,
    /// It used the socket in turn with another.
    in_turn: bool,
    /// It has ended.
    gone: bool,
    last: Mono,
}

/// Who the claims speak for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Nobody,
    One(ProcessId, Method),
    /// That many held it when the monitor started, and nothing tells them apart.
    Several(usize),
}

/// All that is known of a socket's claimants.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    claimants: Vec<Claimant>,
}

impl Claims {
    /// Remembers a claim.
    pub(super) fn note(&mut self, claim: &Claim) {
        let at = self.position(claim.process);
        let claimant = &mut self.claimants[at];
        claimant.last = claimant.last.max(claim.last);
        if matches!(claim.method, Method::Seed | Method::SockDiag | Method::Procfs | Method::Lsof) {
            claimant.held = Some(claim.method);
            return;
        }
        let evidence = claim.method.evidence();
        let new = (evidence, claim.last, claim.method);
        claimant.claim =
            Some(claimant.claim.map_or(new, |old| if (new.0, new.1) >= (old.0, old.1) { new } else { old }));
        if evidence < USE {
            return;
        }
        let (first, last) = claimant.used.unwrap_or((claim.first, claim.last));
        let used = (first.min(claim.first), last.max(claim.last));
        claimant.used = Some(used);
        self.find_turns(at, used);
    }

    /// The process that used the socket first, and how: what was only made is whoever's turns out to use it.
    fn first_user(&self) -> Option<(ProcessId, Method)> {
        let users = self.claimants.iter().filter_map(|c| {
            let (evidence, _, method) = c.claim?;
            (evidence >= Evidence::TakesTheSocket).then_some((c.used?.0, c.process, method))
        });
        users
            .min_by_key(|(first, process, _)| (*first, *process))
            .map(|(_, process, method)| (process, method))
    }

    /// How a process claimed it, as far as is known.
    fn method_of(&self, process: ProcessId) -> Method {
        let claimant = self.claimants.iter().find(|claimant| claimant.process == process);
        claimant.and_then(|claimant| claimant.claim).map_or(Method::Create, |claim| claim.2)
    }

    /// Those who use the socket in turn.
    pub(super) fn in_turn(&self) -> impl Iterator<Item = ProcessId> {
        self.claimants.iter().filter(|claimant| claimant.in_turn).map(|claimant| claimant.process)
    }

    /// A process is gone: it will not use the socket again, so what moves from now on is not shared with it. What it
    /// claimed it keeps.
    pub(super) fn bury(&mut self, process: ProcessId) {
        for claimant in self.claimants.iter_mut().filter(|claimant| claimant.process == process) {
            claimant.in_turn = false;
            claimant.gone = true;
        }
        let mut left = self.claimants.iter_mut().filter(|claimant| claimant.in_turn);
        if let (Some(last), None) = (left.next(), left.next()) {
            last.in_turn = false;
        }
    }

    /// Whether a seed is among them: then the socket may be idle for hours and must not be forgotten.
    pub(super) fn seeded(&self) -> bool {
        self.claimants.iter().any(|claimant| claimant.held == Some(Method::Seed))
    }

    fn position(&mut self, process: ProcessId) -> usize {
        if let Some(at) = self.claimants.iter().position(|claimant| claimant.process == process) {
            return at;
        }
        if self.claimants.len() >= CLAIMANTS {
            let oldest = self.claimants.iter().enumerate().min_by_key(|(_, claimant)| claimant.last);
            if let Some((at, _)) = oldest {
                self.claimants.swap_remove(at);
            }
        }
        self.claimants.push(Claimant {
            process,
            held: None,
            claim: None,
            used: None,
            in_turn: false,
            gone: false,
            last: Mono(0),
        });
        self.claimants.len() - 1
    }

    /// Use in turn: each used the socket after the other had. A hand-over in one direction is not that.
    fn find_turns(&mut self, at: usize, (first, last): (Mono, Mono)) {
        let mut found = false;
        for (other, claimant) in self.claimants.iter_mut().enumerate() {
            let in_turn = claimant.used.is_some_and(|used| last > used.0 && used.1 > first);
            if other != at && in_turn && !claimant.gone {
                claimant.in_turn = true;
                found = true;
            }
        }
        self.claimants[at].in_turn |= found;
    }

    /// The claimant with the strongest and then latest claim. The release of `listener` says nothing about an accepted
    /// socket: closing what nobody used is what a supervisor does. Nor does the kernel's: a worker of it closes what a ring
    /// or a message in flight held last.
    fn holder(&self, listener: Option<ProcessId>) -> Holder {
        let strongest = self
            .claimants
            .iter()
            .filter(|c| {
                let says_nothing = listener == Some(c.process) || c.process == ProcessId::KERNEL;
                !says_nothing || c.claim.is_some_and(|claim| claim.2 != Method::Release)
            })
            .filter_map(|c| Some((c.claim?, c.process)))
            .max_by_key(|((evidence, last, _), process)| (*evidence, *last, *process));
        let mut held = self.claimants.iter().filter_map(|claimant| Some((claimant.process, claimant.held?)));
        match (strongest, held.next(), held.count()) {
            (Some(((evidence, _, method), process)), seed, others)
                if evidence >= USE || method == Method::Create || seed.is_none() || others > 0 =>
            {
                Holder::One(process, method)
            }
            (_, Some((process, method)), 0) => Holder::One(process, method),
            (_, Some(_), others) => Holder::Several(others + 1),
            (_, None, _) => Holder::Nobody,
        }
    }

    /// `process` owns it, by its own claim: exact, unless the socket is used in turn.
    fn owned(&self, process: ProcessId, method: Method) -> Attribution {
        if process == ProcessId::KERNEL {
            return kernel();
        }
        let others = self.in_turn_with(process);
        match others {
            None => attribution(Some(process), method, Confidence::Exact, None),
            Some(others) => attribution(
                Some(process),
                method,
                Confidence::Shared,
                Some(format!("also used by {others}").into()),
            ),
        }
    }

    fn in_turn_with(&self, process: ProcessId) -> Option<String> {
        let mut others =
            self.claimants.iter().filter(|c| c.in_turn && c.process != process).map(|c| c.process.pid);
        let mut text = format!("pid {}", others.next()?);
        for pid in others.by_ref().take(NAMED - 1) {
            let _ = write!(text, ", {pid}");
        }
        match others.count() {
            0 => {}
            more => {
                let _ = write!(text, " and {more} more");
            }
        }
        Some(text)
    }
}

/// What is to be done with bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They are this owner's, for good.
    Settled(Attribution),
    /// They wait, for this reason.
    Wait(&'static str),
}

/// The rule. `over` means that nothing more will be learned: the deadline has passed, or the socket was closed.
/// [`Standing::Listener`] is judged as if there were no connection to join: see [`handshake`].
pub(super) fn judge(
    standing: Standing,
    owner: Option<ProcessId>,
    method: Method,
    claims: &Claims,
    over: bool,
) -> Verdict {
    match (standing, owner) {
        (Standing::Kernel, _) => Verdict::Settled(kernel()),
        (Standing::Unseen(why), _) => Verdict::Settled(unseen(why)),
        (Standing::Recorded, _) => Verdict::Settled(recorded()),
        (Standing::Firm, Some(process)) => Verdict::Settled(claims.owned(process, method)),
        (Standing::Made, Some(maker)) => made(maker, claims, over),
        (Standing::Inherited, Some(listener)) => inherited(listener, claims, over),
        (Standing::Listener, _) => Verdict::Settled(handshake(owner, claims)),
        (Standing::Ambiguous, _) => ambiguous(claims, over),
        (Standing::Unclaimed, _) | (Standing::Firm | Standing::Made | Standing::Inherited, None) => {
            unclaimed(claims, over)
        }
    }
}

fn inherited(listener: ProcessId, claims: &Claims, over: bool) -> Verdict {
    match claims.holder(Some(listener)) {
        Holder::One(process, method) => Verdict::Settled(claims.owned(process, method)),
        _ if !over => Verdict::Wait("accepted, not yet used by a process"),
        _ if listener == ProcessId::KERNEL => Verdict::Settled(kernel()),
        _ => Verdict::Settled(by_inheritance(listener)),
    }
}

/// The first to use it has what came in or went out before that; nobody ever did, it stays with its maker.
fn made(maker: ProcessId, claims: &Claims, over: bool) -> Verdict {
    match claims.first_user() {
        Some((process, method)) => Verdict::Settled(claims.owned(process, method)),
        None if !over => Verdict::Wait("the socket was made and not used yet"),
        None => Verdict::Settled(claims.owned(maker, claims.method_of(maker))),
    }
}

fn unclaimed(claims: &Claims, over: bool) -> Verdict {
    match claims.holder(None) {
        Holder::One(process, Method::Listener) => Verdict::Settled(by_inheritance(process)),
        Holder::One(process, method) => Verdict::Settled(claims.owned(process, method)),
        Holder::Several(holders) => Verdict::Settled(held_by(holders)),
        Holder::Nobody if !over => Verdict::Wait("no process has claimed the socket yet"),
        Holder::Nobody => Verdict::Settled(unknown()),
    }
}

fn ambiguous(claims: &Claims, over: bool) -> Verdict {
    match claims.holder(None) {
        Holder::One(process, method) if method != Method::Seed => {
            Verdict::Settled(claims.owned(process, method))
        }
        _ if !over => Verdict::Wait("several processes hold the socket, none has used it yet"),
        _ => Verdict::Settled(held_by(
            claims.claimants.iter().filter(|claimant| claimant.held.is_some()).count(),
        )),
    }
}

/// What an interface carried and no socket saw.
pub(super) fn unseen(why: Unseen) -> Attribution {
    attribution(None, Method::None, Confidence::Unknown, Some(why.reason().into()))
}

/// Out of a file.
fn recorded() -> Attribution {
    let reason = Cow::Borrowed("a file of packets does not say whose they are");
    attribution(None, Method::None, Confidence::Unknown, Some(reason))
}

/// Handshake packets that no connection came of: the listener's own.
pub(super) fn handshake(listener: Option<ProcessId>, claims: &Claims) -> Attribution {
    match listener {
        Some(ProcessId::KERNEL) => kernel(),
        Some(process) => attribution(Some(process), Method::Listener, Confidence::Exact, None),
        None => match unclaimed(claims, true) {
            Verdict::Settled(settled) => settled,
            Verdict::Wait(_) => unknown(),
        },
    }
}

/// On the listener's owner, because nobody used the accepted socket.
pub(super) fn by_inheritance(listener: ProcessId) -> Attribution {
    let reason = Cow::Borrowed("accepted from this process's listener; no process was seen to use it");
    attribution(Some(listener), Method::Listener, Confidence::Inherited, Some(reason))
}

/// The kernel's own traffic.
pub(super) fn kernel() -> Attribution {
    attribution(Some(ProcessId::KERNEL), Method::Kernel, Confidence::Exact, None)
}

/// Not settled yet.
pub(super) fn pending(reason: &'static str) -> Attribution {
    attribution(None, Method::None, Confidence::Pending, Some(Cow::Borrowed(reason)))
}

/// No candidate.
pub(super) fn unknown() -> Attribution {
    let reason = Cow::Borrowed("no process was seen to hold or use the socket");
    attribution(None, Method::None, Confidence::Unknown, Some(reason))
}

/// Too many candidates; `holders` below 2 stands for an unknown number.
pub(super) fn held_by(holders: usize) -> Attribution {
    let reason = match holders {
        0 | 1 => Cow::Borrowed("several processes hold the socket and none was seen to use it"),
        _ => Cow::Owned(format!("{holders} processes hold the socket and none was seen to use it")),
    };
    attribution(None, Method::None, Confidence::Ambiguous, Some(reason))
}

fn attribution(
    owner: Option<ProcessId>,
    method: Method,
    confidence: Confidence,
    reason: Option<Cow<'static, str>>,
) -> Attribution {
    Attribution { owner, method, confidence, reason }
}
