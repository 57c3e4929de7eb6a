//! How often the programs run and how long that takes, counted by the kernel while somebody asks.
//!
//! The kernel counts only while the descriptor of BPF_ENABLE_STATS is open (Linux 5.8), and then for every program of the
//! machine: two readings of the clock a run. So nothing is counted while nobody looks.

use crate::model::{ProgramHealth, ProgramRuns};
use aya::Ebpf;
use aya::programs::ProgramInfo;
use aya::sys::{Stats, enable_stats};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// Sums of one program since it was loaded, as far as the kernel counted.
#[derive(Clone, Copy, Debug)]
struct Sum {
    runs: u64,
    time: Duration,
}

/// The kernel counts as long as this lives.
#[derive(Debug)]
pub(super) struct Runs {
    _counting: OwnedFd,
    /// By kernel id, when counting was asked for.
    at_start: HashMap<u32, Sum>,
    /// Runs at the latest reading.
    before: HashMap<u32, u64>,
    read_at: Instant,
}

impl Runs {
    /// Has the kernel count from now on.
    ///
    /// # Errors
    /// The kernel's words, where it does not.
    pub(super) fn start(ebpf: &Ebpf) -> Result<Self, String> {
        let counting =
            enable_stats(Stats::RunTime).map_err(|error| format!("BPF_ENABLE_STATS: {}", error.io_error))?;
        let at_start: HashMap<u32, Sum> = sums(ebpf).collect();
        let before = at_start.iter().map(|(id, sum)| (*id, sum.runs)).collect();
        Ok(Self { _counting: counting, at_start, before, read_at: Instant::now() })
    }

    /// Puts what was counted beside each program.
    pub(super) fn read(&mut self, ebpf: &Ebpf, programs: &mut [ProgramHealth]) {
        let recent = self.read_at.elapsed();
        self.read_at = Instant::now();
        for (id, sum) in sums(ebpf) {
            let Some(program) = programs.iter_mut().find(|program| program.id == Some(id)) else { continue };
            let start = *self.at_start.entry(id).or_insert(sum);
            let before = self.before.insert(id, sum.runs).unwrap_or(sum.runs);
            program.runs = Some(ProgramRuns {
                runs: sum.runs.saturating_sub(start.runs),
                time: sum.time.saturating_sub(start.time),
                recent_runs: sum.runs.saturating_sub(before),
                recent,
            });
        }
    }
}

/// By kernel id. A program that does not run has none.
fn sums(ebpf: &Ebpf) -> impl Iterator<Item = (u32, Sum)> {
    ebpf.programs().filter_map(|(_, program)| {
        let info: ProgramInfo = program.info().ok()?;
        Some((info.id(), Sum { runs: info.run_count(), time: info.run_time() }))
    })
}
