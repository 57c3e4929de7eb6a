//! Requests, what the engine is asked about what is opened, while it is: the socket of a flow, the sockets of a process and
//! the hash of its executable.

use super::nav::Opened;
use crate::engine::{Command, Control};
use crate::model::{FlowId, ProcessId};
use crate::query::{GroupKey, RowId, ViewKind};

/// What was asked for last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    flow: Option<FlowId>,
    process: Option<ProcessId>,
}

impl Asked {
    /// Asks for what belongs to the last thing in the path, unless that was done.
    pub(super) fn follow(&mut self, path: &[Opened], control: &Control) {
        let wanted = Self::of(path);
        // Sending fails only when the engine has ended; then so does the feed.
        if wanted.flow != self.flow {
            let _ = control.send(Command::Inspect(wanted.flow));
        }
        if wanted.process != self.process {
            let _ = control.send(Command::ListSockets(wanted.process));
            let _ = wanted.process.map(|process| control.send(Command::Hash(process)));
        }
        *self = wanted;
    }

    fn of(path: &[Opened]) -> Self {
        match path.last().map(|opened| &opened.id) {
            Some(RowId::Flow(flow, ..)) => Self { flow: Some(*flow), process: None },
            Some(
                RowId::Process(Some(process), _) | RowId::Group(ViewKind::Tree, GroupKey::Process(process)),
            ) => Self { flow: None, process: Some(*process).filter(|process| *process != ProcessId::KERNEL) },
            _ => Self::default(),
        }
    }
}
