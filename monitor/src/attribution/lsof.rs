//! Sockets and their holders by lsof(8): on macOS, and wherever it is asked for.
//!
//! Its output for programs is read (`-F`): a letter and a value on each line; `p` begins a process, `f` a file of it. How it is
//! run is `run`'s.

use super::matching::{Held, Role, Sockets};
use super::run::{Failed, Program};
use super::{Sample, Sampler};
use crate::model::{Degradation, Endpoint, Method, ProcessId, ProcessSeen, Protocol};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long it may take.
const LIMIT: Duration = Duration::from_secs(5);
/// What it may print: some 300,000 sockets.
const MOST: usize = 64 << 20;
/// No names (-n, -P), Internet sockets (-i), no warnings (-w), whole commands (+c 0), and the fields:
/// process, command, user, descriptor, type, protocol, state and ends.
const ARGUMENTS: &[&str] = &["-n", "-P", "-w", "-i", "+c", "0", "-FpcuftPTn"];
/// Where systems keep it; NixOS has a place of its own.
const PLACES: [&str; 5] =
    ["/usr/bin/lsof", "/usr/sbin/lsof", "/bin/lsof", "/sbin/lsof", "/run/current-system/sw/bin/lsof"];

/// Sockets and their holders, sampled by lsof(8).
#[derive(Debug)]
pub(super) struct Lsof {
    program: Program,
}

impl Default for Lsof {
    fn default() -> Self {
        Self { program: Program::new(PLACES.map(PathBuf::from).into(), ARGUMENTS, LIMIT, MOST) }
    }
}

impl Lsof {
    /// Another program in its place.
    #[cfg(test)]
    pub(super) fn at(program: &std::path::Path, limit: Duration) -> Self {
        Self { program: Program::new(vec![program.into()], ARGUMENTS, limit, MOST) }
    }
}

impl Sampler for Lsof {
    fn sample(&mut self) -> Sample {
        let lost = |why: String, fix: &str| {
            let what = "no new flow gets an owner".to_owned();
            vec![Degradation { what, why, fix: fix.to_owned() }]
        };
        match self.program.run() {
            Err(failed) => {
                let fix = match failed {
                    Failed::Missing(_) => {
                        "install lsof; it is looked for in /usr/bin, /usr/sbin, /bin and /sbin"
                    }
                    Failed::Late(_) | Failed::Stuck => "find out what it waits for: lsof -n -P -i",
                };
                let degraded = lost(format!("lsof {failed}"), fix);
                Sample { sockets: Sockets::of(Method::Lsof), degraded }
            }
            Ok(output) => {
                let (sockets, understood) = parse(&output);
                // Nothing at all is what it prints where there is no socket.
                let degraded = if understood || output.is_empty() {
                    Vec::new()
                } else {
                    lost("what lsof printed is not its output".to_owned(), "run lsof -n -P -i and look")
                };
                Sample { sockets, degraded }
            }
        }
    }
}

/// One file, as far as its lines were read.
#[derive(Debug, Default)]
struct Lines<'o> {
    protocol: Option<Protocol>,
    v6: bool,
    state: &'o str,
    name: Option<&'o str>,
}

/// Reads the output. False where no line was one of a process. What was cut off in the middle is left out.
pub(super) fn parse(output: &[u8]) -> (Sockets, bool) {
    let text = String::from_utf8_lossy(output);
    let mut sockets = Sockets::of(Method::Lsof);
    let mut process: Option<ProcessSeen> = None;
    let mut lines = Lines::default();
    let mut understood = false;
    let end = if text.ends_with('\n') { "" } else { text.rsplit('\n').next().unwrap_or_default() };
    for line in text[..text.len() - end.len()].lines() {
        let mut chars = line.chars();
        let Some(field) = chars.next() else { continue };
        let value = chars.as_str();
        match field {
            'p' => {
                close(&mut sockets, process.as_ref(), &mut lines);
                process = value.parse().ok().map(|pid| ProcessSeen {
                    id: ProcessId { pid, generation: 0 },
                    ..ProcessSeen::default()
                });
                understood |= process.is_some();
            }
            'f' => close(&mut sockets, process.as_ref(), &mut lines),
            'c' => {
                if let Some(process) = &mut process {
                    process.comm = Arc::from(unescape(value));
                }
            }
            'u' => {
                if let Some(process) = &mut process {
                    process.uid = value.parse().ok();
                }
            }
            't' => lines.v6 = value == "IPv6",
            'P' => lines.protocol = protocol(value),
            'T' => {
                if let Some(state) = value.strip_prefix("ST=") {
                    lines.state = state;
                }
            }
            'n' => lines.name = Some(value),
            _ => {}
        }
    }
    close(&mut sockets, process.as_ref(), &mut lines);
    (sockets, understood)
}

/// A file is over: it is added where it is a socket with ends.
fn close(sockets: &mut Sockets, process: Option<&ProcessSeen>, lines: &mut Lines<'_>) {
    let Lines { protocol, v6, state, name } = std::mem::take(lines);
    let (Some(process), Some(protocol), Some(name)) = (process, protocol, name) else { return };
    let (local, remote) = name.split_once("->").map_or((name, None), |(local, remote)| (local, Some(remote)));
    let Some(local) = end(local, v6, protocol) else { return };
    let role = match remote.map(|remote| end(remote, v6, protocol)) {
        Some(Some(remote)) => Role::Connected(remote),
        Some(None) => return,
        None if protocol == Protocol::TCP && state == "LISTEN" => Role::Listening,
        // Bound and no more, or closed: nothing comes of it.
        None if protocol == Protocol::TCP => return,
        None => Role::Open,
    };
    sockets.add(&Held { protocol, local, role, holder: process.id, here: true });
    sockets.add_process(process.clone());
}

fn protocol(name: &str) -> Option<Protocol> {
    Some(match name {
        "TCP" => Protocol::TCP,
        "UDP" => Protocol::UDP,
        "UDPLITE" => Protocol::UDPLITE,
        "SCTP" => Protocol::SCTP,
        "ICMP" => Protocol::ICMP,
        "ICMPV6" => Protocol::ICMPV6,
        _ => return None,
    })
}

/// `10.0.0.1:80`, `[::1]:80`, `[fe80::1%en0]:80`, `*:80`; a port of `*` is none.
fn end(text: &str, v6: bool, protocol: Protocol) -> Option<Endpoint> {
    let (addr, port) = text.rsplit_once(':')?;
    let addr = match addr.strip_prefix('[').and_then(|addr| addr.strip_suffix(']')).unwrap_or(addr) {
        "*" if v6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        addr => addr.split('%').next()?.parse().ok()?,
    };
    let port = port.parse().ok();
    if port.is_none() && protocol.has_ports() {
        return None;
    }
    Some(Endpoint { addr, port: port.filter(|_| protocol.has_ports()) })
}

/// A command as it is: lsof writes `\x20` for a space and `\t` for a tab.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = escaped(rest) {
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The next byte that is meant, and what follows it.
fn escaped(text: &[u8]) -> Option<(u8, &[u8])> {
    let hex = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    match text {
        [b'\\', b'x', high, low, after @ ..] => match hex(&[*high, *low]) {
            Some(byte) => Some((byte, after)),
            None => Some((b'\\', &text[1..])),
        },
        [b'\\', letter @ (b'b' | b'f' | b'n' | b'r' | b't'), after @ ..] => {
            let byte = match letter {
                b'b' => 8,
                b'f' => 12,
                b'n' => b'\n',
                b'r' => b'\r',
                _ => b'\t',
            };
            Some((byte, after))
        }
        [first, after @ ..] => Some((*first, after)),
        [] => None,
    }
}
