//! A machine that runs a kernel program and counts what it does: instructions, helpers, atomic additions.
//!
//! It is no kernel: memory is a few regions, maps are tables, and of the helpers there are those that the paths of
//! `paths` call. Whatever else a program does is an error, so a path that takes an unknown turn is noticed.

use super::programs::{Instruction, LOAD_IMMEDIATE, MapKind, Object, Program, Refers};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;

/// A program that takes longer than this has lost its way.
const MOST: usize = 100_000;
const STACK: usize = 512;
/// What a socket's storage holds, at most.
const STORAGE: usize = 64;
/// Addresses: each region has so many, so that all of them fit into the 32 bits that a packet's address has in a context.
const REGION: u64 = 1 << 20;

/// The kernel's functions that the paths call, by their numbers in linux/bpf.h.
mod helper {
    pub(super) const MAP_LOOKUP: u32 = 1;
    pub(super) const MAP_UPDATE: u32 = 2;
    pub(super) const KTIME: u32 = 5;
    pub(super) const PID_TGID: u32 = 14;
    pub(super) const UID_GID: u32 = 15;
    pub(super) const COMM: u32 = 16;
    pub(super) const LOAD_BYTES: u32 = 26;
    pub(super) const COOKIE: u32 = 46;
    pub(super) const SOCKET_UID: u32 = 47;
    pub(super) const CURRENT_CGROUP: u32 = 80;
    pub(super) const FULLSOCK: u32 = 95;
    pub(super) const TCP_SOCK: u32 = 96;
    pub(super) const STORAGE_GET: u32 = 107;
    pub(super) const JIFFIES: u32 = 118;
    pub(super) const NETNS: u32 = 122;
    pub(super) const BOOT_TIME: u32 = 125;
    pub(super) const SOCKET_CGROUP: u32 = 128;
    pub(super) const RING_RESERVE: u32 = 131;
    pub(super) const CURRENT_TASK: u32 = 158;
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Trace {
    pub(super) instructions: usize,
    /// In the order of the calls.
    pub(super) helpers: Vec<u32>,
    pub(super) atomics: usize,
    pub(super) result: u64,
}

/// What the helpers say of the world.
#[derive(Clone, Copy, Debug)]
pub(super) struct World {
    pub(super) tgid: u32,
    pub(super) cookie: u64,
    /// Addresses: of the task, of the connection (`bpf_tcp_sock`) and of the packet.
    pub(super) task: u64,
    pub(super) tcp: u64,
    pub(super) packet: u64,
}

/// Memory, maps and data of one object. They stay from run to run.
pub(super) struct Machine<'o> {
    object: &'o Object,
    pub(super) world: World,
    regions: Vec<Vec<u8>>,
    data: u64,
    /// Values by map and key; of socket storage by map and socket.
    values: BTreeMap<(String, Vec<u8>), u64>,
    maps: Vec<String>,
}

/// Where a map's own address leads; nothing is there to read.
const MAPS: u64 = REGION << 11;

/// One function of a program that runs.
struct Frame {
    /// Where it goes on.
    at: usize,
    /// `r6` to `r10` of the caller.
    saved: [u64; 5],
}

impl<'o> Machine<'o> {
    pub(super) fn new(object: &'o Object) -> Self {
        let world = World { tgid: 1000, cookie: 77, task: 0, tcp: 0, packet: 0 };
        let maps = object.maps.keys().cloned().collect();
        let mut machine = Self { object, world, regions: Vec::new(), data: 0, values: BTreeMap::new(), maps };
        machine.data = machine.place(object.data.clone());
        machine
    }

    /// Puts bytes into memory, and gives their address.
    pub(super) fn place(&mut self, bytes: Vec<u8>) -> u64 {
        self.regions.push(bytes);
        REGION * self.regions.len() as u64
    }

    /// Writes eight bytes.
    pub(super) fn write(&mut self, address: u64, value: u64) -> Result<()> {
        self.store(address, 8, value)
    }

    /// Sets a global, as userspace does before load.
    pub(super) fn set_global(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let (at, size) =
            *self.object.globals.get(name).with_context(|| format!("there is no global {name}"))?;
        ensure!(size == bytes.len() as u64, "the global {name} has {size} bytes and not {}", bytes.len());
        self.slice(self.data + at, bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    /// All words of all values of maps, socket storage aside.
    pub(super) fn words(&self) -> BTreeMap<(u64, usize), u64> {
        let mut words = BTreeMap::new();
        for ((map, _), address) in &self.values {
            if self.object.maps[map] != MapKind::Other {
                let region = &self.regions[index(*address)];
                for (at, word) in region.chunks_exact(8).enumerate() {
                    words.insert((*address, at), number(word));
                }
            }
        }
        words
    }

    /// Runs a program on a context.
    pub(super) fn run(&mut self, program: &Program, context: u64) -> Result<Trace> {
        let mut trace = Trace::default();
        let mut registers = [0_u64; 11];
        registers[1] = context;
        registers[10] = self.stack();
        let (mut at, mut frames) = (0, Vec::new());
        loop {
            ensure!(trace.instructions < MOST, "{} does not end", program.name);
            let instruction = program.code.get(at).context("a jump out of the program")?;
            trace.instructions += 1;
            let here = || format!("{} at instruction {at}: {instruction:?}", program.name);
            let next = match (instruction.code, &instruction.refers) {
                (EXIT, _) => match frames.pop() {
                    None => {
                        trace.result = registers[0];
                        return Ok(trace);
                    }
                    Some(Frame { at, saved }) => {
                        registers[6..].copy_from_slice(&saved);
                        at
                    }
                },
                (CALL, Some(Refers::Function(start))) => {
                    let saved = [6, 7, 8, 9, 10].map(|at| registers[at]);
                    frames.push(Frame { at: at + 1, saved });
                    registers[10] = self.stack();
                    *start
                }
                (CALL, _) if instruction.is_helper() => {
                    let number = instruction.immediate.cast_unsigned();
                    trace.helpers.push(number);
                    registers[0] = self.help(number, &registers).with_context(here)?;
                    at + 1
                }
                (LOAD_IMMEDIATE, refers) => {
                    registers[usize::from(instruction.to)] = match refers {
                        Some(Refers::Map(name)) => self.map_address(name)?,
                        Some(Refers::Data(offset)) => self.data + offset,
                        Some(Refers::Function(_)) | None => {
                            let upper = program.code.get(at + 1).context("half a load")?.immediate;
                            u64::from(instruction.immediate.cast_unsigned())
                                | u64::from(upper.cast_unsigned()) << 32
                        }
                    };
                    at + 2
                }
                _ => {
                    trace.atomics += usize::from(instruction.is_atomic());
                    self.step(instruction, &mut registers, at).with_context(here)?
                }
            };
            at = next;
        }
    }

    fn stack(&mut self) -> u64 {
        self.place(vec![0; STACK]) + STACK as u64
    }

    /// Everything but calls, exits and loads of 64 immediate bits; gives the next instruction.
    fn step(&mut self, instruction: &Instruction, registers: &mut [u64; 11], at: usize) -> Result<usize> {
        let (to, from) = (usize::from(instruction.to), usize::from(instruction.from));
        let immediate = i64::from(instruction.immediate).cast_unsigned();
        let shifted = |base: u64| base.wrapping_add_signed(instruction.offset.into());
        let class = instruction.code & 7;
        let operand = if instruction.code & 8 == 0 { immediate } else { registers[from] };
        match class {
            LDX => {
                ensure!(instruction.code & 0xe0 == MEM, "an unknown kind of load");
                registers[to] = self.load(shifted(registers[from]), width(instruction.code))?;
            }
            ST => self.store(shifted(registers[to]), width(instruction.code), immediate)?,
            STX if instruction.is_atomic() => self.atomic(instruction, registers, shifted(registers[to]))?,
            STX => self.store(shifted(registers[to]), width(instruction.code), registers[from])?,
            ALU | ALU64 => {
                let is_wide = class == ALU64;
                registers[to] = arithmetic(instruction, registers[to], operand, is_wide)?;
            }
            JMP | JMP32 => {
                let cut = |value: u64| if class == JMP { value } else { extend(value) };
                if jumps(instruction.code & 0xf0, cut(registers[to]), cut(operand))? {
                    let next = at.checked_add_signed(isize::from(instruction.offset) + 1);
                    return next.context("a jump to before the program");
                }
            }
            _ => bail!("an unknown class of instructions"),
        }
        Ok(at + 1)
    }

    fn atomic(&mut self, instruction: &Instruction, registers: &mut [u64; 11], address: u64) -> Result<()> {
        const ADD: i32 = 0;
        const FETCH: i32 = 1;
        const EXCHANGE: i32 = 0xe1;
        let from = usize::from(instruction.from);
        let width = width(instruction.code);
        let before = self.load(address, width)?;
        let after = match instruction.immediate {
            EXCHANGE => registers[from],
            kind if kind & !FETCH == ADD => before.wrapping_add(registers[from]),
            _ => bail!("an unknown atomic operation"),
        };
        self.store(address, width, after)?;
        if instruction.immediate & FETCH != 0 {
            registers[from] = before;
        }
        Ok(())
    }

    fn help(&mut self, number: u32, registers: &[u64; 11]) -> Result<u64> {
        let [first, second, third, fourth] = [1, 2, 3, 4].map(|at| registers[at]);
        Ok(match number {
            helper::MAP_LOOKUP => self.look_up(first, second)?,
            helper::MAP_UPDATE => self.update(first, second, third)?,
            // Time stands still: a second that a path waited for would be another path.
            helper::KTIME | helper::BOOT_TIME => 1 << 40,
            helper::JIFFIES => 1 << 20,
            helper::PID_TGID => u64::from(self.world.tgid) << 32 | u64::from(self.world.tgid),
            helper::UID_GID | helper::SOCKET_UID | helper::CURRENT_CGROUP | helper::SOCKET_CGROUP => 1,
            // Of the ring buffer: no room. Only what comes before a fast path writes to it.
            helper::COMM | helper::RING_RESERVE => 0,
            helper::LOAD_BYTES => {
                let length = usize::try_from(fourth)?;
                let bytes = self.slice(self.world.packet + second, length)?.to_vec();
                self.slice(third, length)?.copy_from_slice(&bytes);
                0
            }
            helper::COOKIE => self.world.cookie,
            helper::FULLSOCK => first,
            helper::TCP_SOCK => self.world.tcp,
            helper::STORAGE_GET => self.storage(first, second, fourth)?,
            helper::NETNS => 4096,
            helper::CURRENT_TASK => self.world.task,
            unknown => bail!("helper {unknown}, which no path has called so far"),
        })
    }

    fn map_address(&self, name: &str) -> Result<u64> {
        let at = self.maps.iter().position(|known| known == name);
        Ok(MAPS + at.with_context(|| format!("there is no map {name}"))? as u64)
    }

    fn map(&self, address: u64) -> Result<(String, MapKind)> {
        let at = address.checked_sub(MAPS).context("no map")?;
        let name = self.maps.get(usize::try_from(at)?).context("no map")?;
        Ok((name.clone(), self.object.maps[name]))
    }

    /// An element of an array is always there; a row of a hash table is once it was put there.
    fn look_up(&mut self, map: u64, key: u64) -> Result<u64> {
        let (name, kind) = self.map(map)?;
        match kind {
            MapKind::Hash { key: size, .. } => {
                let key = self.slice(key, size)?.to_vec();
                Ok(self.values.get(&(name, key)).copied().unwrap_or(0))
            }
            MapKind::Array { key: size, value } => {
                let key = self.slice(key, size)?.to_vec();
                if let Some(address) = self.values.get(&(name.clone(), key.clone())) {
                    return Ok(*address);
                }
                let address = self.place(vec![0; value]);
                self.values.insert((name, key), address);
                Ok(address)
            }
            MapKind::Other => bail!("a lookup in {name}"),
        }
    }

    fn update(&mut self, map: u64, key: u64, value: u64) -> Result<u64> {
        let (name, kind) = self.map(map)?;
        let MapKind::Hash { key: key_size, value: size } = kind else { bail!("an update of {name}") };
        let (key, value) = (self.slice(key, key_size)?.to_vec(), self.slice(value, size)?.to_vec());
        let address = self.place(value);
        self.values.insert((name, key), address);
        Ok(0)
    }

    fn storage(&mut self, map: u64, socket: u64, flags: u64) -> Result<u64> {
        let place = (self.map(map)?.0, socket.to_le_bytes().to_vec());
        if let Some(address) = self.values.get(&place) {
            return Ok(*address);
        }
        if flags == 0 {
            return Ok(0);
        }
        let address = self.place(vec![0; STORAGE]);
        self.values.insert(place, address);
        Ok(address)
    }

    fn load(&mut self, address: u64, width: usize) -> Result<u64> {
        Ok(number(self.slice(address, width)?))
    }

    fn store(&mut self, address: u64, width: usize, value: u64) -> Result<()> {
        self.slice(address, width)?.copy_from_slice(&value.to_le_bytes()[..width]);
        Ok(())
    }

    fn slice(&mut self, address: u64, length: usize) -> Result<&mut [u8]> {
        let inside = usize::try_from(address % REGION)?;
        let nowhere = || format!("nothing is at {address:#x}");
        ensure!(address >= REGION, nowhere());
        let region = self.regions.get_mut(index(address)).with_context(nowhere)?;
        region.get_mut(inside..inside + length).with_context(nowhere)
    }
}

fn index(address: u64) -> usize {
    usize::try_from(address / REGION).unwrap_or_default().saturating_sub(1)
}

const LDX: u8 = 1;
const ST: u8 = 2;
const STX: u8 = 3;
const ALU: u8 = 4;
const JMP: u8 = 5;
const JMP32: u8 = 6;
const ALU64: u8 = 7;
/// The usual mode of a load.
const MEM: u8 = 0x60;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

/// Bytes that a load or store moves.
fn width(code: u8) -> usize {
    match code & 0x18 {
        0x00 => 4,
        0x08 => 2,
        0x10 => 1,
        _ => 8,
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// The lower half as a signed number, which keeps the order of both kinds of comparison.
fn extend(value: u64) -> u64 {
    ((value << 32).cast_signed() >> 32).cast_unsigned()
}

fn arithmetic(instruction: &Instruction, to: u64, operand: u64, is_wide: bool) -> Result<u64> {
    ensure!(instruction.offset == 0, "signed division or move");
    let operation = instruction.code & 0xf0;
    if operation == 0xd0 {
        return swapped(instruction, to, is_wide);
    }
    let (to, operand) = if is_wide { (to, operand) } else { (to & 0xffff_ffff, operand & 0xffff_ffff) };
    let shift = operand & if is_wide { 63 } else { 31 };
    let value = match operation {
        0x00 => to.wrapping_add(operand),
        0x10 => to.wrapping_sub(operand),
        0x20 => to.wrapping_mul(operand),
        0x30 => to.checked_div(operand).unwrap_or(0),
        0x40 => to | operand,
        0x50 => to & operand,
        0x60 => to << shift,
        0x70 => to >> shift,
        0x80 => to.wrapping_neg(),
        0x90 => to.checked_rem(operand).unwrap_or(to),
        0xa0 => to ^ operand,
        0xb0 => operand,
        0xc0 if is_wide => (to.cast_signed() >> shift).cast_unsigned(),
        0xc0 => (extend(to).cast_signed() >> shift).cast_unsigned(),
        _ => bail!("an unknown operation"),
    };
    Ok(if is_wide { value } else { value & 0xffff_ffff })
}

fn swapped(instruction: &Instruction, value: u64, is_wide: bool) -> Result<u64> {
    // To little-endian, which this machine is, or to the other; always the other in the wide class (bswap).
    let swaps = is_wide || instruction.code & 8 != 0;
    Ok(match (instruction.immediate, swaps) {
        (16, true) => value.swap_bytes() >> 48,
        (32, true) => value.swap_bytes() >> 32,
        (64, true) => value.swap_bytes(),
        (16, false) => value & 0xffff,
        (32, false) => value & 0xffff_ffff,
        (64, false) => value,
        _ => bail!("an unknown width"),
    })
}

fn jumps(operation: u8, to: u64, operand: u64) -> Result<bool> {
    let (signed, other) = (to.cast_signed(), operand.cast_signed());
    Ok(match operation {
        0x00 => true,
        0x10 => to == operand,
        0x20 => to > operand,
        0x30 => to >= operand,
        0x40 => to & operand != 0,
        0x50 => to != operand,
        0x60 => signed > other,
        0x70 => signed >= other,
        0xa0 => to < operand,
        0xb0 => to <= operand,
        0xc0 => signed < other,
        0xd0 => signed <= other,
        _ => bail!("an unknown jump"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instruction(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Instruction {
        Instruction { code, to, from, offset, immediate, refers: None }
    }

    fn run(code: &[Instruction]) -> Result<Trace> {
        let data = Object {
            programs: Vec::new(),
            data: Vec::new(),
            globals: BTreeMap::new(),
            maps: BTreeMap::new(),
        };
        let code = [code, &[instruction(EXIT, 0, 0, 0, 0)]].concat();
        Machine::new(&data).run(&Program { name: "test".to_owned(), code }, 0)
    }

    fn result(code: &[Instruction]) -> u64 {
        run(code).unwrap().result
    }

    const MOVE: u8 = 0xb7;
    const MOVE_32: u8 = 0xb4;

    #[test]
    fn halves_and_signs_are_those_of_the_instruction_set() {
        let minus_one = instruction(MOVE, 0, 0, 0, -1);
        assert_eq!(result(std::slice::from_ref(&minus_one)), u64::MAX);
        assert_eq!(result(&[instruction(MOVE_32, 0, 0, 0, -1)]), 0xffff_ffff);
        let shifted = |code| result(&[minus_one.clone(), instruction(code, 0, 0, 0, 60)]);
        assert_eq!(shifted(0x77), 15);
        assert_eq!(shifted(0xc7), u64::MAX);
        // 32 bits shift by five bits of the operand, and the upper half is zero then.
        assert_eq!(shifted(0x74), 15);
        assert_eq!(shifted(0xc4), 0xffff_ffff);
        let swapped =
            |width| result(&[instruction(MOVE, 0, 0, 0, 0x0102_0304), instruction(0xdc, 0, 0, 0, width)]);
        assert_eq!([swapped(16), swapped(32)], [0x0403, 0x0403_0201]);
    }

    #[test]
    fn a_jump_compares_as_it_says() {
        let jumps = |code| {
            let first = instruction(MOVE, 0, 0, 0, -1);
            // Skips the instruction that would make it 7.
            result(&[first, instruction(code, 0, 0, 1, 1), instruction(MOVE, 0, 0, 0, 7)]) == u64::MAX
        };
        assert_eq!([0x25, 0x65, 0xa5, 0xc5].map(jumps), [true, false, false, true]);
    }

    #[test]
    fn memory_is_read_back_and_what_is_not_there_is_an_error() {
        let add = Instruction { immediate: 0, ..instruction(0xdb, 10, 0, -8, 0) };
        let code = [
            instruction(0x7a, 10, 0, -8, 5),
            instruction(MOVE, 0, 0, 0, 3),
            add,
            instruction(0x79, 0, 10, -8, 0),
        ];
        let trace = run(&code).unwrap();
        assert_eq!((trace.result, trace.atomics, trace.instructions), (8, 1, 5));
        assert!(run(&[instruction(0x79, 0, 1, 0, 0)]).is_err());
        assert!(run(&[instruction(CALL, 0, 0, 0, 9999)]).is_err());
        assert!(run(&[instruction(0x05, 0, 0, -1, 0)]).is_err());
    }
}
