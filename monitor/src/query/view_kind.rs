//! The kinds of views: what rows are, before anybody says which columns they have (`view`).

/// A list that a user can look at, and by what it groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ViewKind {
    /// One row a process.
    #[default]
    Processes,
    /// One row a flow and owner.
    Flows,
    /// Processes under their parents, each with all that came of it.
    Tree,
    /// By user.
    Users,
    /// By systemd unit.
    Units,
    /// By systemd slice.
    Slices,
    /// By container.
    Containers,
    /// By Kubernetes pod.
    Pods,
    /// By the package that owns the executable.
    Packages,
    /// By remote address.
    Hosts,
    /// By remote network.
    Networks,
    /// By remote port.
    Services,
    /// By local port.
    Ports,
    /// By protocol.
    Protocols,
    /// By interface.
    Interfaces,
    /// By network namespace.
    Namespaces,
}
