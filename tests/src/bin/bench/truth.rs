//! Whose the bytes of a short connection are, by its addresses and ports, and what `monitor` said.

use monitor_tests::json::{field, number};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

/// The port of the server.
pub(crate) const PORT: u16 = 8080;
/// Examples of a wrong owner that are told.
const EXAMPLES: usize = 3;

/// The right processes.
pub(crate) struct Truth {
    server: u32,
    /// By the last number of the address that they ask.
    clients: HashMap<u64, u32>,
    /// By their local port.
    children: HashMap<u64, u32>,
}

/// Bytes, as the wire carries them, by what became of them.
#[derive(Default)]
pub(crate) struct Judgement {
    pub(crate) right: u64,
    pub(crate) wrong: u64,
    /// On no process, by reason.
    pub(crate) none: BTreeMap<String, u64>,
    /// The same bytes as the loopback device counts them, which it does without a link header.
    pub(crate) on_device: u64,
}

impl Judgement {
    pub(crate) fn all(&self) -> u64 {
        self.right + self.wrong + self.none.values().sum::<u64>()
    }
}

/// An end of a connection under one owner: socket, ports, and pid where there is one.
type Key = (u64, u64, u64, String, Option<u64>, bool);

impl Truth {
    pub(crate) fn new(server: u32) -> Self {
        Self { server, clients: HashMap::new(), children: HashMap::new() }
    }

    pub(crate) fn client(&mut self, number: u8, pid: u32) {
        self.clients.insert(number.into(), pid);
    }

    pub(crate) fn child(&mut self, port: u32, pid: u32) {
        self.children.insert(port.into(), pid);
    }

    /// The right pid of a row and how its name begins; `None` where the row is of other traffic.
    fn owner(&self, flow: &Value) -> Option<(u32, &'static str)> {
        let (local, remote) = (field(flow, "local"), field(flow, "remote"));
        let [local_port, remote_port] = [local, remote].map(|end| field(end, "port").as_u64());
        let asked = |end: &Value| -> Option<u64> {
            field(end, "addr").as_str()?.strip_prefix("127.0.1.")?.parse().ok()
        };
        if local_port == Some(PORT.into()) {
            return asked(local).map(|_| (self.server, "answer"));
        }
        let number = asked(remote).filter(|_| remote_port == Some(PORT.into()))?;
        let client = self.clients.get(&number).map(|pid| (*pid, "client-"));
        client.or_else(|| Some((*self.children.get(&local_port?)?, "one-")))
    }

    /// Reads what `monitor --json` printed. Totals are cumulative, and a row that is idle for long is not held, so the
    /// last word on each row counts; only what is pending may go elsewhere, so it counts in the last object alone.
    pub(crate) fn judge(&self, objects: &Path) -> Judgement {
        let mut rows: HashMap<Key, Value> = HashMap::new();
        for line in BufReader::new(File::open(objects).expect("the output of monitor")).lines() {
            let mut object: Value = serde_json::from_str(&line.expect("text")).expect("JSON");
            rows.retain(|(.., pending), _| !pending);
            for flow in object["flows"].as_array_mut().expect("a list of flows") {
                if self.owner(flow).is_some() {
                    rows.insert(key(flow), flow.take());
                }
            }
        }
        let mut judgement = Judgement::default();
        let mut examples = 0;
        for row in rows.values() {
            let bytes = self.sort(row, &mut judgement);
            if bytes > 0 && examples < EXAMPLES {
                eprintln!("a wrong owner: {row}");
                examples += 1;
            }
        }
        assert!(judgement.all() > 0, "monitor listed nothing of this traffic");
        judgement
    }

    /// Adds a row to what it belongs to; gives its bytes where the owner is wrong.
    fn sort(&self, row: &Value, judgement: &mut Judgement) -> u64 {
        let bytes = number(row, "rx_bytes") + number(row, "tx_bytes");
        judgement.on_device += number(row, "rx_skb_bytes") + number(row, "tx_skb_bytes");
        let Some(pid) = field(row, "pid").as_u64() else {
            let attribution = field(row, "attribution");
            let words = ["confidence", "reason"].map(|name| attribution[name].as_str().unwrap_or_default());
            *judgement.none.entry(words.join(" ").trim().to_owned()).or_default() += bytes;
            return 0;
        };
        let (right, name) = self.owner(row).expect("only rows of this traffic are kept");
        let named = field(row, "process").as_str().is_some_and(|process| process.starts_with(name));
        if pid == u64::from(right) && named {
            judgement.right += bytes;
            return 0;
        }
        judgement.wrong += bytes;
        bytes
    }
}

fn key(flow: &Value) -> Key {
    let [local, remote] = ["local", "remote"].map(|end| field(flow, end));
    let address = if number(local, "port") == u64::from(PORT) { local } else { remote };
    let confidence = field(field(flow, "attribution"), "confidence").as_str().unwrap_or_default();
    (
        number(flow, "socket"),
        field(local, "port").as_u64().unwrap_or_default(),
        field(remote, "port").as_u64().unwrap_or_default(),
        format!("{} {confidence}", field(address, "addr")),
        field(flow, "pid").as_u64(),
        confidence == "pending",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::io::Write as _;

    const BYTES: u64 = 100;

    fn flow(
        local: (&str, u16),
        remote: (&str, u16),
        pid: Option<u32>,
        name: &str,
        confidence: &str,
    ) -> Value {
        json!({
            "local": { "addr": local.0, "port": local.1 }, "remote": { "addr": remote.0, "port": remote.1 },
            "socket": 1, "pid": pid, "process": name, "attribution": { "confidence": confidence },
            "rx_bytes": BYTES, "tx_bytes": 0, "rx_skb_bytes": BYTES, "tx_skb_bytes": 0,
        })
    }

    fn judge(objects: &[Vec<Value>]) -> Judgement {
        let mut truth = Truth::new(10);
        truth.client(1, 11);
        truth.child(4000, 12);
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        for flows in objects {
            writeln!(file, "{}", json!({ "flows": flows })).expect("write");
        }
        truth.judge(file.path())
    }

    #[test]
    fn each_row_has_one_right_process() {
        let right = [
            flow(("127.0.1.1", PORT), ("127.0.0.1", 3000), Some(10), "answer", "exact"),
            flow(("127.0.0.1", 3000), ("127.0.1.1", PORT), Some(11), "client-1", "exact"),
            flow(("127.0.0.1", 4000), ("127.0.1.9", PORT), Some(12), "one-5", "exact"),
        ];
        let foreign = flow(("10.0.0.1", 5), ("10.0.0.2", 6), Some(1), "other", "exact");
        let judgement = judge(&[[right.to_vec(), vec![foreign]].concat()]);
        assert_eq!((judgement.right, judgement.wrong, judgement.on_device), (3 * BYTES, 0, 3 * BYTES));
        assert!(judgement.none.is_empty());
    }

    #[test]
    fn another_pid_and_another_name_are_wrong() {
        let pid = flow(("127.0.0.1", 3000), ("127.0.1.1", PORT), Some(10), "client-1", "exact");
        let name = flow(("127.0.0.1", 4000), ("127.0.1.9", PORT), Some(12), "forker", "exact");
        let judgement = judge(&[vec![pid, name]]);
        assert_eq!((judgement.right, judgement.wrong), (0, 2 * BYTES));
    }

    #[test]
    fn what_was_pending_counts_where_it_went() {
        let pending = flow(("127.0.0.1", 3000), ("127.0.1.1", PORT), None, "", "pending");
        let settled = flow(("127.0.0.1", 3000), ("127.0.1.1", PORT), Some(11), "client-1", "exact");
        let judgement = judge(&[vec![pending.clone()], vec![settled], vec![]]);
        assert_eq!((judgement.right, judgement.all()), (BYTES, BYTES));
        let judgement = judge(&[vec![pending]]);
        assert_eq!(judgement.none.get("pending"), Some(&BYTES));
    }
}
