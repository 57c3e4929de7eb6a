//! Names of addresses: the hosts file, then reverse DNS, which a few threads ask for while everything else goes on.

use super::pool::Pool;
use crate::bounded;
use crate::threads::Role;
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// Threads that ask.
const THREADS: usize = 4;
/// Questions that wait for a thread; what finds no room is asked when the address is seen again.
const WAITING: usize = 512;
/// Addresses remembered, at most.
const MAX_KNOWN: usize = 16_384;
/// How long a name holds. The system's resolver does not tell how long its record does.
const HOLDS: Duration = Duration::from_mins(30);
/// How long an address without a name is not asked for again.
const AGAIN: Duration = Duration::from_mins(2);
/// The largest hosts file, bytes: those that block advertisements are large.
const MAX_HOSTS: u64 = 16 << 20;
/// The longest name, bytes (RFC 1035).
const MAX_NAME: usize = 255;

#[derive(Debug)]
enum Known {
    Asked,
    Answered(Instant, Option<Arc<str>>),
}

/// The names known so far.
#[derive(Debug)]
pub(super) struct Hosts {
    root: PathBuf,
    /// Off with `-n`; a key changes it.
    wanted: bool,
    /// Name servers are asked for addresses that mean something on a network of somebody's only.
    private: bool,
    /// `None` until names were wanted.
    file: Option<HashMap<IpAddr, Arc<str>>>,
    known: HashMap<IpAddr, Known>,
    pool: Pool,
    sender: Sender<Answer>,
    answers: Receiver<Answer>,
    /// There are names that nobody was told.
    changed: bool,
}

/// An address and its name, where it has one.
type Answer = (IpAddr, Option<String>);

impl Hosts {
    /// With the hosts file below `root`; with no names at all unless they are `wanted`, and those of `private` addresses from
    /// that file only unless they are.
    pub(super) fn new(root: &Path, wanted: bool, private: bool) -> Self {
        let (sender, answers) = channel();
        let mut hosts = Self {
            root: root.to_path_buf(),
            wanted: false,
            private,
            file: None,
            known: HashMap::new(),
            pool: Pool::new(Role::Hosts, THREADS, WAITING),
            sender,
            answers,
            changed: false,
        };
        hosts.ask(wanted);
        hosts
    }

    /// Whether names are wanted from now on. The hosts file is read when they are for the first time.
    pub(super) fn ask(&mut self, wanted: bool) {
        self.wanted = wanted;
        if wanted && self.file.is_none() {
            let text = bounded::read(&self.root.join("etc/hosts"), MAX_HOSTS).unwrap_or_default();
            self.file = Some(parse(&text));
            self.changed = true;
        }
    }

    /// An address that moved bytes: asks for its name unless it is known, or was not to be had lately.
    pub(super) fn want(&mut self, addr: IpAddr) {
        self.want_by(addr, system);
    }

    fn want_by(&mut self, addr: IpAddr, ask: fn(IpAddr) -> Option<String>) {
        let in_file = self.file.as_ref().is_some_and(|file| file.contains_key(&addr));
        if !self.wanted || in_file || !has_name(addr) || !(self.private || is_public(addr)) {
            return;
        }
        match self.known.get(&addr) {
            Some(Known::Asked) => return,
            Some(Known::Answered(at, name)) if at.elapsed() < if name.is_some() { HOLDS } else { AGAIN } => {
                return;
            }
            _ => {}
        }
        if self.known.len() >= MAX_KNOWN {
            self.known.retain(|_, known| matches!(known, Known::Asked));
        }
        let sender = self.sender.clone();
        if self.pool.run(move || drop(sender.send((addr, ask(addr))))) {
            self.known.insert(addr, Known::Asked);
        }
    }

    /// Takes in what was answered. True where a name changed.
    pub(super) fn learn(&mut self) -> bool {
        let mut changed = std::mem::take(&mut self.changed);
        while let Ok((addr, name)) = self.answers.try_recv() {
            let name = name.filter(|name| !name.is_empty() && name.len() <= MAX_NAME).map(Arc::from);
            changed |= name.is_some();
            self.known.insert(addr, Known::Answered(Instant::now(), name));
        }
        changed
    }

    /// All names.
    pub(super) fn all(&self) -> HashMap<IpAddr, Arc<str>> {
        let answered = self.known.iter().filter_map(|(addr, known)| match known {
            Known::Answered(_, Some(name)) => Some((*addr, Arc::clone(name))),
            _ => None,
        });
        answered.chain(self.file.iter().flatten().map(|(addr, name)| (*addr, Arc::clone(name)))).collect()
    }
}

/// Whether an address stands for one host.
fn has_name(addr: IpAddr) -> bool {
    let broadcast = matches!(addr, IpAddr::V4(v4) if v4.is_broadcast());
    !(addr.is_unspecified() || addr.is_multicast() || broadcast)
}

/// Whether an address means the same everywhere. The others are nobody's business elsewhere, and whoever is asked for their
/// names learns what talks to what here (RFC 6303, RFC 7793).
fn is_public(addr: IpAddr) -> bool {
    match addr.to_canonical() {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || shared || v4.octets()[0] == 0)
        }
        IpAddr::V6(v6) => !(v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local()),
    }
}

/// Asks the system (getnameinfo(3)). An answer that is the address again is none.
fn system(addr: IpAddr) -> Option<String> {
    let name = dns_lookup::lookup_addr(&addr).ok()?;
    (name.parse::<IpAddr>().is_err()).then_some(name)
}

/// `address name alias...  # comment` (hosts(5)); the first line of an address counts.
fn parse(text: &[u8]) -> HashMap<IpAddr, Arc<str>> {
    let mut names = HashMap::new();
    for line in String::from_utf8_lossy(text).lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        if let (Some(addr), Some(name)) = (words.next().and_then(|addr| addr.parse().ok()), words.next())
            // Blocklists give thousands of names to the address that leads nowhere.
            && has_name(addr)
            && name.len() <= MAX_NAME
            && names.len() < MAX_KNOWN
        {
            names.entry(addr).or_insert_with(|| name.into());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const DB: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn root(hosts: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::fs::write(dir.path().join("etc/hosts"), hosts).unwrap();
        dir
    }

    /// Answers arrive when they like.
    fn until_learnt(hosts: &mut Hosts, addr: IpAddr) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !matches!(hosts.known.get(&addr), Some(Known::Answered(..))) {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
            hosts.learn();
        }
    }

    #[test]
    fn the_hosts_file_comes_first() {
        let dir =
            root("192.0.2.1 web web.example # the shop\n192.0.2.1 other\n0.0.0.0 ads.example\nx y\n::1\n");
        let mut hosts = Hosts::new(dir.path(), true, false);
        assert_eq!(hosts.all(), HashMap::from([(WEB, "web".into())]));
        hosts.want_by(WEB, |_| panic!("asked for what the file has"));
        hosts.want_by("224.0.0.1".parse().unwrap(), |_| panic!("asked for a group"));
        assert!(hosts.known.is_empty());
        assert!(Hosts::new(dir.path(), false, false).all().is_empty(), "-n");
    }

    #[test]
    fn an_address_is_asked_for_once_with_or_without_an_answer() {
        let dir = root("");
        let mut hosts = Hosts::new(dir.path(), true, false);
        hosts.want_by(WEB, |_| Some("web.example".to_owned()));
        hosts.want_by(DB, |_| None);
        until_learnt(&mut hosts, WEB);
        until_learnt(&mut hosts, DB);
        assert_eq!(hosts.all(), HashMap::from([(WEB, "web.example".into())]));
        for addr in [WEB, DB] {
            hosts.want_by(addr, |_| Some("again".to_owned()));
            assert!(matches!(hosts.known.get(&addr), Some(Known::Answered(..))), "not asked again");
        }
    }

    #[test]
    fn without_names_nobody_is_asked() {
        let mut hosts = Hosts::new(Path::new("/nowhere"), false, false);
        hosts.want_by(WEB, |_| panic!("asked"));
        assert!(hosts.known.is_empty());
    }

    #[test]
    fn names_can_be_wanted_later_and_no_more() {
        let dir = root("192.0.2.2 db\n");
        let mut hosts = Hosts::new(dir.path(), false, false);
        assert!(!hosts.learn() && hosts.all().is_empty());
        hosts.ask(true);
        assert!(hosts.learn(), "the file is news");
        assert_eq!(hosts.all(), HashMap::from([(DB, "db".into())]));
        hosts.want_by(WEB, |_| Some("web.example".to_owned()));
        until_learnt(&mut hosts, WEB);
        hosts.ask(false);
        hosts.want_by("192.0.2.3".parse().unwrap(), |_| panic!("asked"));
        assert_eq!(hosts.known.len(), 1);
        assert_eq!(hosts.all().len(), 2, "what is known stays");
    }

    #[test]
    fn a_slow_server_keeps_nobody_waiting_and_the_cache_has_a_bound() {
        let mut hosts = Hosts::new(Path::new("/nowhere"), true, false);
        let started = Instant::now();
        for number in 0..100_000_u32 {
            hosts.want_by(IpAddr::V4((0x0b00_0000 + number).into()), |_| {
                std::thread::sleep(Duration::from_hours(1));
                None
            });
        }
        assert!(started.elapsed() < Duration::from_secs(10));
        assert!(hosts.known.len() <= WAITING + THREADS, "{}", hosts.known.len());
    }

    #[test]
    fn nobody_is_asked_for_private_addresses_unless_they_are_wanted() {
        let dir = root("");
        let private = [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.1.1",
            "100.64.0.1",
            "::1",
            "fe80::1",
            "fd77::1",
            "::ffff:10.1.2.3",
        ];
        let mut hosts = Hosts::new(dir.path(), true, false);
        for addr in private {
            hosts.want_by(addr.parse().unwrap(), |addr| panic!("asked for {addr}"));
        }
        assert!(hosts.known.is_empty());
        hosts.want_by("100.128.0.1".parse().unwrap(), |_| None);
        hosts.want_by("2001:db8::1".parse().unwrap(), |_| None);
        assert_eq!(hosts.known.len(), 2);
        let mut hosts = Hosts::new(dir.path(), true, true);
        hosts.want_by("10.1.2.3".parse().unwrap(), |_| Some("ten.example".to_owned()));
        until_learnt(&mut hosts, "10.1.2.3".parse().unwrap());
        assert_eq!(hosts.all().len(), 1);
    }
}
