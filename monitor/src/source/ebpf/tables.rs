//! The maps of the programs by name, and what they cost. What is in them is the source's business.

use super::bpf::{self, Cpus};
use crate::model::MapHealth;
use crate::source::SourceError;
use aya::Ebpf;
use aya::maps::{Map, MapData};
use aya_log::EbpfLogger;
use monitor_common as abi;
use monitor_common::names;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// One of them is used.
const OWNERS: [&str; 2] = [names::OWNERS, "OWNERS_NO_CLONE"];

pub(super) fn map<'a>(
    maps: &'a HashMap<&'static str, MapData>,
    name: &'static str,
) -> Result<BorrowedFd<'a>, SourceError> {
    maps.get(name)
        .map(|data| data.fd().as_fd())
        .ok_or_else(|| SourceError::new(format!("the kernel object has no map {name}")))
}

pub(super) fn sum_stats(map: BorrowedFd<'_>, half: u32, cpus: Cpus) -> Result<abi::HalfStats, SourceError> {
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

/// Of all maps: those that are drained, the buffer of lives, and the sockets' owners.
pub(super) fn map_health(
    maps: &HashMap<&'static str, MapData>,
    lives: BorrowedFd<'_>,
    ebpf: &Ebpf,
) -> Vec<MapHealth> {
    let drained = maps.iter().filter_map(|(name, data)| {
        let info = data.info().ok()?;
        let memory = memory(data.fd().as_fd()).unwrap_or(0);
        Some(MapHealth { name, id: info.id(), capacity: info.max_entries(), fill: 0, memory })
    });
    let owners = OWNERS.iter().filter_map(|name| match ebpf.map(name)? {
        Map::SkStorage(data) => Some((*name, data.fd().as_fd())),
        _ => None,
    });
    let no_rows = owners.chain([(names::LIVES, lives)]).filter_map(|(name, fd)| {
        let id = field(fd, "map_id:").and_then(|id| u32::try_from(id).ok())?;
        Some(MapHealth { name, id, capacity: 0, fill: 0, memory: memory(fd).unwrap_or(0) })
    });
    let mut health: Vec<MapHealth> = drained.chain(no_rows).collect();
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
fn memory(fd: BorrowedFd<'_>) -> Option<u64> {
    field(fd, "memlock:")
}

fn field(fd: BorrowedFd<'_>, name: &str) -> Option<u64> {
    use std::os::fd::AsRawFd;
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}
