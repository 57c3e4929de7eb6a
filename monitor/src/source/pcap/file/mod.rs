//! Files of captured packets, pcap and pcapng, of any byte order, read without libpcap: packet after packet, from the
//! front, in bounded memory, and every fault with its offset. The formats are those of
//! <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap> and <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng>.

mod classic;
mod input;
mod pcapng;
#[cfg(test)]
pub(super) mod tests;

use super::dissect::LinkType;
use input::Input;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

/// Bytes kept of each packet: a filter may look at any of them.
const KEPT: usize = 65_536;
/// The longest packet that a file may say to hold, as libpcap has it (`MAXIMUM_SNAPLEN`, for every link type but USB).
const LONGEST: u32 = 262_144;

/// What is wrong with a file, and where.
#[derive(Debug)]
pub struct Fault {
    /// Bytes from the start of the file to what is wrong.
    pub offset: u64,
    /// What is wrong there.
    pub what: String,
}

impl Fault {
    fn new(offset: u64, what: impl Into<String>) -> Self {
        Self { offset, what: what.into() }
    }

    fn io(offset: u64, error: &io::Error) -> Self {
        Self::new(offset, format!("it cannot be read: {error}"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at offset {}: {}", self.offset, self.what)
    }
}

/// An interface that a file has packets of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// How its packets are framed.
    pub link: LinkType,
    /// The number that says so in the file.
    pub number: u32,
    /// Its name; empty where the file does not say.
    pub name: Arc<str>,
}

/// One packet of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it was captured, ns since the Unix epoch.
    pub at: u64,
    /// Which of [`Reader::interfaces`] it was captured on.
    pub interface: usize,
    /// How many bytes it had on the wire.
    pub length: usize,
    /// How many of them [`Reader::bytes`] has.
    kept: usize,
}

/// Reads a file. It ends at the first fault: what follows one cannot be told from noise.
pub struct Reader {
    input: Input,
    format: Format,
    interfaces: Vec<Interface>,
    buffer: Vec<u8>,
}

enum Format {
    Classic(classic::Header),
    Next(pcapng::Section),
}

impl Reader {
    /// Reads what stands before the first packet.
    ///
    /// # Errors
    /// Where it is neither format, or the header is broken.
    pub fn open(input: Box<dyn Read + Send>) -> Result<Self, Fault> {
        let mut input = Input::new(input);
        let magic = input.array::<4>()?.ok_or_else(|| Fault::new(0, "it is empty"))?;
        let mut interfaces = Vec::new();
        let format = if magic == pcapng::SECTION {
            Format::Next(pcapng::Section::open(&mut input)?)
        } else {
            let (header, interface) = classic::Header::read(magic, &mut input)?;
            interfaces.push(interface);
            Format::Classic(header)
        };
        Ok(Self { input, format, interfaces, buffer: vec![0; KEPT] })
    }

    /// The interfaces that were named so far.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// The first bytes of the record that [`Reader::read`] gave last.
    pub fn bytes(&self, record: &Record) -> &[u8] {
        &self.buffer[..record.kept.min(KEPT)]
    }

    /// The next packet, `None` at the end.
    ///
    /// # Errors
    /// The first fault.
    pub fn read(&mut self) -> Result<Option<Record>, Fault> {
        let Self { input, format, interfaces, buffer } = self;
        match format {
            Format::Classic(header) => header.next(input, buffer),
            Format::Next(section) => section.next(input, interfaces, buffer),
        }
    }
}

/// Integers in the byte order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let bytes = bytes.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
        if self == Self::Little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) }
    }

    fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let bytes = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
        if self == Self::Little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }
    }
}
