//! Doomed devices: they are renamed and down, and only wait for their deletion, which takes the kernel 16 ms (an RCU
//! barrier).

use crate::disk::{self, Durability};
use crate::{Store, StoreError};
use std::path::PathBuf;
use zubi_model::{IfName, Mac};

impl Store {
    /// Records that a device is to be deleted, before the command answers. The MAC distinguishes it from a later device
    /// of the same name.
    pub fn add_doomed(&self, device: &IfName, mac: Mac) -> Result<(), StoreError> {
        self.disk.replace(&self.doomed_path(device), format!("{mac}\n").as_bytes(), Durability::Boot)
    }

    /// All doomed devices by name, and the errors of the files that cannot be read.
    pub fn doomed_lossy(&self) -> (Vec<(IfName, Mac)>, Vec<StoreError>) {
        let folder = self.doomed_folder();
        disk::read_each(&folder, |name| {
            let path = folder.join(name);
            let Some(content) = disk::read(&path)? else { return Ok(None) };
            let text = String::from_utf8_lossy(&content);
            match (name.parse::<IfName>(), text.trim().parse::<Mac>()) {
                (Ok(device), Ok(mac)) => Ok(Some((device, mac))),
                (Err(e), _) | (_, Err(e)) => Err(StoreError::unreadable(&path, &e.to_string())),
            }
        })
    }

    /// Removes the record of a deleted device.
    pub fn remove_doomed(&self, device: &IfName) -> Result<(), StoreError> {
        self.disk.remove(&self.doomed_path(device), Durability::Boot)?;
        Ok(())
    }

    fn doomed_folder(&self) -> PathBuf {
        self.disk.run().join("doomed")
    }

    fn doomed_path(&self, device: &IfName) -> PathBuf {
        self.doomed_folder().join(device.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::fs;

    #[test]
    fn doomed_devices_are_listed_until_removed() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let (a, b): (IfName, IfName) = ("zv1".parse().unwrap(), "zv2".parse().unwrap());
        let mac: Mac = "fe:42:0a:00:00:02".parse().unwrap();
        assert!(store.doomed_lossy().0.is_empty());
        store.add_doomed(&b, mac).unwrap();
        store.add_doomed(&a, mac).unwrap();
        store.add_doomed(&a, mac).unwrap();
        assert_eq!(store.doomed_lossy().0, [(a.clone(), mac), (b.clone(), mac)]);
        store.remove_doomed(&a).unwrap();
        store.remove_doomed(&a).unwrap();
        assert_eq!(store.doomed_lossy().0, [(b, mac)]);
        fs::write(scratch.path("run/doomed/zv3"), "02:42").unwrap();
        let (good, bad) = store.doomed_lossy();
        assert_eq!(good, [("zv2".parse().unwrap(), mac)]);
        assert!(bad[0].to_string().contains("doomed/zv3: MAC `02:42`: is not six bytes"), "{}", bad[0]);
    }
}
