//! Questions that are on their way to other servers: each is asked once, however many wait for it.

use crate::inquiry::Key;
use std::collections::HashMap;
use std::net::IpAddr;

/// Who waits for which question. `W` is what the caller needs to answer one who waits.
#[derive(Debug)]
pub struct Flights<W> {
    waiting: HashMap<Key, Vec<(IpAddr, W)>>,
    /// How many questions each asker waits for.
    of_asker: HashMap<IpAddr, usize>,
    most: usize,
    most_of_asker: usize,
    all: usize,
}

/// What becomes of one who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boarding {
    /// The first: ask the server.
    First,
    /// The question is on its way: its answer is for this one too.
    Joined,
}

impl<W> Flights<W> {
    /// At most so many wait at a time, and so many questions of one asker, so that one who asks without end leaves
    /// room for others.
    pub fn new(most: usize, most_of_asker: usize) -> Self {
        Flights { waiting: HashMap::new(), of_asker: HashMap::new(), most, most_of_asker, all: 0 }
    }

    /// Lets one wait, or gives it back where too many wait.
    pub fn board(&mut self, key: &Key, asker: IpAddr, waiter: W) -> Result<Boarding, W> {
        let of_asker = self.of_asker.get(&asker).copied().unwrap_or(0);
        if self.all >= self.most || of_asker >= self.most_of_asker {
            return Err(waiter);
        }
        self.all += 1;
        *self.of_asker.entry(asker).or_default() += 1;
        if let Some(others) = self.waiting.get_mut(key) {
            others.push((asker, waiter));
            return Ok(Boarding::Joined);
        }
        self.waiting.insert(key.clone(), vec![(asker, waiter)]);
        Ok(Boarding::First)
    }

    /// Those who waited for a question; nobody does afterwards.
    pub fn land(&mut self, key: &Key) -> Vec<W> {
        let waited = self.waiting.remove(key).unwrap_or_default();
        self.all -= waited.len();
        for (asker, _) in &waited {
            let count = self.of_asker.get_mut(asker).map(|count| {
                *count -= 1;
                *count
            });
            if count == Some(0) {
                self.of_asker.remove(asker);
            }
        }
        waited.into_iter().map(|(_, waiter)| waiter).collect()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.all
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.all == 0
    }
}
