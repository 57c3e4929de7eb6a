//! Numbers as people read them: at most three significant digits, the unit glued on.
//!
//! Integers in, exact rounding, no float: a number on the screen never differs from the machine output by more than
//! half of its last digit. Padding is the caller's.

use std::time::Duration;

/// Widest count, in columns: `1.23k`.
pub(crate) const COUNT_WIDTH: u16 = 5;

/// In what rates and totals are shown. Totals are bytes always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Units {
    /// Bits in steps of 1000: `212Mb/s`, totals `1.64GB`.
    #[default]
    SiBits,
    /// Bytes in steps of 1000: `26.5MB/s`.
    SiBytes,
    /// Bits in steps of 1024: `202Mib/s`, totals `1.53GiB`.
    BinBits,
    /// Bytes in steps of 1024: `25.3MiB/s`.
    BinBytes,
}

impl Units {
    /// All, in the order in which a key goes through them.
    pub(crate) const ALL: [Self; 4] = [Self::SiBits, Self::SiBytes, Self::BinBits, Self::BinBytes];

    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SiBits => "si-bits",
            Self::SiBytes => "si-bytes",
            Self::BinBits => "bin-bits",
            Self::BinBytes => "bin-bytes",
        }
    }

    fn is_binary(self) -> bool {
        matches!(self, Self::BinBits | Self::BinBytes)
    }

    /// A rate given in bits/s.
    pub(crate) fn rate(self, bits_per_second: u64) -> String {
        match self {
            Self::SiBits | Self::BinBits => scaled(bits_per_second, self.is_binary(), "b/s"),
            Self::SiBytes | Self::BinBytes => {
                let bytes = bits_per_second / 8 + u64::from(bits_per_second % 8 >= 4);
                scaled(bytes, self.is_binary(), "B/s")
            }
        }
    }

    /// A number of bytes.
    pub(crate) fn bytes(self, bytes: u64) -> String {
        scaled(bytes, self.is_binary(), "B")
    }

    /// Widest rate, in columns: `1.23Mb/s` or `1.23MiB/s`.
    pub(crate) fn rate_width(self) -> u16 {
        8 + u16::from(self.is_binary())
    }

    /// Widest byte total, in columns: `1.64GB` or `1.64GiB`.
    pub(crate) fn total_width(self) -> u16 {
        6 + u16::from(self.is_binary())
    }
}

/// A number of things: `48`, `1.23k`.
pub(crate) fn count(count: u64) -> String {
    scaled(count, false, "")
}

/// A length of time: `00:12:31`, `3d 00:12:31`.
pub(crate) fn clock(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let day = if days > 0 { format!("{days}d ") } else { String::new() };
    format!("{day}{hours:02}:{minutes:02}:{:02}", seconds % 60)
}

/// A short time: `850us`, `12.3ms`, `2.10s`.
pub(crate) fn latency(time: Duration) -> String {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let (step, unit) = match micros {
        0..1000 => return format!("{micros}us"),
        1000..1_000_000 => (1000, "ms"),
        _ => (1_000_000, "s"),
    };
    for (decimals, factor) in [(2, 100), (1, 10)] {
        let digits = (u128::from(micros) * factor + step / 2) / step;
        if digits < 1000 {
            return format!("{}.{:0decimals$}{unit}", digits / factor, digits % factor);
        }
    }
    format!("{}{unit}", (u128::from(micros) + step / 2) / step)
}

fn scaled(value: u64, binary: bool, unit: &str) -> String {
    if value < 1000 {
        return format!("{value}{unit}");
    }
    let (base, prefixes) = if binary {
        (1024, ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"])
    } else {
        (1000, ["k", "M", "G", "T", "P", "E"])
    };
    let mut step: u128 = 1;
    for prefix in prefixes {
        step *= base;
        // The number of decimals is chosen after rounding, or 999,950 would become 1000k.
        for (decimals, factor) in [(2, 100), (1, 10), (0, 1)] {
            let digits = (u128::from(value) * factor + step / 2) / step;
            if digits < 1000 {
                let (whole, rest) = (digits / factor, digits % factor);
                return match decimals {
                    0 => format!("{whole}{prefix}{unit}"),
                    _ => format!("{whole}.{rest:0decimals$}{prefix}{unit}"),
                };
            }
        }
    }
    // Not reached: u64::MAX is 18.4 E.
    format!("{value}{unit}")
}
