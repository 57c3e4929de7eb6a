//! Whether what was attached still runs as it was loaded: programs that somebody else detached, runs that the kernel left
//! out, a compiler that is off, places that run out.
//!
//! Looks; what it says is in the health.

use super::bpf::{self, Attached};
use super::cgroup::Target;
use super::clone::Clone;
use super::programs::{Kind, PROGRAMS, Spec};
use crate::model::{Degradation, Loaded, ProgramHealth};
use aya::Ebpf;
use aya::programs::{Program, ProgramFd};
use std::os::fd::{AsFd, BorrowedFd};

/// Programs that a hook of a cgroup has room for (`BPF_CGROUP_MAX_PROGS` of include/linux/bpf-cgroup.h).
const PLACES: usize = 64;
/// Of others' programs so many are named.
const NAMED: usize = 3;
const HARDEN: &str = "/proc/sys/net/core/bpf_jit_harden";

/// A program on a hook of the cgroup.
#[derive(Debug)]
struct Hooked {
    spec: &'static Spec,
    hook: u32,
    id: u32,
}

/// Watches what was attached.
#[derive(Debug)]
pub(super) struct Watch {
    /// Without these nothing is counted, and silence would pass for truth.
    counters: Vec<Hooked>,
    /// The rest is looked at one by one: what they lack is missed less, and each look is a call to the kernel.
    claims: Turns<Hooked>,
    traced: Turns<&'static Spec>,
    clone: Clone,
}

/// Things that take turns.
#[derive(Debug)]
struct Turns<T> {
    every: Vec<T>,
    next: usize,
}

impl<T> Turns<T> {
    fn new(every: Vec<T>) -> Self {
        Self { every, next: 0 }
    }

    fn next(&mut self) -> Option<&T> {
        let at = self.next;
        self.next = (at + 1) % self.every.len().max(1);
        self.every.get(at)
    }
}

impl Watch {
    /// Of the programs that run.
    pub(super) fn of(programs: &[ProgramHealth], clone: Clone) -> Self {
        let running = || {
            let loaded = programs.iter().filter(|program| program.loaded == Loaded::Yes);
            loaded.filter_map(|program| {
                Some((PROGRAMS.iter().find(|spec| spec.name == program.name)?, program.id?))
            })
        };
        let hooked = running().filter_map(|(spec, id)| Some(Hooked { spec, hook: hook(spec.name)?, id }));
        let (counters, claims) = hooked.partition(|hooked| hooked.spec.kind == Kind::Count);
        let traced = running().map(|(spec, _)| spec).filter(|spec| spec.kind == Kind::Tracepoint);
        Self { counters, claims: Turns::new(claims), traced: Turns::new(traced.collect()), clone }
    }

    /// What holds for the whole run.
    pub(super) fn at_start(ebpf: &Ebpf, target: &Target) -> Vec<Degradation> {
        let places = hook("egress").and_then(|hook| bpf::attached(target.fd.as_fd(), hook, false).ok());
        let compiled = descriptor(ebpf, "egress").and_then(|fd| bpf::program(fd.as_fd()).ok());
        let harden = std::fs::read_to_string(HARDEN).ok();
        [
            places.and_then(|attached| crowded(attached.ids.len())),
            compiled.and_then(|program| slow(program.compiled, harden.as_deref())),
            no_proc(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// What became of it: of the counters at each look, of the others in turn.
    pub(super) fn look(&mut self, ebpf: &Ebpf, target: &Target) -> Vec<Degradation> {
        let mut said = Vec::new();
        // With a cgroup that is removed all links go, and that is said elsewhere.
        if !target.removed() {
            let hooked = self.counters.iter().chain(self.claims.next());
            said.extend(hooked.filter(|hooked| hooked.is_detached(target)).map(|hooked| gone(hooked.spec)));
        }
        let misses = |spec: &Spec| Some(bpf::program(descriptor(ebpf, spec.name)?.as_fd()).ok()?.misses);
        let traced = self.traced.next();
        said.extend(
            traced.filter(|spec| misses(spec).is_some_and(|misses| misses > 0)).map(|spec| missed(spec)),
        );
        said.extend(self.clone.look());
        said
    }
}

impl Hooked {
    fn is_detached(&self, target: &Target) -> bool {
        bpf::attached(target.fd.as_fd(), self.hook, false)
            .is_ok_and(|attached| !attached.ids.contains(&self.id))
    }
}

fn descriptor<'a>(ebpf: &'a Ebpf, name: &str) -> Option<&'a ProgramFd> {
    match ebpf.program(name)? {
        Program::BtfTracePoint(program) => program.fd().ok(),
        Program::CgroupSkb(program) => program.fd().ok(),
        _ => None,
    }
}

/// The hook of a cgroup program, as `enum bpf_attach_type` of linux/bpf.h numbers them.
pub(super) fn hook(name: &str) -> Option<u32> {
    Some(match name {
        "ingress" => 0,
        "egress" => 1,
        "sock_create" => 2,
        "connect4" => 10,
        "connect6" => 11,
        "post_bind4" => 12,
        "post_bind6" => 13,
        "sendmsg4" => 14,
        "sendmsg6" => 15,
        "recvmsg4" => 19,
        "recvmsg6" => 20,
        "getpeername4" => 29,
        "getpeername6" => 30,
        "sock_release" => 34,
        _ => return None,
    })
}

/// Who is in the way where the kernel refuses to attach to a hook: a program that was attached for itself alone, there or
/// further up, or as many as there is room for. What is wrong and what to do; nothing where it is something else.
pub(super) fn in_the_way(cgroup: BorrowedFd<'_>, hook: u32, why: &str) -> Option<(String, String)> {
    let names = |attached: &Attached| {
        let names: Vec<String> = attached.ids.iter().take(NAMED).map(|id| named(*id)).collect();
        let more = attached.ids.len().saturating_sub(NAMED);
        if more > 0 { format!("{} and {more} more", names.join(", ")) } else { names.join(", ") }
    };
    let here = bpf::attached(cgroup, hook, false).ok()?;
    if why.contains("os error 7)") {
        let taken = format!("all {PLACES} places for such programs are taken there, by {}", names(&here));
        return Some((
            taken,
            "end some of the programs that attached them, such as other monitors".to_owned(),
        ));
    }
    if !why.contains("os error 1)") {
        return None;
    }
    let above = || bpf::attached(cgroup, hook, true).ok().filter(|attached| !attached.ids.is_empty());
    let alone = if here.is_alone && !here.ids.is_empty() { here } else { above()? };
    let is = if alone.ids.len() == 1 { "is" } else { "or one of them is" };
    Some((
        format!("{} {is} attached there, or above, for itself alone", names(&alone)),
        "detach it, or have it attached with BPF_F_ALLOW_MULTI (`bpftool cgroup attach ... multi`)"
            .to_owned(),
    ))
}

/// `program 12 (cil_sock4_connect)`, the name where it may be asked for.
fn named(id: u32) -> String {
    let name = bpf::program_by_id(id).ok().map(|program| program.name).filter(|name| !name.is_empty());
    name.map_or_else(|| format!("program {id}"), |name| format!("program {id} ({name})"))
}

fn gone(spec: &Spec) -> Degradation {
    let what = match spec.name {
        "ingress" => "what is received is not counted any more",
        "egress" => "what is sent is not counted any more",
        _ => spec.loss,
    };
    Degradation {
        what: what.to_owned(),
        why: format!("another program has detached monitor's program {}", spec.name),
        fix: "restart monitor; `bpftool link detach` is how it may have been done".to_owned(),
    }
}

fn missed(spec: &Spec) -> Degradation {
    let what = match spec.name {
        "sock_send_length" => {
            "a few bytes of packet sockets are not counted, or a few senders were seen late"
        }
        "sched_process_exec" | "sched_process_fork" | "sched_process_exit" => {
            "a few processes may lack their program, their parent or their end"
        }
        _ => "a few bytes on passed or inherited sockets stay with the previous owner",
    };
    Degradation {
        what: what.to_owned(),
        why: format!(
            "the kernel left out runs of {}, because one had not ended yet on the same CPU",
            spec.name
        ),
        fix: "none".to_owned(),
    }
}

fn crowded(taken: usize) -> Option<Degradation> {
    (taken > PLACES / 2).then(|| Degradation {
        what: "other programs may soon find no place on this cgroup".to_owned(),
        why: format!("{taken} of the {PLACES} places for programs that see its packets are taken"),
        fix: "end monitors that nobody looks at".to_owned(),
    })
}

/// How fast the programs are, by the bytes of machine code of one and what `bpf_jit_harden` says.
fn slow(compiled: u32, harden: Option<&str>) -> Option<Degradation> {
    let (why, fix) = if compiled == 0 {
        ("the kernel interprets its programs (net.core.bpf_jit_enable is 0)", "net.core.bpf_jit_enable=1")
    } else if harden.is_some_and(|harden| harden.trim() == "2") {
        (
            "the kernel hides every constant in its programs (net.core.bpf_jit_harden is 2)",
            "net.core.bpf_jit_harden=1",
        )
    } else {
        return None;
    };
    Some(Degradation {
        what: "counting takes longer for each packet than it need".to_owned(),
        why: why.to_owned(),
        fix: format!("sudo sysctl {fix}, then restart monitor"),
    })
}

fn no_proc() -> Option<Degradation> {
    let is_there = std::path::Path::new("/proc/self/stat").exists();
    (!is_there).then(|| Degradation {
        what: "processes older than monitor have no name, user or command line".to_owned(),
        why: "/proc is not mounted".to_owned(),
        fix: "sudo mount -t proc proc /proc".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_of_a_cgroup_has_its_hook() {
        for spec in PROGRAMS {
            let is_of_cgroup = matches!(spec.kind, Kind::Cgroup | Kind::Sent | Kind::Received | Kind::Count);
            assert_eq!(hook(spec.name).is_some(), is_of_cgroup, "{}", spec.name);
        }
    }

    #[test]
    fn everything_has_its_turn() {
        let mut turns = Turns::new(vec!['a', 'b', 'c']);
        let seen: String = (0..7).filter_map(|_| turns.next().copied()).collect();
        assert_eq!(seen, "abcabca");
        assert_eq!(Turns::<char>::new(Vec::new()).next(), None);
    }

    #[test]
    fn programs_that_are_interpreted_or_blinded_are_said() {
        assert!(slow(0, None).is_some_and(|said| said.fix.contains("bpf_jit_enable=1")));
        assert!(slow(4000, Some("2\n")).is_some_and(|said| said.fix.contains("bpf_jit_harden=1")));
        assert_eq!(slow(4000, Some("1\n")), None);
        assert_eq!(slow(4000, None), None);
    }

    #[test]
    fn a_crowded_hook_is_said() {
        assert_eq!(crowded(32), None);
        assert!(crowded(33).is_some_and(|said| said.why.contains("33 of the 64")));
    }

    #[test]
    fn every_tracepoint_says_what_a_run_left_out_costs() {
        for spec in PROGRAMS.iter().filter(|spec| spec.kind == Kind::Tracepoint) {
            let said = missed(spec);
            assert!(said.why.contains(spec.name) && said.what.starts_with("a few"), "{said:?}");
        }
    }
}
