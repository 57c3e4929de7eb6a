//! Groups, the tree, and what a filter leaves of them.
