//! Whose the addresses and MACs of a network are.
//!
//! One link each, so that neither claiming nor asking depends on how many there are.

use crate::disk::{self, Durability};
use crate::owned::{self, Claim};
use crate::{Store, StoreError};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use zubi_model::{EndpointKey, Family, Mac, NetworkName};

impl Store {
    /// Takes an address for an endpoint.
    pub fn claim(&self, network: &NetworkName, address: IpAddr, by: &EndpointKey) -> Result<Claim, StoreError> {
        owned::claim(&self.disk, &self.lease_path(network, address), by)
    }

    /// Gives an address back. One that is free already or another's is left alone.
    pub fn release(&self, network: &NetworkName, address: IpAddr, by: &EndpointKey) -> Result<(), StoreError> {
        owned::release(&self.disk, &self.lease_path(network, address), by)
    }

    /// Whose an address is.
    pub fn lease_owner(&self, network: &NetworkName, address: IpAddr) -> Result<Option<EndpointKey>, StoreError> {
        owned::owner(&self.lease_path(network, address))
    }

    /// Whether an address is anybody's: cheaper than to ask whose.
    pub fn is_leased(&self, network: &NetworkName, address: IpAddr) -> Result<bool, StoreError> {
        owned::is_owned(&self.lease_path(network, address))
    }

    /// All addresses of a network that are somebody's, in order; fails when one cannot be read.
    pub fn leases(&self, network: &NetworkName) -> Result<Vec<(IpAddr, EndpointKey)>, StoreError> {
        all_or_first_error(self.leases_lossy(network))
    }

    /// All addresses of a network that can be read and are somebody's, in order, and what is wrong with the others.
    pub fn leases_lossy(&self, network: &NetworkName) -> (Vec<(IpAddr, EndpointKey)>, Vec<StoreError>) {
        all_owned(&self.leases_folder(network), "an address")
    }

    /// Takes a MAC for an endpoint.
    pub fn claim_mac(&self, network: &NetworkName, mac: Mac, by: &EndpointKey) -> Result<Claim, StoreError> {
        owned::claim(&self.disk, &self.mac_path(network, mac), by)
    }

    /// Gives a MAC back. One that is free already or another's is left alone.
    pub fn release_mac(&self, network: &NetworkName, mac: Mac, by: &EndpointKey) -> Result<(), StoreError> {
        owned::release(&self.disk, &self.mac_path(network, mac), by)
    }

    /// Whose a MAC is.
    pub fn mac_owner(&self, network: &NetworkName, mac: Mac) -> Result<Option<EndpointKey>, StoreError> {
        owned::owner(&self.mac_path(network, mac))
    }

    /// All MACs of a network that are somebody's, in order; fails when one cannot be read.
    pub fn macs(&self, network: &NetworkName) -> Result<Vec<(Mac, EndpointKey)>, StoreError> {
        all_or_first_error(self.macs_lossy(network))
    }

    /// All MACs of a network that can be read and are somebody's, in order, and what is wrong with the others.
    pub fn macs_lossy(&self, network: &NetworkName) -> (Vec<(Mac, EndpointKey)>, Vec<StoreError>) {
        all_owned(&self.macs_folder(network), "a MAC")
    }

    /// Remembers that an address was known under another MAC than is made from it, for whoever gets it next.
    pub fn mark_other_mac(&self, network: &NetworkName, address: IpAddr) -> Result<(), StoreError> {
        self.disk.replace(&self.other_mac_path(network, address), b"", Durability::Boot)
    }

    /// Whether neighbours may know an address under another MAC than is made from it.
    pub fn had_other_mac(&self, network: &NetworkName, address: IpAddr) -> Result<bool, StoreError> {
        disk::exists(&self.other_mac_path(network, address))
    }

    /// The neighbours know better now.
    pub fn unmark_other_mac(&self, network: &NetworkName, address: IpAddr) -> Result<(), StoreError> {
        self.disk.remove(&self.other_mac_path(network, address), Durability::Boot)?;
        Ok(())
    }

    fn other_mac_path(&self, network: &NetworkName, address: IpAddr) -> PathBuf {
        self.macs_folder(network).join(format!(".other-{address}"))
    }

    /// Whether a network can have this many endpoints: cheaper than to count them, and never wrong with a no. Every
    /// attached sandbox has a folder, and a folder counts those in it by its links; where a file system does not do that
    /// (its folders have one link), only counting tells.
    pub fn may_have(&self, endpoints: usize) -> Result<bool, StoreError> {
        let folder = self.disk.run().join("endpoints");
        match std::fs::metadata(&folder) {
            Ok(m) if m.nlink() >= 2 => Ok(m.nlink() - 2 >= endpoints as u64),
            Ok(_) => Ok(true),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(disk::failed("look at", &folder)(e)),
        }
    }

    /// How many MACs of a network are somebody's: one for each of its endpoints.
    pub fn count_macs(&self, network: &NetworkName) -> Result<usize, StoreError> {
        disk::list(&self.macs_folder(network)).map(|names| names.len())
    }

    /// The address that was given last, of the first set of pools of its family or of a further one. It only says where to look first, so one that makes no sense counts as
    /// none.
    pub fn cursor(&self, network: &NetworkName, family: Family, set: usize) -> Result<Option<IpAddr>, StoreError> {
        let target = std::fs::read_link(self.cursor_path(network, family, set)).ok();
        let address = target.and_then(|t| t.to_str()?.parse().ok());
        Ok(address.filter(|a| Family::of(*a) == family))
    }

    /// Says which address was given last of a set of pools of its family.
    pub fn set_cursor(&self, network: &NetworkName, set: usize, address: IpAddr) -> Result<(), StoreError> {
        let path = self.cursor_path(network, Family::of(address), set);
        self.disk.relink(&path, &address.to_string())
    }

    /// Whether a network has no endpoint, not even a pending one: cheaper than to read their records.
    pub fn is_empty(&self, network: &NetworkName) -> Result<bool, StoreError> {
        disk::is_empty(&self.macs_folder(network))
    }

    fn leases_folder(&self, network: &NetworkName) -> PathBuf {
        self.disk.run().join("leases").join(network.as_str())
    }

    fn macs_folder(&self, network: &NetworkName) -> PathBuf {
        self.disk.run().join("macs").join(network.as_str())
    }

    fn lease_path(&self, network: &NetworkName, address: IpAddr) -> PathBuf {
        self.leases_folder(network).join(address.to_string())
    }

    fn mac_path(&self, network: &NetworkName, mac: Mac) -> PathBuf {
        self.macs_folder(network).join(mac.to_string())
    }

    fn cursor_path(&self, network: &NetworkName, family: Family, set: usize) -> PathBuf {
        let name = match family {
            Family::V4 => ".cursor4",
            Family::V6 => ".cursor6",
        };
        let folder = self.leases_folder(network);
        if set == 0 { folder.join(name) } else { folder.join(format!("{name}.{set}")) }
    }
}

type Owned<T> = (Vec<(T, EndpointKey)>, Vec<StoreError>);

fn all_owned<T: FromStr + Ord>(folder: &Path, expected: &str) -> Owned<T> {
    let (mut all, bad) = disk::read_each(folder, |name| {
        let path = folder.join(name);
        let misnamed = |_| StoreError::unreadable(&path, &format!("is not named as {expected}"));
        let thing = name.parse().map_err(misnamed)?;
        Ok(owned::owner(&path)?.map(|owner| (thing, owner)))
    });
    all.sort_unstable();
    (all, bad)
}

fn all_or_first_error<T>((all, bad): Owned<T>) -> Result<Vec<(T, EndpointKey)>, StoreError> {
    bad.into_iter().next().map_or(Ok(all), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::{Scratch, key};
    use std::collections::BTreeSet;
    use std::fs;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_lease_is_one_owners_until_that_one_releases_it() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let blue: NetworkName = "blue".parse().unwrap();
        let (a, b) = (key(5, "blue"), key(6, "blue"));
        for address in [ip("10.55.66.2"), ip("fd00::1:2"), ip("::ffff:10.0.0.1")] {
            assert!(!store.is_leased(&blue, address).unwrap());
            assert_eq!(store.claim(&blue, address, &a).unwrap(), Claim::New);
            assert_eq!(store.claim(&blue, address, &a).unwrap(), Claim::Ours);
            assert_eq!(store.claim(&blue, address, &b).unwrap(), Claim::Taken { owner: a.clone() });
            store.release(&blue, address, &b).unwrap();
            assert_eq!(store.lease_owner(&blue, address).unwrap(), Some(a.clone()));
            assert!(store.is_leased(&blue, address).unwrap());
            store.release(&blue, address, &a).unwrap();
            store.release(&blue, address, &a).unwrap();
            assert_eq!(store.lease_owner(&blue, address).unwrap(), None);
        }
    }

    #[test]
    fn networks_do_not_share_leases_or_macs() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let (blue, green) = ("blue".parse().unwrap(), "green".parse().unwrap());
        let mac: Mac = "02:42:0a:00:00:02".parse().unwrap();
        assert_eq!(store.claim_mac(&blue, mac, &key(5, "blue")).unwrap(), Claim::New);
        assert_eq!(store.claim_mac(&green, mac, &key(5, "green")).unwrap(), Claim::New);
        let taken = store.claim_mac(&blue, mac, &key(6, "blue")).unwrap();
        assert!(!taken.is_held());
        assert_eq!(store.mac_owner(&blue, mac).unwrap(), Some(key(5, "blue")));
        assert_eq!(store.macs(&blue).unwrap(), [(mac, key(5, "blue"))]);
        store.release_mac(&blue, mac, &key(5, "blue")).unwrap();
        assert_eq!(store.mac_owner(&blue, mac).unwrap(), None);
    }

    #[test]
    fn each_family_has_its_cursor() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let blue: NetworkName = "blue".parse().unwrap();
        assert_eq!(store.cursor(&blue, Family::V4, 0).unwrap(), None);
        store.set_cursor(&blue, 0, ip("10.0.0.9")).unwrap();
        store.set_cursor(&blue, 0, ip("fd00::9")).unwrap();
        store.set_cursor(&blue, 0, ip("10.0.0.10")).unwrap();
        assert_eq!(store.cursor(&blue, Family::V4, 0).unwrap(), Some(ip("10.0.0.10")));
        assert_eq!(store.cursor(&blue, Family::V6, 0).unwrap(), Some(ip("fd00::9")));
        assert!(store.leases(&blue).unwrap().is_empty());
        let path = scratch.path("run/leases/blue/.cursor4");
        for nonsense in ["x", "10.0.0", "fd00::1", "\u{fffd}"] {
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink(nonsense, &path).unwrap();
            assert_eq!(store.cursor(&blue, Family::V4, 0).unwrap(), None);
        }
    }

    #[test]
    fn sixteen_at_once_get_distinct_addresses() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let blue: NetworkName = "blue".parse().unwrap();
        let won: Vec<Vec<IpAddr>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16)
                .map(|cookie| {
                    let (store, blue) = (&store, &blue);
                    scope.spawn(move || {
                        let address = |last: u8| IpAddr::from([10, 0, 0, last]);
                        let me = key(cookie, "blue");
                        (0..100).map(address).filter(|a| store.claim(blue, *a, &me).unwrap().is_held()).collect()
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        let distinct: BTreeSet<IpAddr> = won.iter().flatten().copied().collect();
        assert_eq!(won.iter().map(Vec::len).sum::<usize>(), 100);
        assert_eq!(distinct.len(), 100);
        let leases = store.leases(&blue).unwrap();
        assert!(leases.iter().all(|(a, owner)| won[owner.cookie.0 as usize].contains(a)));
        assert_eq!(leases.len(), 100);
    }

    #[test]
    fn a_lease_that_cannot_be_read_is_not_free() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let blue: NetworkName = "blue".parse().unwrap();
        let address = ip("10.0.0.2");
        store.claim(&blue, address, &key(5, "blue")).unwrap();
        store.claim(&blue, ip("10.0.0.3"), &key(6, "blue")).unwrap();
        let path = scratch.path("run/leases/blue/10.0.0.2");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "5.blue").unwrap();
        let refused = |store: &Store| {
            assert!(store.claim(&blue, address, &key(5, "blue")).is_err());
            assert!(store.release(&blue, address, &key(5, "blue")).is_err());
            assert!(store.leases(&blue).is_err());
            assert_eq!(store.leases_lossy(&blue).0.len(), 1);
            assert!(store.is_leased(&blue, address).unwrap());
        };
        refused(&store);
        assert_eq!(fs::read_to_string(&path).unwrap(), "5.blue");
        for target in ["5", "05.blue", "/etc/passwd", "x.blue"] {
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink(target, &path).unwrap();
            refused(&store);
            assert_eq!(fs::read_link(&path).unwrap().to_str(), Some(target));
        }
    }
}
