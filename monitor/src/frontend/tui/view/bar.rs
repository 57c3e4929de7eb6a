//! The bars behind the rows.

use super::Ctx;
use crate::config::{BarStyle, Scale};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

/// The logarithmic scale, as iftoprs has it: from 10 b/s to 1 Gb/s, or to the peak where that is higher.
const LOG_FROM: f64 = 10.0;
const LOG_TO: f64 = 1e9;

/// Paints a rate, bits/s, behind a line.
pub(super) fn bar(buffer: &mut Buffer, line: Rect, rate: u64, ctx: &Ctx<'_>) {
    let settings = &ctx.state.settings;
    let line = line.intersection(buffer.area);
    let peak = ctx.snapshot.totals.peak.total;
    let width = length(rate, settings.bar_max, peak, settings.bar_scale, line.width);
    let part = Rect { width, ..line };
    let theme = ctx.theme;
    match settings.bars {
        BarStyle::Off => {}
        BarStyle::Solid => buffer.set_style(part, theme.bar),
        BarStyle::Thin => {
            for place in part.positions() {
                buffer[place].modifier.insert(Modifier::UNDERLINED);
            }
        }
        BarStyle::Ascii => {
            for place in part.positions() {
                let cell = &mut buffer[place];
                if cell.symbol() == " " {
                    cell.set_symbol("=").set_style(theme.dim);
                }
            }
        }
        BarStyle::Gradient => {
            let steps = theme.fading.len();
            for (at, place) in part.positions().enumerate() {
                let step = at * steps / usize::from(width).max(1);
                buffer[place].set_style(theme.fading[step.min(steps - 1)]);
            }
        }
    }
}

/// How much of `width` columns a rate fills: of the fixed maximum, else of the peak, which a logarithmic scale does
/// not let below 1 Gb/s.
pub(super) fn length(rate: u64, most: Option<u64>, peak: u64, scale: Scale, width: u16) -> u16 {
    let rate = rate as f64;
    let part = match scale {
        Scale::Linear => rate / most.unwrap_or(peak).max(1) as f64,
        Scale::Log => {
            let to = most.map_or(LOG_TO.max(peak as f64), |most| most as f64).max(LOG_FROM * 10.0);
            (rate / LOG_FROM).max(1.0).log10() / (to / LOG_FROM).log10()
        }
    };
    // In 0..=width by the clamp.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=width")]
    let columns = (part * f64::from(width)).round().clamp(0.0, f64::from(width)) as u16;
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales() {
        for (rate, most, peak, scale, columns) in [
            (0, None, 0, Scale::Log, 0),
            (10, None, 0, Scale::Log, 0),
            (100_000, None, 0, Scale::Log, 50),
            (1_000_000_000, None, 0, Scale::Log, 100),
            (1_000_000_000, None, 100_000_000_000, Scale::Log, 80),
            (1_000_000, Some(1_000_000), 0, Scale::Log, 100),
            (2_000_000, Some(1_000_000), 0, Scale::Log, 100),
            (u64::MAX, Some(1), 0, Scale::Log, 100),
            (0, None, 0, Scale::Linear, 0),
            (25, None, 100, Scale::Linear, 25),
            (25, Some(50), 100, Scale::Linear, 50),
            (u64::MAX, Some(1), 0, Scale::Linear, 100),
        ] {
            assert_eq!(length(rate, most, peak, scale, 100), columns, "{rate} {most:?} {peak} {scale:?}");
        }
        assert_eq!(length(5, None, 5, Scale::Linear, 0), 0);
    }
}
