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
        self.disk.replace(&self.stale_path(address), format!("{network}\n").as_bytes(), Durability::Boot)
    }

    /// Whether connections of an address may be left. (No two networks have one address.)
    pub fn is_stale(&self, address: IpAddr) -> Result<bool, StoreError> {
        disk::exists(&self.stale_path(address))
    }

    /// Says that none is left.
    pub fn unmark_stale(&self, address: IpAddr) -> Result<(), StoreError> {
        self.disk.remove(&self.stale_path(address), Durability::Boot)?;
        Ok(())
    }

    /// All such addresses, each with the network it was of.
    pub fn stale(&self) -> Result<Vec<(IpAddr, NetworkName)>, StoreError> {
        let folder = self.disk.run().join("stale");
        let mut all = Vec::new();
        for name in disk::list(&folder)? {
            let path = folder.join(&name);
            let Some(content) = disk::read(&path)? else { continue };
            let network = String::from_utf8_lossy(&content).trim().parse();
            let (Ok(address), Ok(network)) = (name.parse(), network) else {
                let why = "is not named as an address, or does not hold the name of a network".into();
                return Err(StoreError::Unreadable { path, why });
            };
            all.push((address, network));
        }
        Ok(all)
    }

    fn stale_path(&self, address: IpAddr) -> PathBuf {
        self.disk.run().join("stale").join(address.to_string())
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
        assert!(store.is_stale(a).unwrap() && store.is_stale(b).unwrap());
        assert_eq!(store.stale().unwrap(), [(a, blue), (b, green.clone())]);
        store.unmark_stale(a).unwrap();
        store.unmark_stale(a).unwrap();
        assert_eq!(store.stale().unwrap(), [(b, green)]);
    }
}
