//! Named sandboxes whose name zubi made, and may therefore remove.

use crate::disk::{self, Durability};
use crate::key::{json_in, stem};
use crate::versioned::{from_json, to_json};
use crate::{Store, StoreError};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use zubi_model::{NetnsCookie, SandboxName};

/// The command that made a name. It decides what is removed with the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Maker {
    /// `zubi sandbox add NAME`: zubi made the namespace. Its endpoints are removed with the name.
    Add,
    /// `zubi sandbox add NAME` for a namespace that existed. Its endpoints stay when the name goes.
    Attach,
    /// `zubi run`: namespace and name are removed when its command ends.
    Run,
}

/// A named sandbox whose name zubi made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxRecord {
    /// The name under /run/netns.
    pub name: SandboxName,
    /// The namespace's cookie; `None` until it is known. A namespace of that name with another cookie is not this one.
    pub cookie: Option<NetnsCookie>,
    /// The command that made it.
    pub maker: Maker,
}

impl Store {
    /// Writes a sandbox's record, and replaces an earlier one of that name.
    pub fn write_sandbox(&self, sandbox: &SandboxRecord) -> Result<(), StoreError> {
        let path = self.sandbox_path(&sandbox.name);
        self.disk.replace(&path, &to_json(&path, sandbox)?, Durability::Boot)
    }

    /// The sandbox of that name, if zubi made the name.
    pub fn sandbox(&self, name: &SandboxName) -> Result<Option<SandboxRecord>, StoreError> {
        let path = self.sandbox_path(name);
        let Some(content) = disk::read(&path)? else { return Ok(None) };
        let sandbox: SandboxRecord = from_json(&path, &content)?;
        if sandbox.name != *name {
            return Err(StoreError::unreadable(&path, &format!("holds sandbox {}", sandbox.name)));
        }
        Ok(Some(sandbox))
    }

    /// All records of sandboxes that can be read, by name, and the errors of the others.
    pub fn sandboxes_lossy(&self) -> (Vec<SandboxRecord>, Vec<StoreError>) {
        let folder = self.sandboxes_folder();
        let (mut good, bad) = disk::read_each(&folder, |file| match stem(file).and_then(|stem| stem.parse().ok()) {
            Some(name) => self.sandbox(&name),
            None => Err(StoreError::unreadable(&folder.join(file), "is not named as SANDBOX.json")),
        });
        good.sort_by(|a, b| a.name.cmp(&b.name));
        (good, bad)
    }

    /// Removes a sandbox's record; it may be missing.
    pub fn remove_sandbox(&self, name: &SandboxName) -> Result<(), StoreError> {
        self.disk.remove(&self.sandbox_path(name), Durability::Boot)?;
        Ok(())
    }

    fn sandboxes_folder(&self) -> PathBuf {
        self.disk.run().join("sandboxes")
    }

    fn sandbox_path(&self, name: &SandboxName) -> PathBuf {
        json_in(&self.sandboxes_folder(), name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::fs;

    #[test]
    fn a_sandbox_has_a_record_until_it_is_removed() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let record = |name: &str, cookie| SandboxRecord { name: name.parse().unwrap(), cookie, maker: Maker::Attach };
        let name = "c1".parse().unwrap();
        assert_eq!(store.sandbox(&name).unwrap(), None);
        store.write_sandbox(&record("c1", None)).unwrap();
        store.write_sandbox(&record("c1", Some(NetnsCookie(7)))).unwrap();
        store.write_sandbox(&record("a", None)).unwrap();
        assert_eq!(store.sandbox(&name).unwrap(), Some(record("c1", Some(NetnsCookie(7)))));
        assert_eq!(store.sandboxes_lossy().0, [record("a", None), record("c1", Some(NetnsCookie(7)))]);
        let text = fs::read_to_string(scratch.path("run/sandboxes/c1.json")).unwrap();
        assert!(text.ends_with(",\"name\":\"c1\",\"cookie\":7,\"maker\":\"attach\"}\n"), "{text}");
        store.remove_sandbox(&name).unwrap();
        store.remove_sandbox(&name).unwrap();
        assert_eq!(store.sandboxes_lossy().0.len(), 1);
    }
    #[test]
    fn a_record_that_cannot_be_read_hides_no_other() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let record = SandboxRecord { name: "c1".parse().unwrap(), cookie: None, maker: Maker::Run };
        store.write_sandbox(&record).unwrap();
        fs::write(scratch.path("run/sandboxes/b.json"), "{").unwrap();
        fs::write(scratch.path("run/sandboxes/x"), "").unwrap();
        let (good, bad) = store.sandboxes_lossy();
        assert_eq!((good.as_slice(), bad.len()), (std::slice::from_ref(&record), 2));
        assert!(bad[0].to_string().contains("sandboxes/b.json: is cut off"), "{}", bad[0]);
    }
}
