//! The composition root: options -> preflight -> engine -> frontend -> exit status. No logic of its own.
//!
//! Order contract: 1. usage errors (clap, status 2); 2. the log; 3. preflight, one sentence on stderr and status 1,
//! before the screen is taken; 4. the panic hook; 5. the engine thread, which opens the source; 6. the frontend, on
//! this thread; 7. the engine's end; 8. only then errors are printed, on a terminal that is a terminal again.

mod listing;
mod log_file;
mod origin;
mod search_path;

use crate::config::{Caller, Catalog, Cli, ConfigAction, Output, Settings, SettingsFile, Task};
use crate::engine::{
    Command, Ending, Engine, EngineOptions, Feed, ProcessOptions, ResolveOptions, Running, Zygote,
};
use crate::frontend::{self, Frontend};
use crate::query::Choice;
use crate::source::SourceError;
use crate::threads::{self, Role};
use anyhow::{Context, Result, anyhow};
use clap::{CommandFactory, Parser};
use origin::Start;
use rustix::io::Errno;
use rustix::process::Signal;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// Exit status after a panic, as Rust's own runtime has it.
const PANICKED: i32 = 101;

/// How long after a signal the output may stand still.
const STALLED: Duration = Duration::from_secs(5);
/// How long the frontend may take to end once what stood still was thrown away.
const DISCARDED: Duration = Duration::from_secs(1);

/// Flows that are over and stay on the screen until they are cleared; a few megabytes.
const ENDED_FLOWS: usize = 4096;

/// Runs `monitor` to its end.
pub fn main() -> ExitCode {
    #[expect(unsafe_code, reason = "changing the environment is unsafe once there is a second thread")]
    // SAFETY: this is the first thing that the program does; it has one thread.
    unsafe {
        search_path::trust_the_system_only();
    }
    #[cfg(target_os = "linux")]
    crate::source::ebpf::share_heap();
    let cli = Cli::parse();
    if let Err(error) = cli.check() {
        error.exit();
    }
    match run(&cli) {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Signal(number)) => ExitCode::from(signalled(number)),
        Err(error) => {
            frontend::restore();
            frontend::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<Ending> {
    let caller = Caller::find()?;
    if cli.state_root != Path::new("/") && caller.lacks_our_rights() {
        let sentence = "--state-root has other people's files read, so it is for root and for a program without capabilities\n";
        Cli::command().error(clap::error::ErrorKind::ArgumentConflict, sentence).exit();
    }
    if let Some(page) = page(cli, &caller)? {
        return print(&page).map(|()| Ending::Done);
    }
    let file = SettingsFile::find(cli.config.as_deref(), caller.clone());
    let mut settings = cli.over(match &file {
        Ok(file) => file.load()?,
        Err(_) => Settings::default(),
    });
    log_file::start(cli, &caller)?;
    let catalog = catalog(&caller)?;
    settings.theme = theme(cli, &settings, &catalog, &file)?;
    let is_terminal = std::io::stdout().is_terminal();
    let output = cli.output(is_terminal);
    let zygote = if cli.capture.read.is_none() { zygote() } else { None };
    let start = origin::preflight(cli, &caller, &settings, output)?;
    restore_on_panic();
    let (stop_after, choice) = (cli.stop_after(settings.interval), cli.choice(&settings));
    let on_screen = output == Output::Screen;
    let resolve = ResolveOptions {
        // On the screen, keys change both.
        hosts: if on_screen { settings.hosts } else { !cli.no_dns },
        private_hosts: cli.dns_private,
        services: on_screen || !cli.no_port_names,
        processes: Some(ProcessOptions { hash: cli.sha256, zygote }),
        root: cli.state_root.clone(),
    };
    let options = EngineOptions {
        interval: settings.interval,
        duration: stop_after,
        eager: on_screen,
        keep_ended: if on_screen { ENDED_FLOWS } else { 0 },
        max_rows: cli.max_rows as usize,
        resolve,
    };
    let mut feed = Feed::default();
    let snapshots = feed.every();
    let engine = match start {
        Start::Live(open) => {
            Engine::start(open, origin::reopen(cli, &caller, &settings, output), options, feed)
        }
        Start::Recorded(recording, pace) => Engine::replay(recording, pace, options, feed),
    };
    let engine = engine.context("cannot start the engine thread")?;
    let (control, running) = engine.into_parts();
    let frontend: Box<dyn Frontend> = match output {
        Output::Screen => {
            let Choice { filter, prefixes, .. } = choice;
            let file = file.ok();
            let interfaces = listing::names;
            let options =
                frontend::TuiOptions { settings, filter, prefixes, interfaces, catalog, caller, file };
            Box::new(frontend::Tui::new(options))
        }
        Output::Json => Box::new(frontend::Json::new(choice, false)),
        Output::Text => Box::new(frontend::Text::new(choice, stop_after.is_some())),
    };
    let ended = ending(running).context("cannot start the thread that waits for the end")?;
    let shown = frontend.run(snapshots, control.clone());
    // A frontend that returns by itself (closed stdout, an error of its own) ends the engine, too.
    let _ = control.send(Command::Stop);
    drop(control);
    let ending = ended.recv().context("the thread that waits for the end is gone")??;
    match shown {
        Err(error) if is_terminal && is_gone(&error) => Ok(Ending::Signal(Signal::HUP.as_raw())),
        shown => shown.map(|()| ending),
    }
}

/// What makes the processes that look at what may hang. Without it, this one looks.
#[cfg(target_os = "linux")]
fn zygote() -> Option<Arc<Zygote>> {
    #[expect(unsafe_code, reason = "a fork copies one thread and the locks of all")]
    // SAFETY: what ran on another thread until here was waited for; there is one.
    let started = unsafe { Zygote::start() };
    started.map(Arc::new).inspect_err(|error| log::warn!("no process to look at files: {error}")).ok()
}

/// There is no /proc here that names files which could hang.
#[cfg(not(target_os = "linux"))]
fn zygote() -> Option<Arc<Zygote>> {
    None
}

/// Whether a write failed because the terminal is not there any more. Its end is a signal, also where none came.
fn is_gone(error: &anyhow::Error) -> bool {
    let gone = [Errno::IO, Errno::NXIO].map(|errno| Some(errno.raw_os_error()));
    let errors = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    errors.map(io::Error::raw_os_error).any(|number| gone.contains(&number))
}

/// How the engine ends. A signal ends the program also where nobody takes what it writes: a connection that hangs, a pager
/// that waits for its user. Without one it waits, for then what is written is wanted.
fn ending(running: Running) -> io::Result<Receiver<Result<Ending, SourceError>>> {
    let (tell, ended) = mpsc::channel();
    let wait = move || {
        let ending = running.join();
        let signal = match ending {
            Ok(Ending::Signal(number)) => Some(number),
            _ => None,
        };
        // Fails only when the frontend panicked, and then the program ends by itself.
        let _ = tell.send(ending);
        if let Some(number) = signal {
            thread::sleep(STALLED);
            frontend::discard();
            thread::sleep(DISCARDED);
            std::process::exit(i32::from(signalled(number)));
        }
    };
    threads::spawn(Role::Ending, wait)?;
    Ok(ended)
}

/// The exit status after a signal, as shells have it.
fn signalled(number: i32) -> u8 {
    128_u8.saturating_add(u8::try_from(number).unwrap_or(0))
}

/// The theme, by its own name. One that is named on the command line and does not exist is a usage error, as any other value
/// is.
fn theme(cli: &Cli, settings: &Settings, catalog: &Catalog, file: &Result<SettingsFile>) -> Result<String> {
    if settings.theme == "auto" {
        return Ok(settings.theme.clone());
    }
    let sentence = match catalog.find(&settings.theme) {
        Ok(theme) => return Ok(theme.name.clone()),
        Err(sentence) => sentence,
    };
    match file {
        _ if cli.theme.is_some() => Cli::command()
            .error(clap::error::ErrorKind::ValueValidation, format!("--theme: {sentence}\n"))
            .exit(),
        Ok(file) => Err(anyhow!("{}: {sentence}", file.path().display())),
        Err(_) => Err(anyhow!(sentence)),
    }
}

/// What is printed instead of watching, where that was asked for.
fn page(cli: &Cli, caller: &Caller) -> Result<Option<String>> {
    if cli.capture.list_interfaces {
        return listing::page().map(Some);
    }
    if let Some(shell) = cli.completions {
        let mut page = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "monitor", &mut page);
        return Ok(Some(String::from_utf8_lossy(&page).into_owned()));
    }
    if cli.list_colors {
        let colour = !cli.no_color && io::stdout().is_terminal();
        return Ok(Some(frontend::swatches(&catalog(caller)?, colour)));
    }
    let Some(Task::Config { action }) = &cli.task else { return Ok(None) };
    let file = SettingsFile::find(cli.config.as_deref(), caller.clone())?;
    Ok(Some(match action {
        ConfigAction::Path => format!("{}\n", file.path().display()),
        ConfigAction::Print => cli.over(file.load()?).sample(),
        ConfigAction::Check => {
            let settings = file.load()?;
            let catalog = catalog(caller)?;
            if settings.theme != "auto" {
                catalog
                    .find(&settings.theme)
                    .map_err(|error| anyhow!("{}: {error}", file.path().display()))?;
            }
            format!("{}: nothing wrong\n", file.path().display())
        }
    }))
}

fn catalog(caller: &Caller) -> Result<Catalog> {
    match &caller.config {
        Some(config) => Catalog::with_directory(&config.join("themes"), caller),
        None => Ok(Catalog::built_in()),
    }
}

/// A reader that went away is no error.
fn print(page: &str) -> Result<()> {
    match io::stdout().write_all(page.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// A panic on any thread gives the terminal back, says so, and ends the program: half a program is worse than none.
/// What happened comes last, where a person looks, after the backtrace that RUST_BACKTRACE may ask for.
fn restore_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        frontend::restore();
        report(info);
        frontend::complain(&format!("internal error, please report it: {info}"));
        std::process::exit(PANICKED);
    }));
}
