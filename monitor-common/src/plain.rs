//! Plain data: types that any bytes are a valid value of, so that they may be read as they lie in a map, a packet or a
//! structure of the kernel. All of this crate's `unsafe` is here.
#![expect(unsafe_code, reason = "the trait is a promise that the compiler cannot check")]

use crate::{
    ARGS_BYTES, Claim, ClaimKey, ClaimStats, Counters, Executed, FlowKey, FlowValue, HalfStats, Life,
    Offsets, OverflowKey, Owner, PATH_BYTES, Process, ProcessKey, SeedRecord, TapKey, TapOverflowKey,
    TapValue, TcpSample, Tuple, WireKey,
};
use core::mem::{MaybeUninit, size_of};

/// A type that any bytes are a valid value of.
///
/// # Safety
/// Only for integers, arrays of them, and `repr(C)` types of them without padding.
pub unsafe trait Plain: Copy + 'static {
    /// All bytes zero.
    #[must_use]
    fn zeroed() -> Self {
        // SAFETY: any bytes are a value, by the trait.
        unsafe { MaybeUninit::zeroed().assume_init() }
    }
}

macro_rules! integers {
    ($($type:ty)*) => {
        // SAFETY: integers.
        $(unsafe impl Plain for $type {})*
    };
}
integers!(u8 u16 u32 u64 i32);

// SAFETY: elements lie one behind the other, without padding.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

/// Asserts the sizes, for the host and for the bpf target.
macro_rules! plain {
    ($($type:ty: $size:expr;)*) => {$(
        const _: () = {
            assert!(size_of::<$type>() == $size);
            assert!(matches!(align_of::<$type>(), 2 | 4 | 8));
        };
        // SAFETY: `repr(C)`, of integers and arrays of them; what would be padding is a field.
        unsafe impl Plain for $type {}
    )*};
}
plain! {
    Counters: 64;
    FlowKey: 64;
    FlowValue: 128;
    TcpSample: 40;
    OverflowKey: 16;
    HalfStats: 48;
    Owner: 24;
    ClaimKey: 16;
    Claim: 32;
    ProcessKey: 8;
    Process: 48;
    ClaimStats: 48;
    SeedRecord: 48;
    Offsets: 112;
    Tuple: 40;
    WireKey: 48;
    TapKey: 48;
    TapValue: 48;
    TapOverflowKey: 8;
    Life: 72;
    Executed: 72 + 24 + PATH_BYTES + ARGS_BYTES;
}
