//! What the user asked for: the command line, checked, with one clear sentence for what is wrong.
//!
//! It reads no file and asks nothing of the system. clap answers usage errors with exit status 2.

use clap::Parser;
use monitor_common::{CAPACITY_RANGE, DEFAULT_CAPACITY};
use std::path::PathBuf;
use std::time::Duration;

/// Shortest `--interval`, seconds.
const MIN_INTERVAL: f64 = 0.1;
/// Longest `--interval` and `--duration`, seconds: a year.
const MAX_SECONDS: f64 = 31_536_000.0;

/// Which process moves which bytes to whom, counted in the kernel.
#[derive(Clone, Debug, Parser)]
#[command(name = "monitor", version, about, max_term_width = 100, after_help = EXIT_CODES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Cli {
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

    /// Seconds between ticks, at least 0.1
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval,
          allow_negative_numbers = true)]
    pub interval: Duration,

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

    /// Show ports as numbers and not by the names of their services
    #[arg(short = 'N', long)]
    pub no_port_names: bool,

    /// Hash the executable of every process that moves bytes (SHA-256)
    #[arg(long)]
    pub sha256: bool,

    /// Flows that one interval can hold, per half of the double buffer; more than that keep their owner, not their flow
    #[arg(long, value_name = "ROWS", default_value_t = DEFAULT_CAPACITY,
          value_parser = clap::value_parser!(u32).range(i64::from(CAPACITY_RANGE.0)..=i64::from(CAPACITY_RANGE.1)))]
    pub capacity: u32,

    /// Draw without colour (NO_COLOR does the same)
    #[arg(long)]
    pub no_color: bool,

    /// Write a log here; RUST_LOG sets how much (warn by default)
    #[arg(long, value_name = "FILE")]
    pub log_file: Option<PathBuf>,

    /// Treat a kernel program as refused (for tests of degraded operation)
    #[arg(long, value_name = "PROGRAM", hide = true)]
    pub refuse: Vec<String>,

    /// Look for the files of users, packages and container runtimes below this directory (for tests)
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    pub state_root: PathBuf,
}

const EXIT_CODES: &str = "\
Exit status: 0 done, q, or stdout closed; 1 run-time failure (no permission, no such cgroup, kernel too old); 2 usage;
101 internal error; 128+N on signal N.";

/// How the result is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The terminal screen.
    Screen,
    /// NDJSON.
    Json,
    /// Plain text.
    Text,
}

impl Cli {
    /// How long to run: `--duration`, or one interval for `--once`, whose only object is then the last.
    pub fn stop_after(&self) -> Option<Duration> {
        if self.once { Some(self.interval) } else { self.duration }
    }

    /// How the result is shown, given whether stdout is a terminal.
    pub fn output(&self, terminal: bool) -> Output {
        match (self.json, self.text || self.once || !terminal) {
            (true, _) => Output::Json,
            (false, true) => Output::Text,
            (false, false) => Output::Screen,
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    parse_seconds(text, 0.001)
}

fn interval(text: &str) -> Result<Duration, String> {
    parse_seconds(text, MIN_INTERVAL)
}

fn parse_seconds(text: &str, least: f64) -> Result<Duration, String> {
    let value: f64 = text.parse().map_err(|_| "give a number of seconds, such as 1 or 0.5".to_owned())?;
    if !value.is_finite() || value < least || value > MAX_SECONDS {
        return Err(format!("give from {least} to {MAX_SECONDS} seconds"));
    }
    Ok(Duration::from_secs_f64(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

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
        assert_eq!(cli.interval, Duration::from_secs(1));
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
        assert_eq!(parse("--interval 0.1").unwrap().interval, Duration::from_millis(100));
    }
}
