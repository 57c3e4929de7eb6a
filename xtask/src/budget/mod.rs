//! What the kernel programs may cost: instructions, helpers and atomic additions of each program and of each fast path,
//! as a table in the tree that a change may not exceed unseen.
//!
//! All of it is read from the committed object, so it needs neither a toolchain nor a kernel. What the numbers are in
//! nanoseconds is for `bench`.

mod machine;
mod paths;
mod programs;

use crate::project::Project;
use anyhow::{Context, Result, bail};
use machine::Trace;
use programs::{Object, Program};
use std::collections::BTreeMap;
use std::fmt;

/// The table.
const TABLE: &str = "monitor/bpf/budget.md";

const HEAD: &str = "# What the kernel programs may cost
`cargo xtask build-ebpf --check` compares the committed object with this table and fails where a number is larger or a
helper is called that is not listed; `cargo xtask build-ebpf --accept` writes it anew. An instruction that loads 64 bits
counts once. Helpers are numbers of `enum bpf_func_id` in linux/bpf.h.

A fast path (`program: by what`) is what a packet or a call costs once its socket has an owner and its flow a row: the
instructions that are executed, the atomic additions, the helpers in the order of their calls. They are counted by running
the program in userspace (`xtask/src/budget/`), not in a kernel.

";

/// What one row allows, or what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cost {
    instructions: usize,
    helpers: Vec<u32>,
    atomics: usize,
}

impl Cost {
    fn of_program(program: &Program) -> Self {
        Self { instructions: program.instructions(), helpers: program.helpers(), atomics: program.atomics() }
    }

    fn of_path(trace: Trace) -> Self {
        Self { instructions: trace.instructions, helpers: trace.helpers, atomics: trace.atomics }
    }

    /// What of this is more than is allowed.
    fn beyond(&self, allowed: &Self) -> Vec<String> {
        let mut beyond = Vec::new();
        for (what, found, allowed) in [
            ("instructions", self.instructions, allowed.instructions),
            ("calls of helpers", self.helpers.len(), allowed.helpers.len()),
            ("atomic additions", self.atomics, allowed.atomics),
        ] {
            if found > allowed {
                beyond.push(format!("{found} {what} and not {allowed}"));
            }
        }
        let new = self.helpers.iter().filter(|helper| !allowed.helpers.contains(helper));
        beyond.extend(new.map(|helper| format!("helper {helper}")));
        beyond
    }
}

/// Rows by name: of a program, or of a path as `program: by what`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Budget(BTreeMap<String, Cost>);

impl Budget {
    fn measure(object: &[u8]) -> Result<Self> {
        let object = Object::read(object)?;
        let programs =
            object.programs.iter().map(|program| (program.name.clone(), Cost::of_program(program)));
        let mut rows: BTreeMap<_, _> = programs.collect();
        for path in paths::PATHS {
            let trace = paths::walk(&object, path)?;
            rows.insert(format!("{}: {}", path.program, path.by), Cost::of_path(trace));
        }
        Ok(Self(rows))
    }

    fn read(text: &str) -> Result<Self> {
        let mut rows = BTreeMap::new();
        for line in text.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let row = || format!("{TABLE}: `{line}` is no row");
            let [_, name, instructions, atomics, helpers, _] = cells[..] else { bail!(row()) };
            let helpers = helpers.split_whitespace().map(str::parse).collect::<Result<_, _>>();
            let cost = Cost {
                instructions: instructions.parse().with_context(row)?,
                helpers: helpers.with_context(row)?,
                atomics: atomics.parse().with_context(row)?,
            };
            rows.insert(name.trim_matches('`').to_owned(), cost);
        }
        Ok(Self(rows))
    }

    /// What is more than the table allows, a line each.
    fn beyond(&self, allowed: &Self) -> Vec<String> {
        let mut beyond = Vec::new();
        for (name, cost) in &self.0 {
            match allowed.0.get(name) {
                Some(allowed) => {
                    beyond.extend(cost.beyond(allowed).iter().map(|what| format!("{name}: {what}")));
                }
                None => beyond.push(format!("{name}: not in the table")),
            }
        }
        let gone = allowed.0.keys().filter(|name| !self.0.contains_key(*name));
        beyond.extend(gone.map(|name| format!("{name}: in the table and not in the object")));
        beyond
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEAD)?;
        let (paths, programs): (Vec<_>, Vec<_>) = self.0.iter().partition(|(name, _)| name.contains(':'));
        for (head, rows) in [("fast path", paths), ("program", programs)] {
            writeln!(f, "| {head} | instructions | atomic additions | helpers |\n|---|---:|---:|---|")?;
            for (name, cost) in rows {
                let helpers: Vec<_> = cost.helpers.iter().map(ToString::to_string).collect();
                let (instructions, atomics) = (cost.instructions, cost.atomics);
                writeln!(f, "| `{name}` | {instructions} | {atomics} | {} |", helpers.join(" "))?;
            }
            if head == "fast path" {
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

fn measured(project: &Project) -> Result<Budget> {
    let path = project.object();
    Budget::measure(&std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?)
}

/// Fails where the committed object costs more than the table allows.
pub(crate) fn check(project: &Project) -> Result<()> {
    let text = std::fs::read_to_string(project.root.join(TABLE));
    let allowed = Budget::read(&text.with_context(|| format!("cannot read {TABLE}"))?)?;
    let beyond = measured(project)?.beyond(&allowed);
    if !beyond.is_empty() {
        bail!(
            "the kernel programs cost more than {TABLE} allows; if that is meant, commit what \
             `cargo xtask build-ebpf --accept` writes:\n  {}",
            beyond.join("\n  ")
        );
    }
    Ok(())
}

/// Writes the table anew, for what the committed object costs.
pub(crate) fn accept(project: &Project) -> Result<()> {
    let text = measured(project)?.to_string();
    std::fs::write(project.root.join(TABLE), text).with_context(|| format!("cannot write {TABLE}"))
}

#[cfg(test)]
mod tests;
