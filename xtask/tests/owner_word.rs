//! A model of a socket's owner that changes while packets of the socket are counted: claims and a packet, in every order
//! that the memory model allows (loom).
//!
//! The word and the cookie are those of `monitor-common/src/owner.rs`; how they are written and read is what
//! `monitor-ebpf/src/owner.rs` (`set`) and `account.rs` (`own`) do. Every access is relaxed, as the weakest CPU has it: the
//! programs have no barriers, because BPF has none before Linux 6.15. What the model shows is that no packet is given to a
//! process that never owned the socket, nor said to be surely of a process that only its listener was of; and that the
//! design before this one, with two loads, did the first, and that one without the tag does the second.

use loom::{
    model,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};
use monitor_common::{CLAIM_ACCEPT, CLAIM_BIND, CLAIM_TRANSFER, OwnerWord};
use std::panic::catch_unwind;

/// Two processes, tgid and generation.
const MASTER: (u32, u32) = (100, 1);
const WORKER: (u32, u32) = (200, 2);
/// Cookies of a listener and of a socket that was accepted from it.
const LISTENER: u64 = 4096;
const CHILD: u64 = 4097;

const MIXED: &str = "a process that never was";
const WRONG: &str = "surely the master's, who owns the listener only";

fn word(cookie: u64, (tgid, generation): (u32, u32), method: u8) -> OwnerWord {
    OwnerWord::new(cookie, tgid, generation, method, 0)
}

/// The storage of the child as it was cloned from its listener.
struct Storage {
    cookie: AtomicU64,
    word: AtomicU64,
}

impl Storage {
    fn cloned() -> Self {
        let owner = word(LISTENER, MASTER, CLAIM_BIND);
        Self { cookie: AtomicU64::new(LISTENER), word: AtomicU64::new(owner.0) }
    }

    fn claim(&self, by: (u32, u32), method: u8) {
        self.word.store(word(CHILD, by, method).0, Relaxed);
        self.cookie.store(CHILD, Relaxed);
    }

    /// What a packet sees: the owner, and whether it is surely the child's.
    fn look(&self, minds_the_tag: bool) -> (OwnerWord, bool) {
        let cookie = self.cookie.load(Relaxed);
        let word = OwnerWord(self.word.load(Relaxed));
        (word, cookie == CHILD && (!minds_the_tag || word.may_be_of(CHILD)))
    }
}

/// A packet beside the first claim of an accepted socket and the one of who takes it over.
fn packet_beside_claims(minds_the_tag: bool) {
    model(move || {
        let storage = Arc::new(Storage::cloned());
        let claims = {
            let storage = Arc::clone(&storage);
            thread::spawn(move || {
                storage.claim(WORKER, CLAIM_ACCEPT);
                storage.claim(MASTER, CLAIM_TRANSFER);
            })
        };
        let (word, sure) = storage.look(minds_the_tag);
        let process = (word.tgid(), word.generation());
        assert!([MASTER, WORKER].contains(&process), "{MIXED}");
        // By the one who took it over, the master's is right; as the maker of the listener it is not known to be.
        assert!(!sure || word.method() != CLAIM_BIND, "{WRONG}");
        claims.join().expect("no claim panics");
    });
}

/// The same of two claimants at once.
#[test]
fn a_packet_beside_two_claimants_sees_one_of_them() {
    model(|| {
        let storage = Arc::new(Storage::cloned());
        let claimants = [(WORKER, CLAIM_ACCEPT), (MASTER, CLAIM_TRANSFER)].map(|(by, method)| {
            let storage = Arc::clone(&storage);
            thread::spawn(move || storage.claim(by, method))
        });
        let (word, sure) = storage.look(true);
        let seen = (word.tgid(), word.generation(), word.method());
        let claims = [(WORKER, CLAIM_ACCEPT), (MASTER, CLAIM_TRANSFER)];
        let claimed = claims.iter().any(|((tgid, generation), method)| seen == (*tgid, *generation, *method));
        assert!(claimed || (!sure && seen == (MASTER.0, MASTER.1, CLAIM_BIND)), "{MIXED}");
        for claimant in claimants {
            claimant.join().expect("no claim panics");
        }
    });
}

#[test]
fn a_packet_beside_a_claim_sees_the_old_owner_or_the_new_one() {
    packet_beside_claims(true);
}

fn says(panic: &(dyn std::any::Any + Send), words: &str) -> bool {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.is_some_and(|text| text.contains(words))
}

#[test]
fn without_the_tag_a_clone_is_taken_for_a_claim() {
    let panic = catch_unwind(|| packet_beside_claims(false)).expect_err("an order that breaks it");
    assert!(says(&*panic, WRONG));
}

/// As it was: one store of process and start, and a load of each half of it.
#[test]
fn two_loads_give_a_process_that_never_was() {
    let two_loads = || {
        model(|| {
            let word = |(tgid, generation): (u32, u32)| u64::from(tgid) | u64::from(generation) << 32;
            let owner = Arc::new(AtomicU64::new(word(MASTER)));
            let claim = {
                let owner = Arc::clone(&owner);
                thread::spawn(move || owner.store(word(WORKER), Relaxed))
            };
            let tgid = owner.load(Relaxed) & 0xffff_ffff;
            let generation = owner.load(Relaxed) >> 32;
            assert!([MASTER, WORKER].map(word).contains(&(tgid | generation << 32)), "{MIXED}");
            claim.join().expect("no claim panics");
        });
    };
    let panic = catch_unwind(two_loads).expect_err("an order that breaks it");
    assert!(says(&*panic, MIXED));
}
