//! Alerts: rows that move more than the user wants to see without a mark.

use crate::config::Settings;
use crate::query::{Listing, Row};

/// A row moves more than it may without a mark.
pub(super) fn alarms(settings: &Settings, row: Row<'_>) -> bool {
    settings.alert.0.is_some_and(|limit| row.exceeds(limit))
}

/// How many rows do.
pub(super) fn alarming(settings: &Settings, listing: &Listing) -> usize {
    settings.alert.0.map_or(0, |_| listing.all().filter(|row| alarms(settings, *row)).count())
}
