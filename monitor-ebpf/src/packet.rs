//! What packet sockets (AF_PACKET) send: it passes no IP hook, so it is counted where the system call has accepted it.
//!
//! Bytes are those that the call took, link-layer header included where the sender wrote one; a call counts as one
//! packet. Which device takes them is not known here. Receiving is no traffic of its own.

use crate::account::{Amount, active, bump, new_row, overflow, row};
use crate::helper;
use crate::key::Direction;
use crate::maps::{SCOPE, SCOPED, global};
use crate::mem::{Slot, zero};
use crate::owner::{Claimant, Reader, introduce};
use crate::sk::TracedSock;
use monitor_common::{CLAIM_TRANSFER, FlowKey, FlowValue, PACKET_SOCKET, STANDING_FIRM, STANDING_KERNEL};

/// Counts what the current process has just sent. Of a sub-tree only its own processes: a packet socket belongs to no
/// cgroup. For hooks that run in the sender's context.
#[inline(always)]
pub(crate) fn sent(sk: TracedSock, bytes: u64) {
    if global(&SCOPED) == 1 && SCOPE.current_task_under_cgroup(0) != Ok(true) {
        return;
    }
    let half = active();
    let (mut key, mut value) = (Slot::new(), Slot::new());
    let (key, value) = (zero::<FlowKey>(&mut key), zero::<FlowValue>(&mut value));
    let sender = Claimant::current(Reader::Tracing);
    let process = sender.key();
    key.cookie = sk.sock().cookie();
    key.ip_version = PACKET_SOCKET;
    key.tgid = process.tgid;
    key.generation = process.generation;
    key.standing = if sender.is_kernel() { STANDING_KERNEL } else { STANDING_FIRM };
    let amount = Amount::plain(bytes);
    if let Some(row) = row(half, key) {
        return bump(row, Direction::Egress, &amount);
    }
    value.method = CLAIM_TRANSFER;
    value.netns = sk.netns_cookie();
    value.cgroup = helper::cgroup();
    value.uid = helper::uid_gid() as u32;
    introduce(&sender);
    if !new_row(half, key, value, Direction::Egress, &amount) {
        overflow(half, key, value, Direction::Egress, &amount);
    }
}
