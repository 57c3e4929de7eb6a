//! Values: what the settings that are a choice can be.

use crate::query::Units;
use clap::ValueEnum;

/// How a flow is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lines {
    /// iftop's two lines: sent over received.
    #[default]
    Two,
    /// One line of columns.
    One,
    /// One line, what was sent only.
    Sent,
    /// One line, what was received only.
    Received,
}

/// What the bars behind the rows look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum BarStyle {
    /// A background that fades out.
    Gradient,
    /// A background of one colour.
    #[default]
    Solid,
    /// A line under the text.
    Thin,
    /// Signs between the words, for terminals without colour.
    Ascii,
    /// None.
    Off,
}

/// How the length of a bar follows from the rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scale {
    /// Ten times the rate is one step more.
    #[default]
    Log,
    /// Twice the rate is twice as long.
    Linear,
}

/// What rates count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Unit {
    /// b/s.
    #[default]
    Bits,
    /// B/s.
    Bytes,
}

/// What a k is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Prefix {
    /// 1000.
    #[default]
    Si,
    /// 1024.
    Iec,
}

/// The background to be read on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Background {
    /// As the terminal says when it is asked.
    #[default]
    Auto,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

/// The rate from which on a row is marked, bits/s in either direction; `None` where none is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Alert(pub Option<u64>);

impl Unit {
    /// What these units count.
    pub(super) fn of(units: Units) -> Self {
        match units {
            Units::SiBits | Units::BinBits => Self::Bits,
            Units::SiBytes | Units::BinBytes => Self::Bytes,
        }
    }
}

impl Prefix {
    /// The steps of these units.
    pub(super) fn of(units: Units) -> Self {
        match units {
            Units::SiBits | Units::SiBytes => Self::Si,
            Units::BinBits | Units::BinBytes => Self::Iec,
        }
    }
}
