//! A file of packets as a source: interval after interval, in the time of the capture.

#[cfg(test)]
mod tests;

use super::cancel::Cancellable;
use super::dissect::{LinkType, dissect};
use super::file::{Fault, Interface, Reader, Record};
use super::sides::{Sides, overflow};
use super::tally::{Sum, Tally};
use crate::model::{
    Backend, Batch, Capture, CaptureReport, Degradation, Health, InterfaceSeen, Mono, Standing, Unplaced,
    Wall, nanoseconds,
};
use crate::source::{Recording, SourceError, Step};
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Link types that nobody knows are named up to this many.
const MOST_LINKS: usize = 8;

/// What to read, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The file; `-` is standard input.
    pub path: PathBuf,
    /// Conversations that one interval can hold.
    pub capacity: usize,
    /// `-F` and `-G`.
    pub nets: Vec<IpNet>,
}

/// Whether a packet is wanted, by its link type's number, its first bytes and its length on the wire.
pub(crate) type Wanted = Box<dyn FnMut(u32, &[u8], usize) -> bool + Send>;

/// A file of packets, read interval after interval.
pub struct FileRecording {
    path: PathBuf,
    reader: Reader,
    cancel: Option<OwnedFd>,
    /// The packet that was read and belongs to a later interval.
    ahead: Option<Record>,
    wanted: Option<Wanted>,
    tally: Tally,
    sides: Sides,
    captures: Vec<Capture>,
    /// Of which interfaces there is something that was not handed over yet.
    changed: BTreeSet<usize>,
    /// How many interfaces were handed over so far.
    told: usize,
    /// Link types that nobody knows.
    strange: BTreeSet<u32>,
    /// Where the latest interval ended.
    reached: Option<Mono>,
    health: Health,
    health_changed: bool,
    ended: bool,
}

impl FileRecording {
    /// Opens the file and reads its header.
    ///
    /// # Errors
    /// One sentence that names the file and what is wrong with it.
    pub fn open(options: &Options, wanted: Option<Wanted>) -> Result<Self, SourceError> {
        let (input, cancel) = Cancellable::open(&options.path)
            .map_err(|error| SourceError::new(format!("--read {}: {error}", shown(&options.path))))?;
        let recording = Self::of(Box::new(input), options, wanted)?;
        Ok(Self { cancel: Some(cancel), ..recording })
    }

    /// The same of bytes that are not in a file; the path is their name.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn of(
        input: Box<dyn Read + Send>,
        options: &Options,
        wanted: Option<Wanted>,
    ) -> Result<Self, SourceError> {
        let mut recording = Self {
            path: options.path.clone(),
            reader: Reader::open(input).map_err(|fault| fault_of(&options.path, &fault))?,
            cancel: None,
            ahead: None,
            wanted,
            tally: Tally::new(options.capacity),
            sides: Sides { nets: options.nets.clone(), own: None },
            captures: Vec::new(),
            changed: BTreeSet::new(),
            told: 0,
            strange: BTreeSet::new(),
            reached: None,
            health: Health { backend: Backend::File, ..Health::default() },
            health_changed: true,
            ended: false,
        };
        recording.health.scope = shown(&options.path);
        let why = "a file of packets does not say whose they are";
        recording.lacks("no byte has an owner".to_owned(), why, "none");
        recording.ahead = recording.read()?;
        Ok(recording)
    }

    /// The next packet that is wanted.
    fn read(&mut self) -> Result<Option<Record>, SourceError> {
        loop {
            let Some(record) = self.reader.read().map_err(|fault| self.fault(&fault))? else {
                self.ended = true;
                self.health.scope.push_str(", at its end");
                self.health_changed = true;
                return Ok(None);
            };
            let number = self.reader.interfaces()[record.interface].number;
            let bytes = self.reader.bytes(&record);
            if self.wanted.as_mut().is_none_or(|wanted| wanted(number, bytes, record.length)) {
                return Ok(Some(record));
            }
        }
    }

    fn fault(&self, fault: &Fault) -> SourceError {
        fault_of(&self.path, fault)
    }

    fn count(&mut self, record: &Record) {
        let link = self.reader.interfaces()[record.interface].link;
        let packet = dissect(link, self.reader.bytes(record), record.length, None);
        let number = u32::try_from(record.interface + 1).unwrap_or(u32::MAX);
        // An index of the capturing host says nothing here.
        self.tally.add(&super::dissect::Packet { ifindex: None, ..packet }, number);
        if self.captures.len() <= record.interface {
            self.captures.resize(record.interface + 1, Capture::default());
        }
        self.changed.insert(record.interface);
        let capture = &mut self.captures[record.interface];
        capture.received += 1;
        capture.malformed += u64::from(packet.malformed);
    }

    /// Names the link types that nobody knows, once each.
    fn note_link(&mut self, link: LinkType) {
        let LinkType::Unknown(number) = link else { return };
        self.strange.insert(number);
        let what = if self.strange.len() <= MOST_LINKS {
            format!("packets of link type {number} are tried as IP")
        } else {
            format!("packets of more than {MOST_LINKS} link types are tried as IP")
        };
        self.lacks(what, "it is not one that monitor knows", "none");
    }

    /// Says once what is missing.
    fn lacks(&mut self, what: String, why: &str, fix: &str) {
        if !self.health.degraded.iter().any(|known| known.what == what) {
            self.health.degraded.push(Degradation { what, why: why.to_owned(), fix: fix.to_owned() });
            self.health_changed = true;
        }
    }

    fn hand_over(&mut self, out: &mut Batch) {
        let taken = self.tally.take();
        if taken.sums.keys().any(|conversation| self.sides.guesses(conversation)) {
            let why = "the file does not say: private addresses count as local, then the higher port";
            let fix = "name the local networks, those of IPv4 with -F, those of IPv6 with -G";
            self.lacks("which end is local is a guess".to_owned(), why, fix);
        }
        for (conversation, sum) in &taken.sums {
            let deltas = self.sides.deltas(conversation, *sum);
            if deltas.is_empty() {
                let interface = conversation.ifindex as usize - 1;
                self.captures[interface].excluded += sum.packets;
            }
            out.deltas.extend(deltas);
        }
        if taken.overflow != [Sum::default(); 2] {
            self.health.overflowed_packets += taken.overflow.iter().map(|sum| sum.packets).sum::<u64>();
            self.health_changed = true;
            let counters = overflow(taken.overflow);
            out.unplaced.push(Unplaced { owner: None, standing: Standing::Recorded, counters });
        }
        self.report(out);
        if std::mem::take(&mut self.health_changed) {
            out.health = Some(Arc::new(self.health.clone()));
        }
    }

    /// Reports the interfaces that are new, and those that something was counted of: a file can name thousands.
    fn report(&mut self, out: &mut Batch) {
        let known = self.reader.interfaces().len();
        self.changed.extend(std::mem::replace(&mut self.told, known)..known);
        for index in std::mem::take(&mut self.changed) {
            let Interface { name, link, .. } = &self.reader.interfaces()[index];
            let (link, name) = (*link, if name.is_empty() { Arc::from("file") } else { Arc::clone(name) });
            let ifindex = u32::try_from(index + 1).unwrap_or(u32::MAX);
            let capture = self.captures.get(index).copied().unwrap_or_default();
            out.interfaces.push(InterfaceSeen { netns: 0, ifindex, name: Arc::clone(&name) });
            out.captures.push(CaptureReport { netns: 0, ifindex, name, capture });
            self.note_link(link);
        }
    }
}

impl Recording for FileRecording {
    /// A file of packets has dates and no clock.
    fn boot(&self) -> Wall {
        Wall::EPOCH
    }

    fn start(&self) -> Option<Mono> {
        Some(Mono(self.ahead?.at))
    }

    fn cancel(&mut self) -> Option<OwnedFd> {
        self.cancel.take()
    }

    fn step(&mut self, interval: Duration, out: &mut Batch) -> Result<Step, SourceError> {
        let Some(first) = self.ahead else {
            out.from = self.reached.unwrap_or_default();
            out.to = out.from;
            self.hand_over(out);
            return Ok(Step::Ended);
        };
        let from = self.reached.unwrap_or(Mono(first.at));
        let width = nanoseconds(interval).max(1);
        let mut to = Mono(from.0.saturating_add(width));
        if first.at >= to.0 {
            // Nothing moved for a while: one interval for all of that, which ends where the next packet's begins.
            to = Mono(from.0 + (first.at - from.0) / width * width);
        }
        (out.from, out.to, self.reached) = (from, to, Some(to));
        let mut fault = None;
        while let Some(record) = self.ahead.filter(|record| record.at < to.0) {
            self.count(&record);
            self.ahead = self.read().unwrap_or_else(|error| {
                fault = Some(error);
                None
            });
            if self.ahead.is_none() {
                // The last interval ends with its last packet, unless it began with that.
                out.to = if record.at > from.0 { Mono(record.at) } else { to };
            }
        }
        self.hand_over(out);
        match fault {
            Some(fault) => Err(fault),
            None if self.ended => Ok(Step::Ended),
            None => Ok(Step::More),
        }
    }
}

/// A path for a sentence: on one line, whatever is in it.
fn shown(path: &Path) -> String {
    if path == Path::new("-") {
        return "standard input".to_owned();
    }
    path.display().to_string().chars().flat_map(char::escape_debug).collect()
}

fn fault_of(path: &Path, fault: &Fault) -> SourceError {
    SourceError::new(format!("--read {}, {fault}; give a pcap or pcapng file that is whole", shown(path)))
}
