//! Whose the run folder is: one boot, one host namespace.

use crate::disk::{self, Durability};
use crate::lock::HOST;
use crate::versioned::{from_json, to_json};
use crate::{Mode, Store, StoreError};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What is removed when another boot is found. Locks, but for the one that is held meanwhile, go too.
const OF_ONE_BOOT: [&str; 14] = [
    "reserved",
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

/// The boot and the network namespace that we call the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostId {
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// `SO_NETNS_COOKIE` of a socket in the host namespace.
    pub netns_cookie: u64,
}

/// What becomes of records of another host namespace of this boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OtherNamespace {
    /// They are somebody's: opening fails.
    #[default]
    Refuse,
    /// They are of an earlier namespace that stood in the place of this one, and went with it.
    Forget,
}

/// What `host.json` means for us.
enum Standing {
    Ours,
    Unsettled,
    Past,
}

impl Store {
    /// Makes `run` ours, or fails because it is somebody else's. Where it is not ours yet, `guard` may refuse
    /// before anything is changed.
    pub(crate) fn settle_guarded<E: From<StoreError>>(
        &self,
        others: OtherNamespace,
        guard: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        if matches!(self.standing(others)?, Standing::Ours) {
            return Ok(());
        }
        guard()?;
        let _held = self.lock_host(Mode::Exclusive)?;
        // Whoever held the lock before us may have settled it.
        match self.standing(others)? {
            Standing::Ours => return Ok(()),
            Standing::Unsettled => self.refuse_records_without_host()?,
            Standing::Past => self.clear_boot()?,
        }
        // Last: a crash before it leaves the earlier boot's name, and the next to come clears again.
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

    /// Records are never older than `host.json`. Without it nobody knows whether they are of this boot and
    /// namespace, and both believing and removing them could do harm.
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
        // The kernel counts from the start again.
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
    use crate::Opening;
    use crate::scratch::{Scratch, endpoint, host, network};
    use std::fs;

    #[test]
    fn another_host_namespace_is_refused_by_name() {
        let scratch = Scratch::new();
        scratch.store().begin_attach(&endpoint(5, "blue", "c1")).unwrap();
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
        store.write_network(&network("blue")).unwrap();
        store.begin_attach(&e).unwrap();
        store.finish_attach(&e.key()).unwrap();
        store.begin_attach(&endpoint(6, "blue", "c2")).unwrap();
        store.claim(&e.network, "10.55.66.2".parse().unwrap(), &e.key()).unwrap();
        store.claim_mac(&e.network, e.mac, &e.key()).unwrap();
        store.write_name(&e).unwrap();
        store.add_doomed(e.host_device().unwrap(), e.mac).unwrap();
        drop(store.lock_sandbox(e.sandbox.cookie).unwrap());

        let store = Store::open(scratch.dirs(), host("boot-2", 9)).unwrap();
        assert_eq!(scratch.tree("run"), ["host.json", "lock/host"]);
        assert_eq!(store.networks().unwrap().len(), 1);
        assert!(Store::open(scratch.dirs(), host("boot-2", 9)).is_ok());
    }

    #[test]
    fn an_earlier_namespace_is_forgotten_when_that_is_asked_for() {
        let scratch = Scratch::new();
        let store = scratch.store();
        store.write_network(&network("blue")).unwrap();
        store.write_network(&network("podman:red")).unwrap();
        store.begin_attach(&endpoint(5, "podman:red", "c1")).unwrap();
        let forgetting = || Opening::new(scratch.dirs(), host("boot-1", 2)).of_others(OtherNamespace::Forget).open();
        let store = forgetting().unwrap();
        assert_eq!(scratch.tree("run"), ["host.json", "lock/host"]);
        assert_eq!(store.networks().unwrap().len(), 1);
        // In its own namespace it forgets nothing.
        store.begin_attach(&endpoint(6, "podman:red", "c1")).unwrap();
        assert_eq!(forgetting().unwrap().pending().unwrap().len(), 1);
    }

    #[test]
    fn a_damaged_host_file_makes_nothing_forgotten() {
        let scratch = Scratch::new();
        scratch.store().begin_attach(&endpoint(5, "blue", "c1")).unwrap();
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
                scratch.store().begin_attach(&endpoint(999, "blue", "old")).unwrap();
            }
            std::thread::scope(|scope| {
                for cookie in 0..100 {
                    let scratch = &scratch;
                    scope.spawn(move || {
                        let store = Store::open(scratch.dirs(), host(boot, 1)).unwrap();
                        store.begin_attach(&endpoint(cookie, "blue", "c")).unwrap();
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
    fn a_host_file_that_cannot_be_read_stops_everything() {
        let scratch = Scratch::new();
        scratch.store().begin_attach(&endpoint(5, "blue", "c1")).unwrap();
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
