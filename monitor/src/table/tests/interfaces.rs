//! Interfaces that come and go: sums are kept, entries are not.

use super::super::interfaces::MOST;
use super::*;
use crate::model::{DeviceRule, InterfaceLedger, InterfaceReport};

const NETNS: u64 = 1;

fn on(ifindex: u32, socket: u64, netns: u64) -> FlowId {
    FlowId { netns, ifindex, ..flow(socket, 1) }
}

fn report(ifindex: u32, rx: u64, gone: bool) -> InterfaceReport {
    InterfaceReport {
        netns: NETNS,
        ifindex,
        name: format!("veth{ifindex}").into(),
        rule: DeviceRule::default(),
        rx_device: rx,
        tx_device: 0,
        carries: vec![(ifindex, 0)],
        tap: None,
        gone,
    }
}

fn batch(reports: Vec<InterfaceReport>, deltas: Vec<Delta>) -> Batch {
    Batch { deltas, reports, ..Batch::default() }
}

/// (ifindex, device, attributed, pending, not at sockets), received.
type Told = (u32, Option<u64>, u64, u64, Option<i64>);

fn rows(snapshot: &Snapshot) -> Vec<Told> {
    let row = |one: &Arc<InterfaceLedger>| {
        (one.ifindex, one.rx.device, one.rx.attributed, one.rx.pending, one.rx.not_at_sockets)
    };
    snapshot.ledger.interfaces.iter().map(row).collect()
}

fn moved(ifindex: u32, socket: u64, bytes: u64) -> Delta {
    delta(on(ifindex, socket, NETNS), Standing::Firm, Some(WORKER), bytes)
}

#[test]
fn what_is_gone_is_shown_once_more_and_then_folds_with_its_sums() {
    let mut lab = Lab::new();
    lab.step(batch(vec![report(2, 0, false), report(3, 0, false)], vec![]));
    lab.step(batch(vec![report(2, 12, false), report(3, 30, false)], vec![moved(2, 1, 10), moved(3, 2, 30)]));
    assert_eq!(rows(&lab.shot()), [(2, Some(12), 10, 0, Some(2)), (3, Some(30), 30, 0, Some(0))]);
    lab.step(batch(vec![report(2, 20, true)], vec![moved(2, 1, 5)]));
    assert_eq!(rows(&lab.shot()), [(2, Some(20), 15, 0, Some(5)), (3, Some(30), 30, 0, Some(0))]);
    let snapshot = lab.wait(1).shot();
    assert_eq!(rows(&snapshot), [(3, Some(30), 30, 0, Some(0)), (0, Some(20), 15, 0, Some(5))]);
    let last = snapshot.ledger.interfaces.last().unwrap();
    assert_eq!((&*last.name, last.netns, last.changed), ("(gone)", NETNS, snapshot.sequence));
    assert_eq!(snapshot.ledger.interfaces[0].changed, 2 - 1, "nothing of it changed since");
}

#[test]
fn six_thousand_that_come_and_go_leave_one_entry() {
    let mut lab = Lab::new();
    for round in 0..60 {
        let index = |one: u32| 10 + round * 100 + one;
        let deltas = (0..100).map(|one| moved(index(one), u64::from(index(one)), 7)).collect();
        lab.step(batch((0..100).map(|one| report(index(one), 9, false)).collect(), deltas));
        lab.shot();
        lab.step(batch((0..100).map(|one| report(index(one), 9, true)).collect(), vec![]));
        lab.shot();
    }
    assert_eq!(rows(&lab.shot()), [(0, Some(9 * 6_000), 7 * 6_000, 0, Some(2 * 6_000))]);
    let sizes = lab.table.carried.sizes();
    assert_eq!(sizes[..3], [0, 0, 0], "{sizes:?}");
}

#[test]
fn interfaces_of_others_are_bounded_and_their_sums_are_kept() {
    let mut lab = Lab::new();
    let others = 20_000;
    for netns in 0..others {
        let id = on(2, netns + 1, 1_000 + netns);
        lab.deltas(vec![delta(id, Standing::Firm, Some(WORKER), 3)]);
        if netns % 500 == 0 {
            lab.shot();
        }
    }
    lab.shot();
    let snapshot = lab.shot();
    assert!(snapshot.ledger.interfaces.len() <= MOST + 1);
    assert!(lab.table.carried.sizes()[0] <= MOST);
    let all: u64 = snapshot.ledger.interfaces.iter().map(|one| one.rx.attributed).sum();
    assert_eq!(all, 3 * others, "every byte");
}

#[test]
fn what_waits_for_its_owner_keeps_its_interface_until_it_has_one() {
    let mut lab = Lab::new();
    let waits = delta(on(2, 1, NETNS), Standing::Unclaimed, None, 8);
    lab.step(batch(vec![report(2, 8, false)], vec![waits]));
    lab.step(batch(vec![report(2, 8, true)], vec![]));
    lab.shot();
    assert_eq!(rows(&lab.shot()), [(2, Some(8), 0, 8, Some(0))]);
    lab.claims(vec![claim(1, WORKER, Method::Send, 3.0, 3.0)]);
    assert_eq!(rows(&lab.shot()), [(2, Some(8), 8, 0, Some(0))]);
    assert_eq!(rows(&lab.shot()), [(0, Some(8), 8, 0, Some(0))]);
}

#[test]
fn an_index_that_is_used_again_at_once_goes_on_from_what_it_was() {
    let mut lab = Lab::new();
    lab.step(batch(vec![report(2, 8, false)], vec![moved(2, 1, 8)]));
    lab.step(batch(vec![report(2, 8, true), report(2, 3, false)], vec![moved(2, 2, 3)]));
    assert_eq!(rows(&lab.shot()), [(2, Some(11), 11, 0, Some(0))]);
    assert_eq!(rows(&lab.shot()).len(), 1);
}

#[test]
fn a_vlan_that_goes_stays_in_what_its_device_carried() {
    let mut lab = Lab::new();
    let below = |carries| InterfaceReport { carries, ..report(2, 10, false) };
    let vlan = |gone| report(3, 10, gone);
    lab.step(batch(vec![below(vec![(2, 0), (3, 0)]), vlan(false)], vec![moved(3, 1, 10)]));
    lab.shot();
    lab.step(batch(vec![below(vec![(2, 0)]), vlan(true)], vec![]));
    for last in [3, 0] {
        assert_eq!(rows(&lab.shot()), [(2, Some(10), 10, 0, Some(0)), (last, Some(10), 10, 0, Some(0))]);
    }
    lab.step(batch(vec![InterfaceReport { rx_device: 14, ..below(vec![(2, 0)]) }], vec![moved(2, 2, 4)]));
    assert_eq!(rows(&lab.shot())[0], (2, Some(14), 14, 0, Some(0)));
}

#[test]
fn ten_thousand_that_are_there_change_only_where_something_did() {
    let mut lab = Lab::new();
    lab.step(batch((1..=10_000).map(|index| report(index, 5, false)).collect(), vec![]));
    lab.shot();
    lab.step(batch(vec![report(7, 6, false)], vec![moved(9, 1, 1)]));
    let snapshot = lab.shot();
    assert_eq!(snapshot.ledger.interfaces.len(), 10_000);
    let changed = snapshot.ledger.interfaces.iter().filter(|one| one.changed == snapshot.sequence);
    assert_eq!(changed.map(|one| one.ifindex).collect::<Vec<_>>(), [7, 9]);
}
