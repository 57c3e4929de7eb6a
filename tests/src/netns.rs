//! A network namespace of the test's own.
//!
//! Not by `ip netns exec`: that remounts /sys, and with it the cgroup2 mount disappears. A namespace is an open file
//! here; things are run in it by a thread or a child process that enters it first, and it is gone with the last of
//! them.

use rustix::{
    fs::{Mode, OFlags, open},
    thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space},
};
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs, io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{self, Command},
    sync::Arc,
    thread,
};

/// A network namespace, with `lo` up.
#[derive(Clone, Debug)]
pub struct Netns {
    file: Arc<OwnedFd>,
}

/// What a device counted, as `/proc/net/dev` shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceCounters {
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Packets dropped, either way.
    pub dropped: u64,
}

impl DeviceCounters {
    /// What was counted after `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            rx_bytes: self.rx_bytes - earlier.rx_bytes,
            rx_packets: self.rx_packets - earlier.rx_packets,
            tx_bytes: self.tx_bytes - earlier.tx_bytes,
            tx_packets: self.tx_packets - earlier.tx_packets,
            dropped: self.dropped - earlier.dropped,
        }
    }
}

impl Netns {
    /// Makes an empty namespace.
    ///
    /// # Panics
    /// When that is refused (not root).
    #[expect(unsafe_code, reason = "unshare can break what other code believes of its thread")]
    pub fn new() -> Self {
        let made = thread::spawn(|| {
            // SAFETY: CLONE_NEWNET changes nothing but the network namespace of this thread, which ends right here;
            // no descriptor table is unshared.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.expect("a new network namespace");
            open("/proc/thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                .expect("the new network namespace")
        });
        let file = made.join().expect("the thread that makes a network namespace");
        let netns = Self { file: Arc::new(file) };
        netns.quiet();
        netns.ip("link set lo up");
        netns
    }

    /// Runs `work` on a thread inside the namespace. `/proc/thread-self/net` and `/proc/sys/net` are the namespace's
    /// own there; `/proc/self/net` and `/sys/class/net` are not.
    ///
    /// # Panics
    /// When `work` does.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                enter(self.file.as_fd()).expect("enter the network namespace");
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// A command that will run inside the namespace. The namespace must live until it is spawned.
    #[expect(unsafe_code, reason = "pre_exec is the only way to enter a namespace between fork and exec")]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let file = Arc::clone(&self.file);
        // SAFETY: between fork and exec only async-signal-safe calls are allowed; setns is a plain system call, and
        // the closure neither allocates nor locks.
        unsafe { command.pre_exec(move || enter(file.as_fd())) };
        command
    }

    /// Runs `ip` with these words inside the namespace.
    ///
    /// # Panics
    /// When it fails.
    pub fn ip(&self, words: &str) -> String {
        self.system("ip", words)
    }

    /// Runs a system program with these words inside the namespace.
    ///
    /// # Panics
    /// When it fails.
    pub fn system(&self, program: &str, words: &str) -> String {
        let mut command = self.command(program);
        command.args(words.split_whitespace());
        crate::program::output(command)
    }

    /// Writes `/proc/sys/net/<name>` of the namespace.
    ///
    /// # Panics
    /// When there is no such setting.
    pub fn set(&self, name: &str, value: &str) {
        let path = format!("/proc/sys/net/{name}");
        self.run(|| fs::write(&path, value)).unwrap_or_else(|error| panic!("cannot write {path}: {error}"));
    }

    /// Reads `/proc/sys/net/<name>` of the namespace.
    ///
    /// # Panics
    /// When there is no such setting.
    pub fn get(&self, name: &str) -> String {
        let path = format!("/proc/sys/net/{name}");
        let value = self.run(|| fs::read_to_string(&path));
        value.unwrap_or_else(|error| panic!("cannot read {path}: {error}")).trim().to_owned()
    }

    /// What every device of the namespace counted.
    ///
    /// # Panics
    /// When `/proc` does not tell.
    pub fn devices(&self) -> BTreeMap<String, DeviceCounters> {
        let table = self.run(|| fs::read_to_string("/proc/thread-self/net/dev")).expect("the device table");
        table.lines().skip(2).filter_map(device).collect()
    }

    /// A path by which another process of root can open the namespace while this value lives.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", process::id(), self.file.as_raw_fd())
    }

    /// Turns off what IPv6 says by itself on devices that are yet to come.
    fn quiet(&self) {
        for (name, value) in [
            ("accept_ra", "0"),
            ("accept_dad", "0"),
            ("dad_transmits", "0"),
            ("router_solicitations", "0"),
            ("addr_gen_mode", "1"),
        ] {
            self.set(&format!("ipv6/conf/default/{name}"), value);
            self.set(&format!("ipv6/conf/all/{name}"), value);
        }
    }
}

impl Default for Netns {
    fn default() -> Self {
        Self::new()
    }
}

fn enter(file: BorrowedFd<'_>) -> io::Result<()> {
    Ok(move_into_link_name_space(file, Some(LinkNameSpaceType::Network))?)
}

/// One line of `/proc/net/dev`.
fn device(line: &str) -> Option<(String, DeviceCounters)> {
    let (name, numbers) = line.split_once(':')?;
    let numbers: Vec<u64> = numbers.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    let counters = DeviceCounters {
        rx_bytes: numbers[0],
        rx_packets: numbers[1],
        tx_bytes: numbers[8],
        tx_packets: numbers[9],
        dropped: numbers[3] + numbers[11],
    };
    Some((name.trim().to_owned(), counters))
}
