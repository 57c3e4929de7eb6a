//! Login names of uids: /etc/passwd first, then whatever else the system is told to ask (nsswitch.conf(5)), which may be
//! a directory server far away and is asked on a thread of its own.

use super::pool::Pool;
use crate::bounded;
use crate::threads::Role;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// The largest passwd file, bytes.
const MAX_PASSWD: u64 = 16 << 20;
/// Names remembered, and uids asked for; beyond it, they are looked up anew.
const MAX_KNOWN: usize = 65_536;
/// How long a uid that nobody knows is not asked for again.
const AGAIN: Duration = Duration::from_mins(5);
/// Uids that wait to be asked for.
const WAITING: usize = 256;

/// The names known so far.
#[derive(Debug)]
pub(super) struct Users {
    passwd: PathBuf,
    changed: Option<SystemTime>,
    local: HashMap<u32, Arc<str>>,
    /// What the system answered, and when; `None` where it knows no such uid.
    asked: HashMap<u32, (Instant, Option<Arc<str>>)>,
    waiting: HashSet<u32>,
    pool: Pool,
}

impl Users {
    /// With the passwd file below `root`.
    pub(super) fn new(root: &Path) -> Self {
        Self {
            passwd: root.join("etc/passwd"),
            changed: None,
            local: HashMap::new(),
            asked: HashMap::new(),
            waiting: HashSet::new(),
            pool: Pool::new(Role::Users, 1, WAITING),
        }
    }

    /// Reads the passwd file where it changed. Once a batch is enough.
    pub(super) fn refresh(&mut self) {
        let changed = fs::metadata(&self.passwd).and_then(|metadata| metadata.modified()).ok();
        if changed.is_some() && changed != self.changed {
            self.local = bounded::read(&self.passwd, MAX_PASSWD).map(|text| parse(&text)).unwrap_or_default();
            self.changed = changed;
        }
    }

    /// The name of a uid, as far as known. Where it is not, `answer` is called later, on another thread, with what the
    /// system says, for [`Users::learn`].
    pub(super) fn name(
        &mut self,
        uid: u32,
        answer: impl FnOnce(Option<String>) + Send + 'static,
    ) -> Option<Arc<str>> {
        if let Some(name) = self.local.get(&uid) {
            return Some(Arc::clone(name));
        }
        if let Some((at, name)) = self.asked.get(&uid)
            && (name.is_some() || at.elapsed() < AGAIN)
        {
            return name.clone();
        }
        if self.waiting.insert(uid) && !self.pool.run(move || answer(system(uid))) {
            self.waiting.remove(&uid);
        }
        None
    }

    /// Takes in an answer.
    pub(super) fn learn(&mut self, uid: u32, name: Option<String>) {
        self.waiting.remove(&uid);
        if self.asked.len() >= MAX_KNOWN {
            self.asked.clear();
        }
        self.asked.insert(uid, (Instant::now(), name.map(Into::into)));
    }
}

/// Asks the system (getpwuid_r(3)). May take as long as a directory server likes.
fn system(uid: u32) -> Option<String> {
    Some(uzers::get_user_by_uid(uid)?.name().to_string_lossy().into_owned())
}

/// `name:password:uid:...` (passwd(5)); of several names the first, as getpwuid(3) has it.
fn parse(text: &[u8]) -> HashMap<u32, Arc<str>> {
    let mut names = HashMap::new();
    for line in String::from_utf8_lossy(text).lines().take(MAX_KNOWN) {
        let mut fields = line.split(':');
        let (name, uid) = (fields.next().unwrap_or_default(), fields.nth(1));
        if let Some(uid) = uid.and_then(|uid| uid.parse().ok())
            && !name.is_empty()
            && !name.starts_with(['+', '-'])
        {
            names.entry(uid).or_insert_with(|| name.into());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn passwd_with_odd_lines() {
        let names = parse(b"root:x:0:0::/:/bin/sh\n# no\ntoor:x:0:0::/:/bin/sh\n+nis::::::\nbad:x:many:\n\xff:x:7:\n:x:8:\n");
        assert_eq!(names.get(&0).map(|name| &**name), Some("root"));
        assert_eq!(names.get(&7).map(|name| &**name), Some("\u{fffd}"));
        assert_eq!(names.len(), 2);
    }

    #[test]
    fn who_is_not_in_passwd_is_asked_for_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut users = Users::new(dir.path());
        users.refresh();
        let (sender, answers) = channel();
        let second = sender.clone();
        assert_eq!(users.name(0, move |name| sender.send(name).unwrap()), None);
        assert_eq!(users.name(0, move |_| second.send(Some("twice".to_owned())).unwrap()), None);
        users.learn(0, answers.recv().unwrap());
        assert_eq!(users.name(0, |_| ()).as_deref(), Some("root"), "the system knows root");
        assert!(answers.recv().is_err(), "asked once");
        users.learn(4_000_000, None);
        assert_eq!(users.name(4_000_000, |_| panic!("nobody is not asked for again")), None);
    }
}
