//! How many captured packets a second one core takes in, from the file to the batch, and what of that is the dissector and
//! what the library below it: `cargo bench -p monitor --bench dissect`. docs/performance-notes.md has the figures.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use etherparse::SlicedPacket;
use monitor::bench::Batch;
use monitor::bench::{FileRecording, Options};
use monitor::bench::{LinkType, dissect};
use monitor::bench::{Recording, Step};
use std::io::Write;
use std::time::Duration;
use tempfile::NamedTempFile;

/// Bytes of each frame: the least that Ethernet carries, its checksum included.
const FRAME: usize = 64;
/// Ports that send, each a flow.
const FLOWS: u16 = 1_000;
/// Packets of the file; 20 s at 50,000 a second.
const PACKETS: u32 = 1_000_000;

fn main() {
    divan::main();
}

/// A datagram over IPv4 over Ethernet, as long as it has to be.
fn frame(port: u16) -> [u8; FRAME] {
    let mut frame = [0_u8; FRAME];
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
    frame[14..34].copy_from_slice(&[69, 0, 0, 50, 0, 0, 64, 0, 64, 17, 0, 0, 10, 0, 0, 1, 192, 0, 2, 1]);
    frame[34..36].copy_from_slice(&port.to_be_bytes());
    frame[36..40].copy_from_slice(&[0, 53, 0, 30]);
    frame
}

fn frames() -> Vec<[u8; FRAME]> {
    (0..FLOWS).map(|flow| frame(10_000 + flow)).collect()
}

fn file() -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file");
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4_u32, 2 | 4 << 16, 0, 0, 65_535, 1] {
        bytes.extend(word.to_le_bytes());
    }
    let frames = frames();
    for (number, frame) in (0..PACKETS).zip(frames.iter().cycle()) {
        for word in [number / 50_000, number % 50_000 * 20, 64, 64] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(frame);
    }
    file.write_all(&bytes).expect("write it");
    file
}

/// The baseline: etherparse alone, over frames in memory.
#[divan::bench]
fn etherparse_alone(bencher: Bencher<'_, '_>) {
    let frames = frames();
    bencher.counter(ItemsCount::new(frames.len())).bench_local(|| {
        for frame in &frames {
            let _ = black_box(SlicedPacket::from_ethernet(black_box(frame)));
        }
    });
}

/// The dissector, over the same.
#[divan::bench]
fn dissector(bencher: Bencher<'_, '_>) {
    let frames = frames();
    bencher.counter(ItemsCount::new(frames.len())).bench_local(|| {
        for frame in &frames {
            black_box(dissect(LinkType::Ethernet, black_box(frame), FRAME, None));
        }
    });
}

/// All of it: the file is read, dissected and added up, and every second of the capture becomes a batch.
#[divan::bench(sample_count = 20)]
fn file_to_batches(bencher: Bencher<'_, '_>) {
    let file = file();
    let options = Options { path: file.path().to_owned(), capacity: 65_536, nets: Vec::new() };
    bencher.counter(ItemsCount::new(PACKETS)).bench_local(|| {
        let mut recording = FileRecording::open(&options, None).expect("open the file");
        loop {
            let mut batch = Batch::default();
            let step = recording.step(Duration::from_secs(1), &mut batch).expect("a whole file");
            black_box(batch);
            if matches!(step, Step::Ended) {
                break;
            }
        }
    });
}
