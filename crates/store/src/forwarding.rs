//! The old values of the forwarding settings that zubi switched on.

use crate::disk::{self, Durability};
use crate::versioned::{from_json, to_json};
use crate::{Store, StoreError};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The file is in `run`: the settings do not survive a reboot either.
pub(crate) const FILE: &str = "forwarding.json";

/// The host's settings before zubi made it a router. A family that the host forwarded already is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarding {
    /// IPv4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<SwitchedOn>,
    /// IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<SwitchedOn>,
}

/// A family that zubi switched on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchedOn {
    /// The settings to restore, in order.
    pub before: Vec<Setting>,
    /// The objects that existed without forwarding, in words: a bridge of another program, a chain of another firewall.
    pub beside: Vec<String>,
}

/// A setting and its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The path below /proc/sys.
    pub key: String,
    /// The value that was read there.
    pub value: String,
}

impl Store {
    /// The recorded settings; empty if zubi has switched nothing on.
    pub fn forwarding(&self) -> Result<Forwarding, StoreError> {
        let path = self.forwarding_path();
        disk::read(&path)?.map_or_else(|| Ok(Forwarding::default()), |content| from_json(&path, &content))
    }

    /// Replaces the recorded settings. Removes the file if there are none.
    pub fn write_forwarding(&self, forwarding: &Forwarding) -> Result<(), StoreError> {
        let path = self.forwarding_path();
        if *forwarding == Forwarding::default() {
            return self.disk.remove(&path, Durability::Boot).map(drop);
        }
        self.disk.replace(&path, &to_json(&path, forwarding)?, Durability::Boot)
    }

    fn forwarding_path(&self) -> PathBuf {
        self.disk.run().join(FILE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::{Scratch, host};
    use std::fs;

    fn before() -> Forwarding {
        let setting = Setting { key: "net/ipv4/ip_forward".into(), value: "0".into() };
        Forwarding { ipv4: Some(SwitchedOn { before: vec![setting], beside: vec!["bridge br0".into()] }), ipv6: None }
    }

    #[test]
    fn the_settings_read_back_and_without_any_the_file_goes() {
        let scratch = Scratch::new();
        let store = scratch.store();
        assert_eq!(store.forwarding().unwrap(), Forwarding::default());
        store.write_forwarding(&before()).unwrap();
        assert_eq!(store.forwarding().unwrap(), before());
        store.write_forwarding(&Forwarding::default()).unwrap();
        assert!(!scratch.path("run").join(FILE).exists());
    }

    #[test]
    fn the_next_boot_has_no_settings() {
        let scratch = Scratch::new();
        scratch.store().write_forwarding(&before()).unwrap();
        let store = Store::open(scratch.dirs(), host("boot-2", 1)).unwrap();
        assert_eq!(store.forwarding().unwrap(), Forwarding::default());
    }

    #[test]
    fn a_damaged_file_is_reported() {
        let scratch = Scratch::new();
        let store = scratch.store();
        store.write_forwarding(&before()).unwrap();
        fs::write(scratch.path("run").join(FILE), "{\"version\":1,").unwrap();
        assert!(store.forwarding().unwrap_err().to_string().contains("cut off"));
    }
}
