//! Records of followed sandboxes. They outlive the boot.

use crate::disk::{self, Durability};
use crate::key::json_in;
use crate::name::file_name;
use crate::versioned::{from_json, to_json};
use crate::{HostLock, Store, StoreError};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use zubi_model::{Endpoint, Followed, NetworkName};

#[derive(Serialize, Deserialize)]
struct Record<F> {
    followed: F,
}

impl Store {
    /// From now on a sandbox is followed, with this endpoint.
    pub fn write_followed(&self, _host: &HostLock, followed: &Followed) -> Result<(), StoreError> {
        self.replace_followed(followed)
    }

    /// The record of a followed sandbox of a network, by its full name.
    pub fn followed(&self, network: &NetworkName, spelled: &str) -> Result<Option<Followed>, StoreError> {
        let path = self.followed_path(network, spelled);
        // A long name has its hash as its file's name.
        Ok(read(&path)?.filter(|known| known.sandbox() == spelled && known.endpoint.network == *network))
    }

    /// The sandbox is not followed any more. It may not have been.
    pub fn remove_followed(&self, _host: &HostLock, network: &NetworkName, spelled: &str) -> Result<(), StoreError> {
        self.disk.remove(&self.followed_path(network, spelled), Durability::Forever)?;
        Ok(())
    }

    /// All followed sandboxes that can be read, and the errors of the others.
    pub fn all_followed_lossy(&self) -> (Vec<Followed>, Vec<StoreError>) {
        let folder = self.followed_folder();
        disk::read_each(&folder, |file| {
            let path = folder.join(file);
            let Some(followed) = read(&path)? else { return Ok(None) };
            let network = &followed.endpoint.network;
            if self.followed_path(network, followed.sandbox()) != path {
                let why = format!("holds {} on network {network}", followed.sandbox());
                return Err(StoreError::unreadable(&path, &why));
            }
            Ok(Some(followed))
        })
    }

    /// The record follows a change of its endpoint.
    pub(crate) fn update_followed(&self, endpoint: &Endpoint) -> Result<(), StoreError> {
        let path = self.followed_path(&endpoint.network, &endpoint.sandbox.spelled);
        // Most endpoints are not followed.
        if !disk::exists(&path)? {
            return Ok(());
        }
        match self.followed(&endpoint.network, &endpoint.sandbox.spelled)? {
            Some(followed) if followed.endpoint.id == endpoint.id => {
                self.replace_followed(&Followed { endpoint: endpoint.clone() })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn followed_folder(&self) -> PathBuf {
        self.disk.state().join("followed")
    }

    fn replace_followed(&self, followed: &Followed) -> Result<(), StoreError> {
        let path = self.followed_path(&followed.endpoint.network, followed.sandbox());
        self.disk.replace(&path, &to_json(&path, &Record { followed })?, Durability::Forever)
    }

    fn followed_path(&self, network: &NetworkName, spelled: &str) -> PathBuf {
        // A network's name has no `@`.
        json_in(&self.followed_folder(), &file_name(&format!("{network}@{spelled}")))
    }
}

fn read(path: &Path) -> Result<Option<Followed>, StoreError> {
    let Some(content) = disk::read(path)? else { return Ok(None) };
    Ok(Some(from_json::<Record<Followed>>(path, &content)?.followed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::{Scratch, endpoint};

    #[test]
    fn a_followed_sandbox_is_found_by_its_name_until_it_is_removed() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let host = store.lock_host().unwrap();
        let long = format!("docker:{}", "x".repeat(250));
        for spelled in ["docker:web", long.as_str()] {
            let followed = Followed { endpoint: endpoint(5, "blue", spelled) };
            let blue = &followed.endpoint.network;
            assert_eq!(store.followed(blue, spelled).unwrap(), None);
            store.write_followed(&host, &followed).unwrap();
            assert_eq!(store.followed(blue, spelled).unwrap(), Some(followed.clone()));
            assert_eq!(store.all_followed_lossy().0, std::slice::from_ref(&followed));
            store.remove_followed(&host, blue, spelled).unwrap();
            store.remove_followed(&host, blue, spelled).unwrap();
            assert!(store.all_followed_lossy().0.is_empty());
        }
    }

    #[test]
    fn a_change_of_the_endpoint_is_a_change_of_the_record() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let host = store.lock_host().unwrap();
        let mut e = endpoint(5, "blue", "docker:web");
        store.begin_attach(&e, None).unwrap();
        store.finish_attach(&e.key()).unwrap();
        store.write_followed(&host, &Followed { endpoint: e.clone() }).unwrap();
        e.aliases = vec!["db".parse().unwrap()];
        store.update_endpoint(&e).unwrap();
        assert_eq!(store.followed(&e.network, "docker:web").unwrap().unwrap().endpoint.aliases, e.aliases);
        // The endpoint that another sandbox of that name has is another one.
        let other = Endpoint { id: "ef".repeat(32).parse().unwrap(), aliases: Vec::new(), ..e.clone() };
        store.update_endpoint(&other).unwrap();
        assert_eq!(store.followed(&e.network, "docker:web").unwrap().unwrap().endpoint.aliases, e.aliases);
    }
}
