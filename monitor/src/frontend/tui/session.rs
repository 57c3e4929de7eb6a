//! Session: the loop of the screen. It waits for keys, snapshots and the size of the window, and carries out what an action
//! asks of the world outside the state. What keys mean is `input`'s and `update`'s, what a frame looks like `view`'s.

use super::asked::Asked;
use super::effect::Effect;
use super::hangup::{self, PATIENCE};
use super::mouse::Mouse;
use super::reply::{Heard, Replies};
use super::state::{Phase, State};
use super::style::Glyphs;
use super::theme::{Depth, Theme};
use super::view::{self, Ctx};
use super::{Abilities, TuiOptions, export, input, keymap, popup, terminal};
use crate::config::{Background, Caller, Ground, SettingsFile};
use crate::engine::{Command, Control, Snapshots};
use crate::model::Snapshot;
use anyhow::Context;
use crossterm::event::{Event, KeyEvent};
use futures_util::{Stream, StreamExt};
use ratatui::Terminal;
use ratatui::backend::Backend;
use ratatui::layout::Rect;
use std::io;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// Panics where a test asks for it, to see what becomes of the terminal. Compiled into debug builds only.
#[cfg(debug_assertions)]
fn test_panic() {
    assert!(
        std::env::var_os("MONITOR_TEST_PANIC").is_none_or(|place| place != "frontend"),
        "panic in the frontend, as MONITOR_TEST_PANIC asks"
    );
}

/// The screen while it runs.
pub(super) struct Session<B: Backend> {
    /// Never dropped: it would show the cursor, which is for `terminal` to do, and panic where the terminal is gone.
    pub(super) terminal: ManuallyDrop<Terminal<B>>,
    control: Control,
    pub(super) state: State,
    abilities: Abilities,
    glyphs: Glyphs,
    /// The styles of the theme that is shown, and what they were made for.
    pub(super) theme: Theme,
    themed: (String, Option<Ground>),
    caller: Caller,
    file: Option<SettingsFile>,
    mouse: Mouse,
    replies: Replies,
    started: Instant,
    /// Whether the terminal may be drawn on.
    is_ours: fn() -> bool,
    /// How long the engine may take to end.
    pub(super) patience: Duration,
    /// What the engine was asked about what is opened.
    asked: Asked,
    /// What is shown.
    pub(super) shown: Arc<Snapshot>,
    /// The latest there is.
    pub(super) latest: Arc<Snapshot>,
}

impl<B: Backend> Session<B>
where
    B::Error: Send + Sync + 'static,
{
    pub(super) fn new(
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
        let text = options.filter.as_ref().map(ToString::to_string).unwrap_or_default();
        state.look_for_typed(options.filter, text);
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

    /// The terminal will be asked for its background.
    pub(super) fn expect_ground(&mut self) {
        self.replies.ask(self.started.elapsed());
    }

    /// Runs until the feed ends or the user's patience does. `listen` starts to listen for keys, after the first frame.
    pub(super) async fn run<E>(
        mut self,
        mut feed: Snapshots,
        listen: impl FnOnce() -> E,
    ) -> anyhow::Result<()>
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

    pub(super) fn receive(&mut self, snapshot: Arc<Snapshot>) {
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
    pub(super) fn take(&mut self, event: Option<&io::Result<Event>>) -> bool {
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
                input::paste(&mut self.state, text);
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
        let effect = input::press(&mut self.state, key, &self.shown);
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

    pub(super) fn draw(&mut self) -> anyhow::Result<()> {
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

/// The styles of the theme that is shown, and what they are of. `auto` is the default for the background, and the terminal's own sixteen
/// colours where it is not known.
pub(super) fn themed(state: &State, depth: Depth) -> (Theme, (String, Option<Ground>)) {
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
