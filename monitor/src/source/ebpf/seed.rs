//! The seed: sockets that are older than the monitor, by the iterator over descriptors or else by /proc.

use super::seed_procfs::{self, Pass};
use crate::model::Degradation;
use aya::Ebpf;
use aya::programs::{Iter, Program};
use monitor_common::SeedRecord;
use std::io::Read;

/// The seed goes by /proc instead: what is lost then is less.
pub(super) fn less_lost(lost: Degradation) -> Degradation {
    let what = "sockets older than monitor that no process shows in /proc are unknown until they are used";
    Degradation { what: what.to_owned(), ..lost }
}

/// One pass of the seed. Where it did not run there is nothing, and it is not complete.
///
/// # Errors
/// Where it failed: what is lost by that.
pub(super) fn run(ebpf: &mut Ebpf, by_procfs: bool) -> Result<Pass, Degradation> {
    match read_seeds(ebpf) {
        Ok(Some(records)) => Ok(Pass { records, complete: true }),
        Ok(None) if by_procfs => Ok(seed_procfs::pass()),
        Ok(None) => Ok(Pass { records: Vec::new(), complete: false }),
        Err(why) => {
            log::warn!("seeding failed: {why}");
            let what = "sockets older than monitor are unknown until they are used".to_owned();
            Err(Degradation { what, why, fix: "run it as root".to_owned() })
        }
    }
}

fn read_seeds(ebpf: &mut Ebpf) -> Result<Option<Vec<SeedRecord>>, String> {
    let Some(bytes) = stream(ebpf, "task_file")? else { return Ok(None) };
    Ok(Some(bytes.chunks_exact(size_of::<SeedRecord>()).filter_map(decode_seed).collect()))
}

/// All that an iterator says; `None` where it does not run.
pub(super) fn stream(ebpf: &mut Ebpf, name: &str) -> Result<Option<Vec<u8>>, String> {
    let Some(Program::Iter(program)) = ebpf.program_mut(name) else { return Ok(None) };
    if program.fd().is_err() {
        return Ok(None);
    }
    let read = |program: &mut Iter| -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        let id = program.attach()?;
        let mut file = program.take_link(id)?.into_file()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read(program).map(Some).map_err(|error| format!("{name}: {error}"))
}

/// One record of the stream, field by field in the order of [`SeedRecord`].
fn decode_seed(bytes: &[u8]) -> Option<SeedRecord> {
    let u32_at = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let u64_at = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    Some(SeedRecord {
        cookie: u64_at(0)?,
        process: monitor_common::ProcessKey { tgid: u32_at(8)?, generation: u32_at(12)? },
        start: u64_at(16)?,
        comm: bytes.get(24..40)?.try_into().ok()?,
        netns: u64_at(40)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_records_decode_as_they_lie() {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&7_u64.to_le_bytes());
        bytes.extend_from_slice(&42_u32.to_le_bytes());
        bytes.extend_from_slice(&9_u32.to_le_bytes());
        bytes.extend_from_slice(&123_u64.to_le_bytes());
        bytes.extend_from_slice(b"curl\0\0\0\0\0\0\0\0\0\0\0\0");
        bytes.extend_from_slice(&5_u64.to_le_bytes());
        let record = decode_seed(&bytes).unwrap();
        assert_eq!((record.cookie, record.process.tgid, record.process.generation), (7, 42, 9));
        assert_eq!((record.start, &record.comm[..5]), (123, &b"curl\0"[..]));
        assert_eq!(record.netns, 5);
        assert!(decode_seed(&bytes[..47]).is_none());
    }
}
