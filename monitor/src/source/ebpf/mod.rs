//! Counting in the kernel: the committed programs, attached to a cgroup, and the tables they fill.
//!
//! Once a tick the active half of the flow table is retired, one RCU grace period is waited for, and the retired half
//! is drained: no program can still hold one of its rows, so no byte is lost. No packet comes here.

mod bpf;
mod btf;
mod cgroup;
mod clone;
mod decode;
mod held;
mod inspect;
mod interface;
mod lives;
mod load;
mod old_netns;
mod outer;
mod pressure;
mod program_type;
mod programs;
mod refusal;
mod runs;
mod seed;
mod seed_procfs;
mod sock_diag;
mod tables;
mod verify;
mod watch;

use crate::model::{
    Backend, Batch, Degradation, FlowId, Health, HeldSocket, Life, Loaded, Mono, ProcessId, SocketState,
    Standing, Unplaced,
};
use crate::source::{Probe, Source, SourceError};
use aya::Ebpf;
use aya::maps::MapData;
use aya_log::EbpfLogger;
use bpf::RcuBarrier;
pub(crate) use bpf::{share_heap, trim_heap};
use monitor_common as abi;
use monitor_common::names;
use std::collections::HashMap;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tables::{failed, kernel_log, map, map_health, sum_stats};

/// Polls in a row in which a call to the kernel may fail.
const BEARABLE: u32 = 3;

/// What to open.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Attach to this cgroup2 sub-tree instead of the root.
    pub cgroup: Option<PathBuf>,
    /// Rows of each half of the flow table.
    pub capacity: u32,
    /// Tap these interfaces and show only what passes them; all sockets on all interfaces where empty.
    pub interfaces: Vec<String>,
    /// Put the tapped interfaces into promiscuous mode.
    pub promiscuous: bool,
    /// Claim sockets by datagrams that are sent to an address.
    pub sendmsg_claims: bool,
    /// Programs to treat as refused, for tests.
    pub refuse: Vec<String>,
    /// Whether this process may load programs that follow kernel pointers (`cap_perfmon`).
    pub tracing: bool,
}

/// Checks, before the screen is taken, what can be checked without loading: the cgroup and the interfaces are there.
///
/// # Errors
/// One sentence with the fix.
pub(crate) fn preflight(options: &Options) -> Result<(), SourceError> {
    if cfg!(target_endian = "big") {
        let sentence =
            "counting in the kernel is for little-endian machines; capture packets instead (--backend pcap)";
        return Err(SourceError::new(sentence));
    }
    interface::check(&options.interfaces)?;
    cgroup::open(options.cgroup.as_deref()).map(|_| ())
}

/// The running programs and their tables.
pub(crate) struct EbpfSource {
    /// Dropping it detaches and unloads every program. `None` once closed.
    ebpf: Option<Ebpf>,
    /// Log lines of the programs, where a log was asked for.
    logger: Option<EbpfLogger<&'static dyn log::Log>>,
    maps: HashMap<&'static str, MapData>,
    barrier: RcuBarrier,
    cpus: bpf::Cpus,
    capacity: u32,
    active: u32,
    /// Halves of which some may be left: draining them failed.
    undrained: [bool; 2],
    /// Polls in a row in which a call to the kernel failed.
    failures: u32,
    polled: Mono,
    seeds: Vec<abi::SeedRecord>,
    lives: lives::Lives,
    sight: decode::Sight,
    /// Netns cookies of sockets older than the programs, by socket cookie, for kernels whose packet hooks cannot tell.
    netns: HashMap<u64, u64>,
    /// Names interfaces where the kernel is too old for the resolver.
    interfaces: Option<old_netns::Interfaces>,
    health: Health,
    health_sent: Option<Health>,
    view: interface::View,
    /// What the view said last.
    noticed: Vec<Degradation>,
    drained: interface::Drained,
    outer: outer::Outer,
    target: cgroup::Target,
    watch: watch::Watch,
    inspector: inspect::Inspector,
    /// Runs of the programs, while somebody asks.
    runs: Option<runs::Runs>,
}

impl EbpfSource {
    /// Loads, attaches and seeds. Takes 50 to 150 ms.
    ///
    /// # Errors
    /// Where nothing can be counted; one sentence with the fix.
    pub(crate) fn open(options: &Options, now: Mono) -> Result<Self, SourceError> {
        let begun = Instant::now();
        let target = cgroup::open(options.cgroup.as_deref())?;
        let mut loaded = load::load(&target, options)?;
        bpf::trim_heap();
        let maps = load::maps(&mut loaded.ebpf)?;
        let logger = kernel_log(&mut loaded.ebpf);
        let active = map(&maps, names::ACTIVE)?;
        let barrier = RcuBarrier::new(active).map_err(|error| failed("making the RCU barrier", &error))?;
        let runs = |name: &str| {
            loaded.programs.iter().any(|program| program.name == name && program.loaded == Loaded::Yes)
        };
        let uses = ["sock_send_length", "sock_recv_length"].into_iter().all(runs);
        let sight = decode::Sight { seeded: loaded.seeded, uses };
        let mut health = Health {
            backend: Backend::Ebpf,
            tier: programs::tier(runs).to_owned(),
            scope: target.scope.clone(),
            interfaces: options.interfaces.clone(),
            degraded: loaded.degraded,
            programs: loaded.programs,
            maps: map_health(&maps, loaded.lives.buffer_fd(), &loaded.ebpf),
            ..Health::default()
        };
        health.degraded.extend(lives::pid_namespace());
        let watch = watch::Watch::of(&health.programs, loaded.clone);
        health.degraded.extend(watch::Watch::at_start(&loaded.ebpf, &target));
        let scoped = target.scoped;
        let taps = load::tap_programs(&mut loaded.ebpf);
        let view = interface::View::open(&options.interfaces, options.promiscuous, scoped, taps);
        let known = loaded.seeds.iter().filter(|seed| seed.netns != 0);
        let netns = known.map(|seed| (seed.cookie, seed.netns)).collect();
        Ok(Self {
            ebpf: Some(loaded.ebpf),
            logger,
            maps,
            barrier,
            cpus: loaded.cpus,
            capacity: options.capacity,
            active: 0,
            undrained: [false; 2],
            failures: 0,
            polled: now.plus(loaded.counting.duration_since(begun)),
            seeds: loaded.seeds,
            lives: loaded.lives,
            sight,
            netns,
            interfaces: old_netns::Interfaces::if_needed(),
            health,
            health_sent: None,
            view,
            noticed: Vec::new(),
            drained: interface::Drained::default(),
            outer: outer::Outer::default(),
            target,
            watch,
            inspector: inspect::Inspector::default(),
            runs: None,
        })
    }

    fn map(&self, name: &'static str) -> Result<BorrowedFd<'_>, SourceError> {
        map(&self.maps, name)
    }

    /// Retires the active half and drains it.
    fn turn(&mut self, out: &mut Batch) -> Result<(), SourceError> {
        let retired = self.active;
        let active = self.map(names::ACTIVE)?;
        bpf::write(active, 0, 1 - retired).map_err(|error| failed("switching halves", &error))?;
        self.active = 1 - retired;
        self.wait()?;
        self.drain_half(retired, out)
    }

    fn wait(&self) -> Result<(), SourceError> {
        let active = self.map(names::ACTIVE)?;
        self.barrier.wait(active).map_err(|error| failed("waiting for the programs", &error))
    }

    fn drain_half(&mut self, half: u32, out: &mut Batch) -> Result<(), SourceError> {
        // Until all of it was drained: once they are taken, the statistics do not tell any more that there is something.
        let is_late = std::mem::replace(&mut self.undrained[half as usize], true);
        let stats = self.take_stats(names::STATS, half)?;
        self.note_pressure(half, &stats);
        if stats.inserts > 0 || is_late {
            let mut rows = decode::Rows::new(&mut out.deltas, &self.netns, self.sight);
            let result = bpf::drain(self.map(names::FLOWS[half as usize])?, &mut rows);
            let outsides = rows.outsides;
            self.outer.judge(&mut out.deltas, &outsides);
            result.map_err(|error| failed("draining the flow table", &error))?;
        }
        let over = stats.full + stats.busy + stats.unparsed;
        if over > 0 || is_late {
            self.drain_overflow(half, out)?;
        }
        self.undrained[half as usize] = false;
        if self.view.active() {
            self.drain_taps(half)?;
        }
        Ok(())
    }

    /// The half of the interface table that was retired with the flows'.
    fn drain_taps(&mut self, half: u32) -> Result<(), SourceError> {
        let mut drained = std::mem::take(&mut self.drained);
        let result = interface::drain(
            self.map(names::TAPS[half as usize])?,
            self.map(names::TAP_OVERFLOW[half as usize])?,
            self.map(names::WIRE)?,
            &mut drained,
        );
        drained.wires.retain(|(key, wire)| self.outer.joins(key, wire));
        self.drained = drained;
        result.map_err(|error| failed("draining the interface table", &error))?;
        let stats = self.take_stats(names::TAP_STATS, half)?;
        self.note_fill(names::TAPS[half as usize], &stats);
        for said in pressure::of_taps(&stats, self.capacity) {
            self.say(said);
        }
        Ok(())
    }

    /// Tells what interfaces carried, and narrows the batch to the named ones.
    fn take_interfaces(&mut self, now: Mono, closing: bool, out: &mut Batch) {
        let drained = std::mem::take(&mut self.drained);
        self.view.take(&drained, now, closing, out);
    }

    fn take_stats(&self, name: &'static str, half: u32) -> Result<abi::HalfStats, SourceError> {
        let map = self.map(name)?;
        let stats = sum_stats(map, half, self.cpus)?;
        bpf::zero_per_cpu::<abi::HalfStats>(map, half, self.cpus)
            .map_err(|error| failed("clearing the statistics", &error))?;
        Ok(stats)
    }

    fn drain_overflow(&mut self, half: u32, out: &mut Batch) -> Result<(), SourceError> {
        let mut rows: Vec<(abi::OverflowKey, abi::FlowValue)> = Vec::new();
        let drained = bpf::drain(self.map(names::OVERFLOW[half as usize])?, &mut rows);
        let placed = rows.iter().map(|(key, value)| self.outer.full(key, decode::unplaced(key, value)));
        out.unplaced.extend(placed);
        drained.map_err(|error| failed("draining the overflow table", &error))?;
        let totals = self.map(names::TOTALS)?;
        let per_cpu = bpf::read_per_cpu::<abi::Counters>(totals, half, self.cpus)
            .map_err(|error| failed("reading the totals", &error))?;
        bpf::zero_per_cpu::<abi::Counters>(totals, half, self.cpus)
            .map_err(|error| failed("clearing the totals", &error))?;
        out.unplaced.extend(
            per_cpu
                .iter()
                .map(decode::counters)
                .filter(|counters| !counters.is_zero())
                .map(|counters| Unplaced { owner: None, standing: Standing::Unclaimed, counters }),
        );
        Ok(())
    }

    /// Keeps the fill of the halves and says it once when flows had no room.
    fn note_pressure(&mut self, half: u32, stats: &abi::HalfStats) {
        self.note_fill(names::FLOWS[half as usize], stats);
        self.health.overflowed_packets += stats.full + stats.busy + stats.unparsed;
        for said in pressure::of_half(stats, self.capacity) {
            self.say(said);
        }
    }

    fn note_fill(&mut self, name: &str, stats: &abi::HalfStats) {
        if let Some(map) = self.health.maps.iter_mut().find(|map| map.name == name) {
            map.fill = stats.inserts;
        }
    }

    /// What changed hands and who claimed it. After the flow rows, so that every row's claim is there.
    fn drain_claims(&mut self, out: &mut Batch) -> Result<(), SourceError> {
        let mut claims: Vec<(abi::ClaimKey, abi::Claim)> = Vec::new();
        let drained = bpf::drain(self.map(names::CLAIMS)?, &mut claims);
        out.claims.extend(claims.iter().filter_map(|(key, value)| decode::claim(key, value)));
        drained.map_err(|error| failed("draining the claims", &error))?;
        let mut processes: Vec<(abi::ProcessKey, abi::Process)> = Vec::new();
        let drained = bpf::drain(self.map(names::PROCS)?, &mut processes);
        out.processes.extend(processes.iter().map(|(key, value)| decode::process_seen(*key, value)));
        drained.map_err(|error| failed("draining the process table", &error))?;
        self.note_claim_pressure()
    }

    /// Says it when claims had no room.
    fn note_claim_pressure(&mut self) -> Result<(), SourceError> {
        let per_cpu = bpf::read_per_cpu::<abi::ClaimStats>(self.map(names::CLAIM_STATS)?, 0, self.cpus)
            .map_err(|error| failed("reading the claim statistics", &error))?;
        self.lives.note_lost(per_cpu.iter().map(|stats| stats.lives_full).sum());
        for said in pressure::of_claims(&per_cpu, self.capacity) {
            self.say(said);
        }
        Ok(())
    }

    /// A call to the kernel that fails costs no byte: what was not taken out of a table is taken with the next interval. So
    /// it is said, and only where it goes on it is the end.
    fn bear(&mut self, result: Result<(), SourceError>) -> Result<(), SourceError> {
        let Err(error) = result else {
            self.failures = 0;
            return Ok(());
        };
        self.failures += 1;
        if self.failures > BEARABLE {
            return Err(error);
        }
        log::warn!("{error}");
        self.say(pressure::late(error.message));
        Ok(())
    }

    /// Adds a degradation, once: what counts never goes back, so what was said stays true.
    fn say(&mut self, said: Degradation) {
        if !self.health.degraded.iter().any(|known| known.what == said.what) {
            self.health.degraded.push(said);
        }
    }

    fn hand_over_seeds(&mut self, now: Mono, out: &mut Batch) {
        for record in std::mem::take(&mut self.seeds) {
            if let Some((claim, process)) = decode::seed(&record, now) {
                out.claims.push(claim);
                out.processes.push(process);
            }
        }
    }

    fn finish(&mut self, now: Mono, started: Instant, out: &mut Batch) {
        if let Some(interfaces) = &mut self.interfaces {
            interfaces.complete(out);
        }
        out.from = self.polled;
        out.to = now;
        self.polled = now;
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
        if self.target.removed() {
            self.say(pressure::removed());
        }
        let seen = self.ebpf.as_ref().map(|ebpf| self.watch.look(ebpf, &self.target));
        for said in seen.into_iter().flatten() {
            self.say(said);
        }
        self.health.drain = started.elapsed();
        if let (Some(runs), Some(ebpf)) = (&mut self.runs, &self.ebpf) {
            runs.read(ebpf, &mut self.health.programs);
        }
        self.health.degraded.retain(|degradation| !self.noticed.contains(degradation));
        self.noticed = self.view.notices().to_vec();
        self.health.degraded.extend_from_slice(&self.noticed);
        if self.health_sent.as_ref() != Some(&self.health) {
            out.health = Some(Arc::new(self.health.clone()));
            self.health_sent = Some(self.health.clone());
        }
    }
}

impl Source for EbpfSource {
    fn since(&self) -> Mono {
        self.polled
    }

    fn poll(&mut self, now: Mono, out: &mut Batch) -> Result<(), SourceError> {
        let started = Instant::now();
        self.view.look(false);
        let turned = self.turn(out);
        self.take_interfaces(now, false, out);
        let claimed = self.drain_claims(out);
        self.hand_over_seeds(now, out);
        let result = self.bear(turned.and(claimed));
        self.finish(now, started, out);
        result
    }

    fn asks(&self) -> Option<OwnedFd> {
        // Interfaces that come and go are heard of elsewhere.
        if self.view.active() { None } else { self.lives.descriptor() }
    }

    fn urgent(&self) -> bool {
        let filling = |name| {
            let stats = self.map(name).and_then(|map| sum_stats(map, self.active, self.cpus));
            stats.map_or(0, |stats| stats.inserts) >= u64::from(self.capacity / 2)
        };
        filling(names::STATS) || (self.view.active() && (filling(names::TAP_STATS) || self.view.urgent()))
    }

    fn lives(&mut self, out: &mut Vec<Life>) {
        self.lives.take(out);
        if let Some(ebpf) = &mut self.ebpf {
            self.lives.recount(ebpf, self.polled, out);
        }
    }

    fn probe(&mut self) -> Result<&mut dyn Probe, &'static str> {
        Ok(self)
    }

    fn close(&mut self, now: Mono, out: &mut Batch) -> Result<(), SourceError> {
        let started = Instant::now();
        // Detach first: what passes after this is not ours to count, and nothing is written any more once the wait
        // is over.
        // The taps go first: what they miss is a byte less to explain, what sockets missed would look like no socket's.
        self.view.look(true);
        self.view.stop();
        drop(self.ebpf.take());
        // Where something fails, the rest is told all the same: there is no later.
        let mut result = self.wait();
        for half in 0..2 {
            result = result.and(self.drain_half(half, out));
        }
        self.take_interfaces(now, true, out);
        result = result.and(self.drain_claims(out));
        self.hand_over_seeds(now, out);
        self.finish(now, started, out);
        result
    }
}

impl Probe for EbpfSource {
    fn measure(&mut self, on: bool) {
        self.runs = None;
        self.health.uncounted_runs = None;
        for program in &mut self.health.programs {
            program.runs = None;
        }
        if let (true, Some(ebpf)) = (on, &self.ebpf) {
            match runs::Runs::start(ebpf) {
                Ok(runs) => self.runs = Some(runs),
                Err(why) => self.health.uncounted_runs = Some(why),
            }
        }
    }

    fn inspect(&mut self, flow: &FlowId) -> Result<SocketState, &'static str> {
        self.inspector.ask(flow)
    }

    fn sockets(&mut self, process: ProcessId) -> Result<Vec<HeldSocket>, &'static str> {
        held::ask(process)
    }
}
