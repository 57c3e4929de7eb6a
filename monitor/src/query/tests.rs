//! Numbers, columns, order.

use super::column::STAYS;
mod filters;
mod groups;

use super::fixture::{busy, endpoint, flow, process, snapshot};
use super::number::COUNT_WIDTH;
use super::*;
use crate::model::{ProcessRow, Snapshot, Windows};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn rates_have_three_digits_and_a_unit() {
    for (value, shown) in [
        (0, "0b/s"),
        (7, "7b/s"),
        (999, "999b/s"),
        (1000, "1.00kb/s"),
        (1004, "1.00kb/s"),
        (1005, "1.01kb/s"),
        (9994, "9.99kb/s"),
        (9995, "10.0kb/s"),
        (12_345, "12.3kb/s"),
        (99_949, "99.9kb/s"),
        (99_950, "100kb/s"),
        (212_000_000, "212Mb/s"),
        (999_499, "999kb/s"),
        (999_500, "1.00Mb/s"),
        (1_640_000_000, "1.64Gb/s"),
        (u64::MAX, "18.4Eb/s"),
    ] {
        assert_eq!(Units::SiBits.rate(value), shown);
    }
}

#[test]
fn totals_counts_and_times() {
    assert_eq!(
        [0, 999, 1_640_000_000, 11_800_000_000, u64::MAX].map(|value| Units::SiBits.bytes(value)),
        ["0B", "999B", "1.64GB", "11.8GB", "18.4EB"]
    );
    assert_eq!([0, 48, 1234, 999_999].map(count), ["0", "48", "1.23k", "1.00M"]);
    let clocks = [0, 59, 751, 86_399, 86_400 + 751].map(|seconds| clock(Duration::from_secs(seconds)));
    assert_eq!(clocks, ["00:00:00", "00:00:59", "00:12:31", "23:59:59", "1d 00:12:31"]);
}

proptest! {
    #[test]
    fn numbers_keep_to_their_width_and_their_value(value in any::<u64>(), shift in 0u32..64) {
        let value = value >> shift;
        for units in Units::ALL {
            prop_assert!(units.rate(value).len() <= usize::from(units.rate_width()));
            prop_assert!(units.bytes(value).len() <= usize::from(units.total_width()));
        }
        prop_assert!(count(value).len() <= usize::from(COUNT_WIDTH));
        for (units, base, error) in [(Units::SiBits, 1000f64, 0.00501), (Units::BinBits, 1024.0, 0.00515)] {
            let shown = units.bytes(value);
            let digits: String = shown.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
            let power = " KMGTPE".find((shown.as_bytes()[digits.len()] as char).to_ascii_uppercase()).unwrap_or(0);
            let back = digits.parse::<f64>().unwrap() * base.powi(i32::try_from(power).unwrap());
            prop_assert!((back - value as f64).abs() <= value as f64 * error, "{} {}", value, shown);
        }
    }

    #[test]
    fn a_limit_gives_the_beginning_of_the_whole_order(
        rates in prop::collection::vec(0u64..5, 0..40),
        limit in 0usize..45,
        descending in any::<bool>(),
        by_name in any::<bool>(),
    ) {
        let snapshot = of_rates(&rates);
        let sort = if by_name { SortKey::Column(Field::Process) } else { SortKey::Rate(Window::Two) };
        let query = Query { sort, descending, ..Query::default() };
        let listing = listing(&snapshot, ViewKind::Processes);
        let whole = ids(&listing.select(&query));
        let part = listing.select(&Query { limit: Some(limit), ..query });
        prop_assert_eq!(part.total, rates.len());
        prop_assert_eq!(ids(&part), whole[..limit.min(rates.len())].to_vec());
        for (place, id) in whole.iter().enumerate() {
            prop_assert_eq!(listing.rank(&query, id), Some(place));
        }
        prop_assert_eq!(ids(&listing.select_frozen(&query, &whole)), whole.clone());
    }

    #[test]
    fn equal_rows_do_not_dance(rates in prop::collection::vec(0u64..3, 0..30), seed in any::<u64>()) {
        let straight = of_rates(&rates);
        let mut mixed = straight.clone();
        // Any order of appearance must give the same picture.
        mixed.processes.sort_by_key(|row| u64::from(row.id.unwrap().pid).wrapping_mul(seed | 1));
        let query = Query::default();
        let shown = |snapshot: &Snapshot| ids(&listing(snapshot, ViewKind::Processes).select(&query));
        prop_assert_eq!(shown(&straight), shown(&mixed));
    }

    #[test]
    fn columns_fit_and_what_stays_stays(width in 0u16..400, units in 0usize..4) {
        let units = Units::ALL[units];
        for view in ViewKind::ALL {
            let placed = place(columns(view), width, units);
            let used: u32 = placed.iter().map(|p| u32::from(p.width) + 1).sum();
            let least: u32 =
                columns(view).iter().filter(|c| c.leaves == STAYS).map(|c| u32::from(c.room(units).0) + 1).sum();
            prop_assert!(used <= u32::from(width).max(least));
            let fits = |p: &Placed| (p.column.room(units).0..=p.column.room(units).1).contains(&p.width);
            prop_assert!(placed.iter().all(fits));
            for column in columns(view).iter().filter(|column| column.leaves == STAYS) {
                prop_assert!(placed.iter().any(|p| p.column.id == column.id));
            }
        }
    }
}

fn of_rates(rates: &[u64]) -> Snapshot {
    let row = |(pid, rate): (u32, &u64)| process(pid, &format!("p{}", pid % 4), *rate, 0);
    snapshot((1u32..).zip(rates).map(row).collect(), vec![])
}

fn listing(snapshot: &Snapshot, view: ViewKind) -> Listing {
    Listing::new(Arc::new(snapshot.clone()), Scope::of(view))
}

fn ids(view: &View<'_>) -> Vec<RowId> {
    view.rows.iter().map(|row| row.id()).collect()
}

fn names(snapshot: &Snapshot, query: &Query) -> Vec<String> {
    listing(snapshot, ViewKind::Processes)
        .select(query)
        .rows
        .iter()
        .map(|row| row.name().to_owned())
        .collect()
}

#[test]
fn columns_leave_in_their_order() {
    use Field::{Command, Exe, Flows, Pid, Process, Rx, RxTotal, User, Workload};
    let gone = |id: Field| {
        let there = |width: u16| {
            place(columns(ViewKind::Processes), width, Units::SiBits).iter().any(|p| p.column.id == id)
        };
        (0..300).find(|width| there(*width)).unwrap()
    };
    let order =
        [Command, Exe, RxTotal, Rx(Window::Forty), User, Flows, Rx(Window::Ten), Workload, Pid, Process];
    let widths = order.map(gone);
    assert!(widths.windows(2).all(|pair| pair[0] > pair[1]), "{widths:?}");
    assert_eq!(gone(Rx(Window::Two)), 0);
}

#[test]
fn names_in_text_output_are_unique_words() {
    for view in ViewKind::ALL {
        let mut names: Vec<_> = columns(view).iter().map(|column| column.name).collect();
        assert!(names.iter().all(|name| !name.is_empty() && !name.contains(' ')));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), columns(view).len());
    }
}

#[test]
fn each_window_sorts_by_both_directions() {
    let row =
        |pid, name: &str, rx, tx| ProcessRow { windows: Windows { rx, tx }, ..process(pid, name, 0, 0) };
    let rows = vec![
        row(1, "a", [5, 1, 1], [5, 1, 1]),
        row(2, "b", [9, 9, 0], [0; 3]),
        row(3, "c", [0; 3], [1, 2, 9]),
    ];
    let snapshot = snapshot(rows, vec![]);
    let by = |window| names(&snapshot, &Query { sort: SortKey::Rate(window), ..Query::default() });
    assert_eq!(by(Window::Two), ["a", "b", "c"]);
    assert_eq!(by(Window::Ten), ["b", "a", "c"]);
    assert_eq!(by(Window::Forty), ["c", "a", "b"]);
    let tx = SortKey::Column(Field::Tx(Window::Two));
    assert_eq!(names(&snapshot, &Query { sort: tx, ..Query::default() }), ["a", "c", "b"]);
    let name = Query { sort: SortKey::Column(Field::Process), descending: false, ..Query::default() };
    assert_eq!(names(&snapshot, &name), ["a", "b", "c"]);
}

#[test]
fn every_column_sorts_and_every_cell_has_text() {
    let snapshot = busy();
    let format = Format::new(Notation::default(), &snapshot);
    for view in ViewKind::ALL {
        let listing = listing(&snapshot, view);
        assert!(listing.len() > 1);
        for column in columns(view) {
            let query = Query { sort: SortKey::Column(column.id), ..Query::default() };
            let selected = listing.select(&query);
            assert_eq!(selected.rows.len(), listing.len());
            assert!(selected.rows.is_sorted_by(
                |a, b| column.id.value(*a, &snapshot).sort() >= column.id.value(*b, &snapshot).sort()
            ));
            for row in selected.rows {
                assert!(!column.cell(row, &format).is_empty(), "{}", column.name);
                assert!(!column.field(row, &format).is_empty(), "{}", column.name);
            }
        }
    }
}

#[test]
fn new_rows_follow_a_frozen_order() {
    let query = Query::default();
    let before = of_rates(&[1, 2, 3]);
    let order = ids(&listing(&before, ViewKind::Processes).select(&query));
    let after = of_rates(&[3, 1, 2, 9, 8]);
    let after = listing(&after, ViewKind::Processes);
    let pids: Vec<_> =
        after.select_frozen(&query, &order).rows.iter().map(|row| row.owner().unwrap().pid).collect();
    assert_eq!(pids, [3, 2, 1, 4, 5]);
}

#[test]
fn a_flow_under_two_owners_is_two_rows() {
    let (one, two) = (process(1, "one", 5, 5), process(2, "two", 5, 5));
    let ends = (endpoint("10.0.0.1", 1), endpoint("10.0.0.2", 2));
    let flows = vec![flow(1, &two, ends.0, ends.1), flow(1, &one, ends.0, ends.1)];
    let snapshot = snapshot(vec![], flows);
    let listing = listing(&snapshot, ViewKind::Flows);
    let view = listing.select(&Query::default());
    assert_ne!(view.rows[0].id(), view.rows[1].id());
    let names: Vec<_> = view.rows.iter().map(|row| row.name()).collect();
    assert_eq!(names, ["one", "two"]);
}

/// Every field by every row: the type is the one that the field declares.
#[test]
fn every_value_is_of_the_kind_of_its_field() {
    let snapshot = busy();
    for view in ViewKind::ALL {
        let listing = listing(&snapshot, view);
        for column in columns(view) {
            for row in listing.all() {
                let value = column.id.value(row, &snapshot);
                assert!(is_of(value, column.id.kind()), "{view:?} {}: {value:?}", column.name);
                let exact = column.id.kind().unit().is_some() && value != Value::Nothing;
                assert_eq!(value.exact().is_some(), exact, "{}", column.name);
            }
        }
    }
}

fn is_of(value: Value<'_>, kind: Kind) -> bool {
    match value {
        Value::Nothing => true,
        Value::Bytes(_) => kind == Kind::Bytes,
        Value::BitRate(_) => kind == Kind::BitRate,
        Value::Packets(_) => kind == Kind::Packets,
        Value::Count(_) => kind == Kind::Count,
        Value::Duration(_) => kind == Kind::Duration,
        Value::Time(_) => kind == Kind::Time,
        Value::Pid(_) => kind == Kind::Pid,
        Value::Id(_) => matches!(kind, Kind::Id | Kind::Name),
        Value::Port(_) => kind == Kind::Port,
        Value::Address(_) => kind == Kind::Address,
        Value::End(..) => kind == Kind::End,
        Value::Protocol(_) => kind == Kind::Protocol,
        Value::Text(_) => matches!(kind, Kind::Text | Kind::Name | Kind::Group),
        Value::Group(_) => kind == Kind::Group,
        Value::Key(_) | Value::GroupId(_) => kind == Kind::Key,
        Value::Ancestors(_) => kind == Kind::Ancestors,
    }
}
