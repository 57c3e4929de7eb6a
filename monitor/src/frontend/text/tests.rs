//! The picture against a snapshot, and what awk makes of it.

use super::*;
use crate::engine::Command;
use crate::model::{FlowRow, Health, Snapshot, TcpHealth, TcpState};
use crate::query::fixture::{busy, degraded};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn pictures(at_end_only: bool, snapshots: Vec<Snapshot>) -> usize {
    let sink = Sink::default();
    let (sender, feed) = mpsc::channel(8);
    let (control, _commands) = mpsc::unbounded_channel();
    for snapshot in snapshots {
        sender.try_send(Arc::new(snapshot)).unwrap();
    }
    drop(sender);
    Box::new(Text::to(sink.clone(), Choice::default(), at_end_only)).run(feed, control).unwrap();
    let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    text.lines().filter(|line| *line == "=".repeat(RULE)).count()
}

fn whole(snapshot: Snapshot) -> String {
    picture(&Arc::new(snapshot), &Choice::default())
}

#[test]
fn golden_picture() {
    let snapshot = Snapshot { health: Arc::new(degraded(2)), ..busy() };
    insta::assert_snapshot!("picture", whole(snapshot));
}

#[test]
fn every_line_of_a_table_has_the_same_fields() {
    let text = whole(busy());
    let mut tables = text.split("\n\n");
    for (table, view) in [tables.next(), tables.next()].into_iter().zip(Choice::default().views()) {
        let lines: Vec<_> = table.unwrap().lines().filter(|line| !line.starts_with('#')).collect();
        assert!(lines.len() > 5);
        for line in lines {
            let fields = columns(view).len() + rounded(view).count();
            assert_eq!(line.split_whitespace().count(), fields, "{line}");
        }
    }
}

#[test]
fn a_connection_tells_how_it_fares() {
    let mut snapshot = busy();
    let mut flow = FlowRow::clone(&snapshot.flows[0]);
    flow.tcp = Some(TcpHealth {
        state: TcpState::Established,
        srtt: Duration::from_micros(12_340),
        cwnd: 42,
        retransmits: 3,
        acked_bytes: 5_000_000,
        received_bytes: 70_000,
    });
    snapshot.flows[0] = Arc::new(flow);
    let choice = Choice { view: Some(ViewKind::Flows), ..Choice::default() };
    let text = picture(&Arc::new(snapshot), &choice);
    let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap().split_whitespace();
    let fields: Vec<(&str, &str)> = line("local").zip(line("10.0.0.5:443")).collect();
    for field in [
        ("state", "established"),
        ("rtt", "12.3ms"),
        ("cwnd", "42"),
        ("retr", "3"),
        ("rx_payload", "70.0kB"),
        ("tx_payload", "5.00MB"),
        ("rtt_ns", "12340000"),
        ("rx_payload_bytes", "70000"),
        ("cwnd_count", "42"),
    ] {
        assert!(fields.contains(&field), "{field:?}: {fields:?}");
    }
}

#[test]
fn nothing_hostile_is_printed() {
    let mut snapshot = busy();
    snapshot.health = Arc::new(Health { scope: "cgroup /\u{1b}]0;x\u{7}".into(), ..degraded(1) });
    let text = whole(snapshot);
    assert!(!text.chars().any(|c| c != '\n' && c.is_control()));
    assert!(text.contains("a\\x1b[2J\\u{202e}b") && text.contains("cgroup /\\x1b]0;x\\x07"));
}

#[test]
fn each_tick_or_only_the_end() {
    let loading = || Snapshot { health: Arc::new(Health { loading: true, ..Health::default() }), ..busy() };
    let feed = || vec![loading(), busy(), busy(), Snapshot { last: true, ..busy() }];
    assert_eq!(pictures(false, feed()), 3);
    assert_eq!(pictures(true, feed()), 1);
    assert_eq!(pictures(true, vec![busy()]), 0, "the engine failed and says so itself");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let (sender, feed) = mpsc::channel(1);
    let (control, mut commands) = mpsc::unbounded_channel();
    sender.try_send(Arc::new(busy())).unwrap();
    Box::new(Text::to(Closed, Choice::default(), false)).run(feed, control).unwrap();
    assert_eq!(commands.try_recv().ok(), Some(Command::Stop));
}
