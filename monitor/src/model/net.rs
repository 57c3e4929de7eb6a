//! A network, as `-F` and `-G` name one.

use std::fmt;
use std::net::IpAddr;

/// A network: an address and the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net {
    /// An address in it.
    pub addr: IpAddr,
    /// Bits of the prefix.
    pub prefix: u8,
}

impl Net {
    /// Whether the address is in it.
    pub fn contains(&self, addr: IpAddr) -> bool {
        match (self.addr, addr) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                (u32::from(own) ^ u32::from(other)) & mask == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                (u128::from(own) ^ u128::from(other)) & mask == 0
            }
            _ => false,
        }
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_of_any_length() {
        let net = |addr: &str, prefix| Net { addr: addr.parse().unwrap(), prefix };
        let v4 = |addr: &str| addr.parse::<IpAddr>().unwrap();
        assert!(
            net("10.1.2.3", 8).contains(v4("10.255.0.1")) && !net("10.1.2.3", 8).contains(v4("11.0.0.1"))
        );
        assert!(net("0.0.0.0", 0).contains(v4("203.0.113.9")) && !net("0.0.0.0", 0).contains(v4("::1")));
        assert!(
            net("10.0.0.1", 32).contains(v4("10.0.0.1")) && !net("10.0.0.1", 32).contains(v4("10.0.0.2"))
        );
        assert!(net("fd00::", 7).contains(v4("fc00::1")) && net("::", 0).contains(v4("2001:db8::1")));
        assert!(!net("fe80::1", 128).contains(v4("fe80::2")));
    }
}
