//! Links that say to which endpoint belongs what they are named after: symbolic links, whose target is the owner. One
//! system call makes one, complete and only if there is none.

use crate::StoreError;
use crate::disk::{self, Creation, Disk, Durability, failed};
use crate::key::parse_key;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use zubi_model::EndpointKey;

/// What became of an attempt to own something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// It is the claimant's from now on.
    New,
    /// It was the claimant's before.
    Ours,
    /// It is another's.
    Taken {
        /// Whose.
        owner: EndpointKey,
    },
}

impl Claim {
    /// Whether it is the claimant's now.
    pub fn is_held(&self) -> bool {
        !matches!(self, Claim::Taken { .. })
    }
}

pub(crate) fn claim(disk: &Disk, path: &Path, claimant: &EndpointKey) -> Result<Claim, StoreError> {
    let target = claimant.to_string();
    loop {
        if disk.link(path, &target)? == Creation::Created {
            return Ok(Claim::New);
        }
        match owner(path)? {
            Some(owner) if owner == *claimant => return Ok(Claim::Ours),
            Some(owner) => return Ok(Claim::Taken { owner }),
            // Released between our two looks.
            None => {}
        }
    }
}

/// Removes the file if `by` owns it.
pub(crate) fn release(disk: &Disk, path: &Path, by: &EndpointKey) -> Result<(), StoreError> {
    if owner(path)?.as_ref() == Some(by) {
        disk.remove(path, Durability::Boot)?;
    }
    Ok(())
}

pub(crate) fn owner(path: &Path) -> Result<Option<EndpointKey>, StoreError> {
    let unreadable = |why: &str| Err(StoreError::unreadable(path, why));
    let target = match fs::read_link(path) {
        Ok(target) => target,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) if e.kind() == ErrorKind::InvalidInput => return unreadable("is not a link to its owner"),
        Err(e) => return Err(failed("read", path)(e)),
    };
    match target.to_str().and_then(parse_key) {
        Some(key) => Ok(Some(key)),
        None => unreadable(&format!("names {} as its owner, which is no endpoint", target.display())),
    }
}

/// Whether it is anybody's.
pub(crate) fn is_owned(path: &Path) -> Result<bool, StoreError> {
    disk::is_there(path)
}
