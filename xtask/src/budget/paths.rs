//! The fast paths: what a packet or a call costs once its socket has an owner and its flow a row.
//!
//! Each is run on the object's own instructions, after the same program has run once before: that makes rows and owners,
//! so nothing here knows how they look. A packet must then add its length and one to something, and nothing else.

use super::machine::{Machine, Trace};
use super::programs::Object;
use anyhow::{Context, Result, ensure};
use monitor_common::Offsets;
use std::mem::offset_of;

/// A path through a program.
pub(super) struct Path {
    pub(super) program: &'static str,
    /// By what it is taken.
    pub(super) by: &'static str,
    event: Event,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Event {
    /// One at a packet hook.
    Packet(Socket),
    /// A call that sends to an address or asks for one.
    Address,
    /// A tracepoint of a socket: what the call returned, and its flags.
    Call(Socket),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Socket {
    Tcp,
    ConnectedUdp,
    UnconnectedUdp,
}

const fn path(program: &'static str, by: &'static str, event: Event) -> Path {
    Path { program, by, event }
}

/// Every path that is counted.
pub(super) const PATHS: &[Path] = &[
    path("egress", "datagram, connected", Event::Packet(Socket::ConnectedUdp)),
    path("egress", "datagram, unconnected", Event::Packet(Socket::UnconnectedUdp)),
    path("egress", "segment", Event::Packet(Socket::Tcp)),
    path("ingress", "datagram, connected", Event::Packet(Socket::ConnectedUdp)),
    path("ingress", "datagram, unconnected", Event::Packet(Socket::UnconnectedUdp)),
    path("ingress", "segment", Event::Packet(Socket::Tcp)),
    path("sock_send_length", "datagram", Event::Call(Socket::ConnectedUdp)),
    path("sock_send_length", "stream", Event::Call(Socket::Tcp)),
    path("sock_recv_length", "datagram", Event::Call(Socket::ConnectedUdp)),
    path("sock_recv_length", "stream", Event::Call(Socket::Tcp)),
    path("tcp_sendmsg_locked", "stream", Event::Call(Socket::Tcp)),
    path("tcp_rcv_space_adjust", "stream", Event::Call(Socket::Tcp)),
    path("sendmsg4", "datagram", Event::Address),
];

/// Bytes of IPv4, UDP and 64 of payload.
const LENGTH: u16 = 92;
/// Where this file's kernel keeps what programs read through BTF: behind `struct bpf_sock`, in one region for all.
const FIELDS: [(usize, u32); 12] = [
    (offset_of!(Offsets, skc_family), 128),
    (offset_of!(Offsets, skc_cookie), 136),
    (offset_of!(Offsets, skc_net), 144),
    (offset_of!(Offsets, net_cookie), 152),
    (offset_of!(Offsets, task_tgid), 160),
    (offset_of!(Offsets, task_group_leader), 168),
    (offset_of!(Offsets, task_start_boottime), 176),
    (offset_of!(Offsets, task_comm), 184),
    (offset_of!(Offsets, task_flags), 200),
    (offset_of!(Offsets, task_pid), 208),
    (offset_of!(Offsets, socket_sk), 216),
    (offset_of!(Offsets, sock_owned), 224),
];

/// Runs a path on an object.
pub(super) fn walk(object: &Object, path: &Path) -> Result<Trace> {
    let doing = || format!("{}: {}", path.program, path.by);
    let mut scene = Scene::new(object, path.event)?;
    let program = object.program(path.program)?;
    let mut run = || -> Result<_> {
        let before = scene.machine.words();
        let trace = scene.machine.run(program, scene.context)?;
        let after = scene.machine.words();
        let changes = after.iter().map(|(at, now)| now.wrapping_sub(before.get(at).copied().unwrap_or(0)));
        let mut changes: Vec<u64> = changes.filter(|change| *change != 0).collect();
        changes.sort_unstable();
        Ok((trace, changes))
    };
    run().with_context(doing)?;
    let (trace, changes) = run().with_context(doing)?;
    let (result, counted) = match path.event {
        Event::Packet(_) => (1, vec![1, LENGTH.into()]),
        Event::Address => (1, Vec::new()),
        Event::Call(_) => (0, Vec::new()),
    };
    ensure!(trace.result == result, "{}: it returns {}", doing(), trace.result);
    ensure!(changes == counted, "{}: it should add {counted:?} and adds {changes:?}", doing());
    Ok(trace)
}

/// One socket with an owner, and the context of the program.
struct Scene<'o> {
    machine: Machine<'o>,
    context: u64,
}

impl<'o> Scene<'o> {
    fn new(object: &'o Object, event: Event) -> Result<Self> {
        let mut machine = booted(object)?;
        let kind = match event {
            Event::Packet(kind) | Event::Call(kind) => kind,
            Event::Address => Socket::UnconnectedUdp,
        };
        let socket = kernel(&mut machine, kind)?;
        // Whoever sent from the socket owns it.
        let call = tracepoint(&mut machine, socket);
        machine.run(object.program("sock_send_length")?, call).context("the claim of the socket")?;
        let context = match event {
            Event::Packet(kind) => packet(&mut machine, kind, socket)?,
            Event::Address => address(&mut machine, socket),
            Event::Call(_) => call,
        };
        Ok(Self { machine, context })
    }
}

/// A machine whose kernel offers everything.
fn booted(object: &Object) -> Result<Machine<'_>> {
    let mut machine = Machine::new(object);
    for (name, value) in [("CLONE", 1_u32), ("TRACING", 1), ("CGROUP_TASK", 1), ("SKB_NETNS", 1)] {
        machine.set_global(name, &value.to_le_bytes())?;
    }
    let mut offsets = Bytes::zero(size_of::<Offsets>());
    for (at, offset) in FIELDS {
        offsets.put(at, offset.to_ne_bytes());
    }
    machine.set_global("OFFSETS", &offsets.0)?;
    Ok(machine)
}

/// Whether reading from a socket that nobody has claimed claims it, while a process holds its lock or while none does.
#[cfg(test)]
pub(super) fn claims_by_reading(object: &Object, held: bool) -> Result<bool> {
    const MAP_UPDATE: u32 = 2;
    let mut machine = booted(object)?;
    let socket = kernel(&mut machine, Socket::Tcp)?;
    if !held {
        let at = FIELDS.iter().find(|(field, _)| *field == offset_of!(Offsets, sock_owned));
        machine.write(socket + u64::from(at.context("a field without a place")?.1), 0)?;
    }
    let call = tracepoint(&mut machine, socket);
    let trace = machine.run(object.program("tcp_rcv_space_adjust")?, call)?;
    Ok(trace.helpers.contains(&MAP_UPDATE))
}

/// The socket, which is the task as well; gives its address.
fn kernel(machine: &mut Machine<'_>, kind: Socket) -> Result<u64> {
    let (stream, datagram, tcp, udp) = (1_u32, 2_u32, 6_u32, 17_u32);
    let (socket_type, protocol) = if kind == Socket::Tcp { (stream, tcp) } else { (datagram, udp) };
    let mut bytes = Bytes::zero(256);
    // struct bpf_sock of linux/bpf.h.
    bytes.put(4, 2_u32.to_ne_bytes());
    bytes.put(8, socket_type.to_ne_bytes());
    bytes.put(12, protocol.to_ne_bytes());
    bytes.put(24, [10, 0, 0, 1]);
    bytes.put(44, 5000_u32.to_ne_bytes());
    if kind != Socket::UnconnectedUdp {
        bytes.put(48, 6000_u16.to_be_bytes());
        bytes.put(52, [10, 0, 0, 2]);
        bytes.put(72, 1_u32.to_ne_bytes());
    }
    let cookie = machine.world.cookie;
    let at = machine.place(bytes.0);
    let field = |wanted: usize| FIELDS.iter().find(|(field, _)| *field == wanted).map(|(_, at)| *at as usize);
    let values = [
        (offset_of!(Offsets, skc_family), 2),
        (offset_of!(Offsets, skc_cookie), cookie),
        (offset_of!(Offsets, skc_net), at),
        (offset_of!(Offsets, net_cookie), 4096),
        (offset_of!(Offsets, task_group_leader), at),
        (offset_of!(Offsets, task_start_boottime), 1 << 30),
        (offset_of!(Offsets, task_comm), u64::from_le_bytes(*b"fastpath")),
        // A process holds the socket's lock.
        (offset_of!(Offsets, sock_owned), 1),
    ];
    for (field, value) in values.map(|(wanted, value)| (field(wanted), value)) {
        machine.write(at + field.context("a field without a place")? as u64, value)?;
    }
    machine.world.task = at;
    machine.world.tcp = machine.place(vec![1; 256]);
    Ok(at)
}

/// `struct __sk_buff` of linux/bpf.h, and the packet.
fn packet(machine: &mut Machine<'_>, kind: Socket, socket: u64) -> Result<u64> {
    let mut wire = Bytes::zero(LENGTH.into());
    wire.put(0, [0x45]);
    wire.put(2, LENGTH.to_be_bytes());
    wire.put(8, [64]);
    wire.put(9, [if kind == Socket::Tcp { 6 } else { 17 }]);
    wire.put(12, [10, 0, 0, 1]);
    wire.put(16, [10, 0, 0, 2]);
    wire.put(20, 5000_u16.to_be_bytes());
    wire.put(22, 6000_u16.to_be_bytes());
    // The length of a header of TCP, in words.
    wire.put(32, [0x50]);
    machine.world.packet = machine.place(wire.0);
    let start = u32::try_from(machine.world.packet).context("an address of 32 bits")?;
    let mut bytes = Bytes::zero(192);
    bytes.put(0, u32::from(LENGTH).to_ne_bytes());
    bytes.put(16, 0x0800_u16.to_be_bytes());
    bytes.put(40, 2_u32.to_ne_bytes());
    bytes.put(76, start.to_ne_bytes());
    bytes.put(80, (start + u32::from(LENGTH)).to_ne_bytes());
    bytes.put(164, 1_u32.to_ne_bytes());
    bytes.put(168, socket.to_ne_bytes());
    Ok(machine.place(bytes.0))
}

/// `struct bpf_sock_addr` of linux/bpf.h.
fn address(machine: &mut Machine<'_>, socket: u64) -> u64 {
    let mut bytes = Bytes::zero(72);
    bytes.put(0, 2_u32.to_ne_bytes());
    bytes.put(4, [10, 0, 0, 2]);
    bytes.put(24, 6000_u16.to_be_bytes());
    bytes.put(28, 2_u32.to_ne_bytes());
    bytes.put(32, 2_u32.to_ne_bytes());
    bytes.put(36, 17_u32.to_ne_bytes());
    bytes.put(64, socket.to_ne_bytes());
    machine.place(bytes.0)
}

/// The arguments of a tracepoint: the socket, what was moved, the flags of the call.
fn tracepoint(machine: &mut Machine<'_>, socket: u64) -> u64 {
    machine.place([socket, 64, 0].iter().flat_map(|word| word.to_le_bytes()).collect())
}

/// A structure of the kernel, by offsets.
struct Bytes(Vec<u8>);

impl Bytes {
    fn zero(length: usize) -> Self {
        Self(vec![0; length])
    }

    fn put<const N: usize>(&mut self, at: usize, value: [u8; N]) {
        self.0[at..at + N].copy_from_slice(&value);
    }
}
