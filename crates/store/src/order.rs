//! The locks and their order, as types: taking a lock needs a reference to the lock above it.
//!
//! ```text
//! HostLock, shared: every change    ReaperLock: deletes doomed devices    RunLock: of a sandbox of `zubi run`
//! ExclusiveHost: what networks       |
//!  |             share               |
//!  +- SandboxLock                    |
//!  +- LeasesLock of a network -------+
//!  +- PortsLock
//! ```
//!
//! Below the host's lock the order is sandboxes, leases, ports. The types do not show this part: a command may hold the
//! lock of the leases before it needs that of the ports, or need only the latter. Several sandboxes are locked by one
//! call, which keeps the order of their numbers.
//!
//! The daemon's lock is held for a process's life, and only tried. Two locks are outside of this order. A process that holds the reaper's lock never waits for the host's. A process
//! waits for a run's lock only if it holds no other lock; with the host's lock it only tries.
//!
//! Claims and the records of networks take the lock that they need as an argument. Records of endpoints and links, and
//! releases of leases, do not: they need the lock of the sandbox, which callers keep for a whole command.

use crate::lock::{HOST, Lock, Mode};
use crate::{Store, StoreError};
use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::PathBuf;
use zubi_model::{NetnsCookie, NetworkName, SandboxName};

/// The host's lock, shared or exclusive.
#[derive(Debug)]
#[must_use = "a lock is released when it is dropped"]
pub struct HostLock {
    _lock: Lock,
}

/// The host's lock, exclusive: the holder may change what networks share, and may rely on all records being complete.
#[derive(Debug)]
#[must_use = "a lock is released when it is dropped"]
pub struct ExclusiveHost(HostLock);

impl Deref for ExclusiveHost {
    type Target = HostLock;
    fn deref(&self) -> &HostLock {
        &self.0
    }
}

/// For a caller that takes either lock. The lock stays exclusive.
impl From<ExclusiveHost> for HostLock {
    fn from(exclusive: ExclusiveHost) -> Self {
        exclusive.0
    }
}

/// The lock of a sandbox, held during changes of its endpoints and links.
#[derive(Debug)]
#[must_use = "a lock is released when it is dropped"]
pub struct SandboxLock {
    lock: Lock,
    cookie: NetnsCookie,
}

impl SandboxLock {
    /// The sandbox.
    pub fn cookie(&self) -> NetnsCookie {
        self.cookie
    }
}

/// The lock of a network's addresses and MACs, held from their choice to their claim.
#[derive(Debug)]
#[must_use = "a lock is released when it is dropped"]
pub struct LeasesLock {
    _lock: Lock,
    network: NetworkName,
}

impl LeasesLock {
    /// The network.
    pub fn network(&self) -> &NetworkName {
        &self.network
    }
}

/// The lock of the published ports, held from their choice to their claim, and during their release.
#[derive(Debug)]
#[must_use = "a lock is released when it is dropped"]
pub struct PortsLock {
    _lock: Lock,
}

/// The lock of the one process that deletes doomed devices.
#[derive(Debug)]
#[must_use = "a lock is released when it is dropped"]
pub struct ReaperLock {
    _lock: Lock,
}

/// The lock of a named sandbox, held by `zubi run` as long as its sandbox exists.
#[derive(Debug)]
#[must_use = "a lock is released when it is dropped"]
pub struct RunLock(Lock);

/// The lock that the daemon of a run folder holds as long as it lives.
#[derive(Debug)]
#[must_use = "a lock is released when it is dropped"]
pub struct DaemonLock {
    _lock: Lock,
}

/// All of these functions wait, except those whose name starts with `try`.
impl Store {
    /// Every change needs this lock.
    pub fn lock_host(&self) -> Result<HostLock, StoreError> {
        self.lock(&self.lock_path(HOST), Mode::Shared).map(|lock| HostLock { _lock: lock })
    }

    /// Removing a network, and deciding anything from all records, needs this lock.
    pub fn lock_host_exclusive(&self) -> Result<ExclusiveHost, StoreError> {
        self.lock(&self.lock_path(HOST), Mode::Exclusive).map(|lock| ExclusiveHost(HostLock { _lock: lock }))
    }

    /// Locks one sandbox. A caller that needs several takes them by [`Store::lock_sandboxes`].
    pub fn lock_sandbox(&self, _host: &HostLock, cookie: NetnsCookie) -> Result<SandboxLock, StoreError> {
        let lock = self.lock(&self.sandbox_lock_path(cookie), Mode::Exclusive)?;
        Ok(SandboxLock { lock, cookie })
    }

    /// Locks several sandboxes, in the order of their numbers. Two commands that want the same ones therefore never
    /// wait for each other.
    pub fn lock_sandboxes(
        &self,
        host: &HostLock,
        cookies: impl IntoIterator<Item = NetnsCookie>,
    ) -> Result<BTreeMap<NetnsCookie, SandboxLock>, StoreError> {
        let mut locks: BTreeMap<_, _> = cookies.into_iter().map(|cookie| (cookie, None)).collect();
        for (cookie, lock) in &mut locks {
            *lock = Some(self.lock_sandbox(host, *cookie)?);
        }
        Ok(locks.into_iter().filter_map(|(cookie, lock)| Some((cookie, lock?))).collect())
    }

    /// As [`Store::lock_sandbox`]; `None` when another process holds the lock.
    pub fn try_lock_sandbox(&self, _host: &HostLock, cookie: NetnsCookie) -> Result<Option<SandboxLock>, StoreError> {
        let lock = self.try_lock(&self.sandbox_lock_path(cookie), Mode::Exclusive)?;
        Ok(lock.map(|lock| SandboxLock { lock, cookie }))
    }

    /// Locks the addresses and MACs of a network.
    pub fn lock_leases(&self, _host: &HostLock, network: &NetworkName) -> Result<LeasesLock, StoreError> {
        self.leases_lock(network)
    }

    /// As [`Store::lock_leases`], for the reaper. The reaper must not wait for the host's lock: a command may hold it
    /// and wait for the reaper.
    pub fn lock_leases_as_reaper(&self, _reaper: &ReaperLock, network: &NetworkName) -> Result<LeasesLock, StoreError> {
        self.leases_lock(network)
    }

    /// Locks the published ports of the host.
    pub fn lock_ports(&self, _host: &HostLock) -> Result<PortsLock, StoreError> {
        self.lock(&self.lock_path("ports"), Mode::Exclusive).map(|lock| PortsLock { _lock: lock })
    }

    /// Locks the deletion of doomed devices.
    pub fn lock_reaper(&self) -> Result<ReaperLock, StoreError> {
        self.lock(&self.reaper_path(), Mode::Exclusive).map(|lock| ReaperLock { _lock: lock })
    }

    /// Locks a sandbox's name while its `zubi run` lasts. The caller holds no other lock.
    pub fn lock_run(&self, sandbox: &SandboxName) -> Result<RunLock, StoreError> {
        self.lock(&self.run_lock_path(sandbox), Mode::Exclusive).map(RunLock)
    }

    /// As [`Store::lock_run`]; `None` while the `zubi run` of that name lasts.
    pub fn try_lock_run(&self, sandbox: &SandboxName) -> Result<Option<RunLock>, StoreError> {
        Ok(self.try_lock(&self.run_lock_path(sandbox), Mode::Exclusive)?.map(RunLock))
    }

    /// The daemon's lock; `None` while another daemon of this run folder lives.
    pub fn try_lock_daemon(&self) -> Result<Option<DaemonLock>, StoreError> {
        Ok(self.try_lock(&self.lock_path("daemon"), Mode::Exclusive)?.map(|lock| DaemonLock { _lock: lock }))
    }

    /// Releases the lock of a sandbox that is gone, and removes its file: each sandbox has another number, so the files
    /// would pile up.
    pub fn remove_sandbox_lock(&self, held: SandboxLock) -> Result<(), StoreError> {
        self.unlink_held(held.lock)
    }

    /// Releases the lock of a run, and removes its file.
    pub fn remove_run_lock(&self, held: RunLock) -> Result<(), StoreError> {
        self.unlink_held(held.0)
    }

    pub(crate) fn leases_lock_path(&self, network: &NetworkName) -> PathBuf {
        self.lock_path(&format!("leases-{network}"))
    }

    fn leases_lock(&self, network: &NetworkName) -> Result<LeasesLock, StoreError> {
        let lock = self.lock(&self.leases_lock_path(network), Mode::Exclusive)?;
        Ok(LeasesLock { _lock: lock, network: network.clone() })
    }

    /// The reaper locks the run folder itself.
    fn reaper_path(&self) -> PathBuf {
        self.disk.run().to_owned()
    }

    fn sandbox_lock_path(&self, cookie: NetnsCookie) -> PathBuf {
        self.lock_path(&format!("sandbox-{cookie}"))
    }

    fn run_lock_path(&self, sandbox: &SandboxName) -> PathBuf {
        self.lock_path(&format!("run-{sandbox}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn locks_of_different_things_do_not_meet() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let name: SandboxName = "c1".parse().unwrap();
        let (blue, green) = ("blue".parse().unwrap(), "green".parse().unwrap());
        let host = store.lock_host_exclusive().unwrap();
        let reaper = store.lock_reaper().unwrap();
        let _held = (
            store.lock_sandbox(&host, NetnsCookie(5)).unwrap(),
            store.lock_sandbox(&host, NetnsCookie(6)).unwrap(),
            store.lock_leases(&host, &blue).unwrap(),
            store.lock_leases_as_reaper(&reaper, &green).unwrap(),
            store.lock_ports(&host).unwrap(),
            store.lock_run(&name).unwrap(),
        );
        assert!(store.try_lock_sandbox(&host, NetnsCookie(5)).unwrap().is_none());
        assert!(store.try_lock_run(&name).unwrap().is_none());
        assert!(store.try_lock(&store.reaper_path(), Mode::Exclusive).unwrap().is_none());
        for network in [&blue, &green] {
            assert!(store.try_lock(&store.leases_lock_path(network), Mode::Exclusive).unwrap().is_none());
        }
    }

    #[test]
    fn several_sandboxes_are_locked_in_the_order_of_their_numbers() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let turns = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for cookies in [[5, 6, 7], [7, 6, 5], [6, 5, 7]] {
                let (store, turns) = (&store, &turns);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let host = store.lock_host().unwrap();
                        let locks = store.lock_sandboxes(&host, cookies.map(NetnsCookie)).unwrap();
                        assert_eq!(locks.values().map(|lock| lock.cookie().0).collect::<Vec<_>>(), [5, 6, 7]);
                        turns.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(turns.into_inner(), 3 * 200);
        let host = store.lock_host().unwrap();
        // The same sandbox twice is one lock.
        assert_eq!(store.lock_sandboxes(&host, [5, 5].map(NetnsCookie)).unwrap().len(), 1);
    }

    #[test]
    fn an_exclusive_lock_stays_exclusive_under_the_other_name() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let held: HostLock = store.lock_host_exclusive().unwrap().into();
        assert!(store.try_lock(&store.lock_path(HOST), Mode::Shared).unwrap().is_none());
        drop(held);
        assert!(store.try_lock(&store.lock_path(HOST), Mode::Shared).unwrap().is_some());
    }

    #[test]
    fn a_lock_on_an_unlinked_file_is_no_lock() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let host = store.lock_host().unwrap();
        let (inside, turns) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (store, host, inside, turns) = (&store, &host, &inside, &turns);
                scope.spawn(move || {
                    for round in 0..300 {
                        let held = store.lock_sandbox(host, NetnsCookie(5)).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        turns.fetch_add(1, Ordering::SeqCst);
                        assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                        if (round + thread) % 3 == 0 {
                            store.remove_sandbox_lock(held).unwrap();
                        }
                    }
                });
            }
        });
        assert_eq!(turns.into_inner(), 8 * 300);
    }

    #[test]
    fn the_file_of_a_lock_goes_when_its_holder_removes_it() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let host = store.lock_host().unwrap();
        drop(store.lock_sandbox(&host, NetnsCookie(5)).unwrap());
        assert!(scratch.path("run/lock/sandbox-5").exists());
        store.remove_sandbox_lock(store.lock_sandbox(&host, NetnsCookie(5)).unwrap()).unwrap();
        assert!(!scratch.path("run/lock/sandbox-5").exists());
        let name: SandboxName = "c1".parse().unwrap();
        store.remove_run_lock(store.lock_run(&name).unwrap()).unwrap();
        assert!(!scratch.path("run/lock/run-c1").exists());
    }
}
