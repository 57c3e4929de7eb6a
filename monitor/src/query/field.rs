//! The fields of rows: one list, from which columns, sort keys, exports and the members of JSON come.
//!
//! [`Field::value`] says what a row has there, [`Field::kind`] of what type that is. What a field is called and where it stands is
//! the business of who shows it: the tables of columns, and that of JSON's members.

use super::group::{GroupKey, GroupRow};
use super::value::{Kind, SortValue, Value};
use super::{Row, SortKey, Window};
use crate::model::{
    Container, Endpoint, FlowRow, Identity, Mono, Names, Pod, ProcessId, ProcessRow, Snapshot, TcpHealth,
    bits_per_second,
};
use std::sync::Arc;

/// One of the two ends of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum End {
    /// This host's.
    Local,
    /// The other.
    Remote,
}

/// A field of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Field {
    /// Thread-group id.
    Pid,
    /// Name of the owner, or what the bytes of no process are called.
    Process,
    /// comm of the owner, where there is one.
    Comm,
    /// Login name, else uid.
    User,
    /// systemd unit, or container.
    Workload,
    /// The package that owns the executable.
    Package,
    /// Flows held.
    Flows,
    /// Path of the executable.
    Exe,
    /// The command line.
    Command,
    /// IP protocol.
    Protocol,
    /// This host's end.
    Local,
    /// The other end.
    Remote,
    /// Interface name.
    Interface,
    /// What the attribution is worth.
    Owner,
    /// State of the TCP connection.
    State,
    /// Smoothed round-trip time.
    Rtt,
    /// TCP segments sent again.
    Retransmits,
    /// Congestion window, segments.
    Window,
    /// TCP payload received, to hold against the bytes on the wire.
    RxPayload,
    /// TCP payload acknowledged by the other end.
    TxPayload,
    /// What a group is of.
    Group,
    /// What tells a group from another of the same name: uid, id, address.
    Key,
    /// Processes in a group.
    Members,
    /// Received, average rate over a window.
    Rx(Window),
    /// Sent, average rate over a window.
    Tx(Window),
    /// Received since start.
    RxTotal,
    /// Sent since start.
    TxTotal,
    /// When the process started.
    Start,
    /// When it ended; of a group, the last of its processes.
    Exited,
    /// Real user id.
    Uid,
    /// The whole name, where comm is cut.
    FullName,
    /// Login name.
    Login,
    /// Path of the cgroup.
    Cgroup,
    /// systemd unit.
    Unit,
    /// systemd slice.
    Slice,
    /// Who runs the container.
    ContainerRuntime,
    /// Id of the container.
    ContainerId,
    /// Name of the container.
    ContainerName,
    /// The uid that can have made up that it is one.
    ContainerClaimedBy,
    /// UID of the pod.
    PodUid,
    /// Name of the pod.
    PodName,
    /// Namespace of the pod.
    PodNamespace,
    /// Inode of the network namespace.
    NetnsInode,
    /// SHA-256 of the executable.
    Sha256,
    /// Why there is none.
    Sha256Reason,
    /// Who it descends from.
    Parents,
    /// Address of an end.
    Address(End),
    /// Port of an end.
    Port(End),
    /// Name of the host at an end.
    HostName(End),
    /// Name of the service at an end.
    ServiceName(End),
    /// Cookie of the network namespace.
    Netns,
    /// Cookie of the socket.
    Socket,
    /// How the owner was found.
    Method,
    /// Why the owner is not exact.
    Reason,
    /// Packets received since start.
    RxPackets,
    /// Packets sent since start.
    TxPackets,
    /// Received, rate over the interval.
    RxRate,
    /// Sent, rate over the interval.
    TxRate,
    /// Received since start, as the stack carried it.
    RxSkbBytes,
    /// Sent since start, as the stack carried it.
    TxSkbBytes,
    /// Socket buffers received since start.
    RxSkbs,
    /// Socket buffers sent since start.
    TxSkbs,
    /// Of what kind a group is, or why of none.
    GroupKind,
    /// What tells a group from all others of its kind.
    GroupId,
    /// What a group is called beyond that.
    GroupName,
    /// Ancestors above a subtree.
    Depth,
}

impl SortKey {
    /// What rows are compared by.
    pub(crate) fn value<'s>(self, row: Row<'s>, snapshot: &'s Snapshot) -> SortValue<'s> {
        match self {
            Self::Rate(window) => {
                let (windows, index) = (row.windows(), window.index());
                SortValue::Number(windows.rx[index].saturating_add(windows.tx[index]))
            }
            Self::Column(field) => field.value(row, snapshot).sort(),
        }
    }
}

impl Field {
    /// What a row of this snapshot has there. Names are raw.
    pub(crate) fn value<'s>(self, row: Row<'s>, snapshot: &'s Snapshot) -> Value<'s> {
        let rate = |moved: u64| Value::BitRate(bits_per_second(moved, snapshot.interval));
        let text = |name: Option<&'s Arc<str>>| Value::of(name, |name| Value::Text(name));
        let id = |id: Option<u64>| Value::of(id, Value::Id);
        let count = |count: Option<u64>| Value::of(count, Value::Count);
        let (flow, group, tcp) = (row.flow(), row.group(), tcp(row));
        match self {
            Self::Pid => Value::of(row.owner(), |owner| Value::Pid(owner.pid)),
            Self::Process => Value::Text(row.name()),
            Self::Comm => Value::text(comm(row)),
            Self::User => match identity(row).and_then(|of| of.user.as_ref()) {
                Some(login) => Value::Text(login),
                None => id(uid(row).map(u64::from)),
            },
            Self::Workload => text(workload(row)),
            Self::Package => text(identity(row).and_then(|of| of.package.as_ref())),
            Self::Flows => count(flows(row)),
            Self::Exe => text(process(row).and_then(|of| of.exe.as_ref())),
            Self::Command => text(identity(row).and_then(|of| of.cmdline.as_ref())),
            Self::Protocol => Value::of(flow, |of| Value::Protocol(of.id.protocol)),
            Self::Local => end_of(flow, End::Local),
            Self::Remote => end_of(flow, End::Remote),
            Self::Interface => Value::text(flow.map(|of| &*of.interface)),
            Self::Owner => Value::Text(row.confidence().name()),
            Self::State => Value::of(flow.and_then(FlowRow::state), |state| Value::Text(state.name())),
            Self::Rtt => Value::of(tcp, |tcp| Value::Duration(tcp.srtt)),
            Self::Retransmits => Value::of(tcp, |tcp| Value::Packets(tcp.retransmits.into())),
            Self::Window => Value::of(tcp, |tcp| Value::Packets(tcp.cwnd.into())),
            Self::RxPayload => Value::of(tcp, |tcp| Value::Bytes(tcp.received_bytes)),
            Self::TxPayload => Value::of(tcp, |tcp| Value::Bytes(tcp.acked_bytes)),
            Self::Group => Value::of(group, name_or_group),
            Self::Key => Value::of(group, Value::Key),
            Self::Members => count(group.map(|of| of.members as u64)),
            Self::Rx(window) => Value::BitRate(row.windows().rx[window.index()]),
            Self::Tx(window) => Value::BitRate(row.windows().tx[window.index()]),
            Self::RxTotal => Value::Bytes(row.total().rx_bytes),
            Self::TxTotal => Value::Bytes(row.total().tx_bytes),
            Self::Start => Value::of(process(row).and_then(|of| of.start), Value::Time),
            Self::Exited => Value::of(exited(row), Value::Time),
            Self::Uid => id(uid(row).map(u64::from)),
            Self::FullName => text(identity(row).and_then(|of| of.name.as_ref())),
            Self::Login => text(identity(row).and_then(|of| of.user.as_ref())),
            Self::Cgroup => text(identity(row).and_then(|of| of.cgroup.as_ref())),
            Self::Unit => text(identity(row).and_then(|of| of.unit.as_ref())),
            Self::Slice => text(identity(row).and_then(|of| of.slice.as_ref())),
            Self::ContainerRuntime => Value::of(container(row), |of| Value::Text(of.runtime)),
            Self::ContainerId => Value::of(container(row), |of| Value::Text(&of.id)),
            Self::ContainerName => text(container(row).and_then(|of| of.name.as_ref())),
            Self::ContainerClaimedBy => id(container(row).and_then(|of| of.claimed_by).map(u64::from)),
            Self::PodUid => Value::of(pod(row), |of| Value::Text(&of.uid)),
            Self::PodName => text(pod(row).and_then(|of| of.name.as_ref())),
            Self::PodNamespace => text(pod(row).and_then(|of| of.namespace.as_ref())),
            Self::NetnsInode => id(identity(row).map(|of| of.netns_inode).filter(|inode| *inode != 0)),
            Self::Sha256 => text(identity(row).and_then(|of| of.sha256.as_ref())),
            Self::Sha256Reason => Value::of(identity(row).and_then(|of| of.unhashed), Value::Text),
            Self::Parents => Value::of(identity(row), |of| Value::Ancestors(&of.parents)),
            Self::Address(end) => Value::of(endpoint(flow, end), |of| Value::Address(of.addr)),
            Self::Port(end) => Value::of(endpoint(flow, end).and_then(|of| of.port), Value::Port),
            Self::HostName(end) => {
                Value::of(endpoint(flow, end).and_then(|of| snapshot.names.host(of.addr)), Value::Text)
            }
            Self::ServiceName(end) => Value::of(service(flow, end, &snapshot.names), Value::Text),
            Self::Netns => id(flow.map(|of| of.id.netns).filter(|cookie| *cookie != 0)),
            Self::Socket => id(flow.and_then(|of| of.id.socket.cookie())),
            Self::Method => Value::of(flow, |of| Value::Text(of.attribution.method.name())),
            Self::Reason => Value::of(row.reason(), Value::Text),
            Self::RxPackets => Value::Packets(row.total().rx_packets),
            Self::TxPackets => Value::Packets(row.total().tx_packets),
            Self::RxRate => rate(row.interval().rx_bytes),
            Self::TxRate => rate(row.interval().tx_bytes),
            Self::RxSkbBytes => Value::Bytes(row.total().rx_skb_bytes),
            Self::TxSkbBytes => Value::Bytes(row.total().tx_skb_bytes),
            Self::RxSkbs => Value::Packets(row.total().rx_skbs),
            Self::TxSkbs => Value::Packets(row.total().tx_skbs),
            Self::GroupKind => Value::of(group, |of| Value::Text(of.kind())),
            Self::GroupId => Value::of(group, Value::GroupId),
            Self::GroupName => Value::of(group.and_then(|of| of.given_name(&snapshot.names)), Value::Text),
            Self::Depth => count(group.and_then(GroupRow::tree_depth).map(u64::from)),
        }
    }

    /// Of what type its values are.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Pid => Kind::Pid,
            Self::User => Kind::Name,
            Self::Process
            | Self::Comm
            | Self::Workload
            | Self::Package
            | Self::Exe
            | Self::Command
            | Self::Interface
            | Self::Owner
            | Self::State
            | Self::FullName
            | Self::Login
            | Self::Cgroup
            | Self::Unit
            | Self::Slice
            | Self::ContainerRuntime
            | Self::ContainerId
            | Self::ContainerName
            | Self::PodUid
            | Self::PodName
            | Self::PodNamespace
            | Self::Sha256
            | Self::Sha256Reason
            | Self::HostName(_)
            | Self::ServiceName(_)
            | Self::Method
            | Self::Reason
            | Self::GroupKind
            | Self::GroupName => Kind::Text,
            Self::Flows | Self::Members | Self::Depth => Kind::Count,
            Self::Protocol => Kind::Protocol,
            Self::Local | Self::Remote => Kind::End,
            Self::Rtt => Kind::Duration,
            Self::Retransmits
            | Self::Window
            | Self::RxPackets
            | Self::TxPackets
            | Self::RxSkbs
            | Self::TxSkbs => Kind::Packets,
            Self::RxPayload
            | Self::TxPayload
            | Self::RxTotal
            | Self::TxTotal
            | Self::RxSkbBytes
            | Self::TxSkbBytes => Kind::Bytes,
            Self::Rx(_) | Self::Tx(_) | Self::RxRate | Self::TxRate => Kind::BitRate,
            Self::Group => Kind::Group,
            Self::Key | Self::GroupId => Kind::Key,
            Self::Start | Self::Exited => Kind::Time,
            Self::Uid | Self::ContainerClaimedBy | Self::NetnsInode | Self::Netns | Self::Socket => Kind::Id,
            Self::Parents => Kind::Ancestors,
            Self::Address(_) => Kind::Address,
            Self::Port(_) => Kind::Port,
        }
    }
}

/// comm of the owner, as far as there is an owner and it is known.
fn comm(row: Row<'_>) -> Option<&str> {
    let name: &str = match (row.owner()?, row) {
        (ProcessId::KERNEL, _) => "kernel",
        (_, Row::Process(row)) => &row.process,
        (_, Row::Flow(row)) => &row.process,
        (_, Row::Group(row)) => row.name.as_deref()?,
    };
    Some(name)
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
        Row::Process(_) | Row::Group(_) => process(row).map(|row| &*row.identity),
    }
}

fn uid(row: Row<'_>) -> Option<u32> {
    match row {
        Row::Flow(flow) => flow.uid,
        Row::Process(_) | Row::Group(_) => process(row)?.uid,
    }
}

fn exited(row: Row<'_>) -> Option<Mono> {
    match row {
        Row::Process(row) => row.exited,
        Row::Group(row) => row.exited,
        Row::Flow(_) => None,
    }
}

fn container(row: Row<'_>) -> Option<&Container> {
    identity(row)?.container.as_deref()
}

fn pod(row: Row<'_>) -> Option<&Pod> {
    identity(row)?.pod.as_deref()
}

/// A container says more than the unit of its runtime.
fn workload(row: Row<'_>) -> Option<&Arc<str>> {
    let identity = identity(row)?;
    let container = identity.container.as_deref().map(|of| of.name.as_ref().unwrap_or(&of.id));
    container.or(identity.unit.as_ref())
}

fn flows(row: Row<'_>) -> Option<u64> {
    match row {
        Row::Process(row) => Some(row.flows as u64),
        Row::Group(row) => Some(row.flows as u64),
        Row::Flow(_) => None,
    }
}

fn tcp(row: Row<'_>) -> Option<&TcpHealth> {
    row.flow()?.tcp.as_ref()
}

fn endpoint(flow: Option<&FlowRow>, end: End) -> Option<Endpoint> {
    match end {
        End::Local => flow?.id.local_end(),
        End::Remote => flow?.id.remote_end(),
    }
}

fn end_of<'s>(flow: Option<&FlowRow>, end: End) -> Value<'s> {
    match (flow, endpoint(flow, end)) {
        (Some(flow), Some(end)) => Value::End(flow.id.protocol, end),
        (None, _) | (_, None) => Value::Nothing,
    }
}

fn service<'s>(flow: Option<&FlowRow>, end: End, names: &'s Names) -> Option<&'s str> {
    names.service(flow?.id.protocol, endpoint(flow, end)?.port?)
}

fn name_or_group(group: &GroupRow) -> Value<'_> {
    match (group.name.as_deref().filter(|name| !name.is_empty()), &group.key) {
        (Some(name), _) => Value::Text(name),
        (None, GroupKey::Name(name)) => Value::Text(name),
        (None, _) => Value::Group(group),
    }
}
