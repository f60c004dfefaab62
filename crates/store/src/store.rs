//! The store itself, and its failpoints.

use crate::disk::{self, Disk, Durability};
use crate::{HostId, StoreError};
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use zubi_model::Progress;

/// The folders of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dirs {
    /// For records that outlive the boot: `/var/lib/zubi`.
    pub state: PathBuf,
    /// For records of one boot: `/run/zubi`.
    pub run: PathBuf,
}

/// The records and locks on disk. Cheap to open; holds no file open.
#[derive(Debug)]
pub struct Store {
    pub(crate) disk: Disk,
    pub(crate) host: HostId,
    /// How long the store waits for a lock.
    pub(crate) patience: Duration,
    /// Told whom it waits for.
    pub(crate) progress: Progress,
}

impl Store {
    /// Calls `observer` after every single change of a file, with a line such as `rename endpoints/7/blue.json` (paths
    /// are relative to `run` or `state`). If the observer returns an error, the operation fails with it, as if its next
    /// change had failed.
    ///
    /// The words: `mkdir`, `write` (a complete temporary file), `sync`, `link` (the file is visible, the first of its
    /// name), `rename` (the file is visible, or moved here), `unlink`, `rmdir`, `clear` (a folder and all in it).
    #[must_use]
    pub fn with_steps(mut self, observer: impl Fn(&str) -> io::Result<()> + Send + Sync + 'static) -> Store {
        self.disk.observed_by(Box::new(observer));
        self
    }

    /// The boot and the host namespace that the store was opened for.
    pub fn host(&self) -> &HostId {
        &self.host
    }

    /// The folders in which every change of networks and endpoints shows: an attach ends with a record moved out of
    /// `pending`, a detach with one deleted there. Makes those that are missing, so that they can be watched.
    pub fn watchable_folders(&self) -> Result<Vec<PathBuf>, StoreError> {
        let folders = [self.disk.run().join("pending"), self.disk.run().join("networks")];
        for folder in &folders {
            self.disk.make_folder(folder, Durability::Boot)?;
        }
        let lasting = self.disk.state().join("networks");
        self.disk.make_folder(&lasting, Durability::Forever)?;
        let followed = self.followed_folder();
        self.disk.make_folder(&followed, Durability::Forever)?;
        Ok(folders.into_iter().chain([lasting, followed]).collect())
    }

    /// Removes the incomplete files of killed writers and returns their number. No other call sees these files: this
    /// only saves space.
    pub fn remove_leftovers(&self) -> Result<usize, StoreError> {
        let run = self.disk.run();
        let mut folders = vec![self.disk.state().join("networks"), run.to_owned()];
        let flat = ["networks", "pending", "links", "linking", "doomed", "stale", "sandboxes", "making"];
        folders.extend(flat.map(|name| run.join(name)));
        for above in ["endpoints", "names", "leases", "macs", "ports", "reservations"].map(|name| run.join(name)) {
            folders.extend(disk::list(&above)?.iter().map(|name| above.join(name)));
        }
        folders.iter().map(|folder| self.disk.remove_temporaries(folder)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::{Scratch, alone, endpoint, host, leases, network, reservation, write};
    use crate::{Claim, LeaseOwner, Opening};
    use std::fs;
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// All steps of an engine for one endpoint, from attach to detach.
    fn life(store: &Store) -> Result<(), StoreError> {
        let e = endpoint(5, "blue", "c1");
        let key = e.key();
        let address = e.addresses[0].address.addr();
        let owner = LeaseOwner::Endpoint(key.clone());
        store.write_network(&store.lock_host_exclusive()?, &network("blue"))?;
        let host = store.lock_host()?;
        let held = store.lock_leases(&host, &e.network)?;
        store.begin_attach(&e, None)?;
        assert_eq!(store.claim(&held, address, &owner)?, Claim::New);
        assert_eq!(store.claim_mac(&held, e.mac, &owner)?, Claim::New);
        store.set_cursor(&held, 0, address)?;
        store.write_name(&e)?;
        drop((held, host));
        store.finish_attach(&key)?;
        store.begin_detach(&key)?;
        store.add_doomed(e.host_device().unwrap(), e.host_mac())?;
        undo(store, &key, &[address])?;
        store.remove_doomed(e.host_device().unwrap())?;
        let host = store.lock_host_exclusive()?;
        store.forget_network(&host, &e.network)?;
        store.remove_network(&host, &e.network)?;
        Ok(())
    }

    fn undo(store: &Store, key: &zubi_model::EndpointKey, addresses: &[IpAddr]) -> Result<(), StoreError> {
        let e = store.pending_endpoint(key)?.unwrap();
        let owner = LeaseOwner::Endpoint(key.clone());
        store.remove_name(&e)?;
        for address in addresses {
            store.release(&e.network, *address, &owner)?;
        }
        store.release_mac(&e.network, e.mac, &owner)?;
        store.finish_detach(key)
    }

    /// The steps of gc for everything that it finds.
    fn repair(store: &Store) -> Result<(), StoreError> {
        let blue = "blue".parse().unwrap();
        for e in store.all_endpoints()? {
            store.begin_detach(&e.key())?;
        }
        for pending in store.pending()? {
            let pending = pending?;
            undo(
                store,
                &pending.key,
                &pending.endpoint.addresses.iter().map(|a| a.address.addr()).collect::<Vec<_>>(),
            )?;
        }
        for (device, _) in store.doomed_lossy().0 {
            store.remove_doomed(&device)?;
        }
        let host = store.lock_host_exclusive()?;
        store.forget_network(&host, &blue)?;
        store.remove_network(&host, &blue)?;
        store.remove_leftovers()?;
        Ok(())
    }

    #[test]
    fn after_a_failure_at_any_step_gc_finds_and_undoes_everything() {
        let mut expected: Option<Vec<String>> = None;
        let mut fail_at = 0;
        loop {
            let scratch = Scratch::new();
            let count = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&count);
            let store = scratch.store().with_steps(move |step| {
                if counter.fetch_add(1, Ordering::SeqCst) == fail_at {
                    return Err(io::Error::other(format!("failed at {step}")));
                }
                Ok(())
            });
            let outcome = life(&store);
            let store = scratch.store();
            repair(&store).unwrap_or_else(|e| panic!("step {fail_at} ({outcome:?}): {e}"));
            let files: Vec<String> =
                scratch.tree("").into_iter().filter(|path| !path.ends_with('/') && !path.contains("/lock/")).collect();
            assert_eq!(&files, expected.get_or_insert_with(|| files.clone()), "step {fail_at}");
            if outcome.is_ok() {
                break;
            }
            fail_at += 1;
        }
        assert!(fail_at > 20, "only {fail_at} steps were seen");
        assert_eq!(expected.unwrap(), ["run/host.json"]);
    }

    #[test]
    fn a_failure_at_any_step_of_opening_does_not_hinder_the_next() {
        for boot in ["boot-1", "boot-2"] {
            let mut fail_at = 0;
            loop {
                let scratch = Scratch::new();
                if boot == "boot-2" {
                    scratch.store().begin_attach(&endpoint(5, "blue", "c1"), None).unwrap();
                }
                let count = AtomicUsize::new(0);
                let opening = Opening::new(scratch.dirs(), host(boot, 1)).with_steps(move |_| {
                    if count.fetch_add(1, Ordering::SeqCst) == fail_at {
                        return Err(io::Error::other("failed"));
                    }
                    Ok(())
                });
                let outcome = opening.open();
                let store = Store::open(scratch.dirs(), host(boot, 1)).unwrap();
                assert!(store.pending().unwrap().is_empty());
                if outcome.is_ok() {
                    break;
                }
                fail_at += 1;
            }
            assert!(fail_at >= 2);
        }
    }

    #[test]
    fn steps_are_reported_in_order_with_short_paths() {
        let scratch = Scratch::new();
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let lines = Arc::clone(&seen);
        let store = scratch.store().with_steps(move |step| {
            lines.lock().unwrap().push(step.to_owned());
            Ok(())
        });
        let e = endpoint(5, "blue", "c1");
        store.begin_attach(&e, None).unwrap();
        store.finish_attach(&e.key()).unwrap();
        write(&store, &network("blue"));
        let seen =
            seen.lock().unwrap().join("\n").replace(scratch.path("").to_str().unwrap().trim_end_matches('/'), "ABOVE");
        assert_eq!(
            seen,
            "mkdir pending\nwrite pending/5.blue.json\nlink pending/5.blue.json\n\
             mkdir endpoints/5\nrename endpoints/5/blue.json\n\
             mkdir networks\nsync .\nsync ABOVE\nwrite networks/blue.json\nrename networks/blue.json\nsync networks"
        );
    }

    #[test]
    fn a_store_can_be_shared_between_threads() {
        fn shareable<T: Send + Sync>() {}
        shareable::<Store>();
    }

    #[test]
    fn leftovers_are_removed_and_nothing_else() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let e = endpoint(5, "blue", "c1");
        store.begin_attach(&e, None).unwrap();
        let held = leases(&store, "blue");
        store.claim(&held, "10.55.66.2".parse().unwrap(), &LeaseOwner::Endpoint(e.key())).unwrap();
        store.set_cursor(&held, 0, "10.55.66.2".parse().unwrap()).unwrap();
        write(&store, &network("blue"));
        write(&store, &network("cni:blue"));
        let r = reservation("c1@eth0", "cni:blue", &["10.55.66.3/24"], None);
        assert_eq!(store.reserve(&leases(&store, "cni:blue"), &r).unwrap(), crate::Reserved::Done);
        store.begin_network(&alone(&store), &network("red")).unwrap();
        let before = scratch.tree("");
        let folders = [
            "state/networks",
            "run",
            "run/pending",
            "run/leases/blue",
            "run/networks",
            "run/making",
            "run/leases/cni:blue",
            "run/reservations/cni:blue",
        ];
        for folder in folders {
            fs::write(scratch.path(folder).join(".tmp-1-1"), "half").unwrap();
        }
        assert_eq!(store.remove_leftovers().unwrap(), folders.len());
        assert_eq!(scratch.tree(""), before);
    }
}
