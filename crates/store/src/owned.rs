//! Objects with an owner, as symbolic links: the link's name is the object, its target the owner. One system call
//! creates the complete link, and only if there is none.

use crate::disk::{self, Creation, Disk, Durability, failed};
use crate::{LeaseOwner, StoreError};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Outcome of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The claimant owns it now.
    New,
    /// The claimant owned it already.
    Ours,
    /// Another owner has it.
    Taken {
        /// The other owner.
        owner: LeaseOwner,
    },
}

impl Claim {
    /// Whether the claimant owns it now.
    pub fn is_held(&self) -> bool {
        !matches!(self, Claim::Taken { .. })
    }
}

/// Outcome of a change of owner.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a refused change changed nothing"]
pub enum TakeOver {
    /// The new owner has it, from this call or an earlier one.
    Done,
    /// Neither the earlier owner nor the new one had it. Nothing changed.
    Refused {
        /// The owner; `None` if it is free.
        owner: Option<LeaseOwner>,
    },
}

pub(crate) fn claim(disk: &Disk, path: &Path, claimant: &LeaseOwner) -> Result<Claim, StoreError> {
    let target = claimant.to_string();
    loop {
        if disk.link(path, &target)? == Creation::Created {
            return Ok(Claim::New);
        }
        match owner(path)? {
            Some(owner) if owner == *claimant => return Ok(Claim::Ours),
            Some(owner) => return Ok(Claim::Taken { owner }),
            // It was released between the two calls.
            None => {}
        }
    }
}

/// Removes the link if `by` is its target.
pub(crate) fn release(disk: &Disk, path: &Path, by: &LeaseOwner) -> Result<(), StoreError> {
    if owner(path)?.as_ref() == Some(by) {
        disk.remove(path, Durability::Boot)?;
    }
    Ok(())
}

/// Replaces the link in one rename, so that it is never free in between. The caller's lock keeps others from changing
/// it between the check and the rename.
pub(crate) fn take_over(disk: &Disk, path: &Path, from: &LeaseOwner, to: &LeaseOwner) -> Result<TakeOver, StoreError> {
    match owner(path)? {
        Some(owner) if owner == *to => Ok(TakeOver::Done),
        Some(owner) if owner == *from => disk.relink(path, &to.to_string()).map(|()| TakeOver::Done),
        owner => Ok(TakeOver::Refused { owner }),
    }
}

pub(crate) fn owner(path: &Path) -> Result<Option<LeaseOwner>, StoreError> {
    let unreadable = |why: &str| Err(StoreError::unreadable(path, why));
    let target = match fs::read_link(path) {
        Ok(target) => target,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) if e.kind() == ErrorKind::InvalidInput => return unreadable("is not a link to its owner"),
        Err(e) => return Err(failed("read", path)(e)),
    };
    let Some(Ok(owner)) = target.to_str().map(str::parse) else {
        let target = target.display();
        return unreadable(&format!("names {target} as its owner, which is neither an endpoint nor a reservation"));
    };
    Ok(Some(owner))
}

pub(crate) fn is_owned(path: &Path) -> Result<bool, StoreError> {
    disk::is_there(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::{Scratch, key};

    #[test]
    fn sixteen_that_claim_at_once_own_distinct_things() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let path = |number: usize| scratch.path(format!("run/things/{number}"));
        let owners: Vec<LeaseOwner> = (0..16).map(|cookie| LeaseOwner::Endpoint(key(cookie, "blue"))).collect();
        let won: Vec<Vec<usize>> = std::thread::scope(|scope| {
            let claims = |me| (0..100).filter(|n| claim(&store.disk, &path(*n), me).unwrap().is_held()).collect();
            let threads: Vec<_> = owners.iter().map(|me| scope.spawn(move || claims(me))).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(won.iter().map(Vec::len).sum::<usize>(), 100);
        for (me, things) in owners.iter().zip(won) {
            assert!(things.iter().all(|thing| owner(&path(*thing)).unwrap().as_ref() == Some(me)));
        }
    }
}
