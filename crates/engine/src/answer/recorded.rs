//! What the records say, for a process that follows them. Nothing is locked and no kernel is asked: a record is complete
//! before it is visible.

use crate::engine::Engine;
use crate::error::Error;
use crate::shared::Shared;
use std::path::PathBuf;
use zubi_model::{Endpoint, EndpointKey, Network, NetworkName};
use zubi_store::StoreError;

/// The records of networks and attached endpoints, as they are when they are read.
#[derive(Debug, Clone, Copy)]
pub struct Recorded<'a> {
    shared: &'a Shared,
}

impl Engine {
    /// The records.
    pub fn recorded(&self) -> Recorded<'_> {
        Recorded { shared: self.shared() }
    }
}

impl Recorded<'_> {
    /// A network; `None` if there is none of that name.
    pub fn network(self, name: &NetworkName) -> Result<Option<Network>, Error> {
        Ok(self.shared.store.network(name)?)
    }

    /// An attached endpoint; `None` if it is not attached.
    pub fn endpoint(self, key: &EndpointKey) -> Result<Option<Endpoint>, Error> {
        Ok(self.shared.store.endpoint(key)?)
    }

    /// All networks, and why some cannot be read.
    pub fn networks(self) -> (Vec<Network>, Vec<StoreError>) {
        self.shared.store.networks_lossy()
    }

    /// All attached endpoints, and why some cannot be read.
    pub fn endpoints(self) -> (Vec<Endpoint>, Vec<StoreError>) {
        self.shared.store.all_endpoints_lossy()
    }

    /// The folder in which a watcher sees that the endpoints of a sandbox change while they are attached.
    pub fn folder_of(self, key: &EndpointKey) -> PathBuf {
        self.shared.store.endpoints_folder(key.cookie)
    }
}
