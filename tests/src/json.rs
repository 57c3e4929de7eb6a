//! Reading the objects that `monitor --json` prints, strictly: a missing or misnamed field is a failure.

use crate::counters::Counters;
use serde_json::Value;
use std::ops::Index;

/// One NDJSON object.
#[derive(Clone, Debug)]
pub struct Object(pub Value);

impl Index<&str> for Object {
    type Output = Value;

    fn index(&self, name: &str) -> &Value {
        self.0.get(name).unwrap_or_else(|| panic!("no `{name}` in {}", self.0))
    }
}

impl Object {
    /// Its flows.
    ///
    /// # Panics
    /// When there is no such list.
    pub fn flows(&self) -> &[Value] {
        self["flows"].as_array().expect("`flows` is a list")
    }

    /// Its processes.
    ///
    /// # Panics
    /// When there is no such list.
    pub fn processes(&self) -> &[Value] {
        self["processes"].as_array().expect("`processes` is a list")
    }

    /// The flows of one process.
    pub fn flows_of(&self, pid: u32) -> Vec<&Value> {
        self.flows().iter().filter(|flow| field(flow, "pid").as_u64() == Some(u64::from(pid))).collect()
    }

    /// The flows on one interface.
    pub fn flows_on(&self, interface: &str) -> Vec<&Value> {
        self.flows().iter().filter(|flow| field(flow, "interface") == interface).collect()
    }

    /// The only row of one process.
    ///
    /// # Panics
    /// When there is none, or more than one.
    pub fn process(&self, pid: u32) -> &Value {
        let mut rows =
            self.processes().iter().filter(|process| field(process, "pid").as_u64() == Some(u64::from(pid)));
        let row = rows.next().unwrap_or_else(|| panic!("no process {pid} in {:#}", self.0));
        assert!(rows.next().is_none(), "two rows for process {pid} in {:#}", self.0);
        row
    }

    /// The counters of `totals`.
    pub fn totals(&self) -> Counters {
        counters(&self["totals"])
    }

    /// What is degraded, as one text per entry.
    ///
    /// # Panics
    /// When an entry lacks one of its three fields.
    pub fn degraded(&self) -> Vec<String> {
        let list = self["degraded"].as_array().expect("`degraded` is a list");
        let text = |entry: &Value, name: &str| field(entry, name).as_str().expect("text").to_owned();
        list.iter()
            .map(|entry| format!("{}: {}; {}", text(entry, "what"), text(entry, "why"), text(entry, "fix")))
            .collect()
    }
}

/// A field that must be there.
///
/// # Panics
/// When it is not.
pub fn field<'v>(row: &'v Value, name: &str) -> &'v Value {
    row.get(name).unwrap_or_else(|| panic!("no `{name}` in {row}"))
}

/// A field that must be there and an unsigned integer.
///
/// # Panics
/// When it is not.
pub fn number(row: &Value, name: &str) -> u64 {
    field(row, name).as_u64().unwrap_or_else(|| panic!("`{name}` is no unsigned integer in {row}"))
}

/// The eight counters of a flow, a process or the totals.
pub fn counters(row: &Value) -> Counters {
    Counters {
        rx_bytes: number(row, "rx_bytes"),
        tx_bytes: number(row, "tx_bytes"),
        rx_packets: number(row, "rx_packets"),
        tx_packets: number(row, "tx_packets"),
        rx_skb_bytes: number(row, "rx_skb_bytes"),
        tx_skb_bytes: number(row, "tx_skb_bytes"),
        rx_skbs: number(row, "rx_skbs"),
        tx_skbs: number(row, "tx_skbs"),
    }
}

/// The sum of two.
#[must_use]
pub fn plus(left: Counters, right: Counters) -> Counters {
    Counters {
        rx_bytes: left.rx_bytes + right.rx_bytes,
        tx_bytes: left.tx_bytes + right.tx_bytes,
        rx_packets: left.rx_packets + right.rx_packets,
        tx_packets: left.tx_packets + right.tx_packets,
        rx_skb_bytes: left.rx_skb_bytes + right.rx_skb_bytes,
        tx_skb_bytes: left.tx_skb_bytes + right.tx_skb_bytes,
        rx_skbs: left.rx_skbs + right.rx_skbs,
        tx_skbs: left.tx_skbs + right.tx_skbs,
    }
}

/// The sum of rows.
pub fn sum<'v>(rows: impl IntoIterator<Item = &'v Value>) -> Counters {
    rows.into_iter().map(counters).fold(Counters::default(), plus)
}
