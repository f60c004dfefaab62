//! The owner of the run folder: one boot of one host namespace.

use crate::disk::{self, Durability};
use crate::lock::HOST;
use crate::versioned::{from_json, to_json};
use crate::{HostId, OtherNamespace, Store, StoreError};
use std::path::PathBuf;

/// The folders that are cleared for a new boot. Locks are cleared too, except the one that is held meanwhile.
const OF_ONE_BOOT: [&str; 14] = [
    "reservations",
    "networks",
    "endpoints",
    "pending",
    "names",
    "leases",
    "macs",
    "ports",
    "stale",
    "links",
    "linking",
    "doomed",
    "sandboxes",
    "making",
];

/// The owner of the run folder according to `host.json`.
enum Standing {
    Ours,
    Unsettled,
    Past,
}

impl Store {
    /// Makes `run` ours, or fails if it belongs to another namespace. If it is not ours yet, `guard` may refuse before
    /// the first change.
    pub(crate) fn settle_guarded<E: From<StoreError>>(
        &self,
        others: OtherNamespace,
        guard: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        if matches!(self.standing(others)?, Standing::Ours) {
            return Ok(());
        }
        guard()?;
        let _held = self.lock_host_exclusive()?;
        // An earlier holder of the lock may have done it.
        match self.standing(others)? {
            Standing::Ours => return Ok(()),
            Standing::Unsettled => self.refuse_records_without_host()?,
            Standing::Past => self.clear_boot()?,
        }
        // This comes last: a crash before it leaves the earlier boot's id, and the next command clears again.
        let path = self.host_path();
        Ok(self.disk.replace(&path, &to_json(&path, &self.host)?, Durability::Boot)?)
    }

    fn standing(&self, others: OtherNamespace) -> Result<Standing, StoreError> {
        let path = self.host_path();
        let Some(content) = disk::read(&path)? else { return Ok(Standing::Unsettled) };
        let ours = &self.host;
        let theirs: HostId = from_json(&path, &content)?;
        if theirs.boot_id != ours.boot_id {
            return Ok(Standing::Past);
        }
        match others {
            _ if theirs.netns_cookie == ours.netns_cookie => Ok(Standing::Ours),
            OtherNamespace::Forget => Ok(Standing::Past),
            OtherNamespace::Refuse => Err(StoreError::OtherHost {
                run: self.disk.run().to_owned(),
                theirs: theirs.netns_cookie,
                ours: ours.netns_cookie,
            }),
        }
    }

    /// Records are never older than `host.json`. Without that file they may belong to another boot or namespace: both
    /// using and removing them could do harm.
    fn refuse_records_without_host(&self) -> Result<(), StoreError> {
        for folder in ["pending", "endpoints", "linking", "links"] {
            if !disk::list(&self.disk.run().join(folder))?.is_empty() {
                let why = format!("is missing, though there are records in {folder}");
                return Err(StoreError::unreadable(&self.host_path(), &why));
            }
        }
        Ok(())
    }

    fn clear_boot(&self) -> Result<(), StoreError> {
        for name in OF_ONE_BOOT {
            self.disk.clear(&self.disk.run().join(name))?;
        }
        self.write_forwarding(&crate::Forwarding::default())?;
        // After a boot the kernel counts generations from the start again.
        self.forget_firewall()?;
        for name in disk::list(&self.locks_folder())?.iter().filter(|name| *name != HOST) {
            self.disk.remove(&self.lock_path(name), Durability::Boot)?;
        }
        Ok(())
    }

    fn host_path(&self) -> PathBuf {
        self.disk.run().join("host.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LeaseOwner;
    use crate::Opening;
    use crate::scratch::{Scratch, endpoint, host, leases, network, reservation, write};
    use std::fs;

    #[test]
    fn another_host_namespace_is_refused_by_name() {
        let scratch = Scratch::new();
        scratch.store().begin_attach(&endpoint(5, "blue", "c1"), None).unwrap();
        let error = Store::open(scratch.dirs(), host("boot-1", 2)).unwrap_err();
        assert!(matches!(error, StoreError::OtherHost { theirs: 1, ours: 2, .. }));
        let text = error.to_string();
        assert!(text.contains("run: belongs to another host namespace") && text.contains("--run-dir"), "{text}");
        assert_eq!(scratch.store().pending().unwrap().len(), 1);
    }

    #[test]
    fn an_earlier_boot_is_cleared_but_networks_stay() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let e = endpoint(5, "blue", "c1");
        write(&store, &network("blue"));
        store.begin_attach(&e, None).unwrap();
        store.finish_attach(&e.key()).unwrap();
        store.begin_attach(&endpoint(6, "blue", "c2"), None).unwrap();
        let (held, owner) = (leases(&store, "blue"), LeaseOwner::Endpoint(e.key()));
        store.claim(&held, "10.55.66.2".parse().unwrap(), &owner).unwrap();
        store.claim_mac(&held, e.mac, &owner).unwrap();
        let r = reservation("c2@eth0", "blue", &["10.55.66.3/24"], None);
        assert_eq!(store.reserve(&held, &r).unwrap(), crate::Reserved::Done);
        drop(held);
        store.write_name(&e).unwrap();
        store.add_doomed(e.host_device().unwrap(), e.mac).unwrap();
        drop(store.lock_sandbox(&store.lock_host().unwrap(), e.sandbox.cookie).unwrap());

        let store = Store::open(scratch.dirs(), host("boot-2", 9)).unwrap();
        assert_eq!(scratch.tree("run"), ["host.json", "lock/host"]);
        assert_eq!(store.networks().unwrap().len(), 1);
        assert!(Store::open(scratch.dirs(), host("boot-2", 9)).is_ok());
    }

    #[test]
    fn an_earlier_namespace_is_forgotten_when_that_is_asked_for() {
        let scratch = Scratch::new();
        let store = scratch.store();
        write(&store, &network("blue"));
        write(&store, &network("podman:red"));
        store.begin_attach(&endpoint(5, "podman:red", "c1"), None).unwrap();
        let forgetting = || Opening::new(scratch.dirs(), host("boot-1", 2)).of_others(OtherNamespace::Forget).open();
        let store = forgetting().unwrap();
        assert_eq!(scratch.tree("run"), ["host.json", "lock/host"]);
        assert_eq!(store.networks().unwrap().len(), 1);
        // With the records of its own namespace it removes nothing.
        store.begin_attach(&endpoint(6, "podman:red", "c1"), None).unwrap();
        assert_eq!(forgetting().unwrap().pending().unwrap().len(), 1);
    }

    #[test]
    fn by_a_damaged_host_file_nothing_is_removed() {
        let scratch = Scratch::new();
        scratch.store().begin_attach(&endpoint(5, "blue", "c1"), None).unwrap();
        let path = scratch.path("run/host.json");
        let whole = fs::read_to_string(&path).unwrap();
        let before = scratch.tree("run");
        for damaged in ["", "{", &whole.replace("boot-1", "boot-0"), &whole.replace(":1}", ":3}")] {
            fs::write(&path, damaged).unwrap();
            let forgetting = Opening::new(scratch.dirs(), host("boot-1", 2)).of_others(OtherNamespace::Forget);
            let error = forgetting.open().unwrap_err().to_string();
            assert!(error.contains("run/host.json") && error.contains("nothing was changed"), "{error}");
            assert_eq!(scratch.tree("run"), before);
        }
    }

    #[test]
    fn a_hundred_at_once_settle_on_one_host_without_losing_records() {
        for boot in ["boot-1", "boot-2"] {
            let scratch = Scratch::new();
            if boot == "boot-2" {
                scratch.store().begin_attach(&endpoint(999, "blue", "old"), None).unwrap();
            }
            std::thread::scope(|scope| {
                for cookie in 0..100 {
                    let scratch = &scratch;
                    scope.spawn(move || {
                        let store = Store::open(scratch.dirs(), host(boot, 1)).unwrap();
                        store.begin_attach(&endpoint(cookie, "blue", "c"), None).unwrap();
                    });
                }
            });
            let store = Store::open(scratch.dirs(), host(boot, 1)).unwrap();
            let pending = store.pending().unwrap();
            assert_eq!(pending.len(), 100);
            assert!(pending.iter().all(|p| p.as_ref().unwrap().key.cookie.0 < 100));
        }
    }

    #[test]
    fn a_host_file_that_cannot_be_read_fails_every_opening() {
        let scratch = Scratch::new();
        scratch.store().begin_attach(&endpoint(5, "blue", "c1"), None).unwrap();
        let path = scratch.path("run/host.json");
        for (content, why) in
            [("", "is empty"), ("{\"vers", "cut off"), ("{}", "damaged"), ("{\"version\":9}", "version 9")]
        {
            fs::write(&path, content).unwrap();
            let error = Store::open(scratch.dirs(), host("boot-2", 1)).unwrap_err().to_string();
            assert!(error.contains("host.json") && error.contains(why), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        fs::remove_file(&path).unwrap();
        let error = Store::open(scratch.dirs(), host("boot-1", 1)).unwrap_err().to_string();
        assert!(error.contains("is missing, though there are records in pending"), "{error}");
    }
}
