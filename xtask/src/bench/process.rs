//! What can be measured from outside, with nothing but the program: time to its first object, and what it takes at idle.

use super::{Sample, Setting};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The shortest interval that monitor takes: how long it must count before it has something to say.
const INTERVAL: Duration = Duration::from_millis(100);
/// What loading, seeding and the first allocations take; not part of idling.
const WARM_UP: Duration = Duration::from_secs(3);
const IDLE: Duration = Duration::from_secs(10);

/// Time from exec to the first object, and what of it is not the interval.
pub(super) fn first_output(setting: &Setting) -> Result<Vec<Sample>> {
    let interval = INTERVAL.as_secs_f64().to_string();
    let mut command = Command::new(&setting.monitor);
    command.args(["--json", "--once", "--interval", &interval]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = Running(command.spawn().context("cannot start monitor")?);
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().context("monitor has no stdout")?).read_line(&mut line)?;
    let took = start.elapsed();
    if line.is_empty() {
        bail!("monitor printed nothing: {}", child.complaint());
    }
    let sample = |what, took: Duration| Sample { what, unit: "ms", value: took.as_secs_f64() * 1e3 };
    Ok(vec![
        sample("exec to first object (goal: 200 ms)", took),
        sample("the same without the interval", took.saturating_sub(INTERVAL)),
    ])
}

/// CPU time as a share of one core, and memory, while nothing happens but the ticks.
pub(super) fn idle(setting: &Setting) -> Result<Vec<Sample>> {
    let mut command = Command::new(&setting.monitor);
    command.arg("--json").stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = Running(command.spawn().context("cannot start monitor")?);
    thread::sleep(WARM_UP);
    if child.0.try_wait()?.is_some() {
        bail!("monitor ended: {}", child.complaint());
    }
    let directory = Path::new("/proc").join(child.0.id().to_string());
    let (start, before) = (Instant::now(), cpu_time(&directory)?);
    thread::sleep(IDLE);
    let (elapsed, after) = (start.elapsed(), cpu_time(&directory)?);
    let status = std::fs::read_to_string(directory.join("status"))?;
    let used = after.saturating_sub(before).as_secs_f64() / elapsed.as_secs_f64() * 100.0;
    Ok(vec![
        Sample { what: "CPU at idle (goal: 0.2 %)", unit: "%", value: used },
        Sample { what: "resident memory (goal: 25 MB)", unit: "MB", value: memory(&status, "VmRSS:")? },
        Sample { what: "highest resident memory", unit: "MB", value: memory(&status, "VmHWM:")? },
    ])
}

/// A process that does not outlive its bench.
struct Running(Child);

impl Running {
    /// What it said on stderr, once it has ended.
    fn complaint(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut stderr) = self.0.stderr.take() {
            // What cannot be read is missing from a message that is already an error.
            let _ = stderr.read_to_string(&mut text);
        }
        text.trim().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// CPU time of all live threads. `stat` has it in ticks of 10 ms, too coarse for what an idle monitor takes.
fn cpu_time(process: &Path) -> Result<Duration> {
    let mut total = Duration::ZERO;
    for thread in std::fs::read_dir(process.join("task"))? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat"))
            .context("this kernel has no schedstat")?;
        total += Duration::from_nanos(on_cpu(&text)?);
    }
    Ok(total)
}

fn on_cpu(schedstat: &str) -> Result<u64> {
    Ok(schedstat.split_whitespace().next().context("schedstat is empty")?.parse()?)
}

/// A line of /proc/PID/status, in MB.
fn memory(status: &str, key: &str) -> Result<f64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(key)).with_context(|| format!("no {key}"))?;
    let kibibytes: u32 = rest.trim().trim_end_matches("kB").trim().parse()?;
    Ok(f64::from(kibibytes) * 1024.0 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_read() {
        assert_eq!(on_cpu("123456 789 10\n").unwrap(), 123_456);
        assert!(
            (memory("VmHWM:\t   2000 kB\nVmRSS:\t    1000 kB\n", "VmRSS:").unwrap() - 1.024).abs() < 1e-9
        );
        assert!(memory("", "VmRSS:").is_err());
    }
}
