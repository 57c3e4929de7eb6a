//! Slot: which row of the processes a flow is part of.

use crate::model::{Confidence, FlowRow, ProcessId};

/// The row that a flow is part of.
pub(super) type Slot = (Option<ProcessId>, Confidence);

pub(super) fn slot_of(flow: &FlowRow) -> Slot {
    match (flow.attribution.owner, flow.attribution.confidence) {
        (Some(owner), _) => (Some(owner), Confidence::Exact),
        (None, confidence @ (Confidence::Pending | Confidence::Ambiguous)) => (None, confidence),
        (None, _) => (None, Confidence::Unknown),
    }
}
