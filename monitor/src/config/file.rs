//! The settings file: where it is, reading it, and writing it on request, with the caller's rights.
//!
//! Written whole or not at all: a temporary file beside it takes its place. A file that cannot be read is never
//! overwritten, nor is one of somebody else's.

use super::caller::Caller;
use super::reading::Problem;
use super::settings::Settings;
use anyhow::{Context, Result, anyhow};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

/// The largest settings file and the largest theme, bytes.
pub(super) const MOST_BYTES: u64 = 1 << 20;
/// Links that one name may go through.
const MOST_LINKS: usize = 8;

/// A settings file, there or not.
#[derive(Clone, Debug)]
pub(crate) struct SettingsFile {
    path: PathBuf,
    /// It was named on the command line, so it has to be there.
    named: bool,
    caller: Caller,
}

/// Why a file cannot be read, in a sentence.
enum Unreadable {
    /// This user may not.
    Closed(anyhow::Error),
    /// Anything else.
    Other(anyhow::Error),
}

impl From<Unreadable> for anyhow::Error {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Closed(sentence) | Unreadable::Other(sentence) => sentence,
        }
    }
}

impl SettingsFile {
    /// The named one, else the caller's own.
    ///
    /// # Errors
    /// None was named and nothing says where the caller's is.
    pub(crate) fn find(named: Option<&Path>, caller: Caller) -> Result<Self> {
        let path = match named {
            Some(path) => path.to_owned(),
            None => caller.config.as_ref().map(|config| config.join("config.toml")).context(
                "no settings file: neither XDG_CONFIG_HOME nor HOME is set; name one with -c FILE",
            )?,
        };
        Ok(Self { path, named: named.is_some(), caller })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What it says; the defaults where there is none.
    ///
    /// # Errors
    /// It cannot be read, or something in it is wrong: every line that is.
    pub(crate) fn load(&self) -> Result<Settings> {
        let text = match self.text() {
            // HOME may still be that of who became this user; what this user lacks is for later to say.
            Err(Unreadable::Closed(_)) if !self.named => return Ok(Settings::default()),
            text => text?,
        };
        let Some(text) = text else { return Ok(Settings::default()) };
        Settings::parse(&text).map_err(|problems| self.describe(&problems))
    }

    /// Writes the settings, keeping what else is in the file.
    ///
    /// # Errors
    /// It cannot be written, or what is there cannot be read and so would be lost.
    pub(crate) fn save(&self, settings: &Settings) -> Result<()> {
        let text = match self.text_or_none()? {
            Some(text) => settings.merge_into(&text).map_err(|problems| self.describe(&problems))?,
            None => settings.sample(),
        };
        let written = self.caller.act(|| replace(&self.path, &text));
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }

    fn text(&self) -> Result<Option<String>, Unreadable> {
        match self.text_or_none()? {
            None if self.named => Err(Unreadable::Other(anyhow!(
                "-c {}: there is no such file; `monitor config print` prints one to start with",
                self.path.display()
            ))),
            text => Ok(text),
        }
    }

    fn text_or_none(&self) -> Result<Option<String>, Unreadable> {
        self.caller.read(&self.path, MOST_BYTES).map(Some).or_else(|error| {
            let path = self.path.display();
            let sentence =
                anyhow!("cannot read the settings in {path}: {error}; mend it or name another file with -c");
            match error.kind() {
                ErrorKind::NotFound => Ok(None),
                ErrorKind::PermissionDenied => Err(Unreadable::Closed(sentence)),
                _ => Err(Unreadable::Other(sentence)),
            }
        })
    }

    fn describe(&self, problems: &[Problem]) -> anyhow::Error {
        let lines: Vec<String> =
            problems.iter().map(|problem| format!("{}: {problem}", self.path.display())).collect();
        anyhow!("{}", lines.join("\nmonitor: "))
    }
}

/// Puts a text in the place of a file, or where there is none. What is in its way stays: a file of somebody else's, and what
/// is no file.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = followed(path)?;
    let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    // From here on the directory is this one, wherever its name leads.
    let directory = File::open(directory)?;
    let there = in_the_way(directory.as_fd(), name)?;
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}", std::process::id()));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(&directory, &temporary, flags, Mode::RUSR | Mode::WUSR)?);
    let written = (|| {
        file.write_all(text.as_bytes())?;
        if let Some(Kept { mode, group }) = there {
            if file.metadata()?.gid() != group {
                fchown(&file, None, Some(group))?;
            }
            rustix::fs::fchmod(&file, mode)?;
        }
        file.sync_all()?;
        rustix::fs::renameat(&directory, &temporary, &directory, name)?;
        Ok(())
    })();
    if written.is_err() {
        // It was made above; what stood there is untouched.
        let _ = rustix::fs::unlinkat(&directory, &temporary, AtFlags::empty());
    }
    written
}

/// What the new file has of the old one.
struct Kept {
    mode: Mode,
    group: u32,
}

/// The file whose place is taken, if there is one.
fn in_the_way(directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<Option<Kept>> {
    let there = match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(None),
        there => there?,
    };
    let refused = |why: String| Err(io::Error::new(ErrorKind::PermissionDenied, why));
    if FileType::from_raw_mode(there.st_mode) != FileType::RegularFile {
        return refused("there is something else than a file".to_owned());
    }
    if there.st_uid != rustix::process::geteuid().as_raw() {
        return refused(format!("it belongs to the user with the number {}", there.st_uid));
    }
    Ok(Some(Kept { mode: Mode::from_raw_mode(there.st_mode), group: there.st_gid }))
}

/// Where a name leads, so that links stay links; only those of this user and of root count.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let there = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(path),
            there => there?,
        };
        if !there.is_symlink() {
            return Ok(path);
        }
        if ![0, rustix::process::geteuid().as_raw()].contains(&there.uid()) {
            let why = format!("it is a link of the user with the number {}", there.uid());
            return Err(io::Error::new(ErrorKind::PermissionDenied, why));
        }
        let target = fs::read_link(&path)?;
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    Err(Errno::LOOP.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn file(path: &Path) -> SettingsFile {
        SettingsFile::find(Some(path), Caller::default()).unwrap()
    }

    fn changed() -> Settings {
        Settings { theme: "VoidWalker".into(), ..Settings::default() }
    }

    #[test]
    fn a_file_that_is_not_there_is_the_defaults_unless_it_was_named() {
        let directory = tempfile::tempdir().unwrap();
        let caller = Caller { config: Some(directory.path().join("a/b")), ..Caller::default() };
        let own = SettingsFile::find(None, caller).unwrap();
        assert_eq!(own.load().unwrap(), Settings::default());
        let named = file(&directory.path().join("none.toml"));
        assert!(named.load().unwrap_err().to_string().contains("there is no such file"));
        own.save(&changed()).unwrap();
        assert_eq!(own.load().unwrap(), changed());
        assert!(fs::read_to_string(own.path()).unwrap().contains("# The theme"));
        assert!(SettingsFile::find(None, Caller::default()).unwrap_err().to_string().contains("-c FILE"));
    }

    #[test]
    fn saving_keeps_mode_link_and_comments_and_leaves_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let (real, link) = (directory.path().join("real.toml"), directory.path().join("link.toml"));
        fs::write(&real, "# mine\n").unwrap();
        fs::set_permissions(&real, PermissionsExt::from_mode(0o640)).unwrap();
        symlink(&real, &link).unwrap();
        file(&link).save(&changed()).unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "theme = \"VoidWalker\"\n# mine\n");
        assert_eq!(fs::metadata(&real).unwrap().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_with_a_mistake_is_named_with_its_line_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        fs::write(&path, "mouse = true\ntheem = 1\nbars = 'x'\n").unwrap();
        let said = file(&path).load().unwrap_err().to_string();
        assert!(
            said.contains("config.toml: line 2: unknown setting `theem`; did you mean `theme`?"),
            "{said}"
        );
        assert!(said.contains("\nmonitor: ") && said.contains("line 3"), "{said}");
        assert!(file(&path).save(&changed()).is_err());
        assert!(fs::read_to_string(&path).unwrap().contains("theem"));
    }
}
