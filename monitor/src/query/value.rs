//! Typed values: what a field of a row is, before anybody writes it.
//!
//! A [`Value`] knows what rows are compared by, what people read and which integer a machine gets. It is not JSON, which is the
//! business of that frontend.

use super::format::Format;
use super::group::{GroupKey, GroupRow};
use super::number::{count, latency};
use crate::model::{Ancestor, Endpoint, Mono, Protocol, nanoseconds};
use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

/// The type of a field: that of all its values but [`Value::Nothing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Bytes.
    Bytes,
    /// Bits/s.
    BitRate,
    /// Packets, segments, buffers.
    Packets,
    /// A number of things.
    Count,
    /// A length of time.
    Duration,
    /// An instant.
    Time,
    /// A process id.
    Pid,
    /// A number that is a name: uid, cookie, inode.
    Id,
    /// A port.
    Port,
    /// An address.
    Address,
    /// An address with its port.
    End,
    /// A protocol.
    Protocol,
    /// A name or a word.
    Text,
    /// A name, or the number that stands for it where there is none.
    Name,
    /// What a group is of, for people.
    Group,
    /// What tells a group from another.
    Key,
    /// Processes that others descend from.
    Ancestors,
}

/// A typed value, borrowed from its row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'s> {
    /// There is none, or it is not known.
    Nothing,
    /// Bytes.
    Bytes(u64),
    /// Bits/s.
    BitRate(u64),
    /// Packets, segments, buffers.
    Packets(u64),
    /// A number of things.
    Count(u64),
    /// A length of time.
    Duration(Duration),
    /// An instant, since boot.
    Time(Mono),
    /// A process id; 0 is the kernel, for which people read nothing.
    Pid(u32),
    /// A number that is a name.
    Id(u64),
    /// A port, host order.
    Port(u16),
    /// An address.
    Address(IpAddr),
    /// An address with its port, which a service of that protocol may be named for.
    End(Protocol, Endpoint),
    /// A protocol.
    Protocol(Protocol),
    /// A name or a word, raw.
    Text(&'s str),
    /// What a group without a name is of.
    Group(&'s GroupRow),
    /// What tells a group from another of the same name, for people.
    Key(&'s GroupRow),
    /// What tells a group from all others of its kind, for machines.
    GroupId(&'s GroupRow),
    /// Processes that others descend from, parent first.
    Ancestors(&'s [Ancestor]),
}

/// What rows are compared by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SortValue<'s> {
    /// There is nothing to compare.
    Nothing,
    /// By amount.
    Number(u64),
    /// By code point.
    Text(&'s str),
    /// By address, then port.
    Endpoint(Endpoint),
    /// By what a group is of.
    Group(&'s GroupKey),
}

impl Kind {
    /// The unit of the number that people read rounded, as [`Value::exact`] has it; `None` where none is.
    pub(crate) fn unit(self) -> Option<&'static str> {
        match self {
            Self::Bytes => Some("bytes"),
            Self::BitRate => Some("bps"),
            Self::Packets | Self::Count => Some("count"),
            Self::Duration => Some("ns"),
            Self::Time
            | Self::Pid
            | Self::Id
            | Self::Port
            | Self::Address
            | Self::End
            | Self::Protocol
            | Self::Text
            | Self::Name
            | Self::Group
            | Self::Key
            | Self::Ancestors => None,
        }
    }
}

impl<'s> Value<'s> {
    /// The value, where there is one.
    pub(super) fn of<T>(value: Option<T>, make: impl FnOnce(T) -> Self) -> Self {
        value.map_or(Self::Nothing, make)
    }

    /// A name, where there is one that is not empty.
    pub(super) fn text(name: Option<&'s str>) -> Self {
        Self::of(name.filter(|name| !name.is_empty()), Self::Text)
    }

    /// What rows are compared by.
    pub(crate) fn sort(self) -> SortValue<'s> {
        match self {
            Self::Nothing | Self::Ancestors(_) => SortValue::Nothing,
            Self::Bytes(number)
            | Self::BitRate(number)
            | Self::Packets(number)
            | Self::Count(number)
            | Self::Time(Mono(number))
            | Self::Id(number) => SortValue::Number(number),
            Self::Duration(time) => SortValue::Number(nanoseconds(time)),
            Self::Pid(pid) => SortValue::Number(pid.into()),
            Self::Port(port) => SortValue::Number(port.into()),
            Self::Protocol(protocol) => SortValue::Number(protocol.number().into()),
            Self::Address(addr) => SortValue::Endpoint(Endpoint { addr, port: None }),
            Self::End(_, end) => SortValue::Endpoint(end),
            Self::Text(text) => SortValue::Text(text),
            Self::Group(row) | Self::Key(row) | Self::GroupId(row) => SortValue::Group(&row.key),
        }
    }

    /// What people read: unescaped, unpadded, numbers rounded, `-` where there is nothing to say.
    pub(crate) fn cell(self, format: &Format<'s>) -> Cow<'s, str> {
        match self {
            Self::Nothing | Self::Pid(0) | Self::Text("") | Self::Ancestors([]) => Cow::Borrowed("-"),
            Self::Bytes(bytes) => Cow::Owned(format.units().bytes(bytes)),
            Self::BitRate(rate) => Cow::Owned(format.units().rate(rate)),
            Self::Packets(number) | Self::Count(number) => Cow::Owned(count(number)),
            Self::Duration(time) => Cow::Owned(latency(time)),
            Self::Time(Mono(number)) | Self::Id(number) => Cow::Owned(number.to_string()),
            Self::Pid(pid) => Cow::Owned(pid.to_string()),
            Self::Port(port) => Cow::Owned(port.to_string()),
            Self::Address(addr) => Cow::Owned(addr.to_string()),
            Self::End(protocol, end) => Cow::Owned(format.end(protocol, end)),
            Self::Protocol(protocol) => Cow::Owned(protocol.to_string()),
            Self::Text(text) => Cow::Borrowed(text),
            Self::Group(row) => row.label(format),
            Self::Key(row) => row.key_text().unwrap_or(Cow::Borrowed("-")),
            Self::GroupId(row) => row.id_text().unwrap_or(Cow::Borrowed("-")),
            Self::Ancestors(all) => {
                Cow::Owned(all.iter().map(|one| &*one.comm).collect::<Vec<_>>().join(" < "))
            }
        }
    }

    /// The number that a cell rounds, as it is, in the unit of its kind; `None` where there is none.
    pub(crate) fn exact(self) -> Option<u64> {
        match self {
            Self::Bytes(number) | Self::BitRate(number) | Self::Packets(number) | Self::Count(number) => {
                Some(number)
            }
            Self::Duration(time) => Some(nanoseconds(time)),
            Self::Nothing
            | Self::Time(_)
            | Self::Pid(_)
            | Self::Id(_)
            | Self::Port(_)
            | Self::Address(_)
            | Self::End(..)
            | Self::Protocol(_)
            | Self::Text(_)
            | Self::Group(_)
            | Self::Key(_)
            | Self::GroupId(_)
            | Self::Ancestors(_) => None,
        }
    }
}
