//! The bpf(2) calls that aya does not offer: batch drains, per-CPU reads into our own types, and the RCU wait.
//!
//! All of its `unsafe` is here. It knows maps by descriptor and nothing of what is in them.
#![expect(unsafe_code, reason = "bpf(2) has no safe wrapper for these commands")]

use monitor_common::Plain;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_LOOKUP_ELEM: libc::c_int = 1;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_MAP_LOOKUP_AND_DELETE_BATCH: libc::c_int = 25;
const BPF_MAP_TYPE_PERCPU_ARRAY: u32 = 6;
const BPF_MAP_TYPE_ARRAY_OF_MAPS: u32 = 12;

/// Rows read by the first call and by the later ones. The kernel copies whole buckets, so it must exceed the longest
/// bucket. The first is small, because most drains of an idle machine find next to nothing.
const FIRST_BATCH: usize = 256;
const BATCH: usize = 4096;
/// How often one batch is tried where the kernel has no memory or no lock for it at that moment.
const TRIES: u32 = 8;
/// Programs that are asked for at a hook; more are counted and not named.
const MOST_PROGRAMS: usize = 256;
const BPF_F_QUERY_EFFECTIVE: u32 = 1;
const BPF_F_ALLOW_MULTI: u32 = 2;
/// More CPUs than any kernel can be configured for: CONFIG_NR_CPUS is 8192 at most (arch/*/Kconfig).
const MOST_CPUS: usize = 1 << 16;

/// `union bpf_attr`, element commands (include/uapi/linux/bpf.h).
#[repr(C)]
struct ElementAttr {
    map_fd: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// `union bpf_attr`, batch commands.
#[repr(C)]
struct BatchAttr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// `union bpf_attr`, BPF_OBJ_GET_INFO_BY_FD.
#[repr(C)]
struct InfoAttr {
    fd: u32,
    length: u32,
    info: u64,
}

/// `union bpf_attr`, BPF_PROG_QUERY, all of its fields: the kernel writes the last one from Linux 6.17 on, whatever size it
/// was told (kernel/bpf/cgroup.c, `__cgroup_bpf_query`).
#[repr(C)]
#[derive(Default)]
struct QueryAttr {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    pad: u32,
    id_flags: u64,
    link_ids: u64,
    link_flags: u64,
    revision: u64,
}
const _: () = assert!(std::mem::offset_of!(QueryAttr, revision) == 56 && size_of::<QueryAttr>() == 64);

/// `union bpf_attr`, BPF_PROG_GET_FD_BY_ID.
#[repr(C)]
struct IdAttr {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// `union bpf_attr`, BPF_MAP_CREATE, its first fields.
#[repr(C)]
struct CreateAttr {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    inner_map_fd: u32,
}

fn bpf<T>(command: libc::c_int, attr: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: `attr` is a prefix of `union bpf_attr` of the size that is passed; the kernel takes the rest as zero, and
    // the command writes into no field behind it.
    // The pointers in it are valid for the call: every caller passes live buffers of the sizes the map has, which `load`
    // has checked, times as many as the kernel itself was seen to write (`Cpus`), or as many as `count` says.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn raw(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

/// Takes every row out of a HASH map, in any order, and appends it to `out`. Rows that are changed during the call may
/// be lost or half-read, so the map must be retired, or its rows replaced as wholes.
///
/// # Errors
/// The kernel's; rows taken before it are in `out`, and those after it are in the map still.
pub(super) fn drain<K: Plain, V: Plain>(
    map: BorrowedFd<'_>,
    out: &mut impl Extend<(K, V)>,
) -> io::Result<()> {
    drain_by(out, |attr| {
        attr.map_fd = raw(map);
        bpf(BPF_MAP_LOOKUP_AND_DELETE_BATCH, attr).map(|_| ())
    })
}

/// The batches of [`drain`], whoever answers them.
fn drain_by<K: Plain, V: Plain>(
    out: &mut impl Extend<(K, V)>,
    mut take: impl FnMut(&mut BatchAttr) -> io::Result<()>,
) -> io::Result<()> {
    let mut size = FIRST_BATCH;
    let mut keys = vec![K::zeroed(); size];
    let mut values = vec![V::zeroed(); size];
    // Where the batch before ended: the kernel fills in where the next one does, and leaves it where it fails.
    let mut position: Option<u64> = None;
    let mut tries = 0;
    loop {
        let mut next = 0_u64;
        let mut attr = BatchAttr {
            in_batch: position.as_mut().map_or(0, |position| std::ptr::from_mut(position) as u64),
            out_batch: std::ptr::from_mut(&mut next) as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: u32::try_from(size).unwrap_or(u32::MAX),
            map_fd: 0,
            elem_flags: 0,
            flags: 0,
        };
        let result = take(&mut attr);
        let number = result.as_ref().err().and_then(io::Error::raw_os_error);
        // What it has copied it has deleted, whatever it says then. It counts before these errors and no others
        // (kernel/bpf/hashtab.c, `__htab_map_lookup_and_delete_batch`).
        let is_counted = number
            .is_none_or(|number| number == libc::ENOENT || number == libc::ENOSPC || is_passing(number));
        let taken = if is_counted { (attr.count as usize).min(size) } else { 0 };
        let copied = keys.iter().copied().zip(values.iter().copied());
        match (result, number) {
            (Ok(()), _) => {
                out.extend(copied.take(taken));
                position = Some(next);
                tries = 0;
                if size < BATCH {
                    size = BATCH;
                    keys.resize(size, K::zeroed());
                    values.resize(size, V::zeroed());
                }
            }
            (Err(_), Some(libc::ENOENT)) => {
                out.extend(copied.take(taken));
                return Ok(());
            }
            // A bucket longer than the buffer: nothing of it was copied.
            (Err(_), Some(libc::ENOSPC)) if taken == 0 && size < 1 << 22 => {
                size *= 2;
                keys.resize(size, K::zeroed());
                values.resize(size, V::zeroed());
            }
            (Err(_), Some(libc::EINTR)) => {}
            // Others hold the lock of a bucket, or there is no memory. What was taken before that is gone from the map, so
            // the next try begins where this one began and finds the rest.
            (Err(error), Some(number)) if is_passing(number) => {
                out.extend(copied.take(taken));
                tries += 1;
                if tries == TRIES {
                    return Err(error);
                }
                std::thread::yield_now();
            }
            (Err(error), _) => {
                out.extend(copied.take(taken));
                return Err(error);
            }
        }
    }
}

/// An error that another try may not meet: others hold a lock, or there is no memory at that moment.
fn is_passing(number: i32) -> bool {
    [libc::EBUSY, libc::ETIMEDOUT, libc::EDEADLK, libc::EAGAIN, libc::ENOMEM].contains(&number)
}

/// How many values the kernel keeps of each element of a per-CPU map, which is how many it writes where one is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cpus(usize);

impl Cpus {
    /// Counts them: of a map of its own it reads one element, which is nothing but zeros, into a buffer of ones.
    /// /sys/devices/system/cpu/possible should say the same, but a mount can put anything in its place.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn count() -> io::Result<Self> {
        let map = create(BPF_MAP_TYPE_PERCPU_ARRAY, 8, 0)?;
        let values = read_values(map.as_fd(), 0, vec![u64::MAX; MOST_CPUS])?;
        let count = values.iter().take_while(|value| **value == 0).count();
        if count == 0 || count == MOST_CPUS {
            return Err(io::Error::other(format!("the kernel wrote {count} values")));
        }
        Ok(Self(count))
    }

    /// The number.
    pub(super) fn get(self) -> usize {
        self.0
    }
}

/// Reads one element of a PERCPU_ARRAY: a value per possible CPU. `V` must be a multiple of 8 bytes, as the kernel
/// rounds up to that.
///
/// # Errors
/// The kernel's.
pub(super) fn read_per_cpu<V: Plain>(map: BorrowedFd<'_>, index: u32, cpus: Cpus) -> io::Result<Vec<V>> {
    read_values(map, index, vec![V::zeroed(); cpus.0])
}

/// The same into `values`, of which there are at least as many as CPUs.
fn read_values<V: Plain>(map: BorrowedFd<'_>, index: u32, mut values: Vec<V>) -> io::Result<Vec<V>> {
    const { assert!(size_of::<V>().is_multiple_of(8)) };
    let mut attr = ElementAttr {
        map_fd: raw(map),
        pad: 0,
        key: std::ptr::from_ref(&index) as u64,
        value: values.as_mut_ptr() as u64,
        flags: 0,
    };
    bpf(BPF_MAP_LOOKUP_ELEM, &mut attr)?;
    Ok(values)
}

/// Sets one element of a PERCPU_ARRAY to its zero on every CPU.
///
/// # Errors
/// The kernel's.
pub(super) fn zero_per_cpu<V: Plain>(map: BorrowedFd<'_>, index: u32, cpus: Cpus) -> io::Result<()> {
    const { assert!(size_of::<V>().is_multiple_of(8)) };
    let values = vec![V::zeroed(); cpus.0];
    update(map, index, values.as_ptr() as u64)
}

/// Sets one element of an ARRAY.
///
/// # Errors
/// The kernel's.
pub(super) fn write<V: Plain>(map: BorrowedFd<'_>, index: u32, value: V) -> io::Result<()> {
    update(map, index, std::ptr::from_ref(&value) as u64)
}

fn update(map: BorrowedFd<'_>, index: u32, value: u64) -> io::Result<()> {
    let mut attr =
        ElementAttr { map_fd: raw(map), pad: 0, key: std::ptr::from_ref(&index) as u64, value, flags: 0 };
    bpf(BPF_MAP_UPDATE_ELEM, &mut attr).map(|_| ())
}

/// A map with one element.
fn create(map_type: u32, value_size: u32, inner_map_fd: u32) -> io::Result<OwnedFd> {
    let mut attr =
        CreateAttr { map_type, key_size: 4, value_size, max_entries: 1, map_flags: 0, inner_map_fd };
    opened(bpf(BPF_MAP_CREATE, &mut attr)?)
}

/// What a command returned that makes a descriptor.
fn opened(returned: libc::c_long) -> io::Result<OwnedFd> {
    let fd = i32::try_from(returned).map_err(io::Error::other)?;
    // SAFETY: the call made this descriptor and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What is attached to a hook of a cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attached {
    /// The ids of the programs.
    pub ids: Vec<u32>,
    /// They were attached so that no other may be.
    pub is_alone: bool,
}

/// The programs at a hook of a cgroup; with `above`, those of the cgroups that it is in as well, as they run.
///
/// # Errors
/// The kernel's.
pub(super) fn attached(cgroup: BorrowedFd<'_>, hook: u32, above: bool) -> io::Result<Attached> {
    let mut ids = vec![0_u32; MOST_PROGRAMS];
    let mut attr = QueryAttr {
        target_fd: raw(cgroup),
        attach_type: hook,
        query_flags: if above { BPF_F_QUERY_EFFECTIVE } else { 0 },
        ids: ids.as_mut_ptr() as u64,
        count: u32::try_from(ids.len()).unwrap_or(0),
        ..QueryAttr::default()
    };
    match bpf(BPF_PROG_QUERY, &mut attr) {
        // There are more: those that had room were copied.
        Err(error) if error.raw_os_error() != Some(libc::ENOSPC) => return Err(error),
        _ => ids.truncate(attr.count as usize),
    }
    Ok(Attached { ids, is_alone: !above && attr.attach_flags & BPF_F_ALLOW_MULTI == 0 })
}

/// What the kernel says of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProgramFacts {
    /// Its name, at most 15 bytes of it.
    pub name: String,
    /// Bytes of machine code; 0 where it is interpreted.
    pub compiled: u32,
    /// How often it was left out, because it ran already (Linux 5.12).
    pub misses: u64,
}

/// Asks about a program.
///
/// # Errors
/// The kernel's.
pub(super) fn program(program: BorrowedFd<'_>) -> io::Result<ProgramFacts> {
    /// Of `struct bpf_prog_info`, in u32: where these begin, and how much of it is asked for.
    const COMPILED: usize = 4;
    const NAME: std::ops::Range<usize> = 16..20;
    const MISSES: usize = 52;
    const WORDS: usize = 54;
    let mut words = [0_u32; WORDS];
    let length = u32::try_from(size_of_val(&words)).unwrap_or(0);
    let mut attr = InfoAttr { fd: raw(program), length, info: words.as_mut_ptr() as u64 };
    bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    let name: Vec<u8> =
        words[NAME].iter().flat_map(|word| word.to_ne_bytes()).take_while(|byte| *byte != 0).collect();
    Ok(ProgramFacts {
        name: String::from_utf8_lossy(&name).into_owned(),
        compiled: words[COMPILED],
        misses: u64::from(words[MISSES]) | u64::from(words[MISSES + 1]) << 32,
    })
}

/// The same for any program, which takes `cap_sys_admin`.
///
/// # Errors
/// The kernel's.
pub(super) fn program_by_id(id: u32) -> io::Result<ProgramFacts> {
    let fd = opened(bpf(BPF_PROG_GET_FD_BY_ID, &mut IdAttr { id, next_id: 0, open_flags: 0 })?)?;
    program(fd.as_fd())
}

/// Waits until every program run that had begun is over.
///
/// Rewriting a slot of a map of maps makes the kernel call `synchronize_rcu` before it returns (kernel/bpf/syscall.c,
/// `maybe_wait_bpf_programs`), on one CPU and under nohz_full, too, where membarrier(2) does not.
#[derive(Debug)]
pub(super) struct RcuBarrier {
    slots: OwnedFd,
}

impl RcuBarrier {
    /// `inner` is any ARRAY map; no program ever uses the slot.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn new(inner: BorrowedFd<'_>) -> io::Result<Self> {
        let slots = create(BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, raw(inner))?;
        Ok(Self { slots })
    }

    /// Waits; 8 to 30 ms on an idle machine.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn wait(&self, inner: BorrowedFd<'_>) -> io::Result<()> {
        write(self.slots.as_fd(), 0, raw(inner))
    }
}

/// Has all threads share one heap: what loading took of another one stays with that thread, because `trim_heap` does not
/// give back the end of it. Before the first thread is started. Does nothing with another C library.
pub(crate) fn share_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointer and moves no allocation (mallopt(3)).
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Gives back to the system what glibc keeps of the memory that is free: parsing the kernel's type information passes some
/// 60 MB through the heap, a flood of flows more. Does nothing with another C library.
pub(crate) fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointer and moves no allocation.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel answers to one batch: so many rows, numbered on from the last, and a position or an error.
    fn answers(script: Vec<(u32, Result<u64, libc::c_int>)>) -> (Vec<(u32, u32)>, io::Result<()>, Vec<u64>) {
        let (mut script, mut row, mut asked) = (script.into_iter(), 0_u32, Vec::new());
        let mut out = Vec::new();
        let result = drain_by(&mut out, |attr| {
            let (count, answer) = script.next().expect("no more calls than answers");
            // SAFETY: both are null or point to a u64 of the caller's.
            let position = unsafe { (attr.in_batch as *const u64).as_ref() };
            asked.push(position.copied().unwrap_or(0));
            for index in 0..count {
                row += 1;
                // SAFETY: the buffers have `attr.count` elements of u32, and no script has more.
                unsafe {
                    *(attr.keys as *mut u32).add(index as usize) = row;
                    *(attr.values as *mut u32).add(index as usize) = row * 10;
                }
            }
            match answer {
                Err(number) if [libc::EINTR, libc::EINVAL].contains(&number) => {
                    Err(io::Error::from_raw_os_error(number))
                }
                answer => {
                    attr.count = count;
                    answer.map_err(io::Error::from_raw_os_error).map(|next| {
                        // SAFETY: it points to a u64 of the caller's.
                        unsafe { *(attr.out_batch as *mut u64) = next };
                    })
                }
            }
        });
        (out, result, asked)
    }

    fn rows(count: u32) -> Vec<(u32, u32)> {
        (1..=count).map(|row| (row, row * 10)).collect()
    }

    /// L2: what a batch had copied before it failed is gone from the map and was thrown away.
    #[test]
    fn rows_that_a_failing_batch_copied_are_kept_and_it_goes_on() {
        let script = vec![
            (3, Ok(7)),
            (2, Err(libc::EBUSY)),
            (0, Err(libc::ENOMEM)),
            (0, Err(libc::EINTR)),
            (4, Err(libc::ETIMEDOUT)),
            (1, Ok(9)),
            (2, Err(libc::ENOENT)),
        ];
        let (out, result, asked) = answers(script);
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(out, rows(12));
        assert_eq!(asked, [0, 7, 7, 7, 7, 7, 9]);
    }

    #[test]
    fn a_map_that_stays_busy_is_given_up_with_what_was_taken() {
        let mut script = vec![(3, Ok(7))];
        script.extend((0..TRIES).map(|_| (1, Err(libc::EBUSY))));
        let (out, result, _) = answers(script);
        assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EBUSY));
        assert_eq!(out, rows(3 + TRIES));
    }

    /// Its count is what was asked for and not what was copied.
    #[test]
    fn a_call_that_is_refused_adds_no_row() {
        let (out, result, _) = answers(vec![(0, Err(libc::EINVAL))]);
        assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EINVAL));
        assert_eq!(out, []);
    }

    #[test]
    fn a_long_bucket_gets_a_larger_buffer() {
        let (out, result, asked) =
            answers(vec![(0, Err(libc::ENOSPC)), (300, Ok(5)), (0, Err(libc::ENOENT))]);
        assert!(result.is_ok());
        assert_eq!((out, asked), (rows(300), vec![0, 0, 5]));
    }
}
