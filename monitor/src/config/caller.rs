//! The calling user: who started the program; under sudo, doas or pkexec not root, but the user who called it. What that
//! user names, and what is written for him, is opened with his rights (`rights`).

use super::reading::shown;
use super::rights::{self, User};
use crate::bounded;
use anyhow::{Result, anyhow};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The person who started the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Where the settings are; `None` where nothing says so.
    pub config: Option<PathBuf>,
    /// Whose rights count where those are not our own.
    pub(super) user: Option<User>,
}

/// A user of this system.
struct Entry {
    user: User,
    home: PathBuf,
}

/// How a user is looked up.
#[derive(Clone, Copy)]
enum Key<'k> {
    Name(&'k str),
    Uid(u32),
}

impl Caller {
    /// As the environment and the user database say.
    ///
    /// # Errors
    /// The environment names a user whom this system does not know: then nobody can say whose files to open.
    pub(crate) fn find() -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok();
        Self::from(variable, rustix::process::geteuid().is_root(), look_up)
    }

    fn from(
        variable: impl Fn(&str) -> Option<String>,
        is_root: bool,
        look_up: impl Fn(Key<'_>) -> Option<Entry>,
    ) -> Result<Self> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        // Root who calls sudo is root.
        let other = called(&set).filter(|(_, value)| is_root && !["0", "root"].contains(&value.as_str()));
        let (user, home) = match other {
            Some((variable, value)) => {
                let (user, home) = found(variable, &value, &set, look_up)?;
                (Some(user).filter(|user| user.uid != 0), home)
            }
            None => (None, set("HOME").map(PathBuf::from)),
        };
        let xdg = set("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let config = xdg
            .or_else(|| home.map(|home| home.join(".config")).filter(|path| path.is_absolute()))
            .map(|config| config.join("monitor"));
        Ok(Self { config, user })
    }

    /// Does something with the caller's rights and no others: what he may not open, make or write, it may not either. The
    /// answer names him where that is why.
    ///
    /// # Errors
    /// Those of `work`, and where his rights cannot be taken on.
    pub(crate) fn act<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        rights::with(self.user.as_ref(), work).and_then(|done| done).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => io::Error::new(error.kind(), self.explain(&error)),
            _ => error,
        })
    }

    /// The same for what has errors of its own.
    ///
    /// # Errors
    /// His rights cannot be taken on.
    pub(crate) fn act_freely<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        rights::with(self.user.as_ref(), work)
    }

    /// A sentence, and whose rights it is about where those are not those that the program runs with.
    pub(crate) fn explain(&self, sentence: impl std::fmt::Display) -> String {
        match &self.user {
            Some(user) => format!("{sentence} (with the rights of {}, who called it)", user.name),
            None => sentence.to_string(),
        }
    }

    /// Whether the program has rights that its caller lacks: under sudo, or by capabilities of its file.
    pub(crate) fn lacks_our_rights(&self) -> bool {
        self.user.is_some() || rights::has_capabilities_of_its_file()
    }

    /// The text of a regular file of at most `most` bytes.
    ///
    /// # Errors
    /// The caller cannot read it, or it is something else.
    pub(super) fn read(&self, path: &Path, most: u64) -> io::Result<String> {
        self.act(|| bounded::read_text(path, most))
    }
}

/// The variable that names who called, and what it says: a number where there is one, for names can be reused.
fn called(set: &impl Fn(&str) -> Option<String>) -> Option<(&'static str, String)> {
    let names = ["SUDO_UID", "PKEXEC_UID", "SUDO_USER", "DOAS_USER"];
    names.into_iter().find_map(|name| set(name).map(|value| (name, value)))
}

/// That user, and his home where he has one.
fn found(
    variable: &str,
    value: &str,
    set: &impl Fn(&str) -> Option<String>,
    look_up: impl Fn(Key<'_>) -> Option<Entry>,
) -> Result<(User, Option<PathBuf>)> {
    let number = |text: &str| text.parse().ok().filter(|number| *number != u32::MAX);
    let by_number = variable.ends_with("_UID").then(|| number(value));
    let entry = match by_number {
        Some(Some(uid)) => look_up(Key::Uid(uid)),
        Some(None) => None,
        None => look_up(Key::Name(value)),
    };
    if let Some(Entry { user, home }) = entry {
        return Ok((user, Some(home)));
    }
    // As in a chroot, which has no entry for him.
    match (by_number.flatten(), set("SUDO_GID").as_deref().and_then(number)) {
        (Some(uid), Some(gid)) => {
            let user = User { uid, gid, groups: vec![gid], name: format!("the user with the number {uid}") };
            Ok((user, None))
        }
        _ => Err(anyhow!(
            "{variable} is `{}`, whom this system does not know, so nobody can say whose files to open; unset it, or \
             call monitor as a user who is there",
            shown(value)
        )),
    }
}

/// A user, wherever the system keeps its users.
fn look_up(key: Key<'_>) -> Option<Entry> {
    let found = match key {
        Key::Name(name) => nix::unistd::User::from_name(name),
        Key::Uid(uid) => nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)),
    };
    let nix::unistd::User { name, uid, gid, dir, .. } = found.ok()??;
    let groups = groups(&name, gid);
    Some(Entry { user: User { uid: uid.as_raw(), gid: gid.as_raw(), groups, name }, home: dir })
}

/// The groups that a user is in.
#[cfg(target_os = "linux")]
fn groups(name: &str, gid: nix::unistd::Gid) -> Vec<u32> {
    let name = std::ffi::CString::new(name).unwrap_or_default();
    // Where the database fails he is in one.
    let groups = nix::unistd::getgrouplist(&name, gid).unwrap_or_else(|_| vec![gid]);
    groups.into_iter().map(nix::unistd::Gid::as_raw).collect()
}

/// One: macOS has no list that could be taken on.
#[cfg(not(target_os = "linux"))]
fn groups(_name: &str, gid: nix::unistd::Gid) -> Vec<u32> {
    vec![gid.as_raw()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Anna has 1000, in the groups 1001 and 27; nobody else is known.
    fn look_up(key: Key<'_>) -> Option<Entry> {
        let is_anna = match key {
            Key::Name(name) => name == "anna",
            Key::Uid(uid) => uid == 1000,
        };
        let user = User { uid: 1000, gid: 1001, groups: vec![1001, 27], name: "anna".to_owned() };
        is_anna.then(|| Entry { user, home: "/users/anna".into() })
    }

    fn called(variables: &[(&str, &str)], is_root: bool) -> Result<Caller> {
        let variable =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Caller::from(variable, is_root, look_up)
    }

    fn anna() -> Option<User> {
        look_up(Key::Uid(1000)).map(|entry| entry.user)
    }

    #[test]
    fn under_sudo_and_its_like_the_caller_is_who_called() {
        for variables in [
            &[("SUDO_USER", "anna"), ("HOME", "/r")][..],
            &[("DOAS_USER", "anna"), ("HOME", "/r")],
            &[("PKEXEC_UID", "1000"), ("HOME", "/r")],
            // The number is what sudo means.
            &[("SUDO_USER", "otto"), ("SUDO_UID", "1000"), ("SUDO_GID", "5"), ("HOME", "/r")],
        ] {
            let caller = called(variables, true).unwrap();
            assert_eq!(caller.config.unwrap(), PathBuf::from("/users/anna/.config/monitor"));
            assert_eq!(caller.user, anna(), "{variables:?}");
        }
        let caller = called(&[("SUDO_USER", "anna"), ("XDG_CONFIG_HOME", "/x")], true).unwrap();
        assert_eq!((caller.config.unwrap(), caller.user), (PathBuf::from("/x/monitor"), anna()));
    }

    #[test]
    fn without_it_the_caller_is_oneself() {
        let config = |variables: &[(&str, &str)], is_root| {
            let caller = called(variables, is_root).unwrap();
            assert_eq!(caller.user, None, "{variables:?}");
            caller.config
        };
        let home = Some(PathBuf::from("/h/.config/monitor"));
        assert_eq!(config(&[("HOME", "/h")], true), home);
        assert_eq!(config(&[("HOME", "/h"), ("SUDO_USER", "anna")], false), home);
        assert_eq!(config(&[("HOME", "/h"), ("SUDO_UID", "0"), ("SUDO_USER", "root")], true), home);
        assert_eq!(
            config(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")], false),
            Some(PathBuf::from("/x/monitor"))
        );
        assert_eq!(config(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "x")], false), home);
        assert_eq!(config(&[("HOME", "h")], false), None);
        assert_eq!(config(&[], false), None);
    }

    #[test]
    fn a_caller_whom_nobody_knows_is_refused_unless_sudo_gives_his_numbers() {
        for variables in [
            &[("SUDO_USER", "otto")][..],
            &[("DOAS_USER", "otto")],
            &[("SUDO_UID", "77")],
            &[("SUDO_UID", "-1"), ("SUDO_GID", "5")],
            &[("SUDO_UID", "4294967295"), ("SUDO_GID", "5")],
            &[("SUDO_UID", "77"), ("SUDO_GID", "4294967295")],
        ] {
            let said = called(variables, true).unwrap_err().to_string();
            assert!(
                said.starts_with(variables[0].0) && said.contains("whom this system does not know"),
                "{said}"
            );
        }
        let variables = [("SUDO_UID", "77"), ("SUDO_GID", "5"), ("SUDO_USER", "anna"), ("HOME", "/r")];
        let caller = called(&variables, true).unwrap();
        let user = caller.user.unwrap();
        assert_eq!((user.uid, user.gid, user.groups, caller.config), (77, 5, vec![5], None));
    }

    #[test]
    fn what_is_refused_names_the_rights_that_it_was_refused_for() {
        let refused = || Err::<(), _>(io::Error::from(ErrorKind::PermissionDenied));
        let own = Caller::default();
        assert_eq!(own.act(refused).unwrap_err().to_string(), "permission denied");
        let other = called(&[("SUDO_USER", "anna")], true).unwrap();
        let said = other.act(refused).unwrap_err().to_string();
        assert!(said.ends_with("(with the rights of anna, who called it)"), "{said}");
    }
}
