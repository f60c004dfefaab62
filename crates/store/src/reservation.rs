//! Records of reservations: addresses, and perhaps a MAC, of an owner that has no endpoint on the network.
//!
//! The record is written first and removed last, with the leases in between (see `lease.rs`). A killed command leaves a
//! record, by which [`Store::unreserve`] frees what was claimed. The network need not have a record of its own.

use crate::disk::{self, Creation, Durability};
use crate::key::json_in;
use crate::name::file_name;
use crate::versioned::{from_json, to_json};
use crate::{Claim, LeaseOwner, LeasesLock, Reservation, Store, StoreError};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use zubi_model::{Mac, NetworkName};

/// Outcome of an attempt to reserve.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "what is taken was not reserved"]
pub enum Reserved {
    /// Everything is reserved.
    Done,
    /// Another owns an address. Nothing is reserved.
    AddressTaken {
        /// The address.
        address: IpAddr,
        /// The other owner.
        owner: LeaseOwner,
    },
    /// Another owns the MAC. Nothing is reserved.
    MacTaken {
        /// The MAC.
        mac: Mac,
        /// The other owner.
        owner: LeaseOwner,
    },
}

#[derive(Serialize, Deserialize)]
struct Record<R> {
    reservation: R,
}

impl Store {
    /// Reserves all addresses and the MAC of a reservation, or nothing. `leases` is the lock of its network.
    ///
    /// Fails with [`StoreError::AlreadyReserved`] if its owner has a reservation on the network. After any other error
    /// [`Store::unreserve`] frees what was claimed so far.
    pub fn reserve(&self, leases: &LeasesLock, reservation: &Reservation) -> Result<Reserved, StoreError> {
        let Reservation { owner, network, .. } = reservation;
        debug_assert_eq!(leases.network(), network, "the lock is of another network");
        let path = self.reservation_path(network, owner);
        if self.disk.create(&path, &to_json(&path, &Record { reservation })?)? == Creation::AlreadyThere {
            return Err(StoreError::AlreadyReserved { network: network.clone(), owner: owner.clone(), path });
        }
        let outcome = self.claim_reserved(leases, reservation)?;
        if outcome != Reserved::Done {
            self.unreserve(leases, owner)?;
        }
        Ok(outcome)
    }

    fn claim_reserved(&self, leases: &LeasesLock, reservation: &Reservation) -> Result<Reserved, StoreError> {
        let by = LeaseOwner::Reservation(reservation.owner.clone());
        for address in reservation.addresses.iter().map(|a| a.address.addr()) {
            if let Claim::Taken { owner } = self.claim(leases, address, &by)? {
                return Ok(Reserved::AddressTaken { address, owner });
            }
        }
        if let Some(mac) = reservation.mac
            && let Claim::Taken { owner } = self.claim_mac(leases, mac, &by)?
        {
            return Ok(Reserved::MacTaken { mac, owner });
        }
        Ok(Reserved::Done)
    }

    /// Frees what an owner has reserved, and removes its record. Leases that another owner has by now stay. Does
    /// nothing for an owner without a reservation.
    pub fn unreserve(&self, leases: &LeasesLock, owner: &str) -> Result<(), StoreError> {
        let network = leases.network();
        let Some(reservation) = self.reservation(network, owner)? else { return Ok(()) };
        let by = LeaseOwner::Reservation(owner.to_owned());
        if let Some(mac) = reservation.mac {
            self.release_mac(network, mac, &by)?;
        }
        for address in reservation.addresses.iter().rev() {
            self.release(network, address.address.addr(), &by)?;
        }
        // This comes last: without the record no command would find the leases.
        self.disk.remove(&self.reservation_path(network, owner), Durability::Boot)?;
        self.disk.remove_if_empty(&self.reservations_of(network))
    }

    /// The reservation of an owner on a network.
    pub fn reservation(&self, network: &NetworkName, owner: &str) -> Result<Option<Reservation>, StoreError> {
        let path = self.reservation_path(network, owner);
        let Some(reservation) = read(network, &path)? else { return Ok(None) };
        if reservation.owner != owner {
            return Err(StoreError::unreadable(&path, &format!("holds the reservation of {}", reservation.owner)));
        }
        Ok(Some(reservation))
    }

    /// All reservations on a network, oldest first; fails if one cannot be read.
    pub fn reservations(&self, network: &NetworkName) -> Result<Vec<Reservation>, StoreError> {
        let (all, bad) = self.reservations_lossy(network);
        bad.into_iter().next().map_or(Ok(all), Err)
    }

    /// All reservations on a network that can be read, oldest first, and the errors of the others.
    pub fn reservations_lossy(&self, network: &NetworkName) -> (Vec<Reservation>, Vec<StoreError>) {
        let folder = self.reservations_of(network);
        let (mut all, bad) = disk::read_each(&folder, |file| {
            let path = folder.join(file);
            let Some(reservation) = read(network, &path)? else { return Ok(None) };
            if self.reservation_path(network, &reservation.owner) != path {
                return Err(StoreError::unreadable(&path, &format!("holds the reservation of {}", reservation.owner)));
            }
            Ok(Some(reservation))
        });
        all.sort_by_key(|r| r.made_at);
        (all, bad)
    }

    /// All reservations that can be read, by network, and the errors of the others.
    pub fn all_reservations_lossy(&self) -> (Vec<Reservation>, Vec<StoreError>) {
        let folder = self.reservations_folder();
        let (networks, mut bad) = disk::read_each(&folder, |name| match name.parse::<NetworkName>() {
            Ok(network) => Ok(Some(network)),
            Err(e) => Err(StoreError::unreadable(&folder.join(name), &e.to_string())),
        });
        let mut all = Vec::new();
        for network in networks {
            let (good, wrong) = self.reservations_lossy(&network);
            all.extend(good);
            bad.extend(wrong);
        }
        (all, bad)
    }

    pub(crate) fn has_reservations(&self, network: &NetworkName) -> Result<bool, StoreError> {
        disk::any(&self.reservations_of(network), |_| true)
    }

    fn reservations_folder(&self) -> PathBuf {
        self.disk.run().join("reservations")
    }

    fn reservations_of(&self, network: &NetworkName) -> PathBuf {
        self.reservations_folder().join(network.as_str())
    }

    fn reservation_path(&self, network: &NetworkName, owner: &str) -> PathBuf {
        json_in(&self.reservations_of(network), &file_name(owner))
    }
}

fn read(network: &NetworkName, path: &Path) -> Result<Option<Reservation>, StoreError> {
    let Some(content) = disk::read(path)? else { return Ok(None) };
    let Record { reservation } = from_json::<Record<Reservation>>(path, &content)?;
    if reservation.network != *network {
        return Err(StoreError::unreadable(path, &format!("holds a reservation on network {}", reservation.network)));
    }
    Ok(Some(reservation))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::{Scratch, endpoint, key, leases, reservation};
    use crate::{TakeOver, scratch};
    use std::fs;
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const MAC: &str = "02:42:0a:37:42:03";

    fn two_families(owner: &str, network: &str) -> Reservation {
        reservation(owner, network, &["10.55.66.3/24", "fd00:55::3/64"], Some(MAC.parse().unwrap()))
    }

    #[test]
    fn a_reservation_has_its_addresses_and_mac_until_it_is_freed() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let held = leases(&store, "cni:blue");
        let network = held.network();
        let long = "x".repeat(3000);
        for owner in ["c1@eth0", "..", ".tmp-1@eth0", "ü \n%@eth0", "=", long.as_str()] {
            let r = two_families(owner, "cni:blue");
            let by = LeaseOwner::Reservation(owner.into());
            assert_eq!(store.reservation(network, owner).unwrap(), None);
            assert_eq!(store.reserve(&held, &r).unwrap(), Reserved::Done);
            assert!(matches!(store.reserve(&held, &r), Err(StoreError::AlreadyReserved { .. })));
            assert_eq!(store.reservation(network, owner).unwrap(), Some(r.clone()));
            assert_eq!(store.reservations(network).unwrap(), std::slice::from_ref(&r));
            assert_eq!(store.all_reservations_lossy().0, std::slice::from_ref(&r));
            let leased: Vec<IpAddr> = r.addresses.iter().map(|a| a.address.addr()).collect();
            assert_eq!(store.leases(network).unwrap(), [(leased[0], by.clone()), (leased[1], by.clone())]);
            assert_eq!(store.macs(network).unwrap(), [(MAC.parse().unwrap(), by)]);
            store.unreserve(&held, "c2@eth0").unwrap();
            store.unreserve(&held, owner).unwrap();
            store.unreserve(&held, owner).unwrap();
            assert!(store.leases(network).unwrap().is_empty() && store.macs(network).unwrap().is_empty());
        }
        let empty = ["host.json", "leases/cni:blue/", "lock/host", "lock/leases-cni:blue", "macs/cni:blue/"];
        assert_eq!(scratch.tree("run"), [&empty[..], &["reservations/"]].concat());
    }

    #[test]
    fn of_a_reservation_that_meets_another_owner_nothing_stays() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let held = leases(&store, "blue");
        let other = LeaseOwner::Endpoint(key(5, "blue"));
        let (second, mac): (IpAddr, Mac) = ("fd00:55::3".parse().unwrap(), MAC.parse().unwrap());
        let r = two_families("c1@eth0", "blue");
        let left = || (store.reservations(held.network()).unwrap().len(), store.leases(held.network()).unwrap().len());

        store.claim(&held, second, &other).unwrap();
        let taken = Reserved::AddressTaken { address: second, owner: other.clone() };
        assert_eq!(store.reserve(&held, &r).unwrap(), taken);
        assert_eq!(left(), (0, 1));
        store.release(held.network(), second, &other).unwrap();

        store.claim_mac(&held, mac, &other).unwrap();
        assert_eq!(store.reserve(&held, &r).unwrap(), Reserved::MacTaken { mac, owner: other });
        assert_eq!(left(), (0, 0));
    }

    #[test]
    fn records_that_cannot_be_read_are_reported_next_to_the_good_ones() {
        let scratch = Scratch::new();
        let store = scratch.store();
        for network in ["blue", "cni:blue"] {
            let r = two_families("c1@eth0", network);
            assert_eq!(store.reserve(&leases(&store, network), &r).unwrap(), Reserved::Done);
        }
        let folder = scratch.path("run/reservations");
        let good = folder.join("blue/c1%40eth0.json");
        fs::copy(&good, folder.join("blue/c2%40eth0.json")).unwrap();
        fs::copy(&good, folder.join("cni:blue/c2%40eth0.json")).unwrap();
        fs::write(folder.join("blue/c3.json"), "{").unwrap();
        fs::create_dir(folder.join("a b")).unwrap();
        let (all, bad) = store.all_reservations_lossy();
        assert_eq!(all.iter().map(|r| r.network.as_str()).collect::<Vec<_>>(), ["blue", "cni:blue"]);
        let bad: Vec<String> = bad.iter().map(ToString::to_string).collect();
        assert_eq!(bad.len(), 4, "{bad:?}");
        for (error, why) in bad.iter().zip([
            "reservations/a b: network name",
            "blue/c2%40eth0.json: holds the reservation of c1@eth0",
            "blue/c3.json: is cut off",
            "cni:blue/c2%40eth0.json: holds a reservation on network blue",
        ]) {
            assert!(error.contains(why), "{error}");
        }
        assert!(store.reservations(&"blue".parse().unwrap()).is_err());
        assert!(store.reservation(&"blue".parse().unwrap(), "c2@eth0").is_err());
        assert!(store.unreserve(&leases(&store, "blue"), "c2@eth0").is_err());
    }

    /// Runs `work` again and again, each time with a failure at a later step, until it succeeds. After each failure
    /// `clean` has to remove everything.
    fn fail_at_every_step(
        least: usize,
        work: impl Fn(&Store) -> Result<(), StoreError>,
        clean: impl Fn(&Store) -> Result<(), StoreError>,
    ) {
        let mut fail_at = 0;
        loop {
            let scratch = Scratch::new();
            let count = AtomicUsize::new(0);
            let store = scratch.store().with_steps(move |step| {
                if count.fetch_add(1, Ordering::SeqCst) == fail_at {
                    return Err(io::Error::other(format!("failed at {step}")));
                }
                Ok(())
            });
            let outcome = work(&store);
            let store = scratch.store();
            clean(&store).unwrap_or_else(|e| panic!("step {fail_at} ({outcome:?}): {e}"));
            store.remove_leftovers().unwrap();
            let mut files = scratch.tree("run");
            files.retain(|path| !path.ends_with('/') && !path.starts_with("lock/") && !path.contains("/.cursor"));
            assert_eq!(files, ["host.json"], "step {fail_at} ({outcome:?})");
            if outcome.is_ok() {
                break;
            }
            fail_at += 1;
        }
        assert!(fail_at >= least, "only {fail_at} steps were seen");
    }

    fn free_all(store: &Store) -> Result<(), StoreError> {
        for r in store.all_reservations_lossy().0 {
            store.unreserve(&leases(store, r.network.as_str()), &r.owner)?;
        }
        Ok(())
    }

    #[test]
    fn after_a_failure_at_any_step_the_record_finds_all_that_is_reserved() {
        let work = |store: &Store| {
            let held = leases(store, "cni:blue");
            assert_eq!(store.reserve(&held, &two_families("c1@eth0", "cni:blue"))?, Reserved::Done);
            store.unreserve(&held, "c1@eth0")
        };
        fail_at_every_step(12, work, free_all);
    }

    /// An endpoint takes over a reservation as in the engine: its record, the leases, its completion, the end of the
    /// reservation.
    #[test]
    fn after_a_failure_at_any_step_of_an_attach_by_reservation_both_can_be_undone() {
        let mac: Mac = MAC.parse().unwrap();
        let reserved = LeaseOwner::Reservation("c1@eth0".into());
        let r = two_families("c1@eth0", "blue");
        let mut e = endpoint(5, "blue", "c1");
        (e.addresses, e.mac) = (r.addresses.clone(), mac);
        let attached = LeaseOwner::Endpoint(e.key());
        let work = |store: &Store| {
            let held = leases(store, "blue");
            assert_eq!(store.reserve(&held, &r)?, Reserved::Done);
            store.begin_attach(&e, None)?;
            for a in &e.addresses {
                assert_eq!(store.take_over(&held, a.address.addr(), &reserved, &attached)?, TakeOver::Done);
            }
            assert_eq!(store.take_over_mac(&held, mac, &reserved, &attached)?, TakeOver::Done);
            store.finish_attach(&e.key())?;
            store.unreserve(&held, "c1@eth0")
        };
        let clean = |store: &Store| {
            let held = leases(store, "blue");
            for e in store.all_endpoints()? {
                store.begin_detach(&e.key())?;
            }
            for pending in store.pending()? {
                let e = pending?.endpoint;
                let is_there = store.reservation(&e.network, "c1@eth0")?.is_some();
                for address in e.addresses.iter().map(|a| a.address.addr()) {
                    // The reservation's record names the address, so it must never be free, or belong to a third owner.
                    let owner = store.lease_owner(&e.network, address)?;
                    assert!(owner.as_ref() == Some(&reserved) || owner.as_ref() == Some(&attached), "{owner:?}");
                    if is_there {
                        assert_eq!(store.take_over(&held, address, &attached, &reserved)?, TakeOver::Done);
                    } else {
                        store.release(&e.network, address, &attached)?;
                    }
                }
                if is_there {
                    assert_eq!(store.take_over_mac(&held, mac, &attached, &reserved)?, TakeOver::Done);
                }
                store.release_mac(&e.network, mac, &attached)?;
                store.finish_detach(&e.key())?;
            }
            let whole = store.all_reservations_lossy().0.is_empty()
                || store.leases(held.network())?.iter().all(|(_, owner)| *owner == reserved);
            assert!(whole, "an endpoint without a record has a lease");
            drop(held);
            free_all(store)
        };
        fail_at_every_step(18, work, clean);
    }

    #[test]
    fn a_damaged_reservation_names_no_other_address() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let held = scratch::leases(&store, "blue");
        assert_eq!(store.reserve(&held, &two_families("c1@eth0", "blue")).unwrap(), Reserved::Done);
        let path = scratch.path("run/reservations/blue/c1%40eth0.json");
        let changed = fs::read_to_string(&path).unwrap().replace("10.55.66.3", "10.55.66.4");
        fs::write(&path, changed).unwrap();
        let error = store.unreserve(&held, "c1@eth0").unwrap_err().to_string();
        assert!(error.contains("does not match its sum"), "{error}");
        assert_eq!(store.leases(held.network()).unwrap().len(), 2);
    }
}
