//! The owner of a socket as it lies in the socket's storage: one word, so that whoever reads it reads one moment.
//!
//! A claim may change the owner while a packet of the socket is counted on another CPU. What a packet says of the owner
//! comes out of a single load, so it is never one claim's process with another's start. `xtask/tests/owner_word.rs` is
//! the model of that.

/// Owner of a socket, in SK_STORAGE. 32 bytes at most: a clone of it comes out of `net.core.optmem_max` and a clone
/// that fails drops the connection.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The socket that was claimed. Differs from the socket's own cookie in a clone: then the owner is provisional.
    pub cookie: u64,
    /// Netns cookie at the claim, 0 where the helper is missing. Set once.
    pub netns: u64,
    /// Who and how: an [`OwnerWord`]. Read and written by one access each.
    pub word: u64,
}

/// The seed found the socket in several processes.
pub const OWNER_AMBIGUOUS: u8 = 1;
/// The claimant is a kernel thread.
pub const OWNER_KERNEL: u8 = 2;

/// Who owns a socket and how it was found. From the lowest bit up: 22 bits of the thread-group id (Linux gives out none
/// from 2^22 on: `PID_MAX_LIMIT`), 32 of the generation, 6 of the claimed socket's cookie, 4 of the method. Where there
/// is no process (tgid 0) `OWNER_*` flags stand in place of the generation. 0: nobody yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct OwnerWord(pub u64);

const GENERATION_AT: u32 = 22;
const TAG_AT: u32 = 54;
const METHOD_AT: u32 = 60;
const TGID: u64 = (1 << GENERATION_AT) - 1;
const TAG: u64 = (1 << (METHOD_AT - TAG_AT)) - 1;
/// Bits above the process, which a shift takes away with one instruction.
const ABOVE: u32 = u64::BITS - TAG_AT;

impl OwnerWord {
    /// The claim of the socket with this cookie, by a process, or with `flags` by none.
    #[inline(always)]
    #[must_use]
    pub const fn new(cookie: u64, tgid: u32, generation: u32, method: u8, flags: u8) -> Self {
        let process = Self::process_of(tgid, generation, flags) >> ABOVE;
        Self(process | (cookie & TAG) << TAG_AT | (method as u64) << METHOD_AT)
    }

    /// The part that says who: the same number for the same process, or for the same flags.
    #[inline(always)]
    #[must_use]
    pub const fn process_of(tgid: u32, generation: u32, flags: u8) -> u64 {
        let tail = if tgid == 0 { flags as u32 } else { generation };
        (tgid as u64) << ABOVE | (tail as u64) << (GENERATION_AT + ABOVE)
    }

    /// [`Self::process_of`] its owner; 0: there is none.
    #[inline(always)]
    #[must_use]
    pub const fn process(self) -> u64 {
        self.0 << ABOVE
    }

    /// Thread-group id in the initial pid namespace; 0: no process.
    #[inline(always)]
    #[must_use]
    pub const fn tgid(self) -> u32 {
        (self.0 & TGID) as u32
    }

    /// Generation of the process; 0 where there is none.
    #[inline(always)]
    #[must_use]
    pub const fn generation(self) -> u32 {
        if self.tgid() == 0 { 0 } else { (self.0 << ABOVE >> (GENERATION_AT + ABOVE)) as u32 }
    }

    /// `OWNER_*`; 0 where there is a process.
    #[expect(clippy::cast_possible_truncation, reason = "flags are put in as eight bits")]
    #[inline(always)]
    #[must_use]
    pub const fn flags(self) -> u8 {
        if self.tgid() == 0 { (self.0 >> GENERATION_AT) as u8 } else { 0 }
    }

    /// `CLAIM_*`.
    #[inline(always)]
    #[must_use]
    pub const fn method(self) -> u8 {
        (self.0 >> METHOD_AT) as u8
    }

    /// False where it was surely written for another socket. The word and the cookie beside it are two loads, and a CPU
    /// that orders them as it likes may give the new cookie with the word that the clone came with: this tells all but
    /// one of 64 such words from the socket's own.
    #[inline(always)]
    #[must_use]
    pub const fn may_be_of(self, cookie: u64) -> bool {
        (self.0 >> TAG_AT ^ cookie) & TAG == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CLAIM_READ, CLAIM_SEND, Method};

    /// The largest of each.
    const LARGEST: (u32, u32) = ((1 << 22) - 1, u32::MAX);

    #[test]
    fn what_is_put_in_comes_out() {
        for (tgid, generation) in [(1, 0), (1, u32::MAX), (LARGEST.0, 0), LARGEST] {
            for (method, _) in Method::CLAIMS.iter().copied() {
                let word = OwnerWord::new(u64::MAX, tgid, generation, method, 0);
                assert_eq!((word.tgid(), word.generation(), word.method()), (tgid, generation, method));
                assert_eq!((word.flags(), word.process()), (0, OwnerWord::process_of(tgid, generation, 0)));
            }
        }
    }

    #[test]
    fn without_a_process_there_are_flags() {
        for flags in [OWNER_AMBIGUOUS, OWNER_KERNEL] {
            let word = OwnerWord::new(7, 0, 99, CLAIM_READ, flags);
            assert_eq!((word.tgid(), word.generation(), word.flags()), (0, 0, flags));
            assert_ne!(word.process(), 0);
        }
        assert_eq!(OwnerWord::new(7, 0, 99, CLAIM_READ, 0).process(), 0, "a method is nobody");
    }

    #[test]
    fn method_and_tag_are_not_who() {
        let word = OwnerWord::new(7, LARGEST.0, LARGEST.1, CLAIM_READ, 0);
        let other = OwnerWord::new(8, LARGEST.0, LARGEST.1, CLAIM_SEND, 0);
        assert!(word.process() == other.process() && word != other);
        for (tgid, generation) in [(LARGEST.0 - 1, LARGEST.1), (LARGEST.0, LARGEST.1 - 1)] {
            assert_ne!(word.process(), OwnerWord::process_of(tgid, generation, 0));
        }
    }

    #[test]
    fn a_word_knows_most_sockets_that_it_is_not_of() {
        let word = OwnerWord::new(1000, 42, 3, CLAIM_READ, 0);
        assert!((1000..1064_u64).filter(|cookie| word.may_be_of(*cookie)).eq([1000]));
    }
}
