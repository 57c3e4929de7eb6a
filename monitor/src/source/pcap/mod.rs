//! Packets captured in userspace, live by libpcap or out of a file: what is left where the kernel cannot count.
//!
//! Every packet is dissected and added to a table by the thread that captured it; a poll takes the table. Files are read
//! without libpcap. Whose the bytes are is found out elsewhere (`attribution`): a captured packet does not say.

mod cancel;
#[cfg(any(feature = "pcap", not(target_os = "linux")))]
mod device;
pub(crate) mod dissect;
pub(crate) mod file;
#[cfg(any(feature = "pcap", not(target_os = "linux")))]
pub(crate) mod filter;
#[cfg(any(feature = "pcap", not(target_os = "linux")))]
pub(crate) mod live;
pub(crate) mod recording;
mod sides;
mod tally;
