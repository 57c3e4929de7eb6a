//! The columns: one table a view, from which the screen and the text output draw.
//!
//! A column knows its cell and its sort key and the room that it needs; it knows nothing of colour, escaping or
//! terminals.

use super::field::Field;
use super::format::Format;
use super::number::{COUNT_WIDTH, Units};
use super::value::Kind;
use super::{Row, Window};
use crate::model::Confidence;
use std::borrow::Cow;

/// Which side of its room a cell keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// What a column is about, for its accent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Nothing in particular.
    Plain,
    /// Received.
    Rx,
    /// Sent.
    Tx,
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// Its identity.
    pub id: Field,
    /// Its name in text output: one word.
    pub name: &'static str,
    /// Its title on the screen.
    pub title: &'static str,
    /// The least room that it is shown in, columns of the terminal; binary units take one more ([`Column::room`]).
    pub width: u16,
    /// The room that it has before another column may have any: a name that is cut short names nobody.
    pub fair: u16,
    /// The most room that it makes use of.
    pub most: u16,
    /// Where the cell keeps to.
    pub align: Align,
    /// Its accent.
    pub role: Role,
    /// When width runs short the lowest leave first; `u8::MAX` never does.
    pub leaves: u8,
}

/// A column with the room that it got.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    /// The column.
    pub column: &'static Column,
    /// Its room, columns of the terminal.
    pub width: u16,
}

/// Never leaves.
pub(super) const STAYS: u8 = u8::MAX;
/// The longest `[v6]:port` there is.
const ENDPOINT_MOST: u16 = 47;
/// A v4 address with its port.
const ENDPOINT_LEAST: u16 = 21;

const fn word(id: Field, name: &'static str, title: &'static str, width: (u16, u16), leaves: u8) -> Column {
    let (least, most) = width;
    Column { id, name, title, width: least, fair: least, most, align: Align::Left, role: Role::Plain, leaves }
}

const fn amount(
    id: Field,
    role: Role,
    name: &'static str,
    title: &'static str,
    width: u16,
    leaves: u8,
) -> Column {
    Column { id, name, title, width, fair: width, most: width, align: Align::Right, role, leaves }
}

/// `1.23Mb/s`
const RATE: u16 = 8;
/// As wide as its title.
const TOTAL: u16 = 8;

const RX_2S: Column = amount(Field::Rx(Window::Two), Role::Rx, "rx_2s", "RX 2s", RATE, STAYS);
const RX_10S: Column = amount(Field::Rx(Window::Ten), Role::Rx, "rx_10s", "10s", RATE, 6);
const RX_40S: Column = amount(Field::Rx(Window::Forty), Role::Rx, "rx_40s", "40s", RATE, 3);
const TX_2S: Column = amount(Field::Tx(Window::Two), Role::Tx, "tx_2s", "TX 2s", RATE, STAYS);
const TX_10S: Column = amount(Field::Tx(Window::Ten), Role::Tx, "tx_10s", "10s", RATE, 6);
const TX_40S: Column = amount(Field::Tx(Window::Forty), Role::Tx, "tx_40s", "40s", RATE, 3);
const RX_TOTAL: Column = amount(Field::RxTotal, Role::Rx, "rx_total", "RX TOTAL", TOTAL, 2);
const TX_TOTAL: Column = amount(Field::TxTotal, Role::Tx, "tx_total", "TX TOTAL", TOTAL, 2);
const FLOW_COUNT: Column = amount(Field::Flows, Role::Plain, "flows", "FLOWS", COUNT_WIDTH, 5);
const MEMBERS: Column = amount(Field::Members, Role::Plain, "processes", "PROCS", COUNT_WIDTH, 5);
const PROCESS: Column = Column { fair: 18, ..word(Field::Process, "process", "PROCESS", (8, 24), STAYS) };
const USER: Column = word(Field::User, "user", "USER", (8, 16), 4);
const PACKAGE: Column = word(Field::Package, "package", "PACKAGE", (10, 24), 1);

pub(super) static PROCESSES: [Column; 16] = [
    amount(Field::Pid, Role::Plain, "pid", "PID", 7, 8),
    PROCESS,
    USER,
    word(Field::Workload, "workload", "UNIT/CONTAINER", (14, 32), 7),
    RX_2S,
    RX_10S,
    RX_40S,
    TX_2S,
    TX_10S,
    TX_40S,
    FLOW_COUNT,
    RX_TOTAL,
    TX_TOTAL,
    PACKAGE,
    word(Field::Exe, "exe", "EXECUTABLE", (16, u16::MAX), 1),
    word(Field::Command, "command", "COMMAND LINE", (24, u16::MAX), 0),
];

pub(super) static TREE: [Column; 14] = [
    amount(Field::Pid, Role::Plain, "pid", "PID", 7, 8),
    Column { fair: 24, most: 40, ..PROCESS },
    USER,
    RX_2S,
    RX_10S,
    RX_40S,
    TX_2S,
    TX_10S,
    TX_40S,
    MEMBERS,
    FLOW_COUNT,
    RX_TOTAL,
    TX_TOTAL,
    word(Field::Command, "command", "COMMAND LINE", (24, u16::MAX), 0),
];

pub(super) static FLOWS: [Column; 21] = [
    word(Field::Local, "local", "LOCAL", (ENDPOINT_LEAST, ENDPOINT_MOST), 8),
    word(Field::Remote, "remote", "REMOTE", (ENDPOINT_LEAST, ENDPOINT_MOST), 9),
    word(Field::Protocol, "proto", "PROTO", (6, 7), 7),
    amount(Field::Pid, Role::Plain, "pid", "PID", 7, 5),
    PROCESS,
    word(Field::Owner, "owner", "OWNER", (9, 9), 1),
    word(Field::Interface, "interface", "IFACE", (8, 15), 4),
    RX_2S,
    RX_10S,
    RX_40S,
    TX_2S,
    TX_10S,
    TX_40S,
    RX_TOTAL,
    TX_TOTAL,
    word(Field::State, "state", "STATE", (11, 11), 1),
    amount(Field::Rtt, Role::Plain, "rtt", "RTT", 6, 1),
    amount(Field::Retransmits, Role::Plain, "retr", "RETR", COUNT_WIDTH, 1),
    amount(Field::Window, Role::Plain, "cwnd", "CWND", COUNT_WIDTH, 0),
    amount(Field::RxPayload, Role::Rx, "rx_payload", "RX PAYLOAD", 10, 0),
    amount(Field::TxPayload, Role::Tx, "tx_payload", "TX PAYLOAD", 10, 0),
];

const fn grouped(group: Column) -> [Column; 11] {
    [group, MEMBERS, FLOW_COUNT, RX_2S, RX_10S, RX_40S, TX_2S, TX_10S, TX_40S, RX_TOTAL, TX_TOTAL]
}

const fn keyed(group: Column, key: Column) -> [Column; 12] {
    [group, key, MEMBERS, FLOW_COUNT, RX_2S, RX_10S, RX_40S, TX_2S, TX_10S, TX_40S, RX_TOTAL, TX_TOTAL]
}

const fn label(name: &'static str, title: &'static str, width: (u16, u16)) -> Column {
    Column { fair: width.0, ..word(Field::Group, name, title, (8, width.1), STAYS) }
}

const fn key(name: &'static str, title: &'static str, width: (u16, u16)) -> Column {
    word(Field::Key, name, title, width, 4)
}

pub(super) static USERS: [Column; 12] = keyed(label("user", "USER", (16, 32)), key("uid", "UID", (10, 10)));
pub(super) static UNITS: [Column; 11] = grouped(label("unit", "UNIT", (24, u16::MAX)));
pub(super) static SLICES: [Column; 11] = grouped(label("slice", "SLICE", (24, u16::MAX)));
pub(super) static CONTAINERS: [Column; 12] =
    keyed(label("container", "CONTAINER", (24, u16::MAX)), key("id", "ID", (12, 12)));
pub(super) static PODS: [Column; 12] =
    keyed(label("pod", "POD", (24, u16::MAX)), key("uid", "UID", (12, 36)));
pub(super) static PACKAGES: [Column; 11] = grouped(label("package", "PACKAGE", (24, u16::MAX)));
pub(super) static HOSTS: [Column; 12] =
    keyed(label("host", "HOST", (20, u16::MAX)), key("address", "ADDRESS", (15, 39)));
pub(super) static NETWORKS: [Column; 11] = grouped(label("network", "NETWORK", (24, 43)));
pub(super) static SERVICES: [Column; 12] =
    keyed(label("service", "REMOTE SERVICE", (16, 24)), key("remote_port", "REMOTE PORT", (13, 13)));
pub(super) static PORTS: [Column; 12] =
    keyed(label("service", "LOCAL SERVICE", (16, 24)), key("local_port", "LOCAL PORT", (13, 13)));
pub(super) static PROTOCOLS: [Column; 11] = grouped(label("proto", "PROTOCOL", (24, 24)));
pub(super) static INTERFACES: [Column; 12] =
    keyed(label("interface", "INTERFACE", (16, 24)), key("netns", "NETNS", (10, 20)));
pub(super) static NAMESPACES: [Column; 11] = grouped(label("netns", "NETNS COOKIE", (24, 24)));

impl Column {
    /// The least and the most room, columns of the terminal.
    pub(crate) fn room(&self, units: Units) -> (u16, u16) {
        let least = match self.id.kind() {
            Kind::BitRate => self.width.max(units.rate_width()),
            Kind::Bytes => self.width.max(units.total_width()),
            Kind::Packets
            | Kind::Count
            | Kind::Duration
            | Kind::Time
            | Kind::Pid
            | Kind::Id
            | Kind::Port
            | Kind::Address
            | Kind::End
            | Kind::Protocol
            | Kind::Text
            | Kind::Name
            | Kind::Group
            | Kind::Key
            | Kind::Ancestors => self.width,
        };
        (least, self.most.max(least))
    }

    /// The cell as the screen shows it: unescaped, unpadded, `-` where there is nothing to say.
    pub(crate) fn cell<'s>(&self, row: Row<'s>, format: &Format<'s>) -> Cow<'s, str> {
        if self.id == Field::Process { named(row) } else { self.field(row, format) }
    }

    /// The cell as text output shows it: like [`Column::cell`], but a name stands alone.
    pub(crate) fn field<'s>(&self, row: Row<'s>, format: &Format<'s>) -> Cow<'s, str> {
        self.id.value(row, format.snapshot).cell(format)
    }
}

/// The owner's name with what it is worth: `nginx`, `nginx ~` where it is inherited or shared, `unknown: why`.
fn named(row: Row<'_>) -> Cow<'_, str> {
    match (row.confidence(), row.owner()) {
        (Confidence::Inherited | Confidence::Shared, Some(_)) => Cow::Owned(format!("{} ~", row.name())),
        (Confidence::Unknown | Confidence::Ambiguous, None) => {
            Cow::Owned(format!("{}: {}", row.name(), row.reason().unwrap_or("?")))
        }
        (Confidence::Exact | Confidence::Pending, _)
        | (Confidence::Inherited | Confidence::Shared, None)
        | (Confidence::Unknown | Confidence::Ambiguous, Some(_)) => Cow::Borrowed(row.name()),
    }
}

/// The columns that fit into `width`, each with one column of space before it, and the room of each. The same width
/// gives the same places whatever the rows hold, so that nothing moves while one looks.
pub(crate) fn place(
    columns: impl IntoIterator<Item = &'static Column>,
    width: u16,
    units: Units,
) -> Vec<Placed> {
    let room = |column: &Column| column.room(units);
    let mut placed: Vec<Placed> =
        columns.into_iter().map(|column| Placed { column, width: column.fair.max(room(column).0) }).collect();
    loop {
        let next = placed.iter().map(|p| p.column.leaves).min().unwrap_or(STAYS);
        if needed(&placed) <= u32::from(width) || next == STAYS {
            break;
        }
        placed.retain(|p| p.column.leaves != next);
    }
    if needed(&placed) > u32::from(width) {
        for p in &mut placed {
            p.width = room(p.column).0;
        }
    }
    let mut spare = u32::from(width).saturating_sub(needed(&placed));
    // Even shares, again and again, because a column that has enough gives its share back.
    loop {
        let hungry = placed.iter().filter(|p| p.width < room(p.column).1).count();
        let each = u32::try_from(hungry).ok().and_then(|hungry| spare.checked_div(hungry)).unwrap_or(0);
        if each == 0 {
            return placed;
        }
        for p in &mut placed {
            let more = each.min(u32::from(room(p.column).1 - p.width));
            p.width += u16::try_from(more).unwrap_or(0);
            spare -= more;
        }
    }
}

fn needed(placed: &[Placed]) -> u32 {
    placed.iter().map(|p| u32::from(p.width) + 1).sum()
}
