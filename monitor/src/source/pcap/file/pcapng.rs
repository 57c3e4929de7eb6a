//! pcapng: sections of blocks; interfaces are described before their packets, everything else is passed over.

use super::input::Input;
use super::{Fault, Interface, KEPT, LONGEST, LinkType, Order, Record};
use std::sync::Arc;

/// The type of a section header: the same in both byte orders.
pub(super) const SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
const INTERFACE: u32 = 1;
/// Of old: today an enhanced packet.
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const SECTION_NUMBER: u32 = 0x0a0d_0d0a;

/// The longest block that libpcap reads.
const LONGEST_BLOCK: u32 = 16 << 20;
/// Bytes of an interface's options that are looked at: its name is among the first.
const OPTIONS: usize = 2048;
/// A file with more interfaces is a hostile one.
const MOST_INTERFACES: usize = 4096;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;

/// Units of time of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clock {
    /// The byte of `if_tsresol`: a negative power of ten, or of two where the highest bit is set.
    resolution: u8,
    /// Seconds to add.
    offset: i64,
}

/// The section that is being read.
pub(super) struct Section {
    order: Order,
    /// Where the interfaces of this section begin in the list of all.
    first: usize,
    /// Clock and snaplen by interface of the section.
    clocks: Vec<(Clock, u32)>,
    /// Packets without a time are taken to be of the latest.
    latest: u64,
}

/// A block that was begun: where, how long all of it is, and how much of it is left to read but for the last four
/// bytes, which say the length again.
struct Block {
    start: u64,
    length: u32,
    left: u64,
}

impl Section {
    /// Reads the header of the first section behind its type.
    pub(super) fn open(input: &mut Input) -> Result<Self, Fault> {
        let mut section = Self { order: Order::Little, first: 0, clocks: Vec::new(), latest: 0 };
        section.begin(0, 0, input)?;
        Ok(section)
    }

    /// Reads a section header behind its type; `interfaces` are known from those before.
    fn begin(&mut self, start: u64, interfaces: usize, input: &mut Input) -> Result<(), Fault> {
        let head = input.rest::<8>(start, "a section header")?;
        self.order = match head[4..] {
            [0x4d, 0x3c, 0x2b, 0x1a] => Order::Little,
            [0x1a, 0x2b, 0x3c, 0x4d] => Order::Big,
            _ => return Err(Fault::new(start, "a section header without a byte order")),
        };
        self.first = interfaces;
        self.clocks.clear();
        let mut block = Self::block(start, self.order.u32(&head, 0))?;
        block.left = block.left.saturating_sub(4);
        self.finish(&block, input)
    }

    fn block(start: u64, length: u32) -> Result<Block, Fault> {
        if length < 12 || !length.is_multiple_of(4) || length > LONGEST_BLOCK {
            return Err(Fault::new(start, format!("a block of {length} bytes; none has that length")));
        }
        Ok(Block { start, length, left: u64::from(length) - 12 })
    }

    /// Passes over what is left of a block and looks at its second length.
    fn finish(&self, block: &Block, input: &mut Input) -> Result<(), Fault> {
        input.skip(block.left, block.start, "a block")?;
        let again = self.order.u32(&input.rest::<4>(block.start, "a block")?, 0);
        if again == block.length {
            return Ok(());
        }
        let Block { start, length, .. } = block;
        Err(Fault::new(*start, format!("a block that begins with {length} bytes and ends with {again}")))
    }

    pub(super) fn next(
        &mut self,
        input: &mut Input,
        interfaces: &mut Vec<Interface>,
        buffer: &mut [u8],
    ) -> Result<Option<Record>, Fault> {
        loop {
            let start = input.offset();
            let Some(kind) = input.array::<4>()? else { return Ok(None) };
            let kind = self.order.u32(&kind, 0);
            if kind == SECTION_NUMBER {
                self.begin(start, interfaces.len(), input)?;
                continue;
            }
            let length = self.order.u32(&input.rest::<4>(start, "a block")?, 0);
            let mut block = Self::block(start, length)?;
            let record = match kind {
                INTERFACE => {
                    interfaces.push(self.interface(&mut block, interfaces.len(), input)?);
                    None
                }
                ENHANCED_PACKET | PACKET => Some(self.packet(kind, &mut block, input, buffer)?),
                SIMPLE_PACKET => Some(self.simple(&mut block, input, buffer)?),
                _ => None,
            };
            self.finish(&block, input)?;
            if record.is_some() {
                return Ok(record);
            }
        }
    }

    /// Reads N bytes of a block.
    fn head<const N: usize>(block: &mut Block, input: &mut Input) -> Result<[u8; N], Fault> {
        if block.left < N as u64 {
            return Err(Fault::new(block.start, "a block that is too short for what it is"));
        }
        block.left -= N as u64;
        input.rest(block.start, "a block")
    }

    fn interface(&mut self, block: &mut Block, known: usize, input: &mut Input) -> Result<Interface, Fault> {
        if known >= MOST_INTERFACES {
            return Err(Fault::new(block.start, format!("more than {MOST_INTERFACES} interfaces")));
        }
        let head = Self::head::<8>(block, input)?;
        let (number, snaplen) = (self.order.u16(&head, 0), self.order.u32(&head, 4));
        let mut options = vec![0; usize::try_from(block.left).unwrap_or(OPTIONS).min(OPTIONS)];
        let length = options.len() as u64;
        input.take(&mut options, length, block.start, "a block")?;
        block.left -= length;
        let mut clock = Clock { resolution: 6, offset: 0 };
        let mut name = Arc::default();
        for (code, value) in self.options(&options) {
            match (code, value) {
                (IF_NAME, name_of) => name = String::from_utf8_lossy(name_of).trim_end_matches('\0').into(),
                (IF_TSRESOL, [resolution, ..]) => clock.resolution = *resolution,
                (IF_TSOFFSET, offset) if offset.len() == 8 => {
                    let (low, high) = match self.order {
                        Order::Little => (self.order.u32(offset, 0), self.order.u32(offset, 4)),
                        Order::Big => (self.order.u32(offset, 4), self.order.u32(offset, 0)),
                    };
                    clock.offset = (u64::from(high) << 32 | u64::from(low)).cast_signed();
                }
                _ => {}
            }
        }
        self.clocks.push((clock, snaplen));
        let number = number.into();
        Ok(Interface { link: LinkType::from_number(number), number, name })
    }

    fn options<'o>(&self, mut bytes: &'o [u8]) -> impl Iterator<Item = (u16, &'o [u8])> + use<'o> {
        let order = self.order;
        std::iter::from_fn(move || {
            let code = order.u16(bytes.get(..4)?, 0);
            let length = usize::from(order.u16(bytes, 2));
            let value = bytes.get(4..4 + length)?;
            bytes = bytes.get(4 + length.next_multiple_of(4)..).unwrap_or_default();
            (code != 0).then_some((code, value))
        })
    }

    fn packet(
        &mut self,
        kind: u32,
        block: &mut Block,
        input: &mut Input,
        buffer: &mut [u8],
    ) -> Result<Record, Fault> {
        let head = Self::head::<20>(block, input)?;
        let [first, high, low, captured, length] = [0, 4, 8, 12, 16].map(|at| self.order.u32(&head, at));
        let index = if kind == PACKET { self.order.u16(&head, 0).into() } else { first as usize };
        let Some((clock, _)) = self.clocks.get(index).copied() else {
            return Err(Fault::new(
                block.start,
                format!("a packet of interface {index}, which is not described"),
            ));
        };
        let units = u64::from(high) << 32 | u64::from(low);
        self.latest = clock
            .nanoseconds(units)
            .ok_or_else(|| Fault::new(block.start, "a packet that was captured before 1970 or after 2262"))?;
        let kept = Self::body(captured, block, input, buffer)?;
        Ok(Record { at: self.latest, interface: self.first + index, length: length as usize, kept })
    }

    fn simple(&self, block: &mut Block, input: &mut Input, buffer: &mut [u8]) -> Result<Record, Fault> {
        let length = self.order.u32(&Self::head::<4>(block, input)?, 0);
        let Some((_, snaplen)) = self.clocks.first().copied() else {
            return Err(Fault::new(block.start, "a packet before any interface is described"));
        };
        let limit = if snaplen == 0 { LONGEST } else { snaplen };
        let captured = length.min(limit).min(u32::try_from(block.left).unwrap_or(u32::MAX));
        let kept = Self::body(captured, block, input, buffer)?;
        Ok(Record { at: self.latest, interface: self.first, length: length as usize, kept })
    }

    /// Reads the packet's first bytes; gives how many.
    fn body(captured: u32, block: &mut Block, input: &mut Input, buffer: &mut [u8]) -> Result<usize, Fault> {
        if u64::from(captured) > block.left || captured > LONGEST {
            let what = format!("a packet of {captured} captured bytes in a block of {}", block.length);
            return Err(Fault::new(block.start, what));
        }
        let kept = (captured as usize).min(KEPT);
        input.take(&mut buffer[..kept], captured.into(), block.start, "a packet")?;
        block.left -= u64::from(captured);
        Ok(kept)
    }
}

impl Clock {
    /// Ns since the epoch of so many units; `None` where that is before it, or more than a date can be (`i64`).
    fn nanoseconds(self, units: u64) -> Option<u64> {
        const SECOND: u128 = 1_000_000_000;
        let units = u128::from(units);
        let exponent = u32::from(self.resolution & 0x7f);
        let nanoseconds = match (self.resolution & 0x80 != 0, exponent) {
            (true, _) => (units * SECOND).checked_shr(exponent).unwrap_or(0),
            (false, 0..=9) => units * 10_u128.pow(9 - exponent),
            (false, 10..=28) => units / 10_u128.pow(exponent - 9),
            (false, _) => 0,
        };
        let offset = i128::from(self.offset) * SECOND.cast_signed();
        let all = i64::try_from(nanoseconds.checked_add_signed(offset)?).ok()?;
        u64::try_from(all).ok()
    }
}
