//! The process tree: processes under their parents, each with the sum of all that came of it, exited children included.
//!
//! Who came of whom is what each process said when it was first seen ([`crate::model::Identity::parents`]). Where two
//! disagree, because a process in between has ended and its children moved, what a process says of itself counts.

use super::group::{GroupKey, GroupRow, Sums};
use super::view_kind::ViewKind;
use crate::model::{Ancestor, Confidence, ProcessId, ProcessRow};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

/// The process tree. Nodes stand in order of first appearance, each with its whole subtree summed.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    roots: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Node {
    row: GroupRow,
    /// What it moved itself.
    own: Sums,
    parent: Option<usize>,
    children: Vec<usize>,
}

impl Tree {
    /// Puts processes under their parents.
    pub(super) fn new(processes: &[Arc<ProcessRow>]) -> Self {
        let mut growing = Growing::default();
        for row in processes {
            growing.add(row);
        }
        // What a process says of its own parent comes before what others say of it.
        for row in processes {
            growing.hang(row, 1);
        }
        for row in processes {
            growing.hang(row, usize::MAX);
        }
        growing.cut_circles();
        let mut tree = Self { nodes: growing.nodes, roots: Vec::new() };
        tree.link();
        tree.sum_up();
        tree
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// A node.
    pub(super) fn row(&self, index: usize) -> &GroupRow {
        &self.nodes[index].row
    }

    /// What all nodes moved, each byte once.
    pub(super) fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        self.nodes.iter().for_each(|node| sums.add(&node.own));
        sums
    }

    /// Lets nodes go. What was under one moves up to what was above it; sums stay what they are.
    pub(super) fn retain(&mut self, keep: impl Fn(&GroupRow) -> bool) {
        let kept: Vec<bool> = self.nodes.iter().map(|node| keep(&node.row)).collect();
        let mut places = vec![0; kept.len()];
        let mut next = 0;
        for (place, kept) in places.iter_mut().zip(&kept) {
            *place = next;
            next += usize::from(*kept);
        }
        let parents: Vec<Option<usize>> = self.nodes.iter().map(|node| node.parent).collect();
        let above = |mut parent: Option<usize>| {
            while let Some(index) = parent.filter(|index| !kept[*index]) {
                parent = parents[index];
            }
            parent.map(|index| places[index])
        };
        let mut index = 0;
        self.nodes.retain_mut(|node| {
            node.parent = above(node.parent);
            node.children.clear();
            index += 1;
            kept[index - 1]
        });
        self.link();
    }

    /// The first `limit` nodes, each before what is under it, siblings in `order`.
    pub(super) fn rows(
        &self,
        limit: usize,
        order: impl Fn(&GroupRow, &GroupRow) -> Ordering,
    ) -> Vec<&GroupRow> {
        let sorted = |indices: &[usize]| {
            let mut indices = indices.to_vec();
            // From the last, because the stack gives them back from its end.
            indices.sort_unstable_by(|a, b| order(self.row(*b), self.row(*a)));
            indices
        };
        let mut rows = Vec::with_capacity(limit);
        let mut stack = sorted(&self.roots);
        while rows.len() < limit
            && let Some(index) = stack.pop()
        {
            rows.push(self.row(index));
            stack.append(&mut sorted(&self.nodes[index].children));
        }
        rows
    }

    /// Children, roots and depths, from the parents.
    fn link(&mut self) {
        self.roots.clear();
        for index in 0..self.nodes.len() {
            match self.nodes[index].parent {
                Some(parent) => self.nodes[parent].children.push(index),
                None => self.roots.push(index),
            }
        }
        for index in self.downwards() {
            let depth =
                self.nodes[index].parent.map_or(0, |parent| self.nodes[parent].row.depth.saturating_add(1));
            self.nodes[index].row.depth = depth;
        }
    }

    /// All nodes, parents before their children.
    fn downwards(&self) -> Vec<usize> {
        let mut order = self.roots.clone();
        let mut next = 0;
        while let Some(index) = order.get(next) {
            order.extend(&self.nodes[*index].children);
            next += 1;
        }
        order
    }

    fn sum_up(&mut self) {
        for index in self.downwards().into_iter().rev() {
            let Some(parent) = self.nodes[index].parent else { continue };
            let row = self.nodes[index].row.clone();
            let above = &mut self.nodes[parent].row;
            above.sums.add(&row.sums);
            above.members += row.members;
            above.flows += row.flows;
            above.last = above.last.max(row.last);
        }
    }
}

/// A tree whose branches are not tied yet.
#[derive(Default)]
struct Growing {
    nodes: Vec<Node>,
    places: HashMap<GroupKey, usize>,
}

impl Growing {
    fn node(&mut self, key: GroupKey, name: &Arc<str>) -> usize {
        if let Some(place) = self.places.get(&key) {
            return *place;
        }
        let name = Some(name).filter(|name| !name.is_empty()).cloned();
        let row = GroupRow::new(ViewKind::Tree, key.clone(), name);
        self.nodes.push(Node { row, own: Sums::default(), parent: None, children: Vec::new() });
        self.places.insert(key, self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    fn add(&mut self, process: &Arc<ProcessRow>) {
        let place = self.node(key(process), &process.process);
        let node = &mut self.nodes[place];
        node.own.add(&Sums::of_process(process));
        node.row.add_process(process);
        // That it has ended is its own; children that live do not change it.
        node.row.exited = process.exited;
        node.row.process = Some(Arc::clone(process));
    }

    /// Hangs a process under its parent, and that one under its own, up to `steps` up.
    fn hang(&mut self, process: &ProcessRow, steps: usize) {
        let Some(mut child) = self.places.get(&key(process)).copied() else { return };
        for Ancestor { id, comm } in process.identity.parents.iter().take(steps) {
            let parent = self.node(GroupKey::Process(*id), comm);
            self.nodes[child].parent.get_or_insert(parent);
            child = parent;
        }
    }

    /// Nobody is their own ancestor, whatever was read: cuts each circle where it closes.
    fn cut_circles(&mut self) {
        let mut seen = vec![0; self.nodes.len()];
        for start in 0..self.nodes.len() {
            let mut at = start;
            while seen[at] == 0 {
                seen[at] = start + 1;
                let Some(parent) = self.nodes[at].parent else { break };
                if seen[parent] == start + 1 {
                    self.nodes[at].parent = None;
                    break;
                }
                at = parent;
            }
        }
    }
}

fn key(row: &ProcessRow) -> GroupKey {
    match row.id {
        Some(ProcessId::KERNEL) => GroupKey::Kernel,
        Some(id) => GroupKey::Process(id),
        None if row.confidence == Confidence::Exact => GroupKey::Retired,
        None => GroupKey::Nobody(row.confidence),
    }
}
