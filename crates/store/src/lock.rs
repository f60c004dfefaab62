//! Advisory locks (flock(2)) on files in `run/lock`.
//!
//! # How it works
//!
//! A lock belongs to an open file, so it ends with its process whatever happens. Lock files may be unlinked, by
//! a holder only; whoever waited meanwhile then holds a lock that nobody else can find, notices that the path
//! leads to another file or none, and starts again.
//!
//! # Limits
//!
//! A second lock of the same name in one process excludes the first: taking it while holding it never returns.

use crate::disk::{self, Disk, Durability, failed};
use crate::{Store, StoreError};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zubi_model::{NetnsCookie, NetworkName, SandboxName};

/// Whether others may hold the lock too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Others that share it.
    Shared,
    /// Nobody.
    Exclusive,
}

/// A lock that is held until this value goes away.
#[derive(Debug)]
#[must_use = "a lock is released when it is dropped"]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Explicit, because a child that was forked while we held it would keep the lock by its copy of the
        // descriptor. Should it fail, closing releases it for everybody but such a child.
        self.file.unlock().unwrap_or_default();
    }
}

impl Store {
    /// Every change holds it shared; who removes networks or judges all records holds it exclusively. Waits.
    pub fn lock_host(&self, mode: Mode) -> Result<Lock, StoreError> {
        lock(&self.disk, &self.lock_path("host"), mode)
    }

    /// As [`Store::lock_host`]; `None` when it would have to wait.
    pub fn try_lock_host(&self, mode: Mode) -> Result<Option<Lock>, StoreError> {
        try_lock(&self.disk, &self.lock_path("host"), mode)
    }

    /// Held while endpoints of the sandbox come and go. Waits.
    pub fn lock_sandbox(&self, cookie: NetnsCookie) -> Result<Lock, StoreError> {
        lock(&self.disk, &self.sandbox_lock_path(cookie), Mode::Exclusive)
    }

    /// As [`Store::lock_sandbox`]; `None` when somebody is at work on the sandbox.
    pub fn try_lock_sandbox(&self, cookie: NetnsCookie) -> Result<Option<Lock>, StoreError> {
        try_lock(&self.disk, &self.sandbox_lock_path(cookie), Mode::Exclusive)
    }

    /// Held while addresses of the network are chosen. Waits.
    pub fn lock_leases(&self, network: &NetworkName) -> Result<Lock, StoreError> {
        lock(&self.disk, &self.leases_lock_path(network), Mode::Exclusive)
    }

    /// Held by the one process that deletes doomed devices; `None` when there is one.
    pub fn try_lock_reaper(&self) -> Result<Option<Lock>, StoreError> {
        try_lock(&self.disk, &self.lock_path("reaper"), Mode::Exclusive)
    }

    /// Waits until no process deletes doomed devices.
    pub fn lock_reaper(&self) -> Result<Lock, StoreError> {
        lock(&self.disk, &self.lock_path("reaper"), Mode::Exclusive)
    }

    /// Held by `zubi run` for the life of a sandbox that shall go with it; `None` when that lives.
    pub fn try_lock_run(&self, sandbox: &SandboxName) -> Result<Option<Lock>, StoreError> {
        try_lock(&self.disk, &self.run_lock_path(sandbox), Mode::Exclusive)
    }

    /// As [`Store::try_lock_run`], but waits.
    pub fn lock_run(&self, sandbox: &SandboxName) -> Result<Lock, StoreError> {
        lock(&self.disk, &self.run_lock_path(sandbox), Mode::Exclusive)
    }

    /// Removes the lock file of a sandbox that is gone, then releases the lock. A lock on something else is only
    /// released.
    pub fn remove_sandbox_lock(&self, cookie: NetnsCookie, held: Lock) -> Result<(), StoreError> {
        self.unlink_held(&self.sandbox_lock_path(cookie), held)
    }

    /// As [`Store::remove_sandbox_lock`] for [`Store::lock_run`].
    pub fn remove_run_lock(&self, sandbox: &SandboxName, held: Lock) -> Result<(), StoreError> {
        self.unlink_held(&self.run_lock_path(sandbox), held)
    }

    /// Removes the lock file at `path` unless somebody holds it.
    pub(crate) fn remove_free_lock(&self, path: &Path) -> Result<(), StoreError> {
        // Taking the lock would create the file.
        if !disk::exists(path)? {
            return Ok(());
        }
        match try_lock(&self.disk, path, Mode::Exclusive)? {
            Some(held) => self.unlink_held(path, held),
            None => Ok(()),
        }
    }

    pub(crate) fn leases_lock_path(&self, network: &NetworkName) -> PathBuf {
        self.lock_path(&format!("leases-{network}"))
    }

    pub(crate) fn names_lock_path(&self, network: &NetworkName) -> PathBuf {
        self.lock_path(&format!("names-{network}"))
    }

    pub(crate) fn lock_path(&self, name: &str) -> PathBuf {
        self.disk.run().join("lock").join(name)
    }

    fn sandbox_lock_path(&self, cookie: NetnsCookie) -> PathBuf {
        self.lock_path(&format!("sandbox-{cookie}"))
    }

    fn run_lock_path(&self, sandbox: &SandboxName) -> PathBuf {
        self.lock_path(&format!("run-{sandbox}"))
    }

    fn unlink_held(&self, path: &Path, held: Lock) -> Result<(), StoreError> {
        if held.path == path {
            self.disk.remove(path, Durability::Boot)?;
        }
        drop(held);
        Ok(())
    }
}

/// Waits for a lock.
pub(crate) fn lock(disk: &Disk, path: &Path, mode: Mode) -> Result<Lock, StoreError> {
    loop {
        let file = open(disk, path)?;
        let waited = loop {
            let outcome = match mode {
                Mode::Shared => file.lock_shared(),
                Mode::Exclusive => file.lock(),
            };
            match outcome {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        waited.map_err(failed("lock", path))?;
        if still_at(&file, path)? {
            return Ok(Lock { file, path: path.to_owned() });
        }
    }
}

fn try_lock(disk: &Disk, path: &Path, mode: Mode) -> Result<Option<Lock>, StoreError> {
    loop {
        let file = open(disk, path)?;
        let outcome = match mode {
            Mode::Shared => file.try_lock_shared(),
            Mode::Exclusive => file.try_lock(),
        };
        match outcome {
            Ok(()) if still_at(&file, path)? => return Ok(Some(Lock { file, path: path.to_owned() })),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(e)) => return Err(failed("lock", path)(e)),
        }
    }
}

/// Not readable by others: who can open a file can lock it, and so could stop everybody.
fn open(disk: &Disk, path: &Path) -> Result<File, StoreError> {
    let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    let opened = match (open(), path.parent()) {
        (Err(e), Some(folder)) if e.kind() == ErrorKind::NotFound => {
            disk.make_folder(folder, Durability::Boot)?;
            open()
        }
        (other, _) => other,
    };
    opened.map_err(failed("lock", path))
}

fn still_at(file: &File, path: &Path) -> Result<bool, StoreError> {
    let identity = |m: fs::Metadata| (m.dev(), m.ino());
    let there: io::Result<_> = fs::metadata(path).map(identity);
    match there {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        there => {
            Ok(there.map_err(failed("lock", path))? == file.metadata().map(identity).map_err(failed("lock", path))?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn exclusive_excludes_and_shared_shares() {
        let scratch = Scratch::new();
        let (a, b) = (scratch.store(), scratch.store());
        let one = a.lock_host(Mode::Shared).unwrap();
        let two = b.lock_host(Mode::Shared).unwrap();
        assert!(b.try_lock_host(Mode::Exclusive).unwrap().is_none());
        drop((one, two));
        let all = b.try_lock_host(Mode::Exclusive).unwrap().unwrap();
        assert!(a.try_lock_host(Mode::Shared).unwrap().is_none());
        drop(all);
        assert!(a.try_lock_host(Mode::Shared).unwrap().is_some());
    }

    #[test]
    fn locks_of_different_things_do_not_meet() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let name: SandboxName = "c1".parse().unwrap();
        let _held = (
            store.lock_host(Mode::Exclusive).unwrap(),
            store.lock_sandbox(NetnsCookie(5)).unwrap(),
            store.lock_sandbox(NetnsCookie(6)).unwrap(),
            store.lock_leases(&"blue".parse().unwrap()).unwrap(),
            store.try_lock_reaper().unwrap().unwrap(),
            store.lock_run(&name).unwrap(),
        );
        assert!(store.try_lock_sandbox(NetnsCookie(5)).unwrap().is_none());
        assert!(store.try_lock_run(&name).unwrap().is_none());
        assert!(store.try_lock_reaper().unwrap().is_none());
    }

    #[test]
    fn a_lock_on_an_unlinked_file_is_no_lock() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let (inside, turns) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (store, inside, turns) = (&store, &inside, &turns);
                scope.spawn(move || {
                    for round in 0..300 {
                        let held = store.lock_sandbox(NetnsCookie(5)).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        turns.fetch_add(1, Ordering::SeqCst);
                        assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                        if (round + thread) % 3 == 0 {
                            store.remove_sandbox_lock(NetnsCookie(5), held).unwrap();
                        }
                    }
                });
            }
        });
        assert_eq!(turns.into_inner(), 8 * 300);
    }

    #[test]
    fn only_the_lock_that_is_held_can_be_removed() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let other = store.lock_sandbox(NetnsCookie(6)).unwrap();
        store.lock_sandbox(NetnsCookie(5)).map(drop).unwrap();
        store.remove_sandbox_lock(NetnsCookie(5), other).unwrap();
        assert!(scratch.path("run/lock/sandbox-5").exists());
        let held = store.lock_sandbox(NetnsCookie(5)).unwrap();
        store.remove_sandbox_lock(NetnsCookie(5), held).unwrap();
        assert!(!scratch.path("run/lock/sandbox-5").exists());
    }
}
