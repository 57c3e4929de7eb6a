//! The few uses of bpf(2) that the tests need, without a library between them and the kernel.

#![expect(unsafe_code, reason = "bpf(2) has no safe wrapper")]

use std::{
    collections::BTreeSet,
    fs, io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

const MAP_CREATE: libc::c_int = 0;
const MAP_LOOKUP: libc::c_int = 1;
const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_DETACH: libc::c_int = 9;
const PROG_GET_NEXT_ID: libc::c_int = 11;
const MAP_GET_NEXT_ID: libc::c_int = 12;
const PROG_GET_FD_BY_ID: libc::c_int = 13;
const MAP_GET_FD_BY_ID: libc::c_int = 14;
const OBJ_GET_INFO: libc::c_int = 15;
const PROG_QUERY: libc::c_int = 16;
const LINK_CREATE: libc::c_int = 28;
const LINK_GET_FD_BY_ID: libc::c_int = 30;
const LINK_GET_NEXT_ID: libc::c_int = 31;
const ENABLE_STATS: libc::c_int = 32;
const LINK_DETACH: libc::c_int = 34;

/// Maps that a program can use, at most, as far as the tests look.
const PROGRAM_MAPS: usize = 64;

/// A kind of kernel object with an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A program.
    Program,
    /// A map.
    Map,
    /// A link.
    Link,
}

/// A kernel object.
pub type Id = (Kind, u32);

/// Calls bpf(2) with an attribute block in the layout of `union bpf_attr`.
fn call(command: libc::c_int, attributes: &mut [u32]) -> io::Result<RawFd> {
    let size = size_of_val(attributes);
    // SAFETY: the block is valid for its size, and every caller puts only pointers into it that are valid for what the
    // command does with them and that outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_mut_ptr(), size) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(RawFd::try_from(result).unwrap_or(-1)) }
}

fn call_for_fd(command: libc::c_int, attributes: &mut [u32]) -> io::Result<OwnedFd> {
    let fd = call(command, attributes)?;
    // SAFETY: this command returned a new descriptor that nobody else has seen.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The two halves of a pointer, as a little-endian attribute block has them.
fn halves<T>(pointer: *const T) -> [u32; 2] {
    let address = pointer.addr() as u64;
    [(address & 0xffff_ffff) as u32, (address >> 32) as u32]
}

fn number(fd: &OwnedFd) -> u32 {
    u32::try_from(fd.as_raw_fd()).expect("a descriptor is not negative")
}

/// Makes an array of one element of two u64.
pub(crate) fn array_of_two() -> io::Result<OwnedFd> {
    const ARRAY: u32 = 2;
    call_for_fd(MAP_CREATE, &mut [ARRAY, 4, 16, 1, 0])
}

/// Reads that element.
pub(crate) fn read_two(map: &OwnedFd) -> io::Result<[u64; 2]> {
    let key = 0_u32;
    let mut value = [0_u64; 2];
    let (key, value_at) = (halves(&raw const key), halves(&raw mut value));
    call(MAP_LOOKUP, &mut [number(map), 0, key[0], key[1], value_at[0], value_at[1], 0, 0])?;
    Ok(value)
}

/// Loads a traffic-control classifier.
pub(crate) fn load_classifier(instructions: &[u64]) -> io::Result<OwnedFd> {
    const SCHED_CLS: u32 = 3;
    load(SCHED_CLS, instructions)
}

/// Loads a program for the packets of a cgroup.
///
/// # Errors
/// When the kernel refuses it; the verifier's words are in the error.
pub fn load_packet_filter(instructions: &[u64]) -> io::Result<OwnedFd> {
    const CGROUP_SKB: u32 = 8;
    load(CGROUP_SKB, instructions)
}

fn load(kind: u32, instructions: &[u64]) -> io::Result<OwnedFd> {
    let mut log = vec![0_u8; 65536];
    let (code, license) = (halves(instructions.as_ptr()), halves(c"GPL".as_ptr()));
    let log_at = halves(log.as_mut_ptr());
    let count = u32::try_from(instructions.len()).expect("a short program");
    let mut attributes =
        [kind, count, code[0], code[1], license[0], license[1], 1, 65536, log_at[0], log_at[1]];
    call_for_fd(PROG_LOAD, &mut attributes).map_err(|error| {
        let text = String::from_utf8_lossy(&log);
        io::Error::other(format!("{error}: {}", text.trim_end_matches('\0')))
    })
}

/// Which packets of a cgroup's sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packets {
    /// Those that arrive.
    Received,
    /// Those that leave.
    Sent,
}

impl Packets {
    /// `BPF_CGROUP_INET_INGRESS` and `BPF_CGROUP_INET_EGRESS`.
    fn hook(self) -> u32 {
        match self {
            Self::Received => 0,
            Self::Sent => 1,
        }
    }
}

/// Attaches a packet filter to a cgroup, until the link is closed.
///
/// # Errors
/// When the kernel refuses.
pub fn attach_to_cgroup(program: &OwnedFd, cgroup: &OwnedFd, packets: Packets) -> io::Result<OwnedFd> {
    call_for_fd(LINK_CREATE, &mut [number(program), number(cgroup), packets.hook(), 0])
}

/// Attaches a packet filter to a cgroup in the old way, for itself alone: until it is detached or the cgroup is gone.
///
/// # Errors
/// When the kernel refuses.
pub fn attach_alone(program: &OwnedFd, cgroup: &OwnedFd, packets: Packets) -> io::Result<()> {
    call(PROG_ATTACH, &mut [number(cgroup), number(program), packets.hook(), 0]).map(|_| ())
}

/// Undoes [`attach_alone`].
///
/// # Errors
/// When the kernel refuses.
pub fn detach_alone(cgroup: &OwnedFd, packets: Packets) -> io::Result<()> {
    call(PROG_DETACH, &mut [number(cgroup), 0, packets.hook(), 0]).map(|_| ())
}

/// Detaches a program from its cgroup by the id of its link, whoever holds it, as `bpftool link detach` does.
///
/// # Errors
/// When the kernel refuses.
pub fn detach_link(id: u32) -> io::Result<()> {
    let link = call_for_fd(LINK_GET_FD_BY_ID, &mut [id, 0, 0])?;
    call(LINK_DETACH, &mut [number(&link)]).map(|_| ())
}

/// The link of a process to these packets of a cgroup.
///
/// # Panics
/// When it has none, or its descriptors cannot be read.
pub fn link_to(pid: u32, packets: Packets) -> u32 {
    let open = fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("the descriptors of a process that runs");
    let texts = open.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
    let field = |text: &str, name: &str| -> Option<u32> {
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    };
    let is_wanted =
        |text: &String| text.contains("cgroup_id:") && field(text, "attach_type:") == Some(packets.hook());
    texts.filter(is_wanted).find_map(|text| field(&text, "link_id:")).expect("a link to the packets")
}

/// The id of a program that is open.
///
/// # Errors
/// When the kernel does not tell.
pub fn id_of(program: &OwnedFd) -> io::Result<u32> {
    let about: [u32; 2] = object_info(program)?;
    Ok(about[1])
}

/// Every program, map and link that there is.
///
/// # Panics
/// When the kernel does not tell.
pub fn all() -> BTreeSet<Id> {
    let mut all = BTreeSet::new();
    for kind in [Kind::Program, Kind::Map, Kind::Link] {
        let mut last = 0;
        while let Some(id) = next(kind, last) {
            all.insert((kind, id));
            last = id;
        }
    }
    all
}

/// How many programs run on these packets of a cgroup's sockets, those of the cgroups above it included.
///
/// # Errors
/// When the kernel does not tell.
pub fn count_attached(cgroup: &OwnedFd, packets: Packets) -> io::Result<u32> {
    const EFFECTIVE: u32 = 1;
    const COUNT: usize = 6;
    let mut attributes = [number(cgroup), packets.hook(), EFFECTIVE, 0, 0, 0, 0, 0];
    call(PROG_QUERY, &mut attributes)?;
    Ok(attributes[COUNT])
}

/// Attaches a classifier to what leaves by a device of the calling thread's namespace, until the link is closed.
pub(crate) fn attach_egress(program: &OwnedFd, index: u32) -> io::Result<OwnedFd> {
    const TCX_EGRESS: u32 = 47;
    call_for_fd(LINK_CREATE, &mut [number(program), index, TCX_EGRESS, 0])
}

/// Whether a kernel object exists.
///
/// # Panics
/// When the kernel does not tell.
pub fn exists((kind, id): Id) -> bool {
    // The next id after the one before is this one, if it exists. This holds no reference, unlike opening it.
    next(kind, id - 1) == Some(id)
}

/// The first id of a kind after another.
fn next(kind: Kind, after: u32) -> Option<u32> {
    let command = match kind {
        Kind::Program => PROG_GET_NEXT_ID,
        Kind::Map => MAP_GET_NEXT_ID,
        Kind::Link => LINK_GET_NEXT_ID,
    };
    let mut attributes = [after, 0, 0];
    match call(command, &mut attributes) {
        Ok(_) => Some(attributes[1]),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => None,
        Err(error) => panic!("cannot list {kind:?}s: {error}"),
    }
}

/// Every program, map and link that a process keeps alive: those it has open, the programs of its links and the maps
/// of all these programs.
///
/// # Panics
/// When its descriptors cannot be read.
pub fn held_by(pid: u32) -> BTreeSet<Id> {
    held_while_it_lives(pid).unwrap_or_else(|error| panic!("what {pid} holds: {error}"))
}

/// The same of any process.
///
/// # Errors
/// When it is gone, or closes what is looked at.
pub fn held_while_it_lives(pid: u32) -> io::Result<BTreeSet<Id>> {
    let mut held = BTreeSet::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        let entry = entry?;
        // It may have been closed in the meantime.
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        held.extend(text.lines().filter_map(|line| {
            let (name, id) = line.split_once(':')?;
            let kind = match name {
                "prog_id" => Kind::Program,
                "map_id" => Kind::Map,
                "link_id" => Kind::Link,
                _ => return None,
            };
            Some((kind, id.trim().parse().ok()?))
        }));
    }
    let programs: Vec<u32> =
        held.iter().filter(|(kind, _)| *kind == Kind::Program).map(|(_, id)| *id).collect();
    for program in programs {
        held.extend(maps_of(program)?.into_iter().map(|id| (Kind::Map, id)));
    }
    Ok(held)
}

/// Whether a process holds links to both packet hooks of cgroups.
///
/// # Panics
/// When its descriptors cannot be read.
pub fn counts_packets(pid: u32) -> bool {
    let open = fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("the descriptors of a process that runs");
    let texts = open.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
    let hooks: BTreeSet<u32> = texts
        .filter(|text| text.contains("cgroup_id:"))
        .filter_map(|text| {
            text.lines().find_map(|line| line.strip_prefix("attach_type:")?.trim().parse().ok())
        })
        .collect();
    [Packets::Received, Packets::Sent].iter().all(|packets| hooks.contains(&packets.hook()))
}

/// What the kernel says of how often a program ran.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// Its name, at most 15 bytes of it.
    pub name: String,
    /// How often it ran while the kernel counted.
    pub count: u64,
    /// How long that took in all.
    pub nanoseconds: u64,
}

/// Makes the kernel count the runs of all programs until the descriptor is closed.
///
/// # Errors
/// When the kernel refuses.
pub fn count_runs() -> io::Result<OwnedFd> {
    const RUN_TIME: u32 = 0;
    call_for_fd(ENABLE_STATS, &mut [RUN_TIME])
}

/// What was counted for a program.
///
/// # Errors
/// When it is gone.
pub fn runs(program: u32) -> io::Result<Runs> {
    runs_of(&call_for_fd(PROG_GET_FD_BY_ID, &mut [program, 0, 0])?)
}

/// The same for a program that is open.
///
/// # Errors
/// When the kernel does not tell.
pub fn runs_of(program: &OwnedFd) -> io::Result<Runs> {
    /// Offsets in `struct bpf_prog_info`, in u32.
    const NAME: usize = 16;
    const NANOSECONDS: usize = 48;
    const COUNT: usize = 50;
    let about: [u32; 52] = object_info(program)?;
    let long = |at: usize| u64::from(about[at]) | u64::from(about[at + 1]) << 32;
    Ok(Runs { name: text(&about[NAME..NAME + 4]), count: long(COUNT), nanoseconds: long(NANOSECONDS) })
}

/// Opens a map by its id where it has that name.
///
/// # Errors
/// When it is gone.
pub fn map_named(id: u32, name: &str) -> io::Result<Option<OwnedFd>> {
    /// Offset in `struct bpf_map_info`, in u32.
    const NAME: usize = 6;
    let map = call_for_fd(MAP_GET_FD_BY_ID, &mut [id, 0, 0])?;
    let about: [u32; 10] = object_info(&map)?;
    Ok((text(&about[NAME..]) == name).then_some(map))
}

/// Reads the first element of an array of u32.
///
/// # Errors
/// When it is none.
pub fn first_of(map: &OwnedFd) -> io::Result<u32> {
    let (key, mut value) = (0_u32, 0_u32);
    let (key, value_at) = (halves(&raw const key), halves(&raw mut value));
    call(MAP_LOOKUP, &mut [number(map), 0, key[0], key[1], value_at[0], value_at[1], 0, 0])?;
    Ok(value)
}

fn object_info<const WORDS: usize>(object: &OwnedFd) -> io::Result<[u32; WORDS]> {
    let mut about = [0_u32; WORDS];
    let size = u32::try_from(size_of_val(&about)).expect("a small constant");
    let at = halves(about.as_mut_ptr());
    call(OBJ_GET_INFO, &mut [number(object), size, at[0], at[1]])?;
    Ok(about)
}

/// The text in a name field.
fn text(words: &[u32]) -> String {
    let bytes: Vec<u8> =
        words.iter().flat_map(|word| word.to_le_bytes()).take_while(|&byte| byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The maps of a program.
fn maps_of(program: u32) -> io::Result<Vec<u32>> {
    /// Offsets in `struct bpf_prog_info`, in u32: the number of maps, and the pointer to their ids.
    const COUNT: usize = 13;
    const IDS: usize = 14;
    let program = call_for_fd(PROG_GET_FD_BY_ID, &mut [program, 0, 0])?;
    let mut ids = [0_u32; PROGRAM_MAPS];
    let mut about = [0_u32; 16];
    about[COUNT] = u32::try_from(PROGRAM_MAPS).expect("a small constant");
    about[IDS..].copy_from_slice(&halves(ids.as_mut_ptr()));
    let size = u32::try_from(size_of_val(&about)).expect("a small constant");
    let at = halves(about.as_mut_ptr());
    call(OBJ_GET_INFO, &mut [number(&program), size, at[0], at[1]])?;
    let count = usize::try_from(about[COUNT]).expect("a small number");
    assert!(count <= PROGRAM_MAPS, "a program with {count} maps");
    Ok(ids[..count].to_vec())
}
