//! Whose settings these are: under sudo or doas the caller's, not root's.
//!
//! Files that are written for the caller belong to the caller.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::Command;

/// The person who started the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Where the settings are; `None` where nothing says so.
    pub config: Option<PathBuf>,
    /// User and group that new files go to, where they are not our own.
    pub owner: Option<(u32, u32)>,
}

impl Caller {
    /// As the environment and the user database say.
    pub fn find() -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        Self::from(variable, rustix::process::geteuid().is_root(), passwd)
    }

    fn from(
        variable: impl Fn(&str) -> Option<String>,
        is_root: bool,
        passwd: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let user = ["SUDO_USER", "DOAS_USER"].into_iter().find_map(set).filter(|_| is_root);
        let line = user.filter(|user| user != "root").and_then(|user| passwd(&user));
        let entry = line.as_deref().and_then(entry);
        let home = entry.as_ref().map(|(_, home)| home.clone()).or_else(|| set("HOME"));
        let absolute = |path: &PathBuf| path.is_absolute();
        let xdg = set("XDG_CONFIG_HOME").map(PathBuf::from).filter(absolute);
        let config = xdg
            .or_else(|| home.map(|home| PathBuf::from(home).join(".config")).filter(absolute))
            .map(|config| config.join("monitor"));
        Self { config, owner: entry.map(|(owner, _)| owner) }
    }

    /// Gives a file that was made to the caller.
    ///
    /// # Errors
    /// The file system has no owners.
    pub fn give(&self, file: &File) -> io::Result<()> {
        match self.owner {
            Some((user, group)) => std::os::unix::fs::fchown(file, Some(user), Some(group)),
            None => Ok(()),
        }
    }
}

/// User, group and home of a line of passwd(5). The line of macOS's `id -P` has three fields more before the home.
fn entry(line: &str) -> Option<((u32, u32), String)> {
    let fields: Vec<&str> = line.trim_end().split(':').collect();
    let home = fields.len().checked_sub(2).filter(|at| *at >= 5)?;
    Some(((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?), fields[home].to_owned()))
}

/// The line of a user, wherever the system keeps its users.
fn passwd(user: &str) -> Option<String> {
    let file = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let is_it = |line: &&str| line.split(':').next() == Some(user);
    if let Some(line) = file.lines().find(is_it) {
        return Some(line.to_owned());
    }
    let (program, words) =
        if cfg!(target_os = "macos") { ("id", ["-P", user]) } else { ("getent", ["passwd", user]) };
    let answer = Command::new(program).args(words).output().ok().filter(|answer| answer.status.success())?;
    String::from_utf8(answer.stdout).ok()?.lines().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNA: &str = "anna:x:1000:1001:Anna,,,:/users/anna:/bin/sh";

    fn find(variables: &[(&str, &str)], is_root: bool) -> Caller {
        let variable =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Caller::from(variable, is_root, |user| (user == "anna").then(|| ANNA.to_owned()))
    }

    #[test]
    fn under_sudo_the_settings_are_the_callers() {
        let caller = find(&[("SUDO_USER", "anna"), ("HOME", "/r")], true);
        assert_eq!(caller.config.unwrap(), PathBuf::from("/users/anna/.config/monitor"));
        assert_eq!(caller.owner, Some((1000, 1001)));
        let caller = find(&[("DOAS_USER", "anna"), ("HOME", "/r")], true);
        assert_eq!(caller.owner, Some((1000, 1001)));
    }

    #[test]
    fn without_it_they_are_ones_own() {
        let caller = find(&[("HOME", "/h")], true);
        assert_eq!((caller.config.unwrap(), caller.owner), (PathBuf::from("/h/.config/monitor"), None));
        let caller = find(&[("HOME", "/h"), ("SUDO_USER", "anna")], false);
        assert_eq!((caller.config.unwrap(), caller.owner), (PathBuf::from("/h/.config/monitor"), None));
        let caller = find(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")], false);
        assert_eq!(caller.config.unwrap(), PathBuf::from("/x/monitor"));
        assert_eq!(
            find(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "x")], false).config,
            find(&[("HOME", "/h")], true).config
        );
        assert_eq!(find(&[], false), Caller::default());
        assert_eq!(find(&[("SUDO_USER", "nobody-known"), ("HOME", "/h")], true).owner, None);
    }

    #[test]
    fn lines_of_both_systems() {
        assert_eq!(entry(ANNA), Some(((1000, 1001), "/users/anna".into())));
        let mac = "anna:********:501:20::0:0:Anna:/Users/anna:/bin/zsh";
        assert_eq!(entry(mac), Some(((501, 20), "/Users/anna".into())));
        assert_eq!(entry("x:y"), None);
    }
}
