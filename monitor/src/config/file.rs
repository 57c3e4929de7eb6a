//! The settings file: where it is, reading it, and writing it on request.
//!
//! Written whole or not at all: a temporary file beside it takes its place. A file that cannot be read is never
//! overwritten.

use super::caller::Caller;
use super::reading::Problem;
use super::settings::Settings;
use anyhow::{Context, Result, anyhow};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

/// A settings file, there or not.
#[derive(Clone, Debug)]
pub struct SettingsFile {
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
    pub fn find(named: Option<&Path>, caller: Caller) -> Result<Self> {
        let path = match named {
            Some(path) => path.to_owned(),
            None => caller.config.as_ref().map(|config| config.join("config.toml")).context(
                "no settings file: neither XDG_CONFIG_HOME nor HOME is set; name one with -c FILE",
            )?,
        };
        Ok(Self { path, named: named.is_some(), caller })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says; the defaults where there is none.
    ///
    /// # Errors
    /// It cannot be read, or something in it is wrong: every line that is.
    pub fn load(&self) -> Result<Settings> {
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
    pub fn save(&self, settings: &Settings) -> Result<()> {
        let text = match self.text_or_none()? {
            Some(text) => settings.merge_into(&text).map_err(|problems| self.describe(&problems))?,
            None => settings.sample(),
        };
        self.replace(&text).with_context(|| format!("cannot write {}", self.path.display()))
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
        fs::read_to_string(&self.path).map(Some).or_else(|error| {
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

    fn replace(&self, text: &str) -> std::io::Result<()> {
        // Through a link, so that the link stays.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let directory = path.parent().unwrap_or(Path::new("."));
        self.make(directory)?;
        let there = fs::metadata(&path).ok();
        let mode = there.as_ref().map_or(0o644, |there| there.mode() & 0o7777);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = directory.join(format!(".{name}.{}", std::process::id()));
        let written = (|| {
            let mut file =
                fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(text.as_bytes())?;
            match &there {
                // Only root may give it away, and only root has to.
                Some(there) if rustix::process::geteuid().is_root() => {
                    fchown(&file, Some(there.uid()), Some(there.gid()))?;
                }
                Some(_) => {}
                None => self.caller.give(&file)?,
            }
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
            file.sync_all()?;
            fs::rename(&temporary, &path)
        })();
        if written.is_err() {
            // Nothing was there before.
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Makes the directories that are missing, for the caller.
    fn make(&self, directory: &Path) -> std::io::Result<()> {
        if directory.as_os_str().is_empty() || directory.is_dir() {
            return Ok(());
        }
        if let Some(parent) = directory.parent() {
            self.make(parent)?;
        }
        fs::create_dir(directory)?;
        self.caller.give(&File::open(directory)?)
    }
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
        let caller = Caller { config: Some(directory.path().join("a/b")), owner: None };
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
