//! Groups, the tree, and what a filter leaves of them: every view sums to the same.

use super::super::filter::Filter;
use super::super::fixture::{counters, endpoint, flow, kernel, nobody, process, snapshot, windows};
use super::super::*;
use crate::model::{Ancestor, Container, FlowRow, Identity, Pod, Protocol, Snapshot};
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Few names, so that they meet.
fn identity() -> impl Strategy<Value = Identity> {
    let name = |prefix: &'static str| {
        proptest::option::of(0..3_u8).prop_map(move |n| n.map(|n| Arc::from(format!("{prefix}{n}"))))
    };
    let parents = proptest::collection::vec(0..12_u32, 0..4);
    (
        name("user"),
        name("/cgroup"),
        name("unit"),
        name("slice"),
        name("box"),
        name("pod"),
        name("pkg"),
        parents,
    )
        .prop_map(|(user, cgroup, unit, slice, container, pod, package, parents)| Identity {
            user,
            cgroup,
            unit,
            slice,
            container: container
                .map(|id| Arc::new(Container { runtime: "docker", id, name: None, claimed_by: None })),
            pod: pod.map(|uid| Arc::new(Pod { uid, name: None, namespace: None })),
            package,
            parents: parents
                .into_iter()
                .map(|pid| Ancestor { id: ProcessId { pid, generation: 7 }, comm: format!("p{pid}").into() })
                .collect(),
            ..Identity::default()
        })
}

/// What a flow is made of: its process, both ends, the protocol, where it is, and what it moved.
type Flow = (usize, (u8, u16), (u8, u16), u8, (u64, u32), (u64, u64));

fn flows() -> impl Strategy<Value = Vec<Flow>> {
    let end = || (0..4_u8, 0..3_u16);
    let place = (0..3_u64, 0..3_u32);
    proptest::collection::vec((0..12_usize, end(), end(), 0..4_u8, place, (0..9000_u64, 0..9000_u64)), 0..40)
}

/// A consistent picture: a process has moved what its flows have, and what flows that have ended did.
fn pictures() -> impl Strategy<Value = Snapshot> {
    let ended = (0..9000_u64, 0..9000_u64);
    (proptest::collection::vec((identity(), ended), 1..10), flows()).prop_map(|(processes, flows)| {
        let mut rows: Vec<_> = (1..)
            .zip(processes)
            .map(|(pid, (identity, ended))| {
                let row = process(pid, &format!("p{}", pid % 4), 0, 0);
                let (rx, tx) = ended;
                ProcessRow { identity: Arc::new(identity), flows: 0, total: counters(rx, tx), ..row }
            })
            .collect();
        rows.push(ProcessRow { flows: 0, total: counters(500, 0), ..kernel(0, 0) });
        rows.extend([Confidence::Pending, Confidence::Unknown].map(|kind| nobody(kind, 0, 0)));
        for row in &mut rows {
            (row.flows, row.interval, row.windows) = (0, counters(row.total.rx_bytes / 3, 0), windows(0, 0));
        }
        let flows = flows.into_iter().zip(1..).map(|(made, socket)| grown(made, socket, &mut rows)).collect();
        snapshot(rows, flows)
    })
}

fn grown(made: Flow, socket: u64, rows: &mut [ProcessRow]) -> FlowRow {
    let (owner, local, remote, protocol, (netns, ifindex), (rx, tx)) = made;
    let place = owner % rows.len();
    let owner = &mut rows[place];
    let end = |(host, port): (u8, u16)| endpoint(&format!("10.0.{}.{host}", host % 2), port);
    let mut row = flow(socket, owner, end(local), end(remote));
    row.identity = Arc::clone(&owner.identity);
    row.id.protocol = [Protocol::TCP, Protocol::UDP, Protocol::ICMP, Protocol::ARP][usize::from(protocol)];
    if !row.id.protocol.has_ports() {
        (row.id.local.port, row.id.remote.port) = (None, None);
    }
    (row.id.netns, row.id.ifindex) = (netns, ifindex);
    (row.total, row.interval) = (counters(rx, tx), counters(rx / 3, tx / 2));
    row.windows = windows(rx * 100, tx * 100);
    owner.total += row.total;
    owner.interval += row.interval;
    let mut sums = Sums { windows: owner.windows, ..Sums::default() };
    sums.add(&Sums::of_flow(&row));
    owner.windows = sums.windows;
    owner.flows += 1;
    row
}

/// The sums of rows that are in no other row.
fn added_up(listing: &Listing) -> Sums {
    let mut sums = Sums::default();
    for row in listing.all().filter(|row| row.depth() == 0) {
        sums.add(&Sums { total: *row.total(), interval: *row.interval(), windows: *row.windows() });
    }
    if let Some(rest) = listing.rest() {
        sums.add(&rest.sums);
    }
    sums
}

fn listing(snapshot: &Arc<Snapshot>, view: ViewKind, filter: Option<&str>) -> Listing {
    let filter = filter.map(|text| Arc::new(Filter::parse(text).unwrap_or_else(|error| panic!("{error}"))));
    Listing::new(Arc::clone(snapshot), Scope { filter, ..Scope::of(view) })
}

/// Questions of every kind but amounts of whole rows, which differ from view to view.
const FILTERS: [&str; 12] = [
    "p1",
    "not p1",
    "proc:p1 or port:1",
    "port:0-1 and user:user1",
    "not (port:1 or unit:unit2)",
    "10.0.0.0 or p3",
    "net:10.0.1.0/24",
    "proto:tcp !pkg:pkg0",
    "container:box1 or pod:pod2 or slice:slice0",
    "netns:1 or pid:3-5",
    "user:0 user:/./",
    "unknown or pending or kernel",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_view_sums_to_the_same(picture in pictures()) {
        let totals = (picture.totals.total, picture.totals.interval);
        let picture = Arc::new(picture);
        for view in ViewKind::ALL {
            let listing = listing(&picture, view, None);
            let sums = added_up(&listing);
            prop_assert_eq!((sums.total, sums.interval), totals, "{:?}", view);
            prop_assert_eq!(sums, *listing.sums(), "{:?}", view);
            let ids: HashSet<RowId> = listing.all().map(Row::id).collect();
            prop_assert_eq!(ids.len(), listing.len(), "every row of {:?} is told from the others", view);
        }
    }

    #[test]
    fn every_view_of_a_filter_sums_to_the_same(picture in pictures(), which in 0..FILTERS.len()) {
        let picture = Arc::new(picture);
        let filter = Some(FILTERS[which]);
        let wanted = listing(&picture, ViewKind::Processes, filter);
        for view in ViewKind::ALL {
            let listing = listing(&picture, view, filter);
            let (sums, wanted) = (added_up(&listing), wanted.sums());
            prop_assert_eq!((sums.total, sums.interval), (wanted.total, wanted.interval), "{:?}", view);
            prop_assert_eq!(sums.total, listing.sums().total, "{:?}", view);
        }
    }

    #[test]
    fn what_is_asked_of_processes_and_its_opposite_are_everything(picture in pictures()) {
        let picture = Arc::new(picture);
        for view in ViewKind::ALL {
            let mut sums = added_up(&listing(&picture, view, Some("user:user1 or proc:p2")));
            sums.add(&added_up(&listing(&picture, view, Some("not (user:user1 or proc:p2)"))));
            prop_assert_eq!(sums.total, picture.totals.total, "{:?}", view);
        }
    }

    #[test]
    fn a_subtree_is_the_sum_of_the_rows_below_it(picture in pictures()) {
        let own: HashMap<ProcessId, Sums> = picture
            .processes
            .iter()
            .filter_map(|row| Some((row.id?, Sums::of_process(row))))
            .collect();
        let listing = listing(&Arc::new(picture), ViewKind::Tree, None);
        let rows = listing.select(&Query::default()).rows;
        prop_assert_eq!(rows.len(), listing.len(), "each node is reached once, whatever was read of parents");
        for (place, root) in rows.iter().enumerate() {
            let below = rows[place + 1..].iter().take_while(|row| row.depth() > root.depth());
            let (mut sums, mut members) = (Sums::default(), 0);
            for row in std::iter::once(root).chain(below) {
                if let Some(own) = row.owner().and_then(|id| own.get(&id)) {
                    sums.add(own);
                    members += 1;
                }
            }
            if root.owner().is_some() {
                prop_assert_eq!(sums.total, *root.total());
                prop_assert_eq!(members, root.group().unwrap().members);
            }
        }
    }

    #[test]
    fn groups_are_ordered_limited_ranked_and_frozen_like_any_row(picture in pictures(), limit in 0..20_usize) {
        let picture = Arc::new(picture);
        for view in ViewKind::ALL {
            let listing = listing(&picture, view, None);
            for name in SortKey::names(view) {
                let (sort, descending) = SortKey::named(view, &name).unwrap();
                let query = Query { sort, descending, limit: None };
                let whole: Vec<RowId> = listing.select(&query).rows.iter().map(|row| row.id()).collect();
                let part = listing.select(&Query { limit: Some(limit), ..query });
                prop_assert_eq!(part.total, whole.len());
                let part: Vec<RowId> = part.rows.iter().map(|row| row.id()).collect();
                prop_assert_eq!(&part[..], &whole[..limit.min(whole.len())]);
                for (place, id) in whole.iter().enumerate() {
                    prop_assert_eq!(listing.rank(&query, id), Some(place));
                    prop_assert!(listing.find(id).is_some_and(|row| row.is(id)));
                }
                let other = Query { descending: !descending, ..query };
                let frozen = listing.select_frozen(&other, &whole);
                prop_assert!(frozen.rows.iter().zip(&whole).all(|(row, id)| row.is(id)), "{:?}", view);
            }
        }
    }
}

fn labels(snapshot: &Arc<Snapshot>, view: ViewKind, filter: Option<&str>) -> Vec<(String, u64)> {
    let listing = listing(snapshot, view, filter);
    let format = Format::new(Notation::default(), snapshot);
    let label = |row: &Row<'_>| match row {
        Row::Group(group) => group.label(&format).into_owned(),
        Row::Process(_) | Row::Flow(_) => row.name().to_owned(),
    };
    listing.select(&Query::default()).rows.iter().map(|row| (label(row), row.total().bytes())).collect()
}

fn owned(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(label, bytes)| ((*label).to_owned(), *bytes)).collect()
}

/// nginx in a container and its worker that has ended, under one shell; curl; bytes of nobody.
fn small() -> Arc<Snapshot> {
    let ancestors = |pids: &[u32]| -> Arc<[Ancestor]> {
        let one = |pid: &u32| Ancestor { id: ProcessId { pid: *pid, generation: 7 }, comm: "bash".into() };
        pids.iter().map(one).collect()
    };
    let boxed = Identity {
        cgroup: Some("/docker/0".into()),
        unit: Some("docker.service".into()),
        container: Some(Arc::new(Container {
            claimed_by: None,
            runtime: "docker",
            id: "f00".into(),
            name: Some("web".into()),
        })),
        parents: ancestors(&[5, 1]),
        ..Identity::default()
    };
    let worker = Identity { parents: ancestors(&[10, 5, 1]), ..boxed.clone() };
    let plain = Identity { cgroup: Some("/".into()), parents: ancestors(&[1]), ..Identity::default() };
    let with = |row: ProcessRow, identity: &Identity, bytes| {
        let total = counters(bytes, 0);
        ProcessRow { identity: Arc::new(identity.clone()), total, windows: windows(bytes, 0), ..row }
    };
    let nginx = with(process(10, "nginx", 0, 0), &boxed, 1000);
    let ended = crate::model::Mono(9);
    let worker = ProcessRow { exited: Some(ended), ..with(process(11, "worker", 0, 0), &worker, 4000) };
    let curl = with(process(20, "curl", 0, 0), &plain, 300);
    let unknown = with(nobody(Confidence::Unknown, 0, 0), &Identity::default(), 7);
    let of = |row: &ProcessRow, socket, remote: &str, port, bytes| {
        let made = flow(socket, row, endpoint("10.0.0.1", 50_000), endpoint(remote, port));
        FlowRow { total: counters(bytes, 0), windows: windows(bytes, 0), ..made }
    };
    let flows = vec![
        of(&nginx, 1, "192.0.2.1", 443, 600),
        of(&nginx, 2, "192.0.2.9", 80, 100),
        of(&curl, 3, "2001:db8::7", 443, 300),
        of(&unknown, 4, "192.0.2.1", 443, 7),
    ];
    Arc::new(snapshot(vec![nginx, worker, curl, unknown], flows))
}

#[test]
fn groups_of_processes_keep_what_ended_flows_moved() {
    let small = small();
    let shown = labels(&small, ViewKind::Containers, None);
    assert_eq!(shown, owned(&[("web", 5000), ("(no container)", 300), ("unknown", 7)]));
    let shown = labels(&small, ViewKind::Units, None);
    assert_eq!(shown, owned(&[("docker.service", 5000), ("(no unit)", 300), ("unknown", 7)]));
}

#[test]
fn groups_of_flows_have_a_row_for_what_ended() {
    let small = small();
    let ended = ("(flows that have ended)", 4300);
    let shown = labels(&small, ViewKind::Hosts, None);
    assert_eq!(shown, owned(&[ended, ("192.0.2.1", 607), ("2001:db8::7", 300), ("192.0.2.9", 100)]));
    let shown = labels(&small, ViewKind::Networks, None);
    assert_eq!(shown, owned(&[ended, ("192.0.2.0/24", 707), ("2001:db8::/64", 300)]));
    let rest = listing(&small, ViewKind::Flows, None).rest().map(|rest| rest.sums.total.rx_bytes);
    assert_eq!(rest, Some(4300));
}

#[test]
fn the_size_of_a_network_can_be_set() {
    let prefixes = Prefixes { v4: 8, v6: 128 };
    let scope = Scope { prefixes, ..Scope::of(ViewKind::Networks) };
    let listing = Listing::new(small(), scope);
    let keys: HashSet<String> =
        listing.all().filter_map(|row| Some(format!("{:?}", row.group()?.key))).collect();
    assert!(keys.contains("Net(192.0.0.0/8)") && keys.contains("Net(2001:db8::7/128)"), "{keys:?}");
}

#[test]
fn a_tree_has_ancestors_that_moved_nothing_and_children_that_ended() {
    let listing = listing(&small(), ViewKind::Tree, None);
    let rows = listing.select(&Query::default()).rows;
    let shown: Vec<_> =
        rows.iter().map(|row| (row.depth(), row.name(), row.total().rx_bytes, row.has_exited())).collect();
    // Without a row of its own an ancestor is known by its name only.
    assert_eq!(
        shown,
        [
            (0, "bash", 5300, false),
            (1, "bash", 5000, false),
            (2, "nginx", 5000, false),
            (3, "worker", 4000, true),
            (1, "curl", 300, false),
            (0, "unknown", 7, false),
        ]
    );
}

#[test]
fn bytes_of_no_thing_are_a_row_and_do_not_count_as_one() {
    for (view, rows, things) in [
        (ViewKind::Processes, 4, 3),
        (ViewKind::Tree, 6, 5),
        (ViewKind::Containers, 3, 1),
        (ViewKind::Packages, 2, 0),
        (ViewKind::Hosts, 4, 3),
    ] {
        let listing = listing(&small(), view, None);
        assert_eq!((listing.len(), listing.things()), (rows, things), "{view:?}");
    }
}

#[test]
fn a_question_about_flows_leaves_the_flows_of_a_process() {
    let small = small();
    let shown = labels(&small, ViewKind::Processes, Some("port:443"));
    assert_eq!(shown, owned(&[("nginx", 600), ("curl", 300), ("unknown", 7)]));
    let peaks = |filter| {
        listing(&small, ViewKind::Processes, filter).all().map(|row| row.peak().is_some()).collect::<Vec<_>>()
    };
    assert!(peaks(None).into_iter().all(|has| has));
    assert!(peaks(Some("port:443")).into_iter().all(|has| !has), "nobody measured the peak of a part");
    // What ended flows did on that port is not known, so it is not guessed.
    let shown = labels(&small, ViewKind::Hosts, Some("port:443"));
    assert_eq!(shown, owned(&[("192.0.2.1", 607), ("2001:db8::7", 300)]));
    let shown = labels(&small, ViewKind::Hosts, Some("container:web"));
    assert_eq!(shown, owned(&[("(flows that have ended)", 4300), ("192.0.2.1", 600), ("192.0.2.9", 100)]));
}

#[test]
fn amounts_are_of_the_rows_of_the_view() {
    let small = small();
    let shown = labels(&small, ViewKind::Containers, Some("total>=5kB"));
    assert_eq!(shown, owned(&[("web", 5000)]));
    let shown = labels(&small, ViewKind::Hosts, Some("port:443 rate<=300"));
    assert_eq!(shown, owned(&[("2001:db8::7", 300)]));
    // Beside an `or`, they are of the processes or flows that the view sums.
    let shown = labels(&small, ViewKind::Containers, Some("proc:curl or total>2kB"));
    assert_eq!(shown, owned(&[("web", 4000), ("(no container)", 300)]));
}
