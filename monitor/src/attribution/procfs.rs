//! Socket tables of /proc: the files that say what sockets there are and who holds them (proc(5)).
//!
//! Parsing is pure; reading is here, too, and gives what can be read.

use crate::model::{Endpoint, ProcessId, ProcessSeen, Protocol};
use crate::procfs::{self, Stat};
use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

/// A file of /proc/net, and what it lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) file: &'static str,
    /// `None` where the local port stands for the protocol (raw sockets).
    pub(super) protocol: Option<Protocol>,
}

const fn table(file: &'static str, protocol: Option<Protocol>) -> Table {
    Table { file, protocol }
}

/// What the kernel's list has, too.
pub(super) const USUAL: [Table; 6] = [
    table("tcp", Some(Protocol::TCP)),
    table("tcp6", Some(Protocol::TCP)),
    table("udp", Some(Protocol::UDP)),
    table("udp6", Some(Protocol::UDP)),
    table("udplite", Some(Protocol::UDPLITE)),
    table("udplite6", Some(Protocol::UDPLITE)),
];
/// Raw sockets.
pub(super) const RAW: [Table; 2] = [table("raw", None), table("raw6", None)];
/// Ping sockets, which the kernel's list does not have.
pub(super) const PING: [Table; 2] =
    [table("icmp", Some(Protocol::ICMP)), table("icmp6", Some(Protocol::ICMPV6))];

/// One socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) protocol: Protocol,
    pub(super) local: Endpoint,
    /// Port 0 and unspecified where it has none.
    pub(super) remote: Endpoint,
    /// As include/net/tcp_states.h numbers them.
    pub(super) state: u8,
    pub(super) inode: u64,
}

/// The sockets of a file's text; lines that are none are left out.
pub(super) fn lines(text: &str, protocol: Option<Protocol>) -> impl Iterator<Item = Line> {
    text.lines().skip(1).filter_map(move |text| line(text, protocol))
}

/// `sl local remote st tx:rx tr:when retrnsmt uid timeout inode ...`
fn line(text: &str, protocol: Option<Protocol>) -> Option<Line> {
    let mut fields = text.split_ascii_whitespace();
    let (local, local_port) = end(fields.nth(1)?)?;
    let (remote, remote_port) = end(fields.next()?)?;
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    let inode = fields.nth(5)?.parse().ok()?;
    let protocol = protocol.or_else(|| Some(Protocol::Ip(u8::try_from(local_port).ok()?)))?;
    let port = |port: u16| protocol.has_ports().then_some(port);
    let local = Endpoint { addr: local, port: port(local_port) };
    let remote = Endpoint { addr: remote, port: port(remote_port) };
    Some(Line { protocol, local, remote, state, inode })
}

/// `0100007F:1F90`: words of the address in the byte order of the host, the port in its own.
fn end(text: &str) -> Option<(IpAddr, u16)> {
    let (addr, port) = text.split_once(':')?;
    let word = |at: usize| Some(u32::from_str_radix(addr.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let addr = match addr.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (index, chunk) in bytes.chunks_mut(4).enumerate() {
                chunk.copy_from_slice(&word(8 * index)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some((addr, u16::from_str_radix(port, 16).ok()?))
}

/// A process that holds sockets.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) seen: ProcessSeen,
    pub(super) inodes: Vec<u64>,
}

/// What one pass over /proc found.
#[derive(Debug, Default)]
pub(super) struct Holders {
    pub(super) processes: Vec<Holder>,
    /// A path to each network namespace that could be told, by its identity (`net:[4026531840]`).
    pub(super) namespaces: HashMap<PathBuf, u32>,
    /// Processes whose descriptors may not be read.
    pub(super) refused: usize,
}

/// Every process with its sockets.
pub(super) fn holders() -> Holders {
    let mut found = Holders::default();
    for pid in procfs::pids() {
        let directory = procfs::directory(pid);
        let Ok(inodes) = procfs::socket_inodes(&directory) else {
            // One that has just ended is not refused.
            found.refused += usize::from(directory.exists());
            continue;
        };
        let inodes: Vec<u64> = inodes.collect();
        if inodes.is_empty() {
            continue;
        }
        if let Ok(namespace) = fs::read_link(procfs::network_namespace(pid)) {
            found.namespaces.entry(namespace).or_insert(pid);
        }
        if let Some(seen) = process(&directory, pid) {
            found.processes.push(Holder { seen, inodes });
        }
    }
    found
}

/// The text of a file of /proc/PID/net; empty where there is none.
pub(super) fn net(pid: &str, table: Table) -> String {
    fs::read_to_string(format!("/proc/{pid}/net/{}", table.file)).unwrap_or_default()
}

fn process(directory: &Path, pid: u32) -> Option<ProcessSeen> {
    let text = fs::read(directory.join("stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let stat = Stat::parse(&text)?;
    let began = stat.started()?;
    let generation = u32::try_from(began.0 >> 20 & 0xffff_ffff).unwrap_or(0);
    let id = ProcessId { pid, generation };
    Some(ProcessSeen { id, comm: stat.comm.into(), start: Some(began), ..ProcessSeen::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As proc(5) shows them, on a little-endian host.
    #[cfg(target_endian = "little")]
    #[test]
    fn lines_of_every_file() {
        let tcp = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            \x20  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100 0 0 10 0\n\
            \x20  1: 0100007F:1F90 0200007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 4243 1 0 20 4 30 10 -1\n\
            \x20  2: 0100007F:1F90 0200007F:C3";
        let found: Vec<Line> = lines(tcp, Some(Protocol::TCP)).collect();
        assert_eq!(found.len(), 2, "the line that is cut short is left out");
        assert_eq!(
            (found[0].local.to_string(), found[0].state, found[0].inode),
            ("127.0.0.1:8080".into(), 10, 4242)
        );
        assert_eq!(found[1].remote.to_string(), "127.0.0.2:50000");
        let mapped = "sl\n 0: 0000000000000000FFFF00000100007F:0050 000080FE00000000FF005450010000FE:0035 01 0:0 0:0 0 0 0 7 1";
        let found: Vec<Line> = lines(mapped, Some(Protocol::UDP)).collect();
        assert_eq!(found[0].local.to_string(), "127.0.0.1:80");
        assert_eq!(found[0].remote.to_string(), "[fe80::5054:ff:fe00:1]:53");
        let raw =
            "sl\n 1: 00000000:0001 00000000:0000 07 00000000:00000000 00:00000000 00000000  0 0 9 2 0 0";
        let found: Vec<Line> = lines(raw, None).collect();
        assert_eq!((found[0].protocol, found[0].local.port), (Protocol::ICMP, None));
        assert_eq!(lines("sl\nnonsense\n 1: x:y 0:0 01\n\n", None).count(), 0);
    }
}
