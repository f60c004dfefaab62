//! The part of a list that is needed, or was read.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A part of a list whose items have keys of type `K`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Extent<K: Ord> {
    /// The items with these keys.
    Of(BTreeSet<K>),
    /// All items.
    All,
}

impl<K: Ord> Default for Extent<K> {
    fn default() -> Self {
        Extent::Of(BTreeSet::new())
    }
}

impl<K: Ord> Extent<K> {
    /// Whether it has no items.
    pub fn is_empty(&self) -> bool {
        matches!(self, Extent::Of(keys) if keys.is_empty())
    }

    /// Whether the item with this key belongs to it.
    pub fn covers<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: std::borrow::Borrow<Q>,
    {
        match self {
            Extent::Of(keys) => keys.contains(key),
            Extent::All => true,
        }
    }

    /// Adds one item.
    pub fn add(&mut self, key: K) {
        if let Extent::Of(keys) = self {
            keys.insert(key);
        }
    }

    /// Adds the items of another part of the list.
    pub fn join(&mut self, other: Self) {
        match (&mut *self, other) {
            (Extent::All, _) => {}
            (_, Extent::All) => *self = Extent::All,
            (Extent::Of(keys), Extent::Of(more)) => keys.extend(more),
        }
    }

    /// Keeps the items that fulfil a condition; [`Extent::All`] stays.
    #[must_use]
    pub fn filter(self, keep: impl Fn(&K) -> bool) -> Self {
        match self {
            Extent::Of(keys) => Extent::Of(keys.into_iter().filter(keep).collect()),
            Extent::All => Extent::All,
        }
    }
}
