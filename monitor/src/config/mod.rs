//! Configuration: what the user asked for on the command line, the settings file and themes, each with one clear sentence
//! for what is wrong.
//!
//! clap answers usage errors with exit status 2. What is wrong in a file is an error at run time (1): the command may
//! be right where the file is not.

mod caller;
mod capture;
mod field;
mod file;
mod reading;
mod rights;
mod settings;
mod themes;
mod value;

pub(crate) use caller::Caller;
#[cfg(any(feature = "pcap", not(target_os = "linux")))]
pub(crate) use capture::{AttributionChoice, DEFAULT_BUFFER};
pub(crate) use capture::{BackendChoice, CaptureOptions};
pub(crate) use file::SettingsFile;
#[cfg(test)]
pub(crate) use settings::OPTIONS;
pub(crate) use settings::Settings;
#[cfg(test)]
pub(crate) use themes::ROLES;
pub(crate) use themes::{Catalog, Ground, Paint, Palette, Role};
pub(crate) use value::{Alert, Background, BarStyle, Lines, Prefix, Scale, Unit};

use crate::query::filter::{Filter, FilterError};
use crate::query::{Choice, Measure, Notation, Prefixes, SortKey, Units, ViewKind, amount};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use monitor_common::{CAPACITY_RANGE, DEFAULT_CAPACITY};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Shortest `--interval`, seconds.
const MIN_INTERVAL: f64 = 0.1;
/// Longest `--interval` and `--duration`, seconds: a year.
const MAX_SECONDS: f64 = 31_536_000.0;

/// Which process moves which bytes to whom, counted in the kernel.
#[derive(Clone, Debug, Parser)]
#[command(name = "monitor", version, about, max_term_width = 100, after_help = AFTER_HELP)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Cli {
    /// Print one JSON object a tick (NDJSON) instead of the screen
    #[arg(long, conflicts_with = "text")]
    pub json: bool,

    /// Print plain text instead of the screen; the default where stdout is no terminal
    #[arg(short = 't', long)]
    pub text: bool,

    /// Stop after this many seconds; with -t, print once, then
    #[arg(short = 's', long = "duration", value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    pub duration: Option<Duration>,

    /// Print once, after the first interval, and stop
    #[arg(long, conflicts_with = "duration")]
    pub once: bool,

    /// Seconds between ticks, at least 0.1 [default: 1]
    #[arg(long, value_name = "SECONDS", value_parser = interval, allow_negative_numbers = true)]
    pub interval: Option<Duration>,

    /// Count only what this cgroup2 sub-tree (a container, a unit) moves: a path below the cgroup2 root, or its directory
    #[arg(long, value_name = "PATH")]
    pub cgroup: Option<PathBuf>,

    /// Show what passes this interface: sockets on it, and what no socket sees (forwarded, refused, ARP); repeatable
    #[arg(short = 'i', long, value_name = "IFACE")]
    pub interface: Vec<String>,

    /// Put the interfaces of -i into promiscuous mode: also count what is addressed to other hosts
    #[arg(short = 'p', long, requires = "interface")]
    pub promiscuous: bool,

    /// Do not ask for the names of hosts (reverse DNS, the hosts file)
    #[arg(short = 'n', long)]
    pub no_dns: bool,

    /// Ask name servers for private, loopback and link-local addresses, too
    #[arg(long, conflicts_with = "no_dns")]
    pub dns_private: bool,

    /// Hash the executable of every process that moves bytes (SHA-256)
    #[arg(long)]
    pub sha256: bool,

    /// Captured packets and files
    #[command(flatten)]
    pub capture: CaptureOptions,

    /// Flows that one interval can hold, per half of the double buffer; more than that keep their owner, not their flow
    #[arg(long, value_name = "ROWS", default_value_t = DEFAULT_CAPACITY,
          value_parser = clap::value_parser!(u32).range(i64::from(CAPACITY_RANGE.0)..=i64::from(CAPACITY_RANGE.1)))]
    pub capacity: u32,

    /// Flows and processes that are held, at most so many of each; a 32nd of that of processes that have ended
    #[arg(long, value_name = "ROWS", default_value_t = 65_536,
          value_parser = clap::value_parser!(u32).range(1_024..=4_194_304))]
    pub max_rows: u32,

    /// Open with this order: 2s, 10s, 40s (the rate of both directions), source, destination, or a column
    #[arg(short = 'o', long, value_name = "ORDER", value_parser = field::sort_name)]
    pub sort: Option<String>,

    /// The other way round
    #[arg(long)]
    pub reverse: bool,

    /// What to list; -t and --json list processes and flows without
    #[arg(long, value_name = "VIEW", value_parser = view_names(), conflicts_with = "group_by")]
    pub view: Option<ViewKind>,

    /// The same, by what one row is of
    #[arg(long, value_name = "WHAT", value_parser = group_names())]
    pub group_by: Option<ViewKind>,

    /// Show and add up only this, such as 'proc:nginx and not net:10.0.0.0/8'; docs/filter.md has the language
    #[arg(long, value_name = "EXPR", value_parser = filter)]
    pub filter: Option<Arc<Filter>>,

    /// With -t and --json: at most so many rows a list, in the order of -o; 0 for all
    #[arg(short = 'L', long, value_name = "ROWS")]
    pub lines: Option<usize>,

    /// How large a remote network is: prefix lengths for IPv4 and IPv6
    #[arg(long, value_name = "V4[,V6]", default_value = "24,64", value_parser = prefixes)]
    pub net_prefix: Prefixes,

    /// Show rates in bits or bytes, in steps of 1000 (si) or 1024 (bin)
    #[arg(short = 'u', long, value_name = "UNIT", value_parser = unit_names(), conflicts_with = "bytes")]
    pub unit: Option<Units>,

    /// Show port numbers, not names of services
    #[arg(short = 'N', long)]
    pub no_port_names: bool,

    /// Show addresses without ports
    #[arg(short = 'P', long)]
    pub hide_ports: bool,

    /// Show flows without processes, on the screen
    #[arg(short = 'Z', long)]
    pub no_processes: bool,

    /// Draw no bars
    #[arg(short = 'b', long)]
    pub no_bars: bool,

    /// Rate of a full bar in bits/s, such as 100M; automatic without
    #[arg(short = 'm', long = "max", value_name = "RATE", value_parser = parse_rate)]
    pub bar_max: Option<u64>,

    /// Mark rows that move more than this in either direction, such as 100Mb/s or 12.5MB/s; 0 for none
    #[arg(long, value_name = "RATE")]
    pub alert: Option<Alert>,

    /// Show rates in bytes/s
    #[arg(short = 'B', long)]
    pub bytes: bool,

    /// Draw with this theme
    #[arg(long, value_name = "NAME")]
    pub theme: Option<String>,

    /// The background to be read on; auto asks the terminal
    #[arg(long, value_name = "GROUND")]
    pub background: Option<Background>,

    /// Draw without colour (NO_COLOR does the same)
    #[arg(long)]
    pub no_color: bool,

    /// Leave the mouse to the terminal
    #[arg(long)]
    pub no_mouse: bool,

    /// Read the settings from this file, at most 1 MB
    #[arg(short = 'c', long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// Print the themes, name and colours, one a line
    #[arg(long)]
    pub list_colors: bool,

    /// Print the completions for a shell
    #[arg(long, value_name = "SHELL")]
    pub completions: Option<clap_complete::Shell>,

    /// Write a log here; RUST_LOG sets how much (warn by default)
    #[arg(long, value_name = "FILE")]
    pub log_file: Option<PathBuf>,

    /// Do without the hooks of sendto(2): no lock on UDP sockets that threads share, and after a change of sender one
    /// datagram is the previous one's
    #[arg(long)]
    pub no_sendmsg_claims: bool,

    /// Treat a kernel program as refused (for tests of degraded operation)
    #[arg(long, value_name = "PROGRAM", hide = true)]
    pub refuse: Vec<String>,

    /// Look for the files of users, packages and container runtimes below this directory (for tests)
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    pub state_root: PathBuf,

    /// Something else than watching
    #[command(subcommand)]
    pub task: Option<Task>,
}

/// Something else than watching.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Task {
    /// The settings file
    Config {
        /// What to do with it
        #[command(subcommand)]
        action: ConfigAction,
    },
}

/// What to do with the settings file.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum ConfigAction {
    /// Print the settings in effect as a file with comments
    Print,
    /// Print where the file is
    Path,
    /// Say what is wrong in it
    Check,
}

const AFTER_HELP: &str = "\
Files: what is named here, and what the keys W and e write, is opened with the rights of who calls; under sudo, doas and \
pkexec these are not root's. SECURITY.md says more.

Exit status: 0 done, q, or stdout closed; 1 run-time failure (no permission, no such cgroup, kernel too old); 2 usage;
101 internal error; 128+N on signal N.";

/// How the result is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// The terminal screen.
    Screen,
    /// NDJSON.
    Json,
    /// Plain text.
    Text,
}

impl Cli {
    /// How long to run: `--duration`, or one interval for `--once`, whose only object is then the last.
    pub(crate) fn stop_after(&self, interval: Duration) -> Option<Duration> {
        if self.once { Some(interval) } else { self.duration }
    }

    /// The settings with what the command line says instead.
    pub(crate) fn over(&self, file: Settings) -> Settings {
        let either = |flag: bool, yes, no| if flag { yes } else { no };
        let view = self.chosen_view().unwrap_or(file.view);
        // A name of another view counts once that view is opened.
        let views = || std::iter::once(view).chain(ViewKind::ALL);
        let sort = self.sort.as_deref().and_then(|name| views().find_map(|view| SortKey::named(view, name)));
        let (sort, reverse) =
            sort.map_or((file.sort, file.reverse), |(sort, descending)| (sort, !descending));
        let (unit, prefix) = match self.unit {
            Some(units) => (Unit::of(units), Prefix::of(units)),
            None => (if self.bytes { Unit::Bytes } else { file.unit }, file.prefix),
        };
        Settings {
            interface: if self.interface.is_empty() { file.interface } else { self.interface.clone() },
            interval: self.interval.unwrap_or(file.interval),
            view,
            sort,
            reverse: reverse != self.reverse,
            bars: either(self.no_bars, BarStyle::Off, file.bars),
            hosts: file.hosts && !self.no_dns,
            services: file.services && !self.no_port_names,
            ports: file.ports && !self.hide_ports,
            owners: file.owners && !self.no_processes,
            bar_max: self.bar_max.or(file.bar_max),
            alert: self.alert.unwrap_or(file.alert),
            unit,
            prefix,
            theme: self.theme.clone().unwrap_or(file.theme),
            background: self.background.unwrap_or(file.background),
            color: file.color && !self.no_color,
            mouse: file.mouse && !self.no_mouse,
            ..file
        }
    }

    /// The view that was asked for, by either name.
    fn chosen_view(&self) -> Option<ViewKind> {
        self.view.or(self.group_by)
    }

    /// What `-t` and `--json` show. Of the settings only the units count there: scripts read it.
    pub(crate) fn choice(&self, settings: &Settings) -> Choice {
        Choice {
            view: self.chosen_view(),
            filter: self.filter.clone(),
            prefixes: self.net_prefix,
            sort: self.sort.clone(),
            reverse: self.reverse,
            lines: self.lines.filter(|lines| *lines > 0),
            notation: Notation {
                units: settings.units(),
                hosts: !self.no_dns,
                services: !self.no_port_names,
                ports: !self.hide_ports,
            },
        }
    }

    /// What clap cannot see by itself.
    ///
    /// # Errors
    /// A usage error: options of another backend than the one that is asked for, or no view that is to be shown has the
    /// column to sort by.
    pub(crate) fn check(&self) -> Result<(), clap::Error> {
        if let Some(sentence) = self.capture.contradiction(self.cgroup.is_some()) {
            return Err(Self::command().error(ErrorKind::ArgumentConflict, sentence));
        }
        let Some(name) = &self.sort else { return Ok(()) };
        let views = self.chosen_view().map_or(vec![ViewKind::Processes, ViewKind::Flows], |view| vec![view]);
        if views.iter().any(|view| SortKey::named(*view, name).is_some()) {
            return Ok(());
        }
        let (view, names) = (views[0].name(), SortKey::names(views[0]).join(", "));
        let what = format!("--sort {name}: the view {view} has no such column; there are {names}\n");
        Err(Self::command().error(ErrorKind::ValueValidation, what))
    }

    /// How the result is shown, given whether stdout is a terminal.
    pub(crate) fn output(&self, terminal: bool) -> Output {
        match (self.json, self.text || self.once || !terminal) {
            (true, _) => Output::Json,
            (false, true) => Output::Text,
            (false, false) => Output::Screen,
        }
    }
}

fn view_names() -> impl TypedValueParser<Value = ViewKind> {
    names(ViewKind::ALL.map(|view| (view.spec().name, view)))
}

fn group_names() -> impl TypedValueParser<Value = ViewKind> {
    names(ViewKind::ALL.map(|view| (view.spec().group, view)))
}

fn unit_names() -> impl TypedValueParser<Value = Units> {
    // As in iftop.
    let short = [("bits", Units::SiBits), ("bytes", Units::SiBytes)];
    names(Units::ALL.map(|units| (units.name(), units)).into_iter().chain(short))
}

fn names<T>(table: impl IntoIterator<Item = (&'static str, T)>) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    let table: Vec<_> = table.into_iter().collect();
    let every: Vec<_> = table.iter().map(|(name, _)| *name).collect();
    PossibleValuesParser::new(every).map(move |wanted| {
        let found = table.iter().find(|(name, _)| *name == wanted);
        // The parser before this one lets nothing else pass.
        found.map_or(table[0].1, |(_, value)| *value)
    })
}

fn filter(text: &str) -> Result<Arc<Filter>, FilterError> {
    Filter::parse(text).map(Arc::new)
}

fn prefixes(text: &str) -> Result<Prefixes, String> {
    let wanted =
        || "give prefix lengths such as 24 or 16,48: at most 32 for IPv4 and 128 for IPv6".to_owned();
    let (v4, v6) = text.split_once(',').map_or((text, None), |(v4, v6)| (v4, Some(v6)));
    let bits = |text: &str, most: u8| text.parse().ok().filter(|bits| *bits <= most).ok_or_else(wanted);
    Ok(Prefixes { v4: bits(v4, 32)?, v6: v6.map_or(Ok(Prefixes::default().v6), |v6| bits(v6, 128))? })
}

fn seconds(text: &str) -> Result<Duration, String> {
    parse_seconds(text, 0.001)
}

fn interval(text: &str) -> Result<Duration, String> {
    parse_seconds(text, MIN_INTERVAL)
}

fn parse_seconds(text: &str, least: f64) -> Result<Duration, String> {
    let value: f64 = text.parse().map_err(|_| "give a number of seconds, such as 1 or 0.5".to_owned())?;
    checked_seconds(value, least)
}

fn checked_seconds(value: f64, least: f64) -> Result<Duration, String> {
    if !value.is_finite() || value < least || value > MAX_SECONDS {
        return Err(format!("give from {least} to {MAX_SECONDS} seconds"));
    }
    Ok(Duration::from_secs_f64(value))
}

/// A rate in bits/s. Beyond a petabit there is no wire.
fn parse_rate(text: &str) -> Result<u64, String> {
    let rate = amount(text, Measure::BitRate).ok().filter(|rate| (1..=1_000_000_000_000_000).contains(rate));
    rate.ok_or_else(|| "give bits/s, such as 100M or 100Mb/s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, String> {
        Cli::try_parse_from(std::iter::once("monitor").chain(line.split_whitespace()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn defaults() {
        let cli = parse("").unwrap();
        assert_eq!(cli.over(Settings::default()), Settings::default());
        assert_eq!(cli.capacity, DEFAULT_CAPACITY);
        assert_eq!(cli.output(true), Output::Screen);
        assert_eq!(cli.output(false), Output::Text);
    }

    #[test]
    fn formats() {
        assert_eq!(parse("--json -s 5").unwrap().output(true), Output::Json);
        assert_eq!(parse("-t").unwrap().output(true), Output::Text);
        assert_eq!(parse("--once").unwrap().output(true), Output::Text);
        assert!(parse("--json -t").is_err());
        assert!(parse("--once -s 3").is_err());
    }

    #[test]
    fn short_and_long_names_are_one() {
        // The long names are those of iftoprs, but for `--filter`, which is another language here.
        for (short, long) in [
            ("-i lo", "--interface lo"),
            ("-f tcp", "--capture-filter tcp"),
            ("-F 10.0.0.0/8", "--net-filter 10.0.0.0/8"),
            ("-G fd00::/8", "--net-filter6 fd00::/8"),
            ("-n", "--no-dns"),
            ("-N", "--no-port-names"),
            ("-i lo -p", "--interface lo --promiscuous"),
            ("-b", "--no-bars"),
            ("-B", "--bytes"),
            ("-P", "--hide-ports"),
            ("-Z", "--no-processes"),
            ("-l", "--list-interfaces"),
            ("-c x", "--config x"),
            ("-t", "--text"),
            ("-s 2", "--duration 2"),
            ("-L 5", "--lines 5"),
            ("-o source", "--sort source"),
            ("-m 1G", "--max 1G"),
            ("-u bits", "--unit si-bits"),
            ("-u bytes", "--unit si-bytes"),
        ] {
            let said = [short, long].map(|line| format!("{:?}", parse(line).unwrap()));
            assert_eq!(said[0], said[1], "{short}");
            assert_ne!(said[0], format!("{:?}", parse("").unwrap()), "{short}");
        }
    }

    #[test]
    fn interfaces_repeat_and_promiscuous_needs_one() {
        let cli = parse("-i eth0 --interface lo -p").unwrap();
        assert_eq!((cli.interface, cli.promiscuous), (vec!["eth0".to_owned(), "lo".to_owned()], true));
        assert!(parse("-p").is_err());
    }

    #[test]
    fn numbers_out_of_range_name_the_range() {
        for line in ["--interval 0.05", "--interval nan", "--interval -1", "--interval x", "-s 0", "-s 1e30"]
        {
            let message = parse(line).unwrap_err();
            assert!(message.contains("give"), "{line}: {message}");
        }
        for line in ["--capacity 0", "--capacity 63", "--capacity 4294967295", "--capacity 99999999999"] {
            let message = parse(line).unwrap_err();
            assert!(message.contains("64..=8388608"), "{line}: {message}");
        }
        assert_eq!(parse("--interval 0.1").unwrap().interval, Some(Duration::from_millis(100)));
    }

    #[test]
    fn rates_are_amounts_with_bounds() {
        for (text, rate) in [("1", 1), ("100Mb/s", 100_000_000), ("1T", 1_000_000_000_000), ("1Ki", 1024)] {
            assert_eq!(parse_rate(text), Ok(rate));
            assert!(parse(&format!("--max {text} --alert {text} --filter rate>{text}")).is_ok());
        }
        for text in ["", "k", "0", "-1", "1e99", "nan", "b/s", "0.5", "1001T", "9999999999999T"] {
            assert!(parse_rate(text).unwrap_err().contains("100M"), "{text}");
        }
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let line = "-i lo --interval 2 -o source -b -m 1G --alert 2M -B -N -P -Z --theme x --background light --no-color --no-mouse";
        let settings =
            parse(line).unwrap().over(Settings { interface: vec!["eth0".into()], ..Settings::default() });
        let said = Settings {
            interface: vec!["lo".into()],
            interval: Duration::from_secs(2),
            sort: SortKey::Column(crate::query::Field::Local),
            reverse: true,
            services: false,
            ports: false,
            owners: false,
            bars: BarStyle::Off,
            bar_max: Some(1_000_000_000),
            alert: Alert(Some(2_000_000)),
            unit: Unit::Bytes,
            theme: "x".into(),
            background: Background::Light,
            color: false,
            mouse: false,
            ..Settings::default()
        };
        assert_eq!(settings, said);
        let file = Settings { border: true, mouse: false, bars: BarStyle::Thin, ..said };
        assert_eq!(parse("").unwrap().over(file.clone()), file);
        assert!(parse("-o speed").unwrap_err().contains("there are: 2s"));
    }

    #[test]
    fn the_settings_file_has_its_commands() {
        let cli = parse("config check -c f.toml").unwrap();
        assert!(matches!(cli.task, Some(Task::Config { action: ConfigAction::Check })));
        assert_eq!(cli.config, Some("f.toml".into()));
        assert!(parse("config").is_err());
        assert!(parse("conf print").is_err());
    }
}
