//! Numbers that nobody outside can guess.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// A source of numbers: a keyed hash (SipHash) of a counter. The system chose the key.
#[derive(Debug, Default)]
pub(crate) struct Random {
    key: RandomState,
    count: AtomicU64,
}

impl Random {
    /// The next one.
    pub(crate) fn next(&self) -> u64 {
        self.key.hash_one(self.count.fetch_add(1, Ordering::Relaxed))
    }
}
