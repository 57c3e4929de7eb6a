//! Packets that pass the hook on the way out twice: as their socket sent them, on the interface of a tunnel, and as the
//! outside of that, which the kernel sends in the name of the same socket (IPsec by an interface of its own).
//!
//! The kernel programs mark what is the outside of something. With IPsec by policy it is all that passes, and the bytes are
//! the process's; here the two are told apart. Pure.

use crate::model::{Delta, Method, SocketId, Standing, Unplaced, Unseen};
use monitor_common as abi;
use std::collections::{HashMap, HashSet};

/// Sockets that are remembered; beyond it all are forgotten and learned again.
const MOST: usize = 65_536;
/// UDP, and the port of ESP in it (RFC 3948).
const UDP: u8 = 17;
const ESP_IN_UDP: u16 = 4500;

/// Which packets are the outside of one that was counted.
#[derive(Debug, Default)]
pub(super) struct Outer {
    /// Sockets whose packets were seen twice, by cookie.
    twice: HashSet<u64>,
}

impl Outer {
    /// Makes of rows what they are: the outside of what was counted already is no process's. `outsides` are the places of
    /// the marked ones, ascending.
    pub(super) fn judge(&mut self, rows: &mut [Delta], outsides: &[usize]) {
        if outsides.is_empty() {
            return;
        }
        self.learn(rows, outsides);
        for at in outsides {
            let delta = &mut rows[*at];
            if self.twice.contains(&delta.flow.socket.0) {
                delta.flow.socket = SocketId(0);
                delta.standing = Standing::Unseen(Unseen::Encapsulation);
                (delta.owner, delta.method, delta.uid, delta.tcp) = (None, Method::None, None, None);
            }
        }
    }

    /// A socket that sent by one interface what it made, and by another the outside of something, sent the same twice.
    fn learn(&mut self, rows: &[Delta], outsides: &[usize]) {
        let flows = outsides.iter().map(|at| rows[*at].flow);
        let new: HashMap<u64, u32> = flows
            .filter(|flow| !self.twice.contains(&flow.socket.0))
            .map(|flow| (flow.socket.0, flow.ifindex))
            .collect();
        if new.is_empty() {
            return;
        }
        if self.twice.len() + new.len() > MOST {
            self.twice.clear();
        }
        self.twice.extend(rows.iter().enumerate().filter_map(|(at, delta)| {
            let socket = delta.flow.socket.0;
            let elsewhere = *new.get(&socket)? != delta.flow.ifindex;
            let made = delta.counters.tx_skbs > 0 && outsides.binary_search(&at).is_err();
            (elsewhere && made).then_some(socket)
        }));
    }

    /// What found the flow table full, where the socket is not known any more: the outside is nobody's once any socket's
    /// was.
    pub(super) fn full(&self, key: &abi::OverflowKey, unplaced: Unplaced) -> Unplaced {
        if key.outer == 0 || self.twice.is_empty() {
            return unplaced;
        }
        Unplaced { owner: None, standing: Standing::Unseen(Unseen::Encapsulation), ..unplaced }
    }

    /// Whether a tuple on the wire is that of a flow: not where it is the outside of what another interface carried.
    pub(super) fn joins(&self, key: &abi::WireKey, wire: &abi::Tuple) -> bool {
        let own = &key.socket;
        let wrapped = wire.protocol != own.protocol
            || (wire.protocol == UDP && wire.remote_port == ESP_IN_UDP && own.remote_port != ESP_IN_UDP);
        !(wrapped && self.twice.contains(&key.cookie))
    }
}

#[cfg(test)]
mod tests {
    use super::super::decode::{Rows, Sight, unplaced};
    use super::*;
    use crate::model::ProcessId;

    const TUNNEL: u32 = 3;
    const DEVICE: u32 = 2;

    fn row(cookie: u64, ifindex: u32, outer: u8) -> (abi::FlowKey, abi::FlowValue) {
        let key = abi::FlowKey {
            cookie,
            ifindex,
            outer,
            tgid: 42,
            protocol: 6,
            ip_version: 4,
            ..abi::FlowKey::default()
        };
        let counters = abi::Counters { tx_skbs: 1, tx_skb_bytes: 100, ..abi::Counters::default() };
        (
            key,
            abi::FlowValue { counters, socket_type: 1, method: abi::CLAIM_SEND, ..abi::FlowValue::default() },
        )
    }

    /// What becomes of each row of a half.
    fn judged(outer: &mut Outer, rows: &[(abi::FlowKey, abi::FlowValue)]) -> Vec<(Standing, Option<u32>)> {
        let (mut deltas, netns) = (Vec::new(), HashMap::new());
        let mut into = Rows::new(&mut deltas, &netns, Sight::default());
        into.extend(rows.iter().copied());
        let outsides = into.outsides;
        outer.judge(&mut deltas, &outsides);
        let judge = |delta: &Delta| {
            assert_eq!((delta.counters.tx_bytes, delta.counters.tx_packets), (100, 1));
            (delta.standing, delta.owner.map(|ProcessId { pid, .. }| pid))
        };
        deltas.iter().map(judge).collect()
    }

    /// What becomes of bytes of a process that found the flow table full.
    fn full(outer: &Outer, mark: u8) -> Standing {
        let key = abi::OverflowKey { outer: mark, tgid: 42, ..abi::OverflowKey::default() };
        outer.full(&key, unplaced(&key, &abi::FlowValue::default())).standing
    }

    #[test]
    fn the_outside_of_what_a_tunnel_carried_is_no_processs() {
        let mut outer = Outer::default();
        let outside = (Standing::Unseen(Unseen::Encapsulation), None);
        let sent = (Standing::Firm, Some(42));
        assert_eq!(judged(&mut outer, &[row(7, DEVICE, 1), row(7, TUNNEL, 0)]), [outside, sent]);
        // Later alone: what it is the outside of was in the half before.
        assert_eq!(judged(&mut outer, &[row(7, DEVICE, 1)]), [outside]);
        assert_eq!(full(&outer, 1), outside.0);
        assert_eq!(full(&outer, 0), sent.0);
    }

    #[test]
    fn with_ipsec_by_policy_the_outside_is_all_there_is() {
        let mut outer = Outer::default();
        let sent = (Standing::Firm, Some(42));
        assert_eq!(judged(&mut outer, &[row(7, DEVICE, 1), row(8, TUNNEL, 0)]), [sent, sent]);
        // Another peer of the same socket, in the clear by the same interface.
        assert_eq!(judged(&mut outer, &[row(7, DEVICE, 1), row(7, DEVICE, 0)]), [sent, sent]);
        assert_eq!(full(&outer, 1), sent.0);
    }

    #[test]
    fn a_tuple_is_joined_unless_it_is_the_outside_of_a_tunnel() {
        let mut outer = Outer::default();
        let own = abi::Tuple { protocol: UDP, remote_port: 53, ..abi::Tuple::default() };
        let key = abi::WireKey { cookie: 7, socket: own };
        let translated = abi::Tuple { remote_port: 5353, ..own };
        let (esp, in_udp) = (abi::Tuple { protocol: 50, ..own }, abi::Tuple { remote_port: 4500, ..own });
        assert!([translated, esp, in_udp].iter().all(|wire| outer.joins(&key, wire)));
        judged(&mut outer, &[row(7, DEVICE, 1), row(7, TUNNEL, 0)]);
        assert!(outer.joins(&key, &translated));
        assert!(![esp, in_udp].iter().any(|wire| outer.joins(&key, wire)));
    }
}
