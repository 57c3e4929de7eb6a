//! Where the members of kernel structures are: the one list of what the programs read. Userspace looks each up in the
//! running kernel's BTF.

/// One list: a field of [`Offsets`] and the member of a kernel structure (or a member of that member) that it is the offset
/// of. The fields, their order as words, and what is looked up come from it.
macro_rules! offsets {
    ($($(#[$doc:meta])* $name:ident: $structure:ident . $($member:ident).+;)*) => {
        /// Kernel structure offsets that the programs read, from the running kernel's BTF; 0 = not known, do not read. Set by
        /// userspace in the object's read-only data before load, so the verifier sees constants.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Offsets {
            $(
                #[doc = concat!("`", stringify!($structure) $(, ".", stringify!($member))+, "`.")]
                $(#[$doc])*
                pub $name: u32,
            )*
        }

        impl Offsets {
            /// None is known.
            pub const ZERO: Self = Self { $($name: 0),* };
            /// The structures that they are in, some of them several times.
            pub const STRUCTURES: [&str; size_of::<Self>() / 4] = [$(stringify!($structure)),*];

            /// Looks each up: `offset` is asked with a structure, its member, and that member's member, if any, and so on.
            #[must_use]
            pub fn find(offset: impl Fn(&str, &[&str]) -> Option<u32>) -> Self {
                Self { $($name: offset(stringify!($structure), &[$(stringify!($member)),+]).unwrap_or(0)),* }
            }

            /// As the words that they lie as.
            #[must_use]
            pub const fn words(&self) -> [u32; size_of::<Self>() / 4] {
                [$(self.$name),*]
            }
        }
    };
}
offsets! {
    skc_family: sock_common.skc_family;
    socket_sk: socket.sk;
    task_tgid: task_struct.tgid;
    task_group_leader: task_struct.group_leader;
    task_start_boottime: task_struct.start_boottime;
    task_comm: task_struct.comm;
    task_flags: task_struct.flags;
    skc_cookie: sock_common.skc_cookie;
    /// A `possible_net_t`: a structure of nothing but the pointer.
    skc_net: sock_common.skc_net;
    net_cookie: net.net_cookie;
    task_pid: task_struct.pid;
    task_real_parent: task_struct.real_parent;
    task_signal: task_struct.signal;
    signal_live: signal_struct.live;
    task_nsproxy: task_struct.nsproxy;
    nsproxy_net: nsproxy.net_ns;
    net_ns: net.ns;
    ns_inum: ns_common.inum;
    task_mm: task_struct.mm;
    mm_arg_start: mm_struct.arg_start;
    mm_arg_end: mm_struct.arg_end;
    binprm_file: linux_binprm.file;
    binprm_exec: linux_binprm.exec;
    file_inode: file.f_inode;
    inode_ino: inode.i_ino;
    inode_sb: inode.i_sb;
    sb_dev: super_block.s_dev;
    sock_owned: sock.sk_lock.owned;
}
