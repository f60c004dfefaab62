//! Take-overs: what the host had on a network card before a bridge took it over, and until when it may be confirmed.

use crate::disk::{self, Durability};
use crate::key::{json_in, stem};
use crate::versioned::{from_json, to_json};
use crate::{ExclusiveHost, Store, StoreError};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use zubi_model::{ByDhcp, Holdings, NetworkName};

/// A card that a bridge takes over or has taken over. As long as the network is in `making/` as well, it is not
/// confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakeOverRecord {
    /// The network.
    pub network: NetworkName,
    /// What the host had on the card.
    pub before: Holdings,
    /// The end of the time to confirm it, in nanoseconds of the boot clock. Absent while the bridge takes over, and when
    /// it is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// The host's own lease, when zubi renews it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<ByDhcp>,
}

/// A card that went back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WentBack {
    /// The network that is gone.
    pub network: NetworkName,
    /// The reason, in words.
    pub why: String,
    /// Seconds since 1970.
    pub at: u64,
}

impl Store {
    /// The take-over of a network.
    pub fn takeover(&self, network: &NetworkName) -> Result<Option<TakeOverRecord>, StoreError> {
        let path = self.takeover_path(network);
        disk::read(&path)?.map(|content| from_json(&path, &content)).transpose()
    }

    /// All take-overs that can be read, and the errors of the others.
    pub fn takeovers_lossy(&self) -> (Vec<TakeOverRecord>, Vec<StoreError>) {
        let folder = self.takeovers_folder();
        disk::read_each(&folder, |file| match stem(file).and_then(|stem| stem.parse().ok()) {
            Some(name) => self.takeover(&name),
            None => Err(StoreError::unreadable(&folder.join(file), "is not named as NETWORK.json")),
        })
    }

    /// Records a take-over before its first effect, or what becomes of it.
    pub fn write_takeover(&self, _host: &ExclusiveHost, record: &TakeOverRecord) -> Result<(), StoreError> {
        let path = self.takeover_path(&record.network);
        self.disk.replace(&path, &to_json(&path, record)?, Durability::Boot)
    }

    /// Removes the record when the card has everything back.
    pub fn remove_takeover(&self, _host: &ExclusiveHost, network: &NetworkName) -> Result<(), StoreError> {
        self.disk.remove(&self.takeover_path(network), Durability::Boot)?;
        Ok(())
    }

    /// Remembers why a card went back, for the next `check`.
    pub fn write_went_back(&self, record: &WentBack) -> Result<(), StoreError> {
        let path = self.went_back_path(&record.network);
        self.disk.replace(&path, &to_json(&path, record)?, Durability::Boot)
    }

    /// The cards that went back lately.
    pub fn went_back_lossy(&self) -> Vec<WentBack> {
        let folder = self.disk.run().join("went-back");
        let read = |file: &str| {
            let path = folder.join(file);
            disk::read(&path)?.map(|content| from_json(&path, &content)).transpose()
        };
        // Only words are lost with a file that cannot be read.
        disk::read_each(&folder, read).0
    }

    /// Forgets why the card of a network went back.
    pub fn forget_went_back(&self, network: &NetworkName) -> Result<(), StoreError> {
        self.disk.remove(&self.went_back_path(network), Durability::Boot)?;
        Ok(())
    }

    fn takeovers_folder(&self) -> PathBuf {
        self.disk.run().join("takeovers")
    }

    fn takeover_path(&self, network: &NetworkName) -> PathBuf {
        json_in(&self.takeovers_folder(), network.as_str())
    }

    fn went_back_path(&self, network: &NetworkName) -> PathBuf {
        json_in(&self.disk.run().join("went-back"), network.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::{Scratch, alone};

    #[test]
    fn a_takeover_is_recorded_until_the_card_has_everything_back() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let host = alone(&store);
        let network: NetworkName = "lan".parse().unwrap();
        assert_eq!(store.takeover(&network).unwrap(), None);
        let record =
            TakeOverRecord { network: network.clone(), before: Holdings::default(), until: Some(7), lease: None };
        store.write_takeover(&host, &record).unwrap();
        assert_eq!(store.takeover(&network).unwrap(), Some(record.clone()));
        assert_eq!(store.takeovers_lossy().0, [record]);
        store.remove_takeover(&host, &network).unwrap();
        store.remove_takeover(&host, &network).unwrap();
        assert!(store.takeovers_lossy().0.is_empty());
    }

    #[test]
    fn the_reason_of_a_return_is_kept_until_it_is_forgotten() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let lan = WentBack { network: "lan".parse().unwrap(), why: "was not confirmed in time".into(), at: 9 };
        store.write_went_back(&lan).unwrap();
        assert_eq!(store.went_back_lossy(), std::slice::from_ref(&lan));
        store.forget_went_back(&lan.network).unwrap();
        assert!(store.went_back_lossy().is_empty());
    }
}
