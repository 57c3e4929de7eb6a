//! What the running kernel does otherwise than a new one, as far as the tests compute with it; docs/kernels.md tells it
//! to people.

use crate::{
    counters::Counters,
    netns::DeviceCounters,
    veth::{ETHERNET, Version},
};
use rustix::system::uname;

/// Bytes of IP of a SYN-ACK over IPv6 with the options that Linux sends.
const SYN_ACK: u64 = 80;

/// Whether the kernel is older than this.
///
/// # Panics
/// When its version has no two numbers.
pub fn older_than(major: u32, minor: u32) -> bool {
    let release = uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let (Some(own_major), Some(own_minor)) = (numbers.next(), numbers.next()) else {
        panic!("what version is {release}?");
    };
    (own_major, own_minor) < (major, minor)
}

/// SYN-ACKs that the egress hook does not show for one accepted connection: below 6.6 it wants the packet to be of the
/// socket that sends it, and over IPv6 that packet is the request's.
pub fn unseen_syn_acks(version: Version) -> u64 {
    u64::from(version == Version::V6 && older_than(6, 6))
}

/// What an accepting end sent, with the SYN-ACK that no hook has seen.
#[must_use]
pub fn with_syn_ack(seen: Counters, version: Version) -> Counters {
    let unseen = unseen_syn_acks(version);
    Counters { tx_bytes: seen.tx_bytes + unseen * SYN_ACK, tx_packets: seen.tx_packets + unseen, ..seen }
}

/// What the device of an accepting end counted, without the SYN-ACK that no hook has seen.
#[must_use]
pub fn without_syn_ack(device: DeviceCounters, version: Version) -> DeviceCounters {
    let unseen = unseen_syn_acks(version);
    DeviceCounters {
        tx_bytes: device.tx_bytes - unseen * (SYN_ACK + ETHERNET),
        tx_packets: device.tx_packets - unseen,
        ..device
    }
}
