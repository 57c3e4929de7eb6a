//! The ledger in words and numbers: where every byte went, to the byte. Of everything, and of one interface.

use super::Ctx;
use super::page::Text;
use crate::model::{InterfaceLedger, InterfaceSide, LedgerSide, TapSide};

/// The whole ledger, under a heading.
pub(super) fn all(text: &mut Text<'_>, room: usize, ctx: &Ctx<'_>) {
    let ledger = &ctx.snapshot.ledger;
    text.heading("Ledger, bytes since start");
    for (name, side) in [("rx", &ledger.rx), ("tx", &ledger.tx)] {
        sum(text, (name, room), ("counted", side.counted.into()), &parts(side), ctx);
    }
    for interface in &ledger.interfaces {
        one(text, interface, room, ctx);
    }
}

/// The lines of one interface, received and sent; they begin with its name.
pub(super) fn one(text: &mut Text<'_>, interface: &InterfaceLedger, room: usize, ctx: &Ctx<'_>) {
    let name = match &*interface.name {
        "" => format!("if{}", interface.ifindex),
        name => ctx.glyphs.escape(name).into_owned(),
    };
    for (direction, side) in [("rx", &interface.rx), ("tx", &interface.tx)] {
        let label = format!("{name} {direction}");
        let (whole, value) = match side.device {
            Some(device) => ("device", device.into()),
            None => ("at sockets", total(&terms(side))),
        };
        sum(text, (&label, room), (whole, value), &terms(side), ctx);
    }
}

type Terms = Vec<(&'static str, i128)>;

fn total(terms: &Terms) -> i128 {
    terms.iter().map(|(_, value)| value).sum()
}

/// ` eth0 rx    device 4,812,331,020 = attributed 4,811,902,116 + kernel 88,120 + …`. Parts of nothing are left out, but
/// for what remains unexplained: that it is nothing is worth a word.
fn sum(
    text: &mut Text<'_>,
    (label, room): (&str, usize),
    (whole, value): (&str, i128),
    terms: &Terms,
    ctx: &Ctx<'_>,
) {
    let theme = ctx.theme;
    let mut words = vec![(format!("{whole} "), theme.dim), (signed(value), theme.strong)];
    let shown = terms.iter().filter(|(name, value)| *value != 0 || *name == "unexplained");
    for (place, (name, value)) in shown.enumerate() {
        let sign = match (place, *value < 0) {
            (0, false) => " = ",
            (0, true) => " = -",
            (_, false) => " + ",
            (_, true) => " - ",
        };
        let odd = *value != 0 && ["unexplained", "unknown", "ambiguous"].contains(name);
        let style = if odd { theme.warning } else { theme.plain };
        words.push((sign.to_owned(), theme.dim));
        // A name and its number stay on one line.
        words.push((format!("{}\u{a0}{}", name.replace(' ', "\u{a0}"), signed(value.abs())), style));
    }
    let words: Vec<(&str, _)> = words.iter().map(|(word, style)| (&**word, *style)).collect();
    text.entry(label, room, &words);
}

fn parts(side: &LedgerSide) -> Terms {
    vec![
        ("attributed", side.attributed.into()),
        ("kernel", side.kernel.into()),
        ("forwarded", side.forwarded.unwrap_or(0).into()),
        ("pending", side.pending.into()),
        ("ambiguous", side.ambiguous.into()),
        ("unknown", side.unknown.into()),
    ]
}

fn terms(side: &InterfaceSide) -> Terms {
    let mut terms: Terms = vec![
        ("attributed", side.attributed.into()),
        ("kernel", side.kernel.into()),
        ("pending", side.pending.into()),
        ("ambiguous", side.ambiguous.into()),
        ("unknown", side.unknown.into()),
    ];
    if let Some(tap) = &side.tap {
        terms.extend(tap_terms(tap));
    }
    if let Some(rest) = side.not_at_sockets {
        terms.push(("not at sockets", rest.into()));
    }
    if let Some(remainder) = side.remainder {
        terms.push(("unexplained", remainder.into()));
    }
    terms
}

fn tap_terms(tap: &TapSide) -> Terms {
    vec![
        ("forwarded", tap.forwarded.into()),
        ("no socket", tap.socketless.into()),
        ("tunnels", tap.encapsulation.into()),
        ("arp/l2", tap.link.into()),
        ("other hosts", tap.other_hosts.into()),
        ("overflow", tap.overflow.into()),
        ("at its bridge", tap.stacked.into()),
        ("fragment headers", tap.fragment_headers.into()),
        ("extra copies", -i128::from(tap.extra_copies)),
        ("dropped", -i128::from(tap.dropped)),
        ("on its way", tap.in_flight.into()),
        ("framing", tap.framing.into()),
    ]
}

/// `4,812,331,020`
pub(super) fn grouped(value: u64) -> String {
    signed(value.into())
}

fn signed(value: i128) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::from(if value < 0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_and_grouped() {
        let all = [0, 999, 1000, 4_812_331_020].map(grouped);
        assert_eq!(all, ["0", "999", "1,000", "4,812,331,020"]);
        assert_eq!(signed(-1_234_567), "-1,234,567");
    }

    #[test]
    fn the_terms_of_an_interface_add_up_to_its_device() {
        let tap = TapSide {
            forwarded: 1,
            socketless: 2,
            encapsulation: 4,
            link: 8,
            other_hosts: 16,
            overflow: 32,
            fragment_headers: 64,
            extra_copies: 128,
            dropped: 256,
            stacked: 512,
            in_flight: -1024,
            framing: 2048,
        };
        let side = InterfaceSide {
            device: Some(1_000_000),
            attributed: 4096,
            kernel: 8192,
            pending: 1 << 14,
            ambiguous: 1 << 15,
            unknown: 1 << 16,
            ..InterfaceSide::default()
        };
        assert_eq!(total(&terms(&side.closed())), 1_000_000);
        assert_eq!(total(&terms(&InterfaceSide { tap: Some(tap), ..side }.closed())), 1_000_000);
    }
}
