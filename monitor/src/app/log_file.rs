//! `--log-file`: the caller's, never through a link, for his eyes; and a word where it cannot be written.

use crate::config::{Caller, Cli};
use crate::frontend;
use anyhow::{Result, anyhow};
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Starts to log, where that is asked for.
///
/// # Errors
/// The file cannot be opened: one sentence.
pub(super) fn start(cli: &Cli, caller: &Caller) -> Result<()> {
    let Some(path) = &cli.log_file else { return Ok(()) };
    let file = caller.act(|| open(path)).map_err(|error| {
        anyhow!("--log-file {}: {error}; name a file in a directory of yours", path.display())
    })?;
    let log = Log { file, path: path.clone(), is_whole: true };
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn"))
        .target(env_logger::Target::Pipe(Box::new(log)))
        .init();
    log::info!("monitor {} starts", env!("CARGO_PKG_VERSION"));
    Ok(())
}

/// Opens it to append, or makes it.
fn open(path: &Path) -> io::Result<File> {
    // Neither a link nor, without a reader, a fifo: it would wait for one.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600).custom_flags(flags.bits().cast_signed());
    let file = options.open(path).map_err(|error| match error.raw_os_error() {
        Some(number) if number == rustix::io::Errno::LOOP.raw_os_error() => {
            io::Error::new(ErrorKind::InvalidInput, "it is a link")
        }
        _ => error,
    })?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file"))
}

/// The file, and whether everything that was to be in it is.
struct Log {
    file: File,
    path: PathBuf,
    is_whole: bool,
}

impl Log {
    /// Says once what went wrong: at once, or at the end where there is a screen.
    fn tell(&mut self, error: &io::Error) {
        if std::mem::take(&mut self.is_whole) {
            frontend::complain_later(&format!(
                "--log-file {}: {error}; from here on the log is not whole",
                self.path.display()
            ));
        }
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).inspect_err(|error| self.tell(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_log_is_a_file_of_its_own_that_only_its_owner_reads() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        open(&path("log")).unwrap().write_all(b"one\n").unwrap();
        open(&path("log")).unwrap().write_all(b"two\n").unwrap();
        assert_eq!(std::fs::read_to_string(path("log")).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::metadata(path("log")).unwrap().permissions().mode() & 0o777, 0o600);
        symlink(path("log"), path("link")).unwrap();
        symlink(path("nothing"), path("dangling")).unwrap();
        let refused = |name: &str| open(&path(name)).unwrap_err().to_string();
        assert_eq!([refused("link"), refused("dangling")], ["it is a link", "it is a link"]);
        assert!(!path("nothing").exists());
        let fifo = path("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(open(&fifo).is_err(), "and it did not wait for a reader");
        assert_eq!(open(Path::new("/dev/null")).unwrap_err().to_string(), "it is not a regular file");
    }
}
