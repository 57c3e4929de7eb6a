//! Process lineage, who descends from whom, and what program each runs: the processes since the monitor started, the ended
//! ones for as long as something may still ask for them.
//!
//! A child keeps the parent that it was born to. When that one ends, the kernel hands the child to init; this does not.

use super::program::Program;
use crate::model::{Ancestor, Born, Life, Mono, ProcessId};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Processes remembered that have ended, at most.
const MAX_ENDED: usize = 65_536;
/// Processes remembered at all, at most; beyond it those that ended first are forgotten, whoever descends from them.
const MAX_ALL: usize = 262_144;
/// Ancestors that are told of one process.
const MAX_CHAIN: usize = 64;
/// Ended parents of living children that are passed over in one search for something to forget.
const PASSED_OVER: usize = 16;

/// A process.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) parent: ProcessId,
    pub(super) comm: Arc<str>,
    /// When it got that name by a program start.
    pub(super) named: Option<Mono>,
    /// What it runs; `None` where it started before the monitor, or the kernel does not tell.
    pub(super) program: Option<Arc<Program>>,
    pub(super) netns_inode: u64,
    pub(super) ended: Option<Mono>,
    /// Remembered processes that were born to it.
    children: u32,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Lineage {
    nodes: HashMap<ProcessId, Node>,
    ended: VecDeque<ProcessId>,
}

impl Lineage {
    /// Takes in an event. Gives the process of which it changes what that is called, or that it lives.
    pub(super) fn note(&mut self, life: Life) -> Option<ProcessId> {
        match life {
            Life::Born(born) => {
                self.born(&born);
                None
            }
            Life::Executed(executed) => {
                let id = executed.process.id;
                self.born(&executed.process);
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.comm = Arc::clone(&executed.process.comm);
                    node.named = Some(executed.at);
                    node.netns_inode = executed.process.netns_inode;
                    node.program = Some(Arc::new(Program::of(*executed)));
                }
                Some(id)
            }
            Life::Ended { id, at } => {
                let node = self.nodes.get_mut(&id)?;
                if node.ended.replace(at).is_none() {
                    self.ended.push_back(id);
                    self.bound();
                }
                Some(id)
            }
            // Told to the registry, which ends them one by one.
            Life::Census { .. } => None,
        }
    }

    /// Those that were not told to have ended.
    pub(super) fn living(&self) -> impl Iterator<Item = ProcessId> {
        self.nodes.iter().filter(|(_, node)| node.ended.is_none()).map(|(id, _)| *id)
    }

    /// A process that is known already keeps its parent.
    fn born(&mut self, born: &Born) {
        // Where ends are not told either, nobody would ever be forgotten.
        if self.nodes.contains_key(&born.id) || (self.nodes.len() > MAX_ALL && self.ended.is_empty()) {
            return;
        }
        let mut program = None;
        if let Some(parent) = self.nodes.get_mut(&born.parent) {
            parent.children += 1;
            // Until it executes another one, it runs what its parent ran. What was there at the start may have executed
            // since its birth.
            program = parent.program.clone().filter(|_| !born.found);
        }
        let node = Node {
            parent: born.parent,
            comm: Arc::clone(&born.comm),
            named: None,
            program,
            netns_inode: born.netns_inode,
            ended: None,
            children: 0,
        };
        self.nodes.insert(born.id, node);
    }

    /// What is known of a process.
    pub(super) fn get(&self, id: ProcessId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// Parent first, up to the one that the kernel started.
    pub(super) fn ancestors(&self, id: ProcessId) -> Vec<Ancestor> {
        let mut chain = Vec::new();
        let mut at = self.nodes.get(&id).map(|node| node.parent);
        while let Some(parent) = at.filter(|parent| parent.pid != 0 && chain.len() < MAX_CHAIN) {
            let Some(node) = self.nodes.get(&parent) else { break };
            chain.push(Ancestor { id: parent, comm: Arc::clone(&node.comm) });
            at = Some(node.parent);
        }
        chain
    }

    /// Forgets who ended before that, but for those that have children here.
    pub(super) fn forget(&mut self, before: Mono) {
        for _ in 0..self.ended.len() {
            let Some(oldest) = self.ended.pop_front() else { return };
            match self.nodes.get(&oldest) {
                Some(node) if node.ended >= Some(before) => {
                    self.ended.push_front(oldest);
                    break;
                }
                Some(node) if node.children > 0 => self.ended.push_back(oldest),
                Some(_) | None => self.remove(oldest),
            }
        }
        if self.nodes.capacity() > 4 * self.nodes.len() + 1_024 {
            self.nodes.shrink_to(2 * self.nodes.len());
            self.ended.shrink_to(2 * self.ended.len());
        }
    }

    /// Remembered ones that have ended.
    pub(super) fn ended(&self) -> usize {
        self.ended.len()
    }

    fn remove(&mut self, id: ProcessId) {
        if let Some(node) = self.nodes.remove(&id)
            && let Some(parent) = self.nodes.get_mut(&node.parent)
        {
            parent.children = parent.children.saturating_sub(1);
        }
    }

    /// Forgets who ended first. Who has children here is passed over, as long as there is room.
    fn bound(&mut self) {
        let mut passed = 0;
        while self.ended.len() > MAX_ENDED || self.nodes.len() > MAX_ALL {
            let Some(oldest) = self.ended.pop_front() else { return };
            let has_children = self.nodes.get(&oldest).is_some_and(|node| node.children > 0);
            if has_children && self.nodes.len() <= MAX_ALL {
                self.ended.push_back(oldest);
                passed += 1;
                if passed >= PASSED_OVER {
                    return;
                }
                continue;
            }
            self.remove(oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Executed;

    fn id(pid: u32) -> ProcessId {
        ProcessId { pid, generation: 1 }
    }

    fn born(pid: u32, parent: u32) -> Life {
        let comm = format!("p{pid}").into();
        Life::Born(Born { id: id(pid), parent: id(parent), comm, ..Born::default() })
    }

    fn executed(pid: u32, path: &str) -> Life {
        let process = Born { id: id(pid), comm: path.into(), ..Born::default() };
        Life::Executed(Box::new(Executed {
            process,
            path: Some(path.as_bytes().into()),
            ..Executed::default()
        }))
    }

    fn chain(lineage: &Lineage, pid: u32) -> Vec<u32> {
        lineage.ancestors(id(pid)).iter().map(|ancestor| ancestor.id.pid).collect()
    }

    #[test]
    fn an_orphan_keeps_the_parent_it_was_born_to() {
        let mut lineage = Lineage::default();
        for (pid, parent) in [(1, 0), (10, 1), (11, 10), (12, 11)] {
            lineage.note(born(pid, parent));
        }
        lineage.note(Life::Ended { id: id(11), at: Mono(5) });
        lineage.note(executed(12, "/bin/late"));
        assert_eq!(chain(&lineage, 12), [11, 10, 1]);
        assert_eq!(lineage.get(id(11)).and_then(|node| node.ended), Some(Mono(5)));
    }

    #[test]
    fn a_child_runs_what_its_parent_ran_when_it_was_born() {
        let mut lineage = Lineage::default();
        lineage.note(born(10, 1));
        lineage.note(executed(10, "/bin/one"));
        lineage.note(born(11, 10));
        lineage.note(executed(10, "/bin/two"));
        let path =
            |pid| lineage.get(id(pid)).and_then(|node| node.program.clone()).and_then(|p| p.path.clone());
        assert_eq!(path(11).as_deref(), Some(&b"/bin/one"[..]));
        assert_eq!(path(10).as_deref(), Some(&b"/bin/two"[..]));
    }

    #[test]
    fn a_recycled_pid_is_another_process() {
        let mut lineage = Lineage::default();
        lineage.note(born(10, 1));
        lineage.note(executed(10, "/bin/old"));
        let again = ProcessId { pid: 10, generation: 2 };
        lineage.note(Life::Born(Born { id: again, parent: id(1), comm: "new".into(), ..Born::default() }));
        assert_eq!(
            lineage.get(again).map(|node| (&*node.comm, node.program.is_some())),
            Some(("new", false))
        );
        assert_eq!(lineage.get(id(10)).map(|node| &*node.comm), Some("/bin/old"));
    }

    #[test]
    fn who_ended_a_while_ago_is_forgotten_unless_it_has_children() {
        let mut lineage = Lineage::default();
        lineage.note(born(1, 0));
        for pid in 2..10_000 {
            lineage.note(born(pid, 1));
            lineage.note(Life::Ended { id: id(pid), at: Mono(u64::from(pid)) });
        }
        lineage.note(born(10_000, 2));
        lineage.forget(Mono(9_000));
        assert_eq!((lineage.ended(), lineage.living().count()), (1 + 1_000, 2));
        assert_eq!(chain(&lineage, 10_000), [2, 1]);
        assert!(lineage.nodes.capacity() <= 4 * lineage.nodes.len() + 1_024);
    }

    #[test]
    fn what_is_remembered_has_a_bound_and_a_circle_an_end() {
        let mut lineage = Lineage::default();
        lineage.note(born(2, 1));
        for pid in 3..200_000 {
            // Each is born to the one before, which then ends: the longest chain there can be.
            lineage.note(born(pid, pid - 1));
            lineage.note(Life::Ended { id: id(pid - 1), at: Mono(1) });
        }
        assert!(lineage.nodes.len() <= MAX_ALL, "{}", lineage.nodes.len());
        assert_eq!(chain(&lineage, 199_999).len(), MAX_CHAIN);
        lineage.note(Life::Born(Born { id: id(900_000), parent: id(900_001), ..Born::default() }));
        lineage.note(Life::Born(Born { id: id(900_001), parent: id(900_000), ..Born::default() }));
        assert_eq!(chain(&lineage, 900_000).len(), MAX_CHAIN);
    }
}
