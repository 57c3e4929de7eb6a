//! Privileges: may this process load kernel programs? Asked before the screen is taken, so that the answer is one sentence.
//!
//! It only reads /proc/self/status (capabilities(7)) and which user namespace this is; the kernel has the last word at load.

/// The capabilities that the eBPF backend cannot do without: name and bit of linux/capability.h.
///
/// Without `cap_perfmon` bytes are counted and have no owner ([`can_trace`]).
const NEEDED: [(&str, u32); 2] = [("cap_bpf", 39), ("cap_net_admin", 12)];
/// Holds every one of them before Linux 5.8, but for `cap_net_admin`.
const CAP_SYS_ADMIN: u32 = 21;

/// Whether the programs that find owners are allowed: they follow kernel pointers, which takes `cap_perfmon`.
pub(crate) fn can_trace(status: &str) -> bool {
    const CAP_PERFMON: u32 = 38;
    effective(status).is_none_or(|caps| caps >> CAP_PERFMON & 1 == 1 || caps >> CAP_SYS_ADMIN & 1 == 1)
}

fn effective(status: &str) -> Option<u64> {
    let hex = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(hex.trim(), 16).ok()
}

/// The second of the four is the effective one.
fn is_root(status: &str) -> bool {
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    ids.and_then(|ids| ids.split_ascii_whitespace().nth(1)) == Some("0")
}

/// The inode of the machine's own user namespace (`PROC_USER_INIT_INO` of linux/proc_ns.h).
const INITIAL_USER_NAMESPACE: u64 = 0xEFFF_FFFD;

/// One sentence where this process is in another user namespace than the machine's own, whatever capabilities it has there:
/// the kernel asks for those of the machine.
pub(crate) fn outside(user_namespace: Option<u64>, program: &str) -> Option<String> {
    user_namespace.filter(|inode| *inode != INITIAL_USER_NAMESPACE)?;
    Some(format!(
        "counting in the kernel needs the machine's own privileges, and this is a user namespace (a rootless container, \
         unshare -U), where root has none of them: run `sudo {program}` outside of it"
    ))
}

/// The inode of this process's user namespace.
pub(crate) fn user_namespace() -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self/ns/user").ok().map(|namespace| namespace.ino())
}

/// `None` where everything is there; else one sentence with the fix.
pub(crate) fn missing(status: &str, program: &str) -> Option<String> {
    let effective = effective(status)?;
    let has = |bit: u32| effective >> bit & 1 == 1;
    let missing: Vec<&str> = NEEDED
        .iter()
        .filter(|(name, bit)| !has(*bit) && (*name == "cap_net_admin" || !has(CAP_SYS_ADMIN)))
        .map(|(name, _)| *name)
        .collect();
    if missing.is_empty() {
        return None;
    }
    if is_root(status) {
        return Some(format!(
            "counting in the kernel needs privileges that this root lacks ({}), as in a container: give them to it with \
             `--cap-add BPF --cap-add NET_ADMIN --cap-add PERFMON`, or run `sudo {program}` on the host",
            missing.join(", ")
        ));
    }
    Some(format!(
        "counting in the kernel needs privileges that this process lacks ({}): run `sudo {program}`, or once \
         `sudo setcap cap_bpf,cap_net_admin,cap_perfmon,cap_sys_ptrace,cap_dac_read_search+ep $(command -v {program})`",
        missing.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::{INITIAL_USER_NAMESPACE, can_trace, missing, outside};

    fn status(caps: u64) -> String {
        format!("Name:\tx\nCapInh:\t0000000000000000\nCapEff:\t{caps:016x}\n")
    }

    #[test]
    fn root_lacks_nothing() {
        assert_eq!(missing(&status(0x1ff_ffff_ffff), "monitor"), None);
        assert_eq!(missing(&status(1 << 39 | 1 << 12), "monitor"), None);
        assert_eq!(
            missing(&status(1 << 21 | 1 << 12), "monitor"),
            None,
            "before cap_bpf there was cap_sys_admin"
        );
    }

    #[test]
    fn a_user_is_told_what_and_how() {
        let sentence = missing(&status(0), "monitor").unwrap();
        assert!(sentence.contains("(cap_bpf, cap_net_admin)"), "{sentence}");
        assert!(sentence.contains("sudo monitor"), "{sentence}");
        assert!(!sentence.contains('\n'));
    }

    #[test]
    fn root_of_a_container_is_told_what_to_give_it() {
        let status = format!("Uid:\t0\t0\t0\t0\n{}", status(1 << 12));
        let sentence = missing(&status, "monitor").unwrap();
        assert!(sentence.contains("(cap_bpf)") && sentence.contains("--cap-add BPF"), "{sentence}");
        let other = status.replace("Uid:\t0\t0", "Uid:\t0\t1000");
        assert!(missing(&other, "monitor").unwrap().contains("setcap"));
    }

    #[test]
    fn a_user_namespace_is_told_apart_by_its_inode() {
        assert_eq!(outside(Some(INITIAL_USER_NAMESPACE), "monitor"), None);
        assert_eq!(outside(None, "monitor"), None, "without /proc it is left to the kernel");
        assert!(outside(Some(4_026_532_888), "monitor").unwrap().contains("user namespace"));
    }

    #[test]
    fn owners_take_one_more() {
        assert!(can_trace(&status(1 << 38)) && can_trace(&status(1 << 21)) && can_trace(""));
        assert!(!can_trace(&status(1 << 39 | 1 << 12)));
    }

    #[test]
    fn an_unreadable_status_leaves_it_to_the_kernel() {
        assert_eq!(missing("", "monitor"), None);
        assert_eq!(missing("CapEff:\tzz\n", "monitor"), None);
    }
}
