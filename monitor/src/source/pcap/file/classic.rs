//! pcap: one header, one interface, then the packets.

use super::input::Input;
use super::{Fault, Interface, KEPT, LONGEST, LinkType, Order, Record};
use std::sync::Arc;

const NS_PER_SECOND: u64 = 1_000_000_000;
const NS_PER_MICROSECOND: u64 = 1_000;
/// The number of the link type; above it are bits about checksums.
const LINK_MASK: u32 = 0x03ff_ffff;

/// What the header says about the records.
pub(super) struct Header {
    order: Order,
    /// Ns in a unit of the fraction of a second.
    unit: u64,
    /// Bytes that the records of a patched libpcap of old have behind the usual header.
    extra: u64,
}

impl Header {
    /// Reads the header behind its magic number.
    pub(super) fn read(magic: [u8; 4], input: &mut Input) -> Result<(Self, Interface), Fault> {
        let known = |number: u32| match number {
            0xa1b2_c3d4 => Some((NS_PER_MICROSECOND, 0)),
            0xa1b2_3c4d => Some((1, 0)),
            0xa1b2_cd34 => Some((NS_PER_MICROSECOND, 8)),
            _ => None,
        };
        let little = known(u32::from_le_bytes(magic)).map(|kind| (Order::Little, kind));
        let big = known(u32::from_be_bytes(magic)).map(|kind| (Order::Big, kind));
        let Some((order, (unit, extra))) = little.or(big) else {
            return Err(Fault::new(0, "it is neither pcap nor pcapng"));
        };
        let rest = input.rest::<20>(0, "the header")?;
        let number = order.u32(&rest, 16) & LINK_MASK;
        let interface = Interface { link: LinkType::from_number(number), number, name: Arc::default() };
        Ok((Self { order, unit, extra }, interface))
    }

    pub(super) fn next(&self, input: &mut Input, buffer: &mut [u8]) -> Result<Option<Record>, Fault> {
        let start = input.offset();
        let Some(header) = input.array::<16>()? else { return Ok(None) };
        let [seconds, fraction, captured, length] = [0, 4, 8, 12].map(|at| self.order.u32(&header, at));
        if captured > LONGEST {
            return Err(Fault::new(
                start,
                format!("a packet of {captured} captured bytes; none has so many"),
            ));
        }
        input.skip(self.extra, start, "a packet")?;
        let kept = (captured as usize).min(KEPT);
        input.take(&mut buffer[..kept], captured.into(), start, "a packet")?;
        let at = u64::from(seconds) * NS_PER_SECOND + u64::from(fraction) * self.unit;
        // What was captured was there, whatever the length says: see `dissect`.
        Ok(Some(Record { at, interface: 0, length: length as usize, kept }))
    }
}
