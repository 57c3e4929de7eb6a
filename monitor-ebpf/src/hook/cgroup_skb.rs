//! Counting at the cgroup's packet hooks (kernel/bpf/cgroup.c, `__cgroup_bpf_run_filter_skb`).
//!
//! Egress returns 1 = pass (2 and 3 would signal congestion, 0 drops); ingress returns 1 = pass.

use crate::account::count;
use aya_ebpf::macros::cgroup_skb;
use aya_ebpf::programs::SkBuffContext;

#[cgroup_skb(ingress)]
pub(crate) fn ingress(ctx: SkBuffContext) -> i32 {
    count::<false>(ctx.into());
    1
}

#[cgroup_skb(egress)]
pub(crate) fn egress(ctx: SkBuffContext) -> i32 {
    count::<true>(ctx.into());
    1
}
