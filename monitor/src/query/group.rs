//! Groups: what a pivot sums into, and what a group is called.
//!
//! A group of processes keeps what its ended flows moved, because process rows do. A group of flows holds what the flows
//! held now have moved; the rest is in one row of its own ([`GroupKey::Ended`]), so that every grouping sums to the same.

use super::Prefixes;
use super::format::Format;
use super::view_kind::ViewKind;
use crate::model::{
    Confidence, Counters, FlowRow, Mono, Names, ProcessId, ProcessRow, Protocol, WINDOWS, Windows,
};
use ipnet::IpNet;
use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

/// What a group is of, from one snapshot to the next.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum GroupKey {
    /// A process with all that came of it.
    Process(ProcessId),
    /// A uid.
    User(u32),
    /// A unit, a slice or a package.
    Name(Arc<str>),
    /// A container, by its id.
    Container(Arc<str>),
    /// A pod, by its UID.
    Pod(Arc<str>),
    /// A remote address.
    Host(IpAddr),
    /// A remote network.
    Net(IpNet),
    /// A port.
    Port(Protocol, u16),
    /// A protocol.
    Protocol(Protocol),
    /// An interface: netns cookie and index.
    Interface(u64, u32),
    /// A netns cookie.
    Netns(u64),
    /// What has none: processes in no container, protocols without ports.
    Without,
    /// Processes of which it is not known.
    Unread,
    /// The kernel itself.
    Kernel,
    /// Processes that are no longer listed.
    Retired,
    /// The bytes of no process.
    Nobody(Confidence),
    /// What flows moved that have ended, or were never told apart because a table was full.
    Ended,
}

impl GroupKey {
    /// Whether it is a thing of its view's kind, and not what has none or is not known.
    pub(super) fn is_thing(&self) -> bool {
        self.other_kind().is_none() && !matches!(self, Self::Interface(_, 0) | Self::Netns(0))
    }

    /// What else it is, for machines; `None` where it is of its view's kind.
    fn other_kind(&self) -> Option<&'static str> {
        match self {
            Self::Without => Some("none"),
            Self::Unread => Some("not_known"),
            Self::Kernel => Some("kernel"),
            Self::Retired => Some("retired"),
            Self::Nobody(confidence) => Some(confidence.name()),
            Self::Ended => Some("ended"),
            Self::Process(_)
            | Self::User(_)
            | Self::Name(_)
            | Self::Container(_)
            | Self::Pod(_)
            | Self::Host(_)
            | Self::Net(_)
            | Self::Port(..)
            | Self::Protocol(_)
            | Self::Interface(..)
            | Self::Netns(_) => None,
        }
    }
}

/// What moved, and how fast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// Since the monitor started; for a group of flows, since each flow was first seen.
    pub total: Counters,
    /// In the snapshot's interval.
    pub interval: Counters,
    /// Average rates, bits/s.
    pub windows: Windows,
}

impl Sums {
    /// The sums of a process.
    pub(crate) fn of_process(row: &ProcessRow) -> Self {
        Self { total: row.total, interval: row.interval, windows: row.windows }
    }

    /// The sums of a flow.
    pub(crate) fn of_flow(row: &FlowRow) -> Self {
        Self { total: row.total, interval: row.interval, windows: row.windows }
    }

    /// Adds.
    pub(crate) fn add(&mut self, other: &Self) {
        self.total += other.total;
        self.interval += other.interval;
        for index in 0..WINDOWS {
            let (sum, other) = (&mut self.windows, &other.windows);
            sum.rx[index] = sum.rx[index].saturating_add(other.rx[index]);
            sum.tx[index] = sum.tx[index].saturating_add(other.tx[index]);
        }
    }

    /// What is left of these sums without `part`, which was summed from up to `rows` rows: rates are rounded per row, so
    /// that less than one b/s a row is nothing.
    pub(super) fn without(&self, part: &Self, rows: usize) -> Self {
        let rest = |whole: u64, part: u64| {
            let rest = whole.saturating_sub(part);
            if rest <= rows as u64 { 0 } else { rest }
        };
        let mut windows = Windows::default();
        for index in 0..WINDOWS {
            windows.rx[index] = rest(self.windows.rx[index], part.windows.rx[index]);
            windows.tx[index] = rest(self.windows.tx[index], part.windows.tx[index]);
        }
        let total = self.total - part.total;
        Self { total, interval: self.interval - part.interval, windows }
    }
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupRow {
    /// The view that it is a row of.
    pub view: ViewKind,
    /// What it is of.
    pub key: GroupKey,
    /// What that is called, where the key does not say; raw.
    pub name: Option<Arc<str>>,
    /// The row of the process, where the group is a subtree and its root has moved something itself.
    pub process: Option<Arc<ProcessRow>>,
    /// How many ancestors are above it in the tree.
    pub depth: u16,
    /// How many processes are in it; bytes of no process count as none.
    pub members: usize,
    /// How many flows with an open socket its processes hold, or it sums.
    pub flows: usize,
    /// What moved.
    pub sums: Sums,
    /// Latest traffic.
    pub last: Mono,
    /// When the last of its processes ended; `None` where one lives, or where the group is of flows.
    pub exited: Option<Mono>,
}

impl GroupRow {
    pub(super) fn new(view: ViewKind, key: GroupKey, name: Option<Arc<str>>) -> Self {
        Self {
            view,
            key,
            name,
            process: None,
            depth: 0,
            members: 0,
            flows: 0,
            sums: Sums::default(),
            last: Mono(0),
            exited: None,
        }
    }

    /// Adds a process.
    pub(super) fn add_process(&mut self, row: &ProcessRow) {
        let is_process = row.id.is_some();
        self.exited = match (self.members, self.exited, row.exited) {
            (0, _, exited) => exited,
            (_, Some(one), Some(other)) => Some(one.max(other)),
            (_, None, _) | (_, _, None) => None,
        };
        self.members += usize::from(is_process);
        self.flows += row.flows;
        self.sums.add(&Sums::of_process(row));
        self.last = self.last.max(row.last);
    }

    /// What it is called: raw, never empty.
    pub(crate) fn label<'a>(&'a self, format: &Format<'a>) -> Cow<'a, str> {
        if let Some(name) = self.name.as_deref().filter(|name| !name.is_empty()) {
            return Cow::Borrowed(name);
        }
        match &self.key {
            GroupKey::User(uid) => Cow::Owned(uid.to_string()),
            GroupKey::Name(name) | GroupKey::Pod(name) => Cow::Borrowed(name),
            GroupKey::Container(id) => Cow::Borrowed(short(id)),
            GroupKey::Host(addr) => format.host(*addr),
            GroupKey::Net(net) => Cow::Owned(net.to_string()),
            GroupKey::Port(protocol, port) => format.port(*protocol, *port),
            GroupKey::Protocol(protocol) => Cow::Owned(protocol.to_string()),
            GroupKey::Interface(_, 0) | GroupKey::Netns(0) | GroupKey::Unread => Cow::Borrowed("(not known)"),
            GroupKey::Interface(_, index) => Cow::Owned(format!("if{index}")),
            GroupKey::Netns(cookie) => Cow::Owned(cookie.to_string()),
            GroupKey::Process(_) => Cow::Borrowed("?"),
            GroupKey::Without => Cow::Borrowed(self.without()),
            GroupKey::Kernel => Cow::Borrowed("kernel"),
            GroupKey::Retired => Cow::Borrowed("(retired)"),
            GroupKey::Nobody(confidence) => Cow::Borrowed(confidence.name()),
            GroupKey::Ended => Cow::Borrowed("(flows that have ended)"),
        }
    }

    fn without(&self) -> &'static str {
        match self.view {
            ViewKind::Units => "(no unit)",
            ViewKind::Slices => "(no slice)",
            ViewKind::Containers => "(no container)",
            ViewKind::Pods => "(no pod)",
            ViewKind::Packages => "(no package)",
            ViewKind::Services | ViewKind::Ports => "(no port)",
            ViewKind::Processes
            | ViewKind::Flows
            | ViewKind::Tree
            | ViewKind::Users
            | ViewKind::Hosts
            | ViewKind::Networks
            | ViewKind::Protocols
            | ViewKind::Interfaces
            | ViewKind::Namespaces => "(no address)",
        }
    }

    /// What tells it from another group of the same name: `None` where there is nothing beyond the label.
    pub(crate) fn key_text(&self) -> Option<Cow<'_, str>> {
        Some(match &self.key {
            GroupKey::User(uid) => Cow::Owned(uid.to_string()),
            GroupKey::Container(id) => Cow::Borrowed(short(id)),
            GroupKey::Pod(uid) => Cow::Borrowed(&**uid),
            GroupKey::Host(addr) => Cow::Owned(addr.to_string()),
            GroupKey::Port(protocol, port) => Cow::Owned(format!("{protocol}/{port}")),
            GroupKey::Interface(netns, _) if *netns != 0 => Cow::Owned(netns.to_string()),
            GroupKey::Process(id) => Cow::Owned(id.pid.to_string()),
            GroupKey::Name(_)
            | GroupKey::Net(_)
            | GroupKey::Protocol(_)
            | GroupKey::Interface(..)
            | GroupKey::Netns(_)
            | GroupKey::Without
            | GroupKey::Unread
            | GroupKey::Kernel
            | GroupKey::Retired
            | GroupKey::Nobody(_)
            | GroupKey::Ended => return None,
        })
    }

    /// How many ancestors are above it, where it is a subtree.
    pub(super) fn tree_depth(&self) -> Option<u16> {
        (self.view == ViewKind::Tree).then_some(self.depth)
    }

    /// Its kind, for machines: the one of its view, or why it is of nothing of that kind.
    pub(super) fn kind(&self) -> &'static str {
        self.key.other_kind().unwrap_or(self.view.spec().group)
    }

    /// What tells it from all others of its kind, for machines; `None` where the kind says it all.
    pub(crate) fn id_text(&self) -> Option<Cow<'_, str>> {
        Some(match &self.key {
            GroupKey::Process(id) => Cow::Owned(id.pid.to_string()),
            GroupKey::User(uid) => Cow::Owned(uid.to_string()),
            GroupKey::Name(name) | GroupKey::Container(name) | GroupKey::Pod(name) => Cow::Borrowed(&**name),
            GroupKey::Host(addr) => Cow::Owned(addr.to_string()),
            GroupKey::Net(net) => Cow::Owned(net.to_string()),
            GroupKey::Port(protocol, port) => Cow::Owned(format!("{protocol}/{port}")),
            GroupKey::Protocol(protocol) => Cow::Owned(protocol.to_string()),
            GroupKey::Interface(netns, index) => Cow::Owned(format!("{netns}/{index}")),
            GroupKey::Netns(cookie) if *cookie != 0 => Cow::Owned(cookie.to_string()),
            GroupKey::Netns(_)
            | GroupKey::Without
            | GroupKey::Unread
            | GroupKey::Kernel
            | GroupKey::Retired
            | GroupKey::Nobody(_)
            | GroupKey::Ended => return None,
        })
    }

    /// What it is called beyond its key; a host or a service as flows have it.
    pub(super) fn given_name<'s>(&'s self, names: &'s Names) -> Option<&'s str> {
        self.name.as_deref().filter(|name| !name.is_empty()).or_else(|| match &self.key {
            GroupKey::Host(addr) => names.host(*addr),
            GroupKey::Port(protocol, port) => names.service(*protocol, *port),
            GroupKey::Without
            | GroupKey::Unread
            | GroupKey::Kernel
            | GroupKey::Retired
            | GroupKey::Nobody(_)
            | GroupKey::Ended
            | GroupKey::Process(_)
            | GroupKey::User(_)
            | GroupKey::Name(_)
            | GroupKey::Container(_)
            | GroupKey::Pod(_)
            | GroupKey::Net(_)
            | GroupKey::Protocol(_)
            | GroupKey::Interface(..)
            | GroupKey::Netns(_) => None,
        })
    }
}

/// A container id as runtimes show it.
fn short(id: &str) -> &str {
    let is_hash = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash { &id[..12] } else { id }
}

/// The group of a process, and its name.
pub(super) fn of_process(view: ViewKind, row: &ProcessRow) -> (GroupKey, Option<Arc<str>>) {
    match row.id {
        None if row.confidence == Confidence::Exact => return (GroupKey::Retired, None),
        None => return (GroupKey::Nobody(row.confidence), None),
        Some(ProcessId::KERNEL) => return (GroupKey::Kernel, None),
        Some(_) => {}
    }
    let identity = &row.identity;
    // Where the cgroup could not be read, nobody knows what is not in its path.
    let absent = |known: bool| (if known { GroupKey::Without } else { GroupKey::Unread }, None);
    let named = |name: &Option<Arc<str>>, known: bool| match name {
        Some(name) => (GroupKey::Name(Arc::clone(name)), None),
        None => absent(known),
    };
    match view {
        ViewKind::Users => match row.uid {
            Some(uid) => (GroupKey::User(uid), identity.user.clone()),
            None => (GroupKey::Unread, None),
        },
        ViewKind::Units => named(&identity.unit, identity.cgroup.is_some()),
        ViewKind::Slices => named(&identity.slice, identity.cgroup.is_some()),
        ViewKind::Packages => named(&identity.package, row.exe.is_some()),
        ViewKind::Containers => match &identity.container {
            Some(container) => (GroupKey::Container(Arc::clone(&container.id)), container.name.clone()),
            None => absent(identity.cgroup.is_some()),
        },
        ViewKind::Pods => match &identity.pod {
            Some(pod) => {
                let name = match (&pod.namespace, &pod.name) {
                    (Some(namespace), Some(name)) => Some(format!("{namespace}/{name}").into()),
                    (_, name) => name.clone(),
                };
                (GroupKey::Pod(Arc::clone(&pod.uid)), name)
            }
            None => absent(identity.cgroup.is_some()),
        },
        // These are not groups of processes.
        ViewKind::Processes
        | ViewKind::Tree
        | ViewKind::Flows
        | ViewKind::Hosts
        | ViewKind::Networks
        | ViewKind::Services
        | ViewKind::Ports
        | ViewKind::Protocols
        | ViewKind::Interfaces
        | ViewKind::Namespaces => (GroupKey::Unread, None),
    }
}

/// The group of a flow, and its name.
pub(super) fn of_flow(view: ViewKind, row: &FlowRow, prefixes: Prefixes) -> (GroupKey, Option<Arc<str>>) {
    let port = |port: Option<u16>| port.map(|port| GroupKey::Port(row.id.protocol, port));
    let host = || row.id.remote_end().map(|end| end.addr.to_canonical());
    let key = match view {
        ViewKind::Hosts => host().map(GroupKey::Host),
        ViewKind::Networks => host().map(|addr| GroupKey::Net(prefixes.net(addr))),
        ViewKind::Services => port(row.id.remote_end().and_then(|end| end.port)),
        ViewKind::Ports => port(row.id.local_end().and_then(|end| end.port)),
        ViewKind::Protocols => Some(GroupKey::Protocol(row.id.protocol)),
        ViewKind::Interfaces => {
            let name = Some(&row.interface).filter(|name| !name.is_empty()).cloned();
            return (GroupKey::Interface(row.id.netns, row.id.ifindex), name);
        }
        ViewKind::Namespaces => Some(GroupKey::Netns(row.id.netns)),
        // These are not groups of flows.
        ViewKind::Flows
        | ViewKind::Processes
        | ViewKind::Tree
        | ViewKind::Users
        | ViewKind::Units
        | ViewKind::Slices
        | ViewKind::Containers
        | ViewKind::Pods
        | ViewKind::Packages => None,
    };
    (key.unwrap_or(GroupKey::Without), None)
}

/// Groups while they are summed, in order of first appearance.
struct Groups {
    view: ViewKind,
    places: HashMap<GroupKey, usize>,
    rows: Vec<GroupRow>,
}

impl Groups {
    fn new(view: ViewKind) -> Self {
        Self { view, places: HashMap::new(), rows: Vec::new() }
    }

    fn place(&mut self, key: GroupKey, name: Option<Arc<str>>) -> usize {
        match self.places.entry(key) {
            Entry::Occupied(entry) => {
                let place = *entry.get();
                // A name that was read late is a name for all.
                if self.rows[place].name.is_none() {
                    self.rows[place].name = name;
                }
                place
            }
            Entry::Vacant(entry) => {
                self.rows.push(GroupRow::new(self.view, entry.key().clone(), name));
                *entry.insert(self.rows.len() - 1)
            }
        }
    }
}

/// Sums processes into the groups of a view.
pub(super) fn by_process(view: ViewKind, processes: &[Arc<ProcessRow>]) -> Vec<GroupRow> {
    let mut groups = Groups::new(view);
    for row in processes {
        let (key, name) = of_process(view, row);
        let place = groups.place(key, name);
        groups.rows[place].add_process(row);
    }
    groups.rows
}

/// Sums flows into the groups of a view.
pub(super) fn by_flow(view: ViewKind, flows: &[Arc<FlowRow>], prefixes: Prefixes) -> Vec<GroupRow> {
    let mut groups = Groups::new(view);
    let mut members: HashSet<(usize, ProcessId)> = HashSet::new();
    for row in flows {
        let (key, name) = of_flow(view, row, prefixes);
        let place = groups.place(key, name);
        let group = &mut groups.rows[place];
        let is_new = row.attribution.owner.is_some_and(|owner| members.insert((place, owner)));
        group.members += usize::from(is_new);
        group.flows += usize::from(row.closed.is_none());
        group.sums.add(&Sums::of_flow(row));
        group.last = group.last.max(row.last);
    }
    groups.rows
}
