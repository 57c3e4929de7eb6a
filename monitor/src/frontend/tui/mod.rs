//! The screen.
//!
//! The main thread owns it: a small runtime waits for keys, snapshots and the size of the window. [`state::update`] changes
//! the state, [`view::draw`] reads it; neither waits for anything. The first frame is drawn before there is anything to
//! show. Pausing keeps the snapshot that is shown; newer ones are still taken, so that the engine never waits for us.

mod asked;
mod detail;
mod export;
mod find;
mod hangup;
mod history;
mod keymap;
mod keys_page;
mod line;
mod look;
mod mouse;
mod path;
mod pins;
mod popup;
mod reply;
mod state;
mod style;
mod terminal;
#[cfg(test)]
mod tests;
mod theme;
mod trace;
mod view;

pub use keys_page::keys_page;
pub use terminal::{complain, complain_later, discard, restore};
pub use theme::Depth;

use super::Frontend;
use crate::config::{Background, Caller, Catalog, Ground, Settings, SettingsFile};
use crate::engine::{Command, Control, Snapshots};
use crate::model::Snapshot;
use crate::query::Prefixes;
use crate::query::filter::Filter;
use anyhow::Context;
use asked::Asked;
use crossterm::event::{Event, EventStream, KeyEvent};
use futures_util::{Stream, StreamExt};
use mouse::Mouse;
use ratatui::Terminal;
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::layout::Rect;
use reply::{Heard, Replies};
use state::{Effect, Phase, State};
use std::io;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use style::Glyphs;
use theme::Theme;
use view::Ctx;

/// How long the engine may take to end after it was asked to.
const PATIENCE: Duration = Duration::from_secs(2);

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
pub fn swatches(catalog: &Catalog, colour: bool) -> String {
    let depth = if colour { Depth::detect(variable) } else { Depth::Mono };
    theme::swatches(catalog, depth)
}

/// What the screen begins with.
#[derive(Clone, Debug)]
pub struct TuiOptions {
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
                session.replies.ask(session.started.elapsed());
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

/// Panics where a test asks for it, to see what becomes of the terminal. Compiled into debug builds only.
#[cfg(debug_assertions)]
fn test_panic() {
    assert!(
        std::env::var_os("MONITOR_TEST_PANIC").is_none_or(|place| place != "frontend"),
        "panic in the frontend, as MONITOR_TEST_PANIC asks"
    );
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

/// The screen while it runs.
struct Session<B: Backend> {
    /// Never dropped: it would show the cursor, which is for `terminal` to do, and panic where the terminal is gone.
    terminal: ManuallyDrop<Terminal<B>>,
    control: Control,
    state: State,
    abilities: Abilities,
    glyphs: Glyphs,
    /// The styles of the theme that is shown, and what they were made for.
    theme: Theme,
    themed: (String, Option<Ground>),
    caller: Caller,
    file: Option<SettingsFile>,
    mouse: Mouse,
    replies: Replies,
    started: Instant,
    /// Whether the terminal may be drawn on.
    is_ours: fn() -> bool,
    /// How long the engine may take to end.
    patience: Duration,
    /// What the engine was asked about what is opened.
    asked: Asked,
    /// What is shown.
    shown: Arc<Snapshot>,
    /// The latest there is.
    latest: Arc<Snapshot>,
}

impl<B: Backend> Session<B>
where
    B::Error: Send + Sync + 'static,
{
    fn new(
        terminal: Terminal<B>,
        options: TuiOptions,
        abilities: Abilities,
        control: Control,
        is_ours: fn() -> bool,
    ) -> Self {
        let nothing = Arc::new(Snapshot::default());
        let mut state = State::new(options.settings, Arc::new(options.catalog));
        state.prefixes = options.prefixes;
        state.interfaces = options.interfaces;
        find::begin(&mut state, options.filter);
        state.ground = match state.settings.background {
            Background::Auto => None,
            Background::Light => Some(Ground::Light),
            Background::Dark => Some(Ground::Dark),
        };
        let (theme, themed) = themed(&state, abilities.depth);
        Self {
            terminal: ManuallyDrop::new(terminal),
            control,
            state,
            abilities,
            glyphs: Glyphs::new(abilities.ascii),
            theme,
            themed,
            caller: options.caller,
            file: options.file,
            mouse: Mouse::default(),
            replies: Replies::default(),
            started: Instant::now(),
            is_ours,
            patience: PATIENCE,
            asked: Asked::default(),
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
            let kept_until = self.replies.kept_until().map(|after| (self.started + after).into());
            tokio::select! {
                snapshot = feed.recv() => match snapshot {
                    Some(snapshot) if !snapshot.last => self.receive(snapshot),
                    _ => return Ok(()),
                },
                event = events.next() => {
                    // Who asks again does not want to wait.
                    if deadline.is_some() {
                        if asks_to_quit(event.as_ref()) {
                            return Ok(());
                        }
                        continue;
                    }
                    let mut next = Some(event);
                    // All that wait are one frame: a storm of resizes or a key held down must not queue up frames.
                    while let Some(event) = next {
                        if self.take(event.as_ref()) {
                            deadline = Some(tokio::time::Instant::now() + self.patience);
                            break;
                        }
                        next = ready(&mut events).await;
                    }
                }
                () = sleep_until(deadline) => return Ok(()),
                () = sleep_until(kept_until) => {
                    if self.replies.give_up().is_some_and(|key| self.press(&key)) {
                        deadline = Some(tokio::time::Instant::now() + self.patience);
                    }
                }
            }
            self.draw()?;
        }
    }

    fn receive(&mut self, snapshot: Arc<Snapshot>) {
        #[cfg(debug_assertions)]
        test_panic();
        self.state.history.take(&snapshot);
        self.latest = snapshot;
        self.follow();
    }

    /// Shows the latest there is, unless the user asked for a pause.
    fn follow(&mut self) {
        if self.state.phase != Phase::Paused {
            self.shown = Arc::clone(&self.latest);
        }
    }

    /// Handles an event; `true` when it is time to go.
    fn take(&mut self, event: Option<&io::Result<Event>>) -> bool {
        let effect = match event {
            Some(Ok(Event::Key(key))) => match self.replies.take(*key, self.started.elapsed()) {
                Heard::Keys(keys) => return keys.iter().any(|key| self.press(key)),
                Heard::Background(ground) => {
                    self.state.ground = Some(ground);
                    None
                }
            },
            Some(Ok(Event::Mouse(event))) => {
                let area = self.area();
                self.mouse.take(&mut self.state, *event, self.started.elapsed(), area, &self.shown)
            }
            Some(Ok(Event::Paste(text))) => {
                popup::paste(&mut self.state, text);
                None
            }
            // We were stopped and go on.
            Some(Ok(Event::FocusGained)) if (self.is_ours)() => {
                terminal::retake(self.state.settings.mouse);
                Some(Effect::Repaint)
            }
            Some(Ok(_)) => None,
            // The terminal is gone, and with it every other way to end.
            Some(Err(_)) | None => {
                hangup::note();
                Some(Effect::Quit)
            }
        };
        self.follow();
        effect.is_some_and(|effect| self.cause(effect))
    }

    fn press(&mut self, key: &KeyEvent) -> bool {
        let effect = popup::press(&mut self.state, key, &self.shown);
        self.follow();
        effect.is_some_and(|effect| self.cause(effect))
    }

    /// Does what the state cannot; `true` when it is time to go.
    fn cause(&mut self, effect: Effect) -> bool {
        match effect {
            Effect::Quit => {
                // Fails only when the engine has ended; then so does the feed.
                let _ = self.control.send(Command::Stop);
                self.state.phase = Phase::Stopping;
                return true;
            }
            // Fails only when the engine has ended; then so does the feed.
            Effect::Clear => {
                let _ = self.control.send(Command::Clear);
                self.state.say("what has ended is gone from the lists; its bytes stay counted");
            }
            Effect::Measure(on) => {
                let _ = self.control.send(Command::Measure(on));
            }
            Effect::Repaint => self.begin_anew(),
            Effect::Suspend => {
                terminal::suspend(self.state.settings.mouse);
                self.begin_anew();
            }
            Effect::NameHosts(on) => {
                let _ = self.control.send(Command::NameHosts(on));
            }
            Effect::Interval(interval) => {
                let _ = self.control.send(Command::Interval(interval));
            }
            Effect::Watch(interfaces) => {
                let _ = self.control.send(Command::Watch(interfaces));
            }
            Effect::Mouse(ours) => terminal::mouse(ours),
            Effect::Copy(text) => {
                terminal::send(&export::clipboard(&text));
                self.state.say("copied, where the terminal lets programs copy (OSC 52)");
            }
            Effect::Save => self.save(),
            Effect::Export => self.export(),
        }
        false
    }

    /// Has everything drawn again. Not by `Terminal::clear`: that asks the terminal where its cursor is and waits for the
    /// answer, which takes as long as the link does, and two seconds where none comes.
    fn begin_anew(&mut self) {
        let area = self.area();
        // A terminal that cannot be cleared fails the next draw, which says so.
        let _ = self.terminal.resize(area);
    }

    fn save(&mut self) {
        let Some(file) = &self.file else {
            return self.state.complain("no settings file: set HOME, or name one with -c FILE");
        };
        match file.save(&self.state.kept()) {
            Ok(()) => self.state.say(format!("settings written to {}", file.path().display())),
            Err(error) => self.state.complain(format!("{error:#}")),
        }
    }

    fn export(&mut self) {
        let page = export::page(&self.state);
        match export::write(self.state.view, &self.shown, &page, &self.caller) {
            Ok(path) => {
                self.state.say(format!("{} rows written to {}", page.lines().count() - 1, path.display()));
            }
            Err(error) => {
                self.state.complain(format!("cannot write here: {error}; start it in a directory of yours"));
            }
        }
    }

    fn area(&self) -> Rect {
        self.terminal
            .size()
            .map(|size| Rect::from((ratatui::layout::Position::ORIGIN, size)))
            .unwrap_or_default()
    }

    fn draw(&mut self) -> anyhow::Result<()> {
        self.asked.follow(&self.state.path, &self.control);
        // A signal or a panic elsewhere may have given the terminal back.
        if !(self.is_ours)() {
            return Ok(());
        }
        if (self.state.theme(), self.state.ground) != (self.themed.0.as_str(), self.themed.1) {
            (self.theme, self.themed) = themed(&self.state, self.abilities.depth);
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

/// The styles of the theme that is shown. `auto` is the default for the background, and the terminal's own sixteen
/// colours where it is not known.
fn themed(state: &State, depth: Depth) -> (Theme, (String, Option<Ground>)) {
    let name = match (state.theme(), state.ground) {
        (popup::AUTO, Some(Ground::Light)) => "default-light",
        (popup::AUTO, Some(Ground::Dark)) => "default-dark",
        (popup::AUTO, _) => "terminal",
        (name, _) => name,
    };
    let palette = state.catalog.find(name).or_else(|_| state.catalog.find("terminal"));
    let theme =
        palette.map_or_else(|_| Theme::without_colour(), |palette| Theme::new(palette, depth, state.ground));
    (theme, (state.theme().to_owned(), state.ground))
}

/// A key that quits, or a terminal that is gone.
fn asks_to_quit(event: Option<&io::Result<Event>>) -> bool {
    match event {
        Some(Ok(Event::Key(key))) => keymap::action(key) == Some(keymap::Action::Quit),
        Some(Ok(_)) => false,
        Some(Err(_)) | None => true,
    }
}

/// What waits in a stream already; `None` where nothing does. It asks with the waker of its own task: crossterm's stream
/// wakes whoever asked first, and would wake nobody when the next key comes if that one were a waker that does nothing.
async fn ready<S: Stream + Unpin>(stream: &mut S) -> Option<Option<S::Item>> {
    std::future::poll_fn(|context| match stream.poll_next_unpin(context) {
        Poll::Ready(item) => Poll::Ready(Some(item)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
