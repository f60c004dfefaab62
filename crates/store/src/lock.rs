//! Advisory locks (flock(2)) on files in `run/lock`.
//!
//! # How it works
//!
//! A lock belongs to an open file, so it ends with its process whatever happens. Lock files may be unlinked, by
//! a holder only; whoever waited meanwhile then holds a lock that nobody else can find, notices that the path
//! leads to another file or none, and starts again.
//!
//! # Waiting
//!
//! flock(2) waits for ever, and only a signal or a second thread could end that. So a process asks again and again for a
//! lock that is not free. The pause between two tries is a sixteenth of the time that it has waited already, at most
//! 10 ms: the wait is hardly longer than in the kernel's own queue, and a free lock costs one call as before. The wait
//! ends after the store's patience, with an error that names the holder.
//!
//! The host's lock has a *gate*, a second lock: that of the folder in which all these files are. A process that does not
//! get the host's lock at once takes the gate, sets the length of the lock's file to one, and waits there alone. A process
//! that gets the host's lock at once and sees that length (the file is looked at anyway) gives the lock back and queues at
//! the gate. So a stream of holders that share the lock cannot keep out a process that wants it alone. The length that a
//! killed process left costs the next one a round through the gate, which sets the length back.
//!
//! # Limits
//!
//! A second lock of the same name in one process excludes the first. A process that takes the host's lock shared twice
//! waits for another one that wants the lock alone and waits for the first of the two.

use crate::disk::{self, Durability, FILE_MODE, failed};
use crate::holder::{Holder, holders};
use crate::{Store, StoreError};
use std::fs::{self, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};
use zubi_model::{NetnsCookie, NetworkName, SandboxName};

/// The file of the host's lock.
pub(crate) const HOST: &str = "host";

/// The shortest and the longest time between two tries.
const PAUSES: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(10));
/// Of the time that was waited.
const PART: u32 = 16;
/// How often a process at the gate looks whether the gate's keeper is stopped.
const LOOKS: Duration = Duration::from_millis(250);

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
        self.lock(&self.lock_path(HOST), mode)
    }

    /// Held while endpoints of the sandbox come and go. Waits.
    pub fn lock_sandbox(&self, cookie: NetnsCookie) -> Result<Lock, StoreError> {
        self.lock(&self.sandbox_lock_path(cookie), Mode::Exclusive)
    }

    /// As [`Store::lock_sandbox`]; `None` when somebody is at work on the sandbox.
    pub fn try_lock_sandbox(&self, cookie: NetnsCookie) -> Result<Option<Lock>, StoreError> {
        self.try_lock(&self.sandbox_lock_path(cookie), Mode::Exclusive)
    }

    /// Held while addresses of the network are chosen. Waits.
    pub fn lock_leases(&self, network: &NetworkName) -> Result<Lock, StoreError> {
        self.lock(&self.leases_lock_path(network), Mode::Exclusive)
    }

    /// Held by the one process that deletes doomed devices. Waits.
    pub fn lock_reaper(&self) -> Result<Lock, StoreError> {
        self.lock(&self.reaper_path(), Mode::Exclusive)
    }

    /// Held by `zubi run` for the life of a sandbox that shall go with it; `None` when that lives.
    pub fn try_lock_run(&self, sandbox: &SandboxName) -> Result<Option<Lock>, StoreError> {
        self.try_lock(&self.run_lock_path(sandbox), Mode::Exclusive)
    }

    /// As [`Store::try_lock_run`], but waits.
    pub fn lock_run(&self, sandbox: &SandboxName) -> Result<Lock, StoreError> {
        self.lock(&self.run_lock_path(sandbox), Mode::Exclusive)
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
        match self.try_lock(path, Mode::Exclusive)? {
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
        self.locks_folder().join(name)
    }

    pub(crate) fn locks_folder(&self) -> PathBuf {
        self.disk.run().join("lock")
    }

    /// The run folder itself.
    fn reaper_path(&self) -> PathBuf {
        self.disk.run().to_owned()
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

impl Store {
    /// Waits for a lock, at most as long as the store has patience.
    pub(crate) fn lock(&self, path: &Path, mode: Mode) -> Result<Lock, StoreError> {
        match self.try_lock(path, mode)? {
            Some(lock) => Ok(lock),
            None => self.wait(path, mode),
        }
    }

    /// `None` when somebody has it, or waits for it at its gate.
    fn try_lock(&self, path: &Path, mode: Mode) -> Result<Option<Lock>, StoreError> {
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
        let _turn = self.turn(path, since)?;
        loop {
            if take(&file, path, mode)? {
                if look(&file, path)?.is_some() {
                    return Ok(Lock { file, path: path.to_owned() });
                }
                file = self.open_lock(path)?;
                continue;
            }
            self.pause(path, since)?;
        }
    }

    /// Waits until it is our turn to wait for a lock. Only the host's lock has a gate. A gate whose keeper is stopped
    /// does not count: it would keep everybody out while the lock itself is free.
    fn turn(&self, path: &Path, since: Instant) -> Result<Option<Turn>, StoreError> {
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
            self.pause(path, since)?;
        }
    }

    /// Until the next try. Fails when the patience is at its end.
    fn pause(&self, path: &Path, since: Instant) -> Result<(), StoreError> {
        let waited = since.elapsed();
        if waited >= self.patience {
            return Err(StoreError::Locked { path: path.to_owned(), waited, holders: holders_at(path) });
        }
        sleep((waited / PART).clamp(PAUSES.0, PAUSES.1).min(self.patience.saturating_sub(waited)));
        Ok(())
    }

    /// Not readable by others: who can open a file can lock it, and so could stop everybody.
    fn open_lock(&self, path: &Path) -> Result<File, StoreError> {
        // Two locks are those of folders, which stay.
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
    /// The file of the lock that is waited for.
    awaited: File,
    _gate: Lock,
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Should it fail, the next process goes through the gate for nothing.
        self.awaited.set_len(0).unwrap_or_default();
    }
}

/// Whether the lock is ours now.
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

/// What a locked file is like; `None` when it is not at its path any more.
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
        // The umask of its maker took something.
        file.set_permissions(Permissions::from_mode(FILE_MODE)).map_err(failed("lock", path))?;
    }
    Ok(Some(held))
}

fn holders_at(path: &Path) -> Vec<Holder> {
    fs::metadata(path).map(|file| holders(&file)).unwrap_or_default()
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
        store.try_lock(&store.lock_path("host"), mode).unwrap()
    }

    fn impatient(dirs: Dirs) -> Store {
        Opening::new(dirs, host("boot-1", 1)).patience(Duration::from_millis(300)).open().unwrap()
    }

    fn until(done: impl Fn() -> bool) {
        while !done() {
            sleep(Duration::from_millis(1));
        }
    }

    /// A process of another program that has a lock, and its number.
    struct Stranger(Child);

    impl Stranger {
        fn locks(path: &Path) -> Self {
            let path_word = path.to_str().unwrap();
            let child = Command::new("flock").args(["--no-fork", path_word, "sleep", "1000"]).spawn().unwrap();
            until(|| holders_at(path).iter().any(|holder| holder.program == "sleep"));
            Stranger(child)
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

    impl Drop for Stranger {
        fn drop(&mut self) {
            self.signal("-KILL");
            self.0.wait().unwrap();
        }
    }

    #[test]
    fn a_wait_ends_and_names_who_has_the_lock() {
        let scratch = Scratch::new();
        let store = impatient(scratch.dirs());
        for path in [store.lock_path("host"), store.lock_path("leases-blue")] {
            drop(store.lock(&path, Mode::Exclusive).unwrap());
            let stranger = Stranger::locks(&path);
            let id = stranger.0.id();
            let told = store.lock(&path, Mode::Shared).unwrap_err().to_string();
            assert!(told.contains(&format!("lock {}: waited ", path.display())), "{told}");
            assert!(told.contains(&format!("process {id} (sleep) has it; try again")), "{told}");
            stranger.stop();
            let told = store.lock(&path, Mode::Shared).unwrap_err().to_string();
            assert!(told.contains(&format!("process {id} (sleep), which is stopped (state T), has it")), "{told}");
            assert!(told.contains(&format!("kill -CONT {id} lets it go on")), "{told}");
            drop(stranger);
            assert!(store.lock(&path, Mode::Shared).is_ok());
        }
    }

    #[test]
    fn who_wants_the_host_alone_is_not_kept_out_by_a_stream_of_those_who_share_it() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let first = store.lock_host(Mode::Shared).unwrap();
        let path = store.lock_path("host");
        let order = std::sync::Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _alone = store.lock_host(Mode::Exclusive).unwrap();
                order.lock().unwrap().push("alone");
            });
            until(|| fs::metadata(&path).unwrap().len() == 1);
            // Now the kernel would give it to one more that shares it.
            assert!(try_host(&store, Mode::Shared).is_none());
            scope.spawn(|| {
                let _shared = store.lock_host(Mode::Shared).unwrap();
                order.lock().unwrap().push("shared");
            });
            drop(first);
        });
        assert_eq!(order.into_inner().unwrap().len(), 2);
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    }

    #[test]
    fn a_mark_of_the_dead_and_a_stopped_waiter_stop_nobody() {
        let scratch = Scratch::new();
        let store = Opening::new(scratch.dirs(), host("boot-1", 1)).patience(Duration::from_secs(20)).open().unwrap();
        let path = store.lock_path("host");
        fs::write(&path, "x").unwrap();
        drop(store.lock_host(Mode::Shared).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);

        let gate = store.locks_folder();
        let stranger = Stranger::locks(&gate);
        stranger.stop();
        fs::write(&path, "x").unwrap();
        drop(store.lock_host(Mode::Exclusive).unwrap());
        drop(store.lock_host(Mode::Shared).unwrap());
    }

    #[test]
    fn many_that_share_and_many_that_do_not_all_get_their_turn() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let (shared, alone) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for thread in 0..12 {
                let (store, shared, alone) = (&store, &shared, &alone);
                scope.spawn(move || {
                    for round in 0..40 {
                        if (thread + round) % 4 == 0 {
                            let _held = store.lock_host(Mode::Exclusive).unwrap();
                            assert_eq!(alone.fetch_add(1, Ordering::SeqCst), 0);
                            assert_eq!(shared.load(Ordering::SeqCst), 0);
                            std::thread::yield_now();
                            alone.fetch_sub(1, Ordering::SeqCst);
                        } else {
                            let _held = store.lock_host(Mode::Shared).unwrap();
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
        let one = a.lock_host(Mode::Shared).unwrap();
        let two = b.lock_host(Mode::Shared).unwrap();
        assert!(try_host(&b, Mode::Exclusive).is_none());
        drop((one, two));
        let all = try_host(&b, Mode::Exclusive).unwrap();
        assert!(try_host(&a, Mode::Shared).is_none());
        drop(all);
        assert!(try_host(&a, Mode::Shared).is_some());
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
            store.lock_reaper().unwrap(),
            store.lock_run(&name).unwrap(),
        );
        assert!(store.try_lock_sandbox(NetnsCookie(5)).unwrap().is_none());
        assert!(store.try_lock_run(&name).unwrap().is_none());
        assert!(store.try_lock(&store.reaper_path(), Mode::Exclusive).unwrap().is_none());
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
