//! Live packets: one capture for each device, and what they carried as deltas.

use super::device::{self, ANY, Device, Opened, Settings};
use super::dissect::LinkType;
use super::sides::{Sides, overflow};
use super::tally::Sum;
use crate::model::{
    Backend, Batch, Capture, CaptureReport, Degradation, Health, InterfaceSeen, Mono, Standing, Unplaced,
};
use crate::source::interfaces::{self, Interface};
use crate::source::{Source, SourceError};
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the addresses of this host are looked at.
const REFRESH: Duration = Duration::from_secs(2);

/// What to capture.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Devices; the default one where empty.
    pub interfaces: Vec<String>,
    /// Also what is addressed to other hosts.
    pub promiscuous: bool,
    /// Packet by packet and not in blocks.
    pub immediate: bool,
    /// Bytes of each device's buffer.
    pub buffer: u32,
    /// libpcap's language.
    pub filter: Option<String>,
    /// `-F` and `-G`.
    pub nets: Vec<IpNet>,
    /// Conversations of each device between two polls.
    pub capacity: usize,
}

/// Captures that are open and not read yet.
pub(crate) struct Prepared {
    devices: Vec<(String, Opened)>,
    options: Options,
}

/// Opens every device, with its filter: what can be wrong is found here, before the screen is taken.
///
/// # Errors
/// One sentence with the fix.
pub(crate) fn prepare(mut options: Options) -> Result<Prepared, SourceError> {
    if options.interfaces.is_empty() {
        let all = listed()?;
        let default = interfaces::default(&all).ok_or_else(|| {
            let names: Vec<&str> = all.iter().map(|interface| interface.name.as_str()).collect();
            SourceError::new(format!("no interface is up; name one with -i: {}", names.join(", ")))
        })?;
        options.interfaces.push(default.name.clone());
    }
    let settings = settings(&options);
    let mut devices = Vec::new();
    let mut names = BTreeSet::new();
    for name in &options.interfaces {
        if names.insert(name.clone()) {
            devices.push((name.clone(), device::open(name, &settings)?));
        }
    }
    Ok(Prepared { devices, options })
}

fn listed() -> Result<Vec<Interface>, SourceError> {
    interfaces::list().map_err(|error| SourceError::new(format!("cannot list the interfaces: {error}")))
}

fn settings(options: &Options) -> Settings {
    Settings {
        promiscuous: options.promiscuous,
        immediate: options.immediate,
        buffer: options.buffer,
        filter: options.filter.clone(),
        capacity: options.capacity,
    }
}

/// A device and what is known of it.
struct Running {
    device: Device,
    excluded: u64,
}

/// Captures of all devices, as one source.
pub(crate) struct PcapSource {
    running: Vec<Running>,
    sides: Sides,
    /// Index and name of every interface.
    names: Vec<(u32, Arc<str>)>,
    named: BTreeSet<(u32, Arc<str>)>,
    looked: Instant,
    health: Health,
    /// What holds as long as it runs.
    standing: Vec<Degradation>,
    sent: Option<Health>,
    polled: Mono,
}

impl PcapSource {
    /// Starts the captures. `skipped` is why this source and no better one.
    ///
    /// # Errors
    /// Where the system has no thread to give.
    pub(crate) fn start(
        prepared: Prepared,
        skipped: Vec<Degradation>,
        now: Mono,
    ) -> Result<Self, SourceError> {
        let Prepared { devices, options } = prepared;
        let all = listed()?;
        let mut running = Vec::new();
        for (name, opened) in devices {
            let found = all.iter().find(|interface| interface.name == name);
            let ifindex = found.map_or(0, |interface| interface.index);
            let own = found.and_then(|interface| interface.link);
            let device = Device::start(&name, ifindex, own, opened, settings(&options))
                .map_err(|error| SourceError::new(format!("cannot start the thread pcap:{name}: {error}")))?;
            running.push(Running { device, excluded: 0 });
        }
        let names: Vec<&str> = running.iter().map(|running| running.device.name.as_str()).collect();
        // Of all devices none is named.
        let (scope, counted) = if names.contains(&ANY) { (ANY, &[][..]) } else { ("", names.as_slice()) };
        let health = Health {
            backend: Backend::Pcap,
            scope: scope.to_owned(),
            interfaces: counted.iter().map(|name| (*name).to_owned()).collect(),
            ..Health::default()
        };
        let sides = Sides { nets: options.nets, own: Some(interfaces::addresses().unwrap_or_default()) };
        Ok(Self {
            running,
            sides,
            names: names_of(&all),
            named: BTreeSet::new(),
            looked: Instant::now(),
            health,
            standing: skipped,
            sent: None,
            polled: now,
        })
    }

    /// Addresses and names as they are now.
    fn look(&mut self) {
        if self.looked.elapsed() < REFRESH {
            return;
        }
        self.looked = Instant::now();
        if let Ok(all) = interfaces::list() {
            self.names = names_of(&all);
            self.named
                .retain(|(index, name)| *index == 0 || self.names.contains(&(*index, Arc::clone(name))));
            self.sides.own = Some(all.into_iter().flat_map(|interface| interface.addrs).collect());
        }
    }

    fn take(&mut self, out: &mut Batch) {
        for running in &mut self.running {
            let (taken, capture) = running.device.take();
            for (conversation, sum) in &taken.sums {
                let deltas = self.sides.deltas(conversation, *sum);
                if deltas.is_empty() {
                    running.excluded += sum.packets;
                }
                out.deltas.extend(deltas);
            }
            if taken.overflow != [Sum::default(); 2] {
                self.health.overflowed_packets += taken.overflow.iter().map(|sum| sum.packets).sum::<u64>();
                let counters = overflow(taken.overflow);
                out.unplaced.push(Unplaced { owner: None, standing: Standing::Unclaimed, counters });
            }
            out.captures.push(CaptureReport {
                netns: 0,
                ifindex: running.device.ifindex(),
                name: running.device.name.as_str().into(),
                capture: Capture { excluded: running.excluded, ..capture },
            });
        }
        let names = self.names.iter().cloned();
        // `any` has no index; packets without one of their own are on it.
        let any = self.running.iter().any(|running| running.device.name == ANY).then(|| (0, Arc::from(ANY)));
        for (ifindex, name) in names.chain(any) {
            if self.named.insert((ifindex, Arc::clone(&name))) {
                out.interfaces.push(InterfaceSeen { netns: 0, ifindex, name });
            }
        }
    }

    fn finish(&mut self, now: Mono, started: Instant, out: &mut Batch) {
        (out.from, out.to, self.polled) = (self.polled, now, now);
        self.health.degraded.clone_from(&self.standing);
        for running in &self.running {
            self.health.degraded.extend(condition(&running.device));
        }
        let dropped: u64 = out.captures.iter().map(|report| report.capture.dropped).sum();
        let if_dropped: u64 = out.captures.iter().map(|report| report.capture.if_dropped).sum();
        if dropped > 0 {
            self.health.degraded.push(Degradation {
                what: format!("{dropped} packets were not counted"),
                why: "they came faster than they could be read, and the buffer was full".to_owned(),
                fix: "raise --buffer-size, or let less through with -f".to_owned(),
            });
        }
        if if_dropped > 0 {
            self.health.degraded.push(Degradation {
                what: format!("{if_dropped} packets were not captured"),
                why: "the interface or its driver dropped them".to_owned(),
                fix: "none".to_owned(),
            });
        }
        self.health.drain = started.elapsed();
        if self.sent.as_ref() != Some(&self.health) {
            out.health = Some(Arc::new(self.health.clone()));
            self.sent = Some(self.health.clone());
        }
    }
}

impl Source for PcapSource {
    fn since(&self) -> Mono {
        self.polled
    }

    fn poll(&mut self, now: Mono, out: &mut Batch) -> Result<(), SourceError> {
        let started = Instant::now();
        self.look();
        self.take(out);
        self.finish(now, started, out);
        if let Some(ended) = self.running.iter().find(|running| running.device.has_ended()) {
            return Err(SourceError::new(format!("the capture on {} has ended", ended.device.name)));
        }
        Ok(())
    }

    fn urgent(&self) -> bool {
        self.running.iter().any(|running| running.device.is_filling())
    }

    fn close(&mut self, now: Mono, out: &mut Batch) -> Result<(), SourceError> {
        let started = Instant::now();
        for running in &self.running {
            running.device.stop();
        }
        for running in &mut self.running {
            running.device.join();
        }
        self.take(out);
        self.finish(now, started, out);
        Ok(())
    }
}

fn names_of(all: &[Interface]) -> Vec<(u32, Arc<str>)> {
    all.iter().map(|interface| (interface.index, interface.name.as_str().into())).collect()
}

/// What is wrong with a device at the moment.
fn condition(device: &Device) -> Vec<Degradation> {
    let (broken, link) = device.condition();
    let name = &device.name;
    let mut found = Vec::new();
    if let Some(why) = broken {
        found.push(Degradation {
            what: format!("nothing is captured on {name}"),
            why,
            fix: "none needed: it is tried again, at most 30 s apart".to_owned(),
        });
    }
    if let LinkType::Unknown(number) = link {
        found.push(Degradation {
            what: format!("packets of {name} are tried as IP"),
            why: format!("its link type, {number}, is not one that monitor knows"),
            fix: "none".to_owned(),
        });
    }
    found
}
