//! Stale addresses: released addresses whose connections the kernel may still track. Finding these takes the kernel 5
//! ms (it goes through its whole hash table), so a detached child does it, or the next attach with that address.
//!
//! Each has an empty file named `ADDRESS@NETWORK`: two networks may have the same addresses if the host routes neither.

use crate::disk::{self, Durability};
use crate::{Store, StoreError};
use std::net::IpAddr;
use std::path::PathBuf;
use zubi_model::NetworkName;

impl Store {
    /// Marks an address. Its lease is released afterwards.
    pub fn mark_stale(&self, network: &NetworkName, address: IpAddr) -> Result<(), StoreError> {
        self.disk.replace(&self.stale_path(network, address), b"", Durability::Boot)
    }

    /// Whether the kernel may still track connections of an address.
    pub fn is_stale(&self, network: &NetworkName, address: IpAddr) -> Result<bool, StoreError> {
        disk::exists(&self.stale_path(network, address))
    }

    /// Removes the mark: no connection is left.
    pub fn unmark_stale(&self, network: &NetworkName, address: IpAddr) -> Result<(), StoreError> {
        self.disk.remove(&self.stale_path(network, address), Durability::Boot)?;
        Ok(())
    }

    /// All stale addresses, each with its network, and the errors of files with other names.
    pub fn stale_lossy(&self) -> (Vec<(IpAddr, NetworkName)>, Vec<StoreError>) {
        let folder = self.stale_folder();
        disk::read_each(&folder, |file| {
            let read = || {
                let (address, network) = file.split_once('@')?;
                Some((address.parse().ok()?, network.parse().ok()?))
            };
            let misnamed = || StoreError::unreadable(&folder.join(file), "is not named as ADDRESS@NETWORK");
            read().map(Some).ok_or_else(misnamed)
        })
    }

    fn stale_folder(&self) -> PathBuf {
        self.disk.run().join("stale")
    }

    fn stale_path(&self, network: &NetworkName, address: IpAddr) -> PathBuf {
        self.stale_folder().join(format!("{address}@{network}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_stale_address_is_listed_until_it_is_unmarked() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let (blue, green): (NetworkName, NetworkName) = ("blue".parse().unwrap(), "green".parse().unwrap());
        let (a, b): (IpAddr, IpAddr) = ("10.55.66.2".parse().unwrap(), "fd00::2".parse().unwrap());
        assert!(store.stale_lossy().0.is_empty());
        store.mark_stale(&blue, a).unwrap();
        store.mark_stale(&blue, a).unwrap();
        store.mark_stale(&green, b).unwrap();
        assert!(store.is_stale(&blue, a).unwrap() && store.is_stale(&green, b).unwrap());
        std::fs::write(scratch.path("run/stale/10.55.66.3"), "blue").unwrap();
        let (good, bad) = store.stale_lossy();
        assert_eq!(good, [(a, blue.clone()), (b, green.clone())]);
        assert!(bad.len() == 1 && bad[0].to_string().contains("stale/10.55.66.3: is not named as"), "{}", bad[0]);
        store.unmark_stale(&blue, a).unwrap();
        store.unmark_stale(&blue, a).unwrap();
        assert_eq!(store.stale_lossy().0, [(b, green)]);
    }

    #[test]
    fn networks_with_the_same_addresses_do_not_unmark_each_others() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let (a, b): (NetworkName, NetworkName) = ("cni:a".parse().unwrap(), "podman:b".parse().unwrap());
        let address: IpAddr = "10.55.66.2".parse().unwrap();
        store.mark_stale(&a, address).unwrap();
        assert!(!store.is_stale(&b, address).unwrap());
        store.unmark_stale(&b, address).unwrap();
        assert!(store.is_stale(&a, address).unwrap());
        assert_eq!(store.stale_lossy().0, [(address, a)]);
    }
}
