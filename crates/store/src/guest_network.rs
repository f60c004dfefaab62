//! Networks of container engines that are zubi networks.

use crate::disk::{self, Durability};
use crate::key::{json_in, stem};
use crate::versioned::{from_json, to_json};
use crate::{HostLock, Store, StoreError};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use zubi_model::{GuestNetwork, NetworkId};

#[derive(Serialize, Deserialize)]
struct Record<G> {
    guest: G,
}

impl Store {
    /// The one with the engine's number.
    pub fn guest_network(&self, id: &NetworkId) -> Result<Option<GuestNetwork>, StoreError> {
        let path = self.guest_network_path(id);
        let record: Option<Record<GuestNetwork>> =
            disk::read(&path)?.map(|content| from_json(&path, &content)).transpose()?;
        Ok(record.map(|record| record.guest))
    }

    /// All that can be read, and the errors of the others.
    pub fn guest_networks_lossy(&self) -> (Vec<GuestNetwork>, Vec<StoreError>) {
        let folder = self.guest_networks_folder();
        disk::read_each(&folder, |file| match stem(file).and_then(|stem| stem.parse().ok()) {
            Some(id) => self.guest_network(&id),
            None => Err(StoreError::unreadable(&folder.join(file), "is not named as NETWORK-ID.json")),
        })
    }

    /// Records one, or what changed of it.
    pub fn write_guest_network(&self, _host: &HostLock, guest: &GuestNetwork) -> Result<(), StoreError> {
        let path = self.guest_network_path(&guest.id);
        self.disk.replace(&path, &to_json(&path, &Record { guest })?, Durability::Forever)
    }

    /// Removes the record. Succeeds if there is none.
    pub fn remove_guest_network(&self, _host: &HostLock, id: &NetworkId) -> Result<(), StoreError> {
        self.disk.remove(&self.guest_network_path(id), Durability::Forever)?;
        Ok(())
    }

    fn guest_networks_folder(&self) -> PathBuf {
        self.disk.state().join("guests")
    }

    fn guest_network_path(&self, id: &NetworkId) -> PathBuf {
        json_in(&self.guest_networks_folder(), id.as_str())
    }
}
