//! The screen.
//!
//! The main thread owns it: a small runtime waits for keys, snapshots and the size of the window ([`session`]).
//! [`update::update`] changes the state, [`view::draw`] reads it; neither waits for anything. The first frame is drawn before there is anything to
//! show. Pausing keeps the snapshot that is shown; newer ones are still taken, so that the engine never waits for us.

mod alert;
mod asked;
mod detail;
mod effect;
mod export;
mod find;
mod hangup;
mod history;
mod input;
mod keymap;
mod line;
mod mouse;
mod nav;
mod pins;
mod popup;
mod reply;
mod session;
mod state;
mod style;
mod terminal;
#[cfg(test)]
mod tests;
mod theme;
mod trace;
mod update;
mod view;

pub(crate) use terminal::{complain, complain_later, discard, restore};
pub(super) use theme::Depth;

use super::Frontend;
use crate::config::{Background, Caller, Catalog, Settings, SettingsFile};
use crate::engine::{Control, Snapshots};
use crate::query::Prefixes;
use crate::query::filter::Filter;
use anyhow::Context;
use crossterm::event::{Event, EventStream};
use futures_util::Stream;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use session::Session;
use std::io;
use std::sync::Arc;

/// What the terminal can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Abilities {
    depth: Depth,
    /// ASCII only.
    ascii: bool,
}

impl Abilities {
    /// As the environment says: only a UTF-8 locale allows more than ASCII.
    fn detect(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_some_and(|term| term == "dumb");
        // The first that is set decides, as for the C library.
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        let utf8 = locale.contains("utf-8") || locale.contains("utf8");
        Self { depth: Depth::detect(&variable), ascii: dumb || !utf8 }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// The themes for `--list-colors`, as this terminal shows them.
pub(crate) fn swatches(catalog: &Catalog, colour: bool) -> String {
    let depth = if colour { Depth::detect(variable) } else { Depth::Mono };
    theme::swatches(catalog, depth)
}

/// What the screen begins with.
#[derive(Clone, Debug)]
pub(crate) struct TuiOptions {
    /// What the user has set.
    pub settings: Settings,
    /// What is looked for at first.
    pub filter: Option<Arc<Filter>>,
    /// How large a remote network is.
    pub prefixes: Prefixes,
    /// The names of this host's interfaces.
    pub interfaces: fn() -> Vec<String>,
    /// All themes.
    pub catalog: Catalog,
    /// Who files belong to.
    pub caller: Caller,
    /// Where settings are kept.
    pub file: Option<SettingsFile>,
}

/// The screen frontend.
#[derive(Debug)]
pub(crate) struct Tui {
    options: TuiOptions,
}

impl Tui {
    /// Takes nothing yet: the terminal is taken by [`Frontend::run`].
    pub(crate) fn new(options: TuiOptions) -> Self {
        Self { options }
    }
}

impl Frontend for Tui {
    fn run(self: Box<Self>, feed: Snapshots, control: Control) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime of the screen")?;
        let mut abilities = Abilities::detect(variable);
        if !self.options.settings.color {
            abilities.depth = Depth::Mono;
        }
        let asks = self.options.settings.background == Background::Auto && answers(abilities);
        let mouse = self.options.settings.mouse;
        hangup::watch(control.clone()).context("cannot watch the terminal")?;
        let taken = terminal::Taken::take().context("cannot take the terminal")?;
        let screen = Terminal::new(CrosstermBackend::new(io::BufWriter::new(io::stdout())))
            .context("cannot read the size of the terminal")?;
        let mut session = Session::new(screen, self.options, abilities, control, terminal::is_taken);
        let result = runtime.block_on(async {
            let continued = continued().context("cannot listen for SIGCONT")?;
            if asks {
                session.expect_ground();
            }
            let listen = || {
                terminal::mouse(mouse);
                if asks {
                    terminal::send(reply::QUESTION);
                }
                futures_util::stream::select(EventStream::new(), continued)
            };
            session.run(feed, listen).await
        });
        drop(taken);
        result.and_then(|()| hangup::check().context("the terminal is gone"))
    }
}

/// Whether the terminal may be asked for its background: the Linux console and simpler ones show the question.
fn answers(abilities: Abilities) -> bool {
    let term = variable("TERM").unwrap_or_default();
    abilities.depth > Depth::Mono && !["", "dumb", "linux", "vt100", "vt220", "ansi"].contains(&&*term)
}

/// An event whenever the process goes on after a stop. The terminal is not asked to report the focus, so that event is
/// free to stand for it.
fn continued() -> io::Result<impl Stream<Item = io::Result<Event>> + Unpin> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?;
    Ok(Box::pin(futures_util::stream::unfold(signals, async |mut signals| {
        signals.recv().await.map(|()| (Ok(Event::FocusGained), signals))
    })))
}
