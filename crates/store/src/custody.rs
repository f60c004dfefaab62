//! Owner and mode of the two folders. A user who can write to them can make a root program create and delete devices.

use crate::disk::failed;
use crate::{Store, StoreError};
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Write permission of group and others.
const WRITABLE: u32 = 0o022;
/// Root. In a user namespace this is the user who created it.
const ROOT: u32 = 0;

impl Store {
    /// Fails if another user owns one of the folders or can write to it. A missing folder is created later.
    pub(crate) fn refuse_shared(&self) -> Result<(), StoreError> {
        [self.disk.run(), self.disk.state()].into_iter().try_for_each(refuse)
    }
}

fn refuse(folder: &Path) -> Result<(), StoreError> {
    let Some(mut there) = look(folder, fs::symlink_metadata(folder))? else { return Ok(()) };
    if there.is_symlink() {
        refuse_owner(folder, &there, "is a link that belongs to")?;
        // Follow the link: its owner is this user or root.
        let Some(target) = look(folder, fs::metadata(folder))? else { return Ok(()) };
        there = target;
    }
    refuse_owner(folder, &there, "belongs to")?;
    if there.mode() & WRITABLE != 0 {
        return Err(StoreError::Shared {
            path: folder.to_owned(),
            why: format!("has mode {:04o}, so that others can write to it", there.mode() & 0o7777),
            next: format!("chmod go-w {}", folder.display()),
        });
    }
    Ok(())
}

fn refuse_owner(folder: &Path, there: &Metadata, what: &str) -> Result<(), StoreError> {
    let owner = there.uid();
    // Root can change everything anyway. Only for other owners we need to know our own user.
    if owner == ROOT || owner == effective_user()? {
        return Ok(());
    }
    Err(StoreError::Shared {
        path: folder.to_owned(),
        why: format!("{what} user {owner}, who can write to it"),
        next: format!("chown -h root {}", folder.display()),
    })
}

fn look(folder: &Path, answer: io::Result<Metadata>) -> Result<Option<Metadata>, StoreError> {
    match answer {
        Ok(there) => Ok(Some(there)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(failed("look at", folder)(e)),
    }
}

/// The second number of the line `Uid:`, in proc_pid_status(5).
fn effective_user() -> Result<u32, StoreError> {
    let path = Path::new("/proc/self/status");
    let status = fs::read_to_string(path).map_err(failed("read", path))?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let number = line.and_then(|numbers| numbers.split_whitespace().nth(1)?.parse().ok());
    number.ok_or_else(|| failed("read", path)(ErrorKind::InvalidData.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::{Scratch, host};
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    #[test]
    fn folders_that_others_can_write_to_are_refused_with_what_to_do() {
        for (folder, mode) in [("run", 0o777), ("run", 0o1777), ("state", 0o770), ("state", 0o702)] {
            let scratch = Scratch::new();
            fs::create_dir(scratch.path(folder)).unwrap();
            fs::set_permissions(scratch.path(folder), Permissions::from_mode(mode)).unwrap();
            let error = Store::open(scratch.dirs(), host("boot-1", 1)).unwrap_err().to_string();
            let path = scratch.path(folder).display().to_string();
            assert!(error.contains(&format!("{path}: has mode {mode:04o}")), "{error}");
            assert!(error.contains(&format!("chmod go-w {path}")), "{error}");
            assert!(scratch.tree("run").iter().all(|path| path == "/"), "{:?}", scratch.tree("run"));
        }
    }

    #[test]
    fn folders_that_others_can_read_are_ours() {
        let scratch = Scratch::new();
        for folder in ["run", "state"] {
            fs::create_dir(scratch.path(folder)).unwrap();
            fs::set_permissions(scratch.path(folder), Permissions::from_mode(0o755)).unwrap();
        }
        scratch.store();
    }

    #[test]
    fn a_folder_behind_a_link_of_ours_is_ours() {
        let scratch = Scratch::new();
        fs::create_dir(scratch.path("elsewhere")).unwrap();
        symlink(scratch.path("elsewhere"), scratch.path("run")).unwrap();
        scratch.store();
        fs::set_permissions(scratch.path("elsewhere"), Permissions::from_mode(0o777)).unwrap();
        assert!(Store::open(scratch.dirs(), host("boot-1", 1)).is_err());
    }

    #[test]
    fn a_folder_of_another_user_is_refused() {
        let scratch = Scratch::new();
        fs::create_dir(scratch.path("run")).unwrap();
        // Only root can change a folder's owner.
        if chown(scratch.path("run"), Some(12345), None).is_err() {
            eprintln!("skipped: not root");
            return;
        }
        let error = Store::open(scratch.dirs(), host("boot-1", 1)).unwrap_err().to_string();
        assert!(error.contains("run: belongs to user 12345") && error.contains("chown -h root"), "{error}");
    }
}
