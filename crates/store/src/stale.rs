//! Addresses that were given back and of which the kernel may still remember connections. To look for these takes the
//! kernel long: it is left to a process that nobody waits for, or done when the address is given again before.

use crate::disk::{self, Durability};
use crate::{Store, StoreError};
use std::net::IpAddr;
use std::path::PathBuf;
use zubi_model::NetworkName;

impl Store {
    /// Says that connections of an address may be left. To be said before its lease is given back.
    pub fn mark_stale(&self, network: &NetworkName, address: IpAddr) -> Result<(), StoreError> {
        self.disk.replace(&self.stale_path(network, address), b"", Durability::Boot)
    }

    /// Whether connections of an address may be left.
    pub fn is_stale(&self, network: &NetworkName, address: IpAddr) -> Result<bool, StoreError> {
        disk::exists(&self.stale_path(network, address))
    }

    /// Says that none is left.
    pub fn unmark_stale(&self, network: &NetworkName, address: IpAddr) -> Result<(), StoreError> {
        let path = self.stale_path(network, address);
        if self.disk.remove(&path, Durability::Boot)? {
            self.disk.remove_if_empty(path.parent().unwrap_or(&path))?;
        }
        Ok(())
    }

    /// All such addresses, network by network.
    pub fn stale(&self) -> Result<Vec<(NetworkName, Vec<IpAddr>)>, StoreError> {
        let above = self.disk.run().join("stale");
        let mut all = Vec::new();
        for name in disk::list(&above)? {
            let path = above.join(&name);
            let misnamed = |path: PathBuf, expected: &str| StoreError::Unreadable {
                path,
                why: format!("is not named as {expected}"),
            };
            let network = name.parse().map_err(|_| misnamed(path.clone(), "a network"))?;
            let addresses: Result<Vec<IpAddr>, StoreError> = disk::list(&path)?
                .into_iter()
                .map(|file| file.parse().map_err(|_| misnamed(path.join(&file), "an address")))
                .collect();
            all.push((network, addresses?));
        }
        all.retain(|(_, addresses)| !addresses.is_empty());
        Ok(all)
    }

    fn stale_path(&self, network: &NetworkName, address: IpAddr) -> PathBuf {
        self.disk.run().join("stale").join(network.as_str()).join(address.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_stale_address_is_listed_until_it_is_clean() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let (blue, green): (NetworkName, NetworkName) = ("blue".parse().unwrap(), "green".parse().unwrap());
        let (a, b): (IpAddr, IpAddr) = ("10.55.66.2".parse().unwrap(), "fd00::2".parse().unwrap());
        assert!(store.stale().unwrap().is_empty());
        store.mark_stale(&blue, a).unwrap();
        store.mark_stale(&blue, a).unwrap();
        store.mark_stale(&green, b).unwrap();
        assert!(store.is_stale(&blue, a).unwrap() && !store.is_stale(&green, a).unwrap());
        assert_eq!(store.stale().unwrap(), [(blue.clone(), vec![a]), (green, vec![b])]);
        store.unmark_stale(&blue, a).unwrap();
        store.unmark_stale(&blue, a).unwrap();
        assert_eq!(store.stale().unwrap().len(), 1);
    }
}
