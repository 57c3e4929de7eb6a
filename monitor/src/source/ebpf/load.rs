//! From the committed object to running programs: each one loaded on its own, so that a refusal costs only what that
//! program gave.
//!
//! Order of attaching: 1. claim hooks, 2. seed, 3. counters, 4. seed again. A socket made before 1 is found by 2 or 4; one made
//! after 1 is claimed by its hook, and a seed never overwrites that. Nothing is tried twice.

use super::Options;
use super::bpf::Cpus;
use super::btf;
use super::cgroup::Target;
use super::clone::Clone;
use super::lives::{self, Lives, in_initial_pid_namespace};
use super::program_type::{Typed, UNEXPECTED};
use super::programs::{Kind, PROGRAMS, RECEIVES, Spec};
use super::refusal::{MORE_FILES, NO_FILES, Refusal, chain, refusal};
use super::seed;
use super::tables::{TAKEN, Taken};
use super::verify;
use super::watch;
use crate::model::{Degradation, Loaded, ProgramHealth};
use crate::source::SourceError;
use crate::threads::{Role, spawn_scoped};
use aya::maps::{CgroupArray, Map, MapData};
use aya::programs::{CgroupAttachMode, Program, ProgramType};
use aya::sys::{BpfHelper, is_helper_supported};
use aya::{Btf, Ebpf, EbpfLoader, Endianness, include_bytes_aligned};
use monitor_common::{CLAIM_CAPACITY, Offsets, SeedRecord, TAP_OVERFLOW_CAPACITY, WIRE_SHARE, names};
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::thread::ScopedJoinHandle;
use std::time::Instant;

/// The committed object: `cargo xtask build-ebpf` makes it, `--check` proves it.
static OBJECT: &[u8] = include_bytes_aligned!("../../../bpf/monitor.bpf.o");

/// Between two samples of a TCP connection, ns.
const SAMPLE_EVERY: u64 = 100_000_000;

/// Descriptors that this process wants to have, where it may: half of it for counting, the rest for interfaces and names.
const FILES: u64 = 256;

/// The helper that gives tracing programs a socket's cookie (Linux 5.12); they were offered its storage one release
/// earlier. No such program can be loaded to try it, but the kernel names its functions.
const TRACING_COOKIE: &str = "bpf_get_socket_ptr_cookie";

/// What was loaded.
pub(super) struct Loaders {
    pub ebpf: Ebpf,
    pub programs: Vec<ProgramHealth>,
    pub degraded: Vec<Degradation>,
    /// Every descriptor of an inet socket found, both passes.
    pub seeds: Vec<SeedRecord>,
    /// The seed ran, twice.
    pub seeded: bool,
    /// When the first counter was attached.
    pub counting: Instant,
    /// The processes that were there, and what became of processes since.
    pub lives: Lives,
    /// What per-CPU maps have of each element.
    pub cpus: Cpus,
    /// Whether the owner is copied into accepted connections.
    pub clone: Clone,
}

/// Loads and attaches everything to `target`.
///
/// # Errors
/// Where the object cannot be used at all or a counter is refused; a refused claim hook is a degradation instead.
pub(super) fn load(target: &Target, options: &Options) -> Result<Loaders, SourceError> {
    raise_limits();
    let cpus = Cpus::count().map_err(|error| set_up_error(&error.to_string(), options.capacity))?;
    let mut degraded = Vec::new();
    if !options.tracing {
        degraded.push(no_perfmon());
    }
    let clone = Clone::decide(&mut degraded);
    let (mut ebpf, kernel) = object(target, options, cpus, clone.on)?;
    narrow(&mut ebpf, target)?;
    let attachable = kernel.attachable.as_ref().map_err(|why| degraded.push(no_btf(why))).ok();
    let lives = Lives::open(&mut ebpf)?;
    let mut loaders = Loaders {
        ebpf,
        programs: Vec::new(),
        degraded,
        seeds: Vec::new(),
        seeded: false,
        counting: Instant::now(),
        lives,
        cpus,
        clone,
    };
    let by_procfs = !kernel.cgroup_task && in_initial_pid_namespace();
    attach_all(&mut loaders, target, options, attachable, by_procfs)?;
    Ok(loaders)
}

/// What the kernel offers.
struct Kernel {
    /// Where its structures have what the programs read.
    offsets: Offsets,
    /// Tracing programs are offered a socket's cookie and storage.
    tracing: bool,
    /// cgroup programs can read the task.
    cgroup_task: bool,
    /// What tracepoints and iterators are attached by; or why there is nothing.
    attachable: Result<Btf, String>,
}

impl Kernel {
    /// Reads the kernel's BTF, once, and tries two helpers.
    fn look() -> Self {
        let blob = std::fs::read(btf::VMLINUX);
        let types = match &blob {
            Ok(blob) => btf::Types::parse(blob).ok_or_else(|| "it is not valid BTF".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let parse = |types: &btf::Types<'_>| Btf::parse(&types.outline(), Endianness::default());
        let cgroup_task = |kind| helper(kind, BpfHelper::BPF_FUNC_get_current_task_btf);
        Self {
            offsets: types.as_ref().map(btf::Types::offsets).unwrap_or_default(),
            tracing: types.as_ref().is_ok_and(|types| types.mentions(TRACING_COOKIE)),
            cgroup_task: cgroup_task(ProgramType::CgroupSock) && cgroup_task(ProgramType::CgroupSockAddr),
            attachable: types.and_then(|types| parse(&types).map_err(|error| chain(&error))),
        }
    }
}

/// A loader, and what the kernel offers. aya reads and parses all of the kernel's BTF here, whether or not it is asked to,
/// for relocations that the object does not have. It takes tens of milliseconds, so the two run side by side.
fn look<'a>() -> (EbpfLoader<'a>, Kernel) {
    std::thread::scope(|scope| {
        let kernel = spawn_scoped(Role::Btf, scope, Kernel::look);
        let mut loader = EbpfLoader::new();
        loader.btf(None);
        let join = |kernel: ScopedJoinHandle<'_, Kernel>| {
            kernel.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        // Without a thread to be had, one after the other.
        (loader, kernel.map_or_else(|_| Kernel::look(), join))
    })
}

/// The object with its maps made and its constants set; no program is loaded yet.
fn object(
    target: &Target,
    options: &Options,
    cpus: Cpus,
    clone: bool,
) -> Result<(Ebpf, Kernel), SourceError> {
    let (mut loader, kernel) = look();
    let offsets = kernel.offsets.words();
    let (tracing, task) = (u32::from(kernel.tracing), u32::from(kernel.cgroup_task));
    let clone = u32::from(clone);
    let scoped = u32::from(target.scoped);
    let skb_netns = u32::from(helper(ProgramType::CgroupSkb, BpfHelper::BPF_FUNC_get_netns_cookie));
    // aya's levels are log's: 0 is off, and then the verifier drops the log lines from the programs.
    let log_level = log::max_level() as u8;

    loader
        .override_global("OFFSETS", &offsets[..], true)
        .override_global("SCOPED", &scoped, true)
        .override_global("CLONE", &clone, true)
        .override_global("CGROUP_TASK", &task, true)
        .override_global("TRACING", &tracing, true)
        .override_global("SKB_NETNS", &skb_netns, true)
        .override_global("AYA_LOG_LEVEL", &log_level, true);
    let (tapped, sample_every) = (u32::from(!options.interfaces.is_empty()), sample_every());
    let unseen = unseen(options.capacity, cpus);
    loader
        .override_global("TAPPED", &tapped, true)
        .override_global("SAMPLE_EVERY", &sample_every, true)
        .override_global("UNSEEN", &unseen, true);
    loader.map_max_entries(names::LIVES, lives::buffer(cpus));
    for name in names::FLOWS {
        loader.map_max_entries(name, options.capacity);
    }
    // A connection makes two to three rows and one or two claims.
    for name in [names::CLAIMS, names::PROCS] {
        loader.map_max_entries(name, options.capacity.max(CLAIM_CAPACITY));
    }
    if !options.interfaces.is_empty() {
        for (taps, overflow) in names::TAPS.into_iter().zip(names::TAP_OVERFLOW) {
            loader.map_max_entries(taps, options.capacity).map_max_entries(overflow, TAP_OVERFLOW_CAPACITY);
        }
        loader.map_max_entries(names::WIRE, options.capacity / WIRE_SHARE);
    }
    let ebpf = loader.load(OBJECT).map_err(|error| set_up_error(&chain(&error), options.capacity))?;
    Ok((ebpf, kernel))
}

/// Rows that a CPU makes in a half before it wakes userspace: all of them together make a quarter of the half at most,
/// so that one which was less than half full when userspace looked is less than three quarters full when it looks again.
fn unseen(capacity: u32, cpus: Cpus) -> u64 {
    (u64::from(capacity) / 4 / u64::try_from(cpus.get()).unwrap_or(u64::MAX)).max(1)
}

/// Jiffies between two samples of a TCP connection, of at least 100 ms: the coarse clock moves once a jiffy.
fn sample_every() -> u64 {
    let jiffy = rustix::time::clock_getres(rustix::time::ClockId::MonotonicCoarse).tv_nsec;
    SAMPLE_EVERY.div_ceil(u64::try_from(jiffy).unwrap_or(0).max(1)) + 1
}

/// Tells the programs which sub-tree they look at; a packet socket itself belongs to none.
fn narrow(ebpf: &mut Ebpf, target: &Target) -> Result<(), SourceError> {
    if !target.scoped {
        return Ok(());
    }
    let failed = |why: String| SourceError::new(format!("cannot set up counting in the kernel: {why}"));
    let map = ebpf.map_mut(names::SCOPE).ok_or_else(|| failed("the object has no map SCOPE".to_owned()))?;
    let mut scope = CgroupArray::try_from(map).map_err(|error| failed(chain(&error)))?;
    scope.set(0, target.fd.as_fd(), 0).map_err(|error| failed(chain(&error)))
}

/// Kernels below 5.11 charge maps to RLIMIT_MEMLOCK, and every program, map and link takes a descriptor. Failing to raise
/// either shows as what cannot be made.
fn raise_limits() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let _ = setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None });
    let files = getrlimit(Resource::Nofile);
    let current = files.current.map(|current| current.max(FILES).min(files.maximum.unwrap_or(FILES)));
    let _ = setrlimit(Resource::Nofile, Rlimit { current, ..files });
}

fn no_perfmon() -> Degradation {
    Degradation {
        what: "bytes are counted and have no owner".to_owned(),
        why: "cap_perfmon is missing, so the kernel refuses the programs that find owners".to_owned(),
        fix: "run it as root, or add cap_perfmon with setcap (see README, Privileges)".to_owned(),
    }
}

fn no_btf(why: &str) -> Degradation {
    Degradation {
        what: "who reads and writes passed, inherited or older sockets is not seen".to_owned(),
        why: format!("the kernel's type information {} cannot be read: {why}", btf::VMLINUX),
        fix: "use a kernel with CONFIG_DEBUG_INFO_BTF=y and mount sysfs".to_owned(),
    }
}

/// A helper that cannot be probed counts as missing: the program that needs it still loads without.
fn helper(program: ProgramType, helper: BpfHelper) -> bool {
    is_helper_supported(program, helper).unwrap_or(false)
}

/// Why nothing could be set up, from the kernel's words, with what to do about it.
fn set_up_error(text: &str, capacity: u32) -> SourceError {
    let fix = if text.contains(NO_FILES) {
        MORE_FILES.to_owned()
    } else if text.contains("Cannot allocate memory") || text.contains("os error 12") {
        format!("use a smaller --capacity than {capacity}")
    } else if text.contains("Operation not permitted") || text.contains("os error 1)") {
        "run it as root (`sudo monitor`); in a container, allow bpf(2) and CAP_BPF".to_owned()
    } else {
        "this needs Linux 5.10 or newer with CONFIG_BPF_SYSCALL and CONFIG_CGROUP_BPF".to_owned()
    };
    SourceError::new(format!("cannot set up counting in the kernel: {text}; {fix}"))
}

fn attach_all(
    loaders: &mut Loaders,
    target: &Target,
    options: &Options,
    kernel_btf: Option<&Btf>,
    by_procfs: bool,
) -> Result<(), SourceError> {
    let wanted = |spec: &Spec| spec.kind != Kind::Received && unneeded(spec, options, false).is_none();
    let mut verified = verify::all(&mut loaders.ebpf, wanted, &options.refuse, kernel_btf);
    let mut passes = 0;
    for spec in PROGRAMS {
        if spec.kind == Kind::Count && passes == 0 {
            passes += usize::from(take_seeds(loaders, by_procfs));
            loaders.counting = Instant::now();
        }
        let received = loaders.programs.iter().any(|p| p.name == RECEIVES && p.loaded == Loaded::Yes);
        if let Some(why) = unneeded(spec, options, received) {
            loaders.programs.push(health(spec, None, Loaded::Skipped(why.to_owned()), None));
            continue;
        }
        if spec.kind == Kind::Received {
            let this = |other: &Spec| other.name == spec.name;
            verified.extend(verify::all(&mut loaders.ebpf, this, &options.refuse, kernel_btf));
        }
        let verdict = verified.remove(spec.name).unwrap_or_else(|| Err(refusal(verify::MISSING)));
        let result = verdict.and_then(|()| {
            attach(&mut loaders.ebpf, spec, target).map_err(|refusal| explain(refusal, spec, target))
        });
        let mut other_fix = None;
        let loaded = match result {
            Ok(()) => {
                log::info!("program {} loaded", spec.name);
                Loaded::Yes
            }
            Err(refusal) if spec.kind == Kind::Count => return Err(counter_error(spec, &refusal)),
            Err(refusal) => {
                log::warn!("program {} refused: {}", spec.name, refusal.log);
                let lost = degradation(spec, &refusal, options.tracing, kernel_btf.is_some());
                let instead = spec.kind == Kind::Seed && by_procfs;
                loaders.degraded.extend(lost.map(|lost| if instead { seed::less_lost(lost) } else { lost }));
                other_fix = refusal.fix;
                Loaded::Refused(refusal.why)
            }
        };
        let id = program_id(&loaders.ebpf, spec.name);
        loaders.programs.push(health(spec, id, loaded, other_fix));
    }
    passes += usize::from(take_seeds(loaders, by_procfs));
    loaders.seeded = passes == 2;
    loaders.lives.count(&mut loaders.ebpf);
    Ok(())
}

/// One pass of the seed. False where it did not run, or not for every kind of socket.
fn take_seeds(loaders: &mut Loaders, by_procfs: bool) -> bool {
    match seed::run(&mut loaders.ebpf, by_procfs) {
        Ok(mut pass) => {
            loaders.seeds.append(&mut pass.records);
            pass.complete
        }
        Err(lost) => {
            loaders.degraded.push(lost);
            false
        }
    }
}

/// Why a program is not even tried. `received`: another one tells of what is received.
fn unneeded(spec: &Spec, options: &Options, received: bool) -> Option<&'static str> {
    match spec.kind {
        Kind::Tap if options.interfaces.is_empty() => Some("no interface was asked for (-i)"),
        Kind::Sent if !options.sendmsg_claims => Some("left out on request (--no-sendmsg-claims)"),
        Kind::Received if received => Some("sock_recv_length tells of the same, without locking sockets"),
        Kind::Tap
        | Kind::Sent
        | Kind::Received
        | Kind::Cgroup
        | Kind::Tracepoint
        | Kind::Seed
        | Kind::Census
        | Kind::Count => None,
    }
}

fn health(spec: &Spec, id: Option<u32>, loaded: Loaded, other_fix: Option<String>) -> ProgramHealth {
    let fix = other_fix.unwrap_or_else(|| fix(spec));
    ProgramHealth { name: spec.name, id, loaded, loss: spec.loss, fix, runs: None }
}

fn fix(spec: &Spec) -> String {
    format!("use Linux {} or newer, as root", spec.since)
}

fn program_id(ebpf: &Ebpf, name: &str) -> Option<u32> {
    ebpf.program(name)?.info().ok().map(|info| info.id())
}

fn attach(ebpf: &mut Ebpf, spec: &Spec, target: &Target) -> Result<(), Refusal> {
    let program = ebpf.program_mut(spec.name).ok_or_else(|| refusal(verify::MISSING))?;
    // `Single` is flags 0: on the bpf_link path every link is multi anyway, and other flags are refused.
    let mode = CgroupAttachMode::Single;
    let cgroup = target.fd.as_fd();
    match Typed::of(program).ok_or_else(|| refusal(UNEXPECTED))? {
        Typed::Skb(program) => {
            let direction =
                program.expected_attach_type().ok_or_else(|| refusal("the object names no direction"))?;
            program.attach(cgroup, direction, mode).map(drop)?;
        }
        Typed::Sock(program) => program.attach(cgroup, mode).map(drop)?,
        Typed::SockAddr(program) => program.attach(cgroup, mode).map(drop)?,
        Typed::Tracepoint(program) => program.attach().map(drop)?,
        // Attached to a socket later, or run by who reads it.
        Typed::Iterator(_) | Typed::Filter(_) => {}
    }
    Ok(())
}

/// Why the kernel did not attach a program that it had taken: others may be in the way.
fn explain(refusal: Refusal, spec: &Spec, target: &Target) -> Refusal {
    let others =
        watch::hook(spec.name).and_then(|hook| watch::in_the_way(target.fd.as_fd(), hook, &refusal.why));
    match others {
        Some((who, fix)) => {
            Refusal { why: format!("{}; {who}", refusal.why), log: refusal.log, fix: Some(fix) }
        }
        None => refusal,
    }
}

fn counter_error(spec: &Spec, refusal: &Refusal) -> SourceError {
    log::error!("program {} refused: {}", spec.name, refusal.log);
    let usual = "run it as root (`sudo monitor`), and if it is, see which other program is attached with `bpftool cgroup tree`";
    let fix = refusal.fix.as_deref().unwrap_or(usual);
    SourceError::new(format!("the kernel refused to count {} packets ({}); {fix}", spec.name, refusal.why))
}

/// Without `cap_perfmon` or without BTF one degradation, already there, tells of all programs that need it.
fn degradation(spec: &Spec, refusal: &Refusal, tracing: bool, has_btf: bool) -> Option<Degradation> {
    if !tracing || (!has_btf && matches!(spec.kind, Kind::Tracepoint | Kind::Seed | Kind::Census)) {
        return None;
    }
    Some(Degradation {
        what: spec.loss.to_owned(),
        why: format!("{}: {}", spec.name, refusal.why),
        fix: refusal.fix.clone().unwrap_or_else(|| fix(spec)),
    })
}

/// Descriptors of the taps' programs that loaded.
pub(super) fn tap_programs(ebpf: &mut Ebpf) -> super::interface::Programs {
    let mut descriptor = |name: &str| match ebpf.program_mut(name)? {
        Program::SocketFilter(program) => program.fd().ok()?.as_fd().try_clone_to_owned().ok(),
        _ => None,
    };
    super::interface::Programs { frames: descriptor("frames"), packets: descriptor("packets") }
}

/// The maps of the object by name, as descriptors, checked against the ABI.
///
/// # Errors
/// A map that is missing or whose sizes are not ours: the object is not the one this binary was built with.
pub(super) fn maps(ebpf: &mut Ebpf) -> Result<HashMap<&'static str, MapData>, SourceError> {
    let mut maps = HashMap::new();
    for Taken { name, key, value, entries } in TAKEN {
        let wrong = || {
            SourceError::new(format!(
                "the kernel object's map {name} is not what this binary expects; rebuild it with `cargo xtask build-ebpf`"
            ))
        };
        let (Map::HashMap(data) | Map::Array(data) | Map::PerCpuArray(data)) =
            ebpf.take_map(name).ok_or_else(wrong)?
        else {
            return Err(wrong());
        };
        let info = data.info().map_err(|error| SourceError::new(format!("map {name}: {}", chain(&error))))?;
        let fits = info.key_size() as usize == key
            && info.value_size() as usize == value
            && entries.is_none_or(|entries| info.max_entries() == entries);
        if !fits {
            return Err(wrong());
        }
        maps.insert(name, data);
    }
    Ok(maps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aya_obj::ProgramSection;

    /// The budget has a row for each program of the object; another test compares the two.
    #[test]
    fn list_and_object_have_the_same_programs_of_the_same_types() {
        let object = aya_obj::Object::parse(OBJECT).unwrap();
        for name in object.programs.keys() {
            assert!(PROGRAMS.iter().any(|spec| spec.name == name), "{name} is not in the list");
        }
        for spec in PROGRAMS {
            let program = object.programs.get(spec.name);
            let section = &program.unwrap_or_else(|| panic!("{} is not in the object", spec.name)).section;
            let fits = match spec.kind {
                Kind::Cgroup => {
                    matches!(
                        section,
                        ProgramSection::CgroupSock { .. } | ProgramSection::CgroupSockAddr { .. }
                    )
                }
                Kind::Sent | Kind::Received => matches!(section, ProgramSection::CgroupSockAddr { .. }),
                Kind::Tracepoint => matches!(section, ProgramSection::BtfTracePoint),
                Kind::Seed | Kind::Census => matches!(section, ProgramSection::Iter { .. }),
                Kind::Tap => matches!(section, ProgramSection::SocketFilter),
                Kind::Count => matches!(section, ProgramSection::CgroupSkb { .. }),
            };
            assert!(fits, "{} is {:?} in the list and {section:?} in the object", spec.name, spec.kind);
        }
    }
}
