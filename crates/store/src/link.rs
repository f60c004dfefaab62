//! Records of links. As with endpoints, the folder shows the state of a link:
//!
//! ```text
//!            begin_link             finish_link          begin_unlink             finish_unlink
//!   nothing -----------> linking/ -------------> links/ -------------> linking/ ---------------> nothing
//! ```
//!
//! A record in `linking` whose sandboxes are all unlocked belongs to a process that was killed. The recovery is always:
//! undo.

use crate::disk::{self, Creation, Durability};
use crate::key::{json_in, stem};
use crate::versioned::{from_json, to_json};
use crate::{Store, StoreError};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use zubi_model::{DirectLink, LinkId};

#[derive(Serialize, Deserialize)]
struct Record<L> {
    link: L,
}

/// All changes need the locks of all sandboxes of the link.
impl Store {
    /// Writes the record, before any part of the link exists. Fails with [`StoreError::LinkThere`] if a link of that id
    /// is in `linking`.
    pub fn begin_link(&self, link: &DirectLink) -> Result<(), StoreError> {
        let path = json_in(&self.linking_folder(), link.id.as_str());
        match self.disk.create(&path, &to_json(&path, &Record { link })?)? {
            Creation::Created => Ok(()),
            Creation::AlreadyThere => Err(StoreError::LinkThere { path }),
        }
    }

    /// Records that the link is complete. Fails with [`StoreError::NoLink`] if it is not in `linking`.
    pub fn finish_link(&self, id: &LinkId) -> Result<(), StoreError> {
        self.move_link(id, &self.linking_folder(), &self.links_folder())
    }

    /// Records that the link is about to be removed. Fails with [`StoreError::NoLink`] if it is not complete.
    pub fn begin_unlink(&self, id: &LinkId) -> Result<(), StoreError> {
        self.move_link(id, &self.links_folder(), &self.linking_folder())
    }

    /// Removes the record. This is the last step, when no part of the link exists any more. The record may be missing.
    pub fn finish_unlink(&self, id: &LinkId) -> Result<(), StoreError> {
        self.disk.remove(&json_in(&self.linking_folder(), id.as_str()), Durability::Boot)?;
        Ok(())
    }

    /// A complete link.
    pub fn link(&self, id: &LinkId) -> Result<Option<DirectLink>, StoreError> {
        read(&self.links_folder(), id)
    }

    /// A link that is being made or removed.
    pub fn unfinished_link(&self, id: &LinkId) -> Result<Option<DirectLink>, StoreError> {
        read(&self.linking_folder(), id)
    }

    /// All complete links that can be read, oldest first, and the errors of the others.
    pub fn links_lossy(&self) -> (Vec<DirectLink>, Vec<StoreError>) {
        lossy(&self.links_folder())
    }

    /// All links that are being made or removed and can be read, oldest first, and the errors of the others.
    pub fn unfinished_links_lossy(&self) -> (Vec<DirectLink>, Vec<StoreError>) {
        lossy(&self.linking_folder())
    }

    fn move_link(&self, id: &LinkId, from: &Path, to: &Path) -> Result<(), StoreError> {
        let (from, to) = (json_in(from, id.as_str()), json_in(to, id.as_str()));
        if self.disk.rename(&from, &to)? { Ok(()) } else { Err(StoreError::NoLink { path: from }) }
    }

    fn linking_folder(&self) -> PathBuf {
        self.disk.run().join("linking")
    }

    fn links_folder(&self) -> PathBuf {
        self.disk.run().join("links")
    }
}

fn read(folder: &Path, id: &LinkId) -> Result<Option<DirectLink>, StoreError> {
    let path = json_in(folder, id.as_str());
    let Some(content) = disk::read(&path)? else { return Ok(None) };
    let Record { link } = from_json::<Record<DirectLink>>(&path, &content)?;
    if link.id != *id {
        return Err(StoreError::unreadable(&path, &format!("holds link {}", link.id)));
    }
    Ok(Some(link))
}

fn lossy(folder: &Path) -> (Vec<DirectLink>, Vec<StoreError>) {
    let (mut good, bad) = disk::read_each(folder, |file| match stem(file).and_then(|stem| stem.parse().ok()) {
        Some(id) => read(folder, &id),
        None => Err(StoreError::unreadable(&folder.join(file), "is not named as ten hex digits and .json")),
    });
    good.sort_by_key(|l| l.made_at);
    (good, bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::fs;

    fn link(id: &str) -> DirectLink {
        serde_json::from_value(serde_json::json!({
            "id": id,
            "ends": [
                {"place": {"sandbox": {"cookie": 5, "spelled": "c1", "reached_by": {"named": "c1"}}},
                 "ifname": "veth-a", "mac": "02:00:00:00:00:01", "addresses": ["10.0.0.1/24"]},
                {"place": "host", "ifname": "veth-b", "mac": "02:00:00:00:00:02"}
            ],
            "made_at": 7
        }))
        .unwrap()
    }

    #[test]
    fn the_folder_shows_how_far_a_link_is() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let link = link("00aa11bb22");
        store.begin_link(&link).unwrap();
        assert!(matches!(store.begin_link(&link), Err(StoreError::LinkThere { .. })));
        assert_eq!(store.unfinished_links_lossy().0, std::slice::from_ref(&link));
        store.finish_link(&link.id).unwrap();
        assert_eq!(store.link(&link.id).unwrap(), Some(link.clone()));
        assert_eq!(store.unfinished_link(&link.id).unwrap(), None);
        store.begin_unlink(&link.id).unwrap();
        assert!(matches!(store.begin_unlink(&link.id), Err(StoreError::NoLink { .. })));
        store.finish_unlink(&link.id).unwrap();
        store.finish_unlink(&link.id).unwrap();
        assert!(store.links_lossy().0.is_empty() && store.unfinished_links_lossy().0.is_empty());
    }

    #[test]
    fn a_record_that_cannot_be_read_hides_no_other() {
        let scratch = Scratch::new();
        let store = scratch.store();
        store.begin_link(&link("00aa11bb22")).unwrap();
        store.finish_link(&link("00aa11bb22").id).unwrap();
        fs::write(scratch.path("run/links/x.json"), "{}").unwrap();
        fs::copy(scratch.path("run/links/00aa11bb22.json"), scratch.path("run/links/00aa11bb23.json")).unwrap();
        let (good, bad) = store.links_lossy();
        assert_eq!((good.len(), bad.len()), (1, 2));
        assert!(bad[0].to_string().contains("holds link 00aa11bb22"), "{}", bad[0]);
    }
}
