//! A recording from its front to its end: it has one, whatever is in it, and what it says is of what it has.

use super::super::file::tests::{classic, interface, interface_of, packet, section};
use super::*;
use proptest::prelude::*;
use std::io::Cursor;

const SECOND: Duration = Duration::from_secs(1);

fn open(file: &[u8], nets: &[&str]) -> Result<FileRecording, SourceError> {
    let nets = nets.iter().map(|net| net.parse().unwrap()).collect();
    let options = Options { path: "made".into(), capacity: 64, nets };
    FileRecording::of(Box::new(Cursor::new(file.to_vec())), &options, None)
}

/// Every interval, and how it ended.
///
/// # Panics
/// Where two steps in a row take no packet.
fn told(mut recording: FileRecording, interval: Duration) -> (Vec<Batch>, Result<Step, SourceError>) {
    let mut batches = Vec::new();
    let mut waited = false;
    loop {
        let mut batch = Batch::default();
        let step = recording.step(interval, &mut batch);
        assert!(batch.from <= batch.to, "{batch:?}");
        let took = !batch.deltas.is_empty() || !batch.unplaced.is_empty();
        batches.push(batch);
        if !matches!(step, Ok(Step::More)) {
            return (batches, step);
        }
        assert!(took || !waited, "two steps took nothing: {:?}", &batches[batches.len() - 2..]);
        waited = !took;
    }
}

fn degraded(batches: &[Batch]) -> Vec<String> {
    let health = batches.iter().filter_map(|batch| batch.health.as_ref()).next_back().unwrap();
    health.degraded.iter().map(|missing| missing.what.clone()).collect()
}

/// 20 bytes of IPv4, or 40 of IPv6, that are nothing but a header.
fn header(version: u8) -> Vec<u8> {
    let mut bytes = vec![0; if version == 4 { 20 } else { 40 }];
    if version == 4 {
        (bytes[0], bytes[3], bytes[9], bytes[15], bytes[19]) = (0x45, 20, 253, 1, 2);
    } else {
        (bytes[0], bytes[6], bytes[23], bytes[39]) = (0x60, 59, 1, 2);
    }
    bytes
}

/// An interface of raw IP and a packet of each version on it.
fn raw(versions: &[u8]) -> Vec<u8> {
    let packets = versions.iter().map(|version| {
        let bytes = header(*version);
        packet(0, 1, &bytes, u32::try_from(bytes.len()).unwrap())
    });
    [section(), interface_of(101, "x", 0)].into_iter().chain(packets).collect::<Vec<_>>().concat()
}

#[test]
fn times_at_the_end_of_all_dates_have_an_end() {
    let latest = i64::MAX.unsigned_abs();
    let file = [section(), interface("x"), packet(0, latest, b"ab", 2), packet(0, latest, b"ab", 2)].concat();
    for interval in [Duration::ZERO, Duration::from_nanos(1), SECOND, Duration::MAX] {
        let (batches, step) = told(open(&file, &[]).unwrap(), interval);
        assert_eq!(step.unwrap(), Step::Ended);
        assert_eq!(batches.len(), 1, "{interval:?}");
    }
    let offset = file.len();
    let (_, step) = told(open(&[file, packet(0, u64::MAX, b"ab", 2)].concat(), &[]).unwrap(), SECOND);
    assert!(step.unwrap_err().message.contains(&format!("at offset {offset}:")));
}

#[test]
fn the_side_is_a_guess_only_where_no_network_says_it() {
    let guess = "which end is local is a guess".to_owned();
    for (versions, nets, guessed) in [
        (&[4, 6][..], &[][..], true),
        (&[4], &["0.0.0.1/32"], false),
        (&[6], &["0.0.0.1/32"], true),
        (&[4, 6], &["0.0.0.1/32"], true),
        (&[6], &["fd00::/8"], false),
        (&[4, 6], &["0.0.0.1/32", "fd00::/8"], false),
        (&[], &[], false),
    ] {
        let (batches, step) = told(open(&raw(versions), nets).unwrap(), SECOND);
        assert_eq!(step.unwrap(), Step::Ended);
        assert_eq!(degraded(&batches).contains(&guess), guessed, "{versions:?} {nets:?}");
    }
}

#[test]
fn an_interface_is_reported_when_it_is_new_and_when_it_changed() {
    let names: Vec<String> = (0..1000).map(|number| format!("eth{number}")).collect();
    let mut file = section();
    for name in &names {
        file.extend(interface(name));
    }
    for second in 0..100 {
        file.extend(packet(7, second * 1_000_000_000, b"abcd", 4));
    }
    let (batches, _) = told(open(&file, &[]).unwrap(), SECOND);
    let reported: Vec<usize> = batches.iter().map(|batch| batch.captures.len()).collect();
    assert_eq!((reported[0], reported.len()), (1000, 100));
    assert!(reported[1..].iter().all(|interfaces| *interfaces == 1), "{reported:?}");
    let last = &batches[99].captures[0];
    assert_eq!((&*last.name, last.capture.received), ("eth7", 100));
}

#[test]
fn of_many_link_types_some_are_named() {
    let mut file = section();
    for number in 30_000..31_000 {
        file.extend(interface_of(number, "x", 0));
    }
    let (batches, _) = told(open(&file, &[]).unwrap(), SECOND);
    let degraded = degraded(&batches);
    assert_eq!(degraded.len(), 1 + MOST_LINKS + 1, "{degraded:?}");
    assert!(degraded[1].contains("30000") && degraded.last().unwrap().contains("more than"), "{degraded:?}");
}

fn any_time() -> impl Strategy<Value = u64> {
    let end = i64::MAX.unsigned_abs();
    prop_oneof![0..5_000_000_000_u64, end - 3_000_000_000..=end, any::<u64>()]
}

proptest! {
    /// Every step takes a packet, or what it passes over ends less than an interval before the next one.
    #[test]
    fn every_file_has_an_end(
        times in prop::collection::vec((any_time(), 0_u32..2), 0..40),
        offset in prop_oneof![Just(0), Just(1_i64 << 62), -10..10_i64, any::<i64>()],
        interval in prop_oneof![0..3_000_000_000_u64, any::<u64>()],
    ) {
        let mut file = [section(), interface("a"), interface_of(1, "b", offset)].concat();
        for (at, interface) in &times {
            file.extend(packet(*interface, *at, b"abcd", 4));
        }
        let Ok(recording) = open(&file, &[]) else { return Ok(()) };
        let (batches, _) = told(recording, Duration::from_nanos(interval));
        prop_assert!(batches.len() <= 2 * times.len() + 1);
    }

    #[test]
    fn every_classic_file_has_an_end(
        times in prop::collection::vec((any::<u32>(), any::<u32>()), 0..40),
        interval in 1..3_000_000_000_u64,
    ) {
        let records: Vec<_> = times.iter().map(|(at, fraction)| (*at, *fraction, &b"abcd"[..], 4)).collect();
        let (batches, step) = told(open(&classic(&records), &[]).unwrap(), Duration::from_nanos(interval));
        prop_assert_eq!(step.unwrap(), Step::Ended);
        prop_assert!(batches.len() <= 2 * times.len() + 1);
    }
}
