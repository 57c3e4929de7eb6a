//! The programs: thin entries that hand over to `account` and `owner`. Each names the kernel function it relies on.

mod cgroup_skb;
mod interface;
mod iter;
mod sock;
mod sock_addr;
mod tracing;
