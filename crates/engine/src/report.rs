//! Types that all calls share: whether to act, and what was done.

use zubi_plan::{Op, Plan};
use zubi_snapshot::Finding;

/// Whether a call acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It does the work.
    Apply,
    /// It only reports what it would do.
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

/// An operation, and how the kernel's state compares with it: one line of a dry run.
pub type Compared = (Op, Finding);

/// What happens to the endpoints of a network that is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connected {
    /// The network stays as long as it has any.
    Refuse,
    /// They are disconnected first.
    Disconnect,
}

/// Whether running processes are ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// They are.
    Yes,
    /// They are not.
    No,
}
