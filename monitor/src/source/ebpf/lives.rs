//! What happens to processes: the kernel's ring buffer, and who is there at the start.
//!
//! Decodes only. What names a process is `resolve`'s business.

use super::bpf::Cpus;
use super::{decode, seed};
use crate::model::{Born, Degradation, Executed, Life, Mono, ProcessId};
use crate::source::SourceError;
use aya::Ebpf;
use aya::maps::{MapData, RingBuf};
use monitor_common as abi;
use monitor_common::{ARGS_BYTES, LIVES_BYTES, PATH_BYTES, names};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// See [`buffer`].
const BYTES_PER_CPU: u32 = 1 << 20;
/// Records taken at once: what a full buffer holds, so that a storm of program starts cannot keep this busy for ever.
const AT_ONCE: usize = 65_536;

/// Bytes of the ring buffer: for half a second of nothing but program starts, each of which takes a CPU half a millisecond
/// or more, and a quarter of a second after userspace was woken.
pub(super) fn buffer(cpus: Cpus) -> u32 {
    u32::try_from(cpus.get())
        .unwrap_or(u32::MAX)
        .checked_next_power_of_two()
        .map_or(LIVES_BYTES, |cpus| cpus.saturating_mul(BYTES_PER_CPU).min(LIVES_BYTES))
}

/// The ring buffer.
pub(super) struct Lives {
    ring: RingBuf<MapData>,
    /// Who was there, until it is taken.
    found: Vec<Life>,
    /// Events that found the ring buffer full, so far.
    lost: u64,
    /// More of them were lost: who lives is to be counted anew.
    in_doubt: bool,
}

impl fmt::Debug for Lives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lives").field("found", &self.found.len()).finish_non_exhaustive()
    }
}

impl Lives {
    /// Takes the ring buffer out of the object.
    ///
    /// # Errors
    /// Where the object has none.
    pub(super) fn open(ebpf: &mut Ebpf) -> Result<Self, SourceError> {
        let map = ebpf.take_map(names::LIVES).ok_or_else(|| {
            SourceError::new("the kernel object has no map LIVES; rebuild it with `cargo xtask build-ebpf`")
        })?;
        let ring = RingBuf::try_from(map).map_err(|error| {
            SourceError::new(format!(
                "cannot map the kernel's buffer of process events: {error}; free some memory and start again"
            ))
        })?;
        Ok(Self { ring, found: Vec::new(), lost: 0, in_doubt: false })
    }

    /// Counts who is there. What happens meanwhile is in the ring buffer already, and comes after.
    pub(super) fn count(&mut self, ebpf: &mut Ebpf) {
        match seed::stream(ebpf, "task") {
            Ok(bytes) => {
                let bytes = bytes.unwrap_or_default();
                self.found = bytes.chunks_exact(size_of::<abi::Life>()).filter_map(decoded).collect();
            }
            Err(why) => log::warn!("the processes cannot be listed: {why}"),
        }
    }

    /// The buffer itself.
    pub(super) fn buffer_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }

    /// What becomes readable with the first event since the last time, when half of the buffer is full, and when
    /// `account` asks for it.
    pub(super) fn descriptor(&self) -> Option<OwnedFd> {
        self.ring.as_fd().try_clone_to_owned().ok()
    }

    /// So many events found the buffer full, so far.
    pub(super) fn note_lost(&mut self, lost: u64) {
        self.in_doubt |= lost != std::mem::replace(&mut self.lost, lost);
    }

    /// Counts who lives, where events were lost. After `take`: who is told of by then and not among them has ended. In
    /// another pid namespace than the programs' only some would be seen.
    pub(super) fn recount(&mut self, ebpf: &mut Ebpf, now: Mono, out: &mut Vec<Life>) {
        if !std::mem::take(&mut self.in_doubt) || !in_initial_pid_namespace() {
            return;
        }
        match seed::stream(ebpf, "task") {
            Ok(Some(bytes)) => {
                let found: Vec<Life> =
                    bytes.chunks_exact(size_of::<abi::Life>()).filter_map(decoded).collect();
                let id = |life: &Life| if let Life::Born(born) = life { Some(born.id) } else { None };
                let living = found.iter().filter_map(id).collect();
                out.extend(found);
                out.push(Life::Census { living, at: now });
            }
            Ok(None) => {}
            Err(why) => log::warn!("the processes cannot be counted: {why}"),
        }
    }

    /// Appends what happened since the last time.
    pub(super) fn take(&mut self, out: &mut Vec<Life>) {
        out.append(&mut self.found);
        for _ in 0..AT_ONCE {
            let Some(item) = self.ring.next() else { return };
            out.extend(decoded(&item));
        }
    }
}

/// The bytes of one record, read in order.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_ne_bytes(self.bytes(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_ne_bytes(self.bytes(8)?.try_into().ok()?))
    }

    fn process(&mut self) -> Option<ProcessId> {
        Some(ProcessId { pid: self.u32()?, generation: self.u32()? })
    }
}

/// A record, field by field in the order of [`abi::Life`] and [`abi::Executed`]; `None` for what it does not know.
fn decoded(bytes: &[u8]) -> Option<Life> {
    let mut fields = Fields(bytes);
    let (kind, netns) = (fields.u32()?, fields.u32()?);
    let (id, parent) = (fields.process()?, fields.process()?);
    let (start, at, cgroup) = (fields.u64()?, fields.u64()?, fields.u64()?);
    let comm = decode::comm(fields.bytes(16)?.try_into().ok()?);
    let (uid, _pad) = (fields.u32()?, fields.u32()?);
    let born = |found| Born {
        id,
        parent,
        start: (start != 0).then_some(Mono(start)),
        comm,
        netns_inode: netns.into(),
        found,
    };
    match kind {
        abi::LIFE_BORN => Some(Life::Born(born(false))),
        abi::LIFE_FOUND => Some(Life::Born(born(true))),
        abi::LIFE_ENDED => Some(Life::Ended { id, at: Mono(at) }),
        abi::LIFE_EXECUTED => executed(born(false), Mono(at), (uid, cgroup), &mut fields),
        _ => None,
    }
}

fn executed(process: Born, at: Mono, (uid, cgroup): (u32, u64), fields: &mut Fields<'_>) -> Option<Life> {
    let (inode, device) = (fields.u64()?, fields.u32()?);
    let (path_len, args_len) = (fields.u32()? as usize, fields.u32()? as usize);
    let args_total = fields.u32()? as usize;
    let (path, args) = (fields.bytes(PATH_BYTES)?, fields.bytes(ARGS_BYTES)?);
    let whole = path_len > 0 && path_len < PATH_BYTES - 1;
    // The kernel's own numbering (include/linux/kdev_t.h): 20 bits of minor.
    let file = (inode != 0).then_some((device >> 20, device & 0x000f_ffff, inode));
    let args = args.get(..args_len)?;
    Some(Life::Executed(Box::new(Executed {
        process,
        at,
        uid,
        cgroup,
        file,
        path: path.get(..path_len).filter(|_| whole).map(Box::from),
        args: args.into(),
        cut: args_len < args_total,
    })))
}

/// Where it cannot be told, it is taken for the initial one.
pub(super) fn in_initial_pid_namespace() -> bool {
    // PROC_PID_INIT_INO of include/linux/proc_ns.h.
    const INITIAL: &str = "pid:[4026531836]";
    std::fs::read_link("/proc/self/ns/pid").map_or(true, |link| link.as_os_str() == INITIAL)
}

/// The kernel programs see the pids of the initial pid namespace; inside another one they are not the ones that `ps`
/// shows.
pub(super) fn pid_namespace() -> Option<Degradation> {
    (!in_initial_pid_namespace()).then(|| Degradation {
        what: "pids are the host's, not this container's, and names come from the kernel only".to_owned(),
        why: "monitor runs in a pid namespace of its own".to_owned(),
        fix: "run it on the host, or with --pid=host".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [kind, 4_026_531_840, 42, 7, 1, 2] {
            bytes.extend_from_slice(&u32::to_ne_bytes(word));
        }
        for word in [5_u64, 6, 9] {
            bytes.extend_from_slice(&word.to_ne_bytes());
        }
        bytes.extend_from_slice(b"curl\0\0\0\0\0\0\0\0\0\0\0\0");
        bytes.extend_from_slice(&1000_u32.to_ne_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes
    }

    fn program(path: &[u8], args: &[u8], total: u32) -> Vec<u8> {
        let mut bytes = record(abi::LIFE_EXECUTED);
        bytes.extend_from_slice(&77_u64.to_ne_bytes());
        bytes.extend_from_slice(&((8_u32 << 20) | 1).to_ne_bytes());
        for length in [path.len(), args.len()] {
            bytes.extend_from_slice(&u32::try_from(length).unwrap().to_ne_bytes());
        }
        bytes.extend_from_slice(&total.to_ne_bytes());
        let mut field = vec![0xaa; PATH_BYTES + ARGS_BYTES];
        field[..path.len()].copy_from_slice(path);
        field[PATH_BYTES..PATH_BYTES + args.len()].copy_from_slice(args);
        bytes.extend_from_slice(&field);
        bytes
    }

    #[test]
    fn records_decode_as_they_lie() {
        assert_eq!(record(1).len(), size_of::<abi::Life>());
        let Some(Life::Born(born)) = decoded(&record(abi::LIFE_BORN)) else { panic!("no birth") };
        assert_eq!((born.id.pid, born.id.generation, born.parent.pid), (42, 7, 1));
        assert_eq!((&*born.comm, born.start, born.netns_inode), ("curl", Some(Mono(5)), 4_026_531_840));
        assert_eq!(decoded(&record(abi::LIFE_ENDED)), Some(Life::Ended { id: born.id, at: Mono(6) }));

        let bytes = program(b"/usr/bin/curl", b"curl\0-s\0", 8);
        assert_eq!(bytes.len(), size_of::<abi::Executed>());
        let Some(Life::Executed(program)) = decoded(&bytes) else { panic!("no program") };
        assert_eq!(program.path.as_deref(), Some(&b"/usr/bin/curl"[..]));
        assert_eq!((&*program.args, program.cut), (&b"curl\0-s\0"[..], false));
        assert_eq!((program.file, program.uid, program.cgroup), (Some((8, 1, 77)), 1000, 9));
        assert_eq!(program.at, Mono(6));
    }

    #[test]
    fn what_is_cut_is_known_to_be() {
        let long = [b'x'; PATH_BYTES - 1];
        let Some(Life::Executed(cut)) = decoded(&program(&long, b"a\0", 3)) else { panic!("no program") };
        assert_eq!((cut.path.clone(), cut.cut), (None, true));
    }

    #[test]
    fn garbage_is_none_and_never_a_panic() {
        let good = program(b"/bin/x", b"x\0", 2);
        for length in 0..good.len() {
            assert_eq!(decoded(&good[..length]), None);
        }
        assert_eq!(decoded(&record(99)), None);
        assert_eq!(decoded(&[0xff; 900]), None);
    }
}
