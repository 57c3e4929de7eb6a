//! Whether a listener's owner may be copied into the connections that it accepts.
//!
//! The kernel frees the new socket when it cannot copy (net/core/sock.c, `sk_clone_lock`), and monitoring must never cost
//! a connection. So it is not done where it could fail, and where that changes while it is done, it is said.

use crate::model::Degradation;
use rustix::io::pread;
use std::fs::File;
use std::path::Path;

/// `net.core.optmem_max` below which a copy of the owner could fail, bytes.
const OPTMEM_FLOOR: u64 = 8192;
const OPTMEM_MAX: &str = "/proc/sys/net/core/optmem_max";
/// From here on PREEMPT_RT takes the memory from an allocator that may fail at any time (`kmalloc_nolock`).
const FAILING_RT: (u32, u32) = (6, 19);

/// What was decided, and what it stands on.
#[derive(Debug)]
pub(super) struct Clone {
    /// It is done.
    pub(super) on: bool,
    /// Where `net.core.optmem_max` is read, this network namespace's or, below Linux 6.8, the machine's: what is read once it
    /// is open is that of the namespace where it was opened.
    optmem: Option<File>,
}

impl Clone {
    /// Looks at the kernel and its settings.
    pub(super) fn decide(degraded: &mut Vec<Degradation>) -> Self {
        let open = || File::open(OPTMEM_MAX).ok();
        let optmem =
            open().or_else(|| crate::procfs::in_network_namespace(Path::new("/proc/1/ns/net"), open));
        let clone = Self { on: true, optmem };
        let uname = rustix::system::uname();
        let (release, version) = (uname.release().to_string_lossy(), uname.version().to_string_lossy());
        let refusal = clone.optmem().and_then(too_small).or_else(|| fails_at_any_time(&release, &version));
        let on = refusal.is_none();
        degraded.extend(refusal);
        Self { on, ..clone }
    }

    /// What is wrong now and was not when it was decided.
    pub(super) fn look(&self) -> Option<Degradation> {
        let optmem = self.optmem().filter(|optmem| self.on && *optmem < OPTMEM_FLOOR)?;
        Some(Degradation {
            what: "the kernel may refuse some connections while monitor runs".to_owned(),
            why: format!(
                "net.core.optmem_max fell to {optmem} since the start, so copying a listener's owner may fail, and \
                 the connection with it"
            ),
            fix: "sudo sysctl net.core.optmem_max=131072, or restart monitor, which then does without"
                .to_owned(),
        })
    }

    fn optmem(&self) -> Option<u64> {
        let mut text = [0; 24];
        let length = pread(self.optmem.as_ref()?, &mut text, 0).ok()?;
        std::str::from_utf8(text.get(..length)?).ok()?.trim().parse().ok()
    }
}

fn too_small(optmem: u64) -> Option<Degradation> {
    (optmem < OPTMEM_FLOOR).then(|| Degradation {
        what: UNTIL_USED.to_owned(),
        why: format!(
            "net.core.optmem_max is {optmem}, so copying the listener's owner could drop connections"
        ),
        fix: "sudo sysctl net.core.optmem_max=131072, then restart monitor".to_owned(),
    })
}

const UNTIL_USED: &str = "accepted connections have no owner until they are used";

/// By the kernel's release and version as uname(2) has them.
fn fails_at_any_time(release: &str, version: &str) -> Option<Degradation> {
    let mut numbers = release.split(|digit: char| !digit.is_ascii_digit()).map(|digits| digits.parse().ok());
    let release = (numbers.next()??, numbers.next()??);
    let real_time = version.contains("PREEMPT_RT") || version.contains("PREEMPT RT");
    (real_time && release >= FAILING_RT).then(|| Degradation {
        what: UNTIL_USED.to_owned(),
        why: format!(
            "on a real-time kernel from Linux {}.{} on copying the listener's owner may fail for want of memory, and drop \
             connections",
            FAILING_RT.0, FAILING_RT.1
        ),
        fix: "none".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// H4: with PREEMPT_RT the storage comes from `kmalloc_nolock` since 6.19, and a failed clone frees the connection.
    #[test]
    fn real_time_kernels_that_may_fail_do_without() {
        const RT: &str = "#1 SMP PREEMPT_RT @0";
        let refused = |release, version| fails_at_any_time(release, version).is_some();
        for release in ["6.19.0-rt3", "6.20.1", "7.0.0-rc1", "10.1"] {
            assert!(refused(release, RT), "{release}");
            assert!(!refused(release, "#1 SMP PREEMPT_DYNAMIC Debian"), "{release}");
        }
        for release in ["6.18.44", "5.10.0-30-rt-amd64", "6.1", "six"] {
            assert!(!refused(release, RT), "{release}");
        }
        assert!(fails_at_any_time("6.19.0", "#1 SMP PREEMPT RT").is_some());
        assert!(too_small(8191).is_some() && too_small(8192).is_none());
    }

    #[test]
    fn a_setting_that_falls_is_said_only_where_it_matters() {
        let mut file = tempfile::tempfile().unwrap();
        let mut set = |text: &str| {
            file.set_len(0).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, text.as_bytes(), 0).unwrap();
            file.flush().unwrap();
            file.try_clone().unwrap()
        };
        let look = |on, optmem| Clone { on, optmem: Some(optmem) }.look();
        assert_eq!(look(true, set("131072\n")), None);
        assert!(look(true, set("4096\n")).is_some_and(|said| said.why.contains("fell to 4096")));
        assert_eq!(look(false, set("4096\n")), None);
        assert_eq!(look(true, set("")), None);
    }
}
