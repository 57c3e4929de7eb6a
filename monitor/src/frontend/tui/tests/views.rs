//! Every view, and what there is of what was opened, on a server whose processes have names of every kind.

use super::*;
use crate::model::{
    Ancestor, Backend, Container, FlowRow, Identity, Inspected, Pod, ProcessId, ProcessRow, SocketState,
    TcpHealth, TcpState,
};
use crate::query::{Row, RowId};

/// The busy server, with everything that can be known of its processes.
pub(super) fn named() -> Snapshot {
    let busy = busy();
    let identities: Vec<(Option<ProcessId>, Arc<Identity>)> =
        busy.processes.iter().map(|row| (row.id, Arc::new(identity(row)))).collect();
    let of = |id: Option<ProcessId>| {
        let found = identities.iter().find(|(other, _)| id.is_some() && *other == id);
        found.map(|(_, identity)| Arc::clone(identity)).unwrap_or_default()
    };
    let process = |row: &Arc<ProcessRow>| {
        let exited = (&*row.process == "curl").then_some(crate::model::Mono(98_000_000_000));
        Arc::new(ProcessRow { identity: of(row.id), exited, ..row.as_ref().clone() })
    };
    let flow = |row: &Arc<FlowRow>| {
        let closed = (&*row.process == "curl").then_some(crate::model::Mono(99_000_000_000));
        let tcp = (row.id.protocol == crate::model::Protocol::TCP).then_some(TcpHealth {
            state: TcpState::Established,
            srtt: Duration::from_micros(1200 * row.id.socket.0),
            cwnd: 10,
            retransmits: u32::from(row.id.socket.0 == 4) * 17,
            acked_bytes: row.total.tx_bytes,
            received_bytes: row.total.rx_bytes,
        });
        Arc::new(FlowRow { identity: of(row.attribution.owner), closed, tcp, ..row.as_ref().clone() })
    };
    Snapshot {
        processes: busy.processes.iter().map(process).collect(),
        flows: busy.flows.iter().map(flow).collect(),
        ..busy
    }
}

fn identity(row: &ProcessRow) -> Identity {
    let parents = |names: &[(&str, u32)]| {
        let one = |(comm, pid): &(&str, u32)| Ancestor {
            id: ProcessId { pid: *pid, generation: 1 },
            comm: (*comm).into(),
        };
        names.iter().map(one).collect()
    };
    let known = Identity { netns_inode: 4_026_531_840, ..Identity::default() };
    match &*row.process {
        "nginx" => Identity {
            cmdline: Some("nginx: master process /usr/sbin/nginx -g daemon on; master_process on;".into()),
            parents: parents(&[("systemd", 1)]),
            user: Some("www-data".into()),
            cgroup: Some("/system.slice/nginx.service".into()),
            unit: Some("nginx.service".into()),
            slice: Some("system.slice".into()),
            package: Some("nginx-core".into()),
            ..known
        },
        "postgres" => Identity {
            cmdline: Some("postgres: checkpointer".into()),
            parents: parents(&[("containerd-shim", 8800), ("systemd", 1)]),
            user: Some("postgres".into()),
            cgroup: Some("/system.slice/docker-4f1e.scope".into()),
            unit: Some("docker-4f1e.scope".into()),
            slice: Some("system.slice".into()),
            container: Some(Arc::new(Container {
                runtime: "docker",
                id: "4f1e02f5c8d94a3b9b0c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a1b0c9d8e7f6a".into(),
                name: Some("shop-db-1".into()),
            })),
            ..known
        },
        "curl" => Identity {
            cmdline: Some("curl -O https://example.org/large.iso".into()),
            parents: parents(&[("bash", 30_100), ("sshd", 30_090), ("sshd", 812), ("systemd", 1)]),
            user: Some("deploy".into()),
            cgroup: Some("/user.slice/user-1000.slice/session-4.scope".into()),
            unit: Some("session-4.scope".into()),
            slice: Some("user-1000.slice".into()),
            package: Some("curl".into()),
            ..known
        },
        "データベース管理プロセス" => Identity {
            user: Some("cart".into()),
            pod: Some(Arc::new(Pod {
                uid: "0f4b2c1e-6a1d-4b0e-9b1c-7f1f3f2d5a10".into(),
                name: Some("cart-7d4b9c".into()),
                namespace: Some("shop".into()),
            })),
            container: Some(Arc::new(Container {
                runtime: "containerd",
                id: "9a".repeat(32).into(),
                name: None,
            })),
            ..known
        },
        "a\u{1b}[2J\u{202e}b" => Identity {
            user: Some("mallory".into()),
            unit: Some("evil\u{1b}[31m.service".into()),
            cmdline: Some("a\u{1b}[2J\u{202e}b --now\nfake: line".into()),
            ..known
        },
        name if name.starts_with("worker") => Identity {
            parents: parents(&[("nginx", 2817), ("systemd", 1)]),
            user: Some("www-data".into()),
            unit: Some("nginx.service".into()),
            slice: Some("system.slice".into()),
            package: Some("nginx-core".into()),
            ..known
        },
        _ => Identity::default(),
    }
}

/// The same, with what is missing on a kernel that refuses something.
fn lacking() -> Snapshot {
    Snapshot { health: Arc::new(degraded(2)), ..named() }
}

/// A screen on which a view was chosen.
fn chosen(snapshot: Snapshot, size: (u16, u16), view: ViewKind) -> Screen {
    let mut screen = Screen::new(snapshot, size);
    screen.press(KeyCode::Char('V'));
    screen.press(KeyCode::Home);
    for _ in 0..view as usize {
        screen.press(KeyCode::Down);
    }
    screen.press(KeyCode::Enter);
    assert_eq!(screen.state.view, view);
    screen
}

/// Types keys, `\n` for Enter.
fn typed(mut screen: Screen, keys: &str) -> Screen {
    for c in keys.chars() {
        screen.press(match c {
            '\t' => KeyCode::Tab,
            '\n' => KeyCode::Enter,
            c => KeyCode::Char(c),
        });
    }
    screen
}

const SIZES: [(u16, u16); 2] = [(80, 24), (120, 40)];

#[test]
fn every_view_busy_and_degraded() {
    for view in ViewKind::ALL {
        for (width, height) in SIZES {
            for (name, snapshot) in [("busy", named()), ("degraded", lacking())] {
                let screen = chosen(snapshot, (width, height), view);
                let name = format!("{}_{name}_{width}x{height}", view.spec().name);
                insta::assert_debug_snapshot!(name, screen.draw());
            }
        }
    }
}

/// A screen on which the flow of a process was opened, and what the kernel says of its socket has come.
fn opened_flow(size: (u16, u16)) -> Screen {
    let mut screen = typed(Screen::new(named(), size), "\n\n");
    let Some(RowId::Flow(flow, ..)) = screen.state.path.last().map(|opened| opened.id.clone()) else {
        panic!("a flow is opened");
    };
    let socket = SocketState {
        state: Some(TcpState::Established),
        receive_queue: 0,
        send_queue: 4096,
        tcp: screen.snapshot.flows.iter().find(|row| row.id == flow).and_then(|row| row.tcp),
    };
    let inspected = Some(Inspected { flow, socket: Ok(socket) });
    screen.show(Snapshot { inspected, ..named() });
    screen
}

#[test]
fn what_was_opened_busy_and_degraded() {
    for (width, height) in SIZES {
        let size = (width, height);
        let show = |name: &str, screen: &Screen| {
            insta::assert_debug_snapshot!(format!("{name}_{width}x{height}"), screen.draw());
        };
        for (kind, snapshot) in [("busy", named()), ("degraded", lacking())] {
            show(&format!("process_{kind}"), &typed(Screen::new(snapshot.clone(), size), "\n"));
            show(&format!("user_{kind}"), &typed(chosen(snapshot.clone(), size, ViewKind::Users), "\n"));
            show(&format!("host_{kind}"), &typed(chosen(snapshot, size, ViewKind::Hosts), "\n"));
        }
        show("flow", &opened_flow(size));
        show("process_zoomed", &typed(Screen::new(named(), size), "\nz"));
        show("container", &typed(chosen(named(), size, ViewKind::Containers), "j\n"));
        show("interface", &typed(chosen(named(), size, ViewKind::Interfaces), "\n"));
    }
}

#[test]
fn processes_in_every_state() {
    for (width, height) in [(40, 12), (80, 24), (120, 40), (200, 50)] {
        let size = (width, height);
        let show = |name: &str, screen: &Screen| {
            insta::assert_debug_snapshot!(format!("state_{name}_{width}x{height}"), screen.draw());
        };
        show("empty", &Screen::new(snapshot(vec![], vec![]), size));
        show("paused", &typed(Screen::new(named(), size), "P"));
        show("filtered", &typed(Screen::new(named(), size), "/user:www-data\n"));
        show("typing", &typed(Screen::new(named(), size), "/us"));
        show("popup", &typed(Screen::new(named(), size), "jd"));
        show("interface", &typed(Screen::new(named(), size), "ij\n"));
    }
}

#[test]
fn an_opened_process_says_who_it_is_and_how_that_is_known() {
    let text = typed(Screen::new(named(), (120, 50)), "jj\nz").text();
    for part in [
        "Processes › curl[31007]",
        "curl, pid 31007",
        "/usr/sbin/curl",
        "bash[30100] ‹ sshd[30090] ‹ sshd[812] ‹ systemd[1]",
        "deploy (7)",
        "session-4.scope in user-1000.slice",
        "package   curl",
        "curl -O https://example.org/large.iso",
        "exact by connect: 1",
        "ended",
        "1 flows, 1 remote hosts, 1 local ports",
        "established; rtt 3",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let text = typed(Screen::new(named(), (120, 50)), "j\nz").text();
    assert!(text.contains("shop-db-1 (docker"), "{text}");
    assert!(text.contains("4f1e02f5c8d94a3b9b0c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a1b0c9d8e7f6a"), "{text}");
}

#[test]
fn an_opened_flow_says_what_the_kernel_says_of_its_socket() {
    let text = opened_flow((120, 40)).text();
    assert!(text.contains("0B not read, 4.10kB not acknowledged; window 10 segments"), "{text}");
    let mut screen = opened_flow((120, 40));
    let Some(inspected) = screen.snapshot.inspected else { panic!("asked above") };
    let inspected = Some(Inspected { socket: Err("the kernel lists no such socket"), ..inspected });
    screen.show(Snapshot { inspected, ..named() });
    assert!(screen.text().contains("socket    the kernel lists no such socket"));
}

#[test]
fn the_path_leads_down_and_back_up_to_where_one_was() {
    let mut screen = typed(chosen(named(), (120, 40), ViewKind::Users), "j\n");
    assert!(screen.text().contains("Users › postgres"), "{}", screen.text());
    assert!(screen.text().contains("[Processes 1]"));
    screen.press(KeyCode::Enter);
    assert!(screen.text().contains("Users › postgres › postgres[9120]"), "{}", screen.text());
    assert!(screen.text().contains("[Flows 1]"));
    screen.press(KeyCode::Esc);
    screen.press(KeyCode::Esc);
    assert!(screen.state.path.is_empty());
    assert_eq!((screen.state.view, screen.state.cursor().index), (ViewKind::Users, 1));
}

#[test]
fn zoom_gives_what_was_opened_more_room_and_takes_it_back() {
    let rows = |screen: &Screen| page(screen.area(), &screen.state, &screen.snapshot);
    let mut screen = typed(Screen::new(named(), (80, 24)), "\n");
    let before = rows(&screen);
    assert!(screen.text().contains("more") && screen.text().contains("z zoom"), "{}", screen.text());
    screen.press(KeyCode::Char('z'));
    assert!(rows(&screen) < before && rows(&screen) >= 1);
    assert!(screen.text().contains("nginx: master process"), "{}", screen.text());
    screen.press(KeyCode::Char('z'));
    assert_eq!(rows(&screen), before);
}

#[test]
fn a_chosen_interface_limits_lists_and_totals_at_once() {
    let mut snapshot = named();
    let flow = Arc::make_mut(&mut snapshot.flows[1]);
    flow.interface = "lo".into();
    flow.id.ifindex = 1;
    let mut lo = snapshot.ledger.interfaces[0].clone();
    (lo.ifindex, lo.name) = (1, "lo".into());
    snapshot.ledger.interfaces.push(lo);
    let mut screen = typed(Screen::new(snapshot, (120, 40)), "ijj\n");
    let text = screen.text();
    assert!(text.contains("[Processes 1]") && text.contains("postgres") && !text.contains("nginx"), "{text}");
    assert!(text.contains(" on lo ") && text.contains("filtered"), "{text}");
    assert!(screen.lines()[1].contains("84.3Mb/s"), "the totals are those of the interface");
    screen.press(KeyCode::Tab);
    assert!(screen.text().contains("[Flows 1]"));
    let screen = typed(screen, "ikk\n");
    assert!(!screen.text().contains("filtered") && screen.text().contains("[Flows 9]"), "{}", screen.text());
}

#[test]
fn the_box_of_a_part_of_a_process_has_no_peak() {
    let look = |filter: &str| typed(Screen::new(named(), (120, 40)), filter).text();
    let (whole, part) = (look("/proc:nginx\nd"), look("/port:443 proc:nginx\nd"));
    assert!(whole.contains("peak 212Mb/s  total 12.7GB"), "{whole}");
    assert!(part.contains("212Mb/s") && !part.contains("peak "), "{part}");
}

#[test]
fn what_is_not_counted_is_counted_once_it_is_chosen() {
    let on = |counted: &[&str], backend| {
        let interfaces = counted.iter().map(|name| (*name).to_owned()).collect();
        let health = Health { backend, interfaces, ..named().health.as_ref().clone() };
        let mut screen = Screen::new(Snapshot { health: Arc::new(health), ..named() }, (80, 24));
        screen.state.interfaces = || ["lo", "wg0", "eth0"].map(str::to_owned).to_vec();
        screen
    };
    let choose = |screen: &mut Screen, moves: &[KeyCode]| {
        screen.press(KeyCode::Char('i'));
        for code in moves {
            screen.press(*code);
        }
        screen.press(KeyCode::Enter)
    };
    let watch = |names: &[&str]| Some(Effect::Watch(names.iter().map(|name| (*name).to_owned()).collect()));

    let mut screen = on(&["eth0"], Backend::Ebpf);
    screen.press(KeyCode::Char('i'));
    let text = screen.text();
    assert!(text.contains("▸ eth0") && text.contains("all sockets") && text.contains("wg0"), "{text}");
    screen.press(KeyCode::Esc);
    assert_eq!(choose(&mut screen, &[KeyCode::End]), watch(&["wg0"]));
    assert!(screen.text().contains("begin anew") && !screen.text().contains("filtered"), "{}", screen.text());
    assert_eq!(choose(&mut screen, &[KeyCode::Home]), watch(&[]));
    assert_eq!(choose(&mut screen, &[KeyCode::Home, KeyCode::Down]), None, "it is counted already");
    assert!(!screen.text().contains("filtered"), "{}", screen.text());

    let mut screen = on(&[], Backend::Ebpf);
    assert_eq!(choose(&mut screen, &[KeyCode::End]), None, "everything is counted");
    assert!(screen.text().contains(" on wg0 "), "{}", screen.text());

    let mut screen = on(&["eth0"], Backend::Pcap);
    screen.press(KeyCode::Char('i'));
    assert!(screen.text().contains("the default interface"), "{}", screen.text());
    let mut screen = on(&[], Backend::File);
    screen.press(KeyCode::Char('i'));
    assert!(!screen.text().contains("wg0"), "a recording has its own: {}", screen.text());
}

#[test]
fn flows_are_sorted_by_source_and_destination_as_in_iftop() {
    for (key, title) in [("<", "sort local"), (">", "sort remote")] {
        let text = typed(Screen::new(named(), (80, 24)), &format!("\t{key}")).text();
        assert!(text.contains(title) && text.contains("Processes [Flows 9] Hosts"), "{text}");
    }
}

#[test]
fn a_list_without_rows_says_why() {
    let text = typed(Screen::new(named(), (80, 24)), "/port:1234\n").text();
    assert!(text.contains("nothing passes the filter"), "{text}");
    let text = typed(Screen::new(named(), (80, 24)), "G\n").text();
    assert!(text.contains("nothing of it is held any more"), "{text}");
}

#[test]
fn the_selected_interface_shows_its_ledger() {
    let text = chosen(named(), (120, 40), ViewKind::Interfaces).text();
    assert!(text.contains("ledger rx device 4,812,331,020 = attributed"), "{text}");
    assert!(text.contains("unexplained 0"), "{text}");
}

#[test]
fn the_health_page_hints_at_what_works_there() {
    let footer = typed(Screen::new(named(), (120, 40)), "H").lines().pop().unwrap();
    assert_eq!(footer.trim_end(), " Esc back  P pause  ? help  q quit");
}

#[test]
fn what_has_ended_stays_dimmed_until_it_is_cleared() {
    let mut screen = Screen::new(named(), (120, 40));
    let text = screen.text();
    assert!(text.contains("curl ✝"), "{text}");
    assert_eq!(screen.press(KeyCode::Char('X')), Some(Effect::Clear));
    let line = screen.lines().iter().position(|line| line.contains("curl ✝")).unwrap();
    let cell = &screen.draw()[(12, u16::try_from(line).unwrap())];
    assert!(cell.modifier.contains(ratatui::style::Modifier::DIM), "{cell:?}");
    assert!(screen.snapshot.processes.iter().any(|row| Row::Process(row).has_exited()));
}

/// Processes and flows, that many each; what they move is more by `shift`.
pub(super) fn many(rows: u32, shift: u64) -> Snapshot {
    let processes: Vec<ProcessRow> = (1..=rows)
        .map(|n| process(n, &format!("process-{n}"), u64::from(n) * 1000 + shift * 1000, 500 + shift * 100))
        .collect();
    let end = |port: u32| crate::query::fixture::endpoint("10.0.0.5", u16::try_from(port % 60_000).unwrap());
    let flow = |row: &ProcessRow| {
        let pid = row.id.map_or(0, |id| id.pid);
        crate::query::fixture::flow(pid.into(), row, end(pid), end(pid + 1))
    };
    let flows = processes.iter().map(flow).collect();
    snapshot(processes, flows)
}

#[test]
fn a_hundred_thousand_rows_are_scrolled_to_the_last() {
    for keys in ["", "\t"] {
        let mut screen = typed(Screen::new(many(100_000, 0), (200, 50)), keys);
        assert!(screen.text().contains("100k]"), "{}", screen.text());
        screen.press(KeyCode::End);
        assert!(screen.text().contains("process-1"), "the one that moves the least is the last");
        screen.press(KeyCode::PageUp);
        screen.press(KeyCode::Home);
        assert!(screen.text().contains("process-100000"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_view_at_any_size_panics(
        width in 0u16..=220,
        height in 0u16..=70,
        view in 0..ViewKind::ALL.len(),
        keys in "[\t\njkGzdHVoPX/]{0,8}",
        lacks in any::<bool>(),
    ) {
        let snapshot = if lacks { lacking() } else { named() };
        let screen = typed(chosen(snapshot, (width, height), ViewKind::ALL[view]), &keys);
        prop_assert_eq!(screen.draw(), screen.draw());
    }

    #[test]
    fn no_storm_of_resizes_panics(sizes in proptest::collection::vec((0u16..=220, 0u16..=70), 1..12)) {
        let mut screen = typed(Screen::new(named(), (80, 24)), "\nG");
        for size in sizes {
            screen.size = size;
            screen.settle();
            screen.draw();
        }
    }
}
