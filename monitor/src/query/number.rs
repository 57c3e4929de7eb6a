//! Numbers as people read them: at most three significant digits, decimal steps, the unit glued on.
//!
//! Integers in, exact rounding, no float: a number on the screen never differs from the machine output by more than
//! half of its last digit. Padding is the caller's.

use std::time::Duration;

/// Widest rate, in columns: `1.23Mb/s`.
pub const RATE_WIDTH: u16 = 8;
/// Widest byte total, in columns: `1.64GB`.
pub const TOTAL_WIDTH: u16 = 6;
/// Widest count, in columns: `1.23k`.
pub const COUNT_WIDTH: u16 = 5;

/// A rate given in bits/s: `212Mb/s`.
pub fn rate(bits_per_second: u64) -> String {
    scaled(bits_per_second, "b/s")
}

/// A number of bytes: `1.64GB`.
pub fn bytes(bytes: u64) -> String {
    scaled(bytes, "B")
}

/// A number of things: `48`, `1.23k`.
pub fn count(count: u64) -> String {
    scaled(count, "")
}

/// A length of time: `00:12:31`, `3d 00:12:31`.
pub fn clock(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let day = if days > 0 { format!("{days}d ") } else { String::new() };
    format!("{day}{hours:02}:{minutes:02}:{:02}", seconds % 60)
}

fn scaled(value: u64, unit: &str) -> String {
    if value < 1000 {
        return format!("{value}{unit}");
    }
    let mut step: u128 = 1;
    for prefix in ["k", "M", "G", "T", "P", "E"] {
        step *= 1000;
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
