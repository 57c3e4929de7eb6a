//! A second opinion on what the wire carries: the sum of traffic control's `wire_len` over what leaves by a device.
//!
//! The kernel computes `wire_len` for its queues, from the same GSO fields but by its own code and at another place
//! than the cgroup hooks, so it is a witness for the formula and not a copy of it.

use crate::{bpf, veth::End};
use std::os::fd::{AsRawFd, OwnedFd};

/// Offsets in `struct __sk_buff` (linux/bpf.h).
const WIRE_LEN: i16 = 160;
const GSO_SEGS: i16 = 164;

/// Counts what leaves by one device, while it lives.
#[derive(Debug)]
pub struct WireMeter {
    map: OwnedFd,
    _link: OwnedFd,
}

impl WireMeter {
    /// Attaches to a device.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn attach(end: &End) -> Self {
        let map = bpf::array_of_two().expect("a map for the wire meter");
        let program = bpf::load_classifier(&program(&map)).expect("the wire meter");
        let link = end.netns.run(|| bpf::attach_egress(&program, end.index)).expect("attach the wire meter");
        Self { map, _link: link }
    }

    /// Bytes, Ethernet headers included, and packets since it was attached, as the wire has them.
    ///
    /// # Panics
    /// When the map cannot be read.
    pub fn read(&self) -> (u64, u64) {
        let [bytes, packets] = bpf::read_two(&self.map).expect("read the wire meter");
        (bytes, packets)
    }
}

/// One instruction.
fn instruction(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> u64 {
    u64::from(code)
        | u64::from(destination) << 8
        | u64::from(source) << 12
        | u64::from(offset.cast_unsigned()) << 16
        | u64::from(immediate.cast_unsigned()) << 32
}

/// `map[0][0] += skb->wire_len; map[0][1] += skb->gso_segs ?: 1; return TCX_NEXT`
fn program(map: &OwnedFd) -> Vec<u64> {
    const LOAD_WORD: u8 = 0x61;
    const STORE_WORD_IMMEDIATE: u8 = 0x62;
    const LOAD_MAP: u8 = 0x18;
    const MAP_BY_FD: u8 = 1;
    const MOVE: u8 = 0xbf;
    const MOVE_IMMEDIATE: u8 = 0xb7;
    const ADD_IMMEDIATE: u8 = 0x07;
    const CALL: u8 = 0x85;
    const MAP_LOOKUP: i32 = 1;
    const JUMP_IF_EQUAL: u8 = 0x15;
    const JUMP_IF_NOT_EQUAL: u8 = 0x55;
    const ATOMIC_ADD: u8 = 0xdb;
    const EXIT: u8 = 0x95;
    const TCX_NEXT: i32 = -1;
    vec![
        instruction(LOAD_WORD, 6, 1, WIRE_LEN, 0),
        instruction(LOAD_WORD, 7, 1, GSO_SEGS, 0),
        instruction(STORE_WORD_IMMEDIATE, 10, 0, -4, 0),
        instruction(LOAD_MAP, 1, MAP_BY_FD, 0, map.as_raw_fd()),
        instruction(0, 0, 0, 0, 0),
        instruction(MOVE, 2, 10, 0, 0),
        instruction(ADD_IMMEDIATE, 2, 0, 0, -4),
        instruction(CALL, 0, 0, 0, MAP_LOOKUP),
        instruction(JUMP_IF_EQUAL, 0, 0, 4, 0),
        instruction(ATOMIC_ADD, 0, 6, 0, 0),
        instruction(JUMP_IF_NOT_EQUAL, 7, 0, 1, 0),
        instruction(MOVE_IMMEDIATE, 7, 0, 0, 1),
        instruction(ATOMIC_ADD, 0, 7, 8, 0),
        instruction(MOVE_IMMEDIATE, 0, 0, 0, TCX_NEXT),
        instruction(EXIT, 0, 0, 0, 0),
    ]
}
