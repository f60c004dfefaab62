//! Answers of other servers, for as long as they hold.

use crate::inquiry::Key;
use crate::response::Response;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use zubi_model::Moment;

/// A cache that never has more than so many bytes. It has two halves: what is asked for comes into the young one, and
/// when that is full it becomes the old one, whose answers go. So what is asked often stays, and nothing is sorted.
#[derive(Debug)]
pub struct Cache {
    young: HashMap<Key, Kept>,
    old: HashMap<Key, Kept>,
    /// Of the young half.
    bytes: usize,
    most_bytes: usize,
}

#[derive(Debug, Clone)]
struct Kept {
    response: Arc<Response>,
    since: Moment,
}

/// What an entry takes beside the bytes of name and answer: the key's and the answer's own fields, and the table's.
const OVERHEAD: usize = 200;

impl Cache {
    /// An empty cache.
    pub fn new(most_bytes: usize) -> Self {
        Cache { young: HashMap::new(), old: HashMap::new(), bytes: 0, most_bytes }
    }

    /// An answer that still holds, and how old it is.
    pub fn get(&mut self, key: &Key, now: Moment) -> Option<(Arc<Response>, Duration)> {
        let found = self.young.get(key).or_else(|| self.old.get(key))?;
        let age = now.since(found.since);
        if age >= found.response.lifetime() {
            return None;
        }
        let found = found.clone();
        if let Some((key, kept)) = self.old.remove_entry(key) {
            self.insert(key, kept);
        }
        Some((found.response, age))
    }

    /// Keeps an answer, if it may be kept.
    pub fn put(&mut self, key: Key, response: Arc<Response>, now: Moment) {
        if response.lifetime().is_zero() {
            return;
        }
        self.old.remove(&key);
        self.insert(key, Kept { response, since: now });
    }

    /// Forgets everything: the servers are others.
    pub fn clear(&mut self) {
        *self = Cache::new(self.most_bytes);
    }

    /// How many answers it has, also those that hold no longer.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn insert(&mut self, key: Key, kept: Kept) {
        let size = |key: &Key, kept: &Kept| OVERHEAD + key.name.labels().len() + kept.response.size();
        let more = size(&key, &kept);
        if more > self.most_bytes / 2 {
            return;
        }
        if let Some((key, before)) = self.young.remove_entry(&key) {
            self.bytes -= size(&key, &before);
        }
        if self.bytes + more > self.most_bytes / 2 {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes += more;
        self.young.insert(key, kept);
    }
}
