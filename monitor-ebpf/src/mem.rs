//! Memory that programs write: keys and values on the stack, and values of maps, which other CPUs write at the same time.
//!
//! A map's value is reached through [`Live`], one field at a time; what is in it is the business of who asks.

use aya_ebpf::maps::{Array, HashMap, PerCpuArray};
use core::intrinsics::{AtomicOrdering, atomic_xadd};
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr;
use monitor_common::Plain;

/// No room in a map.
pub(crate) const E2BIG: i32 = -7;
/// Another CPU made the row.
pub(crate) const EEXIST: i32 = -17;

/// Room for a key or a value, aligned for whole words: the verifier refuses a misaligned store to the stack.
#[repr(align(8))]
pub(crate) struct Slot<T>(MaybeUninit<T>);

impl<T> Slot<T> {
    /// Not yet written.
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self(MaybeUninit::uninit())
    }
}

/// Zeroes a key or a value word by word. `T::zeroed()` would become a call of memset, a loop over bytes on this target.
#[inline(always)]
pub(crate) fn zero<T: Plain>(slot: &mut Slot<T>) -> &mut T {
    const { assert!(size_of::<T>().is_multiple_of(8)) };
    let Slot(value) = slot;
    let words = value.as_mut_ptr().cast::<u64>();
    // SAFETY: a slot is aligned for words and has that many; all of it is written then, and zeros are a value.
    unsafe {
        let mut index = 0;
        while index < size_of::<T>() / 8 {
            words.add(index).write_volatile(0);
            index += 1;
        }
        value.assume_init_mut()
    }
}

/// The place of a field of type `F` in a `T`. [`field!`] makes it.
pub(crate) struct Field<T, F> {
    offset: usize,
    of: PhantomData<fn(T) -> F>,
}

impl<T, F> Field<T, F> {
    /// A field `F` of `T`, as `access` finds it.
    ///
    /// # Safety
    /// `offset` must be the offset of the field that `access` gives.
    #[inline(always)]
    pub(crate) const unsafe fn new(offset: usize, _access: fn(&T) -> &F) -> Self {
        Self { offset, of: PhantomData }
    }
}

/// A field of a structure by its name, as a constant [`Field`]: `field!(FlowValue, tcp)`.
macro_rules! field {
    ($of:ty, $name:ident) => {
        // SAFETY: offset and type are the same field's.
        const { unsafe { $crate::mem::Field::new(core::mem::offset_of!($of, $name), |of: &$of| &of.$name) } }
    };
}
pub(crate) use field;

/// A value that others may write at the same time: of a map, or on the way to one. Nothing holds a reference to it.
pub(crate) struct Live<'v, T> {
    value: *mut T,
    lives: PhantomData<&'v mut T>,
}

impl<T> Clone for Live<'_, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Live<'_, T> {}

impl<'v, T> Live<'v, T> {
    /// What a helper gave.
    ///
    /// # Safety
    /// It must point to an aligned `T` that the kernel keeps for as long as this program run and that may be written.
    #[inline(always)]
    pub(crate) const unsafe fn assume(value: *mut T) -> Self {
        Self { value, lives: PhantomData }
    }

    /// A value of this program's own.
    #[inline(always)]
    pub(crate) const fn of(value: &'v mut T) -> Self {
        Self { value: ptr::from_mut(value), lives: PhantomData }
    }

    /// One of its fields.
    #[inline(always)]
    pub(crate) const fn part<F>(self, field: Field<T, F>) -> Live<'v, F> {
        // SAFETY: the offset is the field's.
        Live { value: unsafe { self.value.byte_add(field.offset).cast() }, lives: PhantomData }
    }

    /// Where it is, for a helper that writes it.
    #[inline(always)]
    pub(crate) const fn as_mut_ptr(self) -> *mut T {
        self.value
    }
}

impl<T: Plain> Live<'_, T> {
    /// Reads it by one access of exactly its size, where it is an integer.
    #[inline(always)]
    pub(crate) fn read(self) -> T {
        // SAFETY: alive and aligned; whatever is there is a value.
        unsafe { self.value.read_volatile() }
    }

    /// Writes it by one access of exactly its size, where it is an integer.
    #[inline(always)]
    pub(crate) fn write(self, value: T) {
        // SAFETY: alive, aligned, and may be written.
        unsafe { self.value.write_volatile(value) }
    }

    /// Writes it by whatever accesses are the fewest: for what nobody else sees yet.
    #[inline(always)]
    pub(crate) const fn fill(self, value: T) {
        // SAFETY: as above.
        unsafe { self.value.write(value) }
    }
}

impl Live<'_, u64> {
    /// Adds to it; other CPUs may do so at the same time. The old value is never used: that would need BPF_FETCH (5.12).
    #[inline(always)]
    pub(crate) fn add(self, value: u64) {
        // SAFETY: alive, aligned, and may be written.
        unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(self.value, value) };
    }
}

macro_rules! lookups {
    ($($(#[$doc:meta])* $name:ident<$($generic:ident),+>($map:ty, $key:ty) -> $value:ty;)*) => {$(
        $(#[$doc])*
        #[inline(always)]
        pub(crate) fn $name<$($generic),+>(map: &$map, key: $key) -> Option<Live<'static, $value>> {
            match map.get_ptr_mut(key) {
                // SAFETY: the kernel keeps what a lookup found until the program run is over. At worst the row was
                // drained meanwhile and its memory belongs to another row.
                Some(value) => Some(unsafe { Live::assume(value) }),
                None => None,
            }
        }
    )*};
}
lookups! {
    /// The row of a key.
    row<K, V>(HashMap<K, V>, &K) -> V;
    /// An element, which all CPUs share.
    shared<V>(Array<V>, u32) -> V;
    /// This CPU's element.
    element<V>(PerCpuArray<V>, u32) -> V;
}
