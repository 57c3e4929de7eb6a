//! Any bytes as a capture file: packets until the end or the first fault, whose offset is in the file; no panic, no end
//! that never comes, and no more memory than the bounds say.

#![no_main]

use libfuzzer_sys::fuzz_target;
use monitor::source::pcap::dissect::dissect;
use monitor::source::pcap::file::Reader;
use std::io::Cursor;

fuzz_target!(|bytes: &[u8]| {
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
            Ok(Some(record)) => {
                let interface = &reader.interfaces()[record.interface];
                dissect(interface.link, reader.bytes(&record), record.length, None);
            }
        }
    }
    panic!("more records than bytes");
});
