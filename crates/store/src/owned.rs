//! Files that say to which endpoint belongs what they are named after.

use crate::StoreError;
use crate::disk::{self, Creation, Disk, Durability};
use crate::key::parse_key;
use crate::versioned::{from_json, to_json};
use serde::{Deserialize, Serialize};
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

#[derive(Serialize, Deserialize)]
struct Ownership {
    owner: String,
}

pub(crate) fn claim(disk: &Disk, path: &Path, claimant: &EndpointKey) -> Result<Claim, StoreError> {
    let content = to_json(path, &Ownership { owner: claimant.to_string() })?;
    loop {
        if disk.create(path, &content)? == Creation::Created {
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
    let Some(content) = disk::read(path)? else { return Ok(None) };
    let Ownership { owner } = from_json(path, &content)?;
    match parse_key(&owner) {
        Some(key) => Ok(Some(key)),
        None => Err(StoreError::Unreadable {
            path: path.to_owned(),
            why: format!("names {owner:?} as its owner, which is no endpoint"),
        }),
    }
}
