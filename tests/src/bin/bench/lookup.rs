//! What one look at the owner of a socket costs in a packet hook.
//!
//! Kernel time of two programs is compared that differ only in how often they look: once, and seventeen times. Both run
//! on the received packets of the same sockets, in the storage map of the running monitor; the difference, divided by
//! sixteen, is one look, free of what counting costs. All but the first find the owner in the cache, so this is a lower
//! bound for a machine with very many sockets.

use crate::{
    cost::Watched,
    datagrams::Flood,
    hooks::{CALL, MOVE, MOVE_IMMEDIATE, Programs, allow, attach, instruction},
    sample::Samples,
};
use monitor_tests::bpf::{self, Kind, Packets};
use std::{
    os::fd::{AsRawFd, OwnedFd},
    time::Duration,
};

const FEW: u16 = 1;
const MANY: u16 = 17;

/// Kernel time per run of a program that does nothing, while this flood runs.
pub(crate) fn nothing(flood: &mut Flood, time: Duration) -> f64 {
    let _counting = bpf::count_runs().expect("the kernel counts runs of programs");
    measure(flood, time, &allow())
}

/// CPU time of a datagram with a program that does nothing at both packet hooks: what any use of them costs.
pub(crate) fn hooked(flood: &mut Flood, time: Duration) -> f64 {
    let _hooked = Programs::empty(&flood.cgroup);
    flood.run(time).nanoseconds
}

/// Adds the cost of a look.
pub(crate) fn cost(flood: &mut Flood, monitor: &Watched, time: Duration, samples: &mut Samples) {
    let mut maps = bpf::held_by(monitor.pid()).into_iter().filter(|(kind, _)| *kind == Kind::Map);
    let owners = maps.find_map(|(_, id)| bpf::map_named(id, "OWNERS").expect("the map is there"));
    let owners = owners.expect("monitor has its map of owners");
    let _counting = bpf::count_runs().expect("the kernel counts runs of programs");
    let few = measure(flood, time, &looking(&owners, FEW));
    let many = measure(flood, time, &looking(&owners, MANY));
    samples.add("one look at the owner of a socket", "ns", (many - few) / f64::from(MANY - FEW));
}

fn measure(flood: &mut Flood, time: Duration, instructions: &[u64]) -> f64 {
    let program = bpf::load_packet_filter(instructions).expect("the kernel takes the program");
    let link = attach(&program, &flood.cgroup, Packets::Received);
    flood.run(time);
    drop(link);
    let runs = bpf::runs_of(&program).expect("the program is loaded");
    assert!(runs.count > 0, "the program did not run");
    runs.nanoseconds as f64 / runs.count as f64
}

/// sk = bpf_sk_fullsock(skb->sk); then `times` bpf_sk_storage_get(map, sk, NULL, 0); return 1
fn looking(map: &OwnedFd, times: u16) -> Vec<u64> {
    const LOAD_8: u8 = 0x79;
    const LOAD_MAP: u8 = 0x18;
    const IF_ZERO: u8 = 0x15;
    const SKB_SK: i16 = 168;
    const SK_FULLSOCK: i32 = 95;
    const SK_STORAGE_GET: i32 = 107;
    const MAP_BY_FD: u8 = 1;
    let look = [
        instruction(LOAD_MAP, 1, MAP_BY_FD, 0, map.as_raw_fd()),
        0,
        instruction(MOVE, 2, 7, 0, 0),
        instruction(MOVE_IMMEDIATE, 3, 0, 0, 0),
        instruction(MOVE_IMMEDIATE, 4, 0, 0, 0),
        instruction(CALL, 0, 0, 0, SK_STORAGE_GET),
    ];
    let body: Vec<u64> = (0..times).flat_map(|_| look).collect();
    let over_body = i16::try_from(body.len()).expect("a short program");
    let mut code = vec![
        instruction(LOAD_8, 1, 1, SKB_SK, 0),
        instruction(IF_ZERO, 1, 0, over_body + 3, 0),
        instruction(CALL, 0, 0, 0, SK_FULLSOCK),
        instruction(IF_ZERO, 0, 0, over_body + 1, 0),
        instruction(MOVE, 7, 0, 0, 0),
    ];
    code.extend(body);
    code.extend(allow());
    code
}
