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

/// A map that userspace takes out of the object, as it has to be there.
pub(super) struct Taken {
    pub name: &'static str,
    /// Bytes of a key and of a value.
    pub key: usize,
    pub value: usize,
    /// Entries, where no option says how many.
    pub entries: Option<u32>,
}

const fn taken<K, V>(name: &'static str, entries: Option<u32>) -> Taken {
    Taken { name, key: size_of::<K>(), value: size_of::<V>(), entries }
}

/// Every map that is drained, read or written.
pub(super) const TAKEN: [Taken; 16] = [
    taken::<abi::FlowKey, abi::FlowValue>(names::FLOWS[0], None),
    taken::<abi::FlowKey, abi::FlowValue>(names::FLOWS[1], None),
    taken::<abi::OverflowKey, abi::FlowValue>(names::OVERFLOW[0], Some(abi::OVERFLOW_CAPACITY)),
    taken::<abi::OverflowKey, abi::FlowValue>(names::OVERFLOW[1], Some(abi::OVERFLOW_CAPACITY)),
    taken::<u32, abi::Counters>(names::TOTALS, Some(2)),
    taken::<u32, abi::HalfStats>(names::STATS, Some(2)),
    taken::<u32, u32>(names::ACTIVE, Some(1)),
    taken::<abi::ProcessKey, abi::Process>(names::PROCS, None),
    taken::<abi::ClaimKey, abi::Claim>(names::CLAIMS, None),
    taken::<u32, abi::ClaimStats>(names::CLAIM_STATS, Some(1)),
    taken::<abi::TapKey, abi::TapValue>(names::TAPS[0], None),
    taken::<abi::TapKey, abi::TapValue>(names::TAPS[1], None),
    taken::<abi::TapOverflowKey, abi::TapValue>(names::TAP_OVERFLOW[0], None),
    taken::<abi::TapOverflowKey, abi::TapValue>(names::TAP_OVERFLOW[1], None),
    taken::<u32, abi::HalfStats>(names::TAP_STATS, Some(2)),
    taken::<abi::WireKey, abi::Tuple>(names::WIRE, None),
];

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

#[cfg(test)]
mod tests {
    use super::*;
    use aya::include_bytes_aligned;
    use aya_obj::Object;
    use std::collections::BTreeSet;

    /// Maps that stay in the object: the sub-tree, the events of processes, the log.
    const LEFT: [&str; 3] = [names::SCOPE, names::LIVES, "AYA_LOGS"];

    #[test]
    fn no_map_of_the_object_is_forgotten() {
        let object = Object::parse(include_bytes_aligned!("../../../bpf/monitor.bpf.o")).unwrap();
        // Those with a dot are the globals.
        let in_object: BTreeSet<_> =
            object.maps.keys().map(String::as_str).filter(|name| !name.contains('.')).collect();
        let known = TAKEN.iter().map(|map| map.name).chain(OWNERS).chain(LEFT).collect();
        assert_eq!(in_object, known);
        for Taken { name, key, value, .. } in TAKEN {
            let map = &object.maps[name];
            assert_eq!((map.key_size() as usize, map.value_size() as usize), (key, value), "{name}");
        }
    }
}
