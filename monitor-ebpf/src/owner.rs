//! Who owns a socket: one claim rule for every hook.
//!
//! The owner lives in the socket's own storage. A claim replaces an owner of the same or a lower rank
//! (`monitor_common::claim_rank`), so the last user wins among equals; an owner that came with the kernel's clone
//! of a listener's storage is provisional and yields to any claim. A change of owner is also written to CLAIMS and
//! PROCS, which userspace drains every tick.

use crate::btf::Task;
use crate::helper::{self, now};
use crate::maps::{CGROUP_TASK, CLAIM_STATS, CLAIMS, OFFSETS, PROCS, SCOPED, TRACING, global};
use crate::mem::{self, E2BIG, Field, Live, Slot, element, field, zero};
use crate::sk::Sock;
use aya_log_ebpf::debug;
use monitor_common::{
    CLAIM_CLOSED, CLAIM_READ, CLAIM_RELEASE, CLAIM_SEED, Claim, ClaimKey, ClaimStats, Evidence,
    OWNER_AMBIGUOUS, OWNER_KERNEL, Owner, OwnerWord, Process, ProcessKey, claim_rank, generation,
};

/// The process that runs a claim hook.
#[derive(Clone, Copy)]
pub(crate) struct Claimant {
    tgid: u32,
    generation: u32,
    start: u64,
    flags: u8,
    /// The first thread, null where it cannot be read.
    leader: Task,
}

/// Whether the hook's program type can read the current task.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A cgroup program: only where the kernel offers the helper to it.
    Cgroup,
    /// A tracing program: always, but below Linux 5.11.
    Tracing,
}

impl Claimant {
    /// Whoever has these `OWNER_*` flags in place of a process.
    const fn flagged(flags: u8) -> Self {
        Self { tgid: 0, generation: 0, start: 0, flags, leader: Task::UNKNOWN }
    }

    /// The current process. Only for hooks that run in process context.
    #[inline(always)]
    pub(crate) fn current(reader: Reader) -> Self {
        let tgid = (helper::pid_tgid() >> 32) as u32;
        let readable = global(&OFFSETS.task_group_leader) != 0
            && global(if reader == Reader::Tracing { &TRACING } else { &CGROUP_TASK }) == 1;
        if !readable {
            return Self { tgid, generation: 0, start: 0, flags: 0, leader: Task::UNKNOWN };
        }
        Self::led_by(tgid, Task::current().leader())
    }

    /// The process of a task.
    #[inline(always)]
    pub(crate) fn of(task: Task) -> Self {
        Self::led_by(task.tgid(), task.leader())
    }

    /// The process of its first thread. Whoever has that saves the step from another one, for which the verifier searches
    /// the kernel's types three times from the first to the last.
    #[inline(always)]
    pub(crate) fn of_leader(leader: Task) -> Self {
        Self::led_by(leader.tgid(), leader)
    }

    #[inline(always)]
    fn led_by(tgid: u32, leader: Task) -> Self {
        let start = leader.start();
        if leader.is_kernel() {
            return Self::flagged(OWNER_KERNEL);
        }
        if global(&CGROUP_TASK) == 0 {
            // The cgroup hooks cannot tell a process's start, and a process must have one name in all hooks.
            return Self { tgid, generation: 0, start: 0, flags: 0, leader };
        }
        Self { tgid, generation: generation(start), start, flags: 0, leader }
    }

    /// Whether it is a kernel thread.
    #[inline(always)]
    pub(crate) const fn is_kernel(&self) -> bool {
        self.flags & OWNER_KERNEL != 0
    }

    /// Its start time, ns since boot; 0 where unknown.
    #[inline(always)]
    pub(crate) const fn start(&self) -> u64 {
        self.start
    }

    /// Its key.
    #[inline(always)]
    pub(crate) const fn key(&self) -> ProcessKey {
        ProcessKey { tgid: self.tgid, generation: self.generation }
    }

    /// comm of the thread-group leader: a thread's own name is not a process's. Where the task cannot be read it is known
    /// only if the leader itself runs the hook.
    #[inline(always)]
    pub(crate) fn comm(&self) -> [u8; 16] {
        let mut name = [0_u64; 2];
        if self.leader.is_null() {
            let pid_tgid = helper::pid_tgid();
            if pid_tgid as u32 == (pid_tgid >> 32) as u32 {
                name = helper::comm();
            }
        } else {
            name = self.leader.comm();
        }
        // SAFETY: the same bytes.
        unsafe { core::mem::transmute::<[u64; 2], [u8; 16]>(name) }
    }

    /// The part of an [`OwnerWord`] that says who.
    #[inline(always)]
    const fn word(&self) -> u64 {
        OwnerWord::process_of(self.tgid, self.generation, self.flags)
    }
}

/// Claims a socket for the current process. `netns` is its netns cookie, 0 where the hook cannot tell.
#[inline(always)]
pub(crate) fn claim(sk: Sock, cookie: u64, netns: u64, method: u8, reader: Reader, create: bool) {
    let owner = sk.owner(create);
    let claimant = Claimant::current(reader);
    let mut netns = netns;
    if let Some(owner) = owner {
        if !take(owner, cookie, netns, method, &claimant) {
            return;
        }
        netns = owner.part(field!(Owner, netns)).read();
    } else if create {
        // No room in `optmem_max`: the packets stay unclaimed here, and userspace joins them with the claim.
        count(field!(ClaimStats, no_storage));
    } else {
        return;
    }
    changed(cookie, netns, method, 0, &claimant);
}

/// The one claim rule. Whether userspace is to be told.
#[inline(always)]
fn take(owner: Live<'_, Owner>, cookie: u64, netns: u64, method: u8, claimant: &Claimant) -> bool {
    let known = owner.part(field!(Owner, netns));
    if netns != 0 && known.read() == 0 {
        known.write(netns);
    }
    let word = read(owner);
    let process = word.process();
    if process == 0 || owner.part(field!(Owner, cookie)).read() != cookie {
        set(owner, cookie, method, claimant);
    } else if process == claimant.word() {
        let (before, now) = (claim_rank(word.method()), claim_rank(method));
        if now > before {
            set(owner, cookie, method, claimant);
        }
        // The first use by the one who made the socket is told, too: a datagram that came in before may wait for it, and
        // what others do with the socket is then known to be in turn. Once a socket.
        if before >= TAKES_THE_SOCKET || now < TAKES_THE_SOCKET {
            return false;
        }
    } else if yields(word, method) {
        set(owner, cookie, method, claimant);
    } else {
        return false;
    }
    true
}

/// Claims a socket where its storage is out of reach: userspace settles its rows by the claim. Cheap when repeated: a
/// claim that was not drained yet only gets its latest time.
#[inline(always)]
pub(crate) fn claim_without_storage(cookie: u64, method: u8) {
    let claimant = Claimant::current(Reader::Tracing);
    let key = ClaimKey { cookie, tgid: claimant.tgid, generation: claimant.generation };
    // At worst the row was drained meanwhile and is another claim's, whose latest time then is a little later than it was.
    if let Some(before) = mem::row(&CLAIMS, &key)
        && claim_rank(before.part(field!(Claim, method)).read()) >= claim_rank(method)
    {
        before.part(field!(Claim, last)).write(now());
        return;
    }
    changed(cookie, 0, method, 0, &claimant);
}

/// The owner of the moment, by one load.
#[inline(always)]
fn read(owner: Live<'_, Owner>) -> OwnerWord {
    OwnerWord(owner.part(field!(Owner, word)).read())
}

/// [`claim_rank`] from which on a claim shows that the process moved bytes, or took a connection on itself.
const TAKES_THE_SOCKET: u8 = Evidence::TakesTheSocket as u8;
/// From which on it shows a use of any kind.
const NAMES_AN_END: u8 = Evidence::NamesAnEnd as u8;

/// Whether a firm owner gives way to a claim by somebody else.
#[inline(always)]
fn yields(owner: OwnerWord, method: u8) -> bool {
    if owner.flags() & OWNER_AMBIGUOUS != 0 {
        return method != CLAIM_SEED;
    }
    match method {
        // A seed never overwrites a hook's claim, and the last closer is no better than who made or used the socket.
        CLAIM_SEED | CLAIM_RELEASE => false,
        // A read may be a look (MSG_PEEK), which cannot be told here: it replaces only what is weaker than any use or
        // connect.
        CLAIM_READ => claim_rank(owner.method()) < NAMES_AN_END,
        _ => claim_rank(method) >= claim_rank(owner.method()),
    }
}

/// Writes the owner: all of it in one store, the cookie last, so that a packet that passes meanwhile sees the old owner,
/// or a provisional one, and never a mixture.
#[inline(always)]
fn set(owner: Live<'_, Owner>, cookie: u64, method: u8, claimant: &Claimant) {
    let word = OwnerWord::new(cookie, claimant.tgid, claimant.generation, method, claimant.flags);
    owner.part(field!(Owner, word)).write(word.0);
    owner.part(field!(Owner, cookie)).write(cookie);
}

/// Tells userspace that a socket changed hands, and who the new owner is.
#[inline(always)]
fn changed(cookie: u64, netns: u64, method: u8, flags: u8, claimant: &Claimant) {
    let now = now();
    let key = ClaimKey { cookie, tgid: claimant.tgid, generation: claimant.generation };
    let mut value = Slot::new();
    let value = zero::<Claim>(&mut value);
    value.first = now;
    value.last = now;
    value.netns = netns;
    value.method = method;
    value.flags = flags | claimant.flags;
    // At worst the row was drained meanwhile and is another claim's of this very moment: then the method is a little off.
    if let Some(before) = mem::row(&CLAIMS, &key) {
        // An earlier claim of the same tick: the first time counts, and the strongest method. Closing a socket must not
        // hide that it was used.
        value.first = before.part(field!(Claim, first)).read();
        value.flags |= before.part(field!(Claim, flags)).read() & CLAIM_CLOSED;
        let method_before = before.part(field!(Claim, method)).read();
        if claim_rank(method_before) > claim_rank(method) {
            value.method = method_before;
        }
    }
    let claims = CLAIMS.insert(&key, &*value, 0);
    let process = describe(claimant, now);
    // Off unless userspace sets AYA_LOG_LEVEL before load: the verifier then removes it. Nothing in `account` logs.
    debug!((), "socket {} is pid {}'s, claim method {}", cookie, claimant.tgid, method);
    if let Some(stats) = element(&CLAIM_STATS, 0) {
        stats.part(field!(ClaimStats, changed)).add(1);
        refused(claims, stats, field!(ClaimStats, claims_full));
        refused(process, stats, field!(ClaimStats, procs_full));
    }
}

/// Counts an entry that was not added: here where there was no room, as busy otherwise.
#[inline(always)]
fn refused(result: Result<(), i32>, stats: Live<'_, ClaimStats>, full: Field<ClaimStats, u64>) {
    if let Err(error) = result {
        stats.part(if error == E2BIG { full } else { field!(ClaimStats, busy) }).add(1);
    }
}

/// Writes the process table.
#[inline(always)]
fn describe(claimant: &Claimant, now: u64) -> Result<(), i32> {
    if claimant.is_kernel() {
        return Ok(());
    }
    let value = Process {
        comm: claimant.comm(),
        start: claimant.start,
        at: now,
        cgroup: helper::cgroup(),
        uid: helper::uid_gid() as u32,
        pad: 0,
    };
    PROCS.insert(&claimant.key(), &value, 0)
}

/// Tells userspace of a process that owns something without a claim.
#[inline(always)]
pub(crate) fn introduce(claimant: &Claimant) {
    let process = describe(claimant, now());
    if let Some(stats) = element(&CLAIM_STATS, 0) {
        refused(process, stats, field!(ClaimStats, procs_full));
    }
}

#[inline(always)]
fn count(which: Field<ClaimStats, u64>) {
    if let Some(stats) = element(&CLAIM_STATS, 0) {
        stats.part(which).add(1);
    }
}

/// The last descriptor of a socket was closed: the weakest claim, and the end of the socket for userspace.
#[inline(always)]
pub(crate) fn release(sk: Sock, cookie: u64) {
    let Some(owner) = sk.owner(false) else { return };
    let claimant = Claimant::current(Reader::Cgroup);
    let firm = owner.part(field!(Owner, cookie)).read() == cookie && read(owner).tgid() != 0;
    // The kernel closes for others: what io_uring held at its end, what was in flight in SCM_RIGHTS.
    if !firm && !claimant.is_kernel() {
        set(owner, cookie, CLAIM_RELEASE, &claimant);
    }
    let netns = owner.part(field!(Owner, netns)).read();
    changed(cookie, netns, CLAIM_RELEASE, CLAIM_CLOSED, &claimant);
}

/// Seeds a socket that is older than the monitor: its one holder owns it, several make it ambiguous until it is used.
#[inline(always)]
pub(crate) fn seed(sk: Sock, cookie: u64, netns: u64, claimant: &Claimant) {
    let Some(owner) = sk.owner(global(&SCOPED) == 0) else { return };
    let known = owner.part(field!(Owner, netns));
    if known.read() == 0 {
        known.write(netns);
    }
    let word = read(owner);
    if owner.part(field!(Owner, cookie)).read() != cookie || word.process() == 0 {
        set(owner, cookie, CLAIM_SEED, claimant);
    } else if word.method() == CLAIM_SEED && word.process() != claimant.word() {
        set(owner, cookie, CLAIM_SEED, &Claimant::flagged(OWNER_AMBIGUOUS));
    }
}
