//! What must hold for every run of `monitor`, whatever moved: the books balance.

use crate::counters::Counters;
use crate::{
    json::{Object, counters, field, number, plus, sum},
    monitor::Report,
    netns::DeviceCounters,
    veth::ETHERNET,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// A process of the output: its pid and start, or, for the bytes of no process, what they wait for.
type Holder = (Option<u64>, String);

/// Checks every object of a run: the ledger adds up to the totals, the processes (each as it was last listed, for an
/// object lists only those with traffic) add up to the totals, and no counter but that of `pending` falls; in the last
/// object, which lists everything, the processes and the flows listed there do, with what the ledger says has no flow.
///
/// # Panics
/// When the books do not balance.
pub fn balance(report: &Report) {
    let mut latest: BTreeMap<Holder, Counters> = BTreeMap::new();
    for (number, object) in report.objects.iter().enumerate() {
        ledger(object);
        // What waits may leave, and is not listed while it only waits.
        let listed = |row: &Value| holder(row).1 == "pending";
        if object.processes().iter().any(listed) || waiting(object) == 0 {
            latest.retain(|(_, name), _| name != "pending");
        }
        for process in object.processes() {
            let (holder, now) = (holder(process), counters(process));
            let before = latest.insert(holder.clone(), now).unwrap_or_default();
            assert!(monotone(before, now), "{holder:?} fell from {before:?} to {now:?} in object {number}");
        }
        let known = latest.iter().filter(|((_, name), _)| name != "pending").map(|(_, counters)| *counters);
        if waiting(object) > 0 && !object.processes().iter().any(listed) {
            // Some of what waits may have left, and how much waits is in the ledger alone.
            let (settled, totals) = (known.fold(Counters::default(), plus), object.totals());
            let [rx, tx] =
                ["rx", "tx"].map(|side| crate::json::number(field(&object["ledger"], side), "pending"));
            let all = [settled.rx_bytes + rx, settled.tx_bytes + tx];
            let expected = [totals.rx_bytes, totals.tx_bytes];
            assert_eq!(all, expected, "processes and what waits (left), totals (right) in object {number}");
            continue;
        }
        let total = latest.values().copied().fold(Counters::default(), plus);
        assert_eq!(
            total,
            object.totals(),
            "processes (left), totals (right) in object {number}: {latest:#?}"
        );
    }
    let last = report.last();
    assert_eq!(sum(last.processes()), last.totals(), "processes (left), totals (right): {:#}", last.0);
    let flows = sum(last.flows());
    let without = ["rx", "tx"].map(|side| number(field(&last["ledger"], side), "overflow"));
    if without == [0, 0] {
        assert_eq!(flows, last.totals(), "flows (left), totals (right): {:#}", last.0);
    }
    let (placed, totals) = ([flows.rx_bytes, flows.tx_bytes], last.totals());
    let all = [placed[0] + without[0], placed[1] + without[1]];
    assert_eq!(
        all,
        [totals.rx_bytes, totals.tx_bytes],
        "flows and overflow (left), totals (right): {:#}",
        last.0
    );
}

/// Checks that everything that an interface of a test carried is in the flows of that interface, by the rule of the
/// devices: one Ethernet header for each buffer of the stack.
///
/// # Panics
/// When it is not, to the byte.
pub fn as_the_stack_carried(object: &Object, interface: &str, device: DeviceCounters) {
    let seen = sum(object.flows_on(interface));
    let seen = DeviceCounters {
        rx_bytes: seen.rx_skb_bytes + ETHERNET * seen.rx_skbs,
        rx_packets: seen.rx_skbs,
        tx_bytes: seen.tx_skb_bytes + ETHERNET * seen.tx_skbs,
        tx_packets: seen.tx_skbs,
        dropped: 0,
    };
    assert_eq!(seen, device, "monitor (left), {interface} (right): {:#}", object.0);
}

/// Checks the same where no offload hides the wire from the device: one Ethernet header for each packet.
///
/// # Panics
/// When it is not, to the byte.
pub fn as_the_wire_carried(object: &Object, interface: &str, device: DeviceCounters) {
    let seen = sum(object.flows_on(interface));
    let seen = DeviceCounters {
        rx_bytes: seen.rx_bytes + ETHERNET * seen.rx_packets,
        rx_packets: seen.rx_packets,
        tx_bytes: seen.tx_bytes + ETHERNET * seen.tx_packets,
        tx_packets: seen.tx_packets,
        dropped: 0,
    };
    assert_eq!(seen, device, "monitor (left), {interface} (right): {:#}", object.0);
}

/// Counters of `packets` datagrams of `bytes` of IP each, received and sent, none of them a super-packet.
pub fn datagrams(received: u64, sent: u64, bytes: u64) -> Counters {
    Counters {
        rx_bytes: received * bytes,
        tx_bytes: sent * bytes,
        rx_packets: received,
        tx_packets: sent,
        rx_skb_bytes: received * bytes,
        tx_skb_bytes: sent * bytes,
        rx_skbs: received,
        tx_skbs: sent,
    }
}

fn ledger(object: &Object) {
    const PARTS: [&str; 5] = ["attributed", "kernel", "pending", "ambiguous", "unknown"];
    let totals = object.totals();
    for (direction, total) in [("rx", totals.rx_bytes), ("tx", totals.tx_bytes)] {
        let side = field(&object["ledger"], direction);
        // What no socket saw is counted where interfaces are tapped; else it is null.
        let unseen = field(side, "forwarded").as_u64().unwrap_or(0);
        let parts = PARTS.iter().map(|part| number(side, part)).sum::<u64>() + unseen;
        let counted = number(side, "counted");
        assert_eq!(
            (parts, counted),
            (total, total),
            "parts and counted of {direction} (left): {:#}",
            object.0
        );
    }
}

fn waiting(object: &Object) -> u64 {
    ["rx", "tx"].iter().map(|direction| number(field(&object["ledger"], direction), "pending")).sum()
}

fn holder(process: &Value) -> Holder {
    let pid = field(process, "pid").as_u64();
    let name = if pid.is_some() {
        field(process, "start")
    } else {
        field(field(process, "attribution"), "confidence")
    };
    (pid, name.as_str().unwrap_or_default().to_owned())
}

fn monotone(before: Counters, after: Counters) -> bool {
    let all = |c: Counters| {
        [
            c.rx_bytes,
            c.tx_bytes,
            c.rx_packets,
            c.tx_packets,
            c.rx_skb_bytes,
            c.tx_skb_bytes,
            c.rx_skbs,
            c.tx_skbs,
        ]
    };
    all(before).into_iter().zip(all(after)).all(|(before, after)| before <= after)
}
