//! Advisory locks (flock(2)) on files in `run/lock`, and how a process waits for one. `order.rs` defines the locks
//! themselves.
//!
//! # How it works
//!
//! A lock belongs to an open file, so it ends with its process, however that ends. Only the holder deletes a lock's
//! file. A process that was waiting then gets a lock on a deleted file. It notices that the path leads to another file,
//! and starts again.
//!
//! # Waiting
//!
//! flock(2) waits for ever, and only a signal or a second thread could end that. So a process tries a lock again and
//! again until it is free. The pause between two tries is a sixteenth of the time that it has waited already, at most
//! 10 ms: the wait is hardly longer than in the kernel's own queue, and a free lock costs one call. After the store's
//! patience the wait ends with an error that names the holder.
//!
//! The host's lock has a *gate*, a second lock on the folder of all lock files. A process that does not get the host's
//! lock at once takes the gate, sets the length of the lock's file to one, and is then the only one that waits for the
//! host's lock. A process that gets the host's lock at once and sees this length (it looks at the file anyway) releases
//! the lock and queues at the gate. This way a stream of shared holders cannot starve a process that needs the lock
//! exclusively. If a process is killed while it waits, the next one needlessly goes through the gate, which resets the
//! length.
//!
//! # Limits
//!
//! A second lock of the same name in one process excludes the first. A process that takes the host's lock shared twice
//! may deadlock with another that waits for it exclusively.

use crate::disk::{self, Durability, FILE_MODE, failed};
use crate::holder::{Holder, holders};
use crate::{Store, StoreError};
use std::fs::{self, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};
use zubi_model::{Doing, NetworkName};

/// The file of the host's lock.
pub(crate) const HOST: &str = "host";

/// The shortest and the longest pause between tries.
const PAUSES: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(10));
/// A pause is the time that the process has waited, divided by this.
const PART: u32 = 16;
/// The interval at which a process at the gate checks whether the gate's holder is stopped.
const LOOKS: Duration = Duration::from_millis(250);

/// Whether others may hold the lock at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Shared,
    Exclusive,
}

/// A lock, held until the value is dropped.
#[derive(Debug)]
#[must_use = "a lock is released when it is dropped"]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Unlock explicitly: a child that was forked meanwhile has a copy of the descriptor and would keep the lock. If
        // this fails, closing the file releases the lock unless there is such a child.
        self.file.unlock().unwrap_or_default();
    }
}

impl Store {
    /// Removes the lock file at `path` unless a process holds the lock.
    pub(crate) fn remove_free_lock(&self, path: &Path) -> Result<(), StoreError> {
        // Taking the lock would create the file.
        if !disk::exists(path)? {
            return Ok(());
        }
        match self.try_lock(path, Mode::Exclusive)? {
            Some(held) => self.unlink_held(held),
            None => Ok(()),
        }
    }

    /// Removes the file of a lock, then releases the lock.
    pub(crate) fn unlink_held(&self, held: Lock) -> Result<(), StoreError> {
        self.disk.remove(&held.path, Durability::Boot)?;
        drop(held);
        Ok(())
    }

    pub(crate) fn names_lock_path(&self, network: &NetworkName) -> PathBuf {
        self.lock_path(&format!("names-{network}"))
    }

    pub(crate) fn lock_path(&self, name: &str) -> PathBuf {
        self.locks_folder().join(name)
    }

    pub(crate) fn locks_folder(&self) -> PathBuf {
        self.disk.run().join("lock")
    }
}

impl Store {
    /// Waits for a lock, no longer than the store's patience.
    pub(crate) fn lock(&self, path: &Path, mode: Mode) -> Result<Lock, StoreError> {
        match self.try_lock(path, mode)? {
            Some(lock) => Ok(lock),
            None => self.wait(path, mode),
        }
    }

    /// `None` when a process holds the lock, or waits for it at the gate.
    pub(crate) fn try_lock(&self, path: &Path, mode: Mode) -> Result<Option<Lock>, StoreError> {
        loop {
            let file = self.open_lock(path)?;
            if !take(&file, path, mode)? {
                return Ok(None);
            }
            let lock = Lock { file, path: path.to_owned() };
            match look(&lock.file, path)? {
                Some(seen) if seen.is_file() && seen.len() > 0 => return Ok(None),
                Some(_) => return Ok(Some(lock)),
                None => {}
            }
        }
    }

    fn wait(&self, path: &Path, mode: Mode) -> Result<Lock, StoreError> {
        let since = Instant::now();
        let mut file = self.open_lock(path)?;
        let waiting = self.progress.begin();
        let _turn = self.turn(path, since, &waiting)?;
        loop {
            if take(&file, path, mode)? {
                if look(&file, path)?.is_some() {
                    return Ok(Lock { file, path: path.to_owned() });
                }
                file = self.open_lock(path)?;
                continue;
            }
            self.pause(path, since, &waiting)?;
        }
    }

    /// Waits at the gate for the right to wait for a lock. Only the host's lock has a gate. If the gate's holder is
    /// stopped, the process goes past the gate: otherwise it would wait though the lock itself may be free.
    fn turn(&self, path: &Path, since: Instant, waiting: &Doing) -> Result<Option<Turn>, StoreError> {
        if path != self.lock_path(HOST) {
            return Ok(None);
        }
        let gate = self.locks_folder();
        let file = self.open_lock(&gate)?;
        let mut next_look = LOOKS;
        loop {
            if take(&file, &gate, Mode::Exclusive)? {
                let gate = Lock { file, path: gate };
                let awaited = self.open_lock(path)?;
                awaited.set_len(1).map_err(failed("lock", path))?;
                return Ok(Some(Turn { awaited, _gate: gate }));
            }
            if since.elapsed() > next_look {
                next_look += LOOKS;
                let keepers = holders_at(&gate);
                if !keepers.is_empty() && keepers.iter().all(Holder::is_stopped) {
                    return Ok(None);
                }
            }
            self.pause(path, since, waiting)?;
        }
    }

    /// Sleeps until the next try. Fails when the store's patience is over.
    fn pause(&self, path: &Path, since: Instant, waiting: &Doing) -> Result<(), StoreError> {
        let waited = since.elapsed();
        if waited >= self.patience {
            return Err(StoreError::Locked { path: path.to_owned(), waited, holders: holders_at(path) });
        }
        waiting.step(|| awaited(path));
        sleep((waited / PART).clamp(PAUSES.0, PAUSES.1).min(self.patience.saturating_sub(waited)));
        Ok(())
    }

    /// Opens a lock's file. Its mode excludes other users: a user who can open a file can lock it.
    fn open_lock(&self, path: &Path) -> Result<File, StoreError> {
        // The gate and the reaper's lock are locks on folders, which are never deleted.
        if self.locks_folder().starts_with(path) {
            return File::open(path).map_err(failed("lock", path));
        }
        let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path);
        let opened = match (open(), path.parent()) {
            (Err(e), Some(folder)) if e.kind() == ErrorKind::NotFound => {
                self.disk.make_folder(folder, Durability::Boot)?;
                open()
            }
            (other, _) => other,
        };
        opened.map_err(failed("lock", path))
    }
}

/// The right to wait for a lock, until the process has the lock or gives up.
struct Turn {
    /// The file of the lock.
    awaited: File,
    _gate: Lock,
}

impl Drop for Turn {
    fn drop(&mut self) {
        // If this fails, the next process needlessly goes through the gate.
        self.awaited.set_len(0).unwrap_or_default();
    }
}

/// Tries the lock once. `true`: we have it.
fn take(file: &File, path: &Path, mode: Mode) -> Result<bool, StoreError> {
    let outcome = match mode {
        Mode::Shared => file.try_lock_shared(),
        Mode::Exclusive => file.try_lock(),
    };
    match outcome {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(e)) => Err(failed("lock", path)(e)),
    }
}

/// The metadata of a locked file; `None` if its path now leads to another file.
fn look(file: &File, path: &Path) -> Result<Option<Metadata>, StoreError> {
    let identity = |m: &Metadata| (m.dev(), m.ino());
    let there = match fs::metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        there => there.map_err(failed("lock", path))?,
    };
    let held = file.metadata().map_err(failed("lock", path))?;
    if identity(&there) != identity(&held) {
        return Ok(None);
    }
    if held.is_file() && held.mode() & 0o777 != FILE_MODE {
        // The umask of the process that made it cleared some bits.
        file.set_permissions(Permissions::from_mode(FILE_MODE)).map_err(failed("lock", path))?;
    }
    Ok(Some(held))
}

fn holders_at(path: &Path) -> Vec<Holder> {
    fs::metadata(path).map(|file| holders(&file)).unwrap_or_default()
}

/// What a process waits for, in words.
fn awaited(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let lock = if name == HOST { "the lock of the host".to_owned() } else { format!("lock {name}") };
    let holders: Vec<String> = holders_at(path).iter().map(ToString::to_string).collect();
    match holders.as_slice() {
        [] => format!("waiting for {lock}"),
        some => format!("waiting for {lock}: {} has it", some.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use crate::scratch::host;
    use crate::{Dirs, Opening};
    use std::process::{Child, Command};
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn try_host(store: &Store, mode: Mode) -> Option<Lock> {
        store.try_lock(&store.lock_path(HOST), mode).unwrap()
    }

    fn impatient(dirs: Dirs) -> Store {
        Opening::new(dirs, host("boot-1", 1)).patience(Duration::from_millis(300)).open().unwrap()
    }

    fn until(done: impl Fn() -> bool) {
        while !done() {
            sleep(Duration::from_millis(1));
        }
    }

    /// Another process that holds a lock.
    struct Foreign(Child);

    impl Foreign {
        fn locks(path: &Path) -> Self {
            let path_word = path.to_str().unwrap();
            let child = Command::new("flock").args(["--no-fork", path_word, "sleep", "1000"]).spawn().unwrap();
            until(|| holders_at(path).iter().any(|holder| holder.program == "sleep"));
            Foreign(child)
        }

        fn signal(&self, signal: &str) {
            let killed = Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap();
            assert!(killed.success());
        }

        fn stop(&self) {
            self.signal("-STOP");
            let stat = format!("/proc/{}/stat", self.0.id());
            until(|| fs::read_to_string(&stat).unwrap().contains(") T "));
        }
    }

    impl Drop for Foreign {
        fn drop(&mut self) {
            self.signal("-KILL");
            self.0.wait().unwrap();
        }
    }

    #[test]
    fn a_wait_ends_with_an_error_that_names_the_holder() {
        let scratch = Scratch::new();
        let store = impatient(scratch.dirs());
        for path in [store.lock_path(HOST), store.lock_path("leases-blue")] {
            drop(store.lock(&path, Mode::Exclusive).unwrap());
            let foreign = Foreign::locks(&path);
            let id = foreign.0.id();
            let said = store.lock(&path, Mode::Shared).unwrap_err().to_string();
            assert!(said.contains(&format!("lock {}: waited ", path.display())), "{said}");
            assert!(said.contains(&format!("process {id} (sleep) has it; try again")), "{said}");
            foreign.stop();
            let said = store.lock(&path, Mode::Shared).unwrap_err().to_string();
            assert!(said.contains(&format!("process {id} (sleep), which is stopped (state T), has it")), "{said}");
            assert!(said.contains(&format!("kill -CONT {id} lets it go on")), "{said}");
            drop(foreign);
            assert!(store.lock(&path, Mode::Shared).is_ok());
        }
    }

    #[test]
    fn a_stream_of_sharers_does_not_keep_out_an_exclusive_waiter() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let first = store.lock_host().unwrap();
        let path = store.lock_path(HOST);
        let order = std::sync::Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _alone = store.lock_host_exclusive().unwrap();
                order.lock().unwrap().push("alone");
            });
            until(|| fs::metadata(&path).unwrap().len() == 1);
            // The kernel would grant another shared lock now.
            assert!(try_host(&store, Mode::Shared).is_none());
            scope.spawn(|| {
                let _shared = store.lock_host().unwrap();
                order.lock().unwrap().push("shared");
            });
            drop(first);
        });
        assert_eq!(order.into_inner().unwrap().len(), 2);
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    }

    #[test]
    fn the_mark_of_a_killed_process_and_a_stopped_waiter_keep_nobody_out() {
        let scratch = Scratch::new();
        let store = Opening::new(scratch.dirs(), host("boot-1", 1)).patience(Duration::from_secs(20)).open().unwrap();
        let path = store.lock_path(HOST);
        fs::write(&path, "x").unwrap();
        drop(store.lock_host().unwrap());
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);

        let gate = store.locks_folder();
        let foreign = Foreign::locks(&gate);
        foreign.stop();
        fs::write(&path, "x").unwrap();
        drop(store.lock_host_exclusive().unwrap());
        drop(store.lock_host().unwrap());
    }

    #[test]
    fn every_sharer_and_every_exclusive_waiter_gets_its_turn() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let (shared, alone) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for thread in 0..12 {
                let (store, shared, alone) = (&store, &shared, &alone);
                scope.spawn(move || {
                    for round in 0..40 {
                        if (thread + round) % 4 == 0 {
                            let _held = store.lock_host_exclusive().unwrap();
                            assert_eq!(alone.fetch_add(1, Ordering::SeqCst), 0);
                            assert_eq!(shared.load(Ordering::SeqCst), 0);
                            std::thread::yield_now();
                            alone.fetch_sub(1, Ordering::SeqCst);
                        } else {
                            let _held = store.lock_host().unwrap();
                            shared.fetch_add(1, Ordering::SeqCst);
                            assert_eq!(alone.load(Ordering::SeqCst), 0);
                            std::thread::yield_now();
                            shared.fetch_sub(1, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn exclusive_excludes_and_shared_shares() {
        let scratch = Scratch::new();
        let (a, b) = (scratch.store(), scratch.store());
        let one = a.lock_host().unwrap();
        let two = b.lock_host().unwrap();
        assert!(try_host(&b, Mode::Exclusive).is_none());
        drop((one, two));
        let all = try_host(&b, Mode::Exclusive).unwrap();
        assert!(try_host(&a, Mode::Shared).is_none());
        drop(all);
        assert!(try_host(&a, Mode::Shared).is_some());
    }
}
