//! Thread roles: every thread of the program, by name, what it runs, when it ends and what it needs; and the one place where
//! threads are started. It decides nothing else: what a thread does is its module's.

use std::io;
use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};

/// What a thread is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The loop.
    Engine,
    /// The engine's end.
    Ending,
    /// The terminal's end.
    Hangup,
    /// The kernel's types.
    Btf,
    /// Programs to the verifier.
    Verify,
    /// Names of processes.
    Identity,
    /// Names of hosts.
    Hosts,
    /// Names of users.
    Users,
    /// Hashes of executables.
    Hashes,
    /// Packets of a device.
    Capture,
    /// A recording.
    Recording,
    /// Samples of sockets.
    Sockets,
    /// Files of the caller.
    Caller,
    /// Another network namespace.
    Namespace,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    /// Whose it is.
    pub role: Role,
    /// Its name for the system, cut to 15 bytes there.
    pub name: &'static str,
    /// What it runs.
    #[cfg_attr(not(test), expect(dead_code, reason = "for ARCHITECTURE.md, which a test compares"))]
    pub runs: &'static str,
    /// When it ends.
    #[cfg_attr(not(test), expect(dead_code, reason = "as above"))]
    pub ends: &'static str,
    /// What it needs beyond what any thread may: capabilities(7), or rights of its own.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "as above, until threads give up what they do not need")
    )]
    pub needs: &'static str,
}

const fn spec(
    role: Role,
    name: &'static str,
    runs: &'static str,
    ends: &'static str,
    needs: &'static str,
) -> Spec {
    Spec { role, name, runs, ends, needs }
}

/// Every role; that of the main thread, which the system starts, is not among them.
pub(crate) const ROLES: [Spec; 14] = [
    spec(
        Role::Engine,
        "engine",
        "source, resolvers, table, signals, on a tokio current-thread runtime",
        "after the last snapshot",
        "bpf, perfmon, net_admin; sys_ptrace for /proc",
    ),
    spec(
        Role::Ending,
        "ending",
        "waits for the engine's end; after a signal, ends a program whose output nobody takes",
        "with the program",
        "nothing",
    ),
    spec(
        Role::Hangup,
        "hangup",
        "waits for the terminal to go away, where there is a screen",
        "with the program",
        "nothing",
    ),
    spec(
        Role::Btf,
        "btf",
        "reads the kernel's BTF while aya does",
        "before the programs are loaded",
        "nothing",
    ),
    spec(
        Role::Verify,
        "verify",
        "up to three that hand programs to the verifier",
        "before the programs are attached",
        "bpf, perfmon, net_admin",
    ),
    spec(
        Role::Identity,
        "identity",
        "names processes: /proc, cgroups, state files, packages. The engine waits for it up to 25 ms a batch",
        "with the program",
        "sys_ptrace, dac_read_search",
    ),
    spec(
        Role::Hosts,
        "dns",
        "up to four that ask name servers; started with the first question",
        "with the program",
        "the network",
    ),
    spec(
        Role::Users,
        "users",
        "asks user directories; started with the first question",
        "with the program",
        "the network, where users are kept there",
    ),
    spec(
        Role::Hashes,
        "sha256",
        "has files hashed; started with the first question",
        "with the program",
        "nothing; the process that it asks reads any file",
    ),
    spec(
        Role::Capture,
        "pcap",
        "`pcap:DEVICE`: captures, dissects, adds up into its own table, which a poll swaps",
        "when it is told to, after what the buffer holds",
        "net_raw",
    ),
    spec(
        Role::Recording,
        "recording",
        "reads a file or a pipe of packets, an interval for each that the engine asks for",
        "when the engine closes the pipe that cancels a waiting read, or with the program; nobody waits for it",
        "nothing; the file is open",
    ),
    spec(
        Role::Sockets,
        "sockets",
        "samples of who holds which socket; runs lsof where that is asked for",
        "after the sample that it is taking",
        "sys_ptrace, net_admin; sys_admin for other namespaces",
    ),
    spec(
        Role::Caller,
        "caller",
        "opens, reads, writes a file with the rights of who started the program, where those are not the program's",
        "with the file; waited for",
        "setuid and setgid, to take on his rights",
    ),
    spec(
        Role::Namespace,
        "netns",
        "enters a network namespace to ask there for the name of an interface or the sockets",
        "after the answer; joined at once",
        "sys_admin",
    ),
];

impl Role {
    fn name(self) -> &'static str {
        // Every role has a row: a test counts them.
        ROLES.iter().find(|spec| spec.role == self).map_or("", |spec| spec.name)
    }
}

/// Starts a thread.
///
/// # Errors
/// Where the system has none to give.
pub(crate) fn spawn<T, F>(role: Role, work: F) -> io::Result<JoinHandle<T>>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    spawn_named(role.name().to_owned(), work)
}

/// Starts one of several threads of a role, `of` something.
///
/// # Errors
/// As [`spawn`].
pub(crate) fn spawn_of<T, F>(role: Role, of: &str, work: F) -> io::Result<JoinHandle<T>>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    spawn_named(format!("{}:{of}", role.name()), work)
}

fn spawn_named<T, F>(name: String, work: F) -> io::Result<JoinHandle<T>>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    Builder::new().name(name).spawn(work)
}

/// Starts a thread that ends before its scope does.
///
/// # Errors
/// As [`spawn`].
pub(crate) fn spawn_scoped<'scope, T, F>(
    role: Role,
    scope: &'scope Scope<'scope, '_>,
    work: F,
) -> io::Result<ScopedJoinHandle<'scope, T>>
where
    T: Send + 'scope,
    F: FnOnce() -> T + Send + 'scope,
{
    Builder::new().name(role.name().to_owned()).spawn_scoped(scope, work)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// The table of ARCHITECTURE.md is made from this one.
    #[test]
    fn docs_have_the_table_of_threads() {
        let rows: Vec<_> = ROLES
            .iter()
            .map(|spec| format!("| `{}` | {} | {} | {} |\n", spec.name, spec.runs, spec.ends, spec.needs))
            .collect();
        let rows = rows.concat();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ARCHITECTURE.md");
        let page = std::fs::read_to_string(path).unwrap();
        assert!(page.contains(&rows), "the table of ARCHITECTURE.md is to be\n{rows}");
    }

    #[test]
    fn each_role_has_one_row_and_a_name_of_its_own() {
        for (number, spec) in ROLES.iter().enumerate() {
            assert_eq!(spec.role as usize, number, "in the order of the roles, and all of them");
            assert_eq!(ROLES.iter().filter(|other| other.name == spec.name).count(), 1);
        }
        assert_eq!(Role::Namespace as usize + 1, ROLES.len());
        let name = || std::thread::current().name().map(str::to_owned);
        assert_eq!(spawn_of(Role::Capture, "lo", name).unwrap().join().unwrap().as_deref(), Some("pcap:lo"));
    }
}
