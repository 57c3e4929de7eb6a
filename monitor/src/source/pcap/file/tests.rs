//! Files as they should be, of both formats and byte orders, and every way in which they are not.

use super::*;
use proptest::prelude::*;
use std::io::Cursor;

/// A classic file in little-endian order with these records: seconds, microseconds, captured, length on the wire.
pub(in crate::source::pcap) fn classic(records: &[(u32, u32, &[u8], u32)]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 2 | 4 << 16, 0, 0, 65_535, 1] {
        file.extend(word.to_le_bytes());
    }
    for (seconds, micros, captured, length) in records {
        for word in [*seconds, *micros, u32::try_from(captured.len()).unwrap(), *length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(*captured);
    }
    file
}

/// A pcapng block, little-endian.
pub(in crate::source::pcap) fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(4), 0);
    let length = u32::try_from(body.len() + 12).unwrap().to_le_bytes();
    [&kind.to_le_bytes()[..], &length, &body, &length].concat()
}

pub(in crate::source::pcap) fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

pub(in crate::source::pcap) fn section() -> Vec<u8> {
    block(0x0a0d_0d0a, &words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]))
}

/// Ethernet, with a name and a resolution of nanoseconds.
pub(in crate::source::pcap) fn interface(name: &str) -> Vec<u8> {
    interface_of(1, name, 0)
}

/// Of any link type, with a name, a resolution of nanoseconds and seconds to add to every time.
pub(in crate::source::pcap) fn interface_of(link: u16, name: &str, offset: i64) -> Vec<u8> {
    let mut body = words(&[link.into(), 0]);
    body.extend(words(&[2 | u32::try_from(name.len()).unwrap() << 16]));
    body.extend(name.as_bytes());
    body.resize(body.len().next_multiple_of(4), 0);
    if offset != 0 {
        body.extend(words(&[14 + (8 << 16)]));
        body.extend(offset.to_le_bytes());
    }
    body.extend(words(&[9 | 1 << 16, 9, 0]));
    block(1, &body)
}

pub(in crate::source::pcap) fn packet(interface: u32, at: u64, bytes: &[u8], length: u32) -> Vec<u8> {
    let [low, high] = [at & 0xffff_ffff, at >> 32].map(|half| u32::try_from(half).unwrap());
    let mut body = words(&[interface, high, low, u32::try_from(bytes.len()).unwrap(), length]);
    body.extend(bytes);
    block(6, &body)
}

/// Time, interface, length and bytes of each record, and how it ended.
type Told = (Vec<(u64, usize, usize, Vec<u8>)>, Option<(u64, String)>);

fn read(file: &[u8]) -> Told {
    let mut reader = match Reader::open(Box::new(Cursor::new(file.to_vec()))) {
        Ok(reader) => reader,
        Err(fault) => return (Vec::new(), Some((fault.offset, fault.what))),
    };
    let mut records = Vec::new();
    loop {
        match reader.read() {
            Ok(Some(record)) => {
                let bytes = reader.bytes(&record).to_vec();
                records.push((record.at, record.interface, record.length, bytes));
            }
            Ok(None) => return (records, None),
            Err(fault) => return (records, Some((fault.offset, fault.what))),
        }
    }
}

#[test]
fn classic_files_in_both_orders_and_resolutions() {
    let file = classic(&[(5, 7, b"abc", 60), (6, 0, b"", 0)]);
    let expected = vec![(5_000_007_000, 0, 60, b"abc".to_vec()), (6_000_000_000, 0, 0, Vec::new())];
    assert_eq!(read(&file), (expected, None));
    let mut swapped = file.clone();
    let (head, rest) = swapped.split_at_mut(24);
    for word in [0..4, 16..20, 20..24] {
        head[word].reverse();
    }
    head[4..6].reverse();
    for word in [0..4, 4..8, 8..12, 12..16, 19..23, 23..27, 27..31, 31..35] {
        rest[word].reverse();
    }
    assert_eq!(read(&swapped), read(&file));
    let mut nanoseconds = file;
    nanoseconds[..4].copy_from_slice(&0xa1b2_3c4d_u32.to_le_bytes());
    assert_eq!(read(&nanoseconds).0[0].0, 5_000_000_007);
}

#[test]
fn a_file_without_packets() {
    assert_eq!(read(&classic(&[])), (Vec::new(), None));
    assert_eq!(read(&section()), (Vec::new(), None));
}

#[test]
fn pcapng_with_sections_interfaces_and_blocks_of_no_interest() {
    let file = [
        section(),
        interface("eth0"),
        block(5, &[0; 20]),
        interface("wlan0"),
        packet(1, 1 << 33, b"abcde", 100),
        block(3, &[&words(&[4])[..], b"wxyz"].concat()),
        block(0xbad, &[0; 400]),
        section(),
        interface("lo"),
        packet(0, 9, b"q", 1),
    ]
    .concat();
    let expected = vec![
        (1 << 33, 1, 100, b"abcde".to_vec()),
        (1 << 33, 0, 4, b"wxyz".to_vec()),
        (9, 2, 1, b"q".to_vec()),
    ];
    assert_eq!(read(&file), (expected, None));
    let mut reader = Reader::open(Box::new(Cursor::new(file))).unwrap();
    while reader.read().unwrap().is_some() {}
    let names: Vec<&str> = reader.interfaces().iter().map(|interface| &*interface.name).collect();
    assert_eq!(names, ["eth0", "wlan0", "lo"]);
}

#[test]
fn faults_have_their_offset_and_what_was_before_is_told() {
    let whole = classic(&[(1, 0, b"abcd", 4), (2, 0, b"efgh", 4)]);
    let (records, fault) = read(&whole[..whole.len() - 1]);
    assert_eq!((records.len(), fault.unwrap().0), (1, 44), "cut in a packet");
    let (records, fault) = read(&whole[..50]);
    assert_eq!((records.len(), fault.unwrap().0), (1, 44), "cut in a header");
    let mut huge = whole.clone();
    huge[24 + 8..24 + 12].copy_from_slice(&u32::MAX.to_le_bytes());
    let (records, fault) = read(&huge);
    let (offset, what) = fault.unwrap();
    assert_eq!((records.len(), offset), (0, 24));
    assert!(what.contains("4294967295"), "{what}");
    assert_eq!(read(b""), (Vec::new(), Some((0, "it is empty".to_owned()))));
    assert_eq!(read(b"\x7fELF and more").1.unwrap(), (0, "it is neither pcap nor pcapng".to_owned()));
    assert_eq!(read(&whole[..10]).1.unwrap().0, 0);

    let start = [section(), interface("eth0"), packet(0, 1, b"abcd", 4)].concat();
    let at = start.len() as u64;
    let mut unequal = block(6, &[0; 20]);
    *unequal.last_mut().unwrap() = 1;
    for (bad, says) in [
        (block(6, &[0; 8]), "too short"),
        (packet(3, 1, b"", 0), "interface 3"),
        (words(&[6, 0]), "a block of 0 bytes"),
        (words(&[6, 33]), "a block of 33 bytes"),
        (words(&[6, 0xffff_fffc]), "a block of 4294967292 bytes"),
        (unequal, "ends with"),
        (block(6, &words(&[0, 0, 0, 500, 500])), "500 captured bytes"),
        (vec![6, 0], "ends in the middle"),
    ] {
        let (records, fault) = read(&[&start[..], &bad].concat());
        let (offset, what) = fault.unwrap_or_else(|| panic!("no fault: {says}"));
        assert_eq!((records.len(), offset), (1, at), "{says}: {what}");
        assert!(what.contains(says), "{what}");
    }
}

#[test]
fn times_of_any_resolution() {
    let with = |resolution: u8| {
        let mut file = [section(), interface("x")].concat();
        // The value of if_tsresol: after the option's four bytes, before the end of options and the second length.
        let at = file.len() - 12;
        file[at] = resolution;
        file.extend(packet(0, 3_000_000, b"", 0));
        read(&file).0[0].0
    };
    assert_eq!(with(6), 3_000_000_000);
    assert_eq!(with(9), 3_000_000);
    assert_eq!(with(3), 3_000_000_000_000);
    assert_eq!(with(12), 3_000);
    assert_eq!(with(0x80 | 0x14), 2_861_022_949);
    for strange in [0, 29, 127, 0x80, 0xff] {
        with(strange);
    }
}

#[test]
fn a_time_that_is_no_date_is_a_fault_with_its_offset() {
    let told = |offset: i64, at: u64| {
        let start = [section(), interface_of(1, "x", offset)].concat();
        let (records, fault) = read(&[&start[..], &packet(0, at, b"", 0)].concat());
        let what = fault.map(|(offset, what)| {
            assert_eq!(offset, start.len() as u64, "{what}");
            what
        });
        (records.first().map(|record| record.0), what)
    };
    let second: u64 = 1_000_000_000;
    let latest = i64::MAX.unsigned_abs();
    let refused = (None, Some("a packet that was captured before 1970 or after 2262".to_owned()));
    assert_eq!(told(0, latest), (Some(latest), None));
    assert_eq!(told(0, latest + 1), refused);
    assert_eq!(told(0, u64::MAX), refused);
    assert_eq!(told(1 << 62, 7), refused);
    assert_eq!(told(i64::MAX, 7), refused);
    assert_eq!(told(-2, 5 * second), (Some(3 * second), None), "the offset has a sign");
    assert_eq!(told(-6, 5 * second), refused);
    assert_eq!(told(i64::MIN, u64::MAX), refused);
}

proptest! {
    #[test]
    fn no_bytes_make_it_fail(start in 0_usize..3, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let starts = [Vec::new(), classic(&[]), [section(), interface("eth0")].concat()];
        let (records, _) = read(&[&starts[start][..], &bytes].concat());
        prop_assert!(records.len() <= bytes.len());
    }
}
