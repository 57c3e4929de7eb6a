//! Amounts as people write them in options, settings and filters: a number, a prefix, a unit. One grammar for all.
//!
//! Integers only, as in `number`, which writes amounts. Which of them an option takes is the option's to say.

/// What an amount is of, which decides what a number without a unit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Bits a second; `/s` may stand at the end.
    BitRate,
    /// Bytes.
    Bytes,
}

/// What is wrong with an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AmountError {
    /// It is none.
    Malformed,
    /// 64 bits do not hold it.
    TooLarge,
}

/// The bits a second or bytes of `1M`, `2.5GB`, `800kb/s`, `64Ki`: `k` `M` `G` `T` of either case are steps of 1000, with an `i`
/// behind them of 1024; `b` is bits, `B` bytes. What is less than one is left out.
///
/// # Errors
/// Where it is no amount, or too large.
pub(crate) fn amount(text: &str, measure: Measure) -> Result<u64, AmountError> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || whole.len() + part.len() > 20 || part.contains('.') {
        return Err(AmountError::Malformed);
    }
    let mantissa: u128 = format!("{whole}{part}").parse().map_err(|_| AmountError::Malformed)?;
    let unit = match measure {
        Measure::BitRate => unit.strip_suffix("/s").unwrap_or(unit),
        Measure::Bytes => unit,
    };
    let (prefix, in_bytes) = match unit.strip_suffix(['b', 'B']) {
        Some(prefix) => (prefix, unit.ends_with('B')),
        None => (unit, measure == Measure::Bytes),
    };
    let (times, over) = match (measure, in_bytes) {
        (Measure::BitRate, true) => (8, 1),
        (Measure::Bytes, false) => (1, 8),
        (Measure::BitRate, false) | (Measure::Bytes, true) => (1, 1),
    };
    let part = u32::try_from(part.len()).unwrap_or(u32::MAX);
    // At most 10^20 * 1024^4 * 8, which 128 bits hold.
    let scaled = mantissa * step(prefix).ok_or(AmountError::Malformed)? * times / (10_u128.pow(part) * over);
    u64::try_from(scaled).map_err(|_| AmountError::TooLarge)
}

/// What a prefix multiplies by.
fn step(prefix: &str) -> Option<u128> {
    let (letter, base) = prefix.strip_suffix('i').map_or((prefix, 1000_u128), |letter| (letter, 1024));
    let power = match letter {
        "" if base == 1000 => 0,
        "k" | "K" => 1,
        "m" | "M" => 2,
        "g" | "G" => 3,
        "t" | "T" => 4,
        _ => return None,
    };
    Some(base.pow(power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_and_unit() {
        for (text, bits) in [
            ("1", 1),
            ("10k", 10_000),
            ("10K", 10_000),
            ("1ki", 1024),
            ("1Ki", 1024),
            ("100Mb/s", 100_000_000),
            ("2.5G", 2_500_000_000),
            ("1T", 1_000_000_000_000),
            ("1Ti", 1 << 40),
            ("5kB/s", 40_000),
            ("1.5KiB", 12_288),
        ] {
            assert_eq!(amount(text, Measure::BitRate), Ok(bits), "{text}");
        }
        for (text, bytes) in [("64", 64), ("64M", 64_000_000), ("64MiB", 64 << 20), ("8kb", 1000)] {
            assert_eq!(amount(text, Measure::Bytes), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount() {
        for text in ["", "k", "i", "1i", "-1", "+1", "1e3", ".5", "1.2.3", "nan", "1b/sB/s", "1 k", "1P"] {
            assert_eq!(amount(text, Measure::BitRate), Err(AmountError::Malformed), "{text}");
        }
        assert_eq!(amount("1B/s", Measure::Bytes), Err(AmountError::Malformed));
        assert_eq!(amount("99999999999G", Measure::Bytes), Err(AmountError::TooLarge));
    }
}
