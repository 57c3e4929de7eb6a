//! Every view and filters, by the real `monitor` on real traffic: in JSON and in text, with the same sums.

use monitor_tests::{
    accounts::{balance, datagrams},
    counters::Counters,
    json::{Object, counters, field, number, sum},
    monitor::{Monitor, command},
    scene::Loopback,
    text::{Picture, Text},
};
use serde_json::Value;

/// Every view: the names of `--view` and `--group-by`, and the label of a row that every test here must find, where it
/// does not depend on the machine.
const VIEWS: [(&str, &str, Option<&str>); 16] = [
    ("processes", "process", Some("client")),
    ("flows", "flow", Some("client")),
    ("tree", "subtree", Some("client")),
    ("users", "user", None),
    ("units", "unit", None),
    ("slices", "slice", None),
    ("containers", "container", None),
    ("pods", "pod", None),
    ("packages", "package", None),
    ("hosts", "host", None),
    ("networks", "network", Some("127.0.0.0/24")),
    ("services", "service", None),
    ("ports", "port", None),
    ("protocols", "protocol", Some("udp")),
    ("interfaces", "interface", Some("lo")),
    ("namespaces", "netns", None),
];

/// Ports of the two ends of an exchange.
#[derive(Clone, Copy)]
struct Ports {
    client: u64,
    server: u64,
}

/// A hundred datagrams of a thousand bytes from the client to the server.
fn exchange(scene: &mut Loopback) -> Ports {
    let server = scene.server.socket("datagram 127.0.0.1:0");
    let client = scene.client.socket("datagram 127.0.0.1:0");
    scene.client.ask(&format!("send-to {} 127.0.0.1:{} 100 1000", client.id, server.port));
    scene.server.ask(&format!("receive-from {} 100", server.id));
    Ports { client: client.port.into(), server: server.port.into() }
}

/// On loopback everything is sent and received.
fn both_ways() -> Counters {
    datagrams(100, 100, 1028)
}

/// Starts `monitor --json` with more arguments and waits until it counts.
fn counting(scene: &Loopback, arguments: &[&str]) -> Monitor {
    let mut command = command(&scene.cgroup, None);
    command.args(["--capacity", "1024"]).args(arguments);
    Monitor::counting(command)
}

/// What the rows of a view must have, beside their sum.
fn rows_are_right(scene: &Loopback, ports: Ports, view: &str, group: &str, rows: &[Value]) {
    let keyed = |key: &str| {
        let is = |row: &&Value| field(row, "kind") == group && field(row, "key") == key;
        let row = rows.iter().find(is).unwrap_or_else(|| panic!("no {group} {key} in {rows:#?}"));
        counters(row)
    };
    let pids = [&scene.client, &scene.server].map(|agent| agent.pid().to_string());
    match view {
        "tree" => {
            assert_eq!(keyed(&pids[0]), datagrams(0, 100, 1028));
            assert_eq!(keyed(&pids[1]), datagrams(100, 0, 1028));
        }
        "users" => assert_eq!(keyed("0"), both_ways()),
        "hosts" => assert_eq!(keyed("127.0.0.1"), both_ways()),
        "networks" => assert_eq!(keyed("127.0.0.0/24"), both_ways()),
        "services" => {
            assert_eq!(keyed(&format!("udp/{}", ports.server)), datagrams(0, 100, 1028));
            assert_eq!(keyed(&format!("udp/{}", ports.client)), datagrams(100, 0, 1028));
        }
        "ports" => {
            assert_eq!(keyed(&format!("udp/{}", ports.client)), datagrams(0, 100, 1028));
            assert_eq!(keyed(&format!("udp/{}", ports.server)), datagrams(100, 0, 1028));
        }
        "protocols" => assert_eq!(keyed("udp"), both_ways()),
        "interfaces" | "namespaces" => {
            let [row] = rows else { panic!("one {group}: {rows:#?}") };
            assert_eq!((field(row, "kind"), counters(row)), (&group.into(), both_ways()));
            assert!(view == "namespaces" || field(row, "name") == "lo", "{row}");
        }
        // What unit or package the helpers are of is the machine's; that they are of none or of one is not.
        _ => {
            let is_known =
                |row: &Value| [group, "none", "not_known"].iter().any(|kind| field(row, "kind") == kind);
            assert!(!rows.is_empty() && rows.iter().all(is_known), "{rows:#?}");
        }
    }
}

fn json_is_right(scene: &Loopback, ports: Ports, view: &str, group: &str, last: &Object) {
    assert_eq!(last["view"], view);
    assert_eq!(last.totals(), both_ways(), "{view}: {:#}", last.0);
    let rows = match view {
        "processes" => last.processes(),
        "flows" => last.flows(),
        _ => last["groups"].as_array().expect("`groups` is a list"),
    };
    // What is deeper in the tree is in its ancestors.
    let top = rows.iter().filter(|row| row.get("depth").is_none_or(|depth| depth == 0));
    assert_eq!(sum(top), both_ways(), "{view} (left), totals (right): {:#}", last.0);
    match view {
        "processes" | "flows" => assert_eq!(rows.len(), 2, "{rows:#?}"),
        _ => rows_are_right(scene, ports, view, group, rows),
    }
}

fn text_is_right(view: &str, label: Option<&str>, picture: &Picture) {
    let tables = picture.tables();
    let [table] = &tables[..] else { panic!("{view}: {} tables in {}", tables.len(), picture.0) };
    assert!(table.len() > 1, "{view}: no rows in {}", picture.0);
    if let Some(label) = label {
        assert!(table.iter().any(|row| row.contains(&label)), "{view}: no `{label}` in {}", picture.0);
    }
    let total: Vec<&str> = picture.line("Cumulative").split_whitespace().skip(2).collect();
    assert_eq!(total, ["103kB", "103kB", "206kB"], "{view}: {}", picture.0);
}

#[test]
#[ignore = "needs root and BPF"]
fn every_view_prints_in_json_and_in_text() {
    let mut scene = Loopback::new();
    // A few at a time: starting is what takes long.
    for views in VIEWS.chunks(4) {
        let running: Vec<_> = views
            .iter()
            .map(|(view, group, _)| {
                let json = counting(&scene, &["--view", view]);
                (json, Text::counting(scene.cgroup.path(), &["--group-by", group]))
            })
            .collect();
        let ports = exchange(&mut scene);
        for ((view, group, label), (json, text)) in views.iter().zip(running) {
            let report = json.stop();
            balance(&report);
            json_is_right(&scene, ports, view, group, report.last());
            text_is_right(view, *label, &text.stop());
        }
    }
}

/// The parts of the ledger, which no filter changes.
fn counted(object: &Object) -> [u64; 2] {
    ["rx", "tx"].map(|side| number(field(&object["ledger"], side), "counted"))
}

#[test]
#[ignore = "needs root and BPF"]
fn a_filter_is_of_what_is_shown_and_not_of_the_ledger() {
    let mut scene = Loopback::new();
    let of_client = format!("pid:{}", scene.client.pid());
    let hosts = ["--view", "hosts", "--filter", "lport:1- and not proc:client"];
    let nothing = ["--filter", "proc:client total>1GB"];
    let running =
        [&["--filter", &of_client][..], &hosts, &nothing].map(|arguments| counting(&scene, arguments));
    let text = Text::counting(scene.cgroup.path(), &["--filter", &of_client]);
    let ports = exchange(&mut scene);
    let [client, hosts, nothing] = running.map(Monitor::stop);
    for report in [&client, &hosts, &nothing] {
        assert_eq!(counted(report.last()), [102_800, 102_800], "{:#}", report.last().0);
    }
    let last = client.last();
    assert_eq!((last.totals(), &last["filter"]), (datagrams(0, 100, 1028), &of_client.as_str().into()));
    assert_eq!(counters(last.process(scene.client.pid())), datagrams(0, 100, 1028));
    assert_eq!((last.processes().len(), last.flows().len()), (1, 1), "{:#}", last.0);
    assert_eq!(number(field(&last.flows()[0], "local"), "port"), ports.client);
    let last = hosts.last();
    assert_eq!(last.totals(), datagrams(100, 0, 1028), "{:#}", last.0);
    let groups = last["groups"].as_array().expect("`groups` is a list");
    assert_eq!((groups.len(), sum(groups)), (1, datagrams(100, 0, 1028)), "{groups:#?}");
    let last = nothing.last();
    assert_eq!(last.totals(), Counters::default(), "{:#}", last.0);
    assert!(last.processes().is_empty() && last.flows().is_empty(), "{:#}", last.0);
    let picture = text.stop();
    assert_eq!(picture.line("# filter"), format!("# filter: {of_client}"));
    let total: Vec<&str> = picture.line("Cumulative").split_whitespace().skip(2).collect();
    assert_eq!(total, ["103kB", "0B", "103kB"], "{}", picture.0);
    assert!(picture.line("Shown send rate").ends_with("b/s"), "{}", picture.0);
    assert_eq!(picture.tables().iter().map(Vec::len).collect::<Vec<_>>(), [2, 2], "{}", picture.0);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_hostile_name_is_escaped_in_text_and_raw_in_json() {
    const NAME: &str = "a\u{1b}[2J b\n\u{7f}";
    let mut scene = Loopback::new();
    scene.client = monitor_tests::agent::Agent::spawn(&scene.cgroup, &scene.netns, NAME);
    let json = counting(&scene, &["--view", "tree"]);
    let of_client = format!("pid:{}", scene.client.pid());
    let texts = ["processes", "flows", "tree"]
        .map(|view| Text::counting(scene.cgroup.path(), &["--view", view, "--filter", &of_client]));
    exchange(&mut scene);
    let report = json.stop();
    assert_eq!(field(report.last().process(scene.client.pid()), "process"), NAME);
    for text in texts {
        let picture = text.stop();
        let tables = picture.tables();
        let is_named = |row: &Vec<&str>| row.contains(&"a\\x1b[2J\\x20b\\x0a\\x7f");
        assert!(tables[0].iter().any(is_named), "{}", picture.0);
        assert!(!picture.0.chars().any(|c| c != '\n' && c.is_control()), "{:?}", picture.0);
    }
}
