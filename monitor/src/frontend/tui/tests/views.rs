//! Every view, and what there is of what was opened.

use super::server::{lacking, named, watched};
use super::*;
use crate::model::{Backend, FlowRow, Inspected, ProcessRow, SocketState, TcpHealth, TcpState};
use crate::query::{Row, RowId};

/// A screen on which a view was chosen.
fn chosen(snapshot: Snapshot, size: (u16, u16), view: ViewKind) -> Screen {
    shows(Screen::new(snapshot, size), view)
}

/// Chooses a view.
fn shows(mut screen: Screen, view: ViewKind) -> Screen {
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

/// The snapshot of each view is docs/screens.md; here are the colours of those that are drawn in ways of their own.
#[test]
fn views_of_every_kind() {
    for view in
        [ViewKind::Processes, ViewKind::Flows, ViewKind::Tree, ViewKind::Containers, ViewKind::Interfaces]
    {
        let screen = chosen(named(), (80, 24), view);
        insta::assert_snapshot!(format!("{}_busy_80x24", view.spec().name), screen.picture());
    }
    for (width, height) in SIZES {
        let screen = chosen(lacking(), (width, height), ViewKind::Processes);
        insta::assert_snapshot!(format!("processes_degraded_{width}x{height}"), screen.picture());
    }
}

#[test]
fn warnings_take_two_lines_of_every_screen_and_change_no_other() {
    for size in SIZES {
        for view in ViewKind::ALL {
            let [whole, lacks] = [named(), lacking()].map(|snapshot| chosen(snapshot, size, view));
            let (before, after) = (whole.lines(), lacks.lines());
            let (last, panel) = (before.len() - 1, view == ViewKind::Interfaces);
            assert_eq!(after[0], before[0].replace("T4", "T2"));
            assert!(after[1..3].iter().all(|line| line.starts_with(" ! ")), "{}", lacks.text());
            // The panel may have to give up lines as well as the table.
            if !panel {
                assert_eq!(after[3..last], before[1..last - 2], "{}", lacks.text());
            }
            assert_eq!(after[last], before[last]);
        }
        for (view, keys) in [(ViewKind::Processes, "\n"), (ViewKind::Users, "\n"), (ViewKind::Hosts, "\n\n")]
        {
            let [whole, lacks] =
                [named(), lacking()].map(|snapshot| typed(chosen(snapshot, size, view), keys));
            let (before, after) = (whole.lines(), lacks.lines());
            let warned: Vec<usize> =
                (0..after.len()).filter(|line| after[*line].starts_with(" ! ")).collect();
            assert_eq!((warned, &after[3]), (vec![1, 2], &before[1]), "{}", lacks.text());
        }
    }
}

/// A screen on which the flow of a process was opened, and what the kernel says of its socket has come.
fn opened_flow(size: (u16, u16)) -> Screen {
    let mut screen = typed(watched(size), "\n\n");
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

/// On a small screen, with colours; docs/screens.md has them on a larger one.
#[test]
fn what_was_opened() {
    let size = (80, 24);
    let show = |name: &str, screen: &Screen| {
        insta::assert_snapshot!(format!("{name}_80x24"), screen.picture());
    };
    show("process_busy", &typed(watched(size), "\n"));
    show("user_busy", &typed(shows(watched(size), ViewKind::Users), "\n"));
    show("host_busy", &typed(shows(watched(size), ViewKind::Hosts), "\n"));
    show("flow", &opened_flow(size));
    show("process_zoomed", &typed(watched(size), "\nz"));
    show("container", &typed(shows(watched(size), ViewKind::Containers), "j\n"));
    show("interface", &typed(shows(watched(size), ViewKind::Interfaces), "\n"));
}

#[test]
fn processes_in_every_state() {
    let size = (80, 24);
    let show = |name: &str, screen: &Screen| {
        insta::assert_snapshot!(format!("state_{name}_80x24"), screen.picture());
    };
    show("empty", &Screen::new(snapshot(vec![], vec![]), size));
    show("paused", &typed(Screen::new(named(), size), "P"));
    show("filtered", &typed(Screen::new(named(), size), "/user:www-data\n"));
    show("typing", &typed(Screen::new(named(), size), "/us"));
    show("popup", &typed(watched(size), "jd"));
    show("interface", &typed(Screen::new(named(), size), "ij\n"));
}

#[test]
fn an_opened_process_says_who_it_is_and_how_that_is_known() {
    let text = typed(Screen::new(named(), (120, 50)), "jj\nz").text();
    for part in [
        "Processes › curl[31007]",
        "curl, pid 31007",
        "/usr/sbin/curl",
        "bash[30100] ‹ sshd[30090] ‹ sshd[812] ‹ systemd[1]",
        "deploy (1000)",
        "session-4.scope in user-1000.slice",
        "package   curl",
        "curl -O https://example.org/large.iso",
        "exact by connect: 1",
        "ended",
        "0 flows, 1 closed, 1 remote hosts, 1 local ports",
        "tcp       closed; rtt 3",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let text = typed(Screen::new(named(), (120, 50)), "j\nz").text();
    assert!(text.contains("shop-db-1 (docker"), "{text}");
    assert!(text.contains("4f1e02f5c8d94a3b9b0c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a1b0c9d8e7f6a"), "{text}");
}

/// A server with four connections, one in close-wait, of which the last `closed` are over; opened.
fn server(closed: usize) -> Screen {
    let nginx = process(2817, "nginx", 8000, 8000);
    let end = |port| crate::query::fixture::endpoint("10.0.0.5", port);
    let connection = |n: usize| {
        let socket = u64::try_from(n).unwrap();
        let state = if n == 0 { TcpState::CloseWait } else { TcpState::Established };
        let tcp = TcpHealth {
            state,
            srtt: Duration::from_millis(socket + 1),
            cwnd: 10,
            retransmits: 1,
            acked_bytes: 1000,
            received_bytes: 0,
        };
        let row = crate::query::fixture::flow(socket + 1, &nginx, end(443), end(50_000));
        FlowRow { tcp: Some(tcp), closed: (n >= 4 - closed).then_some(crate::model::Mono(60)), ..row }
    };
    let flows = (0..4).map(connection).collect();
    typed(Screen::new(snapshot(vec![nginx], flows), (200, 40)), "\n")
}

/// D3: connections that were over were counted with the state that was seen last.
#[test]
fn states_are_those_of_connections_that_live() {
    let text = server(0).text();
    assert!(text.contains("tcp       1 close-wait, 3 established; rtt 1.00ms to 4.00ms"), "{text}");
    assert!(text.contains("holds     4 flows, 1 remote hosts"), "{text}");
    let text = server(2).text();
    assert!(text.contains("tcp       1 close-wait, 1 established; rtt 1.00ms to 2.00ms"), "{text}");
    // Of what the kernel adds up nothing is lost.
    assert!(text.contains("4 segments sent again, 4.00kB"), "{text}");
    assert!(text.contains("holds     2 flows, 2 closed, 1 remote hosts"), "{text}");
    let text = server(4).text();
    assert!(text.contains("tcp       4 closed; rtt 1.00ms to 4.00ms"), "{text}");
    assert!(text.contains("holds     0 flows, 4 closed, 1 remote hosts"), "{text}");
    let mut one = server(4);
    one.press(KeyCode::Enter);
    assert!(one.text().contains("tcp       closed; rtt 1.00ms"), "{}", one.text());
}

/// D5: "total" was since counting began, beside what was acknowledged since the connection was made.
#[test]
fn what_is_added_up_says_since_when() {
    let text = server(2).text();
    assert!(text.contains("totals    since counting began (00:12:31), packets"), "{text}");
    assert!(text.contains("since they were made"), "{text}");
    let mut screen = server(0);
    screen.press(KeyCode::Enter);
    let text = screen.text();
    assert!(text.contains("totals    since it was first seen (00:01:39), packets"), "{text}");
    assert!(text.contains("since it was made") && !text.contains("is older than"), "{text}");
    let mut older = screen.snapshot.as_ref().clone();
    older.flows.iter_mut().for_each(|row| Arc::make_mut(row).predates = true);
    screen.show(older);
    let text = screen.text();
    assert!(
        text.contains("seen      first 00:01:39 ago, last 00:01:39 ago; its socket is older than"),
        "{text}"
    );
    assert!(text.contains("which began 00:12:31 ago"), "{text}");
    let text = typed(chosen(named(), (120, 40), ViewKind::Hosts), "\n").text();
    assert!(text.contains("totals    since each flow was first seen (00:12:31 at most), packets"), "{text}");
    for (view, since) in [
        (ViewKind::Processes, "counting began (00:12:31)"),
        (ViewKind::Users, "counting began (00:12:31)"),
        (ViewKind::Flows, "it was first seen (00:12:20)"),
        (ViewKind::Hosts, "each flow was first seen (00:12:31 at most)"),
    ] {
        let text = typed(chosen(named(), (120, 40), view), "d").text();
        assert!(text.contains(&format!("since      {since}")), "{text}");
    }
}

#[test]
fn an_opened_flow_says_what_the_kernel_says_of_its_socket() {
    let text = opened_flow((120, 40)).text();
    assert!(text.contains("0B not read, 4.10kB not acknowledged; window 10 segments"), "{text}");
    assert!(text.contains("received since it was made"), "{text}");
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
    let mut lo = crate::model::InterfaceLedger::clone(&snapshot.ledger.interfaces[0]);
    (lo.ifindex, lo.name) = (1, "lo".into());
    snapshot.ledger.interfaces.push(Arc::new(lo));
    let mut screen = typed(Screen::new(snapshot, (120, 40)), "ijj\n");
    let text = screen.text();
    assert!(text.contains("[Processes 1]") && text.contains("postgres") && !text.contains("nginx"), "{text}");
    assert!(text.contains(" on lo ") && text.contains("filtered"), "{text}");
    assert!(screen.lines()[1].contains("84.3Mb/s"), "the totals are those of the interface");
    // D2: beside it the header said "all sockets".
    assert!(screen.lines()[0].contains("  all sockets on lo  up"), "{text}");
    screen.press(KeyCode::Tab);
    assert!(screen.text().contains("[Flows 1]"));
    let screen = typed(screen, "ikk\n");
    assert!(screen.lines()[0].contains("  all sockets  up"), "{}", screen.text());
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
    // D8: without a name it read as if it were of everything above it.
    assert!(text.contains(" eth0 rx   device 13,554,679,184 = attributed"), "{text}");
    assert!(text.contains(" eth0 tx   device ") && text.contains("unexplained 0"), "{text}");
    let text = typed(chosen(named(), (120, 40), ViewKind::Interfaces), "\n").text();
    assert!(text.contains(" eth0 rx   device 13,554,679,184 = attributed"), "{text}");
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
