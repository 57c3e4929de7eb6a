//! The rows of a view that sums processes or flows.

use super::number::{Counted, date_of, optional_date};
use crate::model::{Names, Snapshot};
use crate::query::{GroupKey, GroupRow};
use serde::Serialize;
use std::borrow::Cow;

#[derive(Serialize)]
pub(super) struct Group<'s> {
    kind: &'static str,
    key: Option<Cow<'s, str>>,
    name: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    depth: Option<u16>,
    processes: usize,
    flows: usize,
    #[serde(serialize_with = "optional_date")]
    exited: Option<i64>,
    #[serde(flatten)]
    counted: Counted,
}

impl<'s> Group<'s> {
    pub(super) fn new(row: &'s GroupRow, snapshot: &'s Snapshot) -> Self {
        Self {
            kind: kind(row),
            key: key(row),
            // The kind says it where the key is none.
            name: row.name.as_deref().filter(|name| !name.is_empty()).or_else(|| named(row, &snapshot.names)),
            depth: (row.view == crate::query::ViewKind::Tree).then_some(row.depth),
            processes: row.members,
            flows: row.flows,
            exited: row.exited.map(|at| date_of(at, snapshot.boot_wall)),
            counted: Counted::new(&row.sums.total, &row.sums.interval, snapshot.interval),
        }
    }
}

/// The name of a host or a service, as flows have it.
fn named<'s>(row: &GroupRow, names: &'s Names) -> Option<&'s str> {
    match &row.key {
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
    }
}

/// What a group is of, or why it is of nothing of that kind.
fn kind(row: &GroupRow) -> &'static str {
    match &row.key {
        GroupKey::Without => "none",
        GroupKey::Unread => "not_known",
        GroupKey::Kernel => "kernel",
        GroupKey::Retired => "retired",
        GroupKey::Nobody(confidence) => confidence.name(),
        GroupKey::Ended => "ended",
        GroupKey::Process(_)
        | GroupKey::User(_)
        | GroupKey::Name(_)
        | GroupKey::Container(_)
        | GroupKey::Pod(_)
        | GroupKey::Host(_)
        | GroupKey::Net(_)
        | GroupKey::Port(..)
        | GroupKey::Protocol(_)
        | GroupKey::Interface(..)
        | GroupKey::Netns(_) => row.view.spec().group,
    }
}

fn key(row: &GroupRow) -> Option<Cow<'_, str>> {
    Some(match &row.key {
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
