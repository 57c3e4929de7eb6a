//! The maps of the programs by name, and what they cost. What is in them is the source's business.

use super::bpf;
use crate::model::MapHealth;
use crate::source::SourceError;
use aya::Ebpf;
use aya::maps::MapData;
use aya_log::EbpfLogger;
use monitor_common as abi;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

pub(super) fn map<'a>(
    maps: &'a HashMap<&'static str, MapData>,
    name: &'static str,
) -> Result<BorrowedFd<'a>, SourceError> {
    maps.get(name)
        .map(|data| data.fd().as_fd())
        .ok_or_else(|| SourceError::new(format!("the kernel object has no map {name}")))
}

pub(super) fn sum_stats(map: BorrowedFd<'_>, half: u32, cpus: usize) -> Result<abi::HalfStats, SourceError> {
    let per_cpu = bpf::read_per_cpu::<abi::HalfStats>(map, half, cpus)
        .map_err(|error| failed("reading the statistics", &error))?;
    Ok(per_cpu.iter().fold(abi::HalfStats::default(), |sum, one| abi::HalfStats {
        inserts: sum.inserts + one.inserts,
        full: sum.full + one.full,
        busy: sum.busy + one.busy,
        overflow_full: sum.overflow_full + one.overflow_full,
        unparsed: sum.unparsed + one.unparsed,
        wires_lost: sum.wires_lost + one.wires_lost,
    }))
}

pub(super) fn failed(what: &str, error: &io::Error) -> SourceError {
    SourceError::new(format!(
        "{what} failed: {error}; this is a bug or the kernel is out of memory, restart monitor"
    ))
}

pub(super) fn map_health(maps: &HashMap<&'static str, MapData>) -> Vec<MapHealth> {
    let mut health: Vec<MapHealth> = maps
        .iter()
        .filter_map(|(name, data)| {
            let info = data.info().ok()?;
            let memory = memlock(data.fd().as_fd()).unwrap_or(0);
            Some(MapHealth { name, id: info.id(), capacity: info.max_entries(), fill: 0, memory })
        })
        .collect();
    health.sort_by_key(|map| map.name);
    health
}

/// The programs' log lines go to `log`; nothing is read where that is off.
pub(super) fn kernel_log(ebpf: &mut Ebpf) -> Option<EbpfLogger<&'static dyn log::Log>> {
    if log::max_level() == log::LevelFilter::Off {
        return None;
    }
    EbpfLogger::init_with_logger(ebpf, log::logger())
        .inspect_err(|error| log::warn!("the kernel programs' log cannot be read: {error}"))
        .ok()
}

/// Kernel memory of a map in bytes, from fdinfo (kernel/bpf/syscall.c, `bpf_map_show_fdinfo`).
fn memlock(fd: BorrowedFd<'_>) -> Option<u64> {
    use std::os::fd::AsRawFd;
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).ok()?;
    text.lines().find_map(|line| line.strip_prefix("memlock:")?.trim().parse().ok())
}
