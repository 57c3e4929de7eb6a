//! What packet sockets (AF_PACKET) send: it passes no IP hook, so it is counted where the system call has accepted it.
//!
//! Bytes are those that the call took, link-layer header included where the sender wrote one; a call counts as one
//! packet. Which device takes them is not known here. Receiving is no traffic of its own.

use crate::account::{Amount, active, bump, new_row, overflow, row};
use crate::hook::netns;
use crate::key::Direction;
use crate::maps::{SCOPE, SCOPED, global};
use crate::owner::{Reader, current, introduce, is_kernel, key_of};
use crate::slot::{Slot, zero};
use aya_ebpf::helpers::generated::{
    bpf_get_current_cgroup_id, bpf_get_current_uid_gid, bpf_get_socket_cookie,
};
use monitor_common::{CLAIM_TRANSFER, FlowKey, FlowValue, PACKET_SOCKET, STANDING_FIRM, STANDING_KERNEL};

/// Counts what the current process has just sent. Of a sub-tree only its own processes: a packet socket belongs to no
/// cgroup.
///
/// # Safety
/// `sk` must be a socket that the verifier knows, and the hook must run in the sender's context.
#[inline(always)]
pub unsafe fn sent(sk: *const u8, bytes: u64) {
    if global(&SCOPED) == 1 && SCOPE.current_task_under_cgroup(0) != Ok(true) {
        return;
    }
    let half = active();
    let (mut key, mut value) = (Slot::new(), Slot::new());
    let (key, value) = (zero::<FlowKey>(&mut key), zero::<FlowValue>(&mut value));
    let sender = current(Reader::Tracing);
    let process = key_of(&sender);
    // SAFETY: the caller's.
    key.cookie = unsafe { bpf_get_socket_cookie(sk.cast_mut().cast()) };
    key.ip_version = PACKET_SOCKET;
    key.tgid = process.tgid;
    key.generation = process.generation;
    key.standing = if is_kernel(&sender) { STANDING_KERNEL } else { STANDING_FIRM };
    let amount = Amount::plain(bytes);
    if let Some(row) = row(half, key) {
        return bump(row, Direction::Egress, &amount);
    }
    value.method = CLAIM_TRANSFER;
    // SAFETY: the caller's; helpers without arguments.
    unsafe {
        value.netns = netns(sk);
        value.cgroup = bpf_get_current_cgroup_id();
        value.uid = bpf_get_current_uid_gid() as u32;
    }
    introduce(&sender);
    if !new_row(half, key, value, Direction::Egress, &amount) {
        overflow(half, key, value, Direction::Egress, &amount);
    }
}
