//! Where the traffic comes from: the kernel, captured packets, or a file. Chosen, and checked, before the screen is taken.
//!
//! `auto` takes the kernel where it can and captured packets where it cannot, and keeps the reason. What is wrong for
//! good is one sentence here; what only loading shows is found on the engine's thread, and falls back there.

use crate::config::{BackendChoice, Caller, Cli, Output, Settings};
use crate::engine::{Origin, Pace, Reopen};
use crate::model::Mono;
use crate::source::pcap::recording::{self, FileRecording, Wanted};
use crate::source::{Recording, SourceError, interfaces};
use anyhow::{Result, anyhow};

/// Opens a source, on the engine's thread.
pub(super) type Open = Box<dyn FnOnce(Mono) -> Result<Origin, SourceError> + Send>;

/// What the engine is started on.
pub(super) enum Start {
    /// Traffic as it passes.
    Live(Open),
    /// A file.
    Recorded(Box<dyn Recording>, Pace),
}

/// Chooses and checks.
///
/// # Errors
/// One sentence with the fix.
pub(super) fn preflight(cli: &Cli, caller: &Caller, settings: &Settings, output: Output) -> Result<Start> {
    if cli.capture.read.is_some() {
        return recorded(cli, caller, output);
    }
    let open = match (cli.capture.backend, cli.capture.needs_packets()) {
        (BackendChoice::Ebpf, _) => ebpf::open(cli, settings)?,
        (BackendChoice::Pcap, _) => packets::open(cli, settings, None)?,
        (BackendChoice::Auto, Some(option)) => {
            packets::open(cli, settings, Some(format!("{option} is for captured packets")))?
        }
        (BackendChoice::Auto, None) => auto(cli, settings)?,
    };
    Ok(Start::Live(open))
}

/// What counts on other interfaces, chosen and checked in the same way.
pub(super) fn reopen(cli: &Cli, caller: &Caller, settings: &Settings, output: Output) -> Reopen {
    let (cli, caller, settings) = (cli.clone(), caller.clone(), settings.clone());
    Box::new(move |interfaces, now| {
        let settings = Settings { interface: interfaces.to_vec(), ..settings.clone() };
        match preflight(&cli, &caller, &settings, output) {
            Ok(Start::Live(open)) => open(now),
            Ok(Start::Recorded(..)) => Err(SourceError::new("a recording has the interfaces that it has")),
            Err(error) => Err(SourceError::new(format!("{error:#}"))),
        }
    })
}

fn recorded(cli: &Cli, caller: &Caller, output: Output) -> Result<Start> {
    let options = recording::Options {
        path: cli.capture.read.clone().unwrap_or_default(),
        capacity: cli.capacity as usize,
        nets: cli.capture.nets(),
    };
    let wanted = cli.capture.capture_filter.as_deref().map(packets::wanted).transpose()?;
    let screen = output == Output::Screen;
    let speed = cli.capture.speed.map_or(if screen { Some(1.0) } else { None }, |speed| speed.0);
    let opened = caller.act_freely(|| FileRecording::open(&options, wanted))?;
    let recording = opened.map_err(|error| anyhow!(caller.explain(error)))?;
    Ok(Start::Recorded(Box::new(recording), Pace { speed, lingers: screen }))
}

/// The kernel, else captured packets. A cgroup is the kernel's business alone.
fn auto(cli: &Cli, settings: &Settings) -> Result<Open> {
    let can_fall_back = cli.cgroup.is_none();
    let open = match ebpf::open(cli, settings) {
        Ok(open) => open,
        Err(refused) if !can_fall_back => return Err(refused),
        Err(refused) => {
            return packets::open(cli, settings, Some(format!("{refused:#}"))).map_err(|too| {
                log::warn!("captured packets instead: {too:#}");
                // An interface that is not there is not there for captured packets either.
                let there = settings.interface.iter().all(|name| interfaces::index(name).is_some());
                match packets::LACKS {
                    Some(lacks) if there => {
                        anyhow!("{refused:#}; captured packets would be the fallback, but {lacks}")
                    }
                    _ => refused,
                }
            });
        }
    };
    let (cli, settings) = (cli.clone(), settings.clone());
    Ok(Box::new(move |now| match open(now) {
        Err(refused) if can_fall_back => {
            let instead = packets::open(&cli, &settings, Some(refused.message.clone()));
            let instead = instead.map_err(|too| {
                log::warn!("captured packets instead: {too:#}");
                refused
            })?;
            instead(now)
        }
        opened => opened,
    }))
}

/// Counting in the kernel.
#[cfg(target_os = "linux")]
mod ebpf {
    use super::{Cli, Open, Result, Settings, anyhow};
    use crate::engine::Origin;
    use crate::source::Source;
    use crate::source::ebpf::{EbpfSource, Options, preflight};

    pub(super) fn open(cli: &Cli, settings: &Settings) -> Result<Open> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let outside = crate::privilege::outside(crate::privilege::user_namespace(), "monitor");
        if let Some(sentence) = outside.or_else(|| crate::privilege::missing(&status, "monitor")) {
            return Err(anyhow!(sentence));
        }
        let options = Options {
            cgroup: cli.cgroup.clone(),
            capacity: cli.capacity,
            interfaces: settings.interface.clone(),
            promiscuous: cli.promiscuous,
            sendmsg_claims: !cli.no_sendmsg_claims,
            refuse: cli.refuse.clone(),
            tracing: crate::privilege::can_trace(&status),
        };
        preflight(&options)?;
        Ok(Box::new(move |now| {
            let source: Box<dyn Source> = Box::new(EbpfSource::open(&options, now)?);
            Ok(Origin::from(source))
        }))
    }
}

/// Counting in the kernel.
#[cfg(not(target_os = "linux"))]
mod ebpf {
    use super::{Cli, Open, Result, Settings, anyhow};

    pub(super) fn open(_cli: &Cli, _settings: &Settings) -> Result<Open> {
        Err(anyhow!("counting in the kernel needs Linux 5.10 or newer"))
    }
}

/// Captured packets.
#[cfg(any(feature = "pcap", not(target_os = "linux")))]
mod packets {
    use super::{Cli, Open, Result, Settings, SourceError, Wanted, anyhow};
    use crate::attribution::{Attributor, Chain};
    use crate::config::{AttributionChoice, DEFAULT_BUFFER};
    use crate::engine::Origin;
    use crate::model::Degradation;
    use crate::source::pcap::filter;
    use crate::source::pcap::live::{Options, PcapSource, prepare};

    pub(super) fn wanted(expression: &str) -> Result<Wanted> {
        Ok(filter::wanted(expression)?)
    }

    /// What this build lacks.
    pub(super) const LACKS: Option<&str> = None;

    /// `skipped` is why the kernel does not count.
    pub(super) fn open(cli: &Cli, settings: &Settings, skipped: Option<String>) -> Result<Open> {
        let capture = &cli.capture;
        let chain = match capture.attribution {
            None | Some(AttributionChoice::Auto) => Chain::best(),
            Some(AttributionChoice::Procfs) => Chain::Procfs,
            Some(AttributionChoice::Lsof) => Chain::Lsof,
        };
        if let Some(sentence) = chain.missing() {
            return Err(anyhow!(sentence));
        }
        let prepared = prepare(Options {
            interfaces: settings.interface.clone(),
            promiscuous: cli.promiscuous,
            immediate: capture.immediate,
            buffer: capture.buffer_size.unwrap_or(DEFAULT_BUFFER),
            filter: capture.capture_filter.clone(),
            nets: capture.nets(),
            capacity: cli.capacity as usize,
        })?;
        let degraded = skipped.map(|why| Degradation {
            what: "packets are captured, and owners come from samples".to_owned(),
            why,
            fix: "what the reason says; or say --backend pcap, if that is what is wanted".to_owned(),
        });
        Ok(Box::new(move |now| {
            let attribution = Attributor::start(chain)
                .map_err(|error| SourceError::new(format!("cannot start the thread sockets: {error}")))?;
            let source = PcapSource::start(prepared, degraded.into_iter().collect(), now)?;
            Ok(Origin { source: Box::new(source), attribution: Some(attribution) })
        }))
    }
}

/// Captured packets, in a build without them.
#[cfg(not(any(feature = "pcap", not(target_os = "linux"))))]
mod packets {
    use super::{Cli, Open, Result, Settings, Wanted, anyhow};

    const WITHOUT: &str = "this monitor was built without libpcap: install its development files (libpcap-dev) and \
                           build with `--features pcap`, or run `cargo xtask run`, which does";

    pub(super) fn wanted(_expression: &str) -> Result<Wanted> {
        Err(anyhow!("-f is libpcap's language, and {WITHOUT}"))
    }

    pub(super) const LACKS: Option<&str> = Some(WITHOUT);

    pub(super) fn open(_cli: &Cli, _settings: &Settings, _skipped: Option<String>) -> Result<Open> {
        Err(anyhow!("packets cannot be captured: {WITHOUT}"))
    }
}
