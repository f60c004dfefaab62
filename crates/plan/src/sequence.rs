//! Plans: operations in their order.

use crate::{Op, What};
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

    /// Appends another plan without what this one has already: the layout of the firewall, and elements that come with
    /// it. A transaction that adds the same table or element twice makes the kernel roll back all of it, and wait for
    /// its readers (10 ms).
    pub fn append_once(&mut self, other: Plan) {
        let whole = self.ops.iter().any(Op::is_layout);
        let repeats = |op: &Op| {
            let element = whole && matches!(op.what, What::AddElement(_));
            op.is_layout() || (element && self.ops.iter().any(|earlier| earlier.what == op.what))
        };
        let new: Vec<Op> = other.ops.into_iter().filter(|op| !repeats(op)).collect();
        self.ops.extend(new);
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

/// A script for a POSIX shell: the reason as a comment, then the commands.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forwarding::Ipv6Forwarding;
    use crate::samples::network;
    use crate::{driver, firewall};

    #[test]
    fn a_whole_firewall_is_put_up_once() {
        let blue = network("blue", &["10.55.66.0/24"]);
        let elements = driver::network_elements(&blue);
        let mut plan: Plan = firewall::layout().collect();
        plan.ops.extend(elements.iter().map(|e| Op::host(What::AddElement(e.clone()), "")));
        let before = plan.ops.len();
        plan.append_once(driver::up(&blue, &Ipv6Forwarding::Force));
        let again = plan.ops.iter().skip(before).filter(|op| op.is_nft()).count();
        assert_eq!(again, 0);
        assert!(plan.ops.len() > before);
    }

    #[test]
    fn elements_stay_where_no_firewall_is_put_up() {
        let up = driver::up(&network("blue", &["10.55.66.0/24"]), &Ipv6Forwarding::Force);
        let elements = up.ops.iter().filter(|op| matches!(op.what, What::AddElement(_))).count();
        let mut plan = Plan::new();
        plan.append_once(up);
        assert!(!plan.ops.iter().any(Op::is_layout));
        assert_eq!(plan.ops.iter().filter(|op| op.is_nft()).count(), elements);
    }
}
