//! The firewall: our table, other programs' chains, and whether this host passes packets on.

pub(crate) mod foreign;
pub(crate) mod forwarding;
pub(crate) mod seen;
pub(crate) mod strays;
pub(crate) mod table;
