//! Calls that only read: lists and problems.

pub(crate) mod bridge;
pub(crate) mod check;
pub(crate) mod check_lease;
pub(crate) mod check_link;
pub(crate) mod device;
pub(crate) mod figures;
pub(crate) mod leases;
pub(crate) mod list;
pub(crate) mod peer;
pub(crate) mod port_conflicts;
pub(crate) mod recorded;
pub(crate) mod snapshot;
