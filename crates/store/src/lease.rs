//! Owners of the addresses and MACs of a network: endpoints and reservations.
//!
//! Each is a symbolic link, so the cost of a claim or a query does not depend on their number.
//!
//! # Crashes
//!
//! An owner's record is complete before its first lease exists, and is removed after its last one. So a killed command
//! leaves a record that names everything that it can have claimed. The record may also name addresses that it did not
//! claim, and that another owner has claimed since: a release therefore compares the owner.
//!
//! An endpoint that is attached by a reservation takes over the reservation's leases, each in one rename, after its
//! record is in `pending` and while the reservation's record still exists. At every moment each lease belongs to one of
//! the two. A killed command leaves both records. To undo it, the endpoint's leases go back to the reservation in the
//! same way, before the endpoint's record is removed. If the reservation is to end, its record is removed when the
//! endpoint is complete: [`Store::unreserve`] then finds no lease that is still the reservation's.

use crate::disk::{self, Durability};
use crate::owned::{self, Claim, TakeOver};
use crate::{LeaseOwner, LeasesLock, Store, StoreError};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use zubi_model::{Family, Mac, NetworkName};

/// Claims need the lock of the leases, which also names the network. A release does not: only a command that works for
/// the owner, under the lock of its sandbox, releases its leases.
impl Store {
    /// Claims an address.
    pub fn claim(&self, leases: &LeasesLock, address: IpAddr, by: &LeaseOwner) -> Result<Claim, StoreError> {
        owned::claim(&self.disk, &self.lease_path(leases.network(), address), by)
    }

    /// Releases an address. Does nothing if it is free or has another owner.
    pub fn release(&self, network: &NetworkName, address: IpAddr, by: &LeaseOwner) -> Result<(), StoreError> {
        owned::release(&self.disk, &self.lease_path(network, address), by)
    }

    /// Transfers an address from one owner to another.
    pub fn take_over(
        &self,
        leases: &LeasesLock,
        address: IpAddr,
        from: &LeaseOwner,
        to: &LeaseOwner,
    ) -> Result<TakeOver, StoreError> {
        owned::take_over(&self.disk, &self.lease_path(leases.network(), address), from, to)
    }

    /// The owner of an address.
    pub fn lease_owner(&self, network: &NetworkName, address: IpAddr) -> Result<Option<LeaseOwner>, StoreError> {
        owned::owner(&self.lease_path(network, address))
    }

    /// Whether an address has an owner. This is cheaper than [`Store::lease_owner`].
    pub fn is_leased(&self, network: &NetworkName, address: IpAddr) -> Result<bool, StoreError> {
        owned::is_owned(&self.lease_path(network, address))
    }

    /// All leases of a network by address; fails if one cannot be read.
    pub fn leases(&self, network: &NetworkName) -> Result<Vec<(IpAddr, LeaseOwner)>, StoreError> {
        all_or_first_error(self.leases_lossy(network))
    }

    /// All leases of a network that can be read, by address, and the errors of the others.
    pub fn leases_lossy(&self, network: &NetworkName) -> (Vec<(IpAddr, LeaseOwner)>, Vec<StoreError>) {
        all_owned(&self.leases_folder(network), "an address")
    }

    /// Claims a MAC.
    pub fn claim_mac(&self, leases: &LeasesLock, mac: Mac, by: &LeaseOwner) -> Result<Claim, StoreError> {
        owned::claim(&self.disk, &self.mac_path(leases.network(), mac), by)
    }

    /// Releases a MAC. Does nothing if it is free or has another owner.
    pub fn release_mac(&self, network: &NetworkName, mac: Mac, by: &LeaseOwner) -> Result<(), StoreError> {
        owned::release(&self.disk, &self.mac_path(network, mac), by)
    }

    /// Transfers a MAC from one owner to another.
    pub fn take_over_mac(
        &self,
        leases: &LeasesLock,
        mac: Mac,
        from: &LeaseOwner,
        to: &LeaseOwner,
    ) -> Result<TakeOver, StoreError> {
        owned::take_over(&self.disk, &self.mac_path(leases.network(), mac), from, to)
    }

    /// The owner of a MAC.
    pub fn mac_owner(&self, network: &NetworkName, mac: Mac) -> Result<Option<LeaseOwner>, StoreError> {
        owned::owner(&self.mac_path(network, mac))
    }

    /// All MACs of a network that have an owner, sorted; fails if one cannot be read.
    pub fn macs(&self, network: &NetworkName) -> Result<Vec<(Mac, LeaseOwner)>, StoreError> {
        all_or_first_error(self.macs_lossy(network))
    }

    /// All MACs of a network that have an owner and can be read, sorted, and the errors of the others.
    pub fn macs_lossy(&self, network: &NetworkName) -> (Vec<(Mac, LeaseOwner)>, Vec<StoreError>) {
        all_owned(&self.macs_folder(network), "a MAC")
    }

    /// Notes for the next owner of an address that neighbours know it under another MAC than the one derived from it.
    pub fn mark_other_mac(&self, network: &NetworkName, address: IpAddr) -> Result<(), StoreError> {
        self.disk.replace(&self.other_mac_path(network, address), b"", Durability::Boot)
    }

    /// Whether neighbours may know an address under another MAC than the one derived from it.
    pub fn had_other_mac(&self, network: &NetworkName, address: IpAddr) -> Result<bool, StoreError> {
        disk::exists(&self.other_mac_path(network, address))
    }

    /// Removes the note of [`Store::mark_other_mac`] after the address was announced with its MAC.
    pub fn unmark_other_mac(&self, network: &NetworkName, address: IpAddr) -> Result<(), StoreError> {
        self.disk.remove(&self.other_mac_path(network, address), Durability::Boot)?;
        Ok(())
    }

    fn other_mac_path(&self, network: &NetworkName, address: IpAddr) -> PathBuf {
        self.macs_folder(network).join(format!(".other-{address}"))
    }

    /// Whether a network may have this many endpoints. `false` is exact, `true` means: count them. It looks at one
    /// folder: each attached sandbox has a subfolder, and the folder has a link for each. On a file system that does
    /// not count these links (a folder has one link there) the answer is `true`.
    pub fn may_have(&self, endpoints: usize) -> Result<bool, StoreError> {
        let folder = self.disk.run().join("endpoints");
        match std::fs::metadata(&folder) {
            Ok(m) if m.nlink() >= 2 => Ok(m.nlink() - 2 >= endpoints as u64),
            Ok(_) => Ok(true),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(disk::failed("look at", &folder)(e)),
        }
    }

    /// The number of MACs of a network that belong to endpoints, which is the number of its endpoints.
    pub fn count_macs(&self, network: &NetworkName) -> Result<usize, StoreError> {
        let mut names = disk::list(&self.macs_folder(network))?;
        // Read the owners only if a MAC may be reserved.
        if self.has_reservations(network)? {
            names.retain(|name| self.is_of_endpoint(network, name));
        }
        Ok(names.len())
    }

    /// Whether a network has no endpoint, not even a pending one. This is cheaper than reading their records.
    /// Reservations do not count: they may exist without a record of the network.
    pub fn is_empty(&self, network: &NetworkName) -> Result<bool, StoreError> {
        Ok(!disk::any(&self.macs_folder(network), |name| self.is_of_endpoint(network, name))?)
    }

    /// Whether a MAC belongs to an endpoint. An owner that cannot be read counts as one.
    fn is_of_endpoint(&self, network: &NetworkName, mac: &str) -> bool {
        !matches!(owned::owner(&self.macs_folder(network).join(mac)), Ok(None | Some(LeaseOwner::Reservation(_))))
    }

    /// The last address chosen from a set of pools; the sets of each family are numbered. It is only where the next
    /// search starts, so a damaged one counts as none.
    pub fn cursor(&self, network: &NetworkName, family: Family, set: usize) -> Result<Option<IpAddr>, StoreError> {
        let target = std::fs::read_link(self.cursor_path(network, family, set)).ok();
        let address = target.and_then(|t| t.to_str()?.parse().ok());
        Ok(address.filter(|a| Family::of(*a) == family))
    }

    /// Notes the last address chosen from a set of pools of its family.
    pub fn set_cursor(&self, leases: &LeasesLock, set: usize, address: IpAddr) -> Result<(), StoreError> {
        let path = self.cursor_path(leases.network(), Family::of(address), set);
        self.disk.relink(&path, &address.to_string())
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

type Owned<T> = (Vec<(T, LeaseOwner)>, Vec<StoreError>);

fn all_owned<T: FromStr + Ord>(folder: &Path, expected: &str) -> Owned<T> {
    let (mut all, bad) = disk::read_each(folder, |name| {
        let path = folder.join(name);
        let misnamed = |_| StoreError::unreadable(&path, &format!("is not named as {expected}"));
        let thing = name.parse().map_err(misnamed)?;
        Ok(owned::owner(&path)?.map(|owner| (thing, owner)))
    });
    all.sort_unstable_by(|(a, _): &(T, _), (b, _)| a.cmp(b));
    (all, bad)
}

fn all_or_first_error<T>((all, bad): Owned<T>) -> Result<Vec<(T, LeaseOwner)>, StoreError> {
    bad.into_iter().next().map_or(Ok(all), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::{Scratch, endpoint, key, leases};
    use std::fs;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn of_endpoint(cookie: u64) -> LeaseOwner {
        LeaseOwner::Endpoint(key(cookie, "blue"))
    }

    fn of_reservation(owner: &str) -> LeaseOwner {
        LeaseOwner::Reservation(owner.into())
    }

    #[test]
    fn a_lease_has_one_owner_until_that_one_releases_it() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let blue: NetworkName = "blue".parse().unwrap();
        let held = leases(&store, "blue");
        for (a, b) in [(of_endpoint(5), of_endpoint(6)), (of_reservation("c1@eth0"), of_endpoint(5))] {
            for address in [ip("10.55.66.2"), ip("fd00::1:2"), ip("::ffff:10.0.0.1")] {
                assert!(!store.is_leased(&blue, address).unwrap());
                assert_eq!(store.claim(&held, address, &a).unwrap(), Claim::New);
                assert_eq!(store.claim(&held, address, &a).unwrap(), Claim::Ours);
                assert_eq!(store.claim(&held, address, &b).unwrap(), Claim::Taken { owner: a.clone() });
                store.release(&blue, address, &b).unwrap();
                assert_eq!(store.lease_owner(&blue, address).unwrap(), Some(a.clone()));
                assert!(store.is_leased(&blue, address).unwrap());
                store.release(&blue, address, &a).unwrap();
                store.release(&blue, address, &a).unwrap();
                assert_eq!(store.lease_owner(&blue, address).unwrap(), None);
            }
        }
    }

    #[test]
    fn networks_do_not_share_leases_or_macs() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let (blue, green) = (leases(&store, "blue"), leases(&store, "green"));
        let mac: Mac = "02:42:0a:00:00:02".parse().unwrap();
        let (of_blue, of_green) = (of_endpoint(5), LeaseOwner::Endpoint(key(5, "green")));
        assert_eq!(store.claim_mac(&blue, mac, &of_blue).unwrap(), Claim::New);
        assert_eq!(store.claim_mac(&green, mac, &of_green).unwrap(), Claim::New);
        assert!(!store.claim_mac(&blue, mac, &of_endpoint(6)).unwrap().is_held());
        assert_eq!(store.mac_owner(blue.network(), mac).unwrap(), Some(of_blue.clone()));
        assert_eq!(store.macs(blue.network()).unwrap(), [(mac, of_blue.clone())]);
        store.release_mac(blue.network(), mac, &of_blue).unwrap();
        assert_eq!(store.mac_owner(blue.network(), mac).unwrap(), None);
    }

    #[test]
    fn a_lease_changes_its_owner_only_if_the_earlier_one_has_it() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let held = leases(&store, "blue");
        let (address, mac): (IpAddr, Mac) = (ip("10.0.0.2"), "02:42:0a:00:00:02".parse().unwrap());
        let (reserved, attached, other) = (of_reservation("c1@eth0"), of_endpoint(5), of_endpoint(6));
        let refused = |owner: Option<&LeaseOwner>| TakeOver::Refused { owner: owner.cloned() };
        assert_eq!(store.take_over(&held, address, &reserved, &attached).unwrap(), refused(None));
        assert_eq!(store.take_over_mac(&held, mac, &reserved, &attached).unwrap(), refused(None));
        store.claim(&held, address, &reserved).unwrap();
        store.claim_mac(&held, mac, &reserved).unwrap();
        assert_eq!(store.take_over(&held, address, &other, &attached).unwrap(), refused(Some(&reserved)));
        for _ in 0..2 {
            assert_eq!(store.take_over(&held, address, &reserved, &attached).unwrap(), TakeOver::Done);
            assert_eq!(store.take_over_mac(&held, mac, &reserved, &attached).unwrap(), TakeOver::Done);
        }
        assert_eq!(store.leases(held.network()).unwrap(), [(address, attached.clone())]);
        assert_eq!(store.macs(held.network()).unwrap(), [(mac, attached.clone())]);
        assert_eq!(store.take_over(&held, address, &reserved, &other).unwrap(), refused(Some(&attached)));
        assert_eq!(store.take_over(&held, address, &attached, &reserved).unwrap(), TakeOver::Done);
        assert_eq!(store.lease_owner(held.network(), address).unwrap(), Some(reserved));
    }

    #[test]
    fn a_lease_is_never_free_while_its_owner_changes() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let held = leases(&store, "blue");
        let address = ip("10.0.0.2");
        let (a, b) = (of_reservation("c1"), of_endpoint(5));
        store.claim(&held, address, &a).unwrap();
        std::thread::scope(|scope| {
            let changes = scope.spawn(|| {
                for _ in 0..1000 {
                    assert_eq!(store.take_over(&held, address, &a, &b).unwrap(), TakeOver::Done);
                    assert_eq!(store.take_over(&held, address, &b, &a).unwrap(), TakeOver::Done);
                }
            });
            while !changes.is_finished() {
                let owner = store.lease_owner(held.network(), address).unwrap();
                assert!(owner.as_ref() == Some(&a) || owner.as_ref() == Some(&b), "{owner:?}");
                assert!(store.is_leased(held.network(), address).unwrap());
            }
        });
    }

    #[test]
    fn each_set_of_each_family_has_its_cursor() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let held = leases(&store, "blue");
        let blue = held.network();
        assert_eq!(store.cursor(blue, Family::V4, 0).unwrap(), None);
        store.set_cursor(&held, 0, ip("10.0.0.9")).unwrap();
        store.set_cursor(&held, 0, ip("fd00::9")).unwrap();
        store.set_cursor(&held, 1, ip("10.0.1.9")).unwrap();
        store.set_cursor(&held, 0, ip("10.0.0.10")).unwrap();
        assert_eq!(store.cursor(blue, Family::V4, 0).unwrap(), Some(ip("10.0.0.10")));
        assert_eq!(store.cursor(blue, Family::V4, 1).unwrap(), Some(ip("10.0.1.9")));
        assert_eq!(store.cursor(blue, Family::V6, 0).unwrap(), Some(ip("fd00::9")));
        assert_eq!(store.cursor(blue, Family::V6, 1).unwrap(), None);
        assert!(store.leases(blue).unwrap().is_empty());
        let path = scratch.path("run/leases/blue/.cursor4");
        for nonsense in ["x", "10.0.0", "fd00::1", "\u{fffd}"] {
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink(nonsense, &path).unwrap();
            assert_eq!(store.cursor(blue, Family::V4, 0).unwrap(), None);
        }
    }

    #[test]
    fn a_reserved_mac_is_no_endpoint() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let held = leases(&store, "blue");
        let mac = |last: u8| -> Mac { format!("02:42:0a:00:00:{last:02x}").parse().unwrap() };
        let seen = || (store.is_empty(held.network()).unwrap(), store.count_macs(held.network()).unwrap());
        assert_eq!(seen(), (true, 0));
        let reservation = crate::scratch::reservation("c1@eth0", "blue", &["10.55.66.3/24"], Some(mac(3)));
        assert_eq!(store.reserve(&held, &reservation).unwrap(), crate::Reserved::Done);
        assert_eq!(seen(), (true, 0));
        let e = endpoint(5, "blue", "c1");
        store.claim_mac(&held, mac(2), &LeaseOwner::Endpoint(e.key())).unwrap();
        assert_eq!(seen(), (false, 1));
        store.release_mac(held.network(), mac(2), &LeaseOwner::Endpoint(e.key())).unwrap();
        assert_eq!(seen(), (true, 0));
        // A file that cannot be read may be an endpoint's.
        fs::write(scratch.path("run/macs/blue/02:42:0a:00:00:04"), "").unwrap();
        assert_eq!(seen(), (false, 1));
    }

    #[test]
    fn a_lease_that_cannot_be_read_is_not_free() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let held = leases(&store, "blue");
        let blue = held.network();
        let address = ip("10.0.0.2");
        store.claim(&held, address, &of_endpoint(5)).unwrap();
        store.claim(&held, ip("10.0.0.3"), &of_endpoint(6)).unwrap();
        let path = scratch.path("run/leases/blue/10.0.0.2");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "5.blue").unwrap();
        let refused = || {
            assert!(store.claim(&held, address, &of_endpoint(5)).is_err());
            assert!(store.release(blue, address, &of_endpoint(5)).is_err());
            assert!(store.take_over(&held, address, &of_endpoint(5), &of_endpoint(6)).is_err());
            assert!(store.leases(blue).is_err());
            assert_eq!(store.leases_lossy(blue).0.len(), 1);
            assert!(store.is_leased(blue, address).unwrap());
        };
        refused();
        assert_eq!(fs::read_to_string(&path).unwrap(), "5.blue");
        for target in ["5", "05.blue", "/etc/passwd", "x.blue", "="] {
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink(target, &path).unwrap();
            refused();
            assert_eq!(fs::read_link(&path).unwrap().to_str(), Some(target));
        }
    }
}
