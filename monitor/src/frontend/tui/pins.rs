//! Pinned rows: those that stay on top whatever the order.

use crate::query::{Row, RowId};

/// The pinned rows, in the order in which they were pinned.
#[derive(Clone, Debug, Default)]
pub(super) struct Pins(Vec<RowId>);

impl Pins {
    /// Nothing is pinned.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this row is.
    pub(super) fn contains(&self, row: &RowId) -> bool {
        self.0.contains(row)
    }

    /// Pins a row, or lets it go.
    pub(super) fn toggle(&mut self, row: RowId) {
        match self.0.iter().position(|other| *other == row) {
            Some(place) => {
                self.0.remove(place);
            }
            None => self.0.push(row),
        }
    }

    /// Puts the pinned rows before the others; the others keep their order.
    pub(super) fn lift(&self, rows: &mut [Row<'_>]) {
        if !self.is_empty() {
            let place = |row: &Row<'_>| self.0.iter().position(|id| *id == row.id()).unwrap_or(usize::MAX);
            rows.sort_by_key(place);
        }
    }
}
