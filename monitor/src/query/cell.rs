//! What a column shows of a row, and what rows are compared by.

use super::column::{Column, ColumnId};
use super::format::Format;
use super::group::{GroupKey, GroupRow};
use super::number::{count, latency};
use super::view::{ViewKind, columns};
use super::{Row, SortKey};
use crate::model::{Confidence, Endpoint, FlowRow, Identity, ProcessId, ProcessRow, TcpState};
use std::borrow::Cow;

/// What rows are compared by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key<'s> {
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

impl SortKey {
    /// The name of what is sorted by, for the screen.
    pub(crate) fn title(self) -> String {
        match self {
            Self::Rate(window) => format!("{}s", window.seconds()),
            Self::Column(id) => ViewKind::ALL
                .iter()
                .flat_map(|view| columns(*view))
                .find(|column| column.id == id)
                .map_or_else(String::new, |column| column.name.replace('_', " ")),
        }
    }

    /// What rows are compared by.
    pub(crate) fn key(self, row: Row<'_>) -> Key<'_> {
        match self {
            Self::Rate(window) => {
                let (windows, index) = (row.windows(), window.index());
                Key::Number(windows.rx[index].saturating_add(windows.tx[index]))
            }
            Self::Column(id) => id.key(row),
        }
    }
}

impl ColumnId {
    /// What rows are compared by when they are sorted by this column.
    pub(crate) fn key(self, row: Row<'_>) -> Key<'_> {
        let flow = row.flow();
        let number = |number: Option<u64>| number.map_or(Key::Nothing, Key::Number);
        let text = |text| Option::map_or(text, Key::Nothing, Key::Text);
        let end = |end: Option<Endpoint>| end.map_or(Key::Nothing, Key::Endpoint);
        match self {
            Self::Pid => number(row.owner().map(|owner| owner.pid.into())),
            Self::Process => Key::Text(row.name()),
            Self::User => match identity(row).and_then(|identity| identity.user.as_deref()) {
                Some(user) => Key::Text(user),
                None => number(uid(row).map(u64::from)),
            },
            Self::Unit => text(unit(row)),
            Self::Package => text(identity(row).and_then(|identity| identity.package.as_deref())),
            Self::Flows => number(flows(row)),
            Self::Exe => text(exe(row)),
            Self::Command => text(command(row)),
            Self::Protocol => number(flow.map(|flow| flow.id.protocol.number().into())),
            Self::Local => end(flow.and_then(|flow| flow.id.local_end())),
            Self::Remote => end(flow.and_then(|flow| flow.id.remote_end())),
            Self::Interface => text(flow.map(|flow| &*flow.interface)),
            Self::Owner => Key::Text(row.confidence().name()),
            Self::State => text(flow.and_then(FlowRow::state).map(TcpState::name)),
            Self::Rtt => number(tcp(row).map(|tcp| u64::try_from(tcp.srtt.as_nanos()).unwrap_or(u64::MAX))),
            Self::Retransmits => number(tcp(row).map(|tcp| tcp.retransmits.into())),
            Self::Window => number(tcp(row).map(|tcp| tcp.cwnd.into())),
            Self::RxPayload => number(tcp(row).map(|tcp| tcp.received_bytes)),
            Self::TxPayload => number(tcp(row).map(|tcp| tcp.acked_bytes)),
            Self::Group => match row {
                Row::Group(
                    GroupRow { name: Some(name), .. } | GroupRow { key: GroupKey::Name(name), .. },
                ) => Key::Text(name),
                Row::Group(group) => Key::Group(&group.key),
                _ => Key::Nothing,
            },
            Self::Key => row.group().map_or(Key::Nothing, |group| Key::Group(&group.key)),
            Self::Members => number(row.group().map(|group| group.members as u64)),
            Self::Rx(window) => Key::Number(row.windows().rx[window.index()]),
            Self::Tx(window) => Key::Number(row.windows().tx[window.index()]),
            Self::RxTotal => Key::Number(row.total().rx_bytes),
            Self::TxTotal => Key::Number(row.total().tx_bytes),
        }
    }
}

impl ColumnId {
    /// The unit of the number that a cell of this column rounds for people; `None` where it rounds none.
    pub(crate) fn unit(self) -> Option<&'static str> {
        match self {
            Self::Rx(_) | Self::Tx(_) => Some("bps"),
            Self::RxTotal | Self::TxTotal | Self::RxPayload | Self::TxPayload => Some("bytes"),
            Self::Rtt => Some("ns"),
            Self::Flows | Self::Retransmits | Self::Window | Self::Members => Some("count"),
            Self::Pid
            | Self::Process
            | Self::User
            | Self::Unit
            | Self::Package
            | Self::Exe
            | Self::Command
            | Self::Protocol
            | Self::Local
            | Self::Remote
            | Self::Interface
            | Self::Owner
            | Self::State
            | Self::Group
            | Self::Key => None,
        }
    }

    /// That number as it is, in that unit; `None` where the row has none.
    pub(crate) fn exact(self, row: Row<'_>) -> Option<u64> {
        self.unit()?;
        match self.key(row) {
            Key::Number(number) => Some(number),
            Key::Nothing | Key::Text(_) | Key::Endpoint(_) | Key::Group(_) => None,
        }
    }
}

impl Column {
    /// The cell as the screen shows it: unescaped, unpadded, `-` where there is nothing to say.
    pub(crate) fn cell<'s>(&self, row: Row<'s>, format: &Format<'s>) -> Cow<'s, str> {
        match self.id {
            ColumnId::Process => named(row),
            _ => self.field(row, format),
        }
    }

    /// The cell as text output shows it: like [`Column::cell`], but a name stands alone.
    pub(crate) fn field<'s>(&self, row: Row<'s>, format: &Format<'s>) -> Cow<'s, str> {
        let units = format.units();
        let owned = |text: Option<String>| text.map(Cow::Owned);
        let borrowed = |text: Option<&'s str>| text.filter(|text| !text.is_empty()).map(Cow::Borrowed);
        let end = |flow: &FlowRow, end: Option<Endpoint>| end.map(|end| format.end(flow.id.protocol, end));
        let text = match self.id {
            ColumnId::Pid => {
                owned(row.owner().filter(|o| *o != ProcessId::KERNEL).map(|o| o.pid.to_string()))
            }
            ColumnId::Process => borrowed(Some(row.name())),
            ColumnId::User => borrowed(identity(row).and_then(|identity| identity.user.as_deref()))
                .or_else(|| owned(uid(row).map(|uid| uid.to_string()))),
            ColumnId::Unit => borrowed(unit(row)),
            ColumnId::Package => borrowed(identity(row).and_then(|identity| identity.package.as_deref())),
            ColumnId::Flows => owned(flows(row).map(count)),
            ColumnId::Exe => borrowed(exe(row)),
            ColumnId::Command => borrowed(command(row)),
            ColumnId::Protocol => owned(row.flow().map(|flow| flow.id.protocol.to_string())),
            ColumnId::Local => owned(row.flow().and_then(|flow| end(flow, flow.id.local_end()))),
            ColumnId::Remote => owned(row.flow().and_then(|flow| end(flow, flow.id.remote_end()))),
            ColumnId::Interface => borrowed(row.flow().map(|flow| &*flow.interface)),
            ColumnId::Owner => borrowed(Some(row.confidence().name())),
            ColumnId::State => borrowed(row.flow().and_then(FlowRow::state).map(TcpState::name)),
            ColumnId::Rtt => owned(tcp(row).map(|tcp| latency(tcp.srtt))),
            ColumnId::Retransmits => owned(tcp(row).map(|tcp| count(tcp.retransmits.into()))),
            ColumnId::Window => owned(tcp(row).map(|tcp| count(tcp.cwnd.into()))),
            ColumnId::RxPayload => owned(tcp(row).map(|tcp| units.bytes(tcp.received_bytes))),
            ColumnId::TxPayload => owned(tcp(row).map(|tcp| units.bytes(tcp.acked_bytes))),
            ColumnId::Group => row.group().map(|group| group.label(format)),
            ColumnId::Key => row.group().and_then(GroupRow::key_text),
            ColumnId::Members => owned(row.group().map(|group| count(group.members as u64))),
            ColumnId::Rx(window) => owned(Some(units.rate(row.windows().rx[window.index()]))),
            ColumnId::Tx(window) => owned(Some(units.rate(row.windows().tx[window.index()]))),
            ColumnId::RxTotal => owned(Some(units.bytes(row.total().rx_bytes))),
            ColumnId::TxTotal => owned(Some(units.bytes(row.total().tx_bytes))),
        };
        text.unwrap_or(Cow::Borrowed("-"))
    }
}

/// The owner's name with what it is worth: `nginx`, `nginx ~` where it is inherited or shared, `unknown: why`.
fn named(row: Row<'_>) -> Cow<'_, str> {
    match (row.confidence(), row.owner()) {
        (Confidence::Inherited | Confidence::Shared, Some(_)) => Cow::Owned(format!("{} ~", row.name())),
        (Confidence::Unknown | Confidence::Ambiguous, None) => {
            Cow::Owned(format!("{}: {}", row.name(), row.reason().unwrap_or("?")))
        }
        _ => Cow::Borrowed(row.name()),
    }
}

fn process(row: Row<'_>) -> Option<&ProcessRow> {
    match row {
        Row::Process(row) => Some(row),
        Row::Group(group) => group.process.as_deref(),
        Row::Flow(_) => None,
    }
}

fn identity(row: Row<'_>) -> Option<&Identity> {
    match row {
        Row::Flow(flow) => Some(&flow.identity),
        _ => process(row).map(|row| &*row.identity),
    }
}

fn uid(row: Row<'_>) -> Option<u32> {
    match row {
        Row::Flow(flow) => flow.uid,
        _ => process(row)?.uid,
    }
}

fn exe(row: Row<'_>) -> Option<&str> {
    process(row)?.exe.as_deref()
}

/// The command line; of a process without one (a kernel's, a zombie's) nothing.
fn command(row: Row<'_>) -> Option<&str> {
    identity(row)?.cmdline.as_deref()
}

/// A container says more than the unit of its runtime.
fn unit(row: Row<'_>) -> Option<&str> {
    let identity = identity(row)?;
    let container =
        identity.container.as_deref().map(|container| container.name.as_ref().unwrap_or(&container.id));
    container.or(identity.unit.as_ref()).map(|name| &**name)
}

fn flows(row: Row<'_>) -> Option<u64> {
    match row {
        Row::Process(row) => Some(row.flows as u64),
        Row::Group(row) => Some(row.flows as u64),
        Row::Flow(_) => None,
    }
}

fn tcp(row: Row<'_>) -> Option<&crate::model::TcpHealth> {
    row.flow()?.tcp.as_ref()
}
