//! Hands the programs to the kernel, which verifies each: several at a time, for that is most of what a start takes.
//!
//! A loaded program does nothing yet; attaching, which has an order, is `load`'s business.

use super::program_type::{Typed, UNEXPECTED};
use super::programs::{PROGRAMS, Spec};
use super::refusal::{Refusal, refusal};
use crate::threads::{Role, spawn_scoped};
use aya::programs::Program;
use aya::{Btf, Ebpf};
use std::collections::HashMap;
use std::num::NonZero;
use std::sync::Mutex;
use std::thread;

/// More threads would wait for the longest program only.
const MOST_THREADS: usize = 4;
/// The object lacks a program of the list.
pub(super) const MISSING: &str = "the object has no such program";

/// What the kernel says of every program that is `wanted` and that the object has. Those in `refuse` are treated as
/// refused.
pub(super) fn all(
    ebpf: &mut Ebpf,
    wanted: impl Fn(&Spec) -> bool,
    refuse: &[String],
    kernel_btf: Option<&Btf>,
) -> HashMap<&'static str, Result<(), Refusal>> {
    let mut programs: HashMap<&str, &mut Program> = ebpf.programs_mut().collect();
    let specs = PROGRAMS.iter().filter(|spec| wanted(spec));
    // From the end: the counters are there, and take the kernel longest.
    let waiting: Vec<_> = specs.filter_map(|spec| Some((spec.name, programs.remove(spec.name)?))).collect();
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
    let waiting = Mutex::new(waiting);
    let work = || {
        let mut verdicts = Vec::new();
        // Nobody panics while it is locked.
        while let Some((name, program)) = waiting.lock().ok().and_then(|mut waiting| waiting.pop()) {
            let refused = refuse.iter().any(|refused| refused == name);
            let verdict =
                if refused { Err(refusal("refused on request")) } else { load(name, program, kernel_btf) };
            verdicts.push((name, verdict));
        }
        verdicts
    };
    thread::scope(|scope| {
        let helpers: Vec<_> =
            (1..threads).filter_map(|_| spawn_scoped(Role::Verify, scope, work).ok()).collect();
        let mut verdicts = work();
        for helper in helpers {
            verdicts.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        verdicts.into_iter().collect()
    })
}

fn load(name: &str, program: &mut Program, kernel_btf: Option<&Btf>) -> Result<(), Refusal> {
    let kernel_btf = || kernel_btf.ok_or_else(|| refusal("the kernel has no BTF"));
    match Typed::of(program).ok_or_else(|| refusal(UNEXPECTED))? {
        Typed::Skb(program) => program.load()?,
        Typed::Sock(program) => program.load()?,
        Typed::SockAddr(program) => program.load()?,
        Typed::Tracepoint(program) => program.load(name, kernel_btf()?)?,
        Typed::Iterator(program) => program.load(name, kernel_btf()?)?,
        Typed::Filter(program) => program.load()?,
    }
    Ok(())
}
