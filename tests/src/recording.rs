//! Files of packets, and a pipe that brings one and then goes quiet.

use crate::{frames::udp_packet, program};
use std::{
    fs::{self, File},
    io::Write,
    path::PathBuf,
    process::Command,
};
use tempfile::TempDir;

/// A pcap file of `count` datagrams of 128 bytes of IP, one every 100 ms, from 10.0.0.1 to 192.0.2.1.
///
/// # Panics
/// Never: the packets are short.
pub fn recorded(count: u32) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 2 | 4 << 16, 0, 0, 65_535, 101] {
        file.extend(word.to_le_bytes());
    }
    let packet = udp_packet(([10, 0, 0, 1].into(), 5000), ([192, 0, 2, 1].into(), 53), 100);
    let length = u32::try_from(packet.len()).expect("a short packet");
    for number in 0..count {
        for word in [1_700_000_000 + number / 10, number % 10 * 100_000, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(&packet);
    }
    file
}

/// A pcapng file: one interface of raw IP and a resolution of nanoseconds, and packets of these times and bytes.
///
/// # Panics
/// Where a packet is longer than a file can say.
pub fn next_generation(packets: &[(u64, &[u8])]) -> Vec<u8> {
    with_interfaces(1, packets)
}

/// The same with so many interfaces; packets are of the first.
///
/// # Panics
/// Where a packet is longer than a file can say.
pub fn with_interfaces(count: usize, packets: &[(u64, &[u8])]) -> Vec<u8> {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let block = |kind: u32, mut body: Vec<u8>| {
        body.resize(body.len().next_multiple_of(4), 0);
        let length = u32::try_from(body.len() + 12).expect("a short block").to_le_bytes();
        [&kind.to_le_bytes()[..], &length, &body, &length].concat()
    };
    let mut file = block(0x0a0d_0d0a, words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]));
    // Link type, snaplen, if_tsresol, the end of options.
    file.extend(block(1, words(&[101, 0, 9 | 1 << 16, 9, 0])).repeat(count));
    for (at, bytes) in packets {
        let [low, high] = [at & 0xffff_ffff, at >> 32].map(|half| u32::try_from(half).expect("a half"));
        let length = u32::try_from(bytes.len()).expect("a short packet");
        file.extend(block(6, [words(&[0, high, low, length, length]), bytes.to_vec()].concat()));
    }
    file
}

/// A named pipe with a writer who has more to say and does not say it.
#[derive(Debug)]
pub struct QuietPipe {
    directory: TempDir,
    /// As long as it is open, a reader waits.
    writer: File,
}

impl QuietPipe {
    /// Has these bytes in it, as many as a pipe holds at most.
    ///
    /// # Panics
    /// Where it cannot be made.
    pub fn with(bytes: &[u8]) -> Self {
        let directory = tempfile::tempdir().expect("a directory for the pipe");
        let path = directory.path().join("pipe");
        let mut mkfifo = Command::new("mkfifo");
        mkfifo.arg(&path);
        program::output(mkfifo);
        // For reading, too: then opening does not wait for a reader.
        let mut writer = fs::File::options().read(true).write(true).open(&path).expect("open the pipe");
        assert!(bytes.len() <= 65_536, "nobody reads yet");
        writer.write_all(bytes).expect("write into the pipe");
        Self { directory, writer }
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("pipe")
    }

    /// Says more.
    ///
    /// # Panics
    /// Where the pipe is broken.
    pub fn say(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).expect("write into the pipe");
    }

    /// `monitor` that reads from it, as a file or as standard input, with more arguments; not started yet.
    pub fn read(&self, as_input: bool, more: &[&str]) -> Vec<String> {
        let [program, path] = [program::monitor(), self.path()].map(|path| path.display().to_string());
        let mut words = vec![program, "--read".to_owned()];
        if as_input {
            let script = "pipe=$1; shift; exec \"$@\" <\"$pipe\"";
            words = [&["sh", "-c", script, "sh", &path].map(str::to_owned)[..], &words].concat();
        }
        words.push(if as_input { "-".to_owned() } else { path });
        words.extend(more.iter().map(|&word| word.to_owned()));
        words
    }
}
