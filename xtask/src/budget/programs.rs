//! The programs of an object file as instructions, each with the functions that it calls behind it, as a loader lays
//! them out. What maps and data are is left to `machine`.

use anyhow::{Context, Result, bail};
use object::read::elf::{ElfFile64, ElfSection64};
use object::{
    Endianness, Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget, SectionIndex,
    SymbolIndex, SymbolKind,
};
use std::collections::{BTreeMap, HashMap};

type Elf<'data> = ElfFile64<'data, Endianness>;

const BYTES: u64 = 8;
const CALL: u8 = 0x85;
/// In `from` of a call: of a function of the object, not of the kernel.
const LOCAL: u8 = 1;
/// Loads 64 bits; the next instruction's immediate is the upper half.
pub(super) const LOAD_IMMEDIATE: u8 = 0x18;
/// Class STX, mode ATOMIC; the size is masked out.
const ATOMIC: u8 = 0xc3;
const SIZE: u8 = 0x18;

/// An object.
pub(super) struct Object {
    pub(super) programs: Vec<Program>,
    /// The read-only data, which userspace sets before load.
    pub(super) data: Vec<u8>,
    /// Where in it each global stands, and how many bytes it has.
    pub(super) globals: BTreeMap<String, (u64, u64)>,
    pub(super) maps: BTreeMap<String, MapKind>,
}

/// What a lookup in a map gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MapKind {
    Hash {
        key: usize,
        value: usize,
    },
    Array {
        key: usize,
        value: usize,
    },
    /// Of sockets, or none that has values to look up.
    Other,
}

/// A program, first instruction first.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) code: Vec<Instruction>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Instruction {
    pub(super) code: u8,
    pub(super) to: u8,
    pub(super) from: u8,
    pub(super) offset: i16,
    pub(super) immediate: i32,
    pub(super) refers: Option<Refers>,
}

/// What the loader puts into an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refers {
    Map(String),
    /// An offset in the read-only data.
    Data(u64),
    /// The instruction that a function begins with.
    Function(usize),
}

impl Program {
    /// Instructions; one that loads 64 bits counts once.
    pub(super) fn instructions(&self) -> usize {
        // Its upper half has no code of its own, and no instruction has the code 0.
        self.code.iter().filter(|instruction| instruction.code != 0).count()
    }

    /// The kernel's functions that it calls, by number (`enum bpf_func_id` of linux/bpf.h), in order, each once.
    pub(super) fn helpers(&self) -> Vec<u32> {
        let calls = self.code.iter().filter(|instruction| instruction.is_helper());
        let mut helpers: Vec<u32> = calls.map(|call| call.immediate.cast_unsigned()).collect();
        helpers.sort_unstable();
        helpers.dedup();
        helpers
    }

    pub(super) fn atomics(&self) -> usize {
        self.code.iter().filter(|instruction| instruction.is_atomic()).count()
    }
}

impl Instruction {
    fn read(bytes: &[u8]) -> Self {
        let word = |at: usize| i32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Self {
            code: bytes[0],
            to: bytes[1] & 15,
            from: bytes[1] >> 4,
            offset: i16::from_le_bytes([bytes[2], bytes[3]]),
            immediate: word(4),
            refers: None,
        }
    }

    pub(super) fn is_helper(&self) -> bool {
        self.code == CALL && self.from == 0
    }

    pub(super) fn is_atomic(&self) -> bool {
        self.code & !SIZE == ATOMIC
    }

    fn calls_function(&self) -> bool {
        self.code == CALL && self.from == LOCAL
    }
}

impl Object {
    /// Reads the bytes of an object file.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        let elf = Elf::parse(bytes).context("the object is no ELF file")?;
        let rodata = elf.section_by_name(".rodata").context("the object has no .rodata")?;
        let of_rodata = elf.symbols().filter(|symbol| symbol.section_index() == Some(rodata.index()));
        let globals = of_rodata
            .map(|symbol| Ok((symbol.name()?.to_owned(), (symbol.address(), symbol.size()))))
            .collect::<Result<_>>()?;
        let mut programs = Vec::new();
        for symbol in elf.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text) {
            let section = elf.section_by_index(symbol.section_index().context("a function is nowhere")?)?;
            // Functions that programs share stand in .text; a program has a section that says where it hooks in.
            if section.name()? != ".text" {
                programs.push(link(&elf, &section, &symbol)?);
            }
        }
        programs.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Self { programs, data: rodata.data()?.to_vec(), globals, maps: maps(&elf)? })
    }

    pub(super) fn program(&self, name: &str) -> Result<&Program> {
        let found = self.programs.iter().find(|program| program.name == name);
        found.with_context(|| format!("the object has no program {name}"))
    }
}

/// The maps by name. Those that aya's macros declare stand in `maps` as `struct bpf_map_def`; the others are of sockets.
fn maps(elf: &Elf<'_>) -> Result<BTreeMap<String, MapKind>> {
    const HASH: [u32; 3] = [1, 5, 9];
    const ARRAY: [u32; 2] = [2, 6];
    let mut maps = BTreeMap::new();
    for symbol in elf.symbols().filter(|symbol| symbol.kind() == SymbolKind::Data) {
        let section = elf.section_by_index(symbol.section_index().context("a map is nowhere")?)?;
        let kind = match section.name()? {
            ".maps" => MapKind::Other,
            "maps" => {
                let bytes =
                    section.data_range(symbol.address(), symbol.size())?.context("a map is cut off")?;
                let field = |at: usize| -> Result<u32> {
                    let field = bytes.get(at..at + 4).context("a map's definition is cut off")?;
                    Ok(u32::from_le_bytes(field.try_into()?))
                };
                let (kind, key, value) = (field(0)?, field(4)? as usize, field(8)? as usize);
                if HASH.contains(&kind) {
                    MapKind::Hash { key, value }
                } else if ARRAY.contains(&kind) {
                    MapKind::Array { key, value }
                } else {
                    MapKind::Other
                }
            }
            _ => continue,
        };
        maps.insert(symbol.name()?.to_owned(), kind);
    }
    Ok(maps)
}

/// A function's place: its section, and the first instruction in it.
type Place = (SectionIndex, u64);

fn link<'data>(
    elf: &Elf<'data>,
    section: &ElfSection64<'data, '_, Endianness>,
    symbol: &impl object::ObjectSymbol<'data>,
) -> Result<Program> {
    let mut code = Vec::new();
    let mut placed: HashMap<Place, usize> = HashMap::new();
    let mut open: Vec<Place> = vec![(section.index(), symbol.address() / BYTES)];
    let mut calls: Vec<(usize, Place)> = Vec::new();
    while let Some(place) = open.pop() {
        if placed.contains_key(&place) {
            continue;
        }
        placed.insert(place, code.len());
        let function = function(elf, place)?;
        for (instruction, called) in function {
            if let Some(called) = called {
                calls.push((code.len(), called));
                open.push(called);
            }
            code.push(instruction);
        }
    }
    for (at, called) in calls {
        code[at].refers = Some(Refers::Function(placed[&called]));
    }
    Ok(Program { name: symbol.name()?.to_owned(), code })
}

/// The instructions of a function, and what function each calls.
fn function(elf: &Elf<'_>, (index, start): Place) -> Result<Vec<(Instruction, Option<Place>)>> {
    let section = elf.section_by_index(index)?;
    let is_this = |symbol: &object::read::elf::ElfSymbol64<'_, '_, Endianness>| {
        symbol.kind() == SymbolKind::Text
            && symbol.section_index() == Some(index)
            && symbol.address() == start * BYTES
    };
    let symbol = elf.symbols().find(is_this).context("a call leads to no function")?;
    let bytes = section.data_range(symbol.address(), symbol.size())?.context("a function is cut off")?;
    let mut relocations = BTreeMap::new();
    for (offset, relocation) in section.relocations() {
        let RelocationTarget::Symbol(target) = relocation.target() else {
            bail!("a relocation without a symbol");
        };
        relocations.insert(offset / BYTES, target);
    }
    let mut function = Vec::new();
    for (at, bytes) in (start..).zip(bytes.chunks_exact(8)) {
        let mut instruction = Instruction::read(bytes);
        let target = relocations.get(&at).copied();
        let called = instruction.calls_function().then(|| callee(elf, index, at, &instruction, target));
        if let (LOAD_IMMEDIATE, Some(target)) = (instruction.code, target) {
            instruction.refers = Some(referred(elf, &instruction, target)?);
        }
        function.push((instruction, called.transpose()?));
    }
    Ok(function)
}

fn callee(
    elf: &Elf<'_>,
    section: SectionIndex,
    at: u64,
    call: &Instruction,
    target: Option<SymbolIndex>,
) -> Result<Place> {
    let distance = i64::from(call.immediate) + 1;
    let (section, from) = match target {
        Some(target) => {
            let symbol = elf.symbol_by_index(target)?;
            (symbol.section_index().context("a call leads out of the object")?, symbol.address() / BYTES)
        }
        None => (section, at),
    };
    Ok((section, from.checked_add_signed(distance).context("a call leads nowhere")?))
}

fn referred(elf: &Elf<'_>, load: &Instruction, target: SymbolIndex) -> Result<Refers> {
    let symbol = elf.symbol_by_index(target)?;
    let section = elf.section_by_index(symbol.section_index().context("a load of nothing")?)?;
    match section.name()? {
        "maps" | ".maps" => Ok(Refers::Map(symbol.name()?.to_owned())),
        ".rodata" => {
            let offset = symbol.address().checked_add_signed(load.immediate.into());
            Ok(Refers::Data(offset.context("a load from before the data")?))
        }
        name => bail!("a load from section {name}, which is no map and no read-only data"),
    }
}
