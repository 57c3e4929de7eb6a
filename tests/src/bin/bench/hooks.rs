//! What runs at the hooks while something is measured: nothing, two programs that do nothing, the least that counts flows,
//! or `monitor`.

use aya::{
    Ebpf,
    programs::{CgroupAttachMode, CgroupSkb, CgroupSkbAttachType},
};
use monitor_tests::{
    bpf::{self, Packets},
    cgroup::Cgroup,
    monitor::{Monitor, Report},
    program, wait,
};
use rustix::fs::{Mode, OFlags, open};
use std::{env, fs::File, os::fd::OwnedFd, path::PathBuf, process::Command};

/// What is at the hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hooks {
    /// Nothing of ours.
    Bare,
    /// A program that does nothing, at both packet hooks.
    Empty,
    /// `floor.c`.
    Floor,
    /// `monitor` as it is started without options.
    Monitor,
    /// `monitor` without the hooks of system calls that name the address of a datagram.
    WithoutAddresses,
}

/// Whose packets are looked at.
#[derive(Clone, Copy)]
pub(crate) enum Scope<'c> {
    /// Of the sockets of one cgroup.
    Cgroup(&'c Cgroup),
    /// Of all that are measured, which are in this cgroup, and for `monitor` of the whole machine.
    All(&'c Cgroup),
}

/// Hooks that something is attached to; nothing is when this is dropped.
pub(crate) enum Attached {
    Nothing,
    Programs { _programs: Programs },
    Floor { _floor: Ebpf },
    Monitor(Monitor),
}

/// The object that clang made of `floor.c`, where there is a clang.
fn floor_object() -> Option<PathBuf> {
    env::var_os("FLOOR_OBJECT").map(PathBuf::from)
}

impl Hooks {
    /// Whether it can be had here.
    pub(crate) fn is_there(self) -> bool {
        match self {
            Self::Floor => floor_object().is_some(),
            Self::Bare | Self::Empty | Self::Monitor | Self::WithoutAddresses => true,
        }
    }

    /// Attaches it. `only` is a filter: `monitor` adds up what passes it.
    pub(crate) fn attach(self, scope: Scope<'_>, only: &str) -> Attached {
        let (Scope::Cgroup(cgroup) | Scope::All(cgroup)) = scope;
        match self {
            Self::Bare => Attached::Nothing,
            Self::Empty => Attached::Programs { _programs: Programs::empty(cgroup) },
            Self::Floor => Attached::Floor { _floor: floor(cgroup) },
            Self::Monitor => Attached::Monitor(monitor(scope, only, &[])),
            Self::WithoutAddresses => {
                let refused = ["sendmsg4", "sendmsg6", "recvmsg4", "recvmsg6"];
                Attached::Monitor(monitor(scope, only, &refused))
            }
        }
    }
}

impl Attached {
    /// Ends it; what `monitor` said, if it was that.
    pub(crate) fn end(self) -> Option<Report> {
        match self {
            Self::Nothing | Self::Programs { .. } | Self::Floor { .. } => None,
            Self::Monitor(monitor) => Some(monitor.stop()),
        }
    }
}

fn monitor(scope: Scope<'_>, only: &str, refused: &[&str]) -> Monitor {
    let mut command = Command::new(program::monitor());
    // A row of each list: what is printed is not what is measured.
    command.args(["--json", "--no-dns", "--lines", "1", "--filter", only]);
    command.args(refused.iter().flat_map(|name| ["--refuse", name]));
    if let Scope::Cgroup(cgroup) = scope {
        command.arg("--cgroup").arg(cgroup.path());
    }
    let monitor = Monitor::spawn(command);
    // Before its first tick has ended: that would be a second for each of many.
    wait::until("monitor counts", || bpf::counts_packets(monitor.pid()).then_some(()));
    monitor
}

fn floor(cgroup: &Cgroup) -> Ebpf {
    let path = floor_object().expect("whoever asks for it has looked whether it is there");
    let mut floor = Ebpf::load_file(&path).expect("the object of floor.c");
    let directory = File::open(cgroup.path()).expect("the cgroup");
    for (name, hook) in [("egress", CgroupSkbAttachType::Egress), ("ingress", CgroupSkbAttachType::Ingress)] {
        let program = floor.program_mut(name).expect("floor.c has both programs");
        let program: &mut CgroupSkb =
            program.try_into().expect("floor.c has programs for packets of a cgroup");
        program.load().expect("the kernel takes the programs of floor.c");
        program.attach(&directory, hook, CgroupAttachMode::default()).expect("attach floor.c");
    }
    floor
}

/// Programs at both packet hooks of a cgroup, until this is dropped.
pub(crate) struct Programs {
    _program: OwnedFd,
    _links: [OwnedFd; 2],
}

impl Programs {
    /// One that does nothing.
    pub(crate) fn empty(cgroup: &Cgroup) -> Self {
        let program = bpf::load_packet_filter(&allow()).expect("the kernel takes the program");
        let links = [Packets::Received, Packets::Sent].map(|packets| attach(&program, cgroup, packets));
        Self { _program: program, _links: links }
    }
}

/// Programs that run on packets of a cgroup's sockets already: somebody else's.
pub(crate) fn others(cgroup: &Cgroup) -> u32 {
    let directory = directory(cgroup);
    [Packets::Received, Packets::Sent]
        .map(|packets| bpf::count_attached(&directory, packets).expect("the kernel lists programs"))
        .iter()
        .sum()
}

/// Attaches a packet filter, until the link is closed.
pub(crate) fn attach(program: &OwnedFd, cgroup: &Cgroup, packets: Packets) -> OwnedFd {
    bpf::attach_to_cgroup(program, &directory(cgroup), packets).expect("attach to the cgroup")
}

fn directory(cgroup: &Cgroup) -> OwnedFd {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    open(cgroup.path(), flags, Mode::empty()).expect("the cgroup")
}

/// One instruction: code, destination, source, offset, immediate.
pub(crate) fn instruction(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> u64 {
    let registers = destination | source << 4;
    u64::from(code)
        | u64::from(registers) << 8
        | u64::from(offset.cast_unsigned()) << 16
        | u64::from(immediate.cast_unsigned()) << 32
}

pub(crate) const MOVE_IMMEDIATE: u8 = 0xb7;
pub(crate) const MOVE: u8 = 0xbf;
pub(crate) const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

/// return 1
pub(crate) fn allow() -> Vec<u64> {
    vec![instruction(MOVE_IMMEDIATE, 0, 0, 0, 1), instruction(EXIT, 0, 0, 0, 0)]
}
