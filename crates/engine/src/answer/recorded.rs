//! What the records say, for a process that follows them. Nothing is locked and no kernel is asked: a record is complete
//! before it is visible.

use crate::engine::Engine;
use crate::error::Error;
use crate::session::Session;
use crate::shared::Shared;
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use zubi_model::{Endpoint, EndpointKey, Network, NetworkName};
use zubi_names::{Directory, Member, Name, Zone};
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

/// One address that a name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameFound {
    /// The network on which it does.
    pub network: NetworkName,
    /// The sandbox that has the address.
    pub sandbox: String,
    /// The address.
    pub address: IpAddr,
}

impl Session {
    /// Where a name leads on all networks, as their endpoints would hear it. No daemon is needed.
    pub fn find_name(&self, name: &Name) -> Result<Vec<NameFound>, Error> {
        let mut directory = Directory::new();
        for zone in self.store().networks()?.iter().filter_map(Zone::of) {
            directory.put_network(zone);
        }
        let endpoints = self.store().all_endpoints()?;
        for endpoint in &endpoints {
            directory.put_endpoint(Member::of(endpoint, &[]));
        }
        let spelled: HashMap<EndpointKey, &str> =
            endpoints.iter().map(|endpoint| (endpoint.key(), endpoint.sandbox.spelled.as_str())).collect();
        let found = directory.find(name).into_iter().map(|hit| NameFound {
            sandbox: spelled.get(&hit.key).copied().unwrap_or_default().to_owned(),
            network: hit.key.network,
            address: hit.address,
        });
        Ok(found.collect())
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
