//! Words that every call shares: whether to do it, and what it did.

use zubi_plan::{Op, Plan};
use zubi_snapshot::Finding;

/// Whether to do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Do it.
    Apply,
    /// Only say what would be done.
    Show,
}

/// What a changing call did, or would do.
#[derive(Debug, Clone)]
pub struct Report<T> {
    /// The operations.
    pub plan: Plan,
    /// The answer.
    pub value: T,
}

/// An operation and what the kernel has of it: the lines of a dry run.
pub type Compared = (Op, Finding);

/// Whether running processes are ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// They are.
    Yes,
    /// They are not.
    No,
}
