//! The columns: one table a view, from which the screen and the text output draw.
//!
//! A column knows its cell and its sort key and the room that it needs; it knows nothing of colour, escaping or
//! terminals.

use super::number::{COUNT_WIDTH, RATE_WIDTH, TOTAL_WIDTH, bytes, count, rate};
use super::{Row, SortKey, ViewKind, Window};
use crate::model::{Confidence, Counters, Endpoint, FlowRow, ProcessId};
use std::borrow::Cow;

/// Which side of its room a cell keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// What a column is about, for its accent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Nothing in particular.
    Plain,
    /// Received.
    Rx,
    /// Sent.
    Tx,
}

/// A column's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColumnId {
    /// Thread-group id.
    Pid,
    /// comm of the owner.
    Process,
    /// Uid.
    User,
    /// Flows held.
    Flows,
    /// Path of the executable.
    Exe,
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
    /// Received, average rate over a window.
    Rx(Window),
    /// Sent, average rate over a window.
    Tx(Window),
    /// Received since start.
    RxTotal,
    /// Sent since start.
    TxTotal,
}

/// What rows are compared by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key<'s> {
    /// There is nothing to compare.
    Nothing,
    /// By amount.
    Number(u64),
    /// By code point.
    Text(&'s str),
    /// By address, then port.
    Endpoint(Endpoint),
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its identity.
    pub id: ColumnId,
    /// Its name in text output: one word.
    pub name: &'static str,
    /// Its title on the screen.
    pub title: &'static str,
    /// The least room that it is shown in, columns of the terminal.
    pub width: u16,
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
pub struct Placed {
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

const fn word(
    id: ColumnId,
    name: &'static str,
    title: &'static str,
    width: (u16, u16),
    leaves: u8,
) -> Column {
    Column { id, name, title, width: width.0, most: width.1, align: Align::Left, role: Role::Plain, leaves }
}

const fn amount(
    id: ColumnId,
    role: Role,
    name: &'static str,
    title: &'static str,
    width: u16,
    leaves: u8,
) -> Column {
    Column { id, name, title, width, most: width, align: Align::Right, role, leaves }
}

const fn rx(window: Window, name: &'static str, title: &'static str, leaves: u8) -> Column {
    amount(ColumnId::Rx(window), Role::Rx, name, title, RATE_WIDTH, leaves)
}

const fn tx(window: Window, name: &'static str, title: &'static str, leaves: u8) -> Column {
    amount(ColumnId::Tx(window), Role::Tx, name, title, RATE_WIDTH, leaves)
}

const TOTAL_ROOM: u16 = if TOTAL_WIDTH > 8 { TOTAL_WIDTH } else { 8 };

static PROCESSES: &[Column] = &[
    amount(ColumnId::Pid, Role::Plain, "pid", "PID", 7, 7),
    word(ColumnId::Process, "process", "PROCESS", (8, 24), STAYS),
    word(ColumnId::User, "uid", "UID", (7, 7), 4),
    rx(Window::Two, "rx_2s", "RX 2s", STAYS),
    rx(Window::Ten, "rx_10s", "10s", 6),
    rx(Window::Forty, "rx_40s", "40s", 3),
    tx(Window::Two, "tx_2s", "TX 2s", STAYS),
    tx(Window::Ten, "tx_10s", "10s", 6),
    tx(Window::Forty, "tx_40s", "40s", 3),
    amount(ColumnId::Flows, Role::Plain, "flows", "FLOWS", COUNT_WIDTH, 5),
    amount(ColumnId::RxTotal, Role::Rx, "rx_total", "RX TOTAL", TOTAL_ROOM, 2),
    amount(ColumnId::TxTotal, Role::Tx, "tx_total", "TX TOTAL", TOTAL_ROOM, 2),
    word(ColumnId::Exe, "exe", "EXECUTABLE", (16, u16::MAX), 1),
];

static FLOWS: &[Column] = &[
    word(ColumnId::Local, "local", "LOCAL", (ENDPOINT_LEAST, ENDPOINT_MOST), 8),
    word(ColumnId::Remote, "remote", "REMOTE", (ENDPOINT_LEAST, ENDPOINT_MOST), 9),
    word(ColumnId::Protocol, "proto", "PROTO", (6, 7), 7),
    amount(ColumnId::Pid, Role::Plain, "pid", "PID", 7, 5),
    word(ColumnId::Process, "process", "PROCESS", (8, 24), STAYS),
    word(ColumnId::Owner, "owner", "OWNER", (9, 9), 1),
    word(ColumnId::Interface, "interface", "IFACE", (8, 15), 4),
    rx(Window::Two, "rx_2s", "RX 2s", STAYS),
    rx(Window::Ten, "rx_10s", "10s", 6),
    rx(Window::Forty, "rx_40s", "40s", 3),
    tx(Window::Two, "tx_2s", "TX 2s", STAYS),
    tx(Window::Ten, "tx_10s", "10s", 6),
    tx(Window::Forty, "tx_40s", "40s", 3),
    amount(ColumnId::RxTotal, Role::Rx, "rx_total", "RX TOTAL", TOTAL_ROOM, 2),
    amount(ColumnId::TxTotal, Role::Tx, "tx_total", "TX TOTAL", TOTAL_ROOM, 2),
];

/// The columns of a view, left to right.
pub fn columns(view: ViewKind) -> &'static [Column] {
    match view {
        ViewKind::Processes => PROCESSES,
        ViewKind::Flows => FLOWS,
    }
}

/// The columns that fit into `width`, each with one column of space before it, and the room of each. The same width
/// gives the same places whatever the rows hold, so that nothing moves while one looks.
pub fn place(columns: &'static [Column], width: u16) -> Vec<Placed> {
    let mut placed: Vec<Placed> =
        columns.iter().map(|column| Placed { column, width: column.width }).collect();
    loop {
        let next = placed.iter().map(|p| p.column.leaves).min().unwrap_or(STAYS);
        if needed(&placed) <= u32::from(width) || next == STAYS {
            break;
        }
        placed.retain(|p| p.column.leaves != next);
    }
    let mut spare = u32::from(width).saturating_sub(needed(&placed));
    // Even shares, again and again, because a column that has enough gives its share back.
    loop {
        let hungry = placed.iter().filter(|p| p.width < p.column.most).count();
        let each = u32::try_from(hungry).ok().and_then(|hungry| spare.checked_div(hungry)).unwrap_or(0);
        if each == 0 {
            return placed;
        }
        for p in &mut placed {
            let more = each.min(u32::from(p.column.most - p.width));
            p.width += u16::try_from(more).unwrap_or(0);
            spare -= more;
        }
    }
}

fn needed(placed: &[Placed]) -> u32 {
    placed.iter().map(|p| u32::from(p.width) + 1).sum()
}

impl SortKey {
    /// The name of what is sorted by, for the screen.
    pub fn title(self) -> String {
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
    pub fn key(self, row: Row<'_>) -> Key<'_> {
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
    pub fn key<'s>(self, row: Row<'s>) -> Key<'s> {
        let flow: Option<&'s FlowRow> = if let Row::Flow(flow) = row { Some(flow) } else { None };
        let number = |number: Option<u64>| number.map_or(Key::Nothing, Key::Number);
        let end = |end: Option<Endpoint>| end.map_or(Key::Nothing, Key::Endpoint);
        match self {
            Self::Pid => number(row.owner().map(|owner| owner.pid.into())),
            Self::Process => Key::Text(row.name()),
            Self::User => number(uid(row).map(u64::from)),
            Self::Flows => match row {
                Row::Process(row) => Key::Number(row.flows as u64),
                Row::Flow(_) => Key::Nothing,
            },
            Self::Exe => exe(row).map_or(Key::Nothing, Key::Text),
            Self::Protocol => number(flow.map(|flow| flow.id.protocol.number().into())),
            Self::Local => end(flow.map(|flow| flow.id.local)),
            Self::Remote => end(flow.map(|flow| flow.id.remote)),
            Self::Interface => flow.map_or(Key::Nothing, |flow| Key::Text(&flow.interface)),
            Self::Owner => Key::Text(row.confidence().name()),
            Self::Rx(window) => Key::Number(row.windows().rx[window.index()]),
            Self::Tx(window) => Key::Number(row.windows().tx[window.index()]),
            Self::RxTotal => Key::Number(total(row).rx_bytes),
            Self::TxTotal => Key::Number(total(row).tx_bytes),
        }
    }
}

impl Column {
    /// The cell as the screen shows it: unescaped, unpadded, `-` where there is nothing to say.
    pub fn cell<'s>(&self, row: Row<'s>) -> Cow<'s, str> {
        match self.id {
            ColumnId::Process => named(row),
            _ => self.field(row),
        }
    }

    /// The cell as text output shows it: like [`Column::cell`], but a name stands alone.
    pub fn field<'s>(&self, row: Row<'s>) -> Cow<'s, str> {
        let flow: Option<&'s FlowRow> = if let Row::Flow(flow) = row { Some(flow) } else { None };
        let or_dash = |text: Option<String>| text.map_or(Cow::Borrowed("-"), Cow::Owned);
        match self.id {
            ColumnId::Pid => {
                or_dash(row.owner().filter(|o| *o != ProcessId::KERNEL).map(|o| o.pid.to_string()))
            }
            ColumnId::Process => Cow::Borrowed(row.name()),
            ColumnId::User => or_dash(uid(row).map(|uid| uid.to_string())),
            ColumnId::Flows => match row {
                Row::Process(row) => Cow::Owned(count(row.flows as u64)),
                Row::Flow(_) => Cow::Borrowed("-"),
            },
            ColumnId::Exe => Cow::Borrowed(exe(row).unwrap_or("-")),
            ColumnId::Protocol => or_dash(flow.map(|flow| flow.id.protocol.to_string())),
            ColumnId::Local => or_dash(flow.and_then(|flow| flow.id.local_end()).map(|end| end.to_string())),
            ColumnId::Remote => {
                or_dash(flow.and_then(|flow| flow.id.remote_end()).map(|end| end.to_string()))
            }
            ColumnId::Interface => Cow::Borrowed(
                flow.map(|flow| &*flow.interface).filter(|name| !name.is_empty()).unwrap_or("-"),
            ),
            ColumnId::Owner => Cow::Borrowed(row.confidence().name()),
            ColumnId::Rx(window) => Cow::Owned(rate(row.windows().rx[window.index()])),
            ColumnId::Tx(window) => Cow::Owned(rate(row.windows().tx[window.index()])),
            ColumnId::RxTotal => Cow::Owned(bytes(total(row).rx_bytes)),
            ColumnId::TxTotal => Cow::Owned(bytes(total(row).tx_bytes)),
        }
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

fn uid(row: Row<'_>) -> Option<u32> {
    match row {
        Row::Process(row) => row.uid,
        Row::Flow(row) => row.uid,
    }
}

fn exe(row: Row<'_>) -> Option<&str> {
    match row {
        Row::Process(row) => row.exe.as_deref(),
        Row::Flow(_) => None,
    }
}

fn total(row: Row<'_>) -> &Counters {
    match row {
        Row::Process(row) => &row.total,
        Row::Flow(row) => &row.total,
    }
}
