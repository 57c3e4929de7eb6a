//! Reading forward, with the offset at hand.

use super::Fault;
use std::io::{BufRead, BufReader, ErrorKind, Read};

/// A few hundred packets at a time.
const BUFFER: usize = 1 << 18;

/// A stream that knows where it is.
pub(super) struct Input {
    reader: BufReader<Box<dyn Read + Send>>,
    offset: u64,
}

impl Input {
    pub(super) fn new(reader: Box<dyn Read + Send>) -> Self {
        Self { reader: BufReader::with_capacity(BUFFER, reader), offset: 0 }
    }

    /// Bytes read so far.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next N bytes; `None` where the stream has ended right here.
    ///
    /// # Errors
    /// Where it ends in the middle of them.
    pub(super) fn array<const N: usize>(&mut self) -> Result<Option<[u8; N]>, Fault> {
        let mut bytes = [0; N];
        Ok(self.fill(&mut bytes, self.offset, "a header")?.then_some(bytes))
    }

    /// The next N bytes, of something that began at `start`.
    ///
    /// # Errors
    /// Where there are not so many.
    pub(super) fn rest<const N: usize>(&mut self, start: u64, what: &str) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        if self.fill(&mut bytes, start, what)? { Ok(bytes) } else { Err(cut(start, what)) }
    }

    /// Fills `into` with a part of something that began at `start`. False where the stream has ended right here.
    fn fill(&mut self, into: &mut [u8], start: u64, what: &str) -> Result<bool, Fault> {
        let mut filled = 0;
        while filled < into.len() {
            let available = match self.reader.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Fault::io(self.offset, &error)),
            };
            if available.is_empty() {
                return if filled == 0 { Ok(false) } else { Err(cut(start, what)) };
            }
            let take = available.len().min(into.len() - filled);
            into[filled..filled + take].copy_from_slice(&available[..take]);
            self.reader.consume(take);
            self.offset += take as u64;
            filled += take;
        }
        Ok(true)
    }

    /// Reads `into`, then passes over what is left of `length` bytes that belong to something that began at `start`.
    ///
    /// # Errors
    /// Where there are not so many.
    pub(super) fn take(&mut self, into: &mut [u8], length: u64, start: u64, what: &str) -> Result<(), Fault> {
        let kept = into.len() as u64;
        if !into.is_empty() && !self.fill(into, start, what)? {
            return Err(cut(start, what));
        }
        self.skip(length.saturating_sub(kept), start, what)
    }

    /// Passes over bytes of something that began at `start`.
    ///
    /// # Errors
    /// Where there are not so many.
    pub(super) fn skip(&mut self, mut length: u64, start: u64, what: &str) -> Result<(), Fault> {
        while length > 0 {
            let available = match self.reader.fill_buf() {
                Ok(available) => available.len(),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Fault::io(self.offset, &error)),
            };
            if available == 0 {
                return Err(cut(start, what));
            }
            let take = available.min(usize::try_from(length).unwrap_or(usize::MAX));
            self.reader.consume(take);
            self.offset += take as u64;
            length -= take as u64;
        }
        Ok(())
    }
}

fn cut(start: u64, what: &str) -> Fault {
    Fault::new(start, format!("the file ends in the middle of {what} that begins here"))
}
