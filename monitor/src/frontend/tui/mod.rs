//! The screen.
//!
//! The main thread owns it: a small runtime waits for keys, snapshots and the size of the window. [`update`] changes
//! the state, [`view::draw`] reads it; neither waits for anything. The first frame is drawn before there is anything to
//! show. Pausing keeps the snapshot that is shown; newer ones are still taken, so that the engine never waits for us.

mod keymap;
mod state;
mod style;
mod terminal;
#[cfg(test)]
mod tests;
mod view;

pub use terminal::restore;

use super::Frontend;
use crate::engine::{Command, Control, Snapshots};
use crate::model::Snapshot;
use anyhow::Context;
use crossterm::event::{Event, EventStream};
use futures_util::{FutureExt, Stream, StreamExt};
use ratatui::Terminal;
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::layout::Rect;
use state::{Effect, Phase, State, update};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use style::{Glyphs, Theme};
use view::Ctx;

/// How long the engine may take to end after it was asked to.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the terminal can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TuiOptions {
    /// Use colour.
    pub color: bool,
    /// Use ASCII only.
    pub ascii: bool,
}

impl TuiOptions {
    /// As the environment says: `NO_COLOR` and `TERM=dumb` forbid colour; only a UTF-8 locale allows more than ASCII.
    pub fn from_env() -> Self {
        Self::detect(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    fn detect(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_some_and(|term| term == "dumb");
        // The first that is set decides, as for the C library.
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        let utf8 = locale.contains("utf-8") || locale.contains("utf8");
        Self { color: set("NO_COLOR").is_none() && !dumb, ascii: dumb || !utf8 }
    }
}

/// The screen frontend.
#[derive(Debug)]
pub struct Tui {
    options: TuiOptions,
}

impl Tui {
    /// Takes nothing yet: the terminal is taken by [`Frontend::run`].
    pub fn new(options: TuiOptions) -> Self {
        Self { options }
    }
}

impl Frontend for Tui {
    fn run(self: Box<Self>, feed: Snapshots, control: Control) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .context("cannot start the runtime of the screen")?;
        let taken = terminal::Taken::take().context("cannot take the terminal")?;
        let screen = Terminal::new(CrosstermBackend::new(io::BufWriter::new(io::stdout())))
            .context("cannot read the size of the terminal")?;
        let session = Session::new(screen, self.options, control, terminal::is_taken);
        let result = runtime.block_on(session.run(feed, EventStream::new));
        drop(taken);
        result
    }
}

/// Panics where a test asks for it, to see what becomes of the terminal. Compiled into debug builds only.
#[cfg(debug_assertions)]
fn test_panic() {
    assert!(
        std::env::var_os("MONITOR_TEST_PANIC").is_none_or(|place| place != "frontend"),
        "panic in the frontend, as MONITOR_TEST_PANIC asks"
    );
}

/// The screen while it runs.
struct Session<B: Backend> {
    terminal: Terminal<B>,
    control: Control,
    state: State,
    theme: Theme,
    glyphs: Glyphs,
    /// Whether the terminal may be drawn on.
    is_ours: fn() -> bool,
    /// How long the engine may take to end.
    patience: Duration,
    /// What is shown.
    shown: Arc<Snapshot>,
    /// The latest there is.
    latest: Arc<Snapshot>,
}

impl<B: Backend> Session<B>
where
    B::Error: Send + Sync + 'static,
{
    fn new(terminal: Terminal<B>, options: TuiOptions, control: Control, is_ours: fn() -> bool) -> Self {
        let nothing = Arc::new(Snapshot::default());
        Self {
            terminal,
            control,
            state: State::default(),
            theme: Theme::new(options.color),
            glyphs: Glyphs::new(options.ascii),
            is_ours,
            patience: PATIENCE,
            shown: Arc::clone(&nothing),
            latest: nothing,
        }
    }

    /// Runs until the feed ends or the user's patience does. `listen` starts to listen for keys, after the first frame.
    async fn run<E>(mut self, mut feed: Snapshots, listen: impl FnOnce() -> E) -> anyhow::Result<()>
    where
        E: Stream<Item = io::Result<Event>> + Unpin,
    {
        self.draw()?;
        let mut events = listen();
        let mut deadline = None;
        loop {
            tokio::select! {
                snapshot = feed.recv() => match snapshot {
                    Some(snapshot) if !snapshot.last => self.receive(snapshot),
                    _ => return Ok(()),
                },
                event = events.next(), if deadline.is_none() => {
                    let mut next = Some(event);
                    // All that wait are one frame: a storm of resizes or a key held down must not queue up frames.
                    while let Some(event) = next {
                        if self.take(event.as_ref()) {
                            deadline = Some(tokio::time::Instant::now() + self.patience);
                            break;
                        }
                        next = events.next().now_or_never();
                    }
                }
                () = sleep_until(deadline) => return Ok(()),
            }
            self.draw()?;
        }
    }

    fn receive(&mut self, snapshot: Arc<Snapshot>) {
        #[cfg(debug_assertions)]
        test_panic();
        self.latest = snapshot;
        if self.state.phase != Phase::Paused {
            self.shown = Arc::clone(&self.latest);
        }
    }

    /// Handles an event; `true` when it is time to go.
    fn take(&mut self, event: Option<&io::Result<Event>>) -> bool {
        let action = match event {
            Some(Ok(Event::Key(key))) => keymap::action(key),
            Some(Ok(_)) => None,
            // The terminal is gone, and with it every other way to end.
            Some(Err(_)) | None => Some(keymap::Action::Quit),
        };
        let Some(action) = action else { return false };
        let effect = update(&mut self.state, action, &self.shown);
        if self.state.phase != Phase::Paused {
            self.shown = Arc::clone(&self.latest);
        }
        match effect {
            Some(Effect::Quit) => {
                // Fails only when the engine has ended; then so does the feed.
                let _ = self.control.send(Command::Stop);
                self.state.phase = Phase::Stopping;
                true
            }
            Some(Effect::Measure(on)) => {
                // Fails only when the engine has ended; then so does the feed.
                let _ = self.control.send(Command::Measure(on));
                false
            }
            Some(Effect::Repaint) => {
                // A terminal that cannot be cleared fails the next draw, which says so.
                let _ = self.terminal.clear();
                false
            }
            None => false,
        }
    }

    fn draw(&mut self) -> anyhow::Result<()> {
        // A signal or a panic elsewhere may have given the terminal back.
        if !(self.is_ours)() {
            return Ok(());
        }
        let Self { terminal, state, shown, theme, glyphs, .. } = self;
        let draw = |frame: &mut ratatui::Frame<'_>| {
            let area: Rect = frame.area();
            let page = view::page(area, state, shown);
            state.settle(shown, page);
            let lines = view::text_lines(area, &Ctx { state, snapshot: shown, theme, glyphs });
            state.settle_text(lines, page);
            view::draw(frame, area, &Ctx { state, snapshot: shown, theme, glyphs });
        };
        terminal.draw(draw).map(|_| ()).context("cannot draw on the terminal")
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
