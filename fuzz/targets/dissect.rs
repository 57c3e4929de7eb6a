//! Any bytes as a packet of any link type: it is understood or malformed, it is counted with its length, and nothing
//! panics. Two bytes choose the link type, one says whether the device has an address and how much was cut off, the rest
//! is the packet.

#![no_main]

use libfuzzer_sys::fuzz_target;
use monitor::bench::Protocol;
use monitor::bench::{LinkType, dissect};

fuzz_target!(|bytes: &[u8]| {
    let [high, low, how, packet @ ..] = bytes else { return };
    let link = LinkType::from_number(u32::from(u16::from_be_bytes([*high, *low])));
    let own = (how & 1 == 1).then_some([2, 0, 0, 0, 0, 1]);
    // What a capture cut off; an odd one claims less than there is.
    let length = if how & 2 == 2 { packet.len() / 2 } else { packet.len() + usize::from(how >> 2) };
    let understood = dissect(link, packet, length, own);
    let most = packet.len().max(length) as u64;
    assert!(understood.bytes <= most, "more than was there: {understood:?}");
    assert!(length >= packet.len() || understood.malformed, "a lie that was believed: {understood:?}");
    if let Protocol::Link(_) = understood.protocol {
        assert_eq!((understood.source.port, understood.destination.port), (None, None));
    }
    assert_eq!(understood, dissect(link, packet, length, own), "the same bytes are the same packet");
});
