//! Plans: operations in their order.

use crate::Op;
use std::fmt;

/// An ordered list of operations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// In the order they are applied.
    pub ops: Vec<Op>,
}

impl Plan {
    /// An empty plan.
    pub fn new() -> Self {
        Plan::default()
    }

    /// Appends one operation.
    pub fn push(&mut self, op: Op) {
        self.ops.push(op);
    }

    /// Appends another plan.
    pub fn append(&mut self, other: Plan) {
        self.ops.extend(other.ops);
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}

impl FromIterator<Op> for Plan {
    fn from_iter<I: IntoIterator<Item = Op>>(ops: I) -> Self {
        Plan { ops: ops.into_iter().collect() }
    }
}

/// A script for a POSIX shell: the reason as a comment, then the commands it stands for.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut why = "";
        for op in &self.ops {
            if op.why != why && !op.why.is_empty() {
                why = op.why;
                writeln!(f, "# {why}")?;
            }
            writeln!(f, "{op}")?;
        }
        Ok(())
    }
}
