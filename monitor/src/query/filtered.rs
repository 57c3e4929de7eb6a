//! Filtering: what of a snapshot a filter leaves for a view to sum.
//!
//! A process about which the filter says yes or no whatever its flows are is in or out as a whole, with all that its
//! ended flows moved. Of a process about which it depends on the flow, the flows held now are asked.

use super::filter::{Filter, Subject, Truth};
use super::group::Sums;
use super::slot::{Slot, slot_of};
use super::view_kind::ViewKind;
use crate::model::{Confidence, FlowRow, ProcessRow, Snapshot};
use std::collections::HashMap;
use std::sync::Arc;

/// What is left.
pub(super) struct Filtered {
    /// Processes, where the view sums processes; some cut down to their flows that matched.
    pub(super) processes: Vec<Arc<ProcessRow>>,
    /// Flows, where the view sums flows.
    pub(super) flows: Vec<Arc<FlowRow>>,
    /// What the processes that matched as a whole moved beyond their flows, where the view sums flows.
    pub(super) rest: Option<Sums>,
}

/// A process, what the filter says of it, and what of its flows matched.
struct Judged<'s> {
    row: &'s Arc<ProcessRow>,
    truth: Truth,
    part: Sums,
    flows: usize,
    /// Those of them whose socket is open.
    open: usize,
}

impl Filtered {
    /// Everything where there is no filter.
    pub(super) fn new(snapshot: &Snapshot, view: ViewKind, filter: Option<&Filter>) -> Self {
        let of_processes = view.spec().of_processes;
        let Some(filter) = filter else { return Self::everything(snapshot, of_processes) };
        let names = &snapshot.names;
        let judge_process = |row: &ProcessRow| {
            let amounts = of_processes.then(|| Sums::of_process(row));
            filter.judge(&Subject { process: Some(row), flow: None, names, amounts })
        };
        let mut places: HashMap<Slot, usize> = HashMap::with_capacity(snapshot.processes.len());
        let mut judged: Vec<Judged<'_>> = Vec::with_capacity(snapshot.processes.len());
        for row in &snapshot.processes {
            let slot = (row.id, if row.id.is_some() { Confidence::Exact } else { row.confidence });
            places.insert(slot, judged.len());
            judged.push(Judged { row, truth: judge_process(row), part: Sums::default(), flows: 0, open: 0 });
        }
        let mut flows = Vec::new();
        for flow in &snapshot.flows {
            let mut owner = places.get(&slot_of(flow)).map(|place| &mut judged[*place]);
            let process = owner.as_ref().map(|owner| &**owner.row);
            let truth = match owner.as_ref().map_or(Truth::Depends, |owner| owner.truth) {
                Truth::Depends => {
                    let amounts = match process.filter(|_| of_processes) {
                        Some(process) => Sums::of_process(process),
                        None => Sums::of_flow(flow),
                    };
                    filter.judge(&Subject { process, flow: Some(flow), names, amounts: Some(amounts) })
                }
                known @ (Truth::Yes | Truth::No) => known,
            };
            if truth != Truth::Yes {
                continue;
            }
            if let Some(owner) = &mut owner {
                owner.part.add(&Sums::of_flow(flow));
                owner.flows += 1;
                owner.open += usize::from(flow.closed.is_none());
            }
            if !of_processes {
                flows.push(Arc::clone(flow));
            }
        }
        if of_processes {
            let processes = judged.into_iter().filter_map(Judged::row).collect();
            return Self { processes, flows, rest: None };
        }
        let whole = judged.iter().filter(|judged| judged.truth == Truth::Yes);
        let (mut sums, mut parts, mut rows) = (Sums::default(), Sums::default(), 0);
        for judged in whole {
            sums.add(&Sums::of_process(judged.row));
            parts.add(&judged.part);
            rows += 1 + judged.flows;
        }
        Self { processes: Vec::new(), flows, rest: Self::rest(&sums, &parts, rows) }
    }

    fn everything(snapshot: &Snapshot, of_processes: bool) -> Self {
        if of_processes {
            return Self { processes: snapshot.processes.clone(), flows: Vec::new(), rest: None };
        }
        let (mut sums, mut parts) = (Sums::default(), Sums::default());
        snapshot.processes.iter().for_each(|row| sums.add(&Sums::of_process(row)));
        snapshot.flows.iter().for_each(|row| parts.add(&Sums::of_flow(row)));
        let rows = snapshot.processes.len() + snapshot.flows.len();
        Self { processes: Vec::new(), flows: snapshot.flows.clone(), rest: Self::rest(&sums, &parts, rows) }
    }

    fn rest(sums: &Sums, parts: &Sums, rows: usize) -> Option<Sums> {
        let rest = sums.without(parts, rows);
        (!rest.total.is_zero()).then_some(rest)
    }
}

impl Judged<'_> {
    /// The row as far as it matched.
    fn row(self) -> Option<Arc<ProcessRow>> {
        match self.truth {
            Truth::Yes => Some(Arc::clone(self.row)),
            Truth::Depends if self.flows > 0 => {
                let Sums { total, interval, windows } = self.part;
                // The peak of a part was never measured.
                let peak = None;
                let flows = self.open;
                Some(Arc::new(ProcessRow { flows, total, interval, windows, peak, ..(**self.row).clone() }))
            }
            Truth::Depends | Truth::No => None,
        }
    }
}
