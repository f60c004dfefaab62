//! How thorough a run is.

/// How long a run may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// A minute or two.
    Quick,
    /// Half an hour.
    Full,
}
