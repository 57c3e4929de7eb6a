//! Any bytes as a capture file, from opening it to its end: packets until the end or the first fault, whose offset is in
//! the file; interval after interval, of which of any two in a row one has a packet; no panic, no end that never comes, and
//! no more memory than the bounds say. The last eight bytes are the interval.

#![no_main]

use libfuzzer_sys::fuzz_target;
use monitor::bench::Batch;
use monitor::bench::Reader;
use monitor::bench::{FileRecording, Options};
use monitor::bench::{Recording, Step};
use std::io::Cursor;
use std::time::Duration;

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    tell(bytes);
});

/// Packet by packet.
fn read(bytes: &[u8]) {
    let length = bytes.len() as u64;
    let mut reader = match Reader::open(Box::new(Cursor::new(bytes.to_vec()))) {
        Ok(reader) => reader,
        Err(fault) => return assert!(fault.offset <= length, "{fault}"),
    };
    // Every record takes at least a header of the file.
    for _ in 0..=bytes.len() {
        match reader.read() {
            Ok(None) => return,
            Err(fault) => return assert!(fault.offset <= length, "{fault}"),
            Ok(Some(record)) => assert!(i64::try_from(record.at).is_ok(), "{record:?}"),
        }
    }
    panic!("more records than bytes");
}

/// Interval by interval, as the engine does.
fn tell(bytes: &[u8]) {
    let options = Options { path: "fuzz".into(), capacity: 64, nets: Vec::new() };
    let Ok(mut recording) = FileRecording::of(Box::new(Cursor::new(bytes.to_vec())), &options, None) else {
        return;
    };
    let interval = bytes.last_chunk().map_or(1, |last| u64::from_le_bytes(*last));
    for _ in 0..=2 * bytes.len() {
        let mut batch = Batch::default();
        let step = recording.step(Duration::from_nanos(interval), &mut batch);
        assert!(batch.from <= batch.to, "{:?} {:?}", batch.from, batch.to);
        if !matches!(step, Ok(Step::More)) {
            return;
        }
    }
    panic!("more intervals than there can be");
}
