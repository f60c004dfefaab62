//! The generation of the ruleset in which the firewall was last found in order. It is only a hint that saves commands
//! from reading the firewall.
//!
//! Every connect writes it, so it is written in place by one call. A reader that meets a half-written line finds a
//! wrong sum, which counts as no hint.

use crate::disk::{self, Durability, failed};
use crate::versioned::{from_json, to_json};
use crate::{Store, StoreError};
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use zubi_model::NetworkId;

/// The name is hidden from listings, as this is no record.
pub(crate) const FILE: &str = ".firewall-seen";

/// A generation of the ruleset in which all rules of these networks were in place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallSeen {
    /// The generation's number in the kernel (`NFTA_GEN_ID`).
    pub generation: u32,
    /// The networks.
    pub networks: Vec<NetworkId>,
}

impl Store {
    /// The hint; `None` also if it cannot be read.
    pub fn firewall_seen(&self) -> Result<Option<FirewallSeen>, StoreError> {
        let path = self.seen_path();
        let content = disk::read(&path)?.unwrap_or_default();
        // The rest of an earlier, longer line may follow this one.
        let line = content.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        Ok(from_json(&path, line).ok())
    }

    /// Replaces the hint.
    pub fn remember_firewall(&self, seen: &FirewallSeen) -> Result<(), StoreError> {
        let path = self.seen_path();
        let line = to_json(&path, seen)?;
        match OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW).open(&path) {
            Ok(file) => file.write_all_at(&line, 0).map_err(failed("write", &path)),
            Err(e) if e.kind() == ErrorKind::NotFound => self.disk.replace(&path, &line, Durability::Hint),
            Err(e) => Err(failed("write", &path)(e)),
        }
    }

    /// Removes the hint.
    pub fn forget_firewall(&self) -> Result<(), StoreError> {
        self.disk.remove(&self.seen_path(), Durability::Hint).map(drop)
    }

    fn seen_path(&self) -> PathBuf {
        self.disk.run().join(FILE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::{Scratch, host, network};
    use std::fs;

    #[test]
    fn a_hint_reads_back_and_goes_with_the_boot() {
        let scratch = Scratch::new();
        let store = scratch.store();
        assert_eq!(store.firewall_seen().unwrap(), None);
        for networks in [vec![network("blue").id, network("green").id], vec![]] {
            let seen = FirewallSeen { generation: 7, networks };
            store.remember_firewall(&seen).unwrap();
            assert_eq!(store.firewall_seen().unwrap(), Some(seen));
        }
        let next = Store::open(scratch.dirs(), host("boot-2", 1)).unwrap();
        assert_eq!(next.firewall_seen().unwrap(), None);
    }

    #[test]
    fn a_hint_that_cannot_be_read_is_none() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let path = scratch.path("run").join(FILE);
        store.remember_firewall(&FirewallSeen { generation: 19, networks: Vec::new() }).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        let torn = whole.replace("19", "29");
        for nonsense in ["", "7", "{}", "{\"version\":1,\"generation\":1,\"networks\":[]}", &torn, &whole[..40]] {
            fs::write(&path, nonsense).unwrap();
            assert_eq!(store.firewall_seen().unwrap(), None, "{nonsense:?}");
        }
        store.forget_firewall().unwrap();
        store.forget_firewall().unwrap();
        assert!(!scratch.path("run").join(FILE).exists());
    }
    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let target = scratch.path("elsewhere");
        std::os::unix::fs::symlink(&target, scratch.path("run").join(FILE)).unwrap();
        let seen = FirewallSeen { generation: 7, networks: Vec::new() };
        assert!(store.remember_firewall(&seen).unwrap_err().to_string().contains(FILE));
        assert!(!target.exists());
    }
}
