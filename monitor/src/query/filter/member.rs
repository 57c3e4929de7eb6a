//! Membership of a process or a flow in a row: what it means to open one. The row is compared as what it is, not by what it
//! is called, so that two of the same name stay apart.

use super::eval::{Subject, Truth};
use crate::model::{ProcessId, ProcessRow};
use crate::query::group::{GroupKey, of_flow, of_process};
use crate::query::slot::slot_of;
use crate::query::{Prefixes, Row, RowId, ViewKind};

impl Subject<'_> {
    /// The answer to [`super::Expr::Of`].
    pub(super) fn is_part_of_row(&self, id: &RowId, prefixes: Prefixes) -> Truth {
        match id {
            RowId::Process(owner, confidence) => self.is_of_process(*owner, *confidence).into(),
            RowId::Flow(_, owner, confidence) => match self.flow {
                Some(flow) => Row::Flow(flow).is(id).into(),
                // Bytes of no process have one row for several kinds, so only an owner can rule it out.
                None if owner.is_some() && !self.is_of_process(*owner, *confidence) => Truth::No,
                None => Truth::Depends,
            },
            // What has ended cannot be told apart any more.
            RowId::Group(_, GroupKey::Ended) => Truth::No,
            RowId::Group(ViewKind::Tree, GroupKey::Process(root)) => self.descends_from(*root).into(),
            RowId::Group(ViewKind::Tree, key) => {
                self.process.is_some_and(|row| of_process(ViewKind::Users, row).0 == *key).into()
            }
            RowId::Group(view, key) if view.spec().of_processes => {
                self.process.is_some_and(|row| of_process(*view, row).0 == *key).into()
            }
            RowId::Group(view, key) => {
                self.flow.map_or(Truth::Depends, |flow| (of_flow(*view, flow, prefixes).0 == *key).into())
            }
        }
    }

    fn is_of_process(&self, owner: Option<ProcessId>, confidence: Option<crate::model::Confidence>) -> bool {
        let is = |row: &ProcessRow| Row::Process(row).is(&RowId::Process(owner, confidence));
        match (self.process, self.flow) {
            (Some(row), _) => is(row),
            (None, Some(flow)) => {
                let (id, known) = slot_of(flow);
                id == owner && (owner.is_some() || Some(known) == confidence)
            }
            (None, None) => false,
        }
    }

    fn descends_from(&self, root: ProcessId) -> bool {
        let owner = self.process.and_then(|row| row.id).or(self.flow.and_then(|row| row.attribution.owner));
        let parents = self.identity().map(|identity| &*identity.parents).unwrap_or_default();
        owner == Some(root) || parents.iter().any(|parent| parent.id == root)
    }
}
