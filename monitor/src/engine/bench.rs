//! What the benchmark of ticks drives: a table full of flows, and a feed with consumers that take what they get.

use super::feed::{Feed, Latest};
use super::{Snapshots, clock};
use crate::model::{
    Batch, Counters, Delta, Endpoint, FlowId, Method, Mono, ProcessId, Protocol, SocketId, Standing, Wall,
};
use crate::table::{FlowTable, TableConfig};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Flows of one process.
const FLOWS_EACH: usize = 16;

/// A table and its consumers. No interface: it changes with the benchmark.
pub struct Ticks {
    table: FlowTable,
    feed: Feed,
    every: Vec<Snapshots>,
    latest: Vec<Latest>,
    batch: Batch,
    now: Mono,
}

impl Ticks {
    /// All `flows` move something in every tick; `every` consumers take every snapshot, `latest` ones never look.
    pub fn new(flows: usize, every: usize, latest: usize) -> Self {
        let mut feed = Feed::default();
        let now = clock::now();
        Self {
            table: FlowTable::new(TableConfig::bounded(flows), now),
            every: (0..every).map(|_| feed.every()).collect(),
            latest: (0..latest).map(|_| feed.latest()).collect(),
            feed,
            batch: Batch { deltas: (0..flows).map(delta).collect(), ..Batch::default() },
            now,
        }
    }

    /// One second: a batch is folded, and everybody gets a snapshot.
    pub fn tick(&mut self) {
        self.batch.from = self.now;
        self.now = self.now.plus(Duration::from_secs(1));
        self.batch.to = self.now;
        self.feed.show(&self.batch);
        self.table.ingest(&self.batch);
        self.table.advance(self.now);
        if self.feed.wants() {
            let snapshot = self.table.snapshot(self.now, Wall::EPOCH, false);
            if self.feed.publish(snapshot) {
                self.table.begin_interval(self.now);
            }
        }
        for snapshots in &mut self.every {
            let _ = snapshots.try_recv();
        }
    }

    /// Snapshots that wait to be looked at.
    pub fn waiting(&mut self) -> usize {
        self.latest.iter_mut().filter_map(Latest::read).count()
    }
}

fn delta(number: usize) -> Delta {
    let low = number as u64;
    let end = |port| Endpoint { addr: IpAddr::V6(Ipv6Addr::from_bits(low.into())), port: Some(port) };
    let flow = FlowId {
        socket: SocketId(low + 1),
        protocol: Protocol::TCP,
        local: end(443),
        remote: end(50_000),
        netns: 1,
        ifindex: 2,
    };
    let owner = ProcessId { pid: u32::try_from(number / FLOWS_EACH + 1).unwrap_or(u32::MAX), generation: 1 };
    let counters =
        Counters { rx_bytes: 1500, rx_packets: 1, rx_skb_bytes: 1500, rx_skbs: 1, ..Counters::default() };
    Delta {
        flow,
        owner: Some(owner),
        standing: Standing::Firm,
        method: Method::Transfer,
        counters,
        uid: None,
        cgroup: 0,
        tcp: None,
    }
}
