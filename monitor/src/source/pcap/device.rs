//! One device: its capture, on a thread of its own that dissects and adds up, and starts anew where it breaks.
//!
//! The thread and the source share one small state behind a lock: the sums, the counts of libpcap, and what is wrong.
//! Opening is tried once; only a capture that ran is started again.

use super::dissect::{LinkType, dissect};
use super::filter::refused;
use super::tally::{Taken, Tally};
use crate::model::Capture;
use crate::source::{SourceError, interfaces};
use crate::threads::{Role, spawn_of};
use pcap::{Active, Linktype, PacketHeader, Precision};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Bytes captured of each packet: every header there is, with room for options and tags.
const SNAPLEN: i32 = 256;
/// How long packets may wait in a block that is not full, ms.
const BLOCK_FOR: i32 = 100;
/// How long a thread waits for packets before it looks whether it is to stop.
const TIMEOUT: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// The first and the longest wait before a capture is started again; each one is twice the one before.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// A capture that ran so long has recovered: the next wait is the first one again.
const RECOVERED: Duration = Duration::from_secs(1);
/// How often libpcap is asked for its counts.
const COUNT_EVERY: Duration = Duration::from_millis(250);
/// How long what is left in the buffer is read at the end.
const LAST: Duration = Duration::from_millis(500);
/// `DLT_LINUX_SLL2`: names the interface of each packet of the device `any`.
const SLL2: Linktype = Linktype(276);
/// All interfaces at once, on Linux.
pub(super) const ANY: &str = "any";

/// How to capture.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) promiscuous: bool,
    pub(super) immediate: bool,
    pub(super) buffer: u32,
    pub(super) filter: Option<String>,
    pub(super) capacity: usize,
}

/// What libpcap counted of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    received: u64,
    dropped: u64,
    if_dropped: u64,
}

impl Counts {
    fn plus(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            dropped: self.dropped + other.dropped,
            if_dropped: self.if_dropped + other.if_dropped,
        }
    }
}

/// What the thread and the source share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Wakes a thread that waits before it starts anew.
    wake: Condvar,
    stop: AtomicBool,
}

#[derive(Debug)]
struct State {
    tally: Tally,
    /// Of captures that have ended.
    before: Counts,
    /// Of the one that runs.
    now: Counts,
    /// Packets whose headers do not hold together.
    malformed: u64,
    /// Why nothing is captured at the moment.
    broken: Option<String>,
    link: LinkType,
    ifindex: u32,
    ended: bool,
}

/// A device that is being captured.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) name: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// A capture that is open and not read yet.
pub(super) struct Opened {
    capture: pcap::Capture<Active>,
}

/// Opens a device: everything that can be wrong for good shows here.
///
/// # Errors
/// One sentence with the fix.
pub(super) fn open(name: &str, settings: &Settings) -> Result<Opened, SourceError> {
    let shown = shown(name);
    let mut capture = activate(name, settings).map_err(|error| cannot_open(&shown, &error))?;
    if let Some(expression) = &settings.filter {
        capture.filter(expression, true).map_err(|error| refused(expression, &error))?;
    }
    Ok(Opened { capture })
}

fn activate(name: &str, settings: &Settings) -> Result<pcap::Capture<Active>, pcap::Error> {
    let capture = pcap::Capture::from_device(name)?
        .promisc(settings.promiscuous)
        .snaplen(SNAPLEN)
        .timeout(BLOCK_FOR)
        .immediate_mode(settings.immediate)
        .buffer_size(i32::try_from(settings.buffer).unwrap_or(i32::MAX))
        .precision(Precision::Micro);
    // What waits is a poll of our own: libpcap's has no time limit on Linux, and a thread in it could not be told to end.
    let mut capture = capture.open()?.setnonblock()?;
    if name == ANY {
        // Older libpcaps have only the first version; then the packets go without their interface.
        if let Err(error) = capture.set_datalink(SLL2) {
            log::info!("{ANY}: {error}");
        }
    }
    Ok(capture)
}

fn cannot_open(shown: &str, error: &pcap::Error) -> SourceError {
    let why = plain(error);
    let denied = ["permission", "permitted", "privilege"];
    if denied.iter().any(|word| why.to_lowercase().contains(word)) {
        return SourceError::new(format!(
            "capturing on {shown} needs privileges that this process lacks ({why}): run `sudo monitor`, or once \
             `sudo setcap cap_net_raw,cap_net_admin,cap_sys_ptrace,cap_dac_read_search+ep $(command -v monitor)`"
        ));
    }
    SourceError::new(format!(
        "cannot capture on {shown}: {why}; `monitor --list-interfaces` lists what there is"
    ))
}

/// libpcap's words, on one line and without its name in front.
fn plain(error: &pcap::Error) -> String {
    let text = error.to_string();
    let text = text.trim_start_matches("libpcap error: ");
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn shown(name: &str) -> String {
    name.chars().flat_map(char::escape_debug).collect()
}

impl Device {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the system has none to give.
    pub(super) fn start(
        name: &str,
        ifindex: u32,
        own: Option<[u8; 6]>,
        opened: Opened,
        settings: Settings,
    ) -> io::Result<Self> {
        let state = State {
            tally: Tally::new(settings.capacity),
            before: Counts::default(),
            now: Counts::default(),
            malformed: 0,
            broken: None,
            link: link_of(&opened.capture),
            ifindex,
            ended: false,
        };
        let shared =
            Arc::new(Shared { state: Mutex::new(state), wake: Condvar::new(), stop: AtomicBool::new(false) });
        let work = Work { name: name.to_owned(), ifindex, own, settings, shared: Arc::clone(&shared) };
        let thread = spawn_of(Role::Capture, name, move || work.run(opened.capture))?;
        Ok(Self { name: name.to_owned(), shared, thread: Some(thread) })
    }

    /// Takes what was added up, with what was counted since the start; what is excluded is not known here.
    pub(super) fn take(&self) -> (Taken, Capture) {
        let mut state = self.shared.lock();
        let Counts { received, dropped, if_dropped } = state.before.plus(state.now);
        let capture = Capture { received, dropped, if_dropped, malformed: state.malformed, excluded: 0 };
        (state.tally.take(), capture)
    }

    /// Whether the table is half full.
    pub(super) fn is_filling(&self) -> bool {
        self.shared.lock().tally.is_filling()
    }

    /// Why nothing is captured at the moment, and how its packets are framed.
    pub(super) fn condition(&self) -> (Option<String>, LinkType) {
        let state = self.shared.lock();
        (state.broken.clone(), state.link)
    }

    /// Index of the device; another one after it was away.
    pub(super) fn ifindex(&self) -> u32 {
        self.shared.lock().ifindex
    }

    /// Whether the thread has ended, which it does only when it is told to.
    pub(super) fn has_ended(&self) -> bool {
        self.shared.lock().ended
    }

    /// Tells the thread to read what is left and to end.
    pub(super) fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.wake.notify_all();
    }

    /// Waits for that.
    pub(super) fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic has ended the program already.
            let _ = thread.join();
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.stop();
        self.join();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn link_of(capture: &pcap::Capture<Active>) -> LinkType {
    LinkType::from_number(u32::try_from(capture.get_datalink().0).unwrap_or(u32::MAX))
}

/// What the thread does.
struct Work {
    name: String,
    ifindex: u32,
    own: Option<[u8; 6]>,
    settings: Settings,
    shared: Arc<Shared>,
}

impl Work {
    fn run(mut self, mut capture: pcap::Capture<Active>) {
        let mut wait = BACK_OFF.0;
        loop {
            let started = Instant::now();
            let error = self.read(&mut capture);
            self.count(&mut capture);
            let Some(error) = error else { break };
            log::warn!("{}: {error}", self.name);
            if started.elapsed() >= RECOVERED {
                wait = BACK_OFF.0;
            }
            self.fold(Some(plain(&error)));
            let Some(opened) = self.reopen(&mut wait) else { break };
            capture = opened;
        }
        self.shared.lock().ended = true;
    }

    /// Reads packets until it is to stop (`None`), or cannot go on.
    fn read(&self, capture: &mut pcap::Capture<Active>) -> Option<pcap::Error> {
        let link = link_of(capture);
        let mut counted = Instant::now();
        // What was captured before it was told to stop is read; what comes after that is not waited for.
        let mut last: Option<(Instant, Duration)> = None;
        loop {
            if last.is_none() && self.shared.stopping() {
                last = Some((Instant::now() + LAST, since_epoch()));
            }
            match capture.next_packet() {
                Ok(packet) => {
                    if last.is_some_and(|(until, wall)| at(packet.header) > wall || Instant::now() > until) {
                        return None;
                    }
                    let packet = dissect(link, packet.data, packet.header.len as usize, self.own);
                    let mut state = self.shared.lock();
                    state.malformed += u64::from(packet.malformed);
                    state.tally.add(&packet, self.ifindex);
                    drop(state);
                }
                // Nothing is left.
                Err(pcap::Error::TimeoutExpired) if last.is_some() => return None,
                Err(pcap::Error::TimeoutExpired) => {
                    self.refresh(capture, &mut counted);
                    if self.is_gone() {
                        return Some(pcap::Error::PcapError("the interface is gone".to_owned()));
                    }
                    wait(capture);
                }
                Err(error) => return if last.is_some() { None } else { Some(error) },
            }
            if counted.elapsed() >= COUNT_EVERY {
                self.refresh(capture, &mut counted);
            }
        }
    }

    /// Whether the device is not there any more, or is another one under the same name: libpcap waits for it in silence.
    fn is_gone(&self) -> bool {
        self.name != ANY && self.ifindex != 0 && interfaces::index(&self.name) != Some(self.ifindex)
    }

    fn refresh(&self, capture: &mut pcap::Capture<Active>, counted: &mut Instant) {
        *counted = Instant::now();
        self.count(capture);
    }

    fn count(&self, capture: &mut pcap::Capture<Active>) {
        let Ok(fresh) = capture.stats() else { return };
        let mut state = self.shared.lock();
        // libpcap counts in 32 bits, which wrap.
        let advance = |held: u64, low_now: u32| {
            let low = u32::try_from(held & u64::from(u32::MAX)).unwrap_or(0);
            held + u64::from(low_now.wrapping_sub(low))
        };
        state.now = Counts {
            received: advance(state.now.received, fresh.received),
            dropped: advance(state.now.dropped, fresh.dropped),
            if_dropped: advance(state.now.if_dropped, fresh.if_dropped),
        };
    }

    /// A capture is over: its counts are kept, the next one begins at zero.
    fn fold(&self, broken: Option<String>) {
        let mut state = self.shared.lock();
        state.before = state.before.plus(state.now);
        state.now = Counts::default();
        state.broken = broken;
    }

    /// Tries to open it again until that works, each time after a longer wait. `None` where it is to stop.
    fn reopen(&mut self, wait: &mut Duration) -> Option<pcap::Capture<Active>> {
        loop {
            if self.pause(*wait) {
                return None;
            }
            *wait = (*wait * 2).min(BACK_OFF.1);
            match open(&self.name, &self.settings) {
                Ok(Opened { capture }) => {
                    let all = interfaces::list().unwrap_or_default();
                    if let Some(found) = all.iter().find(|interface| interface.name == self.name) {
                        (self.ifindex, self.own) = (found.index, found.link);
                    }
                    let mut state = self.shared.lock();
                    state.broken = None;
                    (state.link, state.ifindex) = (link_of(&capture), self.ifindex);
                    return Some(capture);
                }
                Err(error) => log::info!("{}: {error}", self.name),
            }
        }
    }

    /// True where it was told to stop before the time was over.
    fn pause(&self, length: Duration) -> bool {
        let state = self.shared.lock();
        let waited = self.shared.wake.wait_timeout_while(state, length, |_| !self.shared.stopping());
        drop(waited);
        self.shared.stopping()
    }
}

/// Waits for packets, or a while.
fn wait(capture: &pcap::Capture<Active>) {
    // A signal ends it early, which does no harm; what is wrong with the device is told by the next read.
    let _ = poll(&mut [PollFd::new(capture, PollFlags::IN)], Some(&TIMEOUT));
}

/// When a packet was captured, since the Unix epoch.
fn at(header: &PacketHeader) -> Duration {
    let seconds = u64::try_from(header.ts.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(u64::try_from(header.ts.tv_usec).unwrap_or(0))
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_none_is_one_sentence() {
        let settings =
            Settings { promiscuous: false, immediate: false, buffer: 1 << 20, filter: None, capacity: 10 };
        let error = open("no\u{1b}such", &settings).err().unwrap().to_string();
        assert!(error.contains("no\\u{1b}such") && !error.contains('\u{1b}'), "{error}");
        assert!(error.contains("--list-interfaces") || error.contains("sudo monitor"), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}
