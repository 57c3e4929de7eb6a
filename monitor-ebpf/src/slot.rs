//! Keys and values on the stack of a program, zeroed word by word.

use core::mem::MaybeUninit;

/// Room for a key or a value, aligned for whole words: the verifier refuses a misaligned store to the stack.
#[repr(align(8))]
pub struct Slot<T>(pub MaybeUninit<T>);

impl<T> Slot<T> {
    /// Not yet written.
    #[inline(always)]
    pub const fn new() -> Self {
        Self(MaybeUninit::uninit())
    }
}

/// Zeroes a key or a value word by word. `T::default()` would become a call of memset, a loop over bytes on this
/// target.
#[inline(always)]
pub fn zero<T>(slot: &mut Slot<T>) -> &mut T {
    const { assert!(size_of::<T>().is_multiple_of(8)) };
    let Slot(value) = slot;
    // SAFETY: all of it is written, and every `T` used here is made of integers, for which zero is a value.
    unsafe {
        let words = value.as_mut_ptr().cast::<u64>();
        let mut index = 0;
        while index < size_of::<T>() / 8 {
            words.add(index).write_volatile(0);
            index += 1;
        }
        value.assume_init_mut()
    }
}
