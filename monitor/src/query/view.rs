//! The lists that a user can look at: one table, from which options, help, tabs and tests are made.

use super::column::{self, Column};
use super::view_kind::ViewKind;

/// What a view is called and made of.
#[derive(Debug)]
pub(crate) struct ViewSpec {
    /// The view.
    pub kind: ViewKind,
    /// The name for `--view` and in JSON.
    pub name: &'static str,
    /// The name for `--group-by`, and what one row is.
    pub group: &'static str,
    /// The name on its tab.
    pub title: &'static str,
    /// Its columns, left to right.
    pub columns: &'static [Column],
    /// Sums of processes, which keep what ended flows moved; else sums of flows.
    pub of_processes: bool,
}

const fn of_processes(
    kind: ViewKind,
    name: &'static str,
    group: &'static str,
    title: &'static str,
    columns: &'static [Column],
) -> ViewSpec {
    ViewSpec { kind, name, group, title, columns, of_processes: true }
}

const fn of_flows(
    kind: ViewKind,
    name: &'static str,
    group: &'static str,
    title: &'static str,
    columns: &'static [Column],
) -> ViewSpec {
    ViewSpec { of_processes: false, ..of_processes(kind, name, group, title, columns) }
}

/// Every view, in the order of the tabs, which is that of [`ViewKind`].
static VIEWS: [ViewSpec; 16] = [
    of_processes(ViewKind::Processes, "processes", "process", "Processes", &column::PROCESSES),
    of_flows(ViewKind::Flows, "flows", "flow", "Flows", &column::FLOWS),
    of_processes(ViewKind::Tree, "tree", "subtree", "Tree", &column::TREE),
    of_processes(ViewKind::Users, "users", "user", "Users", &column::USERS),
    of_processes(ViewKind::Units, "units", "unit", "Units", &column::UNITS),
    of_processes(ViewKind::Slices, "slices", "slice", "Slices", &column::SLICES),
    of_processes(ViewKind::Containers, "containers", "container", "Containers", &column::CONTAINERS),
    of_processes(ViewKind::Pods, "pods", "pod", "Pods", &column::PODS),
    of_processes(ViewKind::Packages, "packages", "package", "Packages", &column::PACKAGES),
    of_flows(ViewKind::Hosts, "hosts", "host", "Hosts", &column::HOSTS),
    of_flows(ViewKind::Networks, "networks", "network", "Networks", &column::NETWORKS),
    of_flows(ViewKind::Services, "services", "service", "Services", &column::SERVICES),
    of_flows(ViewKind::Ports, "ports", "port", "Ports", &column::PORTS),
    of_flows(ViewKind::Protocols, "protocols", "protocol", "Protocols", &column::PROTOCOLS),
    of_flows(ViewKind::Interfaces, "interfaces", "interface", "Interfaces", &column::INTERFACES),
    of_flows(ViewKind::Namespaces, "namespaces", "netns", "Namespaces", &column::NAMESPACES),
];

impl ViewKind {
    /// Every view, in the order of the tabs.
    pub(crate) const ALL: [Self; VIEWS.len()] = {
        let mut all = [Self::Processes; VIEWS.len()];
        let mut place = 0;
        while place < VIEWS.len() {
            all[place] = VIEWS[place].kind;
            assert!(all[place] as usize == place, "the table has the order of the kinds");
            place += 1;
        }
        all
    };

    /// What it is called and made of.
    pub(crate) fn spec(self) -> &'static ViewSpec {
        &VIEWS[self as usize]
    }

    /// The name on its tab.
    pub(crate) fn title(self) -> &'static str {
        self.spec().title
    }

    /// The name for `--view` and in JSON.
    pub(crate) fn name(self) -> &'static str {
        self.spec().name
    }
}

/// The columns of a view, left to right.
pub(crate) fn columns(view: ViewKind) -> &'static [Column] {
    view.spec().columns
}

/// The columns of a view whose cells round a number, and the unit of that number as it is ([`super::Value::exact`]).
pub(crate) fn rounded(view: ViewKind) -> impl Iterator<Item = (&'static Column, &'static str)> {
    columns(view).iter().filter_map(|column| Some((column, column.id.kind().unit()?)))
}
