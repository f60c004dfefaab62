//! What differs between two states of a network.

use std::fmt;

/// One difference between two states of a network, in the words of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// "mtu", "icc".
    pub what: String,
    /// Before.
    pub from: String,
    /// After.
    pub to: String,
}

impl Difference {
    /// Between these two, unless they read the same.
    pub(crate) fn between(what: &str, from: impl fmt::Display, to: impl fmt::Display) -> Option<Self> {
        let (from, to) = (from.to_string(), to.to_string());
        (from != to).then(|| Difference { what: what.into(), from, to })
    }
}
