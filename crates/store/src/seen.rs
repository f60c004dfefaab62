//! What was last found in order in the kernel's firewall: a hint that spares looking again, never the truth.

use crate::disk::{self, Durability};
use crate::versioned::{from_json, to_json};
use crate::{Store, StoreError};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use zubi_model::NetworkId;

/// Hidden from listings: it is no record.
pub(crate) const FILE: &str = ".firewall-seen";

/// For which generation of the ruleset everything of these networks was there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallSeen {
    /// The kernel's number.
    pub generation: u32,
    /// The networks.
    pub networks: Vec<NetworkId>,
}

impl Store {
    /// What was remembered last. One that cannot be read is none.
    pub fn firewall_seen(&self) -> Result<Option<FirewallSeen>, StoreError> {
        let path = self.seen_path();
        Ok(disk::read(&path)?.and_then(|content| from_json(&path, &content).ok()))
    }

    /// Remembers it instead of what was remembered before.
    pub fn remember_firewall(&self, seen: &FirewallSeen) -> Result<(), StoreError> {
        let path = self.seen_path();
        self.disk.replace(&path, &to_json(&path, seen)?, Durability::Hint)
    }

    /// Forgets it.
    pub fn forget_firewall(&self) -> Result<(), StoreError> {
        self.disk.remove(&self.seen_path(), Durability::Hint).map(drop)
    }

    fn seen_path(&self) -> PathBuf {
        self.disk.run().join(FILE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::{Scratch, host, network};
    use std::fs;

    #[test]
    fn what_was_seen_is_read_back_and_forgotten_with_the_boot() {
        let scratch = Scratch::new();
        let store = scratch.store();
        assert_eq!(store.firewall_seen().unwrap(), None);
        for networks in [vec![], vec![network("blue").id, network("green").id]] {
            let seen = FirewallSeen { generation: 7, networks };
            store.remember_firewall(&seen).unwrap();
            assert_eq!(store.firewall_seen().unwrap(), Some(seen));
        }
        let next = Store::open(scratch.dirs(), host("boot-2", 1)).unwrap();
        assert_eq!(next.firewall_seen().unwrap(), None);
    }

    #[test]
    fn what_cannot_be_read_is_nothing() {
        let scratch = Scratch::new();
        let store = scratch.store();
        for nonsense in ["", "7", "{}", "{\"version\":1,\"generation\":-1,\"networks\":[]}", "\u{fffd}"] {
            fs::write(scratch.path("run").join(FILE), nonsense).unwrap();
            assert_eq!(store.firewall_seen().unwrap(), None, "{nonsense:?}");
        }
        store.forget_firewall().unwrap();
        store.forget_firewall().unwrap();
        assert!(!scratch.path("run").join(FILE).exists());
    }
}
