//! The bpf(2) calls that aya does not offer: batch drains, per-CPU reads into our own types, and the RCU wait.
//!
//! All of its `unsafe` is here. It knows maps by descriptor and nothing of what is in them.
#![expect(unsafe_code, reason = "bpf(2) has no safe wrapper for these commands")]

use monitor_common::{
    Claim, ClaimKey, ClaimStats, Counters, FlowKey, FlowValue, HalfStats, OverflowKey, Process, ProcessKey,
    TapKey, TapOverflowKey, TapValue, Tuple, WireKey,
};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_LOOKUP_ELEM: libc::c_int = 1;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_MAP_LOOKUP_AND_DELETE_BATCH: libc::c_int = 25;
const BPF_MAP_TYPE_ARRAY_OF_MAPS: u32 = 12;

/// Rows read by the first call and by the later ones. The kernel copies whole buckets, so it must exceed the longest
/// bucket. The first is small, because most drains of an idle machine find next to nothing.
const FIRST_BATCH: usize = 256;
const BATCH: usize = 4096;

/// A type that any bytes are a valid value of.
///
/// # Safety
/// Only for `repr(C)` types of integers without padding.
pub unsafe trait Plain: Copy + Default {}

// SAFETY: monitor-common builds them of fixed-width integers with explicit padding and asserts their sizes.
unsafe impl Plain for Counters {}
// SAFETY: as above.
unsafe impl Plain for FlowKey {}
// SAFETY: as above.
unsafe impl Plain for FlowValue {}
// SAFETY: as above.
unsafe impl Plain for OverflowKey {}
// SAFETY: as above.
unsafe impl Plain for HalfStats {}
// SAFETY: as above.
unsafe impl Plain for Claim {}
// SAFETY: as above.
unsafe impl Plain for ClaimKey {}
// SAFETY: as above.
unsafe impl Plain for ClaimStats {}
// SAFETY: as above.
unsafe impl Plain for Process {}
// SAFETY: as above.
unsafe impl Plain for ProcessKey {}
// SAFETY: as above.
unsafe impl Plain for TapKey {}
// SAFETY: as above.
unsafe impl Plain for TapValue {}
// SAFETY: as above.
unsafe impl Plain for TapOverflowKey {}
// SAFETY: as above.
unsafe impl Plain for WireKey {}
// SAFETY: as above.
unsafe impl Plain for Tuple {}
// SAFETY: an integer.
unsafe impl Plain for u32 {}

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
    // SAFETY: `attr` is a prefix of `union bpf_attr` of the size that is passed; the kernel takes the rest as zero.
    // The pointers in it are valid for the call: every caller passes live buffers of the sizes the map has.
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
/// The kernel's; rows taken before it are in `out`.
pub fn drain<K: Plain, V: Plain>(map: BorrowedFd<'_>, out: &mut Vec<(K, V)>) -> io::Result<()> {
    let mut size = FIRST_BATCH;
    let mut keys = vec![K::default(); size];
    let mut values = vec![V::default(); size];
    let mut position = 0_u64;
    let mut started = false;
    loop {
        let mut next = 0_u64;
        let mut attr = BatchAttr {
            in_batch: if started { std::ptr::from_mut(&mut position) as u64 } else { 0 },
            out_batch: std::ptr::from_mut(&mut next) as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: u32::try_from(size).unwrap_or(u32::MAX),
            map_fd: raw(map),
            elem_flags: 0,
            flags: 0,
        };
        let result = bpf(BPF_MAP_LOOKUP_AND_DELETE_BATCH, &mut attr);
        let taken = (attr.count as usize).min(size);
        match result {
            Ok(_) => {
                out.extend(keys[..taken].iter().copied().zip(values[..taken].iter().copied()));
                position = next;
                started = true;
                if size < BATCH {
                    size = BATCH;
                    keys.resize(size, K::default());
                    values.resize(size, V::default());
                }
            }
            // The end: what `count` says was still copied.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                out.extend(keys[..taken].iter().copied().zip(values[..taken].iter().copied()));
                return Ok(());
            }
            // A bucket longer than the buffer: nothing of it was copied.
            Err(error) if error.raw_os_error() == Some(libc::ENOSPC) && size < 1 << 22 => {
                size *= 2;
                keys.resize(size, K::default());
                values.resize(size, V::default());
            }
            Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads one element of a PERCPU_ARRAY: a value per possible CPU. `V` must be a multiple of 8 bytes, as the kernel
/// rounds up to that.
///
/// # Errors
/// The kernel's.
pub fn read_per_cpu<V: Plain>(map: BorrowedFd<'_>, index: u32, cpus: usize) -> io::Result<Vec<V>> {
    const { assert!(size_of::<V>().is_multiple_of(8)) };
    let mut values = vec![V::default(); cpus];
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
pub fn zero_per_cpu<V: Plain>(map: BorrowedFd<'_>, index: u32, cpus: usize) -> io::Result<()> {
    const { assert!(size_of::<V>().is_multiple_of(8)) };
    let values = vec![V::default(); cpus];
    update(map, index, values.as_ptr() as u64)
}

/// Sets one element of an ARRAY.
///
/// # Errors
/// The kernel's.
pub fn write<V: Plain>(map: BorrowedFd<'_>, index: u32, value: V) -> io::Result<()> {
    update(map, index, std::ptr::from_ref(&value) as u64)
}

fn update(map: BorrowedFd<'_>, index: u32, value: u64) -> io::Result<()> {
    let mut attr =
        ElementAttr { map_fd: raw(map), pad: 0, key: std::ptr::from_ref(&index) as u64, value, flags: 0 };
    bpf(BPF_MAP_UPDATE_ELEM, &mut attr).map(|_| ())
}

/// Waits until every program run that had begun is over.
///
/// Rewriting a slot of a map of maps makes the kernel call `synchronize_rcu` before it returns (kernel/bpf/syscall.c,
/// `maybe_wait_bpf_programs`), on one CPU and under nohz_full, too, where membarrier(2) does not.
#[derive(Debug)]
pub struct RcuBarrier {
    slots: OwnedFd,
}

impl RcuBarrier {
    /// `inner` is any ARRAY map; no program ever uses the slot.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(inner: BorrowedFd<'_>) -> io::Result<Self> {
        let mut attr = CreateAttr {
            map_type: BPF_MAP_TYPE_ARRAY_OF_MAPS,
            key_size: 4,
            value_size: 4,
            max_entries: 1,
            map_flags: 0,
            inner_map_fd: raw(inner),
        };
        let fd = bpf(BPF_MAP_CREATE, &mut attr)?;
        let fd = i32::try_from(fd).map_err(io::Error::other)?;
        // SAFETY: the call made this descriptor and nothing else owns it.
        let slots = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { slots })
    }

    /// Waits; 8 to 30 ms on an idle machine.
    ///
    /// # Errors
    /// The kernel's.
    pub fn wait(&self, inner: BorrowedFd<'_>) -> io::Result<()> {
        use std::os::fd::AsFd;
        write(self.slots.as_fd(), 0, raw(inner))
    }
}

/// Has all threads share one heap: what loading took of another one stays with that thread, because `trim_heap` does not
/// give back the end of it. Before the first thread is started. Does nothing with another C library.
pub fn share_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointer and moves no allocation (mallopt(3)).
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Gives back to the system what glibc keeps of the memory that loading took: parsing the kernel's type information
/// passes some 60 MB through the heap. Does nothing with another C library.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointer and moves no allocation.
    unsafe {
        libc::malloc_trim(0);
    }
}
