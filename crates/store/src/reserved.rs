//! Addresses that somebody has for a device that is none of ours: what is asked of zubi is the address alone.
//!
//! A link per address, named after it, that says whose it is; and one per owner that says which they are. The owner's is
//! written first and removed last, so that whoever is killed in between can be cleaned up after by the owner's name.

use crate::disk;
use crate::{Lock, Mode, Store, StoreError};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use zubi_model::NetworkName;

/// Nobody else chooses addresses of the network meanwhile.
#[derive(Debug)]
pub struct ReservedLock(#[expect(dead_code, reason = "held, never read")] Lock);

impl Store {
    /// Waits until nobody else chooses.
    pub fn lock_reserved(&self, network: &NetworkName) -> Result<ReservedLock, StoreError> {
        let path = self.lock_path(&format!("reserved-{network}"));
        self.lock(&path, Mode::Exclusive).map(ReservedLock)
    }

    /// Whether an address is anybody's.
    pub fn is_reserved(&self, network: &NetworkName, address: IpAddr) -> Result<bool, StoreError> {
        disk::is_there(&self.reserved_path(network, address))
    }

    /// Whose an address is.
    pub fn reserver(&self, network: &NetworkName, address: IpAddr) -> Result<Option<String>, StoreError> {
        target(&self.reserved_path(network, address))
    }

    /// What somebody has.
    pub fn reserved_by(&self, network: &NetworkName, owner: &str) -> Result<Option<Vec<IpAddr>>, StoreError> {
        let path = self.reserver_path(network, owner);
        let Some(list) = target(&path)? else { return Ok(None) };
        let unreadable = || StoreError::unreadable(&path, "is no list of addresses");
        list.split(',').map(|word| word.parse().map_err(|_| unreadable())).collect::<Result<_, _>>().map(Some)
    }

    /// Everybody who has anything.
    pub fn reservers(&self, network: &NetworkName) -> Result<Vec<String>, StoreError> {
        disk::list(&self.reserved_folder(network).join("by"))
    }

    /// Takes addresses that are nobody's.
    pub fn reserve(
        &self,
        network: &NetworkName,
        owner: &str,
        addresses: &[IpAddr],
        _held: &ReservedLock,
    ) -> Result<(), StoreError> {
        let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        self.disk.relink(&self.reserver_path(network, owner), &list.join(","))?;
        for address in addresses {
            self.disk.relink(&self.reserved_path(network, *address), owner)?;
        }
        Ok(())
    }

    /// Gives back what somebody has.
    pub fn unreserve(&self, network: &NetworkName, owner: &str, _held: &ReservedLock) -> Result<(), StoreError> {
        for address in self.reserved_by(network, owner)?.unwrap_or_default() {
            if self.reserver(network, address)?.as_deref() == Some(owner) {
                self.disk.remove(&self.reserved_path(network, address), disk::Durability::Boot)?;
            }
        }
        self.disk.remove(&self.reserver_path(network, owner), disk::Durability::Boot)?;
        Ok(())
    }

    /// The address that was given last of a set of pools.
    pub fn reserved_cursor(&self, network: &NetworkName, set: usize) -> Result<Option<IpAddr>, StoreError> {
        let path = self.reserved_folder(network).join(format!(".cursor.{set}"));
        // It only says where to look first.
        Ok(target(&path)?.and_then(|text| text.parse().ok()))
    }

    /// Says which address was given last of a set of pools.
    pub fn set_reserved_cursor(&self, network: &NetworkName, set: usize, address: IpAddr) -> Result<(), StoreError> {
        self.disk.relink(&self.reserved_folder(network).join(format!(".cursor.{set}")), &address.to_string())
    }

    fn reserved_folder(&self, network: &NetworkName) -> PathBuf {
        self.disk.run().join("reserved").join(network.as_str())
    }

    fn reserved_path(&self, network: &NetworkName, address: IpAddr) -> PathBuf {
        self.reserved_folder(network).join(address.to_string())
    }

    fn reserver_path(&self, network: &NetworkName, owner: &str) -> PathBuf {
        self.reserved_folder(network).join("by").join(owner)
    }
}

fn target(path: &Path) -> Result<Option<String>, StoreError> {
    match std::fs::read_link(path) {
        Ok(target) => Ok(Some(target.to_string_lossy().into_owned())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(disk::failed("read", path)(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn what_is_reserved_is_its_owners_until_it_is_given_back() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let blue: NetworkName = "cni:blue".parse().unwrap();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let held = store.lock_reserved(&blue).unwrap();
        assert_eq!(store.reserved_by(&blue, "c1@eth0").unwrap(), None);
        store.reserve(&blue, "c1@eth0", &[ip("10.0.0.2"), ip("fd00::2")], &held).unwrap();
        assert!(
            store.is_reserved(&blue, ip("10.0.0.2")).unwrap() && !store.is_reserved(&blue, ip("10.0.0.3")).unwrap()
        );
        assert_eq!(store.reserver(&blue, ip("fd00::2")).unwrap().as_deref(), Some("c1@eth0"));
        assert_eq!(store.reservers(&blue).unwrap(), ["c1@eth0"]);
        store.unreserve(&blue, "c2@eth0", &held).unwrap();
        store.unreserve(&blue, "c1@eth0", &held).unwrap();
        store.unreserve(&blue, "c1@eth0", &held).unwrap();
        assert!(!store.is_reserved(&blue, ip("10.0.0.2")).unwrap() && store.reservers(&blue).unwrap().is_empty());
    }

    #[test]
    fn each_set_has_its_cursor() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let blue: NetworkName = "cni:blue".parse().unwrap();
        store.set_reserved_cursor(&blue, 1, "10.0.0.9".parse().unwrap()).unwrap();
        assert_eq!(store.reserved_cursor(&blue, 0).unwrap(), None);
        assert_eq!(store.reserved_cursor(&blue, 1).unwrap(), Some("10.0.0.9".parse().unwrap()));
    }
}
